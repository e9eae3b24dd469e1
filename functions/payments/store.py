"""The only file that touches DynamoDB: whole orders, written conditionally, and bounded reads.

Promises that a write fails if somebody wrote since the version it rests on, that one whose answer was lost is
recognised by its `write_id`, and that no write forgets a fact. Never scans, never deletes, never overwrites
unconditionally.
"""

from collections.abc import Callable, Mapping
from copy import replace
from dataclasses import dataclass
from typing import Any, Literal

from botocore.exceptions import BotoCoreError, ClientError

from payments import cursors, evidence, items
from payments.deadline import AWS_CALL_SECONDS, AwsClient, Deadline
from payments.facts_text import repeating, write_fields
from payments.items import Item
from payments.orders import MOST_WEBHOOK_BYTES, MOST_WEBHOOKS, Order, StoredWebhook, size_of

MOST_MERGES = 5

APPEND = (
    "SET webhooks.#digest = :webhook, webhook_bytes = webhook_bytes + :size, "
    "version = version + :one, write_id = :write REMOVE settles"
)
ADDS_NOTHING_ELSE = (
    "#state = :voided AND provider = :provider AND attribute_not_exists(webhooks.#digest) "
    "AND size(webhooks) < :most AND webhook_bytes < :room"
)
"""Equal fields, because then no fact would change. Whatever is not exactly so is merged."""

StateFilter = Literal["unsettled", "review", "settled"]
FORGETS = "a write would forget a fact"


class StoreError(Exception):
    """The table cannot be used now; whether a write was applied is not known. The text is the kind of error."""


@dataclass(frozen=True, slots=True)
class Written:
    """The order as it stands in the table, written by us."""

    order: Order


@dataclass(frozen=True, slots=True)
class Conflict:
    """Somebody else wrote first; `order` is the newer truth."""

    order: Order


@dataclass(frozen=True, slots=True)
class Merged:
    """What a merge did: the order that it was based on and the order afterwards, the same if nothing changed."""

    before: Order
    after: Order


@dataclass(frozen=True, slots=True)
class Page:
    """Some orders and where to go on."""

    orders: tuple[Order, ...]
    cursor: str | None
    unreadable: int = 0
    """Items that this release cannot read, as after a rollback: left out, so that they do not stop the others."""


class Store:
    """One table. `write_id`s are made by the caller, fresh for each write.

    `keep_days`: of settled orders, None: for ever.
    """

    def __init__(self, client: AwsClient, table_name: str, keep_days: int | None = None) -> None:
        self._client, self._table, self._keep_days = client, table_name, keep_days

    def load(self, pos_id: str, order_id: str, deadline: Deadline) -> Order | None:
        """Read an order, as of now. Raises StoreError."""
        answer = self._call("get_item", deadline, Key=items.key(pos_id, order_id), ConsistentRead=True)
        item = answer.get("Item")
        return _read(item) if item else None

    def write(self, order: Order, write_id: str, deadline: Deadline) -> Written | Conflict:
        """Write an order that rests on the version it carries; version 0 must not exist yet. Raises StoreError."""
        written = replace(order, version=order.next_version, write_id=write_id)
        condition: Item = {"ConditionExpression": "attribute_not_exists(pk)"}
        if order.version:
            seen = {":seen": items.number(order.version)}
            condition = {"ConditionExpression": "version = :seen", "ExpressionAttributeValues": seen}
        try:
            self._call(
                "put_item",
                deadline,
                Item=items.write_order(written, self._keep_days),
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
                **condition,
            )
        except _ConditionFailed as failed:
            current = self._found(failed, order, deadline)
            # The SDK repeats a request whose answer was lost: then the condition fails against our own write.
            return Written(current) if current.write_id == write_id else Conflict(current)
        return Written(order.stored(write_id))

    def merge(
        self, order: Order, change: Callable[[Order], Order], new_id: Callable[[], str], deadline: Deadline
    ) -> Merged:
        """Write what `change` makes of the order; if somebody wrote first, change that instead. Raises StoreError."""
        for _ in range(MOST_MERGES):
            changed = change(order)
            if changed == order:
                return Merged(order, order)
            if evidence.forgets(order.facts, changed.facts) is not None:
                raise StoreError(FORGETS)
            written = self.write(changed, new_id(), deadline)
            if isinstance(written, Written):
                return Merged(order, written.order)
            order = written.order
        raise StoreError("record kept changing")

    def append_webhook(
        self, pos_id: str, webhook: StoredWebhook, write_id: str, deadline: Deadline
    ) -> Literal[True] | Order | None:
        """Add a webhook to an order, without having read it, if its void is done and the webhook adds nothing else.

        True: added. Otherwise nothing was written: the order as it stands, None if there is none. Raises StoreError.
        """
        operation = webhook.operation
        size = size_of(operation.fields)
        try:
            self._call(
                "update_item",
                deadline,
                Key=items.key(pos_id, operation.order_id),
                UpdateExpression=APPEND,
                ConditionExpression=ADDS_NOTHING_ELSE,
                ExpressionAttributeNames={"#state": "state", "#digest": webhook.digest},
                ExpressionAttributeValues={
                    ":voided": {"S": "voided"},
                    ":provider": {"S": write_fields(operation.fields)},
                    ":webhook": {"S": repeating(webhook)},
                    ":size": items.number(size),
                    ":most": items.number(MOST_WEBHOOKS),
                    ":room": items.number(MOST_WEBHOOK_BYTES - size),
                    ":one": items.number(1),
                    ":write": {"S": write_id},
                },
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except _ConditionFailed as failed:
            return _read(failed.item) if failed.item else None
        return True

    def put_quarantine(self, digest: str, text: str, why: str, received_at: int, deadline: Deadline) -> None:
        """Keep a genuine message that we cannot use, for 90 days. Raises StoreError."""
        item = items.write_quarantine(digest, text, why, received_at)
        try:
            self._call("put_item", deadline, Item=item, ConditionExpression="attribute_not_exists(pk)")
        except _ConditionFailed:
            return

    def beat(self, at: int, deadline: Deadline) -> None:
        """Say through the table's stream that the way of settled voids is open. Raises StoreError."""
        self._call("put_item", deadline, Item=items.write_heartbeat(at))

    def list(self, which: StateFilter, day: str, limit: int, cursor: str | None, deadline: Deadline) -> Page:
        """One page of the open voids or of those in review, next due first, or of those settled on a UTC day.

        Raises StoreError, `cursors.BadCursor`.
        """
        index, kind = _index(which, day)
        places = cursors.read_cursor(cursor, index, kind) if cursor else dict.fromkeys(items.shards(kind))
        found: list[tuple[int | str, str, Item]] = []
        going_on: set[str] = set()
        for shard, start in places.items():
            answer = self._query(index, shard, limit, start, deadline)
            found += [(_place(item[f"{index}_at"]), shard, item) for item in answer.get("Items", [])]
            going_on |= {shard} if "LastEvaluatedKey" in answer else set()
        found.sort(key=lambda entry: str(entry[0]).rjust(24))  # stable, so each shard keeps its own order
        page, rest = found[:limit], found[limit:]
        going_on |= {shard for _, shard, _ in rest}
        places |= {shard: item for _, shard, item in page}
        orders = [order for _, _, item in page if (order := self._whole(which, item, deadline)) is not None]
        next_places = {shard: places[shard] for shard in places if shard in going_on}
        cursor = cursors.write_cursor(next_places, index) if next_places else None
        return Page(tuple(orders), cursor, len(page) - len(orders))

    def _whole(self, which: StateFilter, item: Item, deadline: Deadline) -> Order | None:
        """The order of an index's entry; that of the days holds keys only."""
        if which == "settled":
            key = {name: item[name] for name in ("pk", "sk")}
            item = self._call("get_item", deadline, Key=key, ConsistentRead=True).get("Item", {})
        return _read_if_possible(item)

    def due(self, shard: str, now: int, limit: int, start: Item | None, deadline: Deadline) -> tuple[Page, Item | None]:
        """Some of one shard's orders that are due, the longest due first, and where to go on. Raises StoreError."""
        answer = self._query("due", shard, limit, start, deadline, now)
        read = [_read_if_possible(item) for item in answer.get("Items", [])]
        orders = tuple(order for order in read if order is not None)
        return Page(orders, None, len(read) - len(orders)), answer.get("LastEvaluatedKey")

    def due_last(self, shard: str, deadline: Deadline) -> Order | None:
        """The order of a shard whose next query is farthest away. Raises StoreError."""
        return _first(self._query("due", shard, 1, None, deadline, ScanIndexForward=False))

    def due_after(self, shard: str, moment: int, deadline: Deadline) -> Order | None:
        """The order of a shard that is the first to be queried after a moment. Raises StoreError."""
        return _first(self._query("due", shard, 1, None, deadline, after=moment))

    def _query(
        self,
        index: str,
        shard: str,
        limit: int,
        start: Item | None,
        deadline: Deadline,
        until: int | None = None,
        after: int | None = None,
        **more: Any,
    ) -> Item:
        condition, values = f"{index}_pk = :pk", {":pk": {"S": shard}}
        if until is not None:
            condition, values[":until"] = f"{condition} AND {index}_at <= :until", items.number(until)
        if after is not None:
            condition, values[":after"] = f"{condition} AND {index}_at > :after", items.number(after)
        if start is not None:
            more["ExclusiveStartKey"] = start
        return self._call(
            "query",
            deadline,
            IndexName=index,
            KeyConditionExpression=condition,
            ExpressionAttributeValues=values,
            Limit=limit,
            **more,
        )

    def _found(self, failed: "_ConditionFailed", order: Order, deadline: Deadline) -> Order:
        current = _read(failed.item) if failed.item else self.load(order.pos_id, order.order_id, deadline)
        if current is None:
            raise StoreError("condition failed without a record")
        return current

    def _call(self, operation: str, deadline: Deadline, **arguments: Any) -> Item:
        seconds = min(deadline.left(), AWS_CALL_SECONDS)
        if seconds <= 0:
            raise StoreError("deadline")
        try:
            return self._client.call(operation, seconds, TableName=self._table, **arguments)
        except ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", ""))
            if code == "ConditionalCheckFailedException":
                raise _ConditionFailed(_item_of(error)) from None
            raise StoreError(code or "ClientError") from None
        except BotoCoreError as error:
            raise StoreError(type(error).__name__) from None


def _index(which: StateFilter, day: str) -> tuple[str, str]:
    if which == "settled":
        return "settled", items.day_of(day)
    return ("due", items.DUE) if which == "unsettled" else ("review", items.REVIEW)


def _place(value: Item) -> int | str:
    return int(value["N"]) if "N" in value else str(value["S"])


def _item_of(error: ClientError) -> Item:
    """The item as it was, which lies beside `Error`."""
    response: Mapping[str, Any] = error.response
    return dict(response.get("Item", {}))


class _ConditionFailed(Exception):
    def __init__(self, item: Item) -> None:
        super().__init__()
        self.item = item


def _read(item: Item) -> Order:
    order = _read_if_possible(item)
    if order is None:
        # Written by a newer release: it must not be overwritten by what this one understands of it.
        raise StoreError("unreadable record")
    return order


def _first(answer: Item) -> Order | None:
    return next((_read_if_possible(item) for item in answer.get("Items", [])), None)


def _read_if_possible(item: Item) -> Order | None:
    try:
        return items.read_order(item)
    except (AttributeError, KeyError, TypeError, ValueError):
        return None
