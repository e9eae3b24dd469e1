"""A DynamoDB table in memory that understands the expressions which the service uses.

Promises the conditional, transactional and sparse-index behaviour of the real engine for them; an expression that it
does not know raises. Never copies an item: the service writes each item once and only reads it afterwards.
"""

import functools
import re
from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError

Item = dict[str, Any]
Key = tuple[str, str]
Test = Callable[[Item | None, Item], bool]
Value = Callable[[Item | None, Item], Any]

_TOKEN = re.compile(r"\s*(<=|>=|<>|[()=<>,+]|[:#]?[A-Za-z_][A-Za-z_0-9]*)")
INDEXES = {"due": ("due_pk", "due_at"), "review": ("review_pk", "review_at")}


def failure(code: str, operation: str, **more: object) -> ClientError:
    """The error as the SDK raises it."""
    return ClientError({"Error": {"Code": code, "Message": code}, **more}, operation)  # type: ignore[arg-type]


class Table:
    """One table; `items` is the truth, `stale` the item of each key before its last write (a lagging index)."""

    def __init__(self) -> None:
        self.items: dict[Key, Item] = {}
        self.stale: dict[Key, Item | None] = {}
        self.on_write: Callable[[Item | None, Item], None] = lambda _old, _new: None

    def get_item(self, Key: Item, **_: object) -> Item:
        item = self.items.get((Key["pk"]["S"], Key["sk"]["S"]))
        return {"Item": item} if item is not None else {}

    def put_item(self, Item: Item, **arguments: Any) -> Item:
        old = self.items.get(_key(Item))
        condition = arguments.get("ConditionExpression")
        if condition is not None and not _holds(condition, old, arguments):
            more = {"Item": old} if old and arguments.get("ReturnValuesOnConditionCheckFailure") == "ALL_OLD" else {}
            raise failure("ConditionalCheckFailedException", "PutItem", **more)
        self._write(old, Item)
        return {}

    def update_item(self, Key: Item, **arguments: Any) -> Item:
        old = self.items.get(_key(Key))
        condition = arguments.get("ConditionExpression")
        if condition is not None and not _holds(condition, old, arguments):
            raise failure("ConditionalCheckFailedException", "UpdateItem")
        self._write(old, _updated(arguments, old, Key))
        return {}

    def delete_item(self, Key: Item, **_: Any) -> Item:
        old = self.items.pop(_key(Key), None)
        self.stale[_key(Key)] = old
        return {}

    def transact_write_items(self, TransactItems: list[Item], **_: object) -> Item:
        planned: list[tuple[Item | None, Item]] = []
        reasons = []
        for entry in TransactItems:
            ((kind, arguments),) = entry.items()
            old = self.items.get(_key(arguments["Item"] if kind == "Put" else arguments["Key"]))
            condition = arguments.get("ConditionExpression")
            held = condition is None or _holds(condition, old, arguments)
            shown = {"Item": old} if old and "ReturnValuesOnConditionCheckFailure" in arguments else {}
            reasons.append({"Code": "None"} if held else {"Code": "ConditionalCheckFailed", **shown})
            if held:
                planned.append(
                    (old, arguments["Item"] if kind == "Put" else _updated(arguments, old, arguments["Key"]))
                )
        if len(planned) != len(TransactItems):
            raise failure("TransactionCanceledException", "TransactWriteItems", CancellationReasons=reasons)
        for old, new in planned:
            self._write(old, new)
        return {}

    def query(
        self, IndexName: str, ExpressionAttributeValues: Item, Limit: int, lagging: bool = False, **_: Any
    ) -> Item:
        """What is in an index, in its order; `lagging`: as it was before the last write of each item."""
        if IndexName == "timeline":
            wanted = ExpressionAttributeValues[":pk"]["S"]
            newest = [item for (pk, _), item in self.items.items() if pk == wanted]
            newest.sort(key=lambda item: str(item["at"]["S"]), reverse=True)
            return {"Items": newest[:Limit]}
        partition, order = INDEXES[IndexName]
        wanted, now = ExpressionAttributeValues[":pk"]["S"], ExpressionAttributeValues.get(":now")
        source = {**self.items, **self.stale} if lagging else self.items
        found = [
            item for item in source.values()
            if item is not None and partition in item and item[partition]["S"] == wanted
            and (now is None or int(item[order]["N"]) <= int(now["N"]))
        ]  # fmt: skip
        found.sort(key=lambda item: int(item[order]["N"]))
        return {"Items": found[:Limit]}

    def _write(self, old: Item | None, new: Item) -> None:
        key = _key(new)
        self.stale[key] = old
        self.items[key] = new
        self.on_write(old, new)


def _key(item: Item) -> Key:
    return item["pk"]["S"], item["sk"]["S"]


def _holds(expression: str, item: Item | None, arguments: Item) -> bool:
    return _condition(expression)(item, arguments)


def _updated(arguments: Item, old: Item | None, key: Item) -> Item:
    new = {**(old or {}), **key}
    sets, removes = _update(arguments["UpdateExpression"])
    for name, value in sets:
        new[_name(name, arguments)] = value(old, arguments)
    for name in removes:
        new.pop(_name(name, arguments), None)
    return new


def _name(token: str, arguments: Item) -> str:
    return str(arguments["ExpressionAttributeNames"][token]) if token[0] == "#" else token


class _Tokens:
    def __init__(self, text: str) -> None:
        self.tokens = _TOKEN.findall(text)
        if "".join(self.tokens) != re.sub(r"\s", "", text):
            raise NotImplementedError(text)
        self.at = 0

    def peek(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def take(self, wanted: str | None = None) -> str:
        token = self.peek()
        if wanted is not None and token != wanted:
            raise NotImplementedError(f"{wanted} expected, not {token}")
        self.at += 1
        return token


@functools.cache
def _condition(text: str) -> Test:
    tokens = _Tokens(text)
    test = _either(tokens)
    tokens.take("")
    return test


def _either(tokens: _Tokens) -> Test:
    tests = [_both(tokens)]
    while tokens.peek() == "OR":
        tokens.take()
        tests.append(_both(tokens))
    return tests[0] if len(tests) == 1 else lambda item, names: any(test(item, names) for test in tests)


def _both(tokens: _Tokens) -> Test:
    tests = [_single(tokens)]
    while tokens.peek() == "AND":
        tokens.take()
        tests.append(_single(tokens))
    return tests[0] if len(tests) == 1 else lambda item, names: all(test(item, names) for test in tests)


def _single(tokens: _Tokens) -> Test:
    if tokens.peek() == "(":
        tokens.take()
        test = _either(tokens)
        tokens.take(")")
        return test
    if tokens.peek() in ("attribute_not_exists", "attribute_exists"):
        wanted = tokens.take() == "attribute_exists"
        tokens.take("(")
        path = tokens.take()
        tokens.take(")")
        return lambda item, names: (item is not None and _name(path, names) in item) is wanted
    left = _operand(tokens)
    operator = tokens.take()
    if operator == "IN":
        tokens.take("(")
        values = [_operand(tokens)]
        while tokens.peek() == ",":
            tokens.take()
            values.append(_operand(tokens))
        tokens.take(")")
        return lambda item, names: left(item, names) in [value(item, names) for value in values]
    right = _operand(tokens)
    return lambda item, names: _compare(operator, left(item, names), right(item, names))


def _compare(operator: str, left: Item | None, right: Item | None) -> bool:
    if operator == "<>":
        return left != right
    if left is None or right is None:
        return False
    if operator == "=":
        return left == right
    if left.keys() != right.keys():
        return False
    a, b = (float(left["N"]), float(right["N"])) if "N" in left else (left["S"], right["S"])
    return bool({"<": a < b, "<=": a <= b, ">": a > b, ">=": a >= b}[operator])


def _operand(tokens: _Tokens) -> Value:
    token = tokens.take()
    if tokens.peek() != "(":
        if token[0] == ":":
            return lambda _item, names: names["ExpressionAttributeValues"][token]
        return lambda item, names: item.get(_name(token, names)) if item is not None else None
    tokens.take("(")
    first = _operand(tokens)
    second = None
    if tokens.peek() == ",":
        tokens.take()
        second = _operand(tokens)
    tokens.take(")")
    return _function(token, first, second)


def _function(name: str, first: Value, second: Value | None) -> Value:
    if name == "size":
        return lambda item, names: _size(first(item, names))
    if second is None or name not in ("if_not_exists", "list_append"):
        raise NotImplementedError(name)
    if name == "if_not_exists":
        return lambda item, names: second(item, names) if (value := first(item, names)) is None else value
    return lambda item, names: {"L": first(item, names)["L"] + second(item, names)["L"]}


def _size(value: Item | None) -> Item | None:
    if value is None:
        return None
    ((_, content),) = value.items()
    return {"N": str(len(content))}


@functools.cache
def _update(text: str) -> tuple[list[tuple[str, Value]], list[str]]:
    tokens = _Tokens(text)
    sets: list[tuple[str, Value]] = []
    removes: list[str] = []
    section = ""
    while tokens.peek():
        if tokens.peek() in ("SET", "REMOVE", ","):
            section = section if tokens.peek() == "," else tokens.peek()
            tokens.take()
        elif section == "SET":
            name = tokens.take()
            tokens.take("=")
            sets.append((name, _sum(tokens)))
        else:
            removes.append(tokens.take())
    return sets, removes


def _sum(tokens: _Tokens) -> Value:
    first = _operand(tokens)
    if tokens.peek() != "+":
        return first
    tokens.take()
    second = _operand(tokens)
    return lambda item, names: {"N": str(int(first(item, names)["N"]) + int(second(item, names)["N"]))}
