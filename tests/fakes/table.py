"""The one DynamoDB table in memory: for unit tests, and fast enough for the fault simulator.

Promises the conditional and index behaviour of the engine for the few expressions that `payments.store` writes; another
expression raises. The same contract tests run against it and against the engine of the local run.
"""

import gzip
from collections.abc import Callable
from operator import itemgetter
from typing import Any

from botocore.exceptions import ClientError, ReadTimeoutError

Item = dict[str, Any]
Key = tuple[str, str]
Held = Callable[[Item | None, Item], bool]

INDEXES = ("due", "review", "settled")
SHOW = "ReturnValuesOnConditionCheckFailure"
APPEND = "SET webhooks.#digest = :webhook, version = version + :one, write_id = :write REMOVE settles"
APPEND_IF = "#state = :voided AND said = :said AND attribute_not_exists(webhooks.#digest) AND size(webhooks) < :most"


def error(code: str, operation: str, **more: object) -> ClientError:
    """The error as the SDK raises it."""
    return ClientError({"Error": {"Code": code, "Message": code}, **more}, operation)  # type: ignore[typeddict-item]


class Table:
    """One table. `items` is the truth; `calls` lists what was asked, oldest first.

    `before` and `lose_next_answer` inject faults; `on_write` sees each write. Items are never copied: nobody changes one.
    """

    def __init__(self) -> None:
        self.items: dict[Key, Item] = {}
        self.stale: dict[Key, Item | None] = {}
        """The item of each key before its last write, for an index that lags."""
        self.lagging = False
        self.calls: list[tuple[str, Item]] = []
        self.before: Callable[[str, Item], None] = lambda _name, _arguments: None
        self.on_write: Callable[[Item | None, Item], None] = lambda _old, _new: None
        self._lost: dict[str, bool] = {}
        self._partitions: dict[tuple[str, str], dict[Key, Item]] = {}

    def place(self, item: Item) -> None:
        """Put an item there, uncounted and unseen."""
        key = _key(item)
        self._unindex(key)
        self.items[key] = item
        self._index(key, item)

    def lose_next_answer(self, operation: str, repeated: bool = True) -> None:
        """The next one is applied and its answer lost; `repeated`: the SDK sends it again and returns that answer."""
        self._lost[operation] = repeated

    def fail(self, when: Callable[[str, Item], bool] = lambda *_: True, code: str = "InternalServerError") -> None:
        """Refuse each call of which `when` is true, from now on."""

        def refuse(name: str, arguments: Item) -> None:
            if when(name, arguments):
                raise error(code, name)

        self.before = refuse

    def call(self, operation: str, seconds: float, **arguments: Any) -> Item:
        """One call of the client."""
        assert seconds > 0
        if not isinstance(arguments.get("TableName"), str) or arguments.get(SHOW, "NONE") not in ("NONE", "ALL_OLD"):
            raise error("ValidationException", operation)
        self.calls.append((operation, arguments))
        self.before(operation, arguments)
        act: Callable[..., Item] = getattr(self, f"_{operation}")
        if operation not in self._lost:
            return act(**arguments)
        act(**arguments)
        if self._lost.pop(operation):
            return act(**arguments)
        raise ReadTimeoutError(endpoint_url="https://dynamodb.invalid")

    def _get_item(self, *, Key: Item, ConsistentRead: bool, **_: object) -> Item:
        assert ConsistentRead, "a record is read as of now"
        item = self.items.get(_key(Key))
        return {"Item": item} if item is not None else {}

    def _put_item(self, *, Item: Item, **arguments: Any) -> Item:
        old = self.items.get(_key(Item))
        self._require(old, "PutItem", arguments)
        # Bytes, as the SDK answers that knows the types of attributes; that of the functions does not.
        self._write(old, Item | ({"facts": {"B": Item["facts"]["B"].encode()}} if "facts" in Item else {}))
        return {}

    def _update_item(self, *, Key: Item, **arguments: Any) -> Item:
        if arguments["UpdateExpression"] != APPEND:
            raise NotImplementedError(arguments["UpdateExpression"])
        if {**arguments["ExpressionAttributeNames"], "#digest": ""} != {"#state": "state", "#digest": ""}:
            raise error("ValidationException", "UpdateItem")
        old = self.items.get(_key(Key))
        self._require(old, "UpdateItem", arguments)
        assert old is not None
        values, names = arguments["ExpressionAttributeValues"], arguments["ExpressionAttributeNames"]
        webhooks = {**old["webhooks"]["M"], names["#digest"]: values[":webhook"]}
        changed = {
            "webhooks": {"M": webhooks},
            "version": _sum(old["version"], values[":one"]),
            "write_id": values[":write"],
        }
        self._write(old, {name: value for name, value in {**old, **changed}.items() if name != "settles"})
        return {}

    def _query(
        self, *, IndexName: str, KeyConditionExpression: str, ExpressionAttributeValues: Item, **more: Any
    ) -> Item:
        if IndexName not in INDEXES:
            raise error("ValidationException", "Query")
        names, wanted = (f"{IndexName}_pk", f"{IndexName}_at"), ExpressionAttributeValues[":pk"]
        partition, order = names
        held = RANGES.get(KeyConditionExpression.replace(partition, "pk").replace(order, "at"))
        if held is None:
            raise NotImplementedError(KeyConditionExpression)
        forward: bool = more.get("ScanIndexForward", True)
        found = [
            ((_place(item[order]), item["pk"]["S"]), item)
            for item in self._entries(IndexName, wanted["S"])
            if item.get(partition) == wanted and held(item[order], ExpressionAttributeValues)
        ]
        found.sort(key=itemgetter(0), reverse=not forward)
        if (given := more.get("ExclusiveStartKey")) is not None:
            start = _start(given, names, wanted)
            found = [entry for entry in found if (entry[0] > start) is forward and entry[0] != start]
        items = [item for _, item in found[: more["Limit"]]]
        if len(found) <= more["Limit"]:
            return {"Items": items}
        return {"Items": items, "LastEvaluatedKey": {name: items[-1][name] for name in ("pk", "sk", *names)}}

    def _entries(self, index: str, partition: str) -> list[Item]:
        if not self.lagging:
            return list(self._partitions.get((index, partition), {}).values())
        return [item for item in {**self.items, **self.stale}.values() if item is not None]

    def _index(self, key: Key, item: Item) -> None:
        for index in INDEXES:
            if f"{index}_pk" in item:
                self._partitions.setdefault((index, item[f"{index}_pk"]["S"]), {})[key] = item

    def _unindex(self, key: Key) -> None:
        for index in INDEXES:
            partition = self.items.get(key, {}).get(f"{index}_pk", {}).get("S")
            self._partitions.get((index, partition), {}).pop(key, None)

    def _require(self, old: Item | None, operation: str, arguments: Item) -> None:
        condition = arguments.get("ConditionExpression")
        if condition is None or CONDITIONS[condition](old, arguments):
            return
        shown = {"Item": old} if old and arguments.get(SHOW) == "ALL_OLD" else {}
        raise error("ConditionalCheckFailedException", operation, **shown)

    def _write(self, old: Item | None, new: Item) -> None:
        for name, value in new.items():
            _check(name, value)
        key = _key(new)
        self.stale[key] = old
        self.place(new)
        self.on_write(old, new)


def unzipped(facts: Any) -> str:
    """The facts of an item, as anybody reads them."""
    return gzip.decompress(facts if isinstance(facts, bytes) else facts.encode()).decode()


def plain(item: Item) -> Item:
    return item | ({"facts": {"B": unzipped(item["facts"]["B"])}} if "facts" in item else {})


def with_facts(item: Item, text: str) -> Item:
    return item | {"facts": {"B": gzip.compress(text.encode())}}


def _key(item: Item) -> Key:
    return item["pk"]["S"], item["sk"]["S"]


def _start(given: Item, names: tuple[str, str], partition: Item) -> tuple[Any, str]:
    """The place behind which a query goes on."""
    texts = [given.get(name, {}).get("S") for name in ("pk", "sk")]
    if given.keys() != {"pk", "sk", *names} or given[names[0]] != partition or None in texts:
        raise error("ValidationException", "Query")
    return _place(given[names[1]]), given["pk"]["S"]


def _place(value: Item) -> Any:
    return int(value["N"]) if "N" in value else value["S"]


def _sum(left: Item, right: Item) -> Item:
    return {"N": str(int(left["N"]) + int(right["N"]))}


def _check(name: str, value: Item) -> None:
    """What the engine would refuse: a value of no or of several types, text that is no UTF-8."""
    ((kind, content),) = value.items()
    if kind == "M":
        for key, entry in content.items():
            _check(f"{name}.{key}", entry)
    elif kind in READ:
        READ[kind](content)
    else:
        raise NotImplementedError(f"{name}: {kind}")


def _may_append(old: Item | None, arguments: Item) -> bool:
    values, digest = arguments["ExpressionAttributeValues"], arguments["ExpressionAttributeNames"]["#digest"]
    if old is None or old.get("state") != values[":voided"] or old.get("said") != values[":said"]:
        return False
    webhooks = old["webhooks"]["M"]
    return digest not in webhooks and len(webhooks) < int(values[":most"]["N"])


READ: dict[str, Callable[[Any], object]] = {"S": str.encode, "N": int, "BOOL": bool, "B": memoryview}
RANGES: dict[str, Callable[[Item, Item], bool]] = {
    "pk = :pk": lambda _at, _values: True,
    "pk = :pk AND at <= :moment": lambda at, values: int(at["N"]) <= int(values[":moment"]["N"]),
    "pk = :pk AND at > :moment": lambda at, values: int(at["N"]) > int(values[":moment"]["N"]),
}
CONDITIONS: dict[str, Held] = {
    "attribute_not_exists(pk)": lambda old, _: old is None,
    "attribute_exists(pk)": lambda old, _: old is not None,
    "version = :seen": lambda old, arguments: (
        old is not None and old["version"] == arguments["ExpressionAttributeValues"][":seen"]
    ),
    APPEND_IF: _may_append,
}
