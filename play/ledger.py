"""What the provider knows: projects with their credentials, and the operations of orders with all their statuses.

Promises that whether a void can be made is decided here alone. Not for two threads at once: whoever has threads locks.
"""

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from payments.exact_json import Number

type Amount = int | str | Number
type Channel = Literal["answer", "list", "webhook"]

NAMES = ("operation_id", "transaction_id")  # what an operation may be called by
EVERY_NAME: Mapping[Channel, Sequence[str]] = {"answer": NAMES, "list": NAMES, "webhook": NAMES}


@dataclass(slots=True, eq=False)
class Project:
    """A merchant's project, test or live, and what the portal shows as its credentials now."""

    pos_id: str
    api_key: str
    api_secret: str
    endpoints_key: str
    previous_secret: str | None = None

    def rotate(self, secret: str) -> None:
        """Another secret from now on."""
        self.previous_secret, self.api_secret = self.api_secret, secret


@dataclass(slots=True, eq=False)
class Operation:
    """One row of an order; times are milliseconds of the ledger's clock."""

    method: str
    project: Project
    order: str
    currency: str
    changes: list[tuple[int, str]]
    payment_id: str
    operation_id: str | None = None
    transaction_id: str | None = None
    amount: Amount = 100
    comment: str | None = None
    attempt_id: str | None = None
    """Whose POST made it, where the caller tells them apart; None: it was made in the portal."""
    told_at: int | None = None  # when a webhook about it was first answered 200

    @property
    def status(self) -> str:
        return self.changes[-1][1]

    @property
    def made_at(self) -> int:
        return self.changes[0][0]

    @property
    def live(self) -> bool:
        return self.status != "failure"

    def status_at(self, moment: int) -> str | None:
        """As it was then; None: it did not exist yet."""
        known = [status for at, status in self.changes if at <= moment]
        return known[-1] if known else None


def unique(_kind: str, _number: int) -> str:
    return str(uuid.uuid4())


@dataclass(slots=True)
class Ledger:
    """All operations of all projects, oldest first, and the provider's habits."""

    now: Callable[[], int]
    name: Callable[[str, int], str] = unique
    """Makes the name of a new thing from its kind (`op`, `tx`, `pay`) and its number."""
    changed: Callable[[Operation], None] = lambda _operation: None  # called after each change, with what changed
    operations: list[Operation] = field(default_factory=list)
    executes_twice: bool = False  # a second void of a hold is executed, too
    differs: frozenset[str] = frozenset()  # names of `words.DIFFERENCES`
    ids: Mapping[Channel, Sequence[str]] = field(default_factory=lambda: EVERY_NAME)
    """Which of its names each channel gives of an operation."""

    def hold(self, project: Project, order: str, currency: str = "UAH", amount: Amount = 100) -> Operation:
        """A successful auth: each is a payment of its own."""
        return self.operate("auth", "success", project, order, currency=currency, amount=amount)

    def operate(self, method: str, status: str, project: Project, order: str, **details: Any) -> Operation:
        """Write a row as it stands, checking nothing. What is not named is as in the order's newest hold, or new."""
        operation = self.draft(method, status, project, order, **details)
        self.operations.append(operation)
        self.changed(operation)
        return operation

    def draft(self, method: str, status: str, project: Project, order: str, **details: Any) -> Operation:
        number, hold = len(self.operations), self.newest_hold(project, order)
        given: dict[str, Any] = {"currency": "UAH"}
        if hold is not None:
            given = {"currency": hold.currency, "amount": hold.amount, "payment_id": hold.payment_id}
        if method == "auth" or hold is None:
            given["payment_id"] = self.name("pay", number)
        if method != "auth":
            given["operation_id"] = self.name("op", number)
        given["transaction_id"] = self.name("tx", number)
        at = details.pop("at", None)
        changes = [(self.now() if at is None else at, status)]
        return Operation(method, project, order, changes=changes, **given | details)

    def resolve(self, operation: Operation, status: str) -> None:
        operation.changes.append((self.now(), status))
        self.changed(operation)

    def of(self, project: Project, order: str, method: str = "") -> list[Operation]:
        own = [one for one in self.operations if one.order == order and one.project is project]
        return [one for one in own if method in ("", one.method)]

    def named(self, project: Project, order: str, *names: object) -> Operation | None:
        """The operation of an order that one of these ids names."""
        wanted = {name for name in names if name is not None}
        own = self.of(project, order)
        return next((one for one in own if wanted & {one.operation_id, one.transaction_id}), None)

    def newest_hold(self, project: Project, order: str) -> Operation | None:
        """The last auth that succeeded: what a void is about."""
        return next((one for one in reversed(self.of(project, order, "auth")) if one.status == "success"), None)

    def stands(self, project: Project, order: str) -> bool:
        """Is there a hold that a void could release?"""
        return self.refuses("void", project, order) is None

    def refuses(self, method: str, project: Project, order: str, currency: str | None = None) -> str | None:
        """Why a void or a capture cannot be made, named as in `answers.REFUSALS`. The portal names no currency."""
        hold = self.newest_hold(project, order)
        if hold is None:
            return "no such order"
        if currency not in (None, hold.currency) and "wrong-currency" not in self.differs:
            return "another currency"
        own = [one for one in self.of(project, order) if one.payment_id == hold.payment_id]
        # A capture takes the money also while a void is under way.
        ended = {one.method for one in own if (one.live if method == "void" else one.status == "success")}
        twice = method == "void" and (self.executes_twice or "second-void" in self.differs)
        return "captured" if "capture" in ended else "voided" if "void" in ended and not twice else None
