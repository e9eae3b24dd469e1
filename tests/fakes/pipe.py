"""A stream record of a void, and what an EventBridge pipe makes of it: its filter and its template, as AWS documents them.

Knows only the operators that our patterns use, and fails on any other.
"""

import json
import re
from copy import replace
from typing import Any

from payments.operations import Reason, State
from payments.store import write_void
from tests.fakes import scene

CALLER = "arn:aws:iam::123456789012:role/orders"


def record(old: State | None, new: State, order_id: str = scene.ORDER) -> dict[str, Any]:
    """The change of an order's record from `old` (None: there was none) to `new`."""
    after, before = image(new, 2, order_id), image(old, 1, order_id) if old else None
    change = {"Keys": {"pk": after["pk"], "sk": after["sk"]}, "NewImage": after} | ({"OldImage": before} if old else {})
    return {"eventID": "1", "eventName": "MODIFY" if old else "INSERT", "dynamodb": json.loads(json.dumps(change))}


def image(state: State, version: int, order_id: str) -> dict[str, Any]:
    settled = state in (State.VOIDED, State.FAILED)
    return write_void(
        replace(
            scene.submitting(),
            order_id=order_id,
            state=state,
            requested_by=CALLER,
            provider=scene.fields() if settled else None,
            reason=Reason.REFUSED if state is State.FAILED else None,
            settled_at=scene.START if settled else None,
            due_at=None if settled else scene.START,
            version=version,
            write_id=f"write-{version}",
        )
    )


def matches(pattern: dict[str, Any], event: dict[str, Any]) -> bool:
    for name, wanted in pattern.items():
        if isinstance(wanted, dict):
            if not isinstance(event.get(name), dict) or not matches(wanted, event[name]):
                return False
        elif not any(matches_value(each, event.get(name)) for each in wanted):
            return False
    return True


def matches_value(wanted: Any, value: Any) -> bool:
    if isinstance(wanted, dict):
        ((operator, operand),) = wanted.items()
        assert operator == "anything-but"
        return value is not None and value not in operand
    return bool(value == wanted)


def filled(template: str, event: dict[str, Any]) -> Any:
    """Inside quotes a value is put in as it is, a missing one as nothing; outside, as JSON."""

    def value(path: str) -> Any:
        found: Any = event
        for name in path.split("."):
            found = found.get(name) if isinstance(found, dict) else None
        return found

    def put(match: re.Match[str]) -> str:
        quote, path = match.groups()
        found = value(path)
        return f'"{"" if found is None else found}"' if quote else json.dumps(found)

    return json.loads(re.sub(r'("?)<\$\.([\w.]+)>\1', put, template))
