"""What the sandbox keeps of each order besides the provider's ledger: the faults that wait, the webhooks sent.

Promises that a void is checked and executed in one step, so that two racing voids are never both accepted by mistake.
Never talks to a network and never waits.
"""

import copy
import dataclasses
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from payments.exact_json import parse, write
from play import answers, views, webhooks
from play.answers import REFUSALS
from play.ledger import NAMES, Ledger, Operation, Project
from play.requests import Void
from play.words import fields

FAULTS = {"answer": tuple(answers.SANDBOX), "webhook": webhooks.SANDBOX, "query": tuple(views.SANDBOX)}
DEFAULTS = {"answer": "success", "webhook": "once", "query": "ok"}


class Rejected(Exception):
    """A call of the control side that makes no sense; its text is for the caller."""


@dataclass
class Order:
    voids_received: int = 0
    webhooks: list[dict[str, Any]] = field(default_factory=list)
    faults: dict[str, str] = field(default_factory=lambda: dict(DEFAULTS))
    server_url: str | None = None
    last_data: str | None = None  # of the last genuine webhook, sent or suppressed
    queries: int = 0


class Desk:
    def __init__(self, project: Project, webhook_url: str | None) -> None:
        self.project = project
        self.webhook_url = webhook_url  # of holds made here, as if their auth had named it
        self.ledger = Ledger(lambda: time.time_ns() // 1_000_000)
        self.lock = threading.RLock()
        self._orders: dict[str, Order] = {}

    def order(self, order_id: str) -> Order:
        with self.lock:
            return self._orders.setdefault(order_id, Order())

    def place_hold(self, order_id: str, amount: Any, currency: str) -> None:
        """Also anew, as another payment, once the one before is voided."""
        with self.lock:
            hold = self.ledger.newest_hold(self.project, order_id)
            ended = self.ledger.of(self.project, order_id, "void")
            if hold and not any(one.status == "success" and one.payment_id == hold.payment_id for one in ended):
                raise Rejected(f"order {order_id} has a hold already, which is not voided")
            self.ledger.hold(self.project, order_id, currency, amount)

    def view(self, order_id: str) -> dict[str, Any]:
        with self.lock:
            order, rows = self._orders.get(order_id, Order()), self.ledger.of(self.project, order_id)
            executed = sum((row.method, row.status) == ("void", "success") for row in rows)
            return {
                "order_id": order_id, "operations": [fields(row) for row in rows], "webhooks": list(order.webhooks),
                "voids_received": order.voids_received, "voids_executed": executed,
            }  # fmt: skip

    def receive(self, void: Void) -> dict[str, str]:
        """Counts the request and takes the faults that were waiting for it: they work once."""
        with self.lock:
            order = self.order(void.order)
            order.voids_received += 1
            order.server_url = void.server_url or order.server_url
            faults = order.faults
            order.faults = DEFAULTS | {"query": faults["query"]}  # which waits for a query
            return faults

    def land(self, void: Void, answer: str) -> tuple[bytes | None, Operation | None]:
        with self.lock:
            return answers.land(self.ledger, void, answer)

    def answer_query(self, query: views.Query) -> bytes | None:
        with self.lock:
            fault = "ok"
            if order := self._orders.get(query.order):
                fault, order.faults["query"] = order.faults["query"], "ok"
                order.queries += 1
                lost = "query-steady" in self.ledger.differs and order.queries % 2 == 0
                fault = "not_found" if lost and fault == "ok" else fault
            return views.show(query, views.SANDBOX[fault])

    def portal(self, order_id: str, method: str) -> Operation:
        """What an operator does in the provider's portal."""
        with self.lock:
            if why := self.ledger.refuses(method, self.project, order_id):
                raise Rejected(REFUSALS[why][1])
            return self.ledger.operate(method, "success", self.project, order_id)

    def write_row(self, order_id: str, wanted: Mapping[str, Any]) -> Operation:
        """A row as it stands; if one of its ids is that of a row which is there, that one gets the status."""
        with self.lock:
            row = self.ledger.named(self.project, order_id, *(wanted.get(name) for name in NAMES))
            if row is None and "method" not in wanted:
                raise Rejected("method: needed for a row that is not there yet")
            if row is None:
                return self.ledger.operate(project=self.project, order=order_id, **wanted)
            if wanted.get("method", row.method) != row.method:
                raise Rejected(f"method: the row with this id is {row.method}")
            self.ledger.resolve(row, wanted["status"])
            return row

    def finish(self, operation: Operation, status: str) -> None:
        """What was not final, or was reported wrongly, gets another status."""
        with self.lock:
            self.ledger.resolve(operation, status)

    def webhook_target(self, order_id: str) -> str | None:
        own = None if "portal-announced" in self.ledger.differs else self.webhook_url
        return self.order(order_id).server_url or own

    def kept(self) -> dict[str, Any]:
        """All orders and operations, as JSON can hold them; an amount as its own text."""
        names = [each.name for each in dataclasses.fields(Operation) if each.name != "project"]
        with self.lock:
            found = self.ledger.operations
            rows = [{name: getattr(row, name) for name in names} | {"amount": write(row.amount)} for row in found]
            # The address of this run is not that of the next one.
            orders = {name: vars(order) | {"server_url": None} for name, order in self._orders.items()}
            return copy.deepcopy({"operations": rows, "orders": orders})

    def restore(self, operations: Sequence[dict[str, Any]], orders: Mapping[str, dict[str, Any]]) -> None:
        for row in operations:
            changes = [(int(at), status) for at, status in row["changes"]]
            details = row | {"project": self.project, "changes": changes, "amount": parse(row["amount"])}
            self.ledger.operations.append(Operation(**details))
        self._orders |= {name: Order(**order) for name, order in orders.items()}
