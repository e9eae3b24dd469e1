"""What the sandbox provider knows: orders, their operations, the faults that wait for them, the webhooks sent.

Promises that a void is checked and executed in one step, so that two racing voids are never both accepted by mistake.
Never talks to a network and never waits.
"""

import copy
import threading
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Literal, get_args

type Operation = dict[str, Any]
type Number = int | Decimal | str

Answer = Literal[
    "success", "pending", "pending_then_failure", "failure", "timeout_executed", "timeout_not_executed",
    "reset_executed", "reset_not_executed", "http_400", "http_401", "http_404", "http_429", "http_500_executed",
    "http_500_not_executed", "http_503", "garbage", "truncated", "redirect", "wrong_order",
]  # fmt: skip
Webhook = Literal[
    "once", "twice", "none", "before_answer", "forged", "unreadable", "failure_then_success", "success_then_failure"
]
Query = Literal["ok", "not_found", "http_500", "timeout", "stale", "wrong_order"]

STATUSES = {  # status -> code and text of a void
    "success": ("1009", "Reverse successful."),
    "pending": ("2119", "Transaction is processing"),
    "failure": ("4150", "Invalid operation"),
}
FAULTS = {"answer": get_args(Answer), "webhook": get_args(Webhook), "query": get_args(Query)}
DEFAULTS = {"answer": "success", "webhook": "once", "query": "ok"}


class Rejected(Exception):
    """A call of the control side that makes no sense; its text is for the caller."""


@dataclass(frozen=True)
class Refusal:
    """The provider's no to a void: an HTTP status and an error body."""

    status: int
    message: str
    code: str | None = None

    @property
    def body(self) -> dict[str, Any]:
        return {"message": self.message, "args": {"code": self.code} if self.code else {}}


@dataclass
class Credentials:
    pos_id: str
    api_key: str
    api_secret: str
    endpoints_key: str
    previous_secret: str | None = None

    def rotate(self, secret: str) -> None:
        self.previous_secret, self.api_secret = self.api_secret, secret


@dataclass
class Order:
    operations: list[Operation] = field(default_factory=list)
    voids_received: int = 0
    webhooks: list[dict[str, Any]] = field(default_factory=list)
    faults: dict[str, str] = field(default_factory=lambda: dict(DEFAULTS))
    server_url: str | None = None
    last_message: str | None = None  # the JSON text of the last webhook, sent or suppressed
    queries: int = 0

    def has(self, method: str, *statuses: str) -> bool:
        return any(item["method"] == method and item["status"] in statuses for item in self.operations)

    @property
    def hold(self) -> Operation | None:
        return next((item for item in self.operations if item["method"] == "auth"), None)


class Ledger:
    def __init__(self, pos_id: str, webhook_url: str | None) -> None:
        self.pos_id = pos_id
        self.webhook_url = webhook_url  # of holds made here, as if their auth had named it
        self.second_void = "refuse"
        self.differs: frozenset[str] = frozenset()  # from what the service assumes: local/sandbox/differences.py
        self._orders: dict[str, Order] = {}
        self._lock = threading.RLock()

    def place_hold(self, order_id: str, amount: Number, currency: str) -> None:
        with self._lock:
            order = self._orders.setdefault(order_id, Order())
            if order.hold:
                raise Rejected(f"order {order_id} has a hold already: an order id is unique among primary operations")
            order.operations.append(
                {
                    "payment_id": str(uuid.uuid4()),
                    "order_id": order_id,
                    "gateway_order_id": f"gw-{order_id}",
                    "billing_order_id": f"bill-{order_id}",
                    "transaction_id": str(uuid.uuid4()),
                    "pos_id": self.pos_id,
                    "mode": "direct",
                    "method": "auth",
                    "amount": amount,
                    "currency": currency,
                    "status": "success",
                    "status_code": "1002",
                    "status_description": "",
                    "created_at": _now(),
                    "processing_time": _now(),
                    "fee": None,
                }
            )

    def view(self, order_id: str) -> dict[str, Any]:
        with self._lock:
            order = self._orders.get(order_id) or Order()
            executed = [item for item in order.operations if (item["method"], item["status"]) == ("void", "success")]
            return {
                "order_id": order_id,
                "operations": copy.deepcopy(order.operations),
                "voids_received": order.voids_received,
                "voids_executed": len(executed),
                "webhooks": copy.deepcopy(order.webhooks),
            }

    def set_faults(self, order_id: str, faults: dict[str, str]) -> dict[str, str]:
        with self._lock:
            self._orders.setdefault(order_id, Order()).faults = DEFAULTS | faults
            return DEFAULTS | faults

    def receive_void(self, order_id: str, server_url: str | None) -> dict[str, str]:
        """Counts the request and takes the faults that were waiting for it: they work once."""
        with self._lock:
            order = self._orders.setdefault(order_id, Order())
            order.voids_received += 1
            order.server_url = server_url or order.server_url
            faults = dict(order.faults)
            order.faults |= {"answer": "success", "webhook": "once"}  # the fault of the query waits for a query
            return faults

    def void(self, order_id: str, currency: str | None, comment: str | None, status: str) -> Operation | Refusal:
        """Checks the order and writes the void in one step. Without a currency: the portal, which asks for none."""
        with self._lock:
            order = self._orders.setdefault(order_id, Order())
            refusal = self._refuse(order, currency)
            if refusal or not order.hold:
                return refusal or _NO_PAYMENT
            operation = self._secondary(order.hold, "void", status, *STATUSES[status], comment)
            order.operations.append(operation)
            return operation

    def capture(self, order_id: str) -> Operation | Refusal:
        with self._lock:
            order = self._orders.setdefault(order_id, Order())
            if not order.hold:
                return _NO_PAYMENT
            if order.has("void", "success") or order.has("capture", "success"):
                return Refusal(400, "The hold has ended already")
            operation = self._secondary(order.hold, "capture", "success", "1000", "Capture successful.", None)
            order.operations.append(operation)
            return operation

    def finish(self, operation: Operation, status: str) -> None:
        """A void that was not final, or was reported wrongly, gets another status."""
        with self._lock:
            code, text = STATUSES[status]
            operation |= {"status": status, "status_code": code, "status_description": text, "processing_time": _now()}

    def take_query_fault(self, order_id: str) -> str:
        with self._lock:
            order = self._orders.get(order_id)
            if order is None:
                return "ok"
            fault, order.faults["query"] = order.faults["query"], "ok"
            order.queries += 1
            lost = "query-steady" in self.differs and order.queries % 2 == 0
            return "not_found" if lost and fault == "ok" else fault

    def operations(self, order_id: str) -> list[Operation]:
        with self._lock:
            order = self._orders.get(order_id)
            return copy.deepcopy(order.operations) if order else []

    def webhook_target(self, order_id: str) -> str | None:
        with self._lock:
            order = self._orders.get(order_id)
            own = None if "portal-announced" in self.differs else self.webhook_url
            return (order.server_url if order else None) or own

    def remember_message(self, order_id: str, message: str) -> None:
        with self._lock:
            self._orders.setdefault(order_id, Order()).last_message = message

    def last_message(self, order_id: str) -> str:
        with self._lock:
            order = self._orders.get(order_id)
            if order is None or order.last_message is None:
                raise Rejected(f"order {order_id} has no webhook to send again")
            return order.last_message

    def record_webhook(self, order_id: str, sent: dict[str, Any]) -> None:
        with self._lock:
            self._orders.setdefault(order_id, Order()).webhooks.append(sent)

    def _refuse(self, order: Order, currency: str | None) -> Refusal | None:
        hold = order.hold
        if hold is None:
            return _NO_PAYMENT
        if currency not in (None, hold["currency"]) and "wrong-currency" not in self.differs:
            return Refusal(400, f"Invalid order_currency: the order is in {hold['currency']}")
        if order.has("capture", "success", "pending"):
            return Refusal(400, "Invalid operation: the payment is captured")
        second_is_refused = self.second_void == "refuse" and "second-void" not in self.differs
        if second_is_refused and order.has("void", "success", "pending"):
            return Refusal(400, "Invalid operation: the payment is voided or being voided")
        return None

    def _secondary(
        self, hold: Operation, method: str, status: str, code: str, text: str, comment: str | None
    ) -> Operation:
        return {
            "operation_id": str(uuid.uuid4()),
            "payment_id": hold["payment_id"],
            "order_id": hold["order_id"],
            "transaction_id": str(uuid.uuid4()),
            "pos_id": self.pos_id,
            "mode": "direct",
            "method": method,
            "amount": hold["amount"],
            "currency": hold["currency"],
            "status": status,
            "status_code": code,
            "status_description": text,
            "created_at": _now(),
            "processing_time": _now(),
            "fee": None,
            "comment": comment,
        }


_NO_PAYMENT = Refusal(404, "Payment not found")  # no S- code: that would mean credentials


def _now() -> str:
    """The provider's timestamps: three decimals and no zone."""
    return datetime.now(UTC).replace(tzinfo=None).isoformat(timespec="milliseconds")
