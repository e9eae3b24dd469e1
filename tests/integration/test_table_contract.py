"""What `payments.store` asks of a table, held against the engine of the local run and against the table in memory.

A fake that answered otherwise than the engine would make every test that stands on it worthless.
"""

import time
from copy import replace
from typing import Any
from uuid import uuid4

import pytest

from local.service import Service
from payments import evidence
from payments.deadline import Deadline
from payments.facts import Evidence, State
from payments.items import DUE, shards, timestamp
from payments.orders import Order, Source, StoredWebhook, Void, size_of
from payments.reviews import Reason, Review
from payments.store import Conflict, Store, Written
from systems import TimedClient
from tests.fakes import pipe
from tests.fakes import scene as make
from tests.fakes.table import Table

NOW = 1_790_000_000_000


def clock() -> int:
    return time.monotonic_ns() // 1_000_000


def soon() -> Deadline:
    return Deadline(clock() + 20_000, clock)


@pytest.fixture(params=["engine", "memory"])
def store(request: pytest.FixtureRequest) -> Store:
    if request.param == "engine":
        service: Service = request.getfixturevalue("service")
        return Store(TimedClient(service.client("dynamodb")), own_table(service))
    return Store(Table(), "table")


def own_table(service: Service) -> str:
    """A table like the deployed one: what these tests write must not be due in the running service."""
    client, name = service.client("dynamodb"), f"contract-{uuid4().hex}"
    deployed: Any = client.describe_table(TableName=service.table_name)["Table"]
    indexes = [
        {key: index[key] for key in ("IndexName", "KeySchema", "Projection")}
        for index in deployed["GlobalSecondaryIndexes"]
    ]
    client.create_table(
        TableName=name,
        AttributeDefinitions=deployed["AttributeDefinitions"],
        KeySchema=deployed["KeySchema"],
        GlobalSecondaryIndexes=indexes,
        BillingMode="PAY_PER_REQUEST",
    )
    return name


@pytest.fixture
def intent() -> Order:
    """The intent for an order that nobody else uses."""
    return open_order(uuid4().hex)


def open_order(order_id: str, now: int = NOW) -> Order:
    return make.submitting(now, order_id=order_id)


def success(order: Order, **more: Any) -> StoredWebhook:
    operation = make.operation(order_id=order.order_id, **more)
    return StoredWebhook(uuid4().hex, NOW, "AWSCURRENT", operation)


def voided(order: Order) -> tuple[Order, StoredWebhook]:
    """The order as voided by an answer, and the webhook that says the same."""
    webhook = success(order)
    facts = evidence.answered(order.facts, 1, make.answer(order_id=order.order_id), NOW)
    return order.learnt(facts, Source(Evidence.ANSWER, NOW)), webhook


def of(order: Order) -> Void:
    assert order.void is not None
    return order.void


def reviewed(order: Order) -> Order:
    return replace(order, reviews=(Review(Reason.SECOND_VOID, "order", NOW),))


def test_an_order_comes_back_as_it_was_written(store: Store, intent: Order) -> None:
    webhook = success(intent, amount="100.00")
    written = store.write(intent.with_webhook(webhook, 400), "w1", soon())
    assert isinstance(written, Written)
    found = store.load(intent.pos_id, intent.order_id, soon())
    assert found == written.order
    assert found is not None
    assert found.webhooks == {webhook.digest: webhook}


def test_only_the_first_intent_is_written_and_the_other_learns_of_it(store: Store, intent: Order) -> None:
    first = store.write(intent, "w1", soon())
    assert store.write(reviewed(intent), "w2", soon()) == Conflict(first.order)


def test_a_repetition_of_ones_own_write_is_recognised(store: Store, intent: Order) -> None:
    first = store.write(intent, "w1", soon())
    assert store.write(intent, "w1", soon()) == first


def test_a_write_on_an_old_version_changes_nothing(store: Store, intent: Order) -> None:
    first = store.write(intent, "w1", soon()).order
    second = store.write(reviewed(first), "w2", soon())
    assert isinstance(second, Written)
    assert store.write(voided(first)[0], "w3", soon()) == Conflict(second.order)


def test_a_webhook_that_adds_nothing_is_appended_without_a_read(store: Store, intent: Order) -> None:
    order, webhook = voided(intent)
    before = store.write(order, "w1", soon()).order
    assert store.append_webhook(intent.pos_id, webhook, "w2", soon()) is True
    after = store.load(intent.pos_id, intent.order_id, soon())
    merged = before.with_webhook(webhook, size_of(webhook.operation.fields))
    assert after == replace(merged, facts=before.facts, version=before.version + 1, write_id="w2")
    second = webhook._replace(digest=uuid4().hex)
    assert store.append_webhook(intent.pos_id, second, "w3", soon()) is True
    found = store.load(intent.pos_id, intent.order_id, soon())
    assert found is not None
    assert found.webhooks.keys() == {webhook.digest, second.digest}


def test_the_same_webhook_again_is_not_appended_and_brings_the_order(store: Store, intent: Order) -> None:
    order, webhook = voided(intent)
    store.write(order, "w1", soon())
    store.append_webhook(intent.pos_id, webhook, "w2", soon())
    after = store.load(intent.pos_id, intent.order_id, soon())
    assert store.append_webhook(intent.pos_id, webhook, "w3", soon()) == after


@pytest.mark.parametrize("state", [state for state in State if state is not State.VOIDED])
def test_a_webhook_that_may_add_something_is_not_appended(store: Store, state: State) -> None:
    order = pipe.order_in(state, uuid4().hex)
    before = store.write(order, "w1", soon()).order
    assert store.append_webhook(order.pos_id, success(order), "w2", soon()) == before
    assert store.load(order.pos_id, order.order_id, soon()) == before


def test_a_webhook_of_an_order_that_is_not_there_is_not_appended(store: Store, intent: Order) -> None:
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
        store.write(open_order(f"{number}-{uuid4().hex[:20]}", NOW + number), f"w{number}", soon()).order
        for number in range(1, 41)
    ]
    begin = NOW + 25_000
    seen: list[int] = []
    for shard in shards(DUE):
        start, here = None, list[int]()
        while True:
            page, start = store.due(shard, begin + 30, 2, start, soon())
            here += [(of(order).due_at or 0) - begin for order in page.orders]
            if start is None:
                break
        assert here == sorted(here)
        seen += here
        last = store.due_last(shard, soon())
        assert last is None or (of(last).due_at or 0) - begin >= max(here, default=0)
        after = store.due_after(shard, begin + 20, soon())
        first = (of(after).due_at or 0) - begin if after is not None else 41
        assert first == min((due for due in here if due > 20), default=max(first, 31))
    assert sorted(seen) == list(range(1, 31))
    for order in orders:
        store.write(voided(order)[0], uuid4().hex, soon())
    assert [store.due(shard, begin + 50, 10, None, soon())[0].orders for shard in shards(DUE)] == [()] * len(
        shards(DUE)
    )


@pytest.mark.parametrize("limit", [1, 7, 100])
@pytest.mark.parametrize("which", ["unsettled", "settled"])
def test_a_list_goes_through_all_shards_page_by_page(store: Store, which: Any, limit: int) -> None:
    names = sorted(f"{number}-{uuid4().hex[:20]}" for number in range(25))
    for number, name in enumerate(names):
        order = open_order(name, NOW + number // 5)
        store.write(order if which == "unsettled" else voided(order)[0], uuid4().hex, soon())
    seen: list[Order] = []
    day, cursor = timestamp(NOW)[:10], None
    while True:
        page = store.list(which, day, limit, cursor, soon())
        seen += page.orders
        cursor = page.cursor
        if cursor is None:
            break
    assert sorted(order.order_id for order in seen) == names
    places = [of(order).due_at or of(order).settled_at or 0 for order in seen]
    assert places == sorted(places)
    for each in seen:  # the engine lives on
        store.write(voided(each)[0], uuid4().hex, soon())
