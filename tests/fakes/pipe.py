"""A stream record of an order, and what an EventBridge pipe makes of it: its filter and its template, as AWS documents them.

AWS documents that a pipe escapes nothing: neither does this one. Knows only the operators of patterns that ours use, and
fails on any other.
"""

import json
import re
from copy import replace
from typing import Any

from payments.facts import FailureReason, State
from payments.items import write_order
from payments.orders import Order, Void
from tests.fakes import scene

CALLER = "arn:aws:iam::123456789012:role/orders"

Was = State | None | str
"""What an order was: a state, `"webhooks"` (an item without a void), or None (no item)."""
WEBHOOKS_ONLY = "webhooks"


def record(old: Was, new: State | str, order_id: str = scene.ORDER) -> dict[str, Any]:
    """The change of an order's item, as the stream has it."""
    after, before = image(new, 2, order_id), image(old, 1, order_id) if old else None
    change = {"Keys": {"pk": after["pk"], "sk": after["sk"]}, "NewImage": after} | ({"OldImage": before} if old else {})
    return {"eventID": "1", "eventName": "MODIFY" if old else "INSERT", "dynamodb": json.loads(json.dumps(change))}


def image(state: State | str, version: int, order_id: str) -> dict[str, Any]:
    """The item, as the functions write it."""
    void = None if state == WEBHOOKS_ONLY else void_in(State(state))
    return write_order(Order(scene.POS_ID, order_id, void, version=version, write_id=f"write-{version}"))


def void_in(state: State) -> Void:
    settled = state in (State.VOIDED, State.FAILED)
    asked = scene.submitting()
    assert asked.attempt is not None
    return replace(
        asked,
        state=state,
        attempt=replace(asked.attempt, requested_by=CALLER),
        provider=scene.fields() if settled else None,
        reason=FailureReason.REFUSED if state is State.FAILED else None,
        settled_at=scene.START if settled else None,
        due_at=None if settled else scene.START,
    )


def matches(pattern: dict[str, Any], event: dict[str, Any]) -> bool:
    for name, wanted in pattern.items():
        if isinstance(wanted, dict):
            # What is not there has nothing below it either; only `exists` asks about that.
            below = event.get(name)
            if not matches(wanted, below if isinstance(below, dict) else {}):
                return False
        elif not any(matches_value(each, event.get(name)) for each in wanted):
            return False
    return True


def matches_value(wanted: Any, value: Any) -> bool:
    if not isinstance(wanted, dict):
        return bool(value == wanted)
    ((operator, operand),) = wanted.items()
    match operator:
        case "anything-but":
            return value is not None and value not in operand
        case "exists":
            return (value is not None) is operand
    raise AssertionError(f"{operator} is not known here")


def filled(template: str, event: dict[str, Any]) -> Any:
    """The document of the filled template. Raises ValueError where the pipe would fail: it is no JSON."""
    return json.loads(as_text(template, event))


def as_text(template: str, event: dict[str, Any]) -> str:
    """Each path by its value, as it is: a pipe escapes nothing. Around a text it puts quotes, if the template has none."""

    def value(path: str) -> Any:
        found: Any = event
        for name in path.split("."):
            found = found.get(name) if isinstance(found, dict) else None
        return found

    def put(match: re.Match[str]) -> str:
        quote, path = match.groups()
        found = value(path)
        if found is None:
            return quote * 2  # nothing appears in its place
        if isinstance(found, str):
            return f'"{found}"'
        written = json.dumps(found)
        return f'"{written}"' if quote else written

    return re.sub(r'("?)<\$\.([\w.]+)>\1', put, template)
