"""A void submitted and read. A durable intent, one POST, a durable outcome.

Promises that no request byte leaves before its intent is durable, that what is not known stays `unknown`, and that
nothing is sent a second time by itself.
"""

from enum import StrEnum
from typing import NamedTuple

from payments import claims, rules
from payments.claims import ClaimDecision
from payments.messages import Answer, AnswerKind, OrderView
from payments.outside import Deadline, Storage, Systems
from payments.provider import NotConnected, OpeningConnection
from payments.record import Attempt, EarlierAttempt, FailureReason, Order, Request, State, Void
from payments.secret import Credentials
from payments.store import MOST_MERGES, Merged, StoreError

SUBMIT_SECONDS = 19.5
"""submit_void times out after 20 s; what is not done by then is left to settle_voids."""
RESERVE_SECONDS = 9.0
SEND_SECONDS = 4.0
"""Send within this time or not at all, so that the provider's 10 s for an answer still fit."""
OUTCOME_SECONDS = 3.0
"""Kept free for writing the outcome: a query after a refusal ends so long before the deadline."""


class Result(StrEnum):
    """How a request ended."""

    VOIDED = "voided"
    ACCEPTED = "accepted"
    NOT_VOIDABLE = "not-voidable"
    IN_PROGRESS = "in-progress"
    TOO_MANY = "too-many-attempts"
    KEY_MISMATCH = "idempotency-mismatch"
    CURRENCY_MISMATCH = "currency-mismatch"
    THROTTLED = "throttled"
    CREDENTIALS = "provider-credentials"
    NOT_SENT = "not-sent"


OF_DECISION = {
    ClaimDecision.IN_PROGRESS: Result.IN_PROGRESS,
    ClaimDecision.TOO_MANY: Result.TOO_MANY,
    ClaimDecision.KEY_MISMATCH: Result.KEY_MISMATCH,
    ClaimDecision.CURRENCY_MISMATCH: Result.CURRENCY_MISMATCH,
}
OF_FAILURE = {
    FailureReason.NOT_SENT: Result.NOT_SENT,
    FailureReason.THROTTLED: Result.THROTTLED,
    FailureReason.CREDENTIALS: Result.CREDENTIALS,
}


class Submitted(NamedTuple):
    """The end of a request: its result, the void before and after it, and how far the record alone answered it."""

    result: Result
    order: Order
    before: Void | None
    replayed: bool = False
    """Nothing was sent, because the record already knew."""
    answered_by: EarlierAttempt | None = None
    """The attempt that the request's key has made long ago, if that one answers it."""
    unwritten: StoreError | None = None
    """Why the outcome could not be written; it may be all the same, and nobody has counted what it changed."""


class _Sent(NamedTuple):
    """What the provider said. An answer of None: nothing was sent."""

    answer: Answer | None
    view: OrderView | None = None


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
        sent = _send(systems, opening, credentials, order, attempt, send_by, deadline)
    finally:
        opening.close()
    if sent.answer is not None and sent.answer.kind is AnswerKind.CREDENTIALS:
        systems.secret.forget()  # or each retry in the next minute would spend an attempt on the old ones
    return record_outcome(systems, order, attempt, sent.answer, sent.view, deadline)


def reserve(systems: Storage, pos_id: str, request: Request, deadline: Deadline) -> tuple[Order, Attempt] | Submitted:
    """Write the intent, or learn from the record why not. A new order needs no read."""
    order = Order(pos_id, request.order_id)
    for _ in range(MOST_MERGES):
        if order.void is None and order.webhooks:
            order = systems.store.merge(order, _with_reported_void, systems.new_id, deadline).after
        now = systems.now()
        decision = claims.judge(order.void, request, now)
        if decision is not ClaimDecision.CLAIM and order.void is not None:
            return _without_sending(systems, decision, order, order.void, request, deadline)
        attempt_id = systems.new_id()
        wanted = order._replace(void=claims.claim(order.void, request, attempt_id, now))
        order = _write_intent(systems, wanted, attempt_id, deadline)
        attempt = order.void.attempt if order.void is not None else None
        # A settle lease may have overwritten `write_id` since, so the attempt's id is compared.
        if attempt is not None and attempt.id == attempt_id and _is_submitting(order):
            return order, attempt
    raise StoreError("record kept changing")


def _with_reported_void(order: Order) -> Order:
    """Somebody else's void may be under way: it becomes the record, so that none of ours is sent beside it."""
    return order if order.void is not None else order._replace(void=rules.reported(order))


def _is_submitting(order: Order) -> bool:
    return order.void is not None and order.void.state is State.SUBMITTING


def _write_intent(systems: Storage, wanted: Order, attempt_id: str, deadline: Deadline) -> Order:
    """The order after the attempt to write it: ours, or the one that was faster. Raises StoreError."""
    try:
        return systems.store.write(wanted, systems.new_id(), deadline).order
    except StoreError:
        # The write may have succeeded although every response was lost: is it ours, or already settled by a webhook?
        found = systems.store.load(wanted.pos_id, wanted.order_id, deadline)
        if found is None or found.void is None or found.void.attempt is None or found.void.attempt.id != attempt_id:
            raise
        return found


def _without_sending(
    systems: Storage, decision: ClaimDecision, order: Order, void: Void, request: Request, deadline: Deadline
) -> Submitted:
    match decision:
        case ClaimDecision.REPLAY:
            return Submitted(result_of(void), order, void, replayed=True)
        case ClaimDecision.FAILED_EARLIER:
            made = void.made_by(request.key)
            earlier = made if isinstance(made, EarlierAttempt) else None
            return Submitted(Result.NOT_VOIDABLE, order, void, replayed=True, answered_by=earlier)
        case ClaimDecision.TOO_MANY:
            merged = systems.store.merge(order, _reviewed, systems.new_id, deadline)
            return Submitted(Result.TOO_MANY, merged.after, merged.before.void)
        case _:
            return Submitted(OF_DECISION[decision], order, void)


def _reviewed(order: Order) -> Order:
    return order if order.void is None else order._replace(void=rules.ask_for_review(order.void))


def _send(
    systems: Systems,
    opening: OpeningConnection,
    credentials: Credentials,
    order: Order,
    attempt: Attempt,
    send_by: Deadline,
    deadline: Deadline,
) -> _Sent:
    """The one POST, as the durable intent says, and after a refusal one query."""
    try:
        answer = systems.provider.send_void(
            opening, credentials, order.order_id, attempt.currency, attempt.comment,
            send_by=send_by, answer_by=deadline,
        )  # fmt: skip
    except NotConnected:
        return _Sent(None)
    if answer.kind not in (AnswerKind.REFUSED, AnswerKind.FAILURE):
        return _Sent(answer)
    query_by = deadline.earlier_by(OUTCOME_SECONDS)
    return _Sent(answer, systems.provider.get_order(credentials, order.order_id, query_by))


def record_outcome(
    systems: Storage, order: Order, attempt: Attempt, answer: Answer | None, view: OrderView | None, deadline: Deadline
) -> Submitted:
    """Write the outcome. If that fails, the intent stays and settle_voids finds out: 202, never a bare 5xx."""

    def apply(current: Order) -> Order:
        if current.void is None:
            return current
        now = systems.now()
        if answer is None:
            return current._replace(void=rules.not_sent(current.void, attempt.id, now))
        return current._replace(void=rules.apply_answer(current.void, attempt.id, answer, view, now))

    unwritten: StoreError | None = None
    try:
        merged = systems.store.merge(order, apply, systems.new_id, deadline)
    except StoreError as error:
        merged, unwritten = Merged(order, order), error
    void = merged.after.void
    result = Result.ACCEPTED if void is None else result_of(void)
    return Submitted(result, merged.after, merged.before.void, unwritten=unwritten)


def result_of(void: Void) -> Result:
    """What the record says to a merchant. 200 only for what the provider released; nothing final for what is open."""
    if void.state is State.VOIDED:
        return Result.VOIDED
    if void.state is not State.FAILED:
        return Result.ACCEPTED
    return OF_FAILURE.get(void.reason, Result.NOT_VOIDABLE) if void.reason is not None else Result.NOT_VOIDABLE


def find(systems: Storage, order_id: str, deadline: Deadline) -> Order | None:
    """The order with its void: the current project's, else the previous one's. Raises SecretError, StoreError."""
    order = systems.store.load(systems.secret.current(deadline).project, order_id, deadline)
    if order is not None and order.void is not None:
        return order
    previous = systems.secret.previous(deadline)
    if previous is None or (order is not None and previous.project == order.pos_id):
        return None
    order = systems.store.load(previous.project, order_id, deadline)
    return order if order is not None and order.void is not None else None
