"""What this command line knows of the table's items: how they are found, and what one of them says.

The only file of ops/ that names an attribute. An order's item is read by the functions' own code and becomes the record
that the API shows, so that nothing here depends on how it is stored.
"""

from collections.abc import Mapping
from datetime import date
from typing import Any

from answers import void_record
from ops.systems import now
from payments.items import day_of, key, read_order

Item = Mapping[str, Any]
Arguments = dict[str, Any]


def settled_between(begin: str, end: str) -> Arguments:
    """The scan of what was settled in this time, or is not settled yet; `end` is the first moment that is too late."""
    return {
        # Only the record of an order has a state: neither its webhooks nor a message in quarantine.
        "FilterExpression": (
            "attribute_exists(#state) AND "
            "(attribute_not_exists(settled_at) OR (settled_at >= :begin AND settled_at < :end))"
        ),
        "ExpressionAttributeNames": {"#state": "state"},
        "ExpressionAttributeValues": {":begin": {"S": begin}, ":end": {"S": end}},
    }


def record(item: Item) -> dict[str, Any]:
    """The record of an order, as `GET /voids` lists it now."""
    return void_record(read_order(item), now())


def of_order(client: Any, table: str, pos_id: str, order_id: str) -> dict[str, Any] | None:
    """The record of one order, as it is now; None if there is none."""
    item = client.get_item(TableName=table, Key=key(pos_id, order_id), ConsistentRead=True).get("Item")
    return record(item) if item and "state" in item else None


def settled_on(day: date, shard: int, begin: str, end: str) -> Arguments:
    """The query of the keys of what was settled on one day (UTC), within a time; one of SHARDS parts."""
    values = {":pk": {"S": f"{day_of(day.isoformat())}#{shard}"}, ":begin": {"S": begin}, ":end": {"S": end}}
    condition = "settled_pk = :pk AND settled_at BETWEEN :begin AND :end"
    return {"IndexName": "settled", "KeyConditionExpression": condition, "ExpressionAttributeValues": values}


def table_key(item: Item) -> Item:
    """The key of an item that an index has named."""
    return {name: item[name] for name in ("pk", "sk")}


def value(item: Item, name: str) -> Any:
    """The value of one flat attribute; None if the item has none."""
    return next(iter(item.get(name, {"NULL": None}).values()))


def in_quarantine(day: date, digest: str = "") -> Arguments:
    """The query of the messages that came on one day (UTC); with `digest`, of those whose digest begins so."""
    values = {":pk": {"S": f"QUARANTINE#{day.isoformat()}"}} | ({":digest": {"S": digest}} if digest else {})
    condition = "pk = :pk" + (" AND begins_with(sk, :digest)" if digest else "")
    return {"KeyConditionExpression": condition, "ExpressionAttributeValues": values}


def message(item: Item) -> dict[str, str]:
    """One message in quarantine."""
    return {"digest": item["sk"]["S"], **{name: item[name]["S"] for name in ("received_at", "why", "text")}}
