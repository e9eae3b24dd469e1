"""The only file that touches DynamoDB: whole orders, written conditionally, and bounded reads.

Promises that a write fails if somebody wrote since the version it rests on, that one whose answer was lost is
recognised by its `write_id`, and that no write forgets a fact. Never scans, never deletes, never overwrites
unconditionally.
"""

import zlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Literal, NamedTuple

from botocore.exceptions import BotoCoreError, ClientError

from payments import cursors, evidence, items
from payments.deadline import AWS_CALL_SECONDS, AwsClient, Deadline
from payments.facts_text import digest_of, own_fields, repeating, write_fields
from payments.items import Item
from payments.orders import MOST_WEBHOOK_BYTES, MOST_WEBHOOKS, Order, StoredWebhook

MOST_MERGES = 5

APPEND = "SET webhooks.#digest = :webhook, version = version + :one, write_id = :write REMOVE settles"
ADDS_NOTHING_ELSE = (
    "#state = :voided AND said = :said AND attribute_not_exists(webhooks.#digest) AND size(webhooks) < :most"
)
"""Equal fields, because then no fact would change. Whatever is not exactly so is merged."""

INDEXES = {"unsettled": ("due", items.DUE), "review": ("review", items.REVIEW)}
FORGETS = "a write would forget a fact"
NOT_WRITTEN = "NotWritten"
NEW: Item = {"ConditionExpression": "attribute_not_exists(pk)"}
SHOW_CURRENT = {"ReturnValuesOnConditionCheckFailure": "ALL_OLD"}


class StoreError(Exception):
    """The table cannot be used now; whether a write was applied is not known. The text is the kind of error."""


class Merged(NamedTuple):
    """What a merge did: the order that it was based on and the order afterwards, the same if nothing changed."""

    before: Order
    after: Order


class Page(NamedTuple):
    """Some orders and where to go on."""

    orders: tuple[Order, ...]
    cursor: str | None
    unreadable: int
    """Items that this release cannot read, as after a rollback: left out, so that they do not stop the others."""


class Store:
    """One table. `write_id`s are made by the caller, fresh for each write.

    `keep_days`: of settled orders, None: for ever.
    """

    def __init__(self, client: AwsClient, table_name: str, keep_days: int | None = None) -> None:
        self._client, self._table, self._keep_days = client, table_name, keep_days

    def load(self, pos_id: str, order_id: str, deadline: Deadline) -> Order | None:
        """Read an order, as of now. Raises StoreError."""
        item = self._call("get_item", deadline, Key=items.key(pos_id, order_id), ConsistentRead=True).get("Item")
        return read_item(item) if item else None

    def write(self, order: Order, write_id: str, deadline: Deadline) -> Order:
        """Write an order that rests on the version it carries; version 0 must not exist yet. Raises StoreError.

        Returns what then stands in the table: ours by its `write_id`, or the newer truth of somebody who wrote first.
        """
        written = order.stored(write_id, settles=order.settles)
        item, condition = items.write_order(written, self._keep_days), NEW
        if order.version:
            seen = {":seen": items.number(order.version)}
            condition = {"ConditionExpression": "version = :seen", "ExpressionAttributeValues": seen}
        answer = self._call("put_item", deadline, Item=item, **SHOW_CURRENT, **condition)
        if NOT_WRITTEN not in answer:
            return order.stored(write_id)
        # The SDK repeats a request whose answer was lost: then the condition fails against our own write.
        found = answer[NOT_WRITTEN]
        current = read_item(found) if found else self.load(order.pos_id, order.order_id, deadline)
        if current is None:
            raise StoreError("condition failed without a record")
        return current

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
            write_id = new_id()
            written = self.write(changed, write_id, deadline)
            if written.write_id == write_id:
                return Merged(order, written)
            order = written
        raise StoreError("record kept changing")

    def append_webhook(
        self, pos_id: str, webhook: StoredWebhook, write_id: str, deadline: Deadline
    ) -> Literal[True] | Order | None:
        """Add a webhook to an order, without having read it, if its void is done and the webhook adds nothing else.

        True: added. Otherwise nothing was written: the order as it stands, None if there is none. Raises StoreError.
        """
        said = write_fields(webhook.operation.fields, own_fields(pos_id, webhook.operation.order_id))
        # Should later news change what is shown, each of them is written with its fields: then they must fit, too.
        most = min(MOST_WEBHOOKS, MOST_WEBHOOK_BYTES // 2 // len(said.encode()))
        answer = self._call(
            "update_item",
            deadline,
            Key=items.key(pos_id, webhook.operation.order_id),
            UpdateExpression=APPEND,
            ConditionExpression=ADDS_NOTHING_ELSE,
            ExpressionAttributeNames={"#state": "state", "#digest": webhook.digest},
            ExpressionAttributeValues={
                ":voided": {"S": "voided"},
                ":said": {"S": digest_of(said)},
                ":webhook": {"S": repeating(webhook)},
                ":most": items.number(most),
                ":one": items.number(1),
                ":write": {"S": write_id},
            },
            **SHOW_CURRENT,
        )
        if NOT_WRITTEN not in answer:
            return True
        return read_item(answer[NOT_WRITTEN]) if answer[NOT_WRITTEN] else None

    def put_quarantine(self, digest: str, text: str, why: str, received_at: int, deadline: Deadline) -> None:
        """Keep a genuine message that we cannot use, for 90 days. Raises StoreError."""
        item = items.write_quarantine(digest, text, why, received_at)
        self._call("put_item", deadline, Item=item, **NEW)

    def beat(self, at: int, deadline: Deadline) -> None:
        """Say through the table's stream that the way of settled voids is open. Raises StoreError."""
        self._call("put_item", deadline, Item=items.write_heartbeat(at))

    def list(self, which: str, day: str, limit: int, cursor: str | None, deadline: Deadline) -> Page:
        """One page of the open voids or of those in review, next due first, or of those settled on a UTC day.

        Raises StoreError, `cursors.BadCursor`.
        """
        index, kind = INDEXES.get(which) or ("settled", items.day_of(day))
        places = cursors.read_cursor(cursor, index, kind) if cursor else dict.fromkeys(items.shards(kind))
        found: list[tuple[str, str, Item]] = []
        going_on: set[str] = set()
        for shard, start in places.items():
            answer = self._query(index, shard, start, deadline, Limit=limit)
            found += [(next(iter(each[f"{index}_at"].values())), shard, each) for each in answer.get("Items", [])]
            going_on |= {shard} if "LastEvaluatedKey" in answer else set()
        found.sort(key=lambda entry: entry[0].rjust(24))  # stable, so each shard keeps its own order
        page, rest = found[:limit], found[limit:]
        going_on |= {shard for _, shard, _ in rest}
        places |= {shard: item for _, shard, item in page}
        orders = [order for _, _, item in page if (order := self._whole(which, item, deadline)) is not None]
        next_places = {shard: places[shard] for shard in places if shard in going_on}
        cursor = cursors.write_cursor(next_places, index) if next_places else None
        return Page(tuple(orders), cursor, len(page) - len(orders))

    def _whole(self, which: str, item: Item, deadline: Deadline) -> Order | None:
        """The order of an index's entry; that of the days holds keys only."""
        if which == "settled":
            key = {name: item[name] for name in ("pk", "sk")}
            item = self._call("get_item", deadline, Key=key, ConsistentRead=True).get("Item", {})
        return _read_if_possible(item)

    def due(self, shard: str, now: int, limit: int, start: Item | None, deadline: Deadline) -> tuple[Page, Item | None]:
        """Some of one shard's orders that are due, the longest due first, and where to go on. Raises StoreError."""
        answer = self._query("due", shard, start, deadline, "<=", now, Limit=limit)
        read = [_read_if_possible(item) for item in answer.get("Items", [])]
        orders = tuple(order for order in read if order is not None)
        return Page(orders, None, len(read) - len(orders)), answer.get("LastEvaluatedKey")

    def waiting(self, shard: str, moment: int, deadline: Deadline) -> tuple[Order, ...]:
        """The orders of a shard whose next query is the farthest, and the first after a moment. Raises StoreError."""
        last = self._query("due", shard, None, deadline, Limit=1, ScanIndexForward=False)
        after = self._query("due", shard, None, deadline, ">", moment, Limit=1)
        read = [_read_if_possible(item) for answer in (last, after) for item in answer.get("Items", [])]
        return tuple(order for order in read if order is not None)

    def _query(
        self, index: str, shard: str, start: Item | None, deadline: Deadline, than: str = "", at: int = 0, **more: Any
    ) -> Item:
        condition, values = f"{index}_pk = :pk", {":pk": {"S": shard}}
        if than:
            condition, values[":moment"] = f"{condition} AND {index}_at {than} :moment", items.number(at)
        if start is not None:
            more["ExclusiveStartKey"] = start
        more |= {"KeyConditionExpression": condition, "ExpressionAttributeValues": values}
        return self._call("query", deadline, IndexName=index, **more)

    def _call(self, operation: str, deadline: Deadline, **arguments: Any) -> Item:
        """The answer; of a write whose condition failed the item as it is, if it was to be shown."""
        seconds = min(deadline.left(), AWS_CALL_SECONDS)
        if seconds <= 0:
            raise StoreError("deadline")
        try:
            return self._client.call(operation, seconds, TableName=self._table, **arguments)
        except ClientError as error:
            answer: Mapping[str, Any] = error.response  # with the item beside `Error`
            code = str(answer.get("Error", {}).get("Code", ""))
            if code == "ConditionalCheckFailedException":
                return {NOT_WRITTEN: answer.get("Item", {})}
            raise StoreError(code or "ClientError") from None
        except BotoCoreError as error:
            raise StoreError(type(error).__name__) from None


def read_item(item: Item) -> Order:
    try:
        return items.read_order(item)
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError, zlib.error):
        # Written by a newer release: it must not be overwritten by what this one understands of it.
        raise StoreError("unreadable record") from None


def _read_if_possible(item: Item) -> Order | None:
    with suppress(StoreError):
        return read_item(item)
    return None
