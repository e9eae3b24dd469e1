"""What `make smoke` decides by itself: whose credentials they are, what it checks next, what it says of an error."""

import json
from collections.abc import Callable, Iterator
from typing import Any, cast
from urllib.parse import unquote

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from acceptance import smoke
from acceptance.probes.account import whose
from acceptance.rows import Finding, Probe
from acceptance.site import HANDLERS
from acceptance.smoke import Result
from infra import environments
from infra.environment import Environment
from infra.environments import ENVIRONMENTS
from local.sandbox.doors import Door, Exchange
from local.service import CREDENTIALS
from ops import places
from ops.errors import told
from ops.places import OpsError, Place
from payments.provider import Provider
from payments.secret import SecretError
from payments.settings import SettingsError
from tests.fakes.account import ACCOUNT, CALLER, REGION, START, Account, Step, reply

TEST_ID, LIVE_ID, OTHER_ID = (f"{digit * 8}-51ef-4ef1-80f7-3b44b07b5667" for digit in "abc")
TEST, PROD = Environment(name="test", pos_id=TEST_ID), Environment(name="prod", pos_id=LIVE_ID)
KNOWN = {"test": TEST, "prod": PROD}
VALUES = {"pos_id": TEST_ID, "api_key": "key-1", "api_secret": "secret-1", "endpoints_key": "endpoints-1"}
COMMON = {"ResourceType": "AWS::Lambda::Function", "LastUpdatedTimestamp": START, "ResourceStatus": "CREATE_COMPLETE"}
VARIABLES = {"TABLE_NAME": "t", "SECRET_ID": "s", "PROVIDER_URL": "https://provider.example"}


def stack(url: str, secret: str | None) -> list[Step]:
    """The stack as it is asked for, step by step; `secret` is its secret's text, None if nobody has filled it."""
    outputs = [{"OutputKey": "ApiUrl", "OutputValue": f"{url}/"}]
    described = {"StackName": "s", "CreationTime": START, "StackStatus": "CREATE_COMPLETE", "Outputs": outputs}
    resources = [COMMON | {"LogicalResourceId": name, "PhysicalResourceId": name} for name in HANDLERS]
    common = {"Role": f"arn:aws:iam::{ACCOUNT}:role/r", "MemorySize": 512, "Environment": {"Variables": VARIABLES}}
    nothing = "ResourceNotFoundException: Secrets Manager can't find the specified secret value for staging label: x"
    value = nothing if secret is None else {"SecretString": secret or " "}
    return [
        ("cloudformation", "describe_stacks", {"Stacks": [described]}),
        ("cloudformation", "list_stack_resources", {"StackResourceSummaries": resources}),
        *[("lambda", "get_function_configuration", {"Handler": f"{name}.handler"} | common) for name in HANDLERS],
        ("secretsmanager", "get_secret_value", value),
    ]  # fmt: skip


class Api:
    """Refuses strangers, and shows the operator the id that `named` makes of a path."""

    def __init__(self) -> None:
        self.named: Callable[[str], str] = unquote
        self.door = Door(0, self._answer)
        self.url = f"http://127.0.0.1:{self.door.port}/v1"

    def _answer(self, exchange: Exchange) -> None:
        problem = {"Content-Type": "application/problem+json"}
        if "Authorization" not in exchange.headers:
            return reply(exchange, 403, {"status": 403}, problem)
        if "limit=1" in exchange.path:
            return reply(exchange, 200, {"voids": []})
        order = self.named(exchange.path.rpartition("/voids/")[2])
        return reply(exchange, 404, {"type": "urn:void-service:problem:not-found", "order_id": order}, problem)


@pytest.fixture
def api() -> Iterator[Api]:
    api = Api()
    yield api
    api.door.close()


type Look = Callable[..., list[Result]]


@pytest.fixture
def look(monkeypatch: pytest.MonkeyPatch, api: Api, account: Account) -> Look:
    """look(secret, environment, …) -> what was found from inside; the provider says `taken`."""

    def found(
        secret: str | None, environment: Environment = TEST, base: str = "", taken: bool | None = True
    ) -> list[Result]:
        account.plays(stack(api.url, secret))
        place = Place(f"VoidService-{environment.name}", REGION, account, CALLER)
        monkeypatch.setattr(places, "deployed", lambda *_: place)
        monkeypatch.setattr(Provider, "accepts", lambda *_: taken)
        monkeypatch.setattr(environments, "ENVIRONMENTS", KNOWN)
        return [*smoke.look(base or api.url, environment)][5:]

    return found


def text(**changes: str) -> str:
    return json.dumps(VALUES | changes)


def test_credentials_of_this_environment_pass(look: Look) -> None:
    found = look(text())
    assert [verdict for verdict, *_ in found] == ["ok"] * 6
    assert not any(value in str(found) for name, value in VALUES.items() if name != "pos_id")


@pytest.mark.parametrize(("environment", "pos_id", "wrong"), [
    (TEST, LIVE_ID, "it is the pos_id of prod"), (PROD, TEST_ID, "it is the pos_id of test"),
    (PROD, TEST_ID.upper(), "it is the pos_id of test"), (TEST, OTHER_ID, f"expected '{TEST_ID}'"),
    (Environment(name="test"), LIVE_ID, "it is the pos_id of prod"), (PROD, LIVE_ID, ""),
    (Environment(name="test"), OTHER_ID, "nobody can say: set test.pos_id in infra/environments.py"),
])  # fmt: skip
def test_another_projects_credentials_are_named(look: Look, environment: Environment, pos_id: str, wrong: str) -> None:
    assert whose(pos_id, environment, KNOWN) == wrong
    found, why = look(text(pos_id=pos_id), environment)[4], f"pos_id '{pos_id}'" + (f": {wrong}" if wrong else "")
    assert found == ("FAIL" if wrong else "ok", f"they are those of {environment.name}", why)


@pytest.mark.parametrize("secret", [None, "", "{", "[]", '{"pos_id": "x"}', text(api_secret="")])
def test_a_secret_that_is_not_filled_in_ends_the_look_without_a_value(look: Look, secret: str | None) -> None:
    *_, last = look(secret)
    assert last[0] == "FAIL"
    assert last[1].startswith("the secret has its fields")
    assert last[2].removeprefix("the provider's credentials cannot be used: ") in ("no-value", "malformed")


@pytest.mark.parametrize("named", [lambda path: unquote(unquote(path)), lambda path: path])
def test_an_id_that_is_changed_on_the_way_fails_the_check(look: Look, api: Api, named: Callable[[str], str]) -> None:
    api.named = named
    assert look(text())[2][:2] == ("FAIL", "an order's id comes through the path as it is")


@pytest.mark.parametrize(("taken", "why"), [(False, "it refuses them"), (None, "no answer that says so")])
def test_the_provider_has_the_last_word(look: Look, taken: bool | None, why: str) -> None:
    assert look(text(), taken=taken)[-1] == ("FAIL", "the provider accepts them", why)


def test_behind_another_address_nothing_is_examined(look: Look, api: Api, account: Account) -> None:
    elsewhere = api.url.replace("127.0.0.1", "localhost")
    says = "it is the API of VoidService-test"
    assert look(text(), base=elsewhere) == [("FAIL", says, f"its ApiUrl is {api.url}")]
    assert [name for name, _ in account.calls] == ["cloudformation:DescribeStacks"]


def test_without_rights_the_environment_is_not_skipped(monkeypatch: pytest.MonkeyPatch, api: Api) -> None:
    def none(*_: object) -> Place:
        raise OpsError("no AWS credentials")

    monkeypatch.setattr(places, "deployed", none)
    assert [*smoke.look(api.url, TEST)][5:] == [("FAIL", "it is the API of VoidService-test", "no AWS credentials")]


@pytest.mark.parametrize(("error", "says"), [
    (ClientError({"Error": {"Code": "AccessDenied", "Message": "not\nyou"}}, "X"), "AWS refused X: AccessDenied: not you"),
    (SecretError("malformed"), "the provider's credentials cannot be used: malformed"),
    (SettingsError("SECRET_ID is not set"), "SECRET_ID is not set"),
    (EndpointConnectionError(endpoint_url="https://x.invalid"),
     'EndpointConnectionError: Could not connect to the endpoint URL: "https://x.invalid"'),
])  # fmt: skip
def test_what_goes_wrong_is_a_failed_check(error: Exception, says: str) -> None:
    def fail(_: object) -> Iterator[Finding]:
        raise error

    site: Any = type("Site", (), {"environment": TEST})
    found = [*smoke.check(site, Probe(rows=("aws-signed-read",), run=fail))]
    assert found == [("FAIL", "a signed read is answered: GET /voids?limit=1", says)]


def test_an_address_where_nobody_answers_fails_every_check(capsys: pytest.CaptureFixture[str]) -> None:
    assert smoke.main(["https://127.0.0.1:1/v1"]) == 1
    verdicts = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert verdicts == ["FAIL"] * 5 + ["skip"]


@pytest.mark.parametrize(("base", "verdict"), [("http://127.0.0.1:1/v1", "skip"), ("http://api.invalid/v1", "FAIL")])
def test_plain_http_is_for_this_machine_only(base: str, verdict: str) -> None:
    assert next(smoke.look(base, None))[0] == verdict


@pytest.mark.parametrize("error", [KeyError("card data"), OSError(5, "Input/output error")])
def test_an_error_is_worded_as_by_the_other_commands(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: Exception
) -> None:
    def fail(*_: object) -> Iterator[Result]:
        raise error

    monkeypatch.setattr(smoke, "look", fail)
    assert smoke.main(["https://x.example/v1"]) == 1
    assert capsys.readouterr().err == f"error: {told(error)}\n"
    assert "card data" not in told(error)


@pytest.mark.parametrize(
    "arguments", ["ftp://x", "https://", "https://x/v1 --environment staging", "https://x/v1 https://x/v1"]
)
def test_a_wrong_call_is_said(arguments: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert smoke.main([]) == 2
    assert capsys.readouterr().out.startswith("usage: python -m acceptance.smoke")
    with pytest.raises(SystemExit) as stopped:
        smoke.main(arguments.split())
    assert cast("int", stopped.value.code) == 2


def test_the_local_environment_expects_what_the_local_run_fills_in() -> None:
    assert ENVIRONMENTS["local"].pos_id == CREDENTIALS["pos_id"]
