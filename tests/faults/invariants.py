"""The invariants, checked after every write, every send, every answer, and at rest.

Reads the table and the provider's ledger directly, never through the code under test. Names as in docs/faults.md.
"""

import hashlib
import json
from typing import TYPE_CHECKING, Any

from payments import operations
from payments.store import Item

if TYPE_CHECKING:
    from tests.faults.simulator import Actor, Simulation

RANK = {"submitting": 0, "unknown": 1, "pending": 2, "failed": 3, "voided": 4}
PROBLEMS = {
    "not-voidable": 409, "in-progress": 409, "too-many-attempts": 409, "idempotency-mismatch": 422,
    "currency-mismatch": 422, "throttled": 429, "provider-credentials": 502, "not-sent": 503,
}  # fmt: skip
"""What a merchant whose request is well formed may be told, besides 200 and 202."""
HARM = {
    "double void": ("I1", "I2", "I3"),
    "lost operation": ("I7", "I8", "L1"),
    "wrong answer": ("I5", "I6", "I9", "I10", "I13"),
    "disagreement": ("I4", "I11", "I12", "I14", "L2"),
}


class Watch:
    """What a schedule violated so far, and what must be remembered to tell."""

    def __init__(self, sim: "Simulation") -> None:
        self.sim = sim
        self.violations: list[str] = []
        self.all: list[Actor] = []
        self.sent: set[str] = set()
        self.keys: dict[tuple[str, str], tuple[str | None, str]] = {}
        self.told: list[tuple[str, str | None]] = []
        self.attempts: dict[tuple[str, int], str] = {}
        self.durable: set[tuple[str | None, str | None]] = set()
        """Each attempt with the reason of its failure."""
        self.currencies: set[tuple[str, str | None]] = set()

    def violation(self, text: str) -> None:
        self.violations.append(text)

    # ---- after every write -------------------------------------------------------------------------------------------

    def on_write(self, old: Item | None, new: Item) -> None:
        if new["sk"]["S"] != "VOID":
            return
        state, order = new["state"]["S"], new["order_id"]["S"]
        if self.sim.baseline:
            self._any_write(old, state, order)
            return
        attempt_id = new.get("attempt_id", {}).get("S")
        if attempt_id is not None:
            self.attempts[order, int(new["attempt"]["N"])] = attempt_id
        self.currencies.add((order, new.get("order_currency", {}).get("S")))
        if state == "failed":
            self.durable.add((attempt_id, new.get("reason", {}).get("S")))
        fields = json.loads(new["provider"]["S"]) if "provider" in new else None
        if fields is not None and fields.get("order_id") != order:
            self.violation("I5 another order's data is in the record")
        if (
            state == "voided"
            and fields is not None
            and fields.get("currency") != new.get("order_currency", {}).get("S")
            and not new["review"]["BOOL"]
        ):
            self.violation("I7 voided in another currency, and no person is told")
        settled = RANK[state] >= 3
        if settled == ("due_pk" in new):
            self.violation(f"I7 {state} is {'in' if settled else 'out of'} the sparse index")
        history = new["history"]["L"]
        if not history or history[-1]["M"]["state"]["S"] != state:
            self.violation("I14 the history does not explain the state")
        if state == "voided" and not self._released(order):
            self.violation("I5 voided without a void")
        actor = self.sim.current
        if actor is not None and actor.kind == "request" and actor.attempt_id == attempt_id and actor.key:
            self.keys.setdefault((order, actor.key), (actor.comment, actor.currency))
        if old is None:
            return
        before = old["state"]["S"]
        if history[: len(old["history"]["L"])] != old["history"]["L"]:
            self.violation("I14 the history was rewritten")
        if before == "voided" and state != "voided":
            self.violation("I4 voided changed")
        if int(new["attempt"]["N"]) < int(old["attempt"]["N"]):
            self.violation("I4 the attempt went down")
        if attempt_id != old.get("attempt_id", {}).get("S"):
            if before == "pending" or (before in ("submitting", "unknown") and not old["resend_allowed"]["BOOL"]):
                self.violation(f"I2 claimed while {before}")
        elif RANK[state] < RANK[before]:
            self.violation(f"I4 {before} went down to {state}")
        if before == "failed" and state == "voided" and not new["corrected"]["BOOL"]:
            self.violation("I4 failed became voided without `corrected`")

    def _any_write(self, old: Item | None, state: str, order: str) -> None:
        """What any design can be held to."""
        if state == "voided" and not self._released(order):
            self.violation("I5 voided without a void")
        if old is not None and old["state"]["S"] == "voided" and state != "voided":
            self.violation("I4 voided changed")

    def _released(self, order: str) -> bool:
        return any(o.method == "void" and o.status == "success" for o in self.sim.ledger if o.order == order)

    def _own(self, order: str) -> list[str]:
        """Our attempts that were executed."""
        return [
            o.attempt_id
            for o in self.sim.ledger
            if o.order == order and o.method == "void" and o.status == "success" and o.attempt_id is not None
        ]

    # ---- after every step of the provider ----------------------------------------------------------------------------

    def on_send(self, actor: "Actor") -> None:
        if self.sim.baseline:
            return
        attempt_id = actor.attempt_id
        if attempt_id is None:
            self.violation("I3 a request byte left before the intent was durable")
        elif attempt_id in self.sent:
            self.violation("I2 one attempt was sent twice")
        else:
            self.sent.add(attempt_id)
        for post in self.sim.posts + self.sim.landed:
            again = post.key == actor.key and post.actor is not actor and post.actor.order == actor.order
            if actor.key and again and (post.executed or not post.landed):
                self.violation("I10 the same key was sent twice though the first may have been executed")

    def on_ledger(self) -> None:
        if self.sim.config.bounded and any(len(self._own(order)) > 1 for order in self.sim.orders):
            self.violation("I1 double void")

    # ---- after every answer of ours ----------------------------------------------------------------------------------

    def key_taken(self, order: str, key: str | None, comment: str | None, currency: str) -> bool:
        return key is not None and self.keys.get((order, key), (comment, currency)) != (comment, currency)

    def on_end(self, actor: "Actor") -> None:
        if actor.kind == "settle":
            if not actor.hurt and (actor.result is None or actor.result["failed"]) and not self.sim.baseline:
                self.violation("I13 a settle run failed without a fault")
            return
        if actor.result is None:
            return  # what escaped is a violation already
        status, text = actor.result["statusCode"], actor.result["body"]
        body = json.loads(text) if text else {}
        problem = str(body.get("type", "")).removeprefix("urn:void-service:problem:")
        if problem and (body["status"] != status or "problem+json" not in actor.result["headers"]["Content-Type"]):
            self.violation("I13 the problem document and the answer disagree")
        if actor.kind == "request":
            self._request_ended(actor, status, problem, body)
        elif actor.kind == "webhook":
            self._webhook_ended(actor, status, problem)
        else:
            self._read_ended(actor, status, problem, body)

    def _request_ended(self, actor: "Actor", status: int, problem: str, body: dict[str, Any]) -> None:
        order, baseline = actor.order, self.sim.baseline
        void = body.get("void") if problem else body
        if problem and PROBLEMS.get(problem) != status:
            self.violation(f"I13 a bare {status} {problem}")
            return
        if void is None:
            if not baseline:
                self._nothing_known(actor, status, problem)
            return
        attempt_id = self.attempts.get((order, void["attempt"])) or actor.logged
        reason = void["reason"]
        if actor.foreign_key and not baseline and problem != "idempotency-mismatch":
            self.violation(f"I10 a used key with another body was answered {problem or status}")
        if problem in ("idempotency-mismatch", "currency-mismatch") and actor.sends:
            self.violation("I10 a mismatch was sent")
        if problem in ("not-voidable", "throttled", "provider-credentials", "not-sent"):
            if not baseline and (attempt_id, reason) not in self.durable:
                self.violation(f"I13 told {problem} though no such reason is durable")
            self.told.append((str(reason), attempt_id))
        match problem or status:
            case 200:
                if not self._released(order):
                    self.violation("I5 told 200 without a void")
                if void["state"] != "voided":
                    self.violation(f"I5 told 200 while {void['state']}")
            case 202:
                if RANK[void["state"]] >= 3:
                    self.violation(f"I13 told 202 though {void['state']}")
            case "not-voidable":
                if (self.sim.config.bounded or reason == "refused") and self._own(order):
                    self.violation("I6 told 409 for good though our void was executed")
            case "throttled" | "provider-credentials" | "not-sent":
                if any(post.executed and post.attempt_id == attempt_id for post in self.sim.landed):
                    self.violation(f"I6 told {problem} though the POST was executed")
            case "in-progress":
                if actor.attempt_id and not actor.sends and not self._others(actor):
                    self.violation("I6 gave up its own intent: told in-progress, and nobody sends")
            case "currency-mismatch":
                if not any(of == order and one not in (None, actor.currency) for of, one in self.currencies):
                    self.violation("I6 told currency-mismatch for the record's own currency")
            case "idempotency-mismatch" | "too-many-attempts":
                pass
            case _:
                self.violation(f"I13 a bare {status}")

    def _nothing_known(self, actor: "Actor", status: int, problem: str) -> None:
        """A 503 without a record: right only if nothing was sent, and if the table hid what is durable."""
        if problem != "not-sent" or not actor.hurt:
            self.violation(f"I13 {status} {problem} without a record")
        elif actor.sends:
            self.violation("I13 a bare 503 though something was sent")
        elif actor.attempt_id is not None and not actor.unanswered:
            self.violation("I13 a bare 503 though the intent is durable")

    def _read_ended(self, actor: "Actor", status: int, problem: str, body: dict[str, Any]) -> None:
        order = actor.order
        if status == 200 and not problem:
            if body["state"] == "voided" and not self._released(order):
                self.violation("I5 a read says voided without a void")
        elif status == 404 and problem == "not-found":
            if self.sim.record(order) is not None:
                self.violation("I6 a read says not-found though there is a record")
        elif (status, problem) != (503, "not-sent") or not actor.hurt:
            self.violation(f"I13 a read was answered {status} {problem}")

    def _others(self, actor: "Actor") -> bool:
        """In the baseline, whose claims carry no name: might another request be the one in progress?"""
        return self.sim.baseline and any(other.kind == "request" and other is not actor for other in self.all)

    def _webhook_ended(self, actor: "Actor", status: int, problem: str) -> None:
        delivery = actor.delivery
        if delivery is None or self.sim.baseline:
            return
        if status == 500 and problem == "outcome-unknown" and actor.hurt:
            return
        if status not in (200, 401):
            self.violation(f"I13 a webhook was answered {status} {problem}")
            return
        if delivery.forged:
            if status != 401 or actor.writes:
                self.violation("I9 a forged webhook left a trace")
            return
        if status == 401:
            self.violation("I9 a genuine webhook was refused")
            return
        digest = hashlib.sha256(self.sim.data(delivery)).hexdigest()
        if not any(key[1].endswith(digest) for key in self.sim.table.items):
            self.violation("I8 a webhook was answered 200 and is not stored")
        operation = delivery.operation
        if operation.method != "void" or delivery.status != "success" or operation.pos != self.sim.ledger[0].pos:
            return
        item = self.sim.record(operation.order)
        if item is None or item["state"]["S"] != "voided":
            self.violation("I11 a success webhook was answered 200 and not applied")

    def asked(self) -> None:
        """After each settle run at rest: by 24 h a person knows, and nothing sleeps through that moment."""
        for item in self.sim.open():
            if item["review"]["BOOL"]:
                continue
            day_over = int(item["lease_until"]["N"]) - operations.LEASE_MS + operations.DAY_MS
            if self.sim.now >= day_over or int(item["due_at"]["N"]) > day_over:
                self.violation("I7 open for 24 h, and no person is told")

    # ---- at rest -----------------------------------------------------------------------------------------------------

    def at_rest(self) -> None:
        for order in self.sim.orders:
            self._at_rest(order, self.sim.record(order), self._own(order))
        if self.sim.config.bounded:
            executed = {attempt_id for order in self.sim.orders for attempt_id in self._own(order)}
            for reason, attempt_id in self.told:
                if attempt_id in executed:
                    self.violation(f"I6 told {reason}, but that attempt was executed")

    def _at_rest(self, order: str, item: Item | None, own: list[str]) -> None:
        if item is None:
            if own:
                self.violation("L1 a void was executed and there is no record")
            return
        state = item["state"]["S"]
        if RANK[state] < 3 and not item["review"]["BOOL"]:
            self.violation(f"I7 {state} at rest, and no person is told")
        if state == "voided" and not self._released(order):
            self.violation("L2 voided, but the provider has no void")
        if own and state != "voided" and self.sim.config.bounded:
            self.violation(f"L1 {state} at rest, but our void was executed")

    def secrets(self) -> None:
        """Every item, log line, metric, answer and exception text: no secret, signature, header or person in it."""
        for what, text in (("the table", repr(self.sim.table.items)), ("a log or an answer", repr(self.sim.heard))):
            if "sentinel" in text:
                self.violation(f"I12 a secret is in {what}")
            if any(signature in text for signature in self.sim.signatures):
                self.violation(f"I12 a signature is in {what}")

    def same(self, before: Item | None, after: Item | None) -> bool:
        """Nothing but the counters of writes differs."""

        def seen(item: Item | None) -> dict[str, Any] | None:
            return (
                {name: value for name, value in item.items() if name not in ("version", "write_id")} if item else None
            )

        return seen(before) == seen(after)


def harm(violation: str) -> str:
    """The column of the table that a violation belongs to."""
    name = violation.split(" ", 1)[0]
    return next(column for column, names in HARM.items() if name in names)


__all__ = ["HARM", "Watch", "harm"]
