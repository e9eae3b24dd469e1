"""The rows of an acceptance are whole: each has a probe, each file that depends on it exists, each assumption has a row."""

import json
import re
from pathlib import Path

import pytest

from play.words import DIFFERENCES
from ops.acceptance import __main__ as command
from ops.acceptance.aws_rows import AWS_ROWS
from ops.acceptance.probes import figures
from ops.acceptance.provider_rows import PROVIDER_ROWS
from ops.acceptance.rows import Row
from ops.acceptance.run import PROBES, ROWS

ROOT = Path(__file__).resolve().parents[2]
PROVIDER = (ROOT / "docs" / "provider.md").read_text(encoding="utf-8")
RIGHT = re.compile(r"[a-z-]+:[A-Za-z]+")


def test_each_row_is_answered_by_exactly_one_probe() -> None:
    answered = [row for probe in PROBES for row in probe.rows]
    assert sorted(answered) == sorted(row.id for row in ROWS)
    assert len(set(answered)) == len(answered)


def test_each_provider_row_can_be_contradicted_by_the_sandbox() -> None:
    assert {f"provider-{name}" for name in DIFFERENCES} == {row.id for row in PROVIDER_ROWS}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_each_row_says_all_that_a_reader_needs(row: Row) -> None:
    assert row.id.startswith("aws-" if row in AWS_ROWS else "provider-")
    assert row.question.endswith("?")
    assert [file for file in row.depends if not (ROOT / file).is_file()] == []
    for text in (row.assumed, row.otherwise, row.observe):
        assert text.endswith(".")
        assert len(text) > 10
    assert row.depends
    assert row.rule


def test_each_assumption_about_the_provider_names_its_row() -> None:
    known = {row.id for row in PROVIDER_ROWS}
    for line in PROVIDER.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 3 and re.search(r"\bA\b", cells[1]):
            named = set(re.findall(r"`(provider-[a-z-]+)`", line))
            assert named, line
            assert named <= known, line


def test_rights_are_written_as_iam_writes_them() -> None:
    assert [right for probe in PROBES for right in probe.rights if not RIGHT.fullmatch(right)] == []


def test_a_probe_that_changes_something_says_what() -> None:
    silent = [
        probe.rows
        for probe in PROBES
        if not probe.does
        and any(re.search(r":(Put|Create|Delete|Update|Set|Publish)", right) for right in probe.rights)
    ]
    assert silent == []


def test_the_paper_is_the_documents() -> None:
    page = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
    assert f"a submit lasts {figures.PAPER_MS['submit_void']} ms" in page
    assert f"a webhook lasts {figures.PAPER_MS['receive_webhook']} ms" in page
    assert f"a read {figures.PAPER_MS['read_voids']} ms" in page
    assumed = {row.id: row.assumed for row in ROWS}
    for stem in ("submit_void", "read_voids", "receive_webhook"):
        assert f"at most {figures.PAPER_MS[stem]} ms" in assumed[f"aws-times-{stem.replace('_', '-')}"]
    assert f"{figures.PAPER_UNITS} million units" in page


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
    assert [one["id"] for one in listed] == [row.id for row in AWS_ROWS]
    assert all(one["question"] and one["depends"] and one["if_contradicted"] for one in listed)


def test_an_unknown_row_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--only", "aws-moon"]) == 1
    assert "no row is called aws-moon" in capsys.readouterr().err
