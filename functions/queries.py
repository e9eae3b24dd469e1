"""One question to the provider about an order, for settling, a reader or an operator: leased, asked once, merged.

Promises that an order is only queried with its own project's credentials, and that a question which learnt nothing
new writes nothing more. Never sends a void.
"""

from typing import NamedTuple

from payments import evidence
from payments.deadline import Deadline
from payments.facts import Evidence, State
from payments.orders import Order, Source
from payments.secret import Credentials
from payments.store import Merged
from systems import Storage, Systems
from telemetry import TROUBLE, count_changes, logger, report_crash

MERGE_SECONDS = 3.0
"""Kept free for merging what a query showed."""
REFRESH_EVERY_MS = 5_000


class Queried(NamedTuple):
    after: Order
    """The order as it now stands."""
    writes: tuple[Merged, ...] = ()
    """Before and after each write of ours: what somebody else wrote between them, they have counted."""
    error: Exception | None = None
    without_credentials: bool = False

    def observe(self) -> None:
        """Count what it changed, and log the error that nobody expected."""
        if self.error is not None and not isinstance(self.error, TROUBLE):
            report_crash(self.error)
        for write in self.writes:
            count_changes(write.before.void, write.after.void)


def find(systems: Storage, order_id: str, deadline: Deadline) -> Order | None:
    """The order with its void: the current project's, else the previous one's. Raises SecretError, StoreError."""
    tried: set[str] = set()
    # The copies at hand first. A void that another instance has just accepted may be of a project that they lack.
    for _, credentials in systems.secret.candidates(deadline):
        if credentials.project not in tried:
            tried.add(credentials.project)
            order = systems.store.load(credentials.project, order_id, deadline)
            if order is not None and order.void is not None:
                return order
    return None


def query(systems: Systems, order: Order, deadline: Deadline, *, scheduled: bool) -> Queried:
    """Lease one order, ask the provider once, merge. Raises SecretError, StoreError."""
    credentials = systems.secret.of_project(order.pos_id, deadline)
    now = systems.now()
    facts = evidence.asked(order.facts, now, scheduled=scheduled, credentials=credentials is not None)
    write_id = systems.new_id()
    leased = systems.store.write(order.learnt(facts, Source(Evidence.QUERY, now)), write_id, deadline)
    if leased.write_id != write_id:
        return Queried(leased)  # somebody else has just learnt more, or is asking
    lease = Merged(order, leased)
    if credentials is None:
        return Queried(leased, (lease,), without_credentials=True)
    try:
        merged = _look_up(systems, credentials, leased, deadline)
    except Exception as error:  # noqa: BLE001 whatever this order's answer contains, its lease ends and it is due again
        return Queried(leased, (lease,), error)
    return Queried(merged.after, (lease, merged))


def _look_up(systems: Systems, credentials: Credentials, leased: Order, deadline: Deadline) -> Merged:
    began = systems.now()
    view = systems.provider.get_order(credentials, leased.order_id, deadline.earlier_by(MERGE_SECONDS))
    if isinstance(view, str):
        logger.info("query without an answer", order_id=leased.order_id, cause=view)
        return Merged(leased, leased)

    def apply(current: Order) -> Order:
        facts = evidence.seen(current.facts, view, began, leased.facts)
        after = current.learnt(facts, Source(Evidence.QUERY, systems.now()))
        shown = [order.void and order.void.shown for order in (current, after)]
        if evidence.adds_only_moments(current.facts, facts) and shown[0] is not None and shown[0] == shown[1]:
            return current
        return after

    return systems.store.merge(leased, apply, systems.new_id, deadline)


def refresh(systems: Systems, order: Order, deadline: Deadline) -> Queried:
    """Ask now, unless the provider has confirmed the void or was asked a moment ago. Raises SecretError, StoreError."""
    void = order.void
    if void is None or (void.state is State.VOIDED and not void.by_operator):
        return Queried(order)
    if 0 <= systems.now() - order.facts.asked.latest < REFRESH_EVERY_MS:
        return Queried(order)
    return query(systems, order, deadline, scheduled=False)
