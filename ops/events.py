"""The events of settled voids once more: built from the records, put on the bus with the operator's own role. Promises
the same `detail.id` as the event that was lost, so that whoever has had it sees a repeat. Only the newest settlement of
an order: what a later one has replaced would be old news to its reader."""

import json
import re
from argparse import Namespace
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from itertools import batched
from typing import Any

from infra.settled_event import SETTLED, SOURCE, TEMPLATE
from ops import api, days, places, systems
from ops.places import OpsError, Place
from ops.screen import Screen
from payments.items import write_order
from payments.orders import Order
from payments.store import Store

AT_ONCE = 10
"""A bus takes no more in one call."""
PAGE = 100
_PLACE = re.compile(r"<\$\.dynamodb\.NewImage\.(\w+)\.\w+>")

Detail = dict[str, Any]


def list_events(place: Place, chosen: Namespace, screen: Screen) -> None:
    screen.documents(_wanted(place, chosen))


def resend_events(place: Place, chosen: Namespace, screen: Screen) -> None:
    bus = places.output(place, "OutcomeBus")
    sent = resend(place.client("events"), bus, _wanted(place, chosen))
    screen.line(f"{sent} events were put on the bus of {place.environment} again")


def _wanted(place: Place, chosen: Namespace) -> Iterator[Detail]:
    store = systems.store(place)
    if chosen.order is not None:
        order = store.load(api.read_void(place, chosen.order)["pos_id"], chosen.order, systems.deadline())
        return details([order] if order else [])
    if chosen.first is None:
        raise OpsError("say which: --from, or --order")
    end = days.moment(chosen.last, end=True) if chosen.last else days.now()
    begin = days.moment(chosen.first)
    if end <= begin:
        raise OpsError("the period ends before it begins")
    return details(settled(store, begin, end))


def settled(store: Store, begin: datetime, end: datetime) -> Iterator[Order]:
    """What was settled from `begin` up to before `end`, day by day. Raises OpsError, StoreError."""
    first, last = (at.timestamp() * 1000 for at in (begin, end))
    for after in range((end.date() - begin.date()).days + 1):
        day = (begin.date() + timedelta(days=after)).isoformat()
        cursor: str | None = ""
        while cursor is not None:
            page = store.list("settled", day, PAGE, cursor, systems.deadline())
            if page.unreadable:
                raise OpsError(f"{page.unreadable} orders of {day} have expired, or a newer version wrote them")
            yield from (one for one in page.orders if one.void and first <= (one.void.settled_at or 0) < last)
            cursor = page.cursor


def details(orders: Iterable[Order]) -> Iterator[Detail]:
    """The detail of each event, as the pipe makes it from the same order's item."""
    yield from (detail(write_order(order)) for order in orders if order.void and order.void.settled and order.event_id)


def detail(item: Mapping[str, Any]) -> Detail:
    """One event's detail. Its version is that of the settlement, which may be older than the record's."""

    def filled(place: re.Match[str]) -> str:
        value = next(iter(item.get(place[1], {"NULL": None}).values()))
        return json.dumps(value) if isinstance(value, bool) else str(value or "")

    found: Detail = json.loads(_PLACE.sub(filled, TEMPLATE))
    return found | {"version": found["id"].rpartition("-")[2]}


def resend(client: Any, bus: str, details: Iterable[Detail]) -> int:
    """Put them on the bus; how many. Raises OpsError if the bus refuses one, and says how many it has taken."""
    sent, entry = 0, {"EventBusName": bus, "Source": SOURCE, "DetailType": SETTLED}
    for some in batched(list(details), AT_ONCE, strict=False):
        answer = client.put_events(Entries=[entry | {"Detail": json.dumps(one)} for one in some])
        refused = [entry["ErrorCode"] for entry in answer["Entries"] if entry.get("ErrorCode")]
        sent += len(some) - len(refused)
        if refused:
            raise OpsError(f"the bus refused {len(refused)} of {len(some)} events ({refused[0]}), after it took {sent}")
    return sent
