"""An AWS account for the acceptance's tests: botocore's own clients, whose answers are checked against AWS's models.

What was not told is not answered, so a probe that asks for more than a test expects fails. Time passes only by sleeping.
"""

import functools
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
from botocore.credentials import ReadOnlyCredentials
from botocore.stub import Stubber

from acceptance.redact import Redactor
from acceptance.site import HANDLERS, Allowed, Function, Site
from acceptance.state import load
from infra.environment import Environment
from local.sandbox.doors import Exchange
from ops.places import Place
from play.words import http

ACCOUNT = "111122223333"
REGION = "eu-central-1"
STACK = "VoidService-test"
POS_ID = "dc728de1-51ef-4ef1-80f7-3b44b07b5667"
CALLER = ReadOnlyCredentials("example", "example-secret", None)
SECRET = f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:credentials-abcdef"
BEFORE = "before-parameter-build.*.*"
START = datetime(2026, 11, 24, 10, 0, 30, tzinfo=UTC)


Step = tuple[str, str, Any]
"""Service, operation, answer; a text is the code of a refusal, and its message."""


@functools.cache
def _client(service: str) -> Any:
    """Made once for all tests: reading a service's model takes most of a test's time."""
    session: Any = boto3.Session("example", "example", region_name=REGION)
    return session.client(service)


class Account:
    """A session whose clients answer what they were told, in that order for each service. `calls` is what was asked."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self._clients: dict[str, Any] = {}
        self._stubs: dict[str, Stubber] = {}

    def client(self, service: str, **_: object) -> Any:
        if service not in self._clients:
            client = _client(service)
            client.meta.events.register(BEFORE, self._asked)
            self._clients[service], self._stubs[service] = client, Stubber(client)
            self._stubs[service].activate()
        return self._clients[service]

    def close(self) -> None:
        for service, client in self._clients.items():
            self._stubs[service].deactivate()
            client.meta.events.unregister(BEFORE, self._asked)

    def _asked(self, params: dict[str, Any], model: Any, **_: object) -> None:
        self.calls.append((f"{model.service_model.service_name}:{model.name}", dict(params)))

    def asked(self, call: str) -> list[dict[str, Any]]:
        """The parameters of each such call, as in `iam:PutRolePolicy`."""
        return [parameters for name, parameters in self.calls if name == call]

    def says(self, service: str, operation: str, response: dict[str, Any] | None = None) -> None:
        """The next call of this service is this one, and this is its answer."""
        self.client(service)
        self._stubs[service].add_response(operation, response or {})

    def refuses(self, service: str, operation: str, code: str, message: str = "refused") -> None:
        """The next call of this service is this one, and it is refused."""
        self.client(service)
        self._stubs[service].add_client_error(operation, code, message)

    def plays(self, steps: Sequence[Step]) -> None:
        """All of these, in their order."""
        for service, operation, answer in steps:
            if isinstance(answer, str):
                code, _, message = answer.partition(": ")
                self.refuses(service, operation, code, message or "refused")
            else:
                self.says(service, operation, answer)

    def finished(self) -> None:
        """Nothing that was told is still unasked."""
        for stub in self._stubs.values():
            stub.assert_no_pending_responses()


def reply(exchange: Exchange, status: int, content: object, headers: Mapping[str, str] | None = None) -> None:
    """Text as it is, anything else as JSON, with these headers."""
    plain = isinstance(content, str)
    more = {"Content-Type": "text/plain" if plain else "application/json"} | dict(headers or {})
    kind, body = (
        more.pop("Content-Type"),
        content.encode() if isinstance(content, str) else json.dumps(content).encode(),
    )
    exchange.write(http(status, body, kind, "".join(f"{name}: {value}\r\n" for name, value in more.items())))


@contextmanager
def an_account() -> Iterator[Account]:
    """An account for one test."""
    account = Account()
    try:
        yield account
    finally:
        account.close()


@dataclass
class Clock:
    """Moves when somebody sleeps."""

    at: datetime = START

    def now(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return self.at.timestamp()

    def sleep(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


def function(stem: str) -> Function:
    variables = {"TABLE_NAME": "table", "SECRET_ID": SECRET, "PROVIDER_URL": "https://provider.example"}
    return Function(f"{STACK}-{stem}", f"arn:aws:iam::{ACCOUNT}:role/{stem}-role", 512, variables)


def deployed(account: Account, folder: Path, api_url: str = "https://x.example/v1", **allowed: Any) -> Site:
    """A deployed stack of this version, with what does not change already known."""
    clock = Clock()
    place = Place(STACK, REGION, account, CALLER, api_url)
    environment = Environment(name="test", pos_id=POS_ID)
    site = Site(
        place, environment, Allowed(**allowed), None, load(folder / "state.json"), Redactor(account=ACCOUNT),
        sleep=clock.sleep, monotonic=clock.monotonic, now=clock.now,
    )  # fmt: skip
    site.__dict__ |= {
        "account": ACCOUNT,
        "functions": {stem: function(stem) for stem in HANDLERS},
        "api_id": "api1234567",
        "outputs": {"OutcomeBus": "bus", "ApiUrl": api_url},
        "stack": {"StackId": "stack-1", "LastUpdatedTime": START, "StackName": STACK},
        "resources": [
            {"ResourceType": kind, "LogicalResourceId": logical, "PhysicalResourceId": physical}
            for kind, logical, physical in (
                ("AWS::DynamoDB::Table", "StorageOperations", "table"),
                ("AWS::SNS::Topic", "MonitoringAlarms", f"arn:aws:sns:{REGION}:{ACCOUNT}:alarms"),
                ("AWS::IAM::Role", "EventsPipeRole", "pipe-role"),
                ("AWS::Pipes::Pipe", "EventsPipe", "pipe"),
                ("AWS::SQS::Queue", "EventsDeadLetters", "https://sqs.example/undelivered"),
                ("AWS::SecretsManager::Secret", "StorageProviderCredentials", SECRET),
            )
        ],
    }
    return site
