"""What DynamoDB counts: the size of an item, and the request units of a write and of a read, its indexes included.

Follows AWS's documentation ("Item sizes and formats", "Read and write operations", "Capacity units for indexes"): no
engine on a laptop counts them. Items are in DynamoDB's own form, `{"pk": {"S": …}}`.
"""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

type Item = Mapping[str, Mapping[str, Any]]

WRITE_UNIT, READ_UNIT = 1024, 4096
OVERHEAD = 100
"""Bytes that are billed with each stored item and index entry."""
KEYS = ("pk", "sk", "id")
"""What a table's keys are called: ours and the peers', and that of Powertools' idempotency."""


class Index(NamedTuple):
    """A sparse index: an item is in it if it has all of `keys`."""

    name: str
    keys: tuple[str, ...]
    projected: frozenset[str] | None = None
    """The attributes that it holds besides the keys; None: all."""

    def entry(self, item: Item | None) -> Item | None:
        if item is None or not all(key in item for key in self.keys):
            return None
        names = set(item) if self.projected is None else {*KEYS, *self.keys, *self.projected}
        return {name: value for name, value in item.items() if name in names}


@dataclass
class Table:
    """What was written, as if each condition had held."""

    indexes: tuple[Index, ...] = ()
    items: dict[tuple[Any, ...], Item] = field(default_factory=dict)

    @classmethod
    def of(cls, described: str) -> "Table":
        """With the indexes of a template, as JSON."""
        indexes = []
        for each in json.loads(described):
            shown, keys = each["Projection"], tuple(key["AttributeName"] for key in each["KeySchema"])
            held = None if shown["ProjectionType"] == "ALL" else frozenset(shown.get("NonKeyAttributes", ()))
            indexes.append(Index(each["IndexName"], keys, held))
        return cls(tuple(indexes))

    def place(self, key: Item) -> tuple[Any, ...]:
        return tuple(key[name]["S"] for name in KEYS if name in key)

    def write(self, asked: Mapping[str, Any]) -> dict[str, int]:
        """A PutItem or an UpdateItem; its units."""
        place = self.place(asked.get("Key") or asked["Item"])
        before = self.items.get(place)
        after = self.items[place] = asked.get("Item") or updated(before or asked["Key"], asked)
        return write_units(self.indexes, before, after)

    def read(self, found: list[Item], asked: Mapping[str, Any]) -> float:
        """The units of one read, of a key or of a page; what is not there costs as much as the smallest."""
        units = max(1, math.ceil(sum(map(size, found)) / READ_UNIT))
        return units if asked.get("ConsistentRead") else units / 2

    def stored(self) -> int:
        """Bytes that are billed for the items and their entries in indexes."""
        entries = [index.entry(item) for index in self.indexes for item in self.items.values()]
        return sum(size(held) + OVERHEAD for held in [*self.items.values(), *entries] if held is not None)


def updated(item: Item, asked: Mapping[str, Any]) -> Item:
    """What an update expression makes of an item, in the forms that the subjects write."""
    names, values = asked.get("ExpressionAttributeNames", {}), asked.get("ExpressionAttributeValues", {})
    sets, _, removes = asked["UpdateExpression"].removeprefix("SET ").partition(" REMOVE ")
    new: dict[str, Any] = json.loads(json.dumps(item))
    for path, what in re.findall(r"([\w.#]+) = ([^,]+)", sets):
        *outer, last = (names.get(name, name) for name in path.split("."))
        inside = new.setdefault(outer[0], {"M": {}})["M"] if outer else new
        old, _, added = what.strip().partition(" + ")
        value = values[added or old]
        inside[last] = {"N": str(int(new.get(old, {"N": 0})["N"]) + int(value["N"]))} if added else value
    return {name: value for name, value in new.items() if name not in re.findall(r"\w+", removes)}


def size(item: Item) -> int:
    """Bytes that DynamoDB counts: names and values."""
    return sum(len(name.encode()) + _size(value) for name, value in item.items())


def _size(value: Mapping[str, Any]) -> int:
    ((kind, content),) = value.items()
    match kind:
        case "S":
            return len(content.encode())
        case "B":
            return len(content.rstrip("=")) * 3 // 4  # in base64
        case "N":
            digits = content.lstrip("-").replace(".", "").strip("0")
            return 1 + math.ceil(len(digits) / 2) + int(content.startswith("-"))
        case "BOOL" | "NULL":
            return 1
        case "L":
            return 3 + sum(1 + _size(each) for each in content)
        case "M":
            return 3 + sum(1 + len(name.encode()) + _size(each) for name, each in content.items())
        case _:
            raise ValueError(f"not counted: {kind}")


def write_units(indexes: tuple[Index, ...], before: Item | None, after: Item | None) -> dict[str, int]:
    """Units of one write by what it counts for: `table`, and each index that it touches.

    `before` and `after` are the item around the write. One whose condition failed changed nothing, and costs as much.
    """
    units = {"table": max(1, _units(before), _units(after))}
    for index in indexes:
        old, new = index.entry(before), index.entry(after)
        if old is not None and new is not None and all(old[key] == new[key] for key in index.keys):
            units[index.name] = max(_units(old), _units(new)) if old != new else 0
        else:  # another key is another place: what was there is deleted, what is new is put
            units[index.name] = _units(old) + _units(new)
    return {name: count for name, count in units.items() if count}


def _units(item: Item | None) -> int:
    return 0 if item is None else math.ceil(size(item) / WRITE_UNIT)
