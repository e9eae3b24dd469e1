"""GET /v1/voids/{order_id} and GET /v1/voids: what happened to an order, what is open, what was settled on a day."""

import time
from datetime import date

import cold_start  # first: it turns the garbage collector off
import lambda_http
from answers import void_record, with_webhooks
from lambda_http import GatewayEvent, Response
from payments import claims, cursors
from payments.deadline import Deadline
from payments.orders import Order
from payments.store import StoreError
from queries import find, refresh
from systems import Systems, systems
from telemetry import count, logger, named

READ_SECONDS = 19.0
DEFAULT_LIMIT, MOST = 50, 100
STATES = ("unsettled", "review", "settled")


@lambda_http.lambda_handler()
def handler(event: GatewayEvent) -> Response:
    lambda_http.caller(event)  # who may not call is refused
    return _read_one(event) if event.get("pathParameters") else _list(event)


def _read_one(event: GatewayEvent) -> Response:
    name, wanted = lambda_http.order_id(event), lambda_http.query(event, "refresh")
    is_right = wanted in (None, "true", "false")
    lambda_http.obey("The query is wrong.", {"refresh": None if is_right else "must be true or false"})
    outside = systems()
    deadline = outside.deadline(READ_SECONDS)
    order = find(outside, name, deadline)
    if order is None:
        return lambda_http.no_void(event, name)
    if wanted == "true":
        order = _refreshed(outside, order, deadline)
    void, now = order.void, outside.now()
    wait = claims.retry_after(void, now) if void is not None and not void.settled else None
    return lambda_http.respond(200, with_webhooks(order, now), {"Retry-After": wait})


def _refreshed(outside: Systems, order: Order, deadline: Deadline) -> Order:
    began = time.monotonic()
    queried = refresh(outside, order, deadline)
    queried.observe()
    if isinstance(queried.error, StoreError):
        count("StoreUnavailable")  # what was learnt may be written, and nobody has counted it
    if queried.writes:
        seconds = round(time.monotonic() - began, 3)
        logger.info("void refreshed", order_id=order.order_id, **named(queried.after.void), seconds=seconds)
    return queried.after


def _list(event: GatewayEvent) -> Response:
    state, limit, cursor, day = (lambda_http.query(event, name) for name in ("state", "limit", "cursor", "day"))
    which = "unsettled" if state is None else state
    number = DEFAULT_LIMIT if limit is None else _whole(limit)
    is_right_day = _is_day(day) if which == "settled" else day is None
    rules = {
        "state": None if which in STATES else f"must be {' or '.join(STATES)}",
        "limit": None if 1 <= number <= MOST else "must be a whole number from 1 to 100",
        "day": None if is_right_day else "must be a UTC date, and is for `settled` only",
    }
    lambda_http.obey("The query is wrong.", rules)
    outside = systems()
    try:
        page = outside.store.list(which, day or "", number, cursor, outside.deadline(READ_SECONDS))
    except cursors.BadCursor:
        wrong = [{"pointer": "/cursor", "detail": "must be a cursor of an earlier answer to the same query"}]
        raise lambda_http.BadRequest("invalid-request", "The query is wrong.", wrong) from None
    now = outside.now()
    shown = [void_record(order, now) for order in page.orders if order.void is not None]
    return lambda_http.respond(200, {"voids": shown, "cursor": page.cursor})


def _whole(text: str) -> int:
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 4 else 0


def _is_day(text: str | None) -> bool:
    try:
        return text is not None and len(text) == 10 and bool(date.fromisoformat(text))
    except ValueError:
        return False


cold_start.finish(systems)
