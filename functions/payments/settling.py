"""Voids that are not known yet, or may have been judged too early: each is leased, queried once, and merged.

Promises that one order's trouble stops no other, and that a void is only asked about with its own project's
credentials. Never sends a void.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from payments import items, rules, schedule
from payments.outside import AWS_CALL_SECONDS, Deadline, Storage, Systems
from payments.record import Order, State, Void
from payments.secret import Credentials, SecretError
from payments.store import Conflict, Merged, StoreError

QUESTION_SECONDS = 19.0
"""A query of 10 s, and the table before and after it."""
MERGE_SECONDS = 3.0
"""Kept free for merging what a query showed."""
REFRESH_EVERY_MS = 5_000
PAGE = 50
LONG_BACKOFF_MS = 3_600_000
"""What waits longer than this was queried at least five times."""


class Run(NamedTuple):
    """What one settle run did."""

    merged: tuple[Merged, ...]
    failed: int
    errors: tuple[Exception, ...]
    """What nobody expected: counted and alarmed, and the order stays due."""
    without_credentials: int
    oldest_ms: int


class Queried(NamedTuple):
    """What one question did."""

    merged: Merged | None = None
    """The order before and after it."""
    failed: bool = False
    error: Exception | None = None
    without_credentials: bool = False


def settle(systems: Systems, until: int, workers: int) -> Run:
    """Query the voids that are due, the longest due first, until none is left or `until` (ms) is near.

    Raises SecretError and StoreError if nothing could be asked at all.
    """
    deadline = Deadline(until, systems.now)
    systems.secret.current(systems.deadline(AWS_CALL_SECONDS))
    done: list[Queried] = []
    failed, oldest = 0, 0
    try:
        with ThreadPoolExecutor(workers, thread_name_prefix="settle") as pool:
            for page in _due(systems, deadline):
                oldest = max([oldest, *(_age(order, systems.now()) for order in page.orders)])
                failed += page.unreadable
                done += pool.map(lambda order: _try(systems, order, deadline), page.orders)
        oldest = max(oldest, _oldest_waiting(systems, deadline))
    except StoreError:
        if not done:
            raise
        failed += 1  # the rest is not listed, but what was done is counted: nobody would count it later
    return Run(
        tuple(each.merged for each in done if each.merged is not None),
        failed + sum(each.failed for each in done),
        tuple(each.error for each in done if each.error is not None),
        sum(each.without_credentials for each in done),
        oldest,
    )


class _DuePage(NamedTuple):
    orders: tuple[Order, ...]
    unreadable: int


def _due(systems: Storage, deadline: Deadline) -> Iterator[_DuePage]:
    """What is due, in pages over all shards; the open voids before those that are only looked at again."""
    began = systems.now()
    for kind in (items.DUE, items.RECHECK):
        places: dict[str, items.Item | None] = dict.fromkeys(items.shards(kind))
        while places and not deadline.over:
            orders: list[Order] = []
            unreadable = 0
            for shard, start in list(places.items()):
                if deadline.left() <= 0:
                    break
                # A time of its own: an answer that comes just after the run's end is no failure of the table.
                by = systems.deadline(AWS_CALL_SECONDS)
                page, places[shard] = systems.store.due(shard, began, PAGE, start, by)
                orders += page.orders
                unreadable += page.unreadable
            places = {shard: start for shard, start in places.items() if start is not None}
            orders.sort(key=lambda order: order.void.due_at or 0 if order.void else 0)
            yield _DuePage(tuple(orders), unreadable)


def _oldest_waiting(systems: Storage, deadline: Deadline) -> int:
    """The age (ms) of the oldest void that is not due.

    One void alone is the farthest, for its backoff grows. Of many that all wait their hours, as after a long outage,
    the farthest is the newest and the oldest is the first to come.
    """
    beyond, oldest = systems.now() + LONG_BACKOFF_MS, 0
    for shard in items.shards(items.DUE):
        if deadline.over:
            break
        by = systems.deadline(AWS_CALL_SECONDS)
        for order in (systems.store.due_last(shard, by), systems.store.due_after(shard, beyond, by)):
            oldest = max(oldest, _age(order, systems.now()) if order is not None else 0)
    return oldest


def _age(order: Order, now: int) -> int:
    void = order.void
    return now - (void.known_since or now) if void is not None and not void.settled else 0


def _try(systems: Systems, order: Order, deadline: Deadline) -> Queried:
    if deadline.over:
        return Queried()
    try:
        return query(systems, order, schedule.schedule_query, systems.deadline(QUESTION_SECONDS))
    except (StoreError, SecretError):
        return Queried(failed=True)
    except Exception as error:  # noqa: BLE001 nothing about one order may stop the others
        return Queried(failed=True, error=error)


def query(systems: Systems, order: Order, lease: Callable[[Void, int], Void], deadline: Deadline) -> Queried:
    """Lease one order, ask the provider once, merge. Raises SecretError, StoreError."""
    void = order.void
    if void is None:
        return Queried()
    credentials = systems.secret.of_project(order.pos_id, deadline)
    leased_void = lease(void, systems.now())
    if credentials is None and not void.settled:
        leased_void = rules.ask_for_review(leased_void)
    leased = systems.store.write(order._replace(void=leased_void), systems.new_id(), deadline)
    if isinstance(leased, Conflict):
        return Queried(Merged(leased.order, leased.order))  # somebody else has just learnt more, or is asking
    if credentials is None:
        return Queried(Merged(order, leased.order), without_credentials=not void.settled)
    try:
        after = _look_up(systems, credentials, leased.order, deadline)
    except StoreError:
        return Queried(Merged(order, leased.order), failed=True)
    except Exception as error:  # noqa: BLE001 whatever this order's answer contains, its lease ends and it is due again
        return Queried(Merged(order, leased.order), failed=True, error=error)
    return Queried(Merged(order, after))


def _look_up(systems: Systems, credentials: Credentials, seen: Order, deadline: Deadline) -> Order:
    began = systems.now()
    view = systems.provider.get_order(credentials, seen.order_id, deadline.earlier_by(MERGE_SECONDS))
    if view is None:
        return seen

    def apply(current: Order) -> Order:
        if current.void is None:
            return current
        unchanged = current.version == seen.version
        return current._replace(void=rules.apply_query(current.void, view, began, unchanged, systems.now()))

    return systems.store.merge(seen, apply, systems.new_id, deadline).after


def refresh(systems: Systems, order: Order, deadline: Deadline) -> Queried:
    """Ask now, unless it is voided, in flight, or was asked a moment ago. Raises SecretError, StoreError."""
    now, void = systems.now(), order.void
    if void is None or void.state is State.VOIDED or now - void.queried_at < REFRESH_EVERY_MS:
        return Queried(Merged(order, order))
    return query(systems, order, schedule.mark_queried, deadline)
