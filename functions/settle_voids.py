"""Each minute: query the voids that are open, and re-check those whose end may still be contradicted.

Each is leased, queried once, and merged. Promises that one order's trouble stops no other. Never sends a void.
"""

import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import cold_start  # first: it turns the garbage collector off
from payments import items, settings
from payments.deadline import AWS_CALL_SECONDS, Deadline
from payments.orders import Order
from payments.secret import NO_VALUE, SecretError
from payments.store import StoreError
from queries import Queried, query
from systems import Storage, Systems, now, systems
from telemetry import count, count_trouble, flush, logger, named, report, report_crash

LAST_QUESTION_MS = 20_000
"""A question begins only while this much of the function's time is left: it may take 19 s."""
QUESTION_SECONDS = 19.0
"""A query of 10 s, and the table before and after it."""
PAGE = 50
LONG_BACKOFF_MS = 3_600_000
"""What waits longer than this was queried at least five times."""
HEARTBEAT_MINUTES = 15
NOTHING_DONE = {"queried": 0, "settled": 0, "failed": 0}


class SettleRunFailed(Exception):
    """A defect of ours stopped the run. Raised so that the alarm on errors rings; carries no other error's text."""


def handler(event: Mapping[str, Any], context: Any) -> dict[str, int]:  # noqa: ARG001 Lambda's signature
    """Lambda's entry point. Raises SettleRunFailed.

    While the table or the secret cannot be used, a run ends without an error: errors take a release back.
    """
    until = now() + context.get_remaining_time_in_millis() - LAST_QUESTION_MS
    completed = 0
    try:
        outside = systems()
        _beat(outside)
        done = _observe(*settle(outside, until, settings.settle_workers(os.environ)))
        completed = 1
        return done
    except (SecretError, StoreError) as error:
        count_trouble(error)
        if isinstance(error, SecretError) and error.reason == NO_VALUE:
            completed = 1  # not filled yet: there is nothing to ask with, or about
        return NOTHING_DONE
    except Exception as error:  # noqa: BLE001 its text may quote a record, and would go into the dead-letter queue
        if isinstance(error, settings.SettingsError):
            logger.error("setting unusable", setting=str(error))
        else:
            report_crash(error)
        raise SettleRunFailed(type(error).__name__) from None
    finally:
        report("SettleRun", completed)
        flush()


def _beat(outside: Storage) -> None:
    """Every quarter of an hour something passes the way that settled voids leave by: its silence is an alarm."""
    at = outside.now()
    if at // 60_000 % HEARTBEAT_MINUTES == 0:
        try:
            outside.store.beat(at, outside.deadline(AWS_CALL_SECONDS))
        except StoreError as error:
            count_trouble(error)  # the run goes on: its own reads say whether the table is there


def settle(systems: Systems, until: int, workers: int) -> tuple[list[Queried], int, int]:
    """Query the voids that are due, the longest due first, until none is left or `until` (ms) is near.

    Returns what was queried, how many failed, and the age of the oldest that is open, in milliseconds.
    Raises SecretError and StoreError if nothing could be asked at all.
    """
    deadline = Deadline(until, systems.now)
    systems.secret.current(systems.deadline(AWS_CALL_SECONDS))
    done: list[Queried] = []
    failed, oldest = 0, 0
    try:
        with ThreadPoolExecutor(workers, thread_name_prefix="settle") as pool:
            for orders, unreadable in _due(systems, deadline):
                oldest = max([oldest, *(_age(order, systems.now()) for order in orders)])
                failed += unreadable
                done += pool.map(lambda order: _try(systems, order, deadline), orders)
        oldest = max(oldest, _oldest_waiting(systems, deadline))
    except StoreError:
        if not done:
            raise
        failed += 1  # the rest is not listed, but what was done is counted: nobody would count it later
    return done, failed + sum(each.error is not None for each in done), oldest


def _due(systems: Storage, deadline: Deadline) -> Iterator[tuple[list[Order], int]]:
    """Pages of what is due in all shards, open voids before those that are re-checked; and how many are unreadable."""
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
            yield orders, unreadable


def _oldest_waiting(systems: Storage, deadline: Deadline) -> int:
    """The age (ms) of the oldest void that is not due.

    A single old void is last in the index, because its backoff has grown. After a long outage all wait equally long,
    and the oldest is due first. So both ends are read.
    """
    beyond, oldest = systems.now() + LONG_BACKOFF_MS, 0
    for shard in items.shards(items.DUE):
        if deadline.over:
            break
        waiting = systems.store.waiting(shard, beyond, systems.deadline(AWS_CALL_SECONDS))
        oldest = max([oldest, *(_age(order, systems.now()) for order in waiting)])
    return oldest


def _age(order: Order, now: int) -> int:
    void = order.void
    return now - order.facts.since if void is not None and not void.settled else 0


def _try(systems: Systems, order: Order, deadline: Deadline) -> Queried:
    if deadline.over:
        return Queried(order)
    try:
        return query(systems, order, systems.deadline(QUESTION_SECONDS), scheduled=True)
    except Exception as error:  # noqa: BLE001 nothing about one order may stop the others
        return Queried(order, error=error)


def _observe(done: list[Queried], failed: int, oldest_ms: int) -> dict[str, int]:
    settled = 0
    for each in done:
        each.observe()
        settled += sum(_is_settled(write.after) and not _is_settled(write.before) for write in each.writes)
        void = each.after.void
        if void is not None and len(each.writes) > 1 and each.writes[1].before is not each.writes[1].after:
            queries = each.after.facts.asked.times
            logger.info("void queried", order_id=each.after.order_id, **named(void), queries=queries)
    if failed:
        logger.error("some voids could not be queried", failed=failed)
    count("SettleFailed", failed)
    strangers = sum(each.without_credentials and not _is_settled(each.after) for each in done)
    count("CredentialsOfAnotherProject", strangers)
    if oldest_ms:
        report("OldestUnsettledSeconds", oldest_ms / 1000, "Seconds")
    return {"queried": len(done), "settled": settled, "failed": failed}


def _is_settled(order: Order) -> bool:
    return order.void is not None and order.void.settled


cold_start.finish(systems)
