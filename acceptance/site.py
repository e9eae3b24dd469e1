"""The deployment that is examined: its stack, its API, the provider's project behind it, and what the team allows.

Promises one clear sentence where the deployed stack is not as this version deploys it. Sends no void by itself.
"""

import functools
import json
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote, urlsplit

from botocore.credentials import ReadOnlyCredentials
from botocore.exceptions import ClientError

from acceptance import wire
from acceptance.rows import FACTS, Redactor, State
from acceptance.wire import Line, Reply, Signer
from infra import environments
from infra.environment import Environment
from ops import systems
from ops.places import OpsError, Place
from payments import settings
from payments.secret import Credentials

LOCAL_MERCHANT = ReadOnlyCredentials("local", "local-secret", None)
"""Whom the local run lets submit; an operator may not."""
API = "AWS::ApiGateway::RestApi"
JSON = {"Content-Type": "application/json"}
HANDLERS = ("submit_void", "read_voids", "receive_webhook", "settle_voids", "decide")


@dataclass(frozen=True, slots=True)
class Allowed:
    """What the team gave on the command line: holds, profiles of AWS, files with tokens."""

    holds: tuple[str, ...] = ()
    second_void: bool = False
    expired_profile: str | None = None
    denied_profile: str | None = None
    merchant_profile: str | None = None
    token: str | None = None
    expired_token: str | None = None


@dataclass
class Site:
    """One deployment under acceptance. `say` hears what is being waited for, `left_behind` could not be taken back."""

    place: Place
    environment: Environment
    allowed: Allowed = field(default_factory=Allowed)
    sandbox_url: str = ""  # its control side, of a local run only
    state: State = field(default_factory=lambda: State(Path()))
    redact: Redactor = field(default_factory=Redactor)
    say: Callable[[str], None] = lambda _: None
    sleep: Callable[[float], None] = time.sleep
    monotonic: Callable[[], float] = time.monotonic
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    left_behind: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.local = self.environment.local
        self.client: Callable[[str], Any] = functools.cache(self.place.client)
        self.patience = SimpleNamespace(**{name: both[self.local] for name, both in FACTS["patience"].items()})
        self.temporary = f"{self.place.stack}-acceptance"
        """The name of whatever is made for minutes; `--clean` searches for it."""

    # ---- AWS ---------------------------------------------------------------------------------------------------------

    def ask(self, service: str, operation: str, **parameters: Any) -> dict[str, Any]:
        """One call, or all its pages as one answer; a waiter waits."""
        client = self.client(service)
        if operation in client.waiter_names:
            return dict(client.get_waiter(operation).wait(**parameters) or {})
        if client.can_paginate(operation):
            return dict(client.get_paginator(operation).paginate(**parameters).build_full_result())
        return dict(getattr(client, operation)(**parameters))

    @functools.cached_property
    def account(self) -> str:
        return str(self.ask("sts", "get_caller_identity")["Account"])

    @functools.cached_property
    def stack(self) -> dict[str, Any]:
        name, whose = self.place.stack, self.environment.name
        try:
            return dict(self.ask("cloudformation", "describe_stacks", StackName=name)["Stacks"][0])
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") != "ValidationError":
                raise
        where = f"{self.place.region}: make deploy ENVIRONMENT={whose}, or name another region or profile"
        raise OpsError(f"there is no stack {name} in {where}")

    @functools.cached_property
    def outputs(self) -> dict[str, str]:
        return {one["OutputKey"]: one["OutputValue"] for one in self.stack.get("Outputs", [])}

    def output(self, name: str) -> str:
        if name not in self.outputs:
            raise self._other_version(f"output {name}")
        return self.outputs[name]

    @functools.cached_property
    def resources(self) -> list[dict[str, Any]]:
        found = self.ask("cloudformation", "list_stack_resources", StackName=self.place.stack)
        return list(found["StackResourceSummaries"])

    def resource(self, kind: str, logical: str = "") -> str:
        """The physical name of a resource; `logical` begins its name in the template. Raises OpsError."""
        for one in self.resources:
            if one["ResourceType"] == kind and one["LogicalResourceId"].startswith(logical):
                return str(one["PhysicalResourceId"])
        raise self._other_version(f"{kind} {logical}".strip())

    def _other_version(self, what: str) -> OpsError:
        return OpsError(
            f"{self.place.stack} has no {what}: it was deployed from another version of this project. Deploy this one "
            f"(make deploy ENVIRONMENT={self.environment.name}), or run the acceptance of the version that is deployed"
        )

    @functools.cached_property
    def functions(self) -> dict[str, dict[str, Any]]:
        names = [one["PhysicalResourceId"] for one in self.resources if one["ResourceType"] == "AWS::Lambda::Function"]
        known = [self.ask("lambda", "get_function_configuration", FunctionName=name) for name in names]
        found = {one["Handler"].partition(".")[0]: one for one in known}
        if missing := [stem for stem in HANDLERS if stem not in found]:
            raise self._other_version(f"function {missing[0]}")
        return found

    def variables(self) -> dict[str, str]:
        return dict(self.functions["submit_void"].get("Environment", {}).get("Variables", {}))

    @functools.cached_property
    def table(self) -> dict[str, Any]:
        name = self.resource("AWS::DynamoDB::Table")
        return dict(self.ask("dynamodb", "describe_table", TableName=name)["Table"]) | {"TableName": name}

    # ---- the API -----------------------------------------------------------------------------------------------------

    @functools.cached_property
    def api_url(self) -> str:
        """With its stage, without a slash at the end."""
        return (self.place.api_url or self.output("ApiUrl")).rstrip("/")

    @property
    def base(self) -> str:
        return urlsplit(self.api_url).path

    @property
    def origin(self) -> str:
        return self.api_url.removesuffix(self.base)

    def signer(self) -> Signer:
        """Signs as a merchant does, with the credentials of now: a session may have been renewed meanwhile."""
        return Signer(LOCAL_MERCHANT if self.local else self.place.caller, "execute-api", self.place.region)

    def call(
        self, method: str, target: str, *, headers: Mapping[str, str] | None = None, body: bytes = b"",
        signer: Signer | None = None, unsigned: bool = False, source: str | None = None,
    ) -> Reply:  # fmt: skip
        """One request to the API, signed unless told otherwise; `target` is the whole path as sent. Raises NoAnswer."""
        sent = dict(headers or {})
        if not unsigned:
            sent = (signer or self.signer()).headers(method, self.origin + target, sent, body)
        return wire.send(self.origin, method, target, sent, body, source=source)

    def submit(self, order: str, currency: str, key: str) -> Reply:
        """Ask the service for a void, as a merchant does. Only for an order that was given, or that nobody has."""
        body = wire.compact({"order_id": order, "order_currency": currency, "comment": "acceptance"})
        return self.call("POST", f"{self.base}/voids", headers=JSON | {"Idempotency-Key": key}, body=body)

    def read(self, order: str) -> Reply:
        return self.call("GET", f"{self.base}/voids/{quote(order, safe='')}")

    # ---- the provider ------------------------------------------------------------------------------------------------

    @functools.cached_property
    def credentials(self) -> Credentials:
        """What the functions use. Raises SecretError, OpsError; hidden in all that is written from now on."""
        found = systems.secret(self.place, self.variables()).current(systems.deadline())
        self.redact.learn(found.api_key, found.api_secret, found.endpoints_key)
        return found

    @functools.cached_property
    def line(self) -> Line:
        """The provider itself, with this deployment's credentials. Raises OpsError if they are not a test project's."""
        self.refuse_a_live_project()
        return Line(settings.provider(self.variables()), self.credentials)

    def wrong_project(self) -> str:
        """Why these credentials are not this environment's, if so: test and live projects differ by `pos_id` only."""
        found, mine = self.credentials.pos_id.lower(), self.environment
        for other in environments.ENVIRONMENTS.values():
            if other.name != mine.name and other.pos_id == found:
                return f"it is the pos_id of {other.name}"
        if mine.pos_id is None:
            return f"nobody can say: set {mine.name}.pos_id in infra/environments.py"
        return "" if found == mine.pos_id else f"expected '{mine.pos_id}'"

    def refuse_a_live_project(self) -> None:
        """Raises OpsError."""
        if wrong := self.wrong_project():
            raise OpsError(f"no hold of the secret's project is touched: {wrong}")

    def hold(self, number: int) -> str:
        given = self.allowed.holds
        if number < len(given):
            return given[number]
        needed, has = ("one", "a second", "a third")[number], len(given) or "none"
        raise OpsError(f"it needs {needed} hold of the test project, and {has} was given: HOLDS=…")

    def nobody(self, letters: str = "") -> str:
        """An order that nobody has, so that a request for its void moves nothing."""
        return f"acc-{uuid.uuid4().hex[: 28 - len(letters)]}{letters}"

    # ---- time --------------------------------------------------------------------------------------------------------

    def until[T](
        self, what: str, look: Callable[[], T], ready: Callable[[T], object], seconds: float
    ) -> tuple[T, float]:
        """Look until it is ready or the time is over; what was seen last, and after how long."""
        self.say(f"waiting for {what}, at most {seconds:.0f} s")
        began, seen = self.monotonic(), look()
        while not ready(seen) and (left := seconds - self.monotonic() + began) > 0:
            self.sleep(min(self.patience.every, max(left, 0.01)))
            seen = look()
        self.say("")
        return seen, self.monotonic() - began

    def wait(self, what: str, seconds: float) -> None:
        self.until(what, lambda: None, bool, seconds)

    def timestamp(self) -> str:
        return self.now().isoformat(timespec="seconds").replace("+00:00", "Z")

    # ---- what the logs and the sandbox say ---------------------------------------------------------------------------

    def deliveries(self, order: str, since: datetime) -> list[int]:
        """The statuses that the provider's webhooks got: of this order locally, of the route since then in AWS."""
        if self.local:
            return [sent["status"] for sent in self.control("GET", f"orders/{quote(order, safe='')}")["webhooks"]]
        route = '{ $.route = "/webhooks/financial-line" }'
        return [int(entry["status"]) for entry in self.access_log(route, since)]

    def access_log(self, pattern: str, since: datetime) -> list[dict[str, Any]]:
        stage = self.ask("apigateway", "get_stage", restApiId=self.resource(API), stageName=self.base.strip("/"))
        group = stage["accessLogSettings"]["destinationArn"].partition(":log-group:")[2].removesuffix(":*")
        return [json.loads(message) for message in self.log_messages(group, pattern, since)]

    def log_group(self, stem: str) -> str:
        function = self.functions[stem]
        return str(function.get("LoggingConfig", {}).get("LogGroup") or f"/aws/lambda/{function['FunctionName']}")

    def log_messages(self, group: str, pattern: str, since: datetime) -> list[str]:
        """At most twenty thousand: more would take minutes and say no more."""
        what = {"logGroupName": group, "filterPattern": pattern, "startTime": int(since.timestamp() * 1000)}
        found = self.ask("logs", "filter_log_events", **what, PaginationConfig={"MaxItems": 20_000})
        return [event["message"] for event in found.get("events", [])]

    def control(self, method: str, path: str, document: object = None) -> Any:
        body = b"" if document is None else wire.compact(document)
        reply = wire.send(self.sandbox_url, method, f"/sandbox/{path}", JSON, body)
        if reply.status != 200:
            raise OpsError(f"the sandbox answered {reply.status} to {method} /sandbox/{path}")
        return reply.json
