"""What `payments.store` asks of a table, held against the engine of the local run and against both tables in memory.

A fake that answered otherwise than the engine would make every test that stands on it worthless.
"""

from collections.abc import Callable
from copy import replace
from typing import Any
from uuid import uuid4

import pytest

from local.service import Service
from payments import operations
from payments.operations import Evidence, State, Void
from payments.store import Conflict, Event, Store, Written, timestamp
from tests.fakes import scene as make
from tests.fakes.table import Table
from tests.faults.table import Table as SimulatorsTable

NOW = 1_790_000_000_000


@pytest.fixture(params=["engine", "fake", "simulator"])
def store(request: pytest.FixtureRequest) -> Store:
    if request.param == "engine":
        service: Service = request.getfixturevalue("service")
        return Store(service.client("dynamodb"), own_table(service))
    tables: dict[str, Callable[[], Any]] = {"fake": Table, "simulator": SimulatorsTable}
    return Store(tables[request.param](), "table")


def own_table(service: Service) -> str:
    """A table like the deployed one: what these tests write must not be due in the running service."""
    client, name = service.client("dynamodb"), f"contract-{uuid4().hex}"
    deployed: Any = client.describe_table(TableName=service.table_name)["Table"]

    def like(indexes: list[Any]) -> list[Any]:
        return [{key: index[key] for key in ("IndexName", "KeySchema", "Projection")} for index in indexes]

    client.create_table(
        TableName=name,
        AttributeDefinitions=deployed["AttributeDefinitions"],
        KeySchema=deployed["KeySchema"],
        LocalSecondaryIndexes=like(deployed["LocalSecondaryIndexes"]),
        GlobalSecondaryIndexes=like(deployed["GlobalSecondaryIndexes"]),
        BillingMode="PAY_PER_REQUEST",
    )
    return name


@pytest.fixture
def intent() -> Void:
    """The intent for an order that nobody else uses."""
    return replace(make.submitting(), order_id=uuid4().hex)


def success(void: Void) -> Event:
    operation = make.operation(order_id=void.order_id)
    return Event(uuid4().hex, timestamp(NOW), "AWSCURRENT", operation)


def released(void: Void, event: Event) -> Void:
    created = operations.learn_webhook(None, event.operation, void.pos_id, NOW)
    assert created is not None
    return created


def test_a_record_comes_back_as_it_was_written(store: Store, intent: Void) -> None:
    written = store.create(intent, "w1")
    assert isinstance(written, Written)
    assert store.load(intent.pos_id, intent.order_id) == written.void == replace(intent, version=1, write_id="w1")


def test_only_the_first_intent_is_written_and_the_other_learns_of_it(store: Store, intent: Void) -> None:
    first = store.create(intent, "w1")
    assert store.create(replace(intent, attempt_id="other"), "w2") == Conflict(first.void)


def test_a_repetition_of_ones_own_write_is_recognised(store: Store, intent: Void) -> None:
    first = store.create(intent, "w1")
    assert store.create(intent, "w1") == first


def test_a_write_on_an_old_version_changes_nothing(store: Store, intent: Void) -> None:
    first = store.create(intent, "w1").void
    second = store.replace(replace(first, review=True), "w2")
    assert isinstance(second, Written)
    assert store.replace(replace(first, corrected=True), "w3") == Conflict(second.void)


def test_an_event_is_stored_once(store: Store, intent: Void) -> None:
    event = success(intent)
    assert [store.put_event(intent.pos_id, event) for _ in range(2)] == [True, False]


def test_a_success_releases_an_open_record_in_one_transaction(store: Store, intent: Void) -> None:
    before, event = store.create(intent, "w1").void, success(intent)
    assert store.put_event_and_release(intent.pos_id, event, released(intent, event), uuid4().hex) is None
    after = store.load(intent.pos_id, intent.order_id)
    assert after is not None
    assert (after.state, after.version, after.due_at, after.reason) == (State.VOIDED, before.version + 1, None, None)
    assert (after.attempt, after.attempt_id, after.comment) == (before.attempt, before.attempt_id, before.comment)
    assert (after.provider, after.history[-1].evidence) == (event.operation.fields, Evidence.WEBHOOK)


def test_a_success_without_a_record_makes_one(store: Store, intent: Void) -> None:
    event = success(intent)
    assert store.put_event_and_release(intent.pos_id, event, released(intent, event), uuid4().hex) is None
    record = store.load(intent.pos_id, intent.order_id)
    assert record is not None
    assert (record.state, record.attempt, record.requested_at, record.version) == (State.VOIDED, 0, None, 1)


@pytest.mark.parametrize("state", [State.PENDING, State.FAILED, State.VOIDED])
def test_a_success_that_needs_a_merge_writes_nothing_blindly(store: Store, intent: Void, state: State) -> None:
    before, event = store.create(replace(intent, state=state), "w1").void, success(intent)
    assert store.put_event_and_release(intent.pos_id, event, released(intent, event), uuid4().hex) is not None
    assert store.load(intent.pos_id, intent.order_id) == before
    assert store.put_event(intent.pos_id, event), "the event must not be there either"


def test_another_currency_or_a_repeated_event_is_not_released_blindly(store: Store, intent: Void) -> None:
    event = success(intent)
    store.create(replace(intent, order_currency="USD"), "w1")
    assert store.put_event_and_release(intent.pos_id, event, released(intent, event), uuid4().hex) is not None
    other = replace(intent, order_id=uuid4().hex)
    store.create(other, "w1")
    event = success(other)
    store.put_event(other.pos_id, event)
    assert store.put_event_and_release(other.pos_id, event, released(other, event), uuid4().hex) is not None


def test_what_is_open_is_due_in_its_order_and_what_is_settled_is_not(store: Store, intent: Void) -> None:
    chain = [replace(intent, order_id=f"{number}{uuid4().hex[:20]}", due_at=number) for number in (2, 1, 3)]
    voids = [store.create(void, f"w{void.due_at}").void for void in chain]
    assert [void.due_at for void in store.due(2, 10).voids] == [1, 2]
    for void in voids:
        store.replace(replace(void, state=State.VOIDED, due_at=None), f"x{void.order_id}")
    assert store.due(3, 10).voids == ()


def test_the_timeline_is_the_record_and_its_newest_events(store: Store, intent: Void) -> None:
    record = store.create(intent, "w1").void
    later, earlier = (replace(success(intent), received_at=timestamp(at)) for at in (NOW + 1, NOW))
    for event in (later, earlier):
        store.put_event(intent.pos_id, event)
    void, events, truncated = store.timeline(intent.pos_id, intent.order_id)
    assert (void, [event.digest for event in events], truncated) == (record, [earlier.digest, later.digest], False)
    assert store.timeline(intent.pos_id, uuid4().hex) == (None, [], False)
