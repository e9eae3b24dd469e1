"""The events of settled voids once more: built from the records, put on the bus with the operator's own role.

Promises the same `detail.id` as the event that was lost, so that whoever has had it sees a repeat. Only the newest
settlement of an order: what a later one has replaced would be old news to its reader.
"""

import json
import re
from argparse import Namespace
from collections.abc import Iterable, Iterator
from itertools import batched
from typing import Any

from infra.settled_event import SETTLED, SOURCE, TEMPLATE
from ops import api, days, items, places
from ops.places import OpsError, Place
from ops.screen import Screen

AT_ONCE = 10
"""A bus takes no more in one call."""
_PLACE = re.compile(r"<\$\.dynamodb\.NewImage\.(\w+)\.\w+>")

Detail = dict[str, Any]


def list_events(place: Place, chosen: Namespace, screen: Screen) -> None:
    screen.documents(_wanted(place, chosen))


def resend_events(place: Place, chosen: Namespace, screen: Screen) -> None:
    bus = places.output(place, "OutcomeBus")
    sent = resend(place.client("events"), bus, _wanted(place, chosen))
    screen.line(f"{sent} events were put on the bus of {place.environment} again")


def _wanted(place: Place, chosen: Namespace) -> Iterator[Detail]:
    table = items.table(place)
    if chosen.order is not None:
        item = table.order(api.read_void(place, chosen.order)["pos_id"], chosen.order)
        return details([item] if item else [])
    if chosen.first is None:
        raise OpsError("say which: --from, or --order")
    end = days.moment(chosen.last, end=True) if chosen.last else days.now()
    return details(table.settled(days.moment(chosen.first), end))


def details(found: Iterable[items.Item]) -> Iterator[Detail]:
    """The detail of each event, as the pipe makes it from the same items."""
    yield from (detail(item) for item in found if items.value(item, "event_id") and items.value(item, "settled_at"))


def detail(item: items.Item) -> Detail:
    """One event's detail. Its version is that of the settlement, which may be older than the record's."""

    def filled(place: re.Match[str]) -> str:
        value = items.value(item, place[1])
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
