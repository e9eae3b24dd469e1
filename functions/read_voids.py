"""GET /v1/voids/{order_id} and GET /v1/voids: what happened to an order, and what is still open."""

import contextlib
import time

import boot
from lambda_http import (
    GatewayEvent,
    Refused,
    Response,
    Violation,
    answering,
    event_record,
    order_id,
    problem,
    query,
    respond,
    void_record,
)
from payments.operations import Void
from payments.settings import SettingsError
from payments.store import BadCursor, Event, Listing
from payments.voids import World, refresh
from telemetry import count_settled, logger
from world import world

STATES: dict[str, Listing] = {"unsettled": "unsettled", "review": "review"}
DEFAULT_LIMIT, MOST = 50, 100


def handler(event: GatewayEvent, context: object) -> Response:  # noqa: ARG001 Lambda's signature
    """Lambda's entry point."""

    def answer() -> Response:
        return _read_one(event) if event.get("pathParameters") else _list(event)

    def unavailable(what: str) -> Response:
        detail = f"The {what} was out of reach or unusable. The same request may be repeated."
        return problem(event, "not-sent", detail, extra={"Retry-After": "5"})

    return answering(event, answer, unavailable)


def _read_one(event: GatewayEvent) -> Response:
    wanted, order = _refresh_wanted(event), order_id(event)
    systems = world(False)
    pos_id = systems.secret.current().pos_id
    void, events, truncated = systems.store.timeline(pos_id, order)
    if void is None:
        return problem(event, "not-found", "No void was requested or reported for this order.", order=order)
    if wanted:
        void = _refreshed(systems, void)
    return respond(200, _with_events(void, events, truncated))


def _refresh_wanted(event: GatewayEvent) -> bool:
    wanted = query(event, "refresh")
    if wanted not in (None, "true", "false"):
        raise Refused(
            "invalid-request", "The query is wrong.", [{"pointer": "/refresh", "detail": "must be true or false"}]
        )
    return wanted == "true"


def _refreshed(systems: World, void: Void) -> Void:
    began = time.monotonic()
    known = refresh(systems, void)
    if known.settled and not void.settled:
        count_settled(known.history[-1].evidence)
        logger.info("void settled", order_id=known.order_id, state=known.state.value, by="refresh")
    if known is not void:
        logger.info("void refreshed", order_id=known.order_id, seconds=round(time.monotonic() - began, 3))
    return known


def _with_events(void: Void, events: list[Event], truncated: bool) -> dict[str, object]:
    shown = void_record(void)
    return {**shown, "events": [event_record(event) for event in events], "events_truncated": truncated}


def _list(event: GatewayEvent) -> Response:
    errors: list[Violation] = []
    state, limit, cursor = query(event, "state") or "unsettled", query(event, "limit"), query(event, "cursor")
    if state not in STATES:
        errors.append({"pointer": "/state", "detail": "must be unsettled or review"})
    number = DEFAULT_LIMIT if limit is None else _whole(limit)
    if not 1 <= number <= MOST:
        errors.append({"pointer": "/limit", "detail": "must be a whole number from 1 to 100"})
    if errors:
        raise Refused("invalid-request", "The query is wrong.", errors)
    try:
        page = world(False).store.list(STATES[state], number, cursor or None)
    except BadCursor:
        wrong = [{"pointer": "/cursor", "detail": "must be a cursor of an earlier answer"}]
        raise Refused("invalid-request", "The query is wrong.", wrong) from None
    return respond(200, {"voids": [void_record(void) for void in page.voids], "cursor": page.cursor})


def _whole(text: str) -> int:
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 4 else 0


# At init, as in submit_void: what is wrong is told to the first request.
with contextlib.suppress(SettingsError):
    world(False)

boot.finish()
