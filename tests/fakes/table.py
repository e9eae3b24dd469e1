"""An in-memory DynamoDB client: one table with its indexes, honouring the expressions that `payments.store` writes.

Promises the conditions, `ALL_OLD` and cancellation reasons of the real one. `before` and `lose_next_answer` inject faults.
"""

import re
from collections.abc import Callable
from copy import deepcopy
from typing import Any

from botocore.exceptions import ClientError, ReadTimeoutError

Item = dict[str, Any]
SORT_KEYS = {
    None: ("pk", "sk"),
    "timeline": ("pk", "at"),
    "due": ("due_pk", "due_at"),
    "review": ("review_pk", "review_at"),
}


class Table:
    """The client's four calls on one table. `calls` lists what was asked, oldest first."""

    def __init__(self) -> None:
        self.items: dict[tuple[str, str], Item] = {}
        self.calls: list[tuple[str, Item]] = []
        self.before: Callable[[str, Item], None] = lambda name, arguments: None
        self._lost: dict[str, bool] = {}
        self._tokens: set[str] = set()

    def lose_next_answer(self, name: str, repeated: bool = True) -> None:
        """The next `name` is applied and its answer lost; `repeated`: the SDK sends it again and returns that answer."""
        self._lost[name] = repeated

    def get_item(self, **arguments: Any) -> Item:
        """Read one item."""
        return self._call("get_item", arguments, self._get)

    def put_item(self, **arguments: Any) -> Item:
        """Write one item under a condition."""
        return self._call("put_item", arguments, self._put)

    def query(self, **arguments: Any) -> Item:
        """Read the table or an index, one partition."""
        return self._call("query", arguments, self._query)

    def transact_write_items(self, **arguments: Any) -> Item:
        """Write all or nothing."""
        return self._call("transact_write_items", arguments, self._transact)

    def _call(self, name: str, arguments: Item, act: Callable[[Item], Item]) -> Item:
        arguments = deepcopy(arguments)
        self.calls.append((name, arguments))
        self.before(name, arguments)
        if name not in self._lost:
            return act(arguments)
        repeated = self._lost.pop(name)
        act(arguments)
        if repeated:
            return act(arguments)
        raise ReadTimeoutError(endpoint_url="https://dynamodb.invalid")

    def _get(self, arguments: Item) -> Item:
        assert arguments["ConsistentRead"], "a record is read as of now"
        item = self.items.get(_key(arguments["Key"]))
        return {"Item": deepcopy(item)} if item else {}

    def _put(self, arguments: Item) -> Item:
        item = arguments["Item"]
        old = self.items.get(_key(item))
        if not _holds(arguments, old):
            shown = {"Item": deepcopy(old)} if old and arguments.get("ReturnValuesOnConditionCheckFailure") else {}
            raise error("ConditionalCheckFailedException", "PutItem", **shown)
        self.items[_key(item)] = _checked(item)
        return {}

    def _transact(self, arguments: Item) -> Item:
        if arguments["ClientRequestToken"] in self._tokens:
            return {}
        writes: list[Item] = []
        reasons: list[Item] = []
        for action in arguments["TransactItems"]:
            ((kind, write),) = action.items()
            old = self.items.get(_key(write["Item"] if kind == "Put" else write["Key"]))
            holds = _holds(write, old)
            shown = {"Item": deepcopy(old)} if old and "ReturnValuesOnConditionCheckFailure" in write else {}
            reasons.append({"Code": "None"} if holds else {"Code": "ConditionalCheckFailed", **shown})
            if holds:
                writes.append(write["Item"] if kind == "Put" else _updated(write, old))
        if len(writes) < len(reasons):
            raise error("TransactionCanceledException", "TransactWriteItems", CancellationReasons=reasons)
        self.items |= {_key(item): _checked(item) for item in writes}
        self._tokens.add(arguments["ClientRequestToken"])
        return {}

    def _query(self, arguments: Item) -> Item:
        index = arguments.get("IndexName")
        partition, sort = SORT_KEYS[index]
        assert index in (None, "timeline") or not arguments.get("ConsistentRead"), "a global index is never consistent"
        condition = {**arguments, "ConditionExpression": arguments["KeyConditionExpression"]}

        def place(item: Item) -> tuple[Any, str, str]:
            return _value(item[sort]), item["pk"]["S"], item["sk"]["S"]

        found = [item for item in self.items.values() if partition in item and sort in item and _holds(condition, item)]
        found.sort(key=place, reverse=arguments.get("ScanIndexForward") is False)
        start = arguments.get("ExclusiveStartKey")
        if start:
            found = [item for item in found if place(item) > place(start)]
        limit = arguments["Limit"]
        answer: Item = {"Items": deepcopy(found[:limit])}
        if len(found) >= limit:
            names = {"pk", "sk", partition, sort}
            answer["LastEvaluatedKey"] = {name: found[limit - 1][name] for name in sorted(names)}
        return answer


def error(code: str, operation: str, **more: Any) -> ClientError:
    """What botocore raises for a service error; `more` are members of the response beside `Error`."""
    return ClientError({"Error": {"Code": code, "Message": f"{code} of the fake"}, **more}, operation)  # type: ignore[arg-type]


def _key(item: Item) -> tuple[str, str]:
    return item["pk"]["S"], item["sk"]["S"]


def _value(typed: Item | None) -> Any:
    """A comparable value: numbers as numbers."""
    return int(typed["N"]) if typed and "N" in typed else typed["S"] if typed and "S" in typed else typed


def _checked(item: Item) -> Item:
    for name in ("pk", "sk"):
        assert item[name]["S"], "a key is never empty"
    return deepcopy(item)


# ---- expressions -----------------------------------------------------------------------------------------------------

_TOKEN = re.compile(r"\s*(<=|>=|<>|[=<>(),+]|[:#]?[A-Za-z_]\w*)")


class _Expression:
    """A recursive descent over one expression and one item."""

    def __init__(self, text: str, arguments: Item, item: Item) -> None:
        self.tokens = list(_TOKEN.findall(text))
        assert "".join(self.tokens) == re.sub(r"\s", "", text), f"an expression that the fake does not know: {text}"
        self.item = item
        self.names: Item = arguments.get("ExpressionAttributeNames", {})
        self.values: Item = arguments.get("ExpressionAttributeValues", {})

    def take(self, expected: str | None = None) -> str:
        token = self.tokens.pop(0)
        assert expected is None or token == expected, f"{token} where {expected} should be"
        return str(token)

    def next_is(self, token: str) -> bool:
        return bool(self.tokens) and self.tokens[0] == token

    def either(self) -> bool:
        holds = self.both()
        while self.next_is("OR"):
            self.take()
            holds = self.both() or holds
        return holds

    def both(self) -> bool:
        holds = self.one()
        while self.next_is("AND"):
            self.take()
            holds = self.one() and holds
        return holds

    def one(self) -> bool:
        if self.next_is("("):
            self.take()
            holds = self.either()
            self.take(")")
            return holds
        if self.tokens[0] in ("attribute_not_exists", "attribute_exists"):
            wanted = self.take() == "attribute_exists"
            self.take("(")
            name = self.name()
            self.take(")")
            return (name in self.item) is wanted
        left, operator = self.operand(), self.take()
        if operator == "IN":
            self.take("(")
            choices = [self.operand()]
            while self.next_is(","):
                self.take()
                choices.append(self.operand())
            self.take(")")
            return left is not None and left in choices
        right = self.operand()
        if left is None or right is None:
            return operator == "<>"
        a, b = _value(left), _value(right)
        comparisons: dict[str, Callable[[], bool]] = {
            "=": lambda: left == right, "<>": lambda: left != right, "<": lambda: a < b, "<=": lambda: a <= b,
        }  # fmt: skip
        return comparisons[operator]()

    def name(self) -> str:
        token = self.take()
        return str(self.names[token]) if token.startswith("#") else token

    def operand(self) -> Item | None:
        value = self._operand()
        while self.next_is("+"):
            self.take()
            more = self._operand()
            assert value is not None
            assert more is not None
            value = {"N": str(int(value["N"]) + int(more["N"]))}
        return value

    def _operand(self) -> Item | None:
        if self.tokens[0].startswith(":"):
            return dict(self.values[self.take()])
        name = self.name()
        if not self.next_is("("):
            return self.item.get(name)
        self.take("(")
        first = self.operand()
        if name == "size":
            self.take(")")
            return None if first is None else {"N": str(len(next(iter(first.values()))))}
        self.take(",")
        second = self.operand()
        self.take(")")
        if name == "if_not_exists":
            return second if first is None else first
        assert name == "list_append"
        assert first is not None
        assert second is not None
        return {"L": [*first["L"], *second["L"]]}

    def update(self) -> Item:
        updated = deepcopy(self.item)
        self.take("SET")
        while True:
            name = self.name()
            self.take("=")
            value = self.operand()
            assert value is not None, f"{name} is set to nothing"
            updated[name] = value
            if not self.next_is(","):
                break
            self.take()
        if self.next_is("REMOVE"):
            self.take()
            updated.pop(self.name(), None)
            while self.next_is(","):
                self.take()
                updated.pop(self.name(), None)
        assert not self.tokens
        return updated


def _holds(arguments: Item, item: Item | None) -> bool:
    text = arguments.get("ConditionExpression")
    if not text:
        return True
    expression = _Expression(text, arguments, item or {})
    holds = expression.either()
    assert not expression.tokens, f"left over: {expression.tokens}"
    return holds


def _updated(write: Item, old: Item | None) -> Item:
    updated = _Expression(write["UpdateExpression"], write, old or {}).update()
    return {**updated, **write["Key"]}
