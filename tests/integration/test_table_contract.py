"""What `payments.store` asks of a table, held against the engine of the local run and against the table in memory.

A fake that answered otherwise than the engine would make every test that stands on it worthless.
"""

import time
from collections.abc import Iterator
from copy import replace
from typing import Any
from uuid import uuid4

import pytest

from local.service import Service
from payments import evidence
from payments.deadline import Deadline
from payments.facts import Evidence, State
from payments.items import DUE, shards, timestamp
from payments.orders import Order, Source, StoredWebhook
from payments.reviews import Reason, Review
from payments.store import Store
from systems import TimedClient
from tests.fakes import pipe
from tests.fakes import scene as make
from tests.fakes.table import Table
from tests.integration.client import table_like_the_deployed

NOW = 1_790_000_000_000


def clock() -> int:
    return time.monotonic_ns() // 1_000_000


def soon() -> Deadline:
    return Deadline(clock() + 20_000, clock)


@pytest.fixture(params=["engine", "memory"])
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    if request.param == "memory":
        yield Store(Table(), "table")
        return
    service: Service = request.getfixturevalue("service")
    with table_like_the_deployed(service) as name:
        yield Store(TimedClient(service.client("dynamodb")), name)


@pytest.fixture
def intent() -> Order:
    """The intent for an order that nobody else uses."""
    return make.submitting(NOW, order_id=uuid4().hex)


def success(order: Order, **more: Any) -> StoredWebhook:
    operation = make.operation(order_id=order.order_id, **more)
    return StoredWebhook(uuid4().hex, NOW, "AWSCURRENT", operation)


def voided(order: Order) -> tuple[Order, StoredWebhook]:
    """The order as voided by an answer, and the webhook that says the same."""
    webhook = success(order)
    facts = evidence.answered(order.facts, 1, make.answer(order_id=order.order_id), NOW)
    return order.learnt(facts, Source(Evidence.ANSWER, NOW)), webhook


def place(order: Order) -> int:
    """In an index."""
    assert order.void is not None
    return order.void.due_at or order.void.settled_at or 0


def there(store: Store, order: Order) -> Order:
    found = store.load(order.pos_id, order.order_id, soon())
    assert found is not None
    return found


def test_an_order_comes_back_as_it_was_written(store: Store, intent: Order) -> None:
    webhook = success(intent, amount="100.00")
    written = store.write(intent.with_webhook(webhook), "w1", soon())
    assert there(store, intent) == written
    assert (written.write_id, written.webhooks) == ("w1", {webhook.digest: webhook})


def test_of_two_writes_one_counts_and_the_other_learns_of_it_unless_it_is_the_same(store: Store, intent: Order) -> None:
    review = (Review(Reason.SECOND_VOID, "order", NOW),)
    first = store.write(intent, "w1", soon())
    assert first.write_id == "w1"
    assert store.write(intent, "w1", soon()) == first
    assert store.write(replace(intent, reviews=review), "w2", soon()) == first
    second = store.write(replace(first, reviews=review), "w2", soon())
    assert second.write_id == "w2"
    assert store.write(voided(first)[0], "w3", soon()) == second, "it had read an old version"
    assert there(store, intent) == second


def test_a_webhook_that_adds_nothing_is_appended_once_without_a_read(store: Store, intent: Order) -> None:
    order, webhook = voided(intent)
    before = store.write(order, "w1", soon())
    assert store.append_webhook(intent.pos_id, webhook, "w2", soon()) is True
    merged = before.with_webhook(webhook)
    after = replace(merged, facts=before.facts, version=before.version + 1, write_id="w2")
    assert there(store, intent) == after
    assert store.append_webhook(intent.pos_id, webhook, "w3", soon()) == after
    second = webhook._replace(digest=uuid4().hex)
    assert store.append_webhook(intent.pos_id, second, "w4", soon()) is True
    assert there(store, intent).webhooks.keys() == {webhook.digest, second.digest}


def test_a_webhook_that_may_add_something_is_not_appended(store: Store, intent: Order) -> None:
    for state in State:
        order = pipe.order_in(state, uuid4().hex)
        if state is not State.VOIDED:
            before = store.write(order, "w1", soon())
            assert store.append_webhook(order.pos_id, success(order), "w2", soon()) == before, state
            assert there(store, order) == before, state
    assert store.append_webhook(intent.pos_id, success(intent), "w", soon()) is None
    assert store.load(intent.pos_id, intent.order_id, soon()) is None


def test_no_more_than_a_hundred_webhooks_are_appended(store: Store, intent: Order) -> None:
    order, webhook = voided(intent)
    many = {str(number): webhook._replace(digest=str(number)) for number in range(99)}
    store.write(replace(order, webhooks=many), "w1", soon())
    assert store.append_webhook(intent.pos_id, webhook, "w2", soon()) is True
    assert store.append_webhook(intent.pos_id, webhook._replace(digest="x"), "w3", soon()) is not True


def test_what_is_open_is_due_in_its_order_and_what_is_settled_is_not(store: Store) -> None:
    orders = [
        store.write(make.submitting(NOW + number, order_id=f"{number}-{uuid4().hex[:20]}"), f"w{number}", soon())
        for number in range(1, 41)
    ]
    begin = NOW + 25_000
    seen: list[int] = []
    for shard in shards(DUE):
        here = list[int]()
        page, start = store.due(shard, begin + 30, 2, None, soon())
        while page.orders:
            here += [place(order) - begin for order in page.orders]
            if start is None:
                break
            page, start = store.due(shard, begin + 30, 2, start, soon())
        assert here == sorted(here)
        seen += here
        waiting = [place(order) - begin for order in store.waiting(shard, begin + 20, soon())]
        assert max(waiting, default=0) >= max(here, default=0)
        first = waiting[1] if len(waiting) > 1 else 41
        assert first == min((due for due in here if due > 20), default=max(first, 31))
    assert sorted(seen) == list(range(1, 31))
    for order in orders:
        store.write(voided(order)[0], uuid4().hex, soon())
    assert [order for shard in shards(DUE) for order in store.due(shard, begin + 50, 10, None, soon())[0].orders] == []


@pytest.mark.parametrize("which", ["unsettled", "settled"])
def test_a_list_goes_through_all_shards_page_by_page(store: Store, which: Any) -> None:
    names = sorted(f"{number}-{uuid4().hex[:20]}" for number in range(25))
    for number, name in enumerate(names):
        order = make.submitting(NOW + number // 5, order_id=name)
        store.write(order if which == "unsettled" else voided(order)[0], uuid4().hex, soon())
    for limit in (1, 7, 100):
        page = store.list(which, timestamp(NOW)[:10], limit, None, soon())
        seen = list(page.orders)
        while page.cursor is not None:
            page = store.list(which, timestamp(NOW)[:10], limit, page.cursor, soon())
            seen += page.orders
        assert sorted(order.order_id for order in seen) == names, limit
        places = [place(order) for order in seen]
        assert places == sorted(places), limit
