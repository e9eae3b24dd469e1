"""Request units and sizes as DynamoDB's documentation gives them."""

from typing import Any

import pytest

from proof.benchmarks.units import Index, Item, Table, read_units, size, write_units

KEYS = ("pk", "sk")
PLAIN = Table(KEYS)
DUE = Table(KEYS, (Index("due", ("due_pk", "due_at")),))


def item(length: int = 100, **more: Any) -> Item:
    """An item of about so many bytes."""
    return {"pk": {"S": "order"}, "sk": {"S": "ORDER"}, "text": {"S": "x" * length}, **more}


def due(at: int, length: int = 100) -> Item:
    return item(length, due_pk={"S": "DUE#0"}, due_at={"N": str(at)})


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
    ({"SS": ["ab", "cde"]}, 5),
    ({"L": []}, 3),
    ({"L": [{"S": "ab"}, {"BOOL": False}]}, 3 + 3 + 2),
    ({"M": {"key": {"S": "ab"}}}, 3 + 1 + 3 + 2),
])  # fmt: skip
def test_the_size_of_a_value_with_its_name(value: dict[str, Any], expected: int) -> None:
    assert size({"name": value}) == len("name") + expected


def test_a_value_of_no_known_kind_is_no_size() -> None:
    with pytest.raises(ValueError, match="no attribute value"):
        size({"name": {"X": "?"}})


@pytest.mark.parametrize(("before", "after", "units"), [
    (None, item(), 1),
    (None, item(1_100), 2),
    (item(2_100), item(), 3),  # the larger of both counts
    (item(1_500), item(1_500), 2),  # a condition that failed costs what is there
    (None, None, 1),  # and one unit where nothing is
])  # fmt: skip
def test_a_write_without_indexes(before: Item | None, after: Item | None, units: int) -> None:
    assert write_units(PLAIN, before, after) == {"table": units}
    assert write_units(PLAIN, before, after, transaction=True) == {"table": 2 * units}


@pytest.mark.parametrize(("before", "after", "units"), [
    (None, due(1), 1),  # enters
    (due(1), item(), 1),  # leaves
    (due(1), due(2), 2),  # another key: deleted and put
    (due(1, 100), due(1, 1_500), 2),  # the same key, more in it
    (due(1), due(1), 0),  # nothing new
    (item(100), item(200), 0),  # never in it
])  # fmt: skip
def test_what_an_index_adds(before: Item | None, after: Item | None, units: int) -> None:
    assert write_units(DUE, before, after).get("due", 0) == units


def test_an_index_of_keys_is_not_written_for_what_it_does_not_hold() -> None:
    keys_only = Table(KEYS, (Index("due", ("due_pk", "due_at"), frozenset()),))
    assert write_units(keys_only, due(1, 100), due(1, 3_000)) == {"table": 3}
    assert write_units(keys_only, due(1, 3_000), due(2, 3_000))["due"] == 2


@pytest.mark.parametrize(("items", "consistent", "units"), [
    ([item()], True, 1),
    ([item()], False, 0.5),
    ([], True, 1),
    ([item(3_000), item(3_000)], True, 2),  # a page is rounded up as a whole
])  # fmt: skip
def test_a_read(items: list[Item], consistent: bool, units: float) -> None:
    assert read_units(items, consistent=consistent) == units
