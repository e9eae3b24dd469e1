"""Request units and sizes as DynamoDB's documentation gives them, and what the stub of the table keeps."""

import json
import random
from base64 import b64encode
from collections import Counter
from copy import replace
from typing import Any
from uuid import UUID

import pytest

import receive_webhook
import submit_void
from payments.claims import Result
from payments.facts import Request
from payments.store import Store
from proof.benchmarks.units import Index, Item, Table, size, write_units
from systems import new_id
from tests.fakes import scene as make
from tests.fakes.scene import Scene

DUE = (Index("due", ("due_pk", "due_at")),)
KEYS_ONLY = (Index("due", ("due_pk", "due_at"), frozenset()),)
KEY = {"pk": {"S": "order"}, "sk": {"S": "ORDER"}}


def item(length: int = 100, at: int | None = None) -> Item:
    """An item of about so many bytes; `at`: it is in the index."""
    due = {} if at is None else {"due_pk": {"S": "DUE#0"}, "due_at": {"N": str(at)}}
    return {**KEY, "text": {"S": "x" * length}, **due}


@pytest.mark.parametrize(("value", "expected"), [
    ({"S": "abc"}, 3), ({"S": "é"}, 2), ({"B": "YWI="}, 2), ({"B": "YWJj"}, 3), ({"BOOL": True}, 1), ({"NULL": True}, 1),
    ({"N": "0"}, 1), ({"N": "7"}, 2), ({"N": "-7"}, 3), ({"N": "1798456210123"}, 8),
    ({"N": "100.50"}, 3),  # zeros at the ends are no digits that count
    ({"L": []}, 3),
    ({"L": [{"S": "ab"}, {"BOOL": False}]}, 3 + 3 + 2),
    ({"M": {"key": {"S": "ab"}}}, 3 + 1 + 3 + 2),
])  # fmt: skip
def test_the_size_of_a_value_with_its_name(value: dict[str, Any], expected: int) -> None:
    assert size({"name": value}) == len("name") + expected


@pytest.mark.parametrize(("before", "after", "table", "due"), [
    (None, item(), 1, 0),
    (None, item(1_100), 2, 0),
    (item(2_100), item(), 3, 0),  # the larger of both counts
    (item(1_500), item(1_500), 2, 0),  # a condition that failed costs what is there
    (None, None, 1, 0),  # and one unit where nothing is
    (None, item(at=1), 1, 1),  # enters
    (item(at=1), item(), 1, 1),  # leaves
    (item(at=1), item(at=2), 1, 2),  # another key: deleted and put
    (item(at=1), item(1_500, at=1), 2, 2),  # the same key, more in it
    (item(at=1), item(at=1), 1, 0),  # nothing new
])  # fmt: skip
def test_a_write_and_what_the_index_adds(before: Item | None, after: Item | None, table: int, due: int) -> None:
    assert write_units(DUE, before, after) == {"table": table} | ({"due": due} if due else {})


def test_an_index_of_keys_is_not_written_for_what_it_does_not_hold_and_a_page_is_rounded_up_as_a_whole() -> None:
    assert write_units(KEYS_ONLY, item(100, at=1), item(3_000, at=1)) == {"table": 3}
    assert write_units(KEYS_ONLY, item(3_000, at=1), item(3_000, at=2))["due"] == 2
    read, consistent = Table().read, {"ConsistentRead": True}
    assert [read([item()], consistent), read([item()], {}), read([], consistent)] == [1, 0.5, 1]
    assert [read([item(1_000)] * 3, consistent), read([item(3_000)] * 2, consistent)] == [1, 2]


ROLE = "arn:aws:sts::123456789012:assumed-role/"
VOIDS = {
    "of the benchmark": Request("order-1", "UAH", "benchmark", "release-order-1", f"{ROLE}shop"),
    "of a long role, with UUIDs": Request("5dc6df4ebe254d29b28a1df443094856", "UAH", "Cancelled by the shop",
                                          "f724c825-c7da-4f0a-a90d-c64ae02d29e4", f"{ROLE}checkout-production-TaskRole-1AB2CD3EF"),
}  # fmt: skip


def index(name: str, at: str, held: str) -> dict[str, Any]:
    keys = [{"AttributeName": f"{name}_pk"}, {"AttributeName": at}]
    return {"IndexName": name, "KeySchema": keys, "Projection": {"ProjectionType": held}}


@pytest.mark.parametrize("asked", VOIDS.values(), ids=VOIDS)
def test_a_void_and_its_webhook_take_six_write_units(scene: Scene, asked: Request) -> None:
    """One for each of three writes, and three for the entries of indexes: while the item stays below 1,024 bytes."""
    ids = ("operation_id", "transaction_id", "payment_id")
    said: dict[str, Any] = {name: str(UUID(int=random.Random(name).getrandbits(128), version=4)) for name in ids}
    said |= {"order_id": asked.order_id, "comment": asked.comment}
    systems = replace(scene.systems, new_id=new_id, store=Store(scene.table, "voids", keep_days=400))
    scene.table.on_write = lambda *_: scene.wait(0.3)
    scene.provider.answers = [make.answer(**said)]
    assert submit_void.submit(systems, asked).result is Result.VOIDED
    assert receive_webhook.receive(systems, *make.signed(make.fields(**said))).outcome == "stored"
    indexes = [index("due", "due_at", "ALL"), index("settled", "settled_at", "KEYS_ONLY")]
    table, units = Table.of(json.dumps(indexes)), Counter[str]()
    seen = [scene.table.calls, list(scene.table.items.values())]
    calls, (stored,) = json.loads(json.dumps(seen, default=lambda data: b64encode(data).decode()))
    for name, call in calls:
        if name != "get_item":
            units += table.write(call)
            assert size(*table.items.values()) < 1_024
    assert [*table.items.values()] == [stored]
    assert units == {"table": 3, "due": 2, "settled": 1}
    settled = {name: stored[name] for name in ("pk", "sk", "settled_pk", "settled_at")}
    assert table.stored() == size(stored) + size(settled) + 200
