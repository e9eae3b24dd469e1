"""A stream record of an order, and what an EventBridge pipe makes of it: its filter and its template, as AWS documents them.

AWS documents that a pipe escapes nothing: neither does this one. Knows only the operators of patterns that ours use, and
fails on any other.
"""

import json
from copy import replace
from typing import Any

from local import outcomes
from payments import evidence
from payments.facts import Evidence, State
from payments.items import write_heartbeat, write_order
from payments.orders import Order, Source
from tests.fakes import scene
from tests.fakes.provider import REFUSED, UNKNOWN

Was = State | None | str
"""What an order was: a state, `"webhooks"` (an item without a void), or None (no item)."""
WEBHOOKS_ONLY = "webhooks"


def record(old: Was, new: State | str, order_id: str = scene.ORDER) -> dict[str, Any]:
    """The change of an order's item, as the stream has it: by a write of the real functions that leads there."""
    before = order_in(old, order_id) if old else None
    after = order_in(new, order_id)
    return change(
        image(before.stored("write-1")) if before else None, image(after if old != new else after.stored("write-1"))
    )


def change(before: dict[str, Any] | None, after: dict[str, Any]) -> dict[str, Any]:
    """A record of the stream."""
    keys = {"Keys": {"pk": after["pk"], "sk": after["sk"]}, "NewImage": after}
    images = json.loads(json.dumps(keys | ({"OldImage": before} if before else {}), default=str))
    return {"eventID": "1", "eventName": "MODIFY" if before else "INSERT", "dynamodb": images}


def heartbeat() -> dict[str, Any]:
    """What settle_voids writes every quarter of an hour."""
    return change(None, write_heartbeat(scene.START))


def image(order: Order) -> dict[str, Any]:
    """The item of the write that made this order."""
    return write_order(replace(order, version=order.next_version, write_id=f"write-{order.next_version}"))


def order_in(state: Was, order_id: str = scene.ORDER) -> Order:
    """An order that the functions have just brought into this state."""
    order = Order(scene.POS_ID, order_id)
    if state == WEBHOOKS_ONLY:
        return order
    order = order.claimed(scene.request(order_id=order_id), "attempt-1", scene.START)
    answers = {State.UNKNOWN: UNKNOWN, State.PENDING: scene.answer("pending"), State.VOIDED: scene.answer()}
    answers |= {State.FAILED: REFUSED}
    for known, answer in answers.items():
        if state == known:
            facts = evidence.answered(order.facts, 1, answer, scene.START)
            facts = evidence.seen(facts, scene.HELD, scene.START, facts) if state == State.FAILED else facts
            return order.learnt(facts, Source(Evidence.ANSWER, scene.START))
    return order


def below(event: Any, name: str) -> Any:
    """A member; what is not there has nothing below it either, and only `exists` asks about that."""
    return event.get(name) if isinstance(event, dict) else None


def matches(pattern: dict[str, Any], event: Any) -> bool:
    return all(
        matches(wanted, below(event, name))
        if isinstance(wanted, dict)
        else any(matches_value(each, below(event, name)) for each in wanted)
        for name, wanted in pattern.items()
    )


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
    return json.loads(outcomes.filled(template, event))
