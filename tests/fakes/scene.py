"""One order and the systems around it, ready to be told what happens: clock, table, secret, provider, messages and events."""

import base64
import json
from collections.abc import Callable
from copy import replace
from itertools import count
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlencode

from payments import exact_json
from payments.deadline import Deadline
from payments.facts import Evidence, Facts, Request
from payments.messages import Answer, AnswerKind, Operation, OrderView, read_operation
from payments.orders import Order, Source, Void
from payments.secret import Secret
from payments.signatures import sign_webhook
from payments.store import Store
from systems import Storage, Systems
from tests.fakes.provider import Provider
from tests.fakes.secret import PUBLISHED, SecretsManager
from tests.fakes.table import Table

POS_ID = PUBLISHED["pos_id"]
API_SECRET = PUBLISHED["api_secret"]
ORDER = "123"
START = 1_795_000_000_000
"""When a test begins, in milliseconds since 1970."""
MINE, OTHER = "00000000-own", "11111111-other"


def fields(
    status: str = "success", method: str = "void", operation_id: str | None = MINE, **more: object
) -> dict[str, object]:
    """An operation as the provider sends it."""
    return {
        "operation_id": operation_id, "payment_id": "fdf1a710", "order_id": ORDER, "transaction_id": None,
        "pos_id": POS_ID, "mode": "direct", "method": method, "amount": 100, "currency": "UAH", "status": status,
        "status_code": "1009", "status_description": "Reverse successful.", "created_at": "2018-10-10T10:10:10.100",
        "processing_time": "2018-10-10T10:10:12.000", "fee": None, "comment": "10101", **more,
    }  # fmt: skip


def operation(*said: Any, **more: Any) -> Operation:
    """The same, read."""
    read = read_operation(exact_json.parse(json.dumps(fields(*said, **more))))
    assert read is not None
    return read


def answer(status: str = "success", operation_id: str | None = MINE, **more: Any) -> Answer:
    """An answer to our POST."""
    kind = {"success": AnswerKind.SUCCESS, "failure": AnswerKind.FAILURE}.get(status, AnswerKind.PENDING)
    named = operation(**{"status": status, "method": "void", "operation_id": operation_id, **more})
    return Answer(kind, named, code=str(named.fields["status_code"]))


HOLD = operation(method="auth", operation_id="hold")


def view(*operations: Operation, hold: bool = True, partial: bool = False) -> OrderView:
    """What an order query shows: our hold, and these."""
    return OrderView((HOLD, *operations) if hold else operations, partial=partial)


HELD = view()
ABSENT = OrderView(not_found=True)


def request(
    key: str | None = None, currency: str = "UAH", comment: str | None = "10101", order_id: str = ORDER
) -> Request:
    """A merchant's request, validated."""
    return Request(order_id, currency, comment, key, "arn:aws:iam::1:role/shop")


def submitting(now: int = START, key: str | None = None, order_id: str = ORDER) -> Order:
    """An order whose first intent was just made, and is not yet in the table."""
    return Order(POS_ID, order_id).claimed(request(key, order_id=order_id), "attempt-1", now)


def order_of(facts: Facts, at: int = START) -> Order:
    """An order with these facts."""
    return Order(POS_ID, ORDER).learnt(facts, Source(Evidence.QUERY, at))


class Scene:
    """The systems of one test; time moves only when the test says so."""

    def __init__(self, current: object = PUBLISHED, previous: object = None) -> None:
        self.at = START
        self.table, self.secrets, self.provider = Table(), SecretsManager(current, previous), Provider()
        self.store = Store(self.table, "voids")
        self.outages: list[int] = []
        self.secret = Secret(self.secrets, "the-secret", lambda: self.at, lambda: self.outages.append(self.at))
        ids = count(1)
        self.new_id: Callable[[], str] = lambda: f"id-{next(ids)}"  # counted, so that a failing test can be read
        self.systems = Systems(self.store, self.secret, lambda: self.at, self.new_id, self.provider)  # type: ignore[arg-type]
        self.storage: Storage = self.systems

    def deadline(self, seconds: float = 19.0) -> Deadline:
        """The deadline of something that begins now."""
        return self.systems.deadline(seconds)

    def put(self, order: Order) -> Order:
        """Write an order over what is there, as somebody else might, or as if it had always been there."""
        found = self.store.load(order.pos_id, order.order_id, self.deadline())
        order = replace(order, version=found.version if found is not None else 0)
        return self.store.write(order, self.new_id(), self.deadline())

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.at += round(seconds * 1000)

    def order(self, order_id: str = ORDER, pos_id: str = POS_ID) -> Order:
        """The order in the table."""
        order = self.store.load(pos_id, order_id, self.deadline())
        assert order is not None
        return order

    def record(self, order_id: str = ORDER, pos_id: str = POS_ID) -> Void:
        """The void in the table."""
        void = self.order(order_id, pos_id).void
        assert void is not None
        return void


def time_left(milliseconds: int = 50_000) -> Any:
    """Lambda's context, with so much time left."""
    return SimpleNamespace(get_remaining_time_in_millis=lambda: milliseconds)


def signed(message: object, secret: str = API_SECRET) -> tuple[bytes, bytes]:
    """`data` and `signature` of a webhook: any JSON, or bytes as they are."""
    raw = message if isinstance(message, bytes) else json.dumps(message).encode()
    data = base64.urlsafe_b64encode(raw)
    return data, sign_webhook(secret, data)


def webhook_event(data: bytes, signature: bytes, **more: Any) -> dict[str, Any]:
    """The gateway's event of a webhook."""
    form = urlencode({"data": data.decode("latin-1"), "signature": signature.decode("latin-1")}, encoding="latin-1")
    return gateway_event(form, {"Content-Type": "application/x-www-form-urlencoded"}, **more)


def gateway_event(body: str | None, headers: dict[str, str], **more: Any) -> dict[str, Any]:
    """A REST API proxy event, as far as it is read."""
    return {
        "body": body, "isBase64Encoded": False, "headers": headers,
        "multiValueHeaders": {name: [value] for name, value in headers.items()},
        "pathParameters": None, "queryStringParameters": None,
        "requestContext": {"requestId": "request-1", "identity": {"userArn": "arn:aws:sts::1:assumed-role/shop/alice"}}, **more,
    }  # fmt: skip
