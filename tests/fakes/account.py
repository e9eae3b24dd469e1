"""An AWS account for the acceptance's tests: botocore's own clients, whose answers are checked against AWS's models.

What was not told is not answered, so a probe that asks for more than a test expects fails. Time passes only by sleeping.
"""

import functools
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
from botocore.credentials import ReadOnlyCredentials
from botocore.stub import Stubber

from acceptance.kept import Redactor, load
from acceptance.site import HANDLERS, Allowed, Site
from infra.environment import Environment
from local.sandbox.doors import Door, Exchange
from ops.places import Place
from play.words import http

ACCOUNT = "111122223333"
REGION = "eu-central-1"
STACK = "VoidService-test"
POS_ID = "dc728de1-51ef-4ef1-80f7-3b44b07b5667"
CALLER = ReadOnlyCredentials("example", "example-secret", None)
SECRET = f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:credentials-abcdef"
VARIABLES = {"TABLE_NAME": "table", "SECRET_ID": SECRET, "PROVIDER_URL": "https://provider.example"}
BEFORE = "before-parameter-build.*.*"
START = datetime(2026, 11, 24, 10, 0, 30, tzinfo=UTC)
RESOURCES = {
    "AWS::ApiGateway::RestApi": ("Api", "api1234567"),
    "AWS::DynamoDB::Table": ("StorageOperations", "table"),
    "AWS::SNS::Topic": ("MonitoringAlarms", f"arn:aws:sns:{REGION}:{ACCOUNT}:alarms"),
    "AWS::IAM::Role": ("EventsPipeRole", "pipe-role"),
    "AWS::Pipes::Pipe": ("EventsPipe", "pipe"),
    "AWS::SQS::Queue": ("EventsDeadLetters", "https://sqs.example/undelivered"),
    "AWS::SecretsManager::Secret": ("StorageProviderCredentials", SECRET),
}

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
        self._stubs: dict[str, Stubber] = {}

    def client(self, service: str, **_: object) -> Any:
        client = _client(service)
        if service not in self._stubs:
            client.meta.events.register(BEFORE, self._asked)
            self._stubs[service] = Stubber(client)
            self._stubs[service].activate()
        return client

    def close(self) -> None:
        for service, stub in self._stubs.items():
            stub.deactivate()
            _client(service).meta.events.unregister(BEFORE, self._asked)

    def _asked(self, params: dict[str, Any], model: Any, **_: object) -> None:
        self.calls.append((f"{model.service_model.service_name}:{model.name}", dict(params)))

    def asked(self, call: str) -> list[dict[str, Any]]:
        """The parameters of each such call, as in `iam:PutRolePolicy`."""
        return [parameters for name, parameters in self.calls if name == call]

    def plays(self, *steps: Step) -> None:
        """The next calls are these, in this order for each service, and these are their answers."""
        for service, operation, answer in steps:
            self.client(service)
            if isinstance(answer, str):
                code, _, message = answer.partition(": ")
                self._stubs[service].add_client_error(operation, code, message or "refused")
            else:
                self._stubs[service].add_response(operation, answer)

    def finished(self) -> None:
        """Nothing that was told is still unasked."""
        for stub in self._stubs.values():
            stub.assert_no_pending_responses()


@contextmanager
def an_account() -> Iterator[Account]:
    account = Account()
    try:
        yield account
    finally:
        account.close()


@contextmanager
def an_api(answer: Callable[[Exchange], None]) -> Iterator[str]:
    """The address of an API that answers so."""
    door = Door(0, answer)
    yield f"http://127.0.0.1:{door.port}/v1"
    door.close()


def reply(exchange: Exchange, status: int, content: object, headers: Mapping[str, str] | None = None) -> None:
    """Text as it is, anything else as JSON, with these headers."""
    text = content if isinstance(content, str) else json.dumps(content)
    more = {"Content-Type": "text/plain" if text is content else "application/json", **(headers or {})}
    kind = more.pop("Content-Type")
    exchange.write(http(status, text.encode(), kind, "".join(f"{name}: {value}\r\n" for name, value in more.items())))


def function(name: str, role: str = "r") -> dict[str, Any]:
    more = {"MemorySize": 512, "Environment": {"Variables": VARIABLES}, "LoggingConfig": {"LogGroup": "the-log"}}
    return {"FunctionName": name, "Role": f"arn:aws:iam::{ACCOUNT}:role/{role}"} | more


def stack(api_url: str = "https://x.example/v1", without: str = "", **more: Any) -> list[Step]:
    """How a stack and its functions are looked up; `without` the function or the API of this name."""
    described = {"StackName": STACK, "StackId": "stack-1", "CreationTime": START, "StackStatus": "CREATE_COMPLETE"}
    outputs = [{"OutputKey": "OutcomeBus", "OutputValue": "b"}, {"OutputKey": "ApiUrl", "OutputValue": f"{api_url}/"}]
    handlers = [name for name in HANDLERS if name != without]
    named = [("AWS::Lambda::Function", name) for name in handlers]
    named += [("AWS::ApiGatewayV2::Api" if without == "api" else "AWS::ApiGateway::RestApi", "api")]
    common = {"LastUpdatedTimestamp": START, "ResourceStatus": "CREATE_COMPLETE"}
    resources = [{"LogicalResourceId": name, "PhysicalResourceId": name, "ResourceType": kind} for kind, name in named]
    return [
        ("cloudformation", "describe_stacks", {"Stacks": [described | {"Outputs": outputs} | more]}),
        ("cloudformation", "list_stack_resources", {"StackResourceSummaries": [one | common for one in resources]}),
        *(("lambda", "get_function_configuration", {"Handler": f"{name}.handler"} | function(name)) for name in handlers),
    ]  # fmt: skip


@dataclass
class Clock:
    """Moves when somebody sleeps."""

    at: datetime = START

    def monotonic(self) -> float:
        return self.at.timestamp()

    def sleep(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


def deployed(account: Account, folder: Path, api_url: str = "https://x.example/v1", **allowed: Any) -> Site:
    """A deployed stack of this version, with what does not change already known."""
    clock, place = Clock(), Place(STACK, REGION, account, CALLER, api_url)
    environment, state = Environment(name="test", pos_id=POS_ID), load(folder / "state.json")
    site = Site(
        place, environment, Allowed(**allowed), None, state, Redactor(account=ACCOUNT),
        sleep=clock.sleep, monotonic=clock.monotonic, now=lambda: clock.at,
    )  # fmt: skip
    site.__dict__ |= {
        "account": ACCOUNT,
        "functions": {stem: function(f"{STACK}-{stem}", f"{stem}-role") for stem in HANDLERS},
        "outputs": {"OutcomeBus": "bus", "ApiUrl": api_url},
        "stack": {"StackId": "stack-1", "LastUpdatedTime": START, "StackName": STACK},
        "resources": [
            {"ResourceType": kind, "LogicalResourceId": logical, "PhysicalResourceId": physical}
            for kind, (logical, physical) in RESOURCES.items()
        ],
    }
    return site
