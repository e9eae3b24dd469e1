"""GET /v1/voids/{order_id} and GET /v1/voids: what happened to an order, and what is still open."""

import time
from typing import get_args

import cold_start  # first: it turns the garbage collector off
from lambda_http import (
    REPEAT_LATER,
    BadRequest,
    GatewayEvent,
    Response,
    Violation,
    lambda_handler,
    order_id,
    problem,
    query,
    respond,
)
from payments.items import BadCursor
from payments.outside import Deadline, Systems
from payments.record import Order, wrong_order_id
from payments.settling import refresh
from payments.store import StateFilter
from payments.voids import find
from representations import void_record, webhook_record
from systems import systems
from telemetry import count, count_changes, logger, report_crash

READ_SECONDS = 19.0
DEFAULT_LIMIT, MOST = 50, 100
STATES: dict[str, StateFilter] = {state: state for state in get_args(StateFilter)}


@lambda_handler(REPEAT_LATER)
def handler(event: GatewayEvent) -> Response:
    """Lambda's entry point."""
    return _read_one(event) if event.get("pathParameters") else _list(event)


def _read_one(event: GatewayEvent) -> Response:
    wanted, name = _refresh_wanted(event), order_id(event)
    wrong = wrong_order_id(name)
    if wrong is not None:
        raise BadRequest("invalid-request", "The path is wrong.", [{"pointer": "/order_id", "detail": wrong}])
    outside = systems()
    deadline = outside.deadline(READ_SECONDS)
    order = find(outside, name, deadline)
    if order is None:
        return problem(event, "not-found", "No void was requested or reported for this order.", order_id=name)
    return respond(200, _with_webhooks(_refreshed(outside, order, deadline) if wanted else order))


def _refresh_wanted(event: GatewayEvent) -> bool:
    wanted = query(event, "refresh")
    if wanted not in (None, "true", "false"):
        wrong = [{"pointer": "/refresh", "detail": "must be true or false"}]
        raise BadRequest("invalid-request", "The query is wrong.", wrong)
    return wanted == "true"


def _refreshed(outside: Systems, order: Order, deadline: Deadline) -> Order:
    began = time.monotonic()
    queried = refresh(outside, order, deadline)
    if queried.error is not None:
        report_crash(queried.error)
    elif queried.failed:
        count("StoreUnavailable")  # what was learnt may be written, and nobody has counted it
    if queried.merged is None or queried.merged.after is queried.merged.before:
        return order
    before, after = queried.merged.before.void, queried.merged.after.void
    count_changes(before, after)
    logger.info(
        "void refreshed",
        order_id=order.order_id,
        state=after.state.value if after is not None else None,
        seconds=round(time.monotonic() - began, 3),
    )
    return queried.merged.after


def _with_webhooks(order: Order) -> dict[str, object]:
    events = [webhook_record(webhook) for webhook in order.newest_webhooks]
    return {**void_record(order), "events": events, "events_truncated": order.more_webhooks}


def _list(event: GatewayEvent) -> Response:
    errors: list[Violation] = []
    state, limit, cursor = query(event, "state"), query(event, "limit"), query(event, "cursor")
    which = STATES.get("unsettled" if state is None else state)
    if which is None:
        errors.append({"pointer": "/state", "detail": f"must be {' or '.join(STATES)}"})
    number = DEFAULT_LIMIT if limit is None else _whole(limit)
    if not 1 <= number <= MOST:
        errors.append({"pointer": "/limit", "detail": "must be a whole number from 1 to 100"})
    if which is None or errors:
        raise BadRequest("invalid-request", "The query is wrong.", errors)
    outside = systems()
    try:
        page = outside.store.list(which, number, cursor, outside.deadline(READ_SECONDS))
    except BadCursor:
        wrong = [{"pointer": "/cursor", "detail": "must be a cursor of an earlier answer"}]
        raise BadRequest("invalid-request", "The query is wrong.", wrong) from None
    shown = [{**void_record(order), "pos_id": order.pos_id} for order in page.orders if order.void is not None]
    return respond(200, {"voids": shown, "cursor": page.cursor})


def _whole(text: str) -> int:
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 4 else 0


cold_start.finish(systems)
