"""POST /v1/voids: a durable intent, one POST to the provider, a durable outcome; or the record's own answer.

Promises that no request byte leaves before its intent is durable, that what is not known stays `unknown`, and that
nothing is sent a second time by itself. See docs/openapi.json for the contract.
"""

import re
from contextlib import closing
from typing import NamedTuple
from urllib.parse import quote

import cold_start  # first: it turns the garbage collector off
import lambda_http
from answers import ANSWERS, in_problem, void_record, why_not_voidable
from lambda_http import GatewayEvent, Response
from payments import claims, connection, evidence, exact_json, reviews, secret
from payments.claims import Judged, Result, retry_after, waits_for_operator
from payments.deadline import Deadline
from payments.facts import Attempt, Evidence, Request, State
from payments.messages import Answer, AnswerKind, OrderView, wrong_order_id
from payments.orders import Order, Source, Void
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
    """The end of a request: how it is answered, and the order before and after it."""

    result: Result
    order: Order
    before: Void | None
    own: Judged
    """Of a repeated key: its attempt, and what that came to."""
    attempt: Attempt | None = None
    """The attempt that it made; None: the record alone answered it."""
    cause: str | None = None
    """For the log: the provider's HTTP status, or how its answer or the connection was lost."""
    unwritten: StoreError | None = None
    """Why the outcome could not be written; it may be all the same, and nobody has counted what it changed."""

    @property
    def replayed(self) -> bool:
        """Nothing was sent, because the record already knew."""
        return self.attempt is None and ANSWERS[self.result].submitted


class _Sent(NamedTuple):
    """What the provider said. An answer of None: nothing was sent, for this cause."""

    answer: Answer | None
    view: OrderView | str | None
    cause: str | None


@lambda_http.lambda_handler(metric="VoidNotSent")
def handler(event: GatewayEvent) -> Response:
    request, systems = read_request(event), systems_that_send()
    began = systems.now()
    submitted = submit(systems, request)
    now = systems.now()
    _observe(submitted, now - began)
    return _respond(event, submitted, now)


def read_request(event: GatewayEvent) -> Request:
    """Validate a request. Raises BadRequest with all violations at once."""
    value, requested_by = lambda_http.json_call(event, LARGEST_BODY)
    order_id, order_currency, comment = (value.get(name) for name in FIELDS)
    keys = lambda_http.headers(event, "idempotency-key")
    key = keys[0] if keys else None
    is_currency = isinstance(order_currency, str) and re.fullmatch("[A-Z]{3}", order_currency)
    is_comment = comment is None or exact_json.is_text(comment, LONGEST_COMMENT)
    is_key = key is None or (len(keys) == 1 and 1 <= len(key) <= 255 and key.isascii() and key.isprintable())
    wrong_key = "must be given once, with 1 to 255 printable ASCII characters, or left out"
    rules = {
        "order_id": wrong_order_id(order_id),
        "order_currency": None if is_currency else "must be three upper-case letters (ISO 4217)",
        "comment": None if is_comment else "must be text of at most 2048 characters, or left out",
        **lambda_http.unknown_fields(value, FIELDS),
        "headers/Idempotency-Key": None if is_key else wrong_key,
    }
    lambda_http.obey("The request breaks the rules listed in `errors`.", rules)
    return Request(order_id, order_currency, comment, key, requested_by)


def submit(systems: Systems, request: Request) -> Submitted:
    """Release the hold of one order. Raises SecretError and StoreError only while nothing was sent."""
    deadline = systems.deadline(SUBMIT_SECONDS)
    with closing(systems.provider.open()) as opening:
        credentials = systems.secret.current(deadline)
        reserved = reserve(systems, credentials.project, request, deadline.within(RESERVE_SECONDS))
        if isinstance(reserved, Submitted):
            return reserved
        order, attempt = reserved
        sent = _send(systems, opening, credentials, order.order_id, attempt, deadline)
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
            return _without_sending(systems, judged.result, judged, order, deadline)
        attempt_id = systems.new_id()
        try:
            order = systems.store.write(order.claimed(request, attempt_id, now), systems.new_id(), deadline)
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


def _without_sending(systems: Storage, result: Result, judged: Judged, order: Order, deadline: Deadline) -> Submitted:
    if result is not Result.TOO_MANY:
        return Submitted(result, order, order.void, judged)

    def used_up(current: Order) -> Order:
        review = (reviews.Reason.ATTEMPTS_USED_UP, f"attempt {current.facts.number}")
        return current.learnt(current.facts, Source(Evidence.REQUEST, systems.now()), review)

    merged = systems.store.merge(order, used_up, systems.new_id, deadline)
    return Submitted(result, merged.after, merged.before.void, judged)


def _send(
    systems: Systems, opening: connection.OpeningConnection, credentials: secret.Credentials, order_id: str,
    attempt: Attempt, deadline: Deadline,
) -> _Sent:  # fmt: skip
    """The one POST, as the durable intent says, and after a refusal one query."""
    asked, send_by = (order_id, attempt.currency, attempt.comment), deadline.earlier_by(SUBMIT_SECONDS - SEND_SECONDS)
    try:
        answer = systems.provider.send_void(opening, credentials, *asked, send_by=send_by, answer_by=deadline)
    except connection.NotConnected as error:
        return _Sent(None, None, str(error))
    if answer.kind not in (AnswerKind.REFUSED, AnswerKind.FAILURE):
        return _Sent(answer, None, answer.cause)
    view = systems.provider.get_order(credentials, order_id, deadline.earlier_by(OUTCOME_SECONDS))
    return _Sent(answer, view, f"{answer.cause}, query: {view}" if isinstance(view, str) else answer.cause)


def record_outcome(systems: Storage, order: Order, attempt: Attempt, sent: _Sent, deadline: Deadline) -> Submitted:
    """Write the outcome. If that fails, the intent stays and settle_voids finds out: 202, never a bare 5xx."""

    def apply(current: Order) -> Order:
        now = systems.now()
        facts = evidence.answered(current.facts, attempt.number, sent.answer, now)
        learnt = current.learnt(facts, Source(Evidence.ANSWER, now))
        if not isinstance(sent.view, OrderView):
            return learnt
        return learnt.learnt(evidence.seen(facts, sent.view, now, facts), Source(Evidence.QUERY, now))

    unwritten: StoreError | None = None
    try:
        merged = systems.store.merge(order, apply, systems.new_id, deadline)
    except StoreError as error:
        merged, unwritten = Merged(order, order), error
    void = merged.after.void
    result = Result.ACCEPTED if void is None else claims.result_of(void)
    return Submitted(result, merged.after, merged.before.void, Judged(None), attempt, sent.cause, unwritten)


# ---- the answer, and what is counted ---------------------------------------------------------------------------------


def _respond(event: GatewayEvent, submitted: Submitted, now: int) -> Response:
    answer, order, (_, made, told) = ANSWERS[submitted.result], submitted.order, submitted.own
    void = order.void
    record = void_record(order, now, made, told) if void is not None else {}
    wait, detail = answer.retry_after, answer.detail
    if submitted.result in (Result.ACCEPTED, Result.IN_PROGRESS) and void is not None and waits_for_operator(void):
        wait, detail = retry_after(void, now), f"{detail} An operator has been notified."
    extra = {"Retry-After": wait, "Idempotency-Replayed": "true" if submitted.replayed else None}
    if not answer.problem:
        if answer.status == 202:
            extra["Location"] = f"/v1/voids/{quote(order.order_id, safe='')}"
        return lambda_http.respond(answer.status, record, extra)
    if submitted.result is Result.NOT_VOIDABLE and void is not None:
        detail = why_not_voidable(void, told)
    return lambda_http.problem(event, answer.problem, detail, extra, **(in_problem(record) if record else {}))


def _observe(submitted: Submitted, milliseconds: int) -> None:
    result, order, attempt = submitted.result, submitted.order, submitted.attempt
    void = order.void
    logger.info(
        "void requested",
        order_id=order.order_id,
        attempt=order.facts.number,
        attempt_id=attempt.id if attempt is not None else None,
        result=result.value,
        **named(void),
        provider_code=void.provider_code if void is not None else None,
        cause=submitted.cause,
        seconds=milliseconds / 1000,
        replayed=submitted.replayed,
    )
    count_changes(submitted.before, void)
    if submitted.unwritten is not None:
        count_trouble(submitted.unwritten)
    metric = ANSWERS[result].metric
    pending = result is Result.ACCEPTED and void is not None and void.state is State.PENDING
    if metric and not pending and not submitted.replayed:
        count(metric)


cold_start.finish(systems_that_send)
