"""The invariants, checked after every write, every send, every answer, and at rest.

Reads the table and the provider's ledger directly, never through the code under test. Names as in docs/faults.md.
"""

import hashlib
from typing import TYPE_CHECKING, Any

from payments import operations
from payments.store import Item
from payments.voids import Result, Submitted
from payments.webhooks import Fate

if TYPE_CHECKING:
    from tests.faults.simulator import Actor, Simulation

RANK = {"submitting": 0, "unknown": 1, "pending": 2, "failed": 3, "voided": 4}
CLAIMABLE = ("not-sent", "throttled", "provider-credentials")
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
        self.keys: dict[str, str | None] = {}
        self.told: list[tuple[str, str | None]] = []

    def violation(self, text: str) -> None:
        self.violations.append(text)

    # ---- after every write -------------------------------------------------------------------------------------------

    def on_write(self, old: Item | None, new: Item) -> None:
        if new["sk"]["S"] != "VOID":
            return
        state = new["state"]["S"]
        if self.sim.baseline:
            self._any_write(old, state)
            return
        settled = RANK[state] >= 3
        if settled == ("due_pk" in new):
            self.violation(f"I7 {state} is {'in' if settled else 'out of'} the sparse index")
        history = new["history"]["L"]
        if not history or history[-1]["M"]["state"]["S"] != state:
            self.violation("I14 the history does not explain the state")
        if state == "voided" and not self._released():
            self.violation("I5 voided without a void")
        actor = self.sim.current
        if (
            actor is not None
            and actor.kind == "request"
            and actor.attempt_id == new.get("attempt_id", {}).get("S")
            and actor.key
        ):
            self.keys.setdefault(actor.key, actor.comment)
        if old is None:
            return
        before = old["state"]["S"]
        if history[: len(old["history"]["L"])] != old["history"]["L"]:
            self.violation("I14 the history was rewritten")
        if before == "voided" and state != "voided":
            self.violation("I4 voided changed")
        if int(new["attempt"]["N"]) < int(old["attempt"]["N"]):
            self.violation("I4 the attempt went down")
        if new.get("attempt_id", {}).get("S") != old.get("attempt_id", {}).get("S"):
            if before == "pending" or (before in ("submitting", "unknown") and not old["resend_allowed"]["BOOL"]):
                self.violation(f"I2 claimed while {before}")
        elif RANK[state] < RANK[before]:
            self.violation(f"I4 {before} went down to {state}")
        if before == "failed" and state == "voided" and not new["corrected"]["BOOL"]:
            self.violation("I4 failed became voided without `corrected`")

    def _any_write(self, old: Item | None, state: str) -> None:
        """What any design can be held to."""
        if state == "voided" and not self._released():
            self.violation("I5 voided without a void")
        if old is not None and old["state"]["S"] == "voided" and state != "voided":
            self.violation("I4 voided changed")

    def _released(self) -> bool:
        return any(o.method == "void" and o.status == "success" for o in self.sim.ledger)

    def _own(self) -> list[str]:
        ledger = self.sim.ledger
        return [
            o.attempt_id for o in ledger if o.method == "void" and o.status == "success" and o.attempt_id is not None
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
            if actor.key and post.key == actor.key and post.actor is not actor and (post.executed or not post.landed):
                self.violation("I10 the same key was sent twice though the first may have been executed")

    def on_ledger(self) -> None:
        if self.sim.config.bounded and len(self._own()) > 1:
            self.violation("I1 double void")

    # ---- after every answer of ours ----------------------------------------------------------------------------------

    def key_taken(self, key: str | None, comment: str | None) -> bool:
        return key is not None and key in self.keys and self.keys[key] != comment

    def on_end(self, actor: "Actor") -> None:
        if actor.kind == "request":
            self._request_ended(actor)
        elif actor.kind == "webhook":
            self._webhook_ended(actor)

    def _request_ended(self, actor: "Actor") -> None:
        result = actor.result
        if not isinstance(result, Submitted):
            if actor.error is not None and actor.sends and not self.sim.baseline:
                self.violation("I13 an error though something was sent")
            return
        void = result.void
        if actor.foreign_key and not self.sim.baseline and result.result is not Result.KEY_MISMATCH:
            self.violation(f"I10 a used key with another body was answered {result.result}")
        if result.result is Result.KEY_MISMATCH and actor.sends:
            self.violation("I10 a mismatch was sent")
        match result.result:
            case Result.VOIDED:
                if not self._released():
                    self.violation("I5 told 200 without a void")
            case Result.NOT_VOIDABLE:
                if (self.sim.config.bounded or void.reason == "refused") and self._own():
                    self.violation("I6 told 409 for good though our void was executed")
                self.told.append((str(void.reason), void.attempt_id))
            case Result.NOT_SENT | Result.THROTTLED | Result.CREDENTIALS:
                if any(post.executed and post.attempt_id == void.attempt_id for post in self.sim.landed):
                    self.violation(f"I6 told {result.result} though the POST was executed")
                self.told.append((str(void.reason), void.attempt_id))
            case Result.IN_PROGRESS if actor.attempt_id and not actor.sends and not self._others(actor):
                self.violation("I6 gave up its own intent: told in-progress, and nobody sends")

    def _others(self, actor: "Actor") -> bool:
        """In the baseline, whose claims carry no name: might another request be the one in progress?"""
        return self.sim.baseline and any(other.kind == "request" and other is not actor for other in self.all)

    def _webhook_ended(self, actor: "Actor") -> None:
        delivery, received = actor.delivery, actor.result
        if delivery is None or actor.error is not None or self.sim.baseline:
            return
        if delivery.forged:
            if received.fate is not Fate.FORGED or actor.writes:
                self.violation("I9 a forged webhook left a trace")
            return
        if received.fate is Fate.FORGED:
            self.violation("I9 a genuine webhook was refused")
            return
        digest = hashlib.sha256(self.sim.data(delivery)).hexdigest()
        if not any(key[1].endswith(digest) for key in self.sim.table.items):
            self.violation("I8 a webhook was answered 200 and is not stored")
        item = self.sim.record()
        if delivery.status == "success" and (item is None or item["state"]["S"] != "voided"):
            self.violation("I11 a success webhook was answered 200 and not applied")

    def asked(self) -> None:
        """After each settle run at rest: by 24 h a person knows, and nothing sleeps through that moment."""
        item = self.sim.record()
        if item is None or "due_at" not in item or item["review"]["BOOL"]:
            return
        day_over = int(item["lease_until"]["N"]) - operations.LEASE_MS + operations.DAY_MS
        if self.sim.now >= day_over or int(item["due_at"]["N"]) > day_over:
            self.violation("I7 open for 24 h, and no person is told")

    # ---- at rest -----------------------------------------------------------------------------------------------------

    def at_rest(self) -> None:
        item, own = self.sim.record(), self._own()
        if item is None:
            if own:
                self.violation("L1 a void was executed and there is no record")
            return
        state = item["state"]["S"]
        if RANK[state] < 3 and not item["review"]["BOOL"]:
            self.violation(f"I7 {state} at rest, and no person is told")
        if state == "voided" and not self._released():
            self.violation("L2 voided, but the provider has no void")
        if own and state != "voided" and self.sim.config.bounded:
            self.violation(f"L1 {state} at rest, but our void was executed")
        if self.sim.config.bounded:
            for reason, attempt_id in self.told:
                if attempt_id in own:
                    self.violation(f"I6 told {reason}, but that attempt was executed")
        if "sentinel" in repr(self.sim.table.items):
            self.violation("I12 a secret is in the table")

    def repeated(self, before: Item | None, after: Item | None) -> None:
        def seen(item: Item | None) -> dict[str, Any] | None:
            return (
                {name: value for name, value in item.items() if name not in ("version", "write_id")} if item else None
            )

        if seen(before) != seen(after):
            self.violation("I11 a second delivery changed the record")


def harm(violation: str) -> str:
    """The column of the table that a violation belongs to."""
    name = violation.split(" ", 1)[0]
    return next(column for column, names in HARM.items() if name in names)


__all__ = ["HARM", "Watch", "harm"]
