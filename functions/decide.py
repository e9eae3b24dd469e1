"""POST /v1/voids/{order_id}/decisions: an operator ends what evidence cannot.

Promises that a decision is about the record that the operator saw, that the provider's success stands above it, and
that nothing is ever sent to the provider because of it but a query.
"""

import re
from typing import NamedTuple

import cold_start  # first: it turns the garbage collector off
import lambda_http
from answers import ANSWERS, in_problem, revision_of, void_record, with_webhooks
from lambda_http import GatewayEvent, Response
from payments import exact_json
from payments.claims import Result, may_decide
from payments.deadline import Deadline
from payments.facts import Decision, Word
from payments.orders import Order, Void
from payments.secret import SecretError
from payments.store import StoreError
from queries import find, query
from systems import Systems, systems
from telemetry import count, count_changes, count_trouble, logger, named

DECIDE_SECONDS = 19.0
LARGEST_BODY = 8_192
LONGEST_NOTE = 500
FIELDS = {"decision", "revision", "note"}


class Wanted(NamedTuple):
    """What an operator wants to decide, and about what."""

    by: str | None
    word: Word
    note: str
    revision: str


class Decided(NamedTuple):
    """The end of a decision, and the order before and after it."""

    result: Result
    order: Order
    before: Void | None
    replayed: bool = False
    unwritten: StoreError | None = None
    """Why the decision could not be written; it may be all the same, and its repetition tells."""


@lambda_http.lambda_handler("Nothing was decided; the same decision may be repeated.")
def handler(event: GatewayEvent) -> Response:
    name, wanted = lambda_http.order_id(event), read_decision(event)
    outside = systems()
    deadline = outside.deadline(DECIDE_SECONDS)
    order = find(outside, name, deadline)
    if order is None:
        return lambda_http.no_void(event, name)
    decided = decide(outside, order, wanted, deadline)
    _observe(decided, wanted)
    return _respond(event, decided, outside.now())


def read_decision(event: GatewayEvent) -> Wanted:
    """Validate a decision. Raises BadRequest with all violations at once."""
    value, by = lambda_http.json_call(event, LARGEST_BODY)
    note, revision = value.get("note"), value.get("revision")
    is_revision = isinstance(revision, str) and re.fullmatch("[0-9a-f]{16}", revision)
    is_note = exact_json.is_text(note, LONGEST_NOTE) and note.strip() != ""
    rules = {
        "decision": None if value.get("decision") in list(Word) else f"must be {', '.join(Word)}",
        "revision": None if is_revision else "must be the `revision` of the record that was read",
        "note": None if is_note else f"must be text of 1 to {LONGEST_NOTE} characters",
        **lambda_http.unknown_fields(value, FIELDS),
    }
    lambda_http.obey("The decision breaks the rules listed in `errors`.", rules)
    return Wanted(by, Word(value["decision"]), value["note"], value["revision"])


def decide(outside: Systems, order: Order, wanted: Wanted, deadline: Deadline) -> Decided:
    """Query the provider once, then write the decision if the record is still the one that it is about.

    Raises SecretError and StoreError only while nothing was decided.
    """
    if any(each[1:5] == wanted for each in order.facts.decisions):
        return Decided(Result.DECIDED, order, order.void, replayed=True)
    if revision_of(order, outside.now()) != wanted.revision:
        return Decided(Result.CHANGED, order, order.void)
    order = _queried(outside, order, deadline)
    end: Result | None = Result.DECIDED

    def apply(current: Order) -> Order:
        nonlocal end
        void, now = current.void, outside.now()
        if void is None or revision_of(current, now) != wanted.revision:
            end = Result.CHANGED
            return current
        end = may_decide(void, wanted.word, now)
        if end is not None:
            return current
        return current.decided(Decision(now, *wanted, void.state, void.reason, current.facts.number))

    try:
        merged = outside.store.merge(order, apply, outside.new_id, deadline)
    except StoreError as error:
        return Decided(Result.DECIDED, order, order.void, unwritten=error)
    return Decided(end or Result.DECIDED, merged.after, merged.before.void)


def _queried(outside: Systems, order: Order, deadline: Deadline) -> Order:
    """The order as the provider shows it now. One that does not answer forbids nothing."""
    try:
        queried = query(outside, order, deadline, scheduled=False)
    except (SecretError, StoreError):
        return order
    queried.observe()
    return queried.after


def _respond(event: GatewayEvent, decided: Decided, now: int) -> Response:
    if decided.unwritten is not None:
        may_be = "The decision may be written or not. Repeat it: that is safe."
        return lambda_http.problem(event, "outcome-unknown", may_be)
    if decided.result is Result.DECIDED:
        replayed = "true" if decided.replayed else None
        return lambda_http.respond(200, with_webhooks(decided.order, now), {"Idempotency-Replayed": replayed})
    (name, detail, *_), until, wait = ANSWERS[decided.result], decided.order.facts.window_until, None
    if decided.result is Result.IN_PROGRESS:
        wait = max(1, -(-(until - now) // 1000))
        detail = "The void that was requested may still arrive at the provider. Decide when its window is over."
    shown = in_problem(void_record(decided.order, now))
    return lambda_http.problem(event, name, detail, {"Retry-After": wait}, **shown)


def _observe(decided: Decided, wanted: Wanted) -> None:
    logger.info(
        "void decided",
        order_id=decided.order.order_id,
        decision=wanted.word.value,
        by=wanted.by,
        result=decided.result.value if decided.unwritten is None else "outcome-unknown",
        replayed=decided.replayed,
        **named(decided.order.void),
    )
    count_changes(decided.before, decided.order.void)
    if decided.unwritten is not None:
        count_trouble(decided.unwritten)
    elif not decided.replayed:
        count("DecisionTaken" if decided.result is Result.DECIDED else "DecisionRefused")


cold_start.finish(systems)
