"""POST /v1/voids: a durable intent, one POST to the provider, a durable outcome; or the record's own answer.

Promises that no request byte leaves before its intent is durable, that what is not known stays `unknown`, and that
nothing is sent a second time by itself. See docs/openapi.json for the contract.
"""

import re
from typing import NamedTuple
from urllib.parse import quote

import cold_start  # first: it turns the garbage collector off
import lambda_http
from answers import ANSWERS, in_problem, void_record, why_not_voidable
from lambda_http import GatewayEvent, JsonCall, Response
from payments import claims, evidence, exact_json
from payments.claims import Judged, Result, retry_after, waits_for_operator
from payments.connection import NotConnected, OpeningConnection
from payments.deadline import Deadline
from payments.facts import Attempt, Evidence, Request, State
from payments.messages import Answer, AnswerKind, OrderView, wrong_order_id
from payments.orders import Order, Source, Void
from payments.reviews import Reason
from payments.secret import Credentials
from payments.store import MOST_MERGES, Merged, StoreError
from systems import Storage, Systems, systems_that_send
from telemetry import count, count_changes, count_trouble, logger, named

LARGEST_BODY = 32_768
LONGEST_COMMENT = 2_048
FIELDS = ("order_id", "order_currency", "comment")
SUBMIT_SECONDS = 19.5
"""submit_void times out after 20 s; what is not done by then is left to settle_voids."""
RESERVE_SECONDS = 9.0
SEND_SECONDS = 4.0
"""Send within this time or not at all, so that the provider's 10 s for an answer still fit."""
OUTCOME_SECONDS = 3.0
"""Kept free for writing the outcome: a query after a refusal ends so long before the deadline."""


class Submitted(NamedTuple):
    """The end of a request: its result, and the order before and after it."""

    judged: Judged
    order: Order
    before: Void | None
    attempt: Attempt | None = None
    """The attempt that it made; None: the record alone answered it."""
    cause: str | None = None
    """For the log: the provider's HTTP status, or how its answer or the connection was lost."""
    unwritten: StoreError | None = None
    """Why the outcome could not be written; it may be all the same, and nobody has counted what it changed."""


class _Sent(NamedTuple):
    """What the provider said. An answer of None: nothing was sent, for this cause."""

    answer: Answer | None
    view: OrderView | None = None
    cause: str | None = None


@lambda_http.lambda_handler(lambda_http.REPEAT_LATER._replace(metric="VoidNotSent"))
def handler(event: GatewayEvent) -> Response:
    """Lambda's entry point."""
    call, systems = lambda_http.json_call(event, LARGEST_BODY), systems_that_send()
    request = read_request(call)
    began = systems.now()
    submitted = submit(systems, request)
    now = systems.now()
    _observe(submitted, now - began)
    return _respond(event, submitted, now)


def read_request(call: JsonCall) -> Request:
    """Validate a request. Raises BadRequest with all violations at once."""
    value, currency, comment = call.value, call.value.get("order_currency"), call.value.get("comment")
    key = call.keys[0] if call.keys else None
    is_currency = isinstance(currency, str) and re.fullmatch("[A-Z]{3}", currency)
    is_comment = comment is None or exact_json.is_text(comment, LONGEST_COMMENT)
    is_key = key is None or (len(call.keys) == 1 and 1 <= len(key) <= 255 and key.isascii() and key.isprintable())
    rules = {
        "order_id": wrong_order_id(value.get("order_id")),
        "order_currency": None if is_currency else "must be three upper-case letters (ISO 4217)",
        "comment": None if is_comment else "must be text of at most 2048 characters, or left out",
        **lambda_http.unknown_fields(value, FIELDS),
        "headers/Idempotency-Key": None
        if is_key
        else "must be given once, with 1 to 255 printable ASCII characters, or left out",
    }
    lambda_http.obey("The request breaks the rules listed in `errors`.", rules)
    return Request(value["order_id"], value["order_currency"], comment, key, call.caller)


def submit(systems: Systems, request: Request) -> Submitted:
    """Release the hold of one order. Raises SecretError and StoreError only while nothing was sent."""
    deadline = systems.deadline(SUBMIT_SECONDS)
    send_by = deadline.within(SEND_SECONDS)
    opening = systems.provider.open()
    try:
        credentials = systems.secret.current(deadline)
        reserved = reserve(systems, credentials.project, request, deadline.within(RESERVE_SECONDS))
        if isinstance(reserved, Submitted):
            return reserved
        order, attempt = reserved
        sent = _send(systems, opening, credentials, order.order_id, attempt, send_by, deadline)
    finally:
        opening.close()
    if sent.answer is not None and sent.answer.kind is AnswerKind.CREDENTIALS:
        systems.secret.forget()  # or each retry in the next minute would spend an attempt on the old ones
    return record_outcome(systems, order, attempt, sent, deadline)


def reserve(systems: Storage, pos_id: str, request: Request, deadline: Deadline) -> tuple[Order, Attempt] | Submitted:
    """Write the intent, or learn from the record why not. A new order needs no read."""
    order = Order(pos_id, request.order_id)
    for _ in range(MOST_MERGES):
        now = systems.now()
        judged = claims.judge(order.void, request, now)
        if judged.result is not None:
            return _without_sending(systems, judged, order, deadline)
        attempt_id = systems.new_id()
        try:
            order = systems.store.write(order.claimed(request, attempt_id, now), systems.new_id(), deadline).order
        except StoreError:
            # It may be written although every response was lost: is it ours, or already settled by a webhook?
            found = systems.store.load(pos_id, request.order_id, deadline)
            if found is None or found.facts.newest is None or found.facts.newest.id != attempt_id:
                raise
            order = found
        attempt, void = order.facts.newest, order.void
        # A settle lease may have overwritten `write_id` since, so the attempt's id is compared. Beside a void that
        # was reported meanwhile nothing may leave.
        if attempt is not None and attempt.id == attempt_id and void is not None and void.state is State.SUBMITTING:
            return order, attempt
    raise StoreError("record kept changing")


def _without_sending(systems: Storage, judged: Judged, order: Order, deadline: Deadline) -> Submitted:
    if judged.result is not Result.TOO_MANY:
        return Submitted(judged, order, order.void)

    def used_up(current: Order) -> Order:
        review = (Reason.ATTEMPTS_USED_UP, f"attempt {current.facts.number}")
        return current.learnt(current.facts, Source(Evidence.REQUEST, systems.now()), review)

    merged = systems.store.merge(order, used_up, systems.new_id, deadline)
    return Submitted(judged, merged.after, merged.before.void)


def _send(
    systems: Systems,
    opening: OpeningConnection,
    credentials: Credentials,
    order_id: str,
    attempt: Attempt,
    send_by: Deadline,
    deadline: Deadline,
) -> _Sent:
    """The one POST, as the durable intent says, and after a refusal one query."""
    try:
        answer = systems.provider.send_void(
            opening, credentials, order_id, attempt.currency, attempt.comment, send_by=send_by, answer_by=deadline
        )
    except NotConnected as error:
        return _Sent(None, cause=str(error))
    if answer.kind not in (AnswerKind.REFUSED, AnswerKind.FAILURE):
        return _Sent(answer, cause=answer.cause)
    query_by = deadline.earlier_by(OUTCOME_SECONDS)
    return _Sent(answer, systems.provider.get_order(credentials, order_id, query_by), answer.cause)


def record_outcome(systems: Storage, order: Order, attempt: Attempt, sent: _Sent, deadline: Deadline) -> Submitted:
    """Write the outcome. If that fails, the intent stays and settle_voids finds out: 202, never a bare 5xx."""

    def apply(current: Order) -> Order:
        now = systems.now()
        facts = evidence.answered(current.facts, attempt.number, sent.answer, now)
        learnt = current.learnt(facts, Source(Evidence.ANSWER, now))
        if sent.view is None:
            return learnt
        return learnt.learnt(evidence.seen(facts, sent.view, now, facts), Source(Evidence.QUERY, now))

    unwritten: StoreError | None = None
    try:
        merged = systems.store.merge(order, apply, systems.new_id, deadline)
    except StoreError as error:
        merged, unwritten = Merged(order, order), error
    void = merged.after.void
    result = Result.ACCEPTED if void is None else claims.result_of(void)
    return Submitted(Judged(result), merged.after, merged.before.void, attempt, sent.cause, unwritten)


# ---- the answer, and what is counted ---------------------------------------------------------------------------------


def _respond(event: GatewayEvent, submitted: Submitted, now: int) -> Response:
    judged, order = submitted.judged, submitted.order
    answer, void = ANSWERS[judged.result or Result.ACCEPTED], order.void
    record = void_record(order, now, judged.made, judged.told) if void is not None else {}
    wait, detail = answer.retry_after, answer.detail
    if void is not None and not void.settled and wait is not None and waits_for_operator(void):
        wait, detail = retry_after(void, now), detail or "An operator has been notified."
    extra = {"Retry-After": wait, "Idempotency-Replayed": "true" if _is_replayed(submitted) else None}
    if not answer.problem:
        if answer.status == 202:
            extra["Location"] = f"/v1/voids/{quote(order.order_id, safe='')}"
        return lambda_http.respond(answer.status, record, extra)
    if judged.result is Result.NOT_VOIDABLE and void is not None:
        detail = why_not_voidable(void, judged.told)
    return lambda_http.problem(event, answer.problem, detail, extra, **(in_problem(record) if void is not None else {}))


def _is_replayed(submitted: Submitted) -> bool:
    """Nothing was sent, because the record already knew."""
    return submitted.attempt is None and ANSWERS[submitted.judged.result or Result.ACCEPTED].submitted


def _observe(submitted: Submitted, milliseconds: int) -> None:
    result, void = submitted.judged.result or Result.ACCEPTED, submitted.order.void
    newest = submitted.order.facts.newest
    logger.info(
        "void requested",
        order_id=submitted.order.order_id,
        attempt=newest.number if newest is not None else 0,
        attempt_id=submitted.attempt.id if submitted.attempt is not None else None,
        result=result.value,
        **named(void),
        provider_code=void.provider_code if void is not None else None,
        cause=submitted.cause,
        seconds=milliseconds / 1000,
        replayed=_is_replayed(submitted),
    )
    count_changes(submitted.before, void)
    if submitted.unwritten is not None:
        count_trouble(submitted.unwritten)
    metric = ANSWERS[result].metric
    pending = result is Result.ACCEPTED and void is not None and void.state is State.PENDING
    if metric and not pending and not _is_replayed(submitted):
        count(metric)


cold_start.finish(systems_that_send)
