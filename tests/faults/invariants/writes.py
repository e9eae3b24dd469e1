"""After each write of a record: is the new one allowed after the old one, and is it true?"""

from typing import TYPE_CHECKING

from tests.faults.invariants.harm import Harm
from tests.faults.record import RANK, Record
from tests.faults.runtime import Actor, Function
from tests.faults.views import LAG_MS

if TYPE_CHECKING:
    from tests.faults.invariants.watch import Watch
    from tests.faults.simulation import Simulation

LONGEST_QUERY_MS = 20_000


class Writes:
    """The invariants of a single record over time."""

    def __init__(self, watch: "Watch", sim: "Simulation") -> None:
        self._watch, self._sim = watch, sim
        self.attempts: dict[tuple[str, int], set[str]] = {}
        """The ids of each attempt of an order, of any project."""
        self.reasons: set[tuple[str | None, str | None]] = set()
        """Each attempt with the reason of its failure, once that is durable."""
        self.keys: dict[tuple[str, str, str], tuple[str | None, str | None]] = {}
        """Project, order and key, with the body that they stand for."""
        self.currencies: set[tuple[str, str | None]] = set()

    def check(self, actor: Actor | None, old: Record | None, new: Record) -> None:
        """After one write."""
        self._truth(new)
        if old is not None and old.state == "voided" and new.state != "voided":
            self._watch.violation(Harm.DISAGREEMENT, "voided changed")
        if self._sim.baseline:
            return
        self._remember(actor, new)
        self._indexes(new)
        self._ids(new)
        if new.resend_allowed and new.state not in ("submitting", "unknown"):
            self._watch.violation(Harm.DOUBLE_VOID, f"a resend is allowed though {new.state}")
        if not new.history or new.history[-1][1] != new.state:
            self._watch.violation(Harm.DISAGREEMENT, "the history does not explain the state")
        if old is not None:
            self._change(old, new)

    def _truth(self, new: Record) -> None:
        if new.state == "voided" and not self._watch.voided(new):
            self._watch.violation(Harm.WRONG, "voided without a void")

    def _remember(self, actor: Actor | None, new: Record) -> None:
        if new.attempt_id is not None:
            self.attempts.setdefault((new.order, new.number), set()).add(new.attempt_id)
        self.currencies.add((new.order, new.currency))
        if new.state == "failed":
            self.reasons.add((new.attempt_id, new.reason))
        for earlier in new.details.get("earlier", ()):
            for attempt_id in self.attempts.get((new.order, earlier["number"]), ()):
                self.reasons.add((attempt_id, earlier["reason"]))
        submits = actor is not None and actor.function is Function.SUBMIT and actor.attempt_id == new.attempt_id
        if actor is not None and submits and actor.ask is not None and actor.ask.key:
            name = new.pos_id, new.order, actor.ask.key
            self.keys.setdefault(name, (actor.ask.comment, actor.ask.currency))

    def _indexes(self, new: Record) -> None:
        is_open, item = not new.settled, new.item
        if is_open and not item.get("due_pk", {}).get("S", "").startswith("DUE"):
            self._watch.violation(Harm.LOST, f"{new} is not in the index of what is open")
        if not is_open and item.get("due_pk", {}).get("S", "").startswith("DUE"):
            self._watch.violation(Harm.LOST, f"{new} is in the index of what is open")
        if new.review != ("review_pk" in item):
            self._watch.violation(Harm.LOST, "for a person to look at, and not in the index of reviews")

    def _ids(self, new: Record) -> None:
        """All that it knows comes from its own order in its own project."""
        own = {
            name
            for one in self._sim.bank.ledger
            if one.project.pos_id == new.pos_id and one.order == new.order
            for name in (f"op-{one.number}", f"tx-{one.number}", "")
        }
        shown = new.provider or {}
        foreign = {*new.ids, *(shown[name] for name in ("operation_id", "transaction_id") if shown.get(name))} - own
        if foreign or shown.get("order_id", new.order) != new.order:
            self._watch.violation(Harm.DISAGREEMENT, "another order's or another project's answer is in the record")
        currency = shown.get("currency")
        if new.state == "voided" and currency not in (None, new.currency) and not new.review:
            self._watch.violation(Harm.LOST, "voided in another currency, and no person is told")

    def _change(self, old: Record, new: Record) -> None:
        before, after = old.history, new.history
        claimed = old.attempt_id != new.attempt_id
        if after[: len(before)] != before and not (claimed and old.reached_nothing):
            self._watch.violation(Harm.DISAGREEMENT, "the history was rewritten")
        if new.number < old.number:
            self._watch.violation(Harm.DISAGREEMENT, "the attempt went down")
        if new.resend_allowed and not old.resend_allowed and self._taken(new):
            self._watch.violation(Harm.DOUBLE_VOID, "a resend is allowed beside a capture that is under way")
        if claimed:
            self._claim(old)
        elif RANK[new.state] < RANK[old.state]:
            self._watch.violation(Harm.DISAGREEMENT, f"{old.state} went down to {new.state}")
        if old.state == "failed" and new.state == "voided" and not new.corrected:
            self._watch.violation(Harm.DISAGREEMENT, "failed became voided without `corrected`")
        if old.review and not new.review:
            self._watch.violation(Harm.LOST, "a review was forgotten")

    def _taken(self, new: Record) -> bool:
        """Is a capture done or under way for longer than a query lags?"""
        seen = self._sim.runtime.now - LAG_MS - LONGEST_QUERY_MS
        return any(
            one.method == "capture" and one.live and one.made_at < seen
            for one in self._sim.bank.ledger
            if one.project.pos_id == new.pos_id and one.order == new.order
        )

    def _claim(self, old: Record) -> None:
        """A new attempt: only after one that failed, or with the provider's word that nothing arrived."""
        if old.state in ("pending", "voided") or (not old.settled and not old.resend_allowed):
            self._watch.violation(Harm.DOUBLE_VOID, f"claimed while {old.state}")
        if old.reason == "already-captured":
            self._watch.violation(Harm.DOUBLE_VOID, "claimed after a capture")
        if old.under_way:
            self._watch.violation(Harm.DOUBLE_VOID, "claimed beside a void that a webhook showed under way")
