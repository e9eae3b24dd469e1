"""What `make smoke` decides by itself: whose credentials they are, what it checks next, what it says of an error."""

import json
from collections.abc import Callable, Iterator
from typing import Any, cast
from urllib.parse import unquote

import pytest
from botocore.exceptions import ClientError

from acceptance import smoke
from acceptance.rows import Finding, Probe
from acceptance.smoke import Result
from acceptance.undo import fill
from infra import environments
from infra.environment import Environment
from infra.environments import ENVIRONMENTS
from local.sandbox.doors import Exchange
from local.service import CREDENTIALS
from ops import places
from ops.places import OpsError, Place
from payments.provider import Provider
from tests.fakes.account import CALLER, REGION, Account, an_api, reply, stack
from tests.fakes.account_steps import VECTORS

IDS = {
    name: f"{digit * 8}-51ef-4ef1-80f7-3b44b07b5667" for name, digit in (("test", "a"), ("live", "b"), ("other", "c"))
}
SAID = IDS | {
    "TEST": IDS["test"].upper(),
    "fields": "the secret has its fields (pos_id, api_key, api_secret, endpoints_key)",
}
TEST, PROD = Environment(name="test", pos_id=IDS["test"]), Environment(name="prod", pos_id=IDS["live"])
ENVIRONMENT = {"test": TEST, "prod": PROD, "unnamed": Environment(name="test")}
VALUES = {"pos_id": IDS["test"], "api_key": "key-1", "api_secret": "secret-1", "endpoints_key": "endpoints-1"}
NO_SECRET = "ResourceNotFoundException: Secrets Manager can't find the specified secret value"
DECODED = {"once": unquote, "twice": lambda path: unquote(unquote(path)), "never": str}
TAKEN = {"yes": True, "no": False, "unanswered": None}
OURS = "it is the API of VoidService-test"


class Api:
    """It refuses strangers, and shows the operator the order id as it is decoded."""

    decode = staticmethod(unquote)

    def answer(self, exchange: Exchange) -> None:
        problem = {"Content-Type": "application/problem+json"}
        if "Authorization" not in exchange.headers:
            return reply(exchange, 403, {"status": 403}, problem)
        if "limit=1" in exchange.path:
            return reply(exchange, 200, {"voids": []})
        order = self.decode(exchange.path.rpartition("/voids/")[2])
        return reply(exchange, 404, {"type": "urn:void-service:problem:not-found", "order_id": order}, problem)


@pytest.fixture
def api() -> Api:
    return Api()


@pytest.fixture
def url(api: Api) -> Iterator[str]:
    with an_api(api.answer) as url:
        yield url


type Look = Callable[..., list[Result]]


@pytest.fixture
def look(monkeypatch: pytest.MonkeyPatch, api: Api, url: str, account: Account) -> Look:
    """look(secret="{", …) -> what was found from inside, if things are as a case of acceptance.toml says."""

    def found(host: str = "127.0.0.1", **case: Any) -> list[Result]:
        environment, pos_id = ENVIRONMENT[case.get("environment", "test")], fill(case.get("pos_id", "$test"), SAID)
        secret = case.get("secret") or json.dumps(VALUES | {"pos_id": pos_id})
        answer = NO_SECRET if secret == "none" else {"SecretString": secret}
        account.plays(*stack(url), ("secretsmanager", "get_secret_value", answer))
        vars(api).update(decode=DECODED[case.get("decoded", "once")])
        place = Place(f"VoidService-{environment.name}", REGION, account, CALLER)
        monkeypatch.setattr(places, "deployed", lambda *_: place)
        monkeypatch.setattr(Provider, "accepts", lambda *_: TAKEN[case.get("taken", "yes")])
        monkeypatch.setattr(environments, "ENVIRONMENTS", {"test": TEST, "prod": PROD})
        return [*smoke.look(url.replace("127.0.0.1", host), environment)][5:]

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


def test_behind_another_address_nothing_is_examined(look: Look, url: str, account: Account) -> None:
    assert look(host="localhost") == [("FAIL", OURS, f"its ApiUrl is {url}")]
    assert [name for name, _ in account.calls] == ["cloudformation:DescribeStacks"]


def failing(error: Exception) -> Callable[..., Any]:
    def fail(*_: object) -> Any:
        raise error

    return fail


def test_without_rights_the_environment_is_not_skipped(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setattr(places, "deployed", failing(OpsError("no AWS credentials")))
    assert [*smoke.look(url, TEST)][5:] == [("FAIL", OURS, "no AWS credentials")]


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
