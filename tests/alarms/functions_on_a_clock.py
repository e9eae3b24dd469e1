"""The four shipped handlers on a virtual clock: started with an event, watched for what they answer and emit.

The only file here that knows the functions. Promises that metrics come from the handlers' own EMF lines, and that a
handler sees no time but the clock's. Metrics of AWS are not made here: that is account.py.
"""

import contextlib
import functools
import importlib
import io
import json
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from payments.messages import Answer, AnswerKind, Operation, OrderView
from payments.outside import Deadline, Systems
from payments.provider import NotConnected
from payments.secret import Credentials, Secret
from payments.store import Store
from tests.fakes import provider as said
from tests.fakes import scene
from tests.fakes.provider import OpeningConnection
from tests.fakes.secret import PUBLISHED, SecretsManager
from tests.fakes.table import Table, error

SUBMIT, READ, WEBHOOK, SETTLE = "submit_void", "read_voids", "receive_webhook", "settle_voids"
TIMEOUT_MS = {SUBMIT: 20_000, READ: 20_000, WEBHOOK: 10_000, SETTLE: 55_000}

Handler = Callable[[Any, Any], Any]


class Clock:
    """Milliseconds since 1970; time passes only when somebody says so."""

    def __init__(self, at: int) -> None:
        self.at = at

    def now(self) -> int:
        """The present moment."""
        return self.at


class Emitted(NamedTuple):
    """One value of one metric, as the function wrote it."""

    namespace: str
    name: str
    dimensions: dict[str, str]
    value: float
    unit: str


class Finished(NamedTuple):
    """How one invocation ended."""

    result: Any
    failed: bool
    """The function raised, or ran into its timeout: an error for Lambda."""
    duration_ms: int
    emitted: tuple[Emitted, ...]


class FinancialLine(said.Provider):
    """A provider that goes by its mode. `posts` and `queries` are changed by a story while it runs.

    posts: up, slow, pending, unreachable, loses-answers, throttles, refuses, refuses-credentials.
    queries: up, down, strange (an answer that no code expects).
    """

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self.clock, self.posts, self.queries = clock, "up", "up"
        self.executed: dict[str, str] = {}
        """The status of each order's void."""

    def send_void(
        self,
        opening: OpeningConnection,
        credentials: Credentials,
        order_id: str,
        currency: str,
        comment: str | None,
        *,
        send_by: Deadline,
        answer_by: Deadline,
    ) -> Answer:
        """One POST. It takes the time that such an answer takes."""
        seconds = {"slow": 8, "loses-answers": 10, "unreachable": 2}.get(self.posts, 0.4)
        self.clock.at += round(seconds * 1000)
        match self.posts:
            case "unreachable":
                raise NotConnected("Timeout")
            case "throttles":
                return said.THROTTLED
            case "refuses-credentials":
                return said.CREDENTIALS
            case "refuses":
                return said.REFUSED
        status = "pending" if self.posts == "pending" else "success"
        self.executed[order_id] = status
        if self.posts == "loses-answers":
            return said.UNKNOWN
        kind = AnswerKind.SUCCESS if status == "success" else AnswerKind.PENDING
        return Answer(kind, void_of(order_id, status, currency))

    def get_order(self, credentials: Credentials, order_id: str, deadline: Deadline) -> OrderView | None:
        """One query."""
        if self.queries == "strange":
            raise ZeroDivisionError
        if self.queries == "down" or deadline.over:
            return None
        hold = scene.operation(method="auth", operation_id="hold", order_id=order_id)
        status = self.executed.get(order_id)
        return OrderView((hold, void_of(order_id, status)) if status else (hold,))


def void_of(order_id: str, status: str, currency: str = "UAH") -> Operation:
    """The void of an order as the provider shows it."""
    return scene.operation(status, operation_id=f"void-{order_id}", order_id=order_id, currency=currency)


class Functions:
    """The handlers over one table, one secret and one provider. Each has its own copy of the secret, as in Lambda."""

    def __init__(self, clock: Clock, namespace: str, credentials: object = PUBLISHED) -> None:
        self.clock, self.namespace = clock, namespace
        self.table, self.secrets, self.provider = Table(), SecretsManager(credentials), FinancialLine(clock)
        self._ids = 0
        self._systems = {name: self._build() for name in TIMEOUT_MS}
        self.instead: dict[str, Handler] = {}
        """What a bad release runs in place of a handler."""

    def _build(self) -> Systems:
        telemetry = importlib.import_module("telemetry")
        secret = Secret(
            self.secrets, "the-secret", lambda: self.clock.at / 1000, lambda: telemetry.count("SecretOutOfReach")
        )
        return Systems(Store(self.table, "voids"), secret, self.clock.now, self._new_id, self.provider)  # type: ignore[arg-type]

    def _new_id(self) -> str:
        self._ids += 1
        return f"id-{self._ids}"

    def start(self, name: str, event: dict[str, Any]) -> Finished:
        """One invocation, at the clock's moment, which moves on by what it takes."""
        began = self.clock.at
        with self._installed(name) as (handler, written):
            try:
                result, failed = (
                    self.instead.get(name, handler)(event, Context(self.clock, began + TIMEOUT_MS[name])),
                    False,
                )
            except Exception:  # noqa: BLE001 an error of the function for Lambda, whatever it is
                result, failed = None, True
        self.table.calls.clear()
        if self.clock.at - began >= TIMEOUT_MS[name]:
            self.clock.at = began + TIMEOUT_MS[name]
            return Finished(None, True, TIMEOUT_MS[name], ())  # killed, before it could write anything
        return Finished(result, failed, self.clock.at - began, tuple(read_emf(written.getvalue())))

    @contextlib.contextmanager
    def _installed(self, name: str) -> Iterator[tuple[Handler, io.StringIO]]:
        """The handler's module on these systems and this clock, its logs and metrics caught."""
        module, telemetry, systems = (
            importlib.import_module(name),
            importlib.import_module("telemetry"),
            self._systems[name],
        )
        ours = {
            "systems": lambda: systems,
            "systems_that_send": lambda: systems,
            "storage": lambda: systems,
            "now": self.clock.now,
        }
        before = {key: getattr(module, key) for key in ours if hasattr(module, key)}
        written = io.StringIO()
        stream, namespace = telemetry.logger.registered_handler.stream, telemetry.metrics.provider.namespace
        telemetry.metrics.clear_metrics()
        try:
            for key in before:
                setattr(module, key, ours[key])
            telemetry.logger.registered_handler.stream = written
            telemetry.metrics.provider.namespace = self.namespace
            with contextlib.redirect_stdout(written):
                yield module.handler, written
        finally:
            for key, value in before.items():
                setattr(module, key, value)
            telemetry.logger.registered_handler.stream = stream
            telemetry.metrics.provider.namespace = namespace
            telemetry.metrics.clear_metrics()

    # What may happen to the systems around the functions.

    def lose_the_table(self, code: str = "InternalServerError") -> None:
        """DynamoDB refuses every call from now on."""

        def refuse(operation: str, _arguments: dict[str, Any]) -> None:
            raise error(code, operation)

        self.table.before = refuse

    def find_the_table(self) -> None:
        """DynamoDB answers again."""
        self.table.before = lambda _operation, _arguments: None

    def lose_the_secret(self) -> None:
        """Secrets Manager does not answer from now on."""
        self.secrets.out_of_reach()

    def find_the_secret(self) -> None:
        """Secrets Manager answers again."""
        self.secrets.error = None

    def put_secret(self, text: str) -> None:
        """An operator puts a new value."""
        self.secrets.stages["AWSCURRENT"] = text

    def fill_secret(self) -> None:
        """An operator puts the credentials of the provider's examples."""
        self.put_secret(json.dumps(PUBLISHED))

    def change_project(self) -> None:
        """Credentials of another project are put, twice: the old ones are no longer the previous."""
        for number in range(2):
            self.secrets.rotate(pos_id=f"11111111-0000-4000-8000-00000000000{number}")

    def spoil(self, order_id: str) -> None:
        """The record of an order becomes one that this release cannot read, due as before."""
        item = next(item for item in self.table.items.values() if item.get("order_id", {}).get("S") == order_id)
        self.table.place({**item, "details": {"S": "not ours"}})


class Context:
    """What handlers use of Lambda's context."""

    def __init__(self, clock: Clock, ends: int) -> None:
        self._clock, self._ends = clock, ends

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until the timeout."""
        return self._ends - self._clock.at


def read_emf(text: str) -> Iterator[Emitted]:
    """The metrics among the lines that a function wrote."""
    for line in text.splitlines():
        if '"_aws"' not in line:
            continue
        document = json.loads(line)
        for directive in document["_aws"]["CloudWatchMetrics"]:
            for names in directive["Dimensions"]:
                dimensions = {name: str(document[name]) for name in names}
                for metric in directive["Metrics"]:
                    values = document[metric["Name"]]
                    for value in values if isinstance(values, list) else [values]:
                        yield Emitted(directive["Namespace"], metric["Name"], dimensions, float(value), metric["Unit"])


# ---- events ----------------------------------------------------------------------------------------------------------


def a_void(order_id: str, *, key: str | None = None, body: str | None = None) -> dict[str, Any]:
    """The gateway's event of POST /voids."""
    headers = {"Content-Type": "application/json", **({"Idempotency-Key": key} if key else {})}
    return scene.gateway_event(body or json.dumps({"order_id": order_id, "order_currency": "UAH"}), headers)


def a_read(order_id: str, **query: str) -> dict[str, Any]:
    """The gateway's event of GET /voids/{order_id}."""
    return scene.gateway_event(None, {}, pathParameters={"order_id": order_id}, queryStringParameters=query or None)


def a_list(**query: str) -> dict[str, Any]:
    """The gateway's event of GET /voids."""
    return scene.gateway_event(None, {}, queryStringParameters=query)


def a_webhook(order_id: str, *, forged: bool = False, unreadable: bool = False, **fields: Any) -> dict[str, Any]:
    """The gateway's event of a webhook about an order's void."""
    message: object = scene.fields(**{"operation_id": f"void-{order_id}", "order_id": order_id, **fields})
    data, signature = scene.signed(b"no JSON" if unreadable else message)
    return scene.webhook_event(data, b"forged" if forged else signature)


def shipped(name: str) -> Handler:
    """The handler as it is."""
    handler: Handler = importlib.import_module(name).handler
    return handler


def raising(*_: object) -> Any:
    """A release that crashes."""
    raise RuntimeError


@functools.cache
def with_a_defect(name: str) -> Handler:
    """A release whose handler meets an error that nobody expected, inside of what answers for it."""
    lambda_http = importlib.import_module("lambda_http")
    decorate = lambda_http.lambda_handler(lambda_http.REPEAT_LATER)
    handler: Handler = decorate(lambda event: raising(event, name))
    return handler


def without_a_setting(_name: str) -> Handler:
    """A release that is deployed without a setting which it needs."""
    lambda_http = importlib.import_module("lambda_http")
    settings = importlib.import_module("payments.settings")

    def answer(_event: object) -> Any:
        raise settings.SettingsError("TABLE_NAME is not set")

    handler: Handler = lambda_http.lambda_handler(lambda_http.REPEAT_LATER)(answer)
    return handler
