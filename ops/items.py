"""What this command line knows of the table's items: how they are found, and what one of them says.

The only file of ops/ that names an attribute. An order's item is read by the functions' own code and becomes the record
that the API shows, so that nothing here depends on how it is stored. Never writes.
"""

from collections.abc import Mapping
from datetime import date
from typing import Any

from payments.items import read_order
from representations import void_record

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
    """The record of an order, as `GET /voids` lists it."""
    order = read_order(item)
    return {**void_record(order), "pos_id": order.pos_id}


def in_quarantine(day: date, digest: str = "") -> Arguments:
    """The query of the messages that came on one day (UTC); with `digest`, of those whose digest begins so."""
    values = {":pk": {"S": f"QUARANTINE#{day.isoformat()}"}} | ({":digest": {"S": digest}} if digest else {})
    condition = "pk = :pk" + (" AND begins_with(sk, :digest)" if digest else "")
    return {"KeyConditionExpression": condition, "ExpressionAttributeValues": values}


def message(item: Item) -> dict[str, str]:
    """One message in quarantine."""
    return {"digest": item["sk"]["S"], **{name: item[name]["S"] for name in ("received_at", "why", "text")}}
