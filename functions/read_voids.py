"""GET /v1/voids/{order_id} and GET /v1/voids: what happened to an order, what is open,
and what was settled on a day.
"""

import time
from datetime import date
from typing import get_args

import cold_start  # first: it turns the garbage collector off
from answers import void_record, with_webhooks
from lambda_http import (
    REPEAT_LATER,
    BadRequest,
    GatewayEvent,
    Response,
    caller,
    lambda_handler,
    order_id,
    problem,
    query,
    respond,
    violations,
)
from payments.claims import retry_after
from payments.cursors import BadCursor
from payments.deadline import Deadline
from payments.orders import Order
from payments.store import StateFilter
from queries import find, refresh
from systems import Systems, systems
from telemetry import count, count_changes, logger, report_crash

READ_SECONDS = 19.0
DEFAULT_LIMIT, MOST = 50, 100
STATES: dict[str, StateFilter] = {state: state for state in get_args(StateFilter)}


@lambda_handler(REPEAT_LATER)
def handler(event: GatewayEvent) -> Response:
    """Lambda's entry point."""
    caller(event)  # who may not call is refused
    return _read_one(event) if event.get("pathParameters") else _list(event)


def _read_one(event: GatewayEvent) -> Response:
    name, wanted = order_id(event), query(event, "refresh")
    if wanted not in (None, "true", "false"):
        raise BadRequest("invalid-request", "The query is wrong.", violations({"refresh": "must be true or false"}))
    outside = systems()
    deadline = outside.deadline(READ_SECONDS)
    order = find(outside, name, deadline)
    if order is None:
        return problem(event, "not-found", "No void was requested or reported for this order.", order_id=name)
    if wanted == "true":
        order = _refreshed(outside, order, deadline)
    void, now = order.void, outside.now()
    is_open = void is not None and not void.settled
    extra = {"Retry-After": str(retry_after(void, now))} if void is not None and is_open else {}
    return respond(200, with_webhooks(order, now), extra)


def _refreshed(outside: Systems, order: Order, deadline: Deadline) -> Order:
    began = time.monotonic()
    queried = refresh(outside, order, deadline)
    if queried.error is not None:
        report_crash(queried.error)
    elif queried.failed:
        count("StoreUnavailable")  # what was learnt may be written, and nobody has counted it
    for write in queried.writes:
        count_changes(write.before.void, write.after.void)
    if queried.writes:
        void = queried.after.void
        logger.info(
            "void refreshed",
            order_id=order.order_id,
            state=void.state.value if void is not None else None,
            reason=void.reason.value if void is not None and void.reason is not None else None,
            seconds=round(time.monotonic() - began, 3),
        )
    return queried.after


def _list(event: GatewayEvent) -> Response:
    state, limit, cursor, day = (query(event, name) for name in ("state", "limit", "cursor", "day"))
    which = STATES.get("unsettled" if state is None else state)
    number = DEFAULT_LIMIT if limit is None else _whole(limit)
    is_right_day = _is_day(day) if which == "settled" else day is None
    rules = {
        "state": None if which is not None else f"must be {' or '.join(STATES)}",
        "limit": None if 1 <= number <= MOST else "must be a whole number from 1 to 100",
        "day": None if is_right_day else "must be a UTC date, and is for `settled` only",
    }
    errors = violations(rules)
    if which is None or errors:
        raise BadRequest("invalid-request", "The query is wrong.", errors)
    outside = systems()
    try:
        page = outside.store.list(which, day or "", number, cursor, outside.deadline(READ_SECONDS))
    except BadCursor:
        wrong = violations({"cursor": "must be a cursor of an earlier answer to the same query"})
        raise BadRequest("invalid-request", "The query is wrong.", wrong) from None
    now = outside.now()
    shown = [void_record(order, now) for order in page.orders if order.void is not None]
    return respond(200, {"voids": shown, "cursor": page.cursor})


def _whole(text: str) -> int:
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 4 else 0


def _is_day(text: str | None) -> bool:
    try:
        return text is not None and len(text) == 10 and bool(date.fromisoformat(text))
    except ValueError:
        return False


cold_start.finish(systems)
