"""What `make smoke` decides by itself: whose credentials they are, what it looks at next, what it says of an error."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, cast

import pytest
from botocore.credentials import ReadOnlyCredentials
from botocore.exceptions import ClientError, EndpointConnectionError

from infra import environments
from infra.environment import Environment
from infra.environments import ENVIRONMENTS
from local.service import CREDENTIALS
from ops import api, places, smoke
from ops.errors import told
from ops.places import OpsError, Place
from ops.smoke import Result
from payments.provider import Provider
from payments.secret import SecretError
from payments.settings import SettingsError

TEST_ID, LIVE_ID, OTHER_ID = (f"{digit * 8}-51ef-4ef1-80f7-3b44b07b5667" for digit in "abc")
TEST, PROD = Environment(name="test", pos_id=TEST_ID), Environment(name="prod", pos_id=LIVE_ID)
KNOWN = {"test": TEST, "prod": PROD}
VALUES = {"pos_id": TEST_ID, "api_key": "key-1", "api_secret": "secret-1", "endpoints_key": "endpoints-1"}
URL = "https://x.example/v1"


class Account:
    """An account with the stack in it; `secret` is its secret's text, None if nobody has filled it."""

    def __init__(self, secret: str | None) -> None:
        self.secret, self.asked = secret, list[str]()

    def client(self, service: str, **_: object) -> "Account":
        self.asked.append(service)
        return self

    def describe_stacks(self, StackName: str) -> Any:
        return {"Stacks": [{"Outputs": [{"OutputKey": "ApiUrl", "OutputValue": f"{URL}/"}]}]}

    def get_paginator(self, _: str) -> "Account":
        return self

    def paginate(self, **_: object) -> Iterator[Any]:
        function = {"ResourceType": "AWS::Lambda::Function", "PhysicalResourceId": "a"}
        yield {"StackResourceSummaries": [function]}

    def get_function_configuration(self, **_: object) -> Any:
        variables = {"TABLE_NAME": "t", "SECRET_ID": "s", "PROVIDER_URL": "https://provider.example"}
        return {"Handler": places.READER, "Environment": {"Variables": variables}}

    def get_secret_value(self, **_: object) -> Any:
        if self.secret is None:
            said = "Secrets Manager can't find the specified secret value for staging label: AWSCURRENT"
            raise ClientError({"Error": {"Code": "ResourceNotFoundException", "Message": said}}, "GetSecretValue")
        return {"SecretString": self.secret}


def text(**changes: str) -> str:
    return str(VALUES | changes).replace("'", '"')


type Look = Callable[..., list[Result]]


@pytest.fixture
def look(monkeypatch: pytest.MonkeyPatch) -> Look:
    """look(account, environment, base) -> what was found; the signed read and the provider say yes."""

    def found(
        account: Account, environment: Environment = TEST, base: str = URL, taken: bool | None = True
    ) -> list[Result]:
        place = Place(f"VoidService-{environment.name}", "eu-central-1", account, ReadOnlyCredentials("a", "b", None))
        monkeypatch.setattr(places, "deployed", lambda *_: place)
        monkeypatch.setattr(api, "probe", lambda _: None)
        monkeypatch.setattr(smoke, "changed_on_the_way", lambda _: None)
        monkeypatch.setattr(Provider, "accepts", lambda *_: taken)
        monkeypatch.setattr(environments, "ENVIRONMENTS", KNOWN)
        return [*smoke.from_inside(base, environment)]

    return found


def test_credentials_of_this_environment_pass(look: Look) -> None:
    found = look(Account(text()))
    assert [one.verdict for one in found] == ["ok"] * 6
    assert not any(value in str(found) for name, value in VALUES.items() if name != "pos_id")


@pytest.mark.parametrize(
    ("environment", "pos_id", "verdict", "why"),
    [
        (TEST, LIVE_ID, "FAIL", "it is the pos_id of prod"),
        (PROD, TEST_ID, "FAIL", "it is the pos_id of test"),
        (PROD, TEST_ID.upper(), "FAIL", "it is the pos_id of test"),
        (replace(TEST, pos_id=None), LIVE_ID, "FAIL", "it is the pos_id of prod"),
        (TEST, OTHER_ID, "FAIL", f"expected {TEST_ID}"),
        (replace(TEST, pos_id=None), OTHER_ID, "FAIL", "nobody can say: set test.pos_id in infra/environments.py"),
        (PROD, LIVE_ID, "ok", ""),
    ],
)
def test_another_projects_credentials_are_named(
    look: Look, environment: Environment, pos_id: str, verdict: str, why: str
) -> None:
    says = f"they are those of {environment.name} (pos_id {pos_id})"
    assert look(Account(text(pos_id=pos_id)), environment)[4] == Result(verdict, says, why)


@pytest.mark.parametrize("secret", [None, "", "{", "[]", '{"pos_id": "x"}', text(api_secret="")])
def test_a_secret_that_is_not_filled_in_ends_the_look_without_a_value(look: Look, secret: str | None) -> None:
    *_, last = look(Account(secret))
    assert last.verdict == "FAIL"
    assert last.why in (
        "the provider's credentials cannot be used: no-value",
        "the provider's credentials cannot be used: malformed",
    )


@pytest.mark.parametrize("arrived", [None, "smoke+a/b", "smoke%20a"])
def test_an_id_that_is_changed_on_the_way_fails_the_check(monkeypatch: pytest.MonkeyPatch, arrived: str | None) -> None:
    def read(_: object, order_id: str) -> None:
        raise api.NotFound("404", arrived or order_id)

    monkeypatch.setattr(api, "read_void", read)
    found = smoke.changed_on_the_way(places.local(1, None))
    assert found == (None if arrived is None else f"it arrived as {arrived!r}")


@pytest.mark.parametrize(("taken", "why"), [(False, "it refuses them"), (None, "no answer that says so")])
def test_the_provider_has_the_last_word(look: Look, taken: bool | None, why: str) -> None:
    assert look(Account(text()), taken=taken)[-1] == Result("FAIL", "the provider accepts them", why)


def test_behind_another_address_nothing_is_looked_at(look: Look) -> None:
    account = Account(text())
    assert look(account, base="https://y.example/v1") == [
        Result("FAIL", "it is the API of VoidService-test", f"its ApiUrl is {URL}")
    ]
    assert account.asked == ["cloudformation"]


def test_without_rights_the_environment_is_not_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: object) -> Place:
        raise OpsError("no AWS credentials")

    monkeypatch.setattr(places, "deployed", none)
    assert [*smoke.from_inside(URL, TEST)] == [
        Result("FAIL", "it is the API of VoidService-test", "no AWS credentials")
    ]


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (
            ClientError({"Error": {"Code": "AccessDenied", "Message": "not\nyou"}}, "X"),
            "AWS refused X: AccessDenied: not you",
        ),
        (SecretError("malformed"), "the provider's credentials cannot be used: malformed"),
        (SettingsError("SECRET_ID is not set"), "SECRET_ID is not set"),
        (
            EndpointConnectionError(endpoint_url="https://x.invalid"),
            'EndpointConnectionError: Could not connect to the endpoint URL: "https://x.invalid"',
        ),
    ],
)
def test_what_goes_wrong_is_a_failed_check(error: Exception, says: str) -> None:
    def fail() -> None:
        raise error

    assert smoke.attempt("it works", fail) == Result("FAIL", "it works", says)


def test_an_address_where_nobody_answers_fails_every_check(capsys: pytest.CaptureFixture[str]) -> None:
    assert smoke.main(["https://127.0.0.1:1/v1"]) == 1
    verdicts = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert verdicts == ["FAIL"] * 5 + ["skip"]


@pytest.mark.parametrize(("base", "verdict"), [("http://127.0.0.1:1/v1", "skip"), ("http://api.example/v1", "FAIL")])
def test_plain_http_is_for_this_machine_only(base: str, verdict: str) -> None:
    assert smoke.transport(base).verdict == verdict


def test_without_arguments_it_shows_its_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert smoke.main([]) == 2
    assert capsys.readouterr().out.startswith("usage: python -m ops.smoke")


@pytest.mark.parametrize("error", [KeyError("card data"), OSError(5, "Input/output error")])
def test_an_error_is_worded_as_by_the_other_commands(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: Exception
) -> None:
    def fail(_: str) -> Iterator[Result]:
        raise error

    monkeypatch.setattr(smoke, "from_outside", fail)
    assert smoke.main([URL]) == 1
    assert capsys.readouterr().err == f"error: {told(error)}\n"
    assert "card data" not in told(error)


@pytest.mark.parametrize("arguments", [["ftp://x"], ["https://"], [URL, "--environment", "staging"], [URL, URL]])
def test_a_wrong_call_is_said(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        smoke.main(arguments)
    assert cast("int", stopped.value.code) == 2


def test_the_local_environment_expects_what_the_local_run_fills_in() -> None:
    assert ENVIRONMENTS["local"].pos_id == CREDENTIALS["pos_id"]
