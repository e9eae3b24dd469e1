"""The provider: projects with their credentials, a ledger, POSTs on their way, and webhooks to be delivered.

What it does is here; how it says so, in bytes, is in `answers` and `views`.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import unquote

from payments.signatures import sign_webhook
from tests.faults.runtime import START, Actor

HOUR_MS, DAY_MS = 3_600_000, 86_400_000
LATENESS_MS = 120_000
"""A POST lands within this time of leaving, where lateness is bounded."""
FINAL = ("success", "failure")


@dataclass(slots=True, eq=False)
class Project:
    """A merchant's project: test or live."""

    name: str
    pos_id: str
    keys: int = 1
    """How often its credentials were issued."""

    @property
    def credentials(self) -> dict[str, str]:
        """What the portal shows now."""
        mark = f"sentinel-{self.name}-{self.keys}"
        return {
            "pos_id": self.pos_id,
            "api_key": f"{mark}-key",
            "api_secret": f"{mark}-secret",
            "endpoints_key": f"{mark}-endpoints",
        }


@dataclass(slots=True, eq=False)
class Operation:
    """One operation in the ledger, with all its statuses."""

    number: int
    method: str
    project: Project
    order: str
    currency: str
    changes: list[tuple[int, str]]
    attempt_id: str | None = None
    """Whose POST made it; None: it was made in the portal."""
    silent: bool = False
    """No webhook tells of it."""
    told_at: int | None = None
    """When a webhook about it was first answered 200."""

    @property
    def status(self) -> str:
        """As it is now."""
        return self.changes[-1][1]

    @property
    def made_at(self) -> int:
        """Since when it exists."""
        return self.changes[0][0]

    def status_at(self, moment: int) -> str | None:
        """As it was then; None: it did not exist yet."""
        known = [status for at, status in self.changes if at <= moment]
        return known[-1] if known else None

    @property
    def live(self) -> bool:
        """Done, or it may still be."""
        return self.status != "failure"

    def __str__(self) -> str:
        return f"{self.method} {self.number}"


@dataclass(slots=True, eq=False)
class Post:
    """A void's POST on its way."""

    actor: Actor
    attempt_id: str | None
    key: str | None
    left_at: int
    pos_id: str
    """The project of the record that it rests on."""
    project: Project | None = None
    """None: these credentials are nobody's."""
    order: str = ""
    currency: str = ""
    executed: bool = False
    landed: bool = False

    @property
    def deadline(self) -> int:
        """When it has landed or is lost."""
        return self.left_at + LATENESS_MS

    @property
    def heard(self) -> bool:
        """Does anybody wait for its answer?"""
        return self.actor.alive and self.actor.post is self


@dataclass(slots=True, eq=False)
class Delivery:
    """A webhook to be delivered."""

    operation: Operation
    status: str
    secret: str
    form: str = "as documented"
    tries: int = 0
    forged: bool = False

    def __str__(self) -> str:
        form = "" if self.form == "as documented" else f", {self.form}"
        return f"webhook: {self.operation} {self.status}{form}"


@dataclass(slots=True)
class FinancialLine:
    """All that the provider knows."""

    now: Callable[[], int]
    changed: Callable[[], None]
    """Called after each change of the ledger."""
    projects: dict[str, Project]
    ledger: list[Operation] = field(default_factory=list)
    posts: list[Post] = field(default_factory=list)
    landed: list[Post] = field(default_factory=list)
    deliveries: list[Delivery] = field(default_factory=list)
    lying: bool = False
    """It announces a failure first, whatever happened."""
    signs_with: str | None = None
    """The secret of its webhooks, if it is not the current one."""
    executes_twice: bool = False
    """A second void of an order is executed, too."""

    def hold(self, project: Project, order: str, currency: str = "UAH") -> Operation:
        """A successful auth, made before everything else."""
        changes = [(START - 60_000, "success")]
        operation = Operation(len(self.ledger), "auth", project, order, currency, changes)
        self.ledger.append(operation)
        return operation

    def operate(
        self,
        method: str,
        status: str,
        project: Project,
        order: str,
        currency: str,
        attempt_id: str | None = None,
        *,
        announced: bool = True,
    ) -> Operation:
        """Something happens to an order, and is announced."""
        changes = [(self.now(), status)]
        operation = Operation(len(self.ledger), method, project, order, currency, changes, attempt_id)
        self.ledger.append(operation)
        operation.silent = not announced
        self.announce(operation)
        self.changed()
        return operation

    def resolve(self, operation: Operation, status: str) -> None:
        """What was under way ends."""
        operation.changes.append((self.now(), status))
        self.announce(operation)
        self.changed()

    def announce(self, operation: Operation) -> None:
        """A webhook will tell of it."""
        if operation.silent:
            return
        if operation.method == "void" and self.lying and operation.status == "success":
            self.deliveries.append(self.delivery(operation, "failure"))
        self.deliveries.append(self.delivery(operation, operation.status))

    def delivery(self, operation: Operation, status: str) -> Delivery:
        """Signed with the secret of its project."""
        return Delivery(operation, status, self.signs_with or operation.project.credentials["api_secret"])

    def of(self, project: Project, order: str, method: str = "") -> list[Operation]:
        """An order's operations."""
        return [
            one
            for one in self.ledger
            if one.order == order and one.project is project and (not method or one.method == method)
        ]

    def voided(self, project: Project, order: str) -> bool:
        """Is the hold released?"""
        return any(one.status == "success" for one in self.of(project, order, "void"))

    def void_is_live(self, project: Project, order: str) -> bool:
        """Is a void done or under way?"""
        return any(one.live for one in self.of(project, order, "void"))

    def captured(self, project: Project, order: str) -> bool:
        """Was the money taken, or may it be?"""
        return any(one.live for one in self.of(project, order, "capture"))

    def stands(self, project: Project, order: str) -> bool:
        """Is there a hold that a void could release?"""
        held = any(one.status == "success" for one in self.of(project, order, "auth"))
        return held and not self.void_is_live(project, order) and not self.captured(project, order)

    def own(self, order: str) -> list[Operation]:
        """Voids that our POSTs made and that were executed, in any project."""
        return [
            one
            for one in self.ledger
            if one.order == order and one.method == "void" and one.status == "success" and one.attempt_id is not None
        ]

    # ---- requests ----------------------------------------------------------------------------------------------------

    def project_of(self, request: bytes) -> Project | None:
        """Whose credentials a request carries; None: nobody's."""
        names = _headers(request)
        for project in self.projects.values():
            its = project.credentials
            if names.get("x-api-auth") == f"CPAY {its['api_key']}:{its['api_secret']}":
                return project if names.get("x-api-key") == its["endpoints_key"] else None
        return None

    def read_post(self, request: bytes, post: Post) -> None:
        """Understand the request of a POST, as far as it is right."""
        body = json.loads(request.partition(b"\r\n\r\n")[2])
        project = self.project_of(request)
        if project is not None and body["pos_id"].lower() == project.pos_id:
            post.project = project
        post.order, post.currency = body["order_id"], body["order_currency"]

    def read_query(self, request: bytes) -> tuple[Project | None, str]:
        """Whose order a query is about."""
        path = request.split(b" ", 2)[1].decode()
        _, _, _, _, pos_id, _, order = path.split("/")
        project = self.project_of(request)
        return project if project is not None and pos_id.lower() == project.pos_id else None, unquote(order)

    def refuses(self, post: Post) -> str | None:
        """Why a void cannot be made, as the name of an answer; None: it can."""
        if post.project is None:
            return "bad credentials"
        holds = self.of(post.project, post.order, "auth")
        if not holds:
            return "no such order"
        wrong = all(hold.currency != post.currency for hold in holds)
        live = self.void_is_live(post.project, post.order) and not self.executes_twice
        return "refused" if wrong or live or self.captured(post.project, post.order) else None


def _headers(request: bytes) -> dict[str, str]:
    head = request.partition(b"\r\n\r\n")[0].decode("latin-1")
    pairs = (line.partition(": ") for line in head.split("\r\n")[1:])
    return {name.lower(): value for name, _, value in pairs}


def fields(operation: Operation, status: str | None = None, **more: object) -> dict[str, object]:
    """An operation as the provider shows it."""
    return {
        "operation_id": f"op-{operation.number}", "payment_id": f"pay-{operation.project.name}-{operation.order}",
        "order_id": operation.order, "transaction_id": f"tx-{operation.number}", "pos_id": operation.project.pos_id,
        "mode": "direct", "method": operation.method, "amount": 100, "currency": operation.currency,
        "status": status or operation.status, "status_code": "1009", "gateway_order_id": "gw-1", **more,
    }  # fmt: skip


def sign(delivery: Delivery, data: bytes) -> bytes:
    """With the secret of the project, as it was when the webhook was made."""
    return sign_webhook("forged" if delivery.forged else delivery.secret, data)
