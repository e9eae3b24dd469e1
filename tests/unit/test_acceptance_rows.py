"""The rows of an acceptance are whole: each file that depends on one exists, each assumption of a document has a row."""

import json
import re
from pathlib import Path

import pytest

from acceptance import __main__ as command
from acceptance.probes import account
from acceptance.rows import Row
from acceptance.run import PROBES, ROWS
from play.words import DIFFERENCES

ROOT = Path(__file__).resolve().parents[2]
KNOWN = {row.id: row for row in ROWS}
OF_PROVIDER = {name for name in KNOWN if name.startswith("provider-")}
MARKED = [line for line in (ROOT / "docs" / "provider.md").read_text(encoding="utf-8").splitlines()
          if re.match(r"\|[^|]*\|[^|]*\bA\b", line)]  # fmt: skip


def test_each_row_has_a_name_of_its_own() -> None:
    assert len(KNOWN) == len(ROWS)
    assert sorted(KNOWN) == sorted(row for probe in PROBES for row in probe.rows)


def test_each_provider_row_can_be_contradicted_by_the_sandbox() -> None:
    assert {f"provider-{name}" for name in DIFFERENCES} == OF_PROVIDER


@pytest.mark.parametrize("row", ROWS, ids=KNOWN)
def test_each_row_says_all_that_a_reader_needs(row: Row) -> None:
    assert row.id.startswith(("aws-", "provider-"))
    assert row.question.endswith("?")
    assert [file for file in row.depends if not (ROOT / file).is_file()] == []
    assert [
        text for text in (row.assumed, row.if_contradicted, row.observed_by) if len(text) <= 10 or text[-1] != "."
    ] == []
    assert row.depends
    assert row.rule


@pytest.mark.parametrize("line", MARKED)
def test_each_assumption_about_the_provider_names_its_rows(line: str) -> None:
    named = set(re.findall(r"`(provider-[a-z-]+)`", line))
    assert named
    assert named <= OF_PROVIDER


def test_each_row_about_the_provider_that_a_rule_rests_on_is_named_by_its_document() -> None:
    assert len(MARKED) >= 15
    named = set(re.findall(r"`(provider-[a-z-]+)`", "".join(MARKED)))
    rests = {name for name in OF_PROVIDER if "docs/provider.md" in KNOWN[name].depends}
    assert rests <= named | {"provider-success-code"}  # documented, so it is no assumption


def test_the_files_that_the_document_names_are_there() -> None:
    page = (ROOT / "docs" / "provider.md").read_text(encoding="utf-8")
    there = {file.name for folder in ("functions", "infra") for file in (ROOT / folder).rglob("*.py")}
    assert set(re.findall(r"[a-z_]+\.py", page)) <= there


def test_rights_are_written_as_iam_writes_them_and_a_probe_that_changes_something_says_what() -> None:
    rights = {right for probe in PROBES for right in probe.rights}
    assert [right for right in rights if not re.fullmatch(r"[a-z-]+:[A-Za-z]+", right)] == []
    changes = re.compile(r":(Put|Create|Delete|Update|Set|Publish)")
    assert [probe.rows for probe in PROBES if not probe.does and any(map(changes.search, probe.rights))] == []


def test_the_paper_is_the_documents() -> None:
    page = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
    for stem, says in {
        "submit_void": "a submit lasts",
        "receive_webhook": "a webhook lasts",
        "read_voids": "a read",
    }.items():
        assert f"{says} {account.PAPER_MS[stem]} ms" in page
        assert f"at most {account.PAPER_MS[stem]} ms" in KNOWN[f"aws-times-{stem.replace('_', '-')}"].assumed
    assert f"{account.PAPER_UNITS} million units" in page


def test_the_first_day_is_the_same_in_both_languages() -> None:
    pages = [(ROOT / "docs" / name).read_text(encoding="utf-8") for name in ("first-day.md", "first-day.uk.md")]
    for kind in (r"```sh\n(.*?)```", r"\]\(([a-z]+\.md#?[a-z-]*)\)", r"`([A-Za-z_.-]+(?: --[a-z-]+)?)`"):
        english, ukrainian = (re.findall(kind, page, re.DOTALL) for page in pages)
        assert sorted(english) == sorted(ukrainian)
    for shape in (r"^#+ ", r"^\|", r"^\d\. "):
        assert len({len(re.findall(shape, page, re.MULTILINE)) for page in pages}) == 1
    targets = re.findall(r"(?:^|`)make ([a-z]+)", pages[0], re.MULTILINE)
    assert set(targets) <= set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def test_the_rows_can_be_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--list"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == len(ROWS)
    assert command.main(["--list", "--json", "--only", "aws-"]) == 0
    listed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [one["id"] for one in listed] == [name for name in KNOWN if name.startswith("aws-")]
    assert all(one["question"] and one["depends"] and one["if_contradicted"] for one in listed)
