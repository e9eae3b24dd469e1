"""At rest: each record against the provider's ledger, before and after a refresh; nobody is locked out or forgotten."""

from typing import TYPE_CHECKING

from tests.fakes.table import Item
from tests.faults.invariants.harm import Harm
from tests.faults.record import Record, moment
from tests.faults.views import LAG_MS

if TYPE_CHECKING:
    from tests.faults.simulation import Simulation

TWO_RUNS_MS = 120_000
DAY_MS, WEEK_MS = 86_400_000, 7 * 86_400_000


class AtRest:
    """The invariants when nothing goes wrong any more and everybody has been asked."""

    def __init__(self, sim: "Simulation") -> None:
        self._sim, self._watch = sim, sim.watch

    def reviewed_in_time(self) -> None:
        """After each settle run at rest: by 24 h a person knows, and nothing sleeps through that moment."""
        for record in self._sim.records.values():
            if record.settled or record.review:
                continue
            day_over = record.known_since + DAY_MS + TWO_RUNS_MS
            if self._sim.runtime.now > day_over or (record.due_at or 0) > day_over:
                self._watch.violation(Harm.LOST, "open for 24 h, and no person is told")

    def against_ledger(self) -> None:
        """After the settle runs, before any refresh."""
        for project in self._sim.bank.projects.values():
            for order in self._sim.orders:
                record = self._sim.records.get((project.pos_id, order))
                own = [one for one in self._sim.bank.own(order) if one.project is project]
                if record is None:
                    if own:
                        self._watch.violation(Harm.LOST, "a void was executed and there is no record")
                else:
                    self._one(record, bool(own))

    def _one(self, record: Record, own: bool) -> None:
        released = self._watch.voided(record)
        if not record.settled and not record.review:
            self._watch.violation(Harm.LOST, f"{record.state} at rest, and no person is told")
        if record.state == "voided" and not released:
            self._watch.violation(Harm.DISAGREEMENT, "voided, but the provider has no void")
        refused = record.attempt is not None and "refusal" in record.attempt
        if self._sim.config.missing and refused and not record.settled:
            self._watch.violation(Harm.LOST, f"{record} at rest, though the provider knows no such order")
        if own and record.state != "voided" and self._sim.config.bounded and self._reachable(record):
            self._watch.violation(Harm.LOST, f"{record.state} at rest, but our void was executed")
        if self._sim.baseline or not released or record.state != "failed" or record.reached_nothing:
            return
        if record.due_at is None and not self._looked_at(record):
            self._watch.violation(Harm.LOST, f"{record} beside a success, and nobody looks again")

    def _looked_at(self, record: Record) -> bool:
        """Did the last of the later checks come before the success, or did it see nothing?"""
        done = record.details.get("queried_at", 0)
        bank = self._sim.bank
        success = min(
            one.changes[-1][0] for project in bank.projects.values() if project.pos_id == record.pos_id
            for one in bank.of(project, record.order, "void") if one.status == "success"
        )  # fmt: skip
        week_over = moment(record.item["settled_at"]["S"]) + WEEK_MS
        return (
            record.reason in ("refused", "not-executed")
            and week_over <= done < max(success, self._sim.blind_at) + LAG_MS
        )

    def _reachable(self, record: Record) -> bool:
        return record.pos_id in self._watch.projects_known()

    def after_refresh(self, record: Record) -> None:
        """The provider has said the truth: so does the record."""
        project = next(each for each in self._sim.bank.projects.values() if each.pos_id == record.pos_id)
        voids = self._sim.bank.of(project, record.order, "void")
        released = any(one.status == "success" for one in voids)
        under_way = any(one.live and one.status != "success" for one in voids)
        if released != (record.state == "voided"):
            self._watch.violation(
                Harm.DISAGREEMENT, f"{record} after a refresh that showed {'a' if released else 'no'} success"
            )
        elif not released and under_way and record.settled and not record.under_way:
            self._watch.violation(Harm.DISAGREEMENT, f"{record} after a refresh that showed a void under way")
        elif not released and not under_way and record.state == "pending" and not record.review:
            self._watch.violation(Harm.DISAGREEMENT, "pending after a refresh that showed nothing under way")

    def listed(self, state: str, shown: set[tuple[str, str]]) -> None:
        """What is open or for a person to look at is in the list that the API shows."""
        for name, record in self._sim.records.items():
            wanted = not record.settled if state == "unsettled" else record.review
            if wanted and name not in shown:
                self._watch.violation(Harm.LOST, f"{record} is not in the list of state={state}")

    def obeyed(self, order: str, end: str) -> None:
        """A merchant who followed our documentation, with a hold that stands and a provider that is well."""
        record = self._sim.records.get((self._sim.project.pos_id, order))
        if end != "voided" and not (record is not None and record.review):
            self._watch.violation(
                Harm.LOST,
                f"locked out though he followed our documentation, and no person is told ({end or 'for ever'})",
            )

    def secrets(self) -> None:
        """Every item, log line, answer and exception text: no secret, signature, header or person in it."""
        sim = self._sim
        for what, text in (("the table", repr(sim.table.items)), ("a log or an answer", repr(sim.heard))):
            if "sentinel" in text:
                self._watch.violation(Harm.DISAGREEMENT, f"a secret is in {what}")
            if any(signature in text for signature in sim.signatures):
                self._watch.violation(Harm.DISAGREEMENT, f"a signature is in {what}")


def same(before: Item | None, after: Item | None) -> bool:
    """Nothing but the counters of writes differs."""
    return _lasting(before) == _lasting(after)


def _lasting(item: Item | None) -> Item | None:
    return {name: value for name, value in item.items() if name not in ("version", "write_id")} if item else None
