"""The rows of an acceptance are whole, and what `make smoke` decides by itself: whose credentials they are, what is next."""

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
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
from tests.fakes.account import CALLER, REGION, URL, VECTORS, Account, Api, steps

ROOT = Path(__file__).resolve().parents[2]
KNOWN = {row.id: row for row in ROWS}
OF_PROVIDER = {name for name in KNOWN if name.startswith("provider-")}


def page(name: str) -> str:
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


def test_each_row_has_a_name_of_its_own_and_the_sandbox_can_contradict_each_of_the_provider() -> None:
    assert sorted(KNOWN) == sorted(row for probe in PROBES for row in probe.rows) == sorted(row.id for row in ROWS)
    assert {f"provider-{name}" for name in DIFFERENCES} == OF_PROVIDER


@pytest.mark.parametrize("row", ROWS, ids=KNOWN)
def test_each_row_says_all_that_a_reader_needs(row: Row) -> None:
    assert (row.id.startswith(("aws-", "provider-")), row.question[-1], bool(row.rule)) == (True, "?", True)
    named = [*row.depends, *re.findall(r"\b(?:docs|functions|infra|local|ops)/[\w/.-]+\.\w+", row.if_contradicted)]
    assert [file for file in named if not (ROOT / file).is_file()] == []
    assert row.depends
    assert all(len(text) > 10 and text[-1] == "." for text in (row.assumed, row.if_contradicted, row.observed_by))


def test_each_assumption_about_the_provider_names_its_rows_and_is_named_where_a_rule_rests_on_it() -> None:
    text = page("provider.md")
    assumed = [line for line in text.splitlines() if re.match(r"\|[^|]*\|[^|]*\bA\b", line)]
    named = [set(re.findall(r"`(provider-[a-z-]+)`", line)) for line in assumed]
    assert [line for line, rows in zip(assumed, named, strict=True) if not rows or rows - OF_PROVIDER] == []
    rests = {name for name in OF_PROVIDER if "docs/provider.md" in KNOWN[name].depends}
    assert len(rests) >= 5
    assert rests <= set.union(*named) | {"provider-success-code"}  # documented, so it is no assumption
    there = {file.name for folder in ("functions", "infra") for file in (ROOT / folder).rglob("*.py")}
    assert set(re.findall(r"[a-z_]+\.py", text)) <= there


def test_rights_are_written_as_iam_writes_them_and_a_probe_that_changes_something_says_what() -> None:
    rights = {right for probe in PROBES for right in probe.rights}
    assert [right for right in rights if not re.fullmatch(r"[a-z-]+:[A-Za-z]+", right)] == []
    changes = re.compile(r":(Put|Create|Delete|Update|Set|Publish)")
    assert [probe.rows for probe in PROBES if not probe.does and any(map(changes.search, probe.rights))] == []


@pytest.mark.parametrize(("stem", "says"), [
    ("submit_void", "a submit lasts"), ("receive_webhook", "a webhook lasts"), ("read_voids", "a read"),
])  # fmt: skip
def test_the_paper_is_the_documents(stem: str, says: str) -> None:
    assert f"{says} {of_account.PAPER_MS[stem]} ms" in page("performance.md")
    assert f"at most {of_account.PAPER_MS[stem]} ms" in KNOWN[f"aws-times-{stem.replace('_', '-')}"].assumed
    assert f"{of_account.PAPER_UNITS} million units" in page("performance.md")


def test_the_first_day_is_the_same_in_both_languages() -> None:
    pages = english, ukrainian = page("first-day.md"), page("first-day.uk.md")
    for kind in (r"```sh\n(.*?)```", r"\]\(([a-z]+\.md#?[a-z-]*)\)", r"`([A-Za-z_.-]+(?: --[a-z-]+)?)`"):
        assert sorted(re.findall(kind, english, re.DOTALL)) == sorted(re.findall(kind, ukrainian, re.DOTALL))
    for shape in (r"^#+ ", r"^\|", r"^\d\. "):
        assert len({len(re.findall(shape, page, re.MULTILINE)) for page in pages}) == 1
    targets = re.findall(r"(?:^|`)make ([a-z]+)", english, re.MULTILINE)
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
        account.plays(*steps({"aws": ["described", "begun"]}), ("secretsmanager", "get_secret_value", answer))
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


def test_without_rights_the_environment_is_not_skipped(monkeypatch: pytest.MonkeyPatch, api: Api) -> None:
    def fail(*_: object) -> Place:
        raise OpsError("no AWS credentials")

    monkeypatch.setattr(places, "deployed", fail)
    assert [*smoke.look(URL, TEST)][5:] == [("FAIL", OURS, "no AWS credentials")]


@pytest.mark.parametrize(("base", "first"), [
    ("https://127.0.0.1:1/v1", "FAIL"), ("http://127.0.0.1:1/v1", "skip"), ("http://api.invalid/v1", "FAIL"),
])  # fmt: skip
def test_where_nobody_answers_every_check_fails_and_plain_http_is_for_this_machine_only(
    base: str, first: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert smoke.main([base]) == 1
    verdicts = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert verdicts == [first, *["FAIL"] * 4, "skip"]


@pytest.mark.parametrize("call", [
    "", "ftp://x", "https://", "https://x/v1 --environment staging", "https://x/v1 https://x/v1",
])  # fmt: skip
def test_a_wrong_call_is_said(call: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        sys.exit(smoke.main(call.split()))
    assert "usage: python -m acceptance.smoke" in "".join(capsys.readouterr())


def test_the_local_environment_expects_what_the_local_run_fills_in() -> None:
    assert ENVIRONMENTS["local"].pos_id == CREDENTIALS["pos_id"]
