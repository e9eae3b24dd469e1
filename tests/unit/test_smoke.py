"""What `make smoke` decides by itself: whose credentials they are, what it checks next, what it says of an error."""

import json
from collections.abc import Callable, Iterator
from typing import Any, cast
from urllib.parse import unquote

import pytest
from botocore.exceptions import ClientError

from acceptance import smoke
from acceptance.probes.account import whose
from acceptance.rows import Finding, Probe
from acceptance.smoke import Result
from infra import environments
from infra.environment import Environment
from infra.environments import ENVIRONMENTS
from local.sandbox.doors import Exchange
from local.service import CREDENTIALS
from ops import places
from ops.places import OpsError, Place
from payments.provider import Provider
from tests.fakes.account import CALLER, REGION, Account, an_api, reply, stack

TEST_ID, LIVE_ID, OTHER_ID = (f"{digit * 8}-51ef-4ef1-80f7-3b44b07b5667" for digit in "abc")
TEST, PROD = Environment(name="test", pos_id=TEST_ID), Environment(name="prod", pos_id=LIVE_ID)
KNOWN, UNNAMED = {"test": TEST, "prod": PROD}, Environment(name="test")
VALUES = {"pos_id": TEST_ID, "api_key": "key-1", "api_secret": "secret-1", "endpoints_key": "endpoints-1"}
SECRET, NO_SECRET = (
    json.dumps(VALUES),
    "ResourceNotFoundException: Secrets Manager can't find the specified secret value",
)
FIELDS, PROVIDER = "the secret has its fields (pos_id, api_key, api_secret, endpoints_key)", "the provider accepts them"
OURS = "it is the API of VoidService-test"
UNUSABLE = "the provider's credentials cannot be used: "


@pytest.fixture
def api() -> Iterator[tuple[str, dict[str, Any]]]:
    """The address of an API that refuses strangers, and shows the operator the id that `named` makes of a path."""
    how: dict[str, Any] = {"named": unquote}

    def answer(exchange: Exchange) -> None:
        problem = {"Content-Type": "application/problem+json"}
        if "Authorization" not in exchange.headers:
            return reply(exchange, 403, {"status": 403}, problem)
        if "limit=1" in exchange.path:
            return reply(exchange, 200, {"voids": []})
        order = how["named"](exchange.path.rpartition("/voids/")[2])
        return reply(exchange, 404, {"type": "urn:void-service:problem:not-found", "order_id": order}, problem)

    with an_api(answer) as url:
        yield url, how


type Look = Callable[..., list[Result]]


@pytest.fixture
def look(monkeypatch: pytest.MonkeyPatch, api: tuple[str, dict[str, Any]], account: Account) -> Look:
    """look(secret, environment, …) -> what was found from inside; the provider says `taken`."""
    url, how = api

    def found(
        secret: str = SECRET, environment: Environment = TEST, host: str = "127.0.0.1", **more: Any
    ) -> list[Result]:
        how.update(more)
        answer = secret if secret == NO_SECRET else {"SecretString": secret or " "}
        account.plays(*stack(url), ("secretsmanager", "get_secret_value", answer))
        place = Place(f"VoidService-{environment.name}", REGION, account, CALLER)
        monkeypatch.setattr(places, "deployed", lambda *_: place)
        monkeypatch.setattr(Provider, "accepts", lambda *_: how.get("taken", True))
        monkeypatch.setattr(environments, "ENVIRONMENTS", KNOWN)
        return [*smoke.look(url.replace("127.0.0.1", host), environment)][5:]

    return found


def of(pos_id: str) -> str:
    return json.dumps(VALUES | {"pos_id": pos_id})


def test_credentials_of_this_environment_pass(look: Look) -> None:
    found = look()
    assert [verdict for verdict, *_ in found] == ["ok"] * 6
    assert not any(value in str(found) for name, value in VALUES.items() if name != "pos_id")


FOUND: dict[str, tuple[int, dict[str, Any], tuple[str, str, str]]] = {  # the check, how it is, and what is said of it
    "the live project's": (4, {"secret": of(LIVE_ID)}, ("FAIL", "they are those of test", f"pos_id '{LIVE_ID}': it is the pos_id of prod")),
    "another project's": (4, {"secret": of(OTHER_ID)}, ("FAIL", "they are those of test", f"pos_id '{OTHER_ID}': expected '{TEST_ID}'")),
    "its own": (4, {"secret": of(LIVE_ID), "environment": PROD}, ("ok", "they are those of prod", f"pos_id '{LIVE_ID}'")),
    "no secret": (3, {"secret": NO_SECRET}, ("FAIL", FIELDS, f"{UNUSABLE}no-value")),
    **{f"the secret {text!r}": (3, {"secret": text}, ("FAIL", FIELDS, f"{UNUSABLE}malformed"))
       for text in ("", "{", "[]", '{"pos_id": "x"}', json.dumps(VALUES | {"api_secret": ""}))},
    "an id decoded twice": (2, {"named": lambda path: unquote(unquote(path))}, (
        "FAIL", "an order's id comes through the path as it is", "it arrived as ")),
    "an id not decoded": (2, {"named": lambda path: path}, (
        "FAIL", "an order's id comes through the path as it is", "it arrived as ")),
    "refused": (5, {"taken": False}, ("FAIL", PROVIDER, "it refuses them")),
    "unanswered": (5, {"taken": None}, ("FAIL", PROVIDER, "no answer that says so")),
}  # fmt: skip


@pytest.mark.parametrize("case", FOUND)
def test_what_is_wrong_is_named(look: Look, case: str) -> None:
    number, how, (verdict, says, why) = FOUND[case]
    found = look(**how)
    assert found[number][:2] == (verdict, says)
    assert found[number][2].startswith(why)
    assert number != 3 or len(found) == 4  # without a secret nothing more is looked at


@pytest.mark.parametrize(("environment", "pos_id", "wrong"), [
    (TEST, LIVE_ID, "it is the pos_id of prod"), (PROD, TEST_ID, "it is the pos_id of test"),
    (PROD, TEST_ID.upper(), "it is the pos_id of test"), (TEST, OTHER_ID, f"expected '{TEST_ID}'"),
    (UNNAMED, LIVE_ID, "it is the pos_id of prod"), (PROD, LIVE_ID, ""),
    (UNNAMED, OTHER_ID, "nobody can say: set test.pos_id in infra/environments.py"),
])  # fmt: skip
def test_another_projects_credentials_are_named(environment: Environment, pos_id: str, wrong: str) -> None:
    assert whose(pos_id, environment, KNOWN) == wrong


def test_behind_another_address_nothing_is_examined(look: Look, api: tuple[str, object], account: Account) -> None:
    assert look(host="localhost") == [("FAIL", OURS, f"its ApiUrl is {api[0]}")]
    assert [name for name, _ in account.calls] == ["cloudformation:DescribeStacks"]


def failing(error: Exception) -> Callable[..., Any]:
    def fail(*_: object) -> Any:
        raise error

    return fail


def test_without_rights_the_environment_is_not_skipped(
    monkeypatch: pytest.MonkeyPatch, api: tuple[str, object]
) -> None:
    monkeypatch.setattr(places, "deployed", failing(OpsError("no AWS credentials")))
    assert [*smoke.look(api[0], TEST)][5:] == [("FAIL", OURS, "no AWS credentials")]


def test_what_goes_wrong_is_a_failed_check() -> None:
    def fail(_: object) -> Iterator[Finding]:
        raise ClientError({"Error": {"Code": "AccessDenied", "Message": "not\nyou"}}, "X")

    site: Any = type("Site", (), {"environment": TEST})
    found = [*smoke.check(site, Probe(rows=("aws-signed-read",), run=fail))]
    says = "a signed read is answered: GET /voids?limit=1"
    assert found == [("FAIL", says, "AWS refused X: AccessDenied: not you")]  # worded as test_ops shows


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
