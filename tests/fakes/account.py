"""An AWS account for the acceptance's tests: botocore's own clients, whose answers, by tests/vectors/acceptance.toml, are checked
against AWS's models; and the API in it. What was not told is not answered. Time passes only by sleeping.
"""

import functools
import json
import tomllib
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import boto3
from botocore.credentials import ReadOnlyCredentials
from botocore.stub import Stubber

from acceptance import wire
from acceptance.probes import account as account_probes
from acceptance.probes.changes import LETTERS
from acceptance.rows import FACTS, Redactor, load
from acceptance.site import HANDLERS, Allowed, Site
from acceptance.undo import MARK, fill
from infra.environment import Environment
from ops.places import Place

VECTORS = tomllib.loads((Path(__file__).parents[1] / "vectors" / "acceptance.toml").read_text(encoding="utf-8"))
ACCOUNT, URL = VECTORS["deployed"]["account"], VECTORS["deployed"]["outputs"]["ApiUrl"]
REGION, STACK, POS_ID = "eu-central-1", "VoidService-test", "a11cede1-51ef-4ef1-80f7-3b44b07b5667"
CALLER = ReadOnlyCredentials("example", "example-secret", None)
PROBLEM_TYPE = "urn:void-service:problem:"
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


class Api:
    """The service's API, in memory, and at its root the one of a few minutes; its attributes say what either does badly."""

    def __init__(self) -> None:
        self.lives, self.status, self.decode, self.date = 1000, 200, unquote, "Tue, 24 Nov 2026 10:00:30 GMT"
        self.state, self.member, self.throttled, self.retry = "failed", 502, 429, {"retry-after": "1"}
        self.submitted, self.asked = list[str](), 0

    def send(
        self, origin: str, _: str, target: str, headers: Mapping[str, str], body: bytes = b"", **__: object
    ) -> wire.Reply:
        self.lives -= 1
        if self.lives < 0:
            raise wire.NoAnswer(f"no answer from {origin}: ConnectionResetError")
        status, document, more = self._answer(target, headers, body)
        known = {"content-type": wire.PROBLEM, "date": self.date, **more}
        return wire.Reply(status, known, json.dumps({"status": status, **document}).encode(), 0.1)

    def _answer(
        self, target: str, headers: Mapping[str, str], body: bytes
    ) -> tuple[int, dict[str, Any], dict[str, str]]:
        if "Authorization" not in headers:
            return 403, {}, {}
        if body:
            self.submitted.append(json.loads(body)["order_id"])
            return 409, {"void": {"order_id": self.submitted[-1], "state": self.state}}, {}
        if "limit=1" in target:
            return self.status, {}, {}
        if "/voids/" in target:
            order = self.decode(target.rpartition("/voids/")[2])
            return 404, {"type": f"{PROBLEM_TYPE}not-found", "order_id": order}, {}
        self.asked += 1
        if "case=" in target:
            return (200, {}, {"x-number": "7"}) if "number" in target else (self.member, {}, {})
        return 200 if self.asked <= 4 else self.throttled, {"type": f"{PROBLEM_TYPE}throttled"}, self.retry


def deployed(account: Account, folder: Path, **allowed: Any) -> Site:
    """A deployed stack of this version, with what does not change already known."""
    state, at = load(folder / "state.json"), [START]

    def sleep(seconds: float) -> None:
        at[0] += timedelta(seconds=seconds)

    site = Site(
        Place(STACK, REGION, account, CALLER, URL), Environment(name="test", pos_id=POS_ID), Allowed(**allowed), "", state,
        Redactor(ACCOUNT), sleep=sleep, monotonic=lambda: (at[0] - START) / timedelta(seconds=1), now=lambda: at[0],
    )  # fmt: skip
    vars(site).update(fill(VECTORS["deployed"], KNOWN))
    site.functions = {
        stem: {
            "FunctionName": f"{STACK}-{stem}",
            "Role": f"arn:aws:iam::{ACCOUNT}:role/{stem}-role",
            **vars(site)["function"],
        }
        for stem in HANDLERS
    }
    return site


# ---- what AWS answers, by scripts ----

ORDER = "acc-1"
ORDERS = {"plain": ORDER, "odd": ORDER + LETTERS, "quoted": quote(ORDER + LETTERS, safe="")}
KNOWN: dict[str, Any] = VECTORS["known"] | dict.fromkeys(("role", "parameters", "templates", "tags")) | {"mark": MARK}
READY: dict[str, Any] = {"LastUpdateStatus": "Successful", "State": "Active"}
WAITS = dict.fromkeys(("function_active_v2", "function_updated_v2"), ("get_function", {"Configuration": READY}))
WAITS["published_version_active"] = ("get_function_configuration", READY)
WARM = "REPORT RequestId: 1\tDuration: {} ms\tBilled Duration: 13 ms\tMemory Size: 512 MB\tMax Memory Used: 70 MB\t"
COLD = WARM + "Init Duration: 250.50 ms\t"


def steps(case: Mapping[str, Any]) -> Iterator[Step]:
    """The calls of a case, each with its answer."""
    known = KNOWN | case.get("with", {})
    for one in case.get("aws", ()):
        name, _, times = ("", "", "") if isinstance(one, list) else one.partition(" * ")
        word, *arguments = name.split() or [""]
        if not name:
            found = [one]
        elif word in MADE:
            found = MADE[word](*arguments)
        else:
            found = VECTORS["scripts"].get(name) or listed(name, known)
        for service, operation, answer in found * int(times or 1):
            yield service, operation, fill(answer, known)


def listed(name: str, known: Mapping[str, Any]) -> list[Any]:
    """The calls that rows.toml lists, each with an answer that has what it keeps of it."""
    found: list[Any] = []
    for service, operation, _, *kept in FACTS["calls"][name]:
        answer: dict[str, Any] = {}
        for key, path in (kept[0] if kept else {}).items():
            value = known[key]
            for part in reversed(path.replace("[0]", ".0").split(".")):
                value = [value] if part == "0" else {part: value}
            answer |= value
        found.append((service, *WAITS.get(operation, (operation, answer))))
    return found


def decided(otherwise: str = "", action: str = "") -> list[Any]:
    """IAM decides as it should, but for one action of one function, which it decides the other way."""
    found: list[Any] = [("dynamodb", "describe_table", {"Table": {"TableArn": "arn:aws:dynamodb:x:1:table/t"}})]
    for stem, must in account_probes.MUST.items():
        groups = [(True, [right.partition("/")[0]]) for right in must] + [(True, ["secretsmanager:GetSecretValue"])]
        never = [one for one in account_probes.NEVER["table"] if "receive" not in stem or "UpdateItem" not in one]
        for allowed, actions in (*groups, (False, never), (False, account_probes.NEVER["secret"])):
            words = {
                one: ("implicitDeny", "allowed")[((stem, one) == (otherwise, action)) != allowed] for one in actions
            }
            results = [{"EvalActionName": one, "EvalDecision": word} for one, word in words.items()]
            found.append(("iam", "simulate_principal_policy", {"EvaluationResults": results}))
    return found


def staged(current: str, previous: str = "", kept: str = "") -> list[Any]:
    """Which versions of the secret are where: each is a digit."""
    stages = {"AWSCURRENT": current, "AWSPREVIOUS": previous, MARK: kept}
    versions = [{"VersionId": version * 32, "VersionStages": [stage for stage, its in stages.items() if its == version]}
                for version in dict.fromkeys(stages.values()) if version]  # fmt: skip
    return [("secretsmanager", "list_secret_version_ids", {"Versions": versions})]


def arrived(order: str, *versions: str) -> list[Any]:
    details = [{"order_id": ORDERS[order], "version": one} for one in versions]
    messages = [{"ReceiptHandle": "r", "Body": json.dumps({"detail": one})} for one in details]
    return [("sqs", "receive_message", {"Messages": messages}), *[("sqs", "delete_message", {})] * len(versions)]


def timed(milliseconds: str, count: str) -> list[Any]:
    other = ["START RequestId: 1 Version: 5", '{"message": "REPORT Duration: 1 ms\tBilled 1 Max Memory Used: 9 MB"}']
    lines = other + [WARM.format(milliseconds)] * int(count) + [COLD.format(milliseconds)] * 5
    return [("logs", "filter_log_events", {"events": [{"message": line} for line in lines]})] * 4


MADE: Mapping[str, Callable[..., list[Any]]] = {one.__name__: one for one in (decided, staged, arrived, timed)}
