"""Request units and sizes as DynamoDB's documentation gives them, and what the stub of the table keeps."""

import json
from typing import Any

import pytest

from proof.benchmarks.units import Index, Item, Table, size, updated, write_units

DUE = (Index("due", ("due_pk", "due_at")),)
KEYS_ONLY = (Index("due", ("due_pk", "due_at"), frozenset()),)
KEY = {"pk": {"S": "order"}, "sk": {"S": "ORDER"}}


def item(length: int = 100, at: int | None = None) -> Item:
    """An item of about so many bytes; `at`: it is in the index."""
    due = {} if at is None else {"due_pk": {"S": "DUE#0"}, "due_at": {"N": str(at)}}
    return {**KEY, "text": {"S": "x" * length}, **due}


@pytest.mark.parametrize(("value", "expected"), [
    ({"S": "abc"}, 3),
    ({"S": "é"}, 2),
    ({"BOOL": True}, 1),
    ({"NULL": True}, 1),
    ({"N": "0"}, 1),
    ({"N": "7"}, 2),
    ({"N": "-7"}, 3),
    ({"N": "1798456210123"}, 8),
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


def test_a_table_keeps_what_is_put_and_updated_with_the_indexes_of_a_template() -> None:
    keys = [{"AttributeName": name} for name in ("due_pk", "due_at")]
    table = Table.of(
        json.dumps([{"IndexName": "due", "KeySchema": keys, "Projection": {"ProjectionType": "KEYS_ONLY"}}])
    )
    assert table.indexes == KEYS_ONLY
    assert table.write({"Item": item(1_500, at=1)}) == {"table": 2, "due": 1}
    assert table.stored() == size(item(1_500, at=1)) + size(item(at=1)) - size({"text": {"S": "x" * 100}}) + 200
    update = {"UpdateExpression": "SET a = :a REMOVE due_at", "ExpressionAttributeValues": {":a": {"S": "b"}}}
    assert table.write({"Key": KEY, **update}) == {"table": 2, "due": 1}
    assert table.items[table.place(KEY)] == {**item(1_500), "due_pk": {"S": "DUE#0"}, "a": {"S": "b"}}


def test_an_update_sets_adds_reaches_into_maps_and_removes() -> None:
    asked = {
        "UpdateExpression": "SET webhooks.#digest = :text, count = count + :one, #state = :text REMOVE settles",
        "ExpressionAttributeNames": {"#digest": "ab", "#state": "state"},
        "ExpressionAttributeValues": {":text": {"S": "x"}, ":one": {"N": "1"}},
    }
    before: Item = {**KEY, "webhooks": {"M": {}}, "count": {"N": "2"}, "settles": {"S": "now"}}
    text = {"S": "x"}
    assert updated(before, asked) == {**KEY, "webhooks": {"M": {"ab": text}}, "count": {"N": "3"}, "state": text}
    assert before["webhooks"] == {"M": {}}
