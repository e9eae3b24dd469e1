"""The events of settled voids once more: built from the records, put on the bus with the operator's own role.

Promises the same `detail.id` as the event that was lost, so that whoever has had it sees a repeat. Only the newest
settlement of an order: what a later one has replaced would tell its reader something old.
"""

import json
import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

from infra.settled_event import SETTLED, SOURCE, TEMPLATE
from ops import items
from ops.places import OpsError
from payments.items import SHARDS, key

AT_ONCE = 10
"""A bus takes no more in one call, and the table gives 100 items: see there."""
_PLACE = re.compile(r"<\$\.dynamodb\.NewImage\.(\w+)\.\w+>")

Detail = dict[str, Any]


def moment(text: str, end: bool = False) -> datetime:
    """`2026-11-24` (its beginning in UTC, or with `end` its end) or `2026-11-24T10:10:00Z`. Raises OpsError."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or (found.tzinfo is None and len(text) != len("2026-11-24")) or not 2000 <= found.year <= 9000:
        raise OpsError("a moment is written as 2026-11-24 or, with its zone, as 2026-11-24T10:10:00Z")
    if found.tzinfo is None:
        return found.replace(tzinfo=UTC) + timedelta(days=1 if end else 0)
    return found.astimezone(UTC)


def now() -> datetime:
    """The present moment, in UTC."""
    return datetime.now(UTC)


def settled(client: Any, table: str, begin: datetime, end: datetime) -> Iterator[items.Item]:
    """The items of what was settled from `begin` up to before `end`, day by day."""
    first, last = (at.isoformat(timespec="milliseconds").replace("+00:00", "Z") for at in (begin, end))
    pages = client.get_paginator("query")
    for day in _days(begin.date(), end.date()):
        for shard in range(SHARDS):
            for page in pages.paginate(TableName=table, **items.settled_on(day, shard, first, last)):
                found = _whole(client, table, [items.table_key(item) for item in page["Items"]])
                yield from (item for item in found if first <= (items.value(item, "settled_at") or "") < last)


def _days(first: date, last: date) -> Iterator[date]:
    yield from (first + timedelta(days=after) for after in range((last - first).days + 1))


def _whole(client: Any, table: str, keys: list[items.Item]) -> Iterator[items.Item]:
    while keys:
        some, keys = keys[:100], keys[100:]
        answer = client.batch_get_item(RequestItems={table: {"Keys": some, "ConsistentRead": True}})
        yield from answer["Responses"][table]
        keys += answer.get("UnprocessedKeys", {}).get(table, {}).get("Keys", [])


def of_order(client: Any, table: str, pos_id: str, order_id: str) -> Iterator[items.Item]:
    """The item of one order."""
    item = client.get_item(TableName=table, Key=key(pos_id, order_id), ConsistentRead=True).get("Item")
    if item:
        yield item


def details(found: Iterator[items.Item]) -> Iterator[Detail]:
    """The detail of each event, as the pipe makes it from the same items."""
    yield from (detail(item) for item in found if items.value(item, "event_id") and items.value(item, "settled_at"))


def detail(item: items.Item) -> Detail:
    """One event's detail. Its version is that of the settlement, which may be older than the record's."""

    def filled(place: re.Match[str]) -> str:
        value = items.value(item, place[1])
        return ("" if value is None else str(value)) if not isinstance(value, bool) else json.dumps(value)

    found: Detail = json.loads(_PLACE.sub(filled, TEMPLATE))
    return found | {"version": found["id"].rpartition("-")[2]}


def resend(client: Any, bus: str, details: Iterator[Detail]) -> int:
    """Put them on the bus; how many. Raises OpsError if the bus refuses one, and says how many it has taken."""
    sent, waiting = 0, list(details)
    while waiting:
        some, waiting = waiting[:AT_ONCE], waiting[AT_ONCE:]
        entries = [
            {"EventBusName": bus, "Source": SOURCE, "DetailType": SETTLED, "Detail": json.dumps(one)} for one in some
        ]
        answer = client.put_events(Entries=entries)
        refused = [entry.get("ErrorCode") for entry in answer["Entries"] if entry.get("ErrorCode")]
        sent += len(some) - len(refused)
        if refused:
            raise OpsError(f"the bus refused {len(refused)} of {len(some)} events ({refused[0]}), after it took {sent}")
    return sent
