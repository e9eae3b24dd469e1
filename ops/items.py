"""The service's table as operators read it, with their own rights: how items are found, and what one of them says. The
only file of ops/ that names an attribute. An order's item is read by the functions' own code and becomes the record
that the API shows, so that nothing here depends on how it is stored."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from datetime import date
from typing import Any, NamedTuple

from botocore.exceptions import ClientError

from answers import void_record
from ops import places, systems
from ops.days import Period
from payments.store import read_item

Item = Mapping[str, Any]


class Table(NamedTuple):
    """The table, by a client of the operator's."""

    client: Any
    name: str

    def _pages(self, operation: str, **arguments: Any) -> Iterator[Any]:
        yield from self.client.get_paginator(operation).paginate(TableName=self.name, **arguments)

    def size(self) -> int | None:
        """About how many items a scan will pass; AWS counts every six hours. None: not known, or not to this role."""
        with suppress(ClientError):
            return self.client.describe_table(TableName=self.name)["Table"].get("ItemCount") or None
        return None

    def records(self, wanted: Period, passed: Callable[[int], None]) -> Iterator[dict[str, Any]]:
        """The records of a period, in no order; `passed` is called with how many items each page looked at. A scan, to
        which the functions have no right: a request must never cost one. What is open has no index by day."""
        pages = self._pages(
            "scan",
            ConsistentRead=True,
            # Only the record of an order has a state: neither its webhooks nor a message in quarantine.
            FilterExpression="attribute_exists(#state) AND "
            "(attribute_not_exists(settled_at) OR (settled_at >= :begin AND settled_at < :end))",
            ExpressionAttributeNames={"#state": "state"},
            ExpressionAttributeValues={":begin": {"S": wanted.begin}, ":end": {"S": wanted.end}},
        )
        for page in pages:
            yield from filter(wanted.holds, map(record, page["Items"]))
            passed(int(page.get("ScannedCount", 0)))

    def in_quarantine(self, day: date, digest: str = "") -> Iterator[dict[str, str]]:
        """The messages that came on one day, or those of them whose digest begins so."""
        values = {":pk": {"S": f"QUARANTINE#{day.isoformat()}"}} | ({":digest": {"S": digest}} if digest else {})
        condition = "pk = :pk" + (" AND begins_with(sk, :digest)" if digest else "")
        for page in self._pages("query", KeyConditionExpression=condition, ExpressionAttributeValues=values):
            for item in page["Items"]:
                yield {"digest": item["sk"]["S"], **{name: item[name]["S"] for name in ("received_at", "why", "text")}}


def table(place: places.Place) -> Table:
    """The deployed one. Raises OpsError, SettingsError."""
    return Table(place.client("dynamodb"), places.storage(place).table_name)


def record(item: Item) -> dict[str, Any]:
    """The record of an order, as `GET /voids` lists it now. Raises StoreError."""
    return void_record(read_item(dict(item)), systems.now())
