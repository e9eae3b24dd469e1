"""What DynamoDB counts: the size of an item, and the request units of a write and of a read, its indexes included.

Follows AWS's documentation ("Item sizes and formats", "Read and write operations", "Capacity units for indexes"): the
engine on the laptop counts none of it. Pure; items are in DynamoDB's own form, `{"pk": {"S": …}}`.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Item = Mapping[str, Mapping[str, Any]]

WRITE_UNIT, READ_UNIT = 1024, 4096


@dataclass(frozen=True)
class Index:
    """A secondary index, local or global: an item is in it if it has all of `keys`."""

    name: str
    keys: tuple[str, ...]
    projected: frozenset[str] | None = None
    """The attributes that it holds besides the keys; None: all."""

    def entry(self, item: Item | None, table_keys: tuple[str, ...]) -> Item | None:
        """What of an item is in this index."""
        if item is None or not all(key in item for key in self.keys):
            return None
        if self.projected is None:
            return item
        names = {*table_keys, *self.keys, *self.projected}
        return {name: value for name, value in item.items() if name in names}


@dataclass(frozen=True)
class Table:
    """A table's keys and indexes."""

    keys: tuple[str, ...]
    indexes: tuple[Index, ...] = ()


def size(item: Item) -> int:
    """Bytes that DynamoDB counts: names and values."""
    return sum(len(name.encode()) + _size(value) for name, value in item.items())


def _size(value: Mapping[str, Any]) -> int:
    ((kind, content),) = value.items()
    match kind:
        case "S":
            return len(content.encode())
        case "N":
            return _size_of_number(content)
        case "B":
            return len(content)
        case "BOOL" | "NULL":
            return 1
        case "SS":
            return sum(len(text.encode()) for text in content)
        case "NS":
            return sum(map(_size_of_number, content))
        case "L":
            return 3 + sum(1 + _size(each) for each in content)
        case "M":
            return 3 + sum(1 + len(name.encode()) + _size(each) for name, each in content.items())
        case _:
            raise ValueError(f"no attribute value: {kind}")


def _size_of_number(text: str) -> int:
    digits = text.lstrip("-").replace(".", "").strip("0")
    return 1 + math.ceil(len(digits) / 2) + text.startswith("-")


def write_units(table: Table, before: Item | None, after: Item | None, *, transaction: bool = False) -> dict[str, int]:
    """Units of one write by what it counts for: `table`, and each index that it touches.

    `before` and `after` are the item around the write. A write whose condition failed changed nothing, and still costs
    the table what the item takes, at least one unit.
    """
    units = {"table": max(1, _units(before), _units(after)) * (2 if transaction else 1)}
    for index in table.indexes:
        old, new = index.entry(before, table.keys), index.entry(after, table.keys)
        if old == new:
            continue
        if old is not None and new is not None and all(old[key] == new[key] for key in index.keys):
            units[index.name] = max(_units(old), _units(new))
        else:  # another key is another place: what was there is deleted, what is new is put
            units[index.name] = _units(old) + _units(new)
    return units


def _units(item: Item | None) -> int:
    return 0 if item is None else math.ceil(size(item) / WRITE_UNIT)


def read_units(items: list[Item], *, consistent: bool) -> float:
    """Units of one read, of a key or of a page; what is not there costs as much as the smallest."""
    units = max(1, math.ceil(sum(map(size, items)) / READ_UNIT))
    return units if consistent else units / 2
