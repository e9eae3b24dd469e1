"""How a schedule ends: nothing goes wrong any more, settle runs find the truth, and then everything is compared."""

from dataclasses import replace
from typing import TYPE_CHECKING

from tests.faults import events
from tests.faults.events import Continue, Deliver, GiveUp, Land
from tests.faults.financial_line import DAY_MS
from tests.faults.invariants import told
from tests.faults.invariants.harm import Harm
from tests.faults.invariants.rest import AtRest, same
from tests.faults.merchant import CURRENCY, Obedient
from tests.faults.record import Record
from tests.faults.views import LAG_MS

if TYPE_CHECKING:
    from tests.faults.simulation import Simulation

MOST_STEPS = 400
MOST_RUNS = 24
MOST_ASKS = 12
CACHED_MS = 60_000
"""How old a copy of the secret may be."""
LASTING = ("state", "reason", "review", "corrected", "resend_allowed", "attempt", "provider", "due_pk")
FINISH: tuple[type[events.Event], ...] = (Continue, Land, GiveUp, Deliver)


def come_to_rest(sim: "Simulation") -> None:
    """Bring the schedule to its end, and check it."""
    sim.quiet = True
    sim.note_end()
    sim.say("-- at rest --")
    finish(sim)
    if not sim.config.stuck:
        for operation in sim.under_way():
            operation.changes.append((sim.runtime.now, "success"))
    sim.watch.ledger_changed()
    sim.outages.clear()
    sim.forward(sim.runtime.now + max(LAG_MS, CACHED_MS) + 1)
    rest = AtRest(sim)
    _settle_all(sim, rest)
    sim.note_end()
    checks = [rest.against_ledger, sim.watch.told.at_rest]
    if not sim.baseline:
        checks += [
            lambda: _look_again(sim), lambda: _refresh(sim, rest), lambda: _lists(sim, rest),
            lambda: _same_end(sim), lambda: _repeat_webhooks(sim), lambda: _obey(sim, rest),
        ]  # fmt: skip
    for check in checks:
        if not sim.watch.violations:
            check()
    rest.secrets()


def finish(sim: "Simulation") -> None:
    """Without faults and without new requests, until nobody moves."""
    for _ in range(MOST_STEPS):
        event = next((event for kind in FINISH for event in kind.possible(sim)), None)
        if event is None or sim.watch.violations:
            return
        sim.say(str(event))
        event.happen(sim)


def _settle_all(sim: "Simulation", rest: AtRest) -> None:
    for _ in range(MOST_RUNS * len(sim.records)):
        waiting = _to_settle(sim)
        if not waiting or sim.watch.violations:
            return
        sim.forward(max(sim.runtime.now, min(record.due_at or 0 for record in waiting)) + abs(sim.config.skew))
        sim.say("settle_voids runs")
        sim.settle()
        finish(sim)
        if not sim.baseline:
            rest.reviewed_in_time()
        if all(_older_than(sim, record, 2 * DAY_MS) for record in waiting):
            return


def _to_settle(sim: "Simulation") -> list[Record]:
    """What is open, and what has failed with something that a webhook wants looked at."""
    soon = sim.runtime.now + DAY_MS // 2
    return [
        record
        for record in sim.records.values()
        if record.due_at is not None and (not record.settled or record.due_at < soon)
    ]


def _older_than(sim: "Simulation", record: Record, ms: int) -> bool:
    return sim.runtime.now > record.known_since + ms


def _look_again(sim: "Simulation") -> None:
    """A failed void beside a success is found by the later checks."""
    for name, record in list(sim.records.items()):
        if record.state != "failed" or record.due_at is None or not sim.watch.voided(record):
            continue
        if record.pos_id not in sim.watch.projects_known():
            continue
        for _ in range(3):
            now = sim.records[name]
            if now.due_at is None:
                break
            sim.forward(max(sim.runtime.now, now.due_at))
            sim.settle()
            finish(sim)
        if sim.records[name].state != "voided":
            sim.watch.violation(Harm.LOST, f"{sim.records[name]} beside a success, though it was looked at again")


def _refresh(sim: "Simulation", rest: AtRest) -> None:
    """The API is asked about each order, and asks the provider."""
    sim.forward(sim.runtime.now + 5_001)
    for order in sim.orders:
        shown = sim.shown_record(order)
        if shown is None:
            continue
        if shown.state != "voided":
            sim.say(f"a refresh of {order}")
            sim.read(order, refresh=True)
            finish(sim)
        shown = sim.records.get((shown.pos_id, shown.order))
        if shown is not None:
            rest.after_refresh(shown)


def _lists(sim: "Simulation", rest: AtRest) -> None:
    for state, wanted in (("unsettled", lambda r: not r.settled), ("review", lambda r: r.review)):
        if any(wanted(record) for record in sim.records.values()):
            rest.listed(state, _all_pages(sim, state))


def _all_pages(sim: "Simulation", state: str) -> set[tuple[str, str]]:
    shown: set[tuple[str, str]] = set()
    cursor: str | None = None
    for _ in range(20):
        answer = told.read(sim.read_list(state, cursor))
        if answer.status != 200:
            sim.watch.violation(Harm.WRONG, f"a list was answered {answer.status}")
            break
        shown |= {(void["pos_id"], void["order_id"]) for void in answer.body["voids"]}
        cursor = answer.body["cursor"]
        if cursor is None:
            break
    return shown


def _repeat_webhooks(sim: "Simulation") -> None:
    """Every webhook again: the first time may still fill a gap, the second may change nothing at all."""
    if sim.config.permute:
        return  # there the schedule itself repeats them
    for again in (False, True):
        before = dict(sim.table.items)
        for delivery in sim.accepted[:]:
            sim.deliver(delivery)
            finish(sim)
        if all(same(before.get(key), item) for key, item in sim.table.items.items()):
            return
        if again:
            sim.watch.violation(Harm.DISAGREEMENT, "a second delivery changed the record")


def _same_end(sim: "Simulation") -> None:
    if sim.config.permute and sim.ends != sim.ends_in_first_order():
        sim.watch.violation(Harm.DISAGREEMENT, "another order of the same webhooks ends otherwise")


def _obey(sim: "Simulation", rest: AtRest) -> None:
    """Where a hold stands, a merchant who follows our documentation gets it released, whichever key he begins with."""
    for order in sim.orders:
        for ask in dict.fromkeys(ask for ask in sim.config.asks if ask.order == order):
            if not sim.bank.stands(sim.project, order) or sim.watch.violations:
                break
            merchant = Obedient(replace(ask, currency=CURRENCY), MOST_ASKS)
            sim.say(f"-- the merchant follows our documentation, beginning with {ask} --")
            _follow(sim, merchant)
            rest.obeyed(order, merchant.end)


def _follow(sim: "Simulation", merchant: Obedient) -> None:
    sim.merchant = merchant
    while merchant.next() is not None and not sim.watch.violations:
        sim.forward(max(sim.runtime.now, merchant.not_before))
        if sim.due():
            sim.say("settle_voids runs")
            sim.settle()
            finish(sim)
        sim.request()
        finish(sim)
