"""What a person must learn is counted when it becomes so: the alarms stand on these metrics."""

from typing import TYPE_CHECKING

from tests.faults.invariants.harm import Harm
from tests.faults.record import Record
from tests.faults.runtime import TABLE_WRITES, Actor, Function

if TYPE_CHECKING:
    from tests.faults.invariants.watch import Watch
    from tests.faults.simulation import Simulation

TROUBLE = ("StoreUnavailable", "SettleFailed", "UnexpectedError", "SecretOutOfReach", "SecretUnusable")
"""Alarms of their own, which ring when a write's fate was not known."""
ALWAYS = frozenset({"SettleRun", "VoidVoided", "WebhookApplied", "WebhookStored", "WebhookDuplicate"})
IF_WHOLE = frozenset({"SettleFailed", "OldestUnsettledSeconds", "CredentialsOfAnotherProject"})


class Alarms:
    """The invariants of what is counted."""

    def __init__(self, watch: "Watch", sim: "Simulation") -> None:
        self._watch, self._sim = watch, sim

    def written(self, actor: Actor | None, old: Record | None, new: Record) -> None:
        """Note what this write must ring."""
        if actor is None:
            return
        wanted: list[str] = actor.about.setdefault("to ring", [])
        if new.review and not (old and old.review):
            wanted.append("VoidReview")
        if new.corrected and not (old and old.corrected):
            wanted.append("VoidCorrected")
        if new.settled and (old is None or old.state != new.state):
            wanted.append("SettledBy")

    def ended(self, actor: Actor) -> None:
        """It has counted, or the trouble that kept it from knowing."""
        rang = any(actor.counted[name] for name in TROUBLE)
        for name in actor.about.get("to ring", ()):
            counted = any(number and each.startswith(name) for each, number in actor.counted.items())
            lost = name == "SettledBy" and actor.silent & TABLE_WRITES
            if not counted and not rang and not lost:
                self._watch.violation(Harm.LOST, f"a void became what {name} counts, and nothing was counted")
        if actor.function is Function.SETTLE:
            self._settled(actor)

    def too_many(self, actor: Actor) -> None:
        """An order that is locked."""
        if not actor.counted["AttemptsUsedUp"]:
            self._watch.violation(Harm.LOST, "locked, and nothing was counted")

    def _settled(self, actor: Actor) -> None:
        reported: set[str] = actor.about.get("reported", set())
        missing = ALWAYS - reported if actor.hurt else (ALWAYS | IF_WHOLE) - reported
        if missing:
            self._watch.violation(Harm.LOST, f"a settle run did not report {', '.join(sorted(missing))}")
        if actor.hurt:
            return
        foreign = any(self._still_open(old) for old in actor.about["foreign"])
        if foreign and not self.another_run(actor) and not actor.counted["CredentialsOfAnotherProject"]:
            self._watch.violation(Harm.LOST, "a void of another project, and nothing was counted")
        if any(self._still_open(old) for old in actor.about["old"]) and not actor.counted["OldestUnsettledSeconds"]:
            self._watch.violation(Harm.LOST, "a void is open, and its age was not reported")

    def _still_open(self, old: Record) -> bool:
        now = self._sim.records[old.pos_id, old.order]
        return not now.settled and now.attempt_id == old.attempt_id

    def another_run(self, actor: Actor) -> bool:
        """Was there a second run, which may have taken an order's lease first, and counted it?"""
        return any(
            other.function is Function.SETTLE
            and other is not actor
            and (other.alive or other.ended_at >= actor.started)
            for other in self._sim.runtime.everybody
        )
