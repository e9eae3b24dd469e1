"""The rows of an acceptance are whole: each file that depends on one exists, each assumption of a document has a row. And
what `make smoke`, its rows that only look, decides by itself: whose credentials they are, what it checks next.
"""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast
from urllib.parse import unquote

import pytest

from acceptance import __main__ as command
from acceptance import smoke
from acceptance.probes import account as of_account
from acceptance.rows import Row
from acceptance.run import PROBES, ROWS
from acceptance.undo import fill
from infra import environments
from infra.environment import Environment
from infra.environments import ENVIRONMENTS
from local.service import CREDENTIALS
from ops import places
from ops.places import OpsError, Place
from payments.provider import Provider
from play.words import DIFFERENCES
from tests.fakes.account import CALLER, REGION, URL, VECTORS, Account, Api, stack

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
        assert f"{says} {of_account.PAPER_MS[stem]} ms" in page
        assert f"at most {of_account.PAPER_MS[stem]} ms" in KNOWN[f"aws-times-{stem.replace('_', '-')}"].assumed
    assert f"{of_account.PAPER_UNITS} million units" in page


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


# ---- `make smoke` ----

IDS = {name: f"{n:08}-51ef-4ef1-80f7-3b44b07b566a" for n, name in enumerate(("test", "live", "other"))}
FIELDS = "the secret has its fields (pos_id, api_key, api_secret, endpoints_key)"
SAID = IDS | {"TEST": IDS["test"].upper(), "fields": FIELDS}
TEST, PROD = Environment(name="test", pos_id=IDS["test"]), Environment(name="prod", pos_id=IDS["live"])
ENVIRONMENT = {"test": TEST, "prod": PROD, "unnamed": Environment(name="test")}
VALUES = {"pos_id": IDS["test"], "api_key": "key-1", "api_secret": "secret-1", "endpoints_key": "endpoints-1"}
NO_SECRET = "ResourceNotFoundException: Secrets Manager can't find the specified secret value"
DECODED = {"once": unquote, "twice": lambda path: unquote(unquote(path)), "never": str}
TAKEN = {"yes": True, "no": False, "unanswered": None}
OURS = "it is the API of VoidService-test"


type Look = Callable[..., list[smoke.Result]]


@pytest.fixture
def look(monkeypatch: pytest.MonkeyPatch, api: Api, account: Account) -> Look:
    """look(secret="{", …) -> what was found from inside, if things are as a case of acceptance.toml says."""

    def found(host: str = "127.0.0.1", **case: Any) -> list[smoke.Result]:
        environment, pos_id = ENVIRONMENT[case.get("environment", "test")], fill(case.get("pos_id", "$test"), SAID)
        secret = case.get("secret") or json.dumps(VALUES | {"pos_id": pos_id})
        answer = NO_SECRET if secret == "none" else {"SecretString": secret}
        account.plays(*stack(), ("secretsmanager", "get_secret_value", answer))
        vars(api).update(decode=DECODED[case.get("decoded", "once")])
        place = Place(f"VoidService-{environment.name}", REGION, account, CALLER)
        monkeypatch.setattr(places, "deployed", lambda *_: place)
        monkeypatch.setattr(Provider, "accepts", lambda *_: TAKEN[case.get("taken", "yes")])
        monkeypatch.setattr(environments, "ENVIRONMENTS", {"test": TEST, "prod": PROD})
        return [*smoke.look(URL.replace("127.0.0.1", host), environment)][5:]

    return found


def test_credentials_of_this_environment_pass(look: Look) -> None:
    found = look()
    assert [verdict for verdict, *_ in found] == ["ok"] * 6
    assert not any(value in str(found) for name, value in VALUES.items() if name != "pos_id")


@pytest.mark.parametrize("case", VECTORS["smoke"]["cases"])
def test_what_is_wrong_is_named(look: Look, case: dict[str, Any]) -> None:
    found, number = look(**case), case["check"]
    *said, why = fill(case["finds"], SAID)
    assert [*found[number][:2]] == said
    assert found[number][2] == why or (why.endswith(" as ") and found[number][2].startswith(why))
    assert number != 3 or len(found) == 4  # without a secret nothing more is looked at


def test_behind_another_address_nothing_is_examined(look: Look, account: Account) -> None:
    assert look(host="localhost") == [("FAIL", OURS, f"its ApiUrl is {URL}")]
    assert [name for name, _ in account.calls] == ["cloudformation:DescribeStacks"]


def failing(error: Exception) -> Callable[..., Any]:
    def fail(*_: object) -> Any:
        raise error

    return fail


def test_without_rights_the_environment_is_not_skipped(monkeypatch: pytest.MonkeyPatch, api: Api) -> None:
    monkeypatch.setattr(places, "deployed", failing(OpsError("no AWS credentials")))
    assert [*smoke.look(URL, TEST)][5:] == [("FAIL", OURS, "no AWS credentials")]


def test_an_address_where_nobody_answers_fails_every_check(capsys: pytest.CaptureFixture[str]) -> None:
    assert smoke.main(["https://127.0.0.1:1/v1"]) == 1
    verdicts = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert verdicts == ["FAIL"] * 5 + ["skip"]


@pytest.mark.parametrize(("base", "verdict"), [("http://127.0.0.1:1/v1", "skip"), ("http://api.invalid/v1", "FAIL")])
def test_plain_http_is_for_this_machine_only(base: str, verdict: str) -> None:
    assert next(smoke.look(base, None))[0] == verdict


def test_an_error_is_worded_as_by_the_other_commands(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(smoke, "look", failing(KeyError("card data")))
    assert smoke.main(["https://x.example/v1"]) == 1
    assert capsys.readouterr().err == "error: unexpected KeyError: a defect of this command line\n"


CALLS = ["ftp://x", "https://", "https://x/v1 --environment staging", "https://x/v1 https://x/v1"]


@pytest.mark.parametrize("arguments", CALLS)
def test_a_wrong_call_is_said(arguments: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert smoke.main([]) == 2
    assert capsys.readouterr().out.startswith("usage: python -m acceptance.smoke")
    with pytest.raises(SystemExit) as stopped:
        smoke.main(arguments.split())
    assert cast("int", stopped.value.code) == 2


def test_the_local_environment_expects_what_the_local_run_fills_in() -> None:
    assert ENVIRONMENTS["local"].pos_id == CREDENTIALS["pos_id"]
