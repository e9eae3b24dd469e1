"""The shipped handlers on a virtual clock: started with an event, watched for what they answer and emit.

The only file here that knows the functions. Promises that metrics come from the handlers' own EMF lines, and that a
handler sees no time but the clock's. Metrics of AWS are not made here: that is account.py.
"""

import contextlib
import importlib
import io
import itertools
import json
from collections.abc import Callable, Iterator
from copy import replace
from functools import partial
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest

from payments.connection import NotConnected
from payments.deadline import Deadline
from payments.messages import Answer, AnswerKind, Operation, OrderView
from payments.secret import Credentials, Secret
from systems import Systems
from tests.alarms.evaluator import Datapoint
from tests.fakes import provider as said
from tests.fakes import scene
from tests.fakes.secret import PUBLISHED

SUBMIT, READ, WEBHOOK, SETTLE = "submit_void", "read_voids", "receive_webhook", "settle_voids"
TIMEOUT_MS = {SUBMIT: 20_000, READ: 20_000, WEBHOOK: 10_000, SETTLE: 55_000}

Release = Callable[[Any, Any], Any] | Exception
"""What a bad release runs in place of a handler, or what its handler meets where it asks for its systems."""


class Finished(NamedTuple):
    """How one invocation ended; `failed`: it raised, or ran into its timeout, which is an error for Lambda."""

    result: Any
    failed: bool
    duration_ms: int
    emitted: tuple[Datapoint, ...]


class FinancialLine(said.Provider):
    """A provider that goes by its mode. `posts` and `queries` are changed by a story while it runs.

    posts: up, slow, pending, unreachable, loses-answers, throttles, refuses, refuses-credentials.
    queries: up, down, strange (an answer that no code expects).
    """

    def __init__(self, clock: scene.Scene) -> None:
        super().__init__()
        self.clock, self.posts, self.queries = clock, "up", "up"
        self.executed: dict[str, str] = {}
        """The status of each order's void."""

    def send_void(self, opening: Any, credentials: Any, *asked: str | None, **_: Deadline) -> Answer:
        """One POST. It takes the time that such an answer takes."""
        order_id, currency = map(str, asked[:2])
        self.clock.wait({"slow": 8, "loses-answers": 10, "unreachable": 2}.get(self.posts, 0.4))
        match self.posts:
            case "unreachable":
                raise NotConnected("Timeout")
            case "throttles":
                return said.THROTTLED
            case "refuses-credentials":
                return said.CREDENTIALS
            case "refuses":
                return replace(said.REFUSED, cause="400")
        status = "pending" if self.posts == "pending" else "success"
        self.executed[order_id] = status
        if self.posts == "loses-answers":
            return said.UNKNOWN
        kind = AnswerKind.SUCCESS if status == "success" else AnswerKind.PENDING
        return Answer(kind, void_of(order_id, status, currency))

    def get_order(self, credentials: Credentials, order_id: str, deadline: Deadline) -> OrderView | str:
        if self.queries == "strange":
            raise ZeroDivisionError
        if self.queries == "down" or deadline.over:
            return "time-out"
        hold = scene.operation(method="auth", operation_id="hold", order_id=order_id)
        status = self.executed.get(order_id)
        return OrderView((hold, void_of(order_id, status)) if status else (hold,))


def void_of(order_id: str, status: str, currency: str = "UAH") -> Operation:
    return scene.operation(status, operation_id=f"void-{order_id}", order_id=order_id, currency=currency)


class Functions(scene.Scene):
    """The handlers over one table, one secret and one provider. Each has its own copy of the secret, as in Lambda."""

    provider: FinancialLine

    def __init__(self, at: int, namespace: str, credentials: object = PUBLISHED) -> None:
        super().__init__(credentials)
        self.at, self.namespace, self.provider, self.log = at, namespace, FinancialLine(self), ""
        outage = lambda: importlib.import_module("telemetry").count_once("SecretOutOfReach")  # noqa: E731
        secret = partial(Secret, self.secrets, "the-secret", lambda: self.at, outage)
        provider: Any = self.provider
        self._systems = {name: replace(self.systems, secret=secret(), provider=provider) for name in TIMEOUT_MS}

    def start(self, name: str, event: dict[str, Any], release: Release | None = None) -> Finished:
        """One invocation, at the clock's moment, which moves on by what it takes."""
        began, result, failed = self.at, None, False
        with self._installed(name, release if isinstance(release, Exception) else None) as (handler, written):
            try:
                left = SimpleNamespace(get_remaining_time_in_millis=lambda: began + TIMEOUT_MS[name] - self.at)
                result = (release if callable(release) else handler)(event, left)
            except Exception:  # noqa: BLE001 an error of the function for Lambda, whatever it is
                failed = True
        self.table.calls.clear()
        self.log += written.getvalue()
        if self.at - began >= TIMEOUT_MS[name]:
            self.at = began + TIMEOUT_MS[name]
            return Finished(None, True, TIMEOUT_MS[name], ())  # killed, before it could write anything
        return Finished(result, failed, self.at - began, tuple(read_emf(written.getvalue(), self.at)))

    @contextlib.contextmanager
    def _installed(self, name: str, defect: Exception | None) -> Iterator[tuple[Callable[..., Any], io.StringIO]]:
        """The handler's module on these systems and this clock, its logs and metrics caught."""

        def systems() -> Systems:
            if defect is not None:
                raise defect
            return self._systems[name]

        module, telemetry = importlib.import_module(name), importlib.import_module("telemetry")
        written, ours = io.StringIO(), {"systems": systems, "systems_that_send": systems, "storage": systems}
        telemetry.metrics.clear_metrics()
        with pytest.MonkeyPatch.context() as patched, contextlib.redirect_stdout(written):
            for key, value in {**ours, "now": lambda: self.at}.items():
                if hasattr(module, key):
                    patched.setattr(module, key, value)
            patched.setattr(telemetry.logger.registered_handler, "stream", written)
            patched.setattr(telemetry.metrics.provider, "namespace", self.namespace)
            yield module.handler, written
        telemetry.metrics.clear_metrics()

    # What may happen to the systems around the functions.

    def table_refuses(self, code: str) -> None:
        """DynamoDB answers each call with this error from now on, or to `nothing`."""
        self.table.fail(lambda *_: code != "nothing", code)

    def secret_is(self, what: str) -> None:
        """Secrets Manager answers from now on, or it is `lost`."""
        self.secrets.error = None
        if what == "lost":
            self.secrets.out_of_reach()

    def put_secret(self, text: str = json.dumps(PUBLISHED)) -> None:
        """An operator puts a new value; without a text the credentials of the provider's examples."""
        self.secrets.stages["AWSCURRENT"] = text

    def change_project(self) -> None:
        """Credentials of another project are put, twice: the old ones are no longer the previous."""
        for number in range(2):
            self.secrets.rotate(pos_id=f"11111111-0000-4000-8000-00000000000{number}")

    def spoil(self, order_id: str) -> None:
        """The record of an order becomes one that this release cannot read, due as before."""
        item = self.table.items[f"{scene.POS_ID}#{order_id}", "ORDER"]
        self.table.place({**item, "facts": {"S": "not ours"}})


def read_emf(text: str, at: int) -> Iterator[Datapoint]:
    for document in (json.loads(line) for line in text.splitlines() if '"_aws"' in line):
        for directive in document["_aws"]["CloudWatchMetrics"]:
            for names, metric in itertools.product(directive["Dimensions"], directive["Metrics"]):
                dimensions = frozenset((name, str(document[name])) for name in names)
                of, values = (directive["Namespace"], metric["Name"], dimensions), document[metric["Name"]]
                for value in values if isinstance(values, list) else [values]:
                    yield Datapoint(*of, at, float(value), metric["Unit"])
