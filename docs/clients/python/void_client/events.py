"""Reads `void.settled`, as it comes from the bus, from a queue, or as a post to `outcome_url`."""

import json
from collections.abc import Iterable, Mapping
from typing import Any, cast
from urllib.parse import unquote

from .records import Settled

Event = Mapping[str, Any] | str | bytes


def settled(event: Event) -> Settled:
    """What an event tells, of the whole or of its `detail`. ValueError if it is no `void.settled`."""
    try:
        document: Any = json.loads(event) if isinstance(event, str | bytes) else event
        if document.get("detail-type", "void.settled") != "void.settled":
            raise ValueError(document["detail-type"])
        told = {name: document.get("detail", document)[name] for name in Settled.__annotations__}
        told |= {name: int(told[name]) for name in ("attempt", "version")}
        told |= {name: told[name] or None for name in ("reason", "order_currency")}
        return cast(Settled, told | {"order_id": unquote(told["order_id"], errors="strict")})
    except (AttributeError, KeyError, TypeError, ValueError) as cause:
        raise ValueError(f"not an event void.settled ({type(cause).__name__}: {cause})") from cause


def newest(events: Iterable[Event]) -> dict[str, Settled]:
    """What is known of each order after these events, in whatever order and however often they came."""
    by_version = sorted(map(settled, events), key=lambda outcome: outcome["version"])
    return {outcome["order_id"]: outcome for outcome in by_version}
