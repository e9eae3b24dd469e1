"""The invariants, checked after every write, every send, every answer, and at rest.

Reads the table and the provider's ledger directly, never through the code under test.
"""

from typing import TYPE_CHECKING, Any

from tests.faults.financial_line import Project
from tests.faults.invariants import told
from tests.faults.invariants.alarms import Alarms
from tests.faults.invariants.harm import Harm
from tests.faults.invariants.sends import Sends
from tests.faults.invariants.told import Told
from tests.faults.invariants.writes import Writes
from tests.faults.record import Record
from tests.faults.runtime import Actor, Function

if TYPE_CHECKING:
    from tests.faults.simulation import Simulation


LAST_QUESTION_MS = 20_000
"""A settle run asks as long as so much of its time is left."""


class Watch:
    """What a schedule violated so far."""

    def __init__(self, sim: "Simulation") -> None:
        self.sim = sim
        self.violations: list[str] = []
        self.shown_at: dict[int, int] = {}
        """When a query's answer that showed a void, by its number, was first taken in."""
        self.writes, self.sends = Writes(self, sim), Sends(self, sim)
        self.told, self.alarms = Told(self, sim), Alarms(self, sim)

    def violation(self, harm: Harm, text: str) -> None:
        """Something is wrong."""
        self.violations.append(f"{harm}: {text}")

    # ---- what the others ask -----------------------------------------------------------------------------------------

    def voided_in(self, pos_id: str, order: str) -> bool:
        """Does the provider say that this hold is released?"""
        bank = self.sim.bank
        return any(bank.voided(each, order) for each in bank.projects.values() if each.pos_id == pos_id)

    def voided(self, record: Record) -> bool:
        """The same for a record."""
        return self.voided_in(record.pos_id, record.order)

    def project_of(self, actor: Actor) -> Project | None:
        """In which project this actor's attempt is."""
        pos_id = self.sim.pos_of(actor)
        return next((each for each in self.sim.bank.projects.values() if each.pos_id == pos_id), None)

    def projects_known(self) -> set[str]:
        """Those whose credentials are in Secrets Manager."""
        return {stage["pos_id"].lower() for stage in self.sim.stages.values()}

    # ---- what happens ------------------------------------------------------------------------------------------------

    def started(self, actor: Actor) -> None:
        """Note how things are when an invocation begins."""
        actor.hurt = self.sim.runtime.now <= actor.instance.hurt_until
        if actor.function is Function.SUBMIT:
            actor.about["foreign_key"] = self.told.foreign_key(actor)
            actor.about["told_before"] = self.told.about_key(actor)
        elif actor.function is Function.WEBHOOK and actor.delivery is not None:
            actor.about["provable"] = self.sim.can_prove(actor.delivery)
        elif actor.function is Function.READ:
            known = self.projects_known()
            actor.about["existed"] = any(order == actor.order and pos in known for pos, order in self.sim.records)
        elif actor.function is Function.SETTLE:
            self._settle_started(actor)

    def _settle_started(self, actor: Actor) -> None:
        """What the run must find."""
        known, now = self.projects_known(), self.sim.runtime.now
        open_now = [record for record in self.sim.records.values() if not record.settled]
        past = now - abs(self.sim.config.skew)
        actor.about["foreign"] = [
            record for record in open_now
            if record.pos_id not in known and record.due_at is not None and record.due_at <= past
        ]  # fmt: skip
        actor.about["due"] = [
            record for record in self.sim.records.values()
            if record.pos_id in known and record.due_at is not None and record.due_at <= past
        ]  # fmt: skip
        actor.about["old"] = [
            record for record in open_now
            if now - record.known_since > 60_000
        ]  # fmt: skip

    def on_write(self, actor: Actor | None, old: Record | None, new: Record) -> None:
        """After each write."""
        self.writes.check(actor, old, new)
        self.alarms.written(actor, old, new)

    def sending(self, actor: Actor) -> None:
        """The first byte of a POST."""
        self.sends.check(actor)

    def ledger_changed(self) -> None:
        """After each change of the ledger."""
        self.sends.ledger_changed()

    def escaped(self, actor: Actor, error: Exception) -> None:
        """An exception left a handler or a thread."""
        self.sim.heard.append(str(error))
        if actor.function is not Function.SETTLE or not actor.hurt:
            self.violation(Harm.WRONG, f"{type(error).__name__} escaped from {actor.function}: {error}")

    def out_of_time(self, actor: Actor) -> None:
        """Its own timeout killed it."""
        if not self.sim.baseline:
            self.violation(Harm.WRONG, f"{actor.function} ran out of its time")

    def ended(self, actor: Actor) -> None:
        """An invocation has ended."""
        if actor.function is Function.SETTLE:
            self._settle_ended(actor)
        elif actor.result is not None:
            self._answered(actor, told.read(actor.result))
        if not self.sim.baseline:
            self.alarms.ended(actor)
        if actor.error is None and not actor.hurt:
            for operation in actor.shown:
                self.shown_at.setdefault(operation.number, self.sim.runtime.now)

    def _answered(self, actor: Actor, answer: told.Answer) -> None:
        kind = actor.result["headers"].get("Content-Type", "")
        if answer.problem and (answer.body["status"] != answer.status or "problem+json" not in kind):
            self.violation(Harm.WRONG, "the problem document and the answer disagree")
        if actor.function is Function.SUBMIT:
            self.told.request(actor, answer)
            if answer.problem == "too-many-attempts" and not self.sim.baseline:
                self.alarms.too_many(actor)
        elif actor.function is Function.WEBHOOK and actor.delivery is not None:
            self.told.webhook(actor, actor.delivery, answer)
        else:
            self.told.reader(actor, answer)

    def _settle_ended(self, actor: Actor) -> None:
        if self.sim.baseline or actor.hurt:
            return
        result: dict[str, Any] | None = actor.result
        in_time = self.sim.runtime.now < actor.ends - LAST_QUESTION_MS
        if in_time and not self.alarms.another_run(actor):
            for old in actor.about["due"]:
                now = self.sim.records[old.pos_id, old.order]
                if now.item["version"] == old.item["version"]:
                    self.violation(Harm.LOST, "a settle run left unasked what was due")
        if result is None or result["failed"]:
            self.violation(Harm.LOST, "a settle run failed though only an order's answer was odd")
