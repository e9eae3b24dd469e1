"""What each piece of evidence may change about a void.

Promises that knowledge only grows within an attempt: `submitting < unknown < pending < failed < voided`; `voided`
never changes. A success counts from any source; a failure or an absence only if it is about this attempt. Pure.
"""

from copy import replace
from typing import Any

from payments.messages import Answer, AnswerKind, Operation, OrderView
from payments.record import (
    RANK,
    Evidence,
    FailureReason,
    Order,
    Source,
    State,
    Void,
    append_history,
    currency_of,
    ids_of,
)
from payments.schedule import DAY_MS, due_after_failure, due_by, watch_what_is_under_way

NOTHING_DONE = {
    AnswerKind.THROTTLED: FailureReason.THROTTLED,
    AnswerKind.CREDENTIALS: FailureReason.CREDENTIALS,
}


def apply_answer(void: Void, attempt_id: str, answer: Answer, view: OrderView | None, now: int) -> Void:
    """Merge the answer to the POST of `attempt_id`; `view`: the query after a refusal, None if unreadable."""
    source, attempt = Source(Evidence.ANSWER, now), void.attempt
    mine = attempt is not None and attempt.id == attempt_id
    if answer.kind is AnswerKind.SUCCESS and answer.operation is not None:
        return _succeed(_adopt_ids(void, answer.operation) if mine else void, answer.operation, source)
    if not mine or void.settled:
        # A superseded attempt or a settled void can only be changed by a success.
        return _succeed_by(void, view, now)
    void = replace(void, provider_code=answer.code, provider_message=answer.message)
    match answer.kind:
        case AnswerKind.PENDING:
            return _to_pending(_adopt_ids(void, answer.operation), answer.operation, source)
        case AnswerKind.THROTTLED | AnswerKind.CREDENTIALS:
            # `pending`: a query has meanwhile seen a void under way, so this order must not become claimable.
            return void if void.state is State.PENDING else _fail(void, NOTHING_DONE[answer.kind], source)
        case AnswerKind.FAILURE | AnswerKind.REFUSED:
            return _apply_refusal(void, answer, view, source)
        case _:
            return _move(void, State.UNKNOWN, source)


def not_sent(void: Void, attempt_id: str, now: int) -> Void:
    """No connection could be opened in time, so no byte of ours left."""
    mine = void.attempt is not None and void.attempt.id == attempt_id
    if not mine or void.settled or void.state is State.PENDING:
        return void
    return _fail(void, FailureReason.NOT_SENT, Source(Evidence.ANSWER, now))


def _apply_refusal(void: Void, answer: Answer, view: OrderView | None, source: Source) -> Void:
    """A refusal says that this POST did nothing; whether the hold still stands only the order can show."""
    released = _succeed_by(void, view, source.at)
    if released.state is State.VOIDED:
        return released
    void = _describe(_adopt_ids(void, answer.operation), answer.operation)
    refusal = FailureReason.ORDER_NOT_FOUND if answer.not_found else FailureReason.REFUSED
    void = _with_attempt(void, refusal=refusal)
    if answer.operation is not None:
        void = replace(void, under_way=void.under_way - answer.operation.ids)
    if view is None:
        return _move(void, State.UNKNOWN, source)
    return _conclude_refusal(_see(void, view), view, source)


def _conclude_refusal(void: Void, view: OrderView, source: Source) -> Void:
    """The attempt was refused: does the order explain it, and is that all?"""
    by_query = Source(Evidence.QUERY, source.at)
    if view.captured:
        return _fail(void, FailureReason.ALREADY_CAPTURED, by_query)
    under_way = [operation for operation in view.of("void") if operation.under_way]
    if under_way:
        return _to_pending(void, under_way[0], by_query)
    if void.under_way:
        return _move(void, State.PENDING, by_query)
    if void.state is State.PENDING and not any(operation.failed for operation in view.of("void")):
        return void  # another query saw a void under way; one that shows less does not end it
    # An earlier attempt may have been executed, and this refusal may be because of it.
    if view.partial or (void.earlier_sent and not view.shows_hold_alone):
        return _move(void, State.UNKNOWN, source)
    lost = view.not_found and void.attempt is not None and void.attempt.refusal is FailureReason.ORDER_NOT_FOUND
    return _fail(void, FailureReason.ORDER_NOT_FOUND if lost else FailureReason.REFUSED, source)


def apply_query(void: Void, view: OrderView, began: int, unchanged: bool, now: int) -> Void:
    """Merge one order query that began at `began`.

    `unchanged`: nobody has written the record since before the query began. Only then an absence or a failure counts.
    """
    released = _succeed_by(void, view, now)
    if released.state is State.VOIDED:
        return released
    void = _see(void, view)
    attempt, source = void.attempt, Source(Evidence.QUERY, now)
    if void.settled:
        return watch_what_is_under_way(void, now)
    if attempt is None:
        return _conclude_without_attempt(void, view, unchanged, source)
    if attempt.refusal is not None and unchanged:
        return _conclude_refusal(void, view, source)
    late = unchanged and began >= attempt.absence_counts_from
    adopted = _adopt_only_new(void, view) if late and not attempt.ids else void
    under_way = [operation for operation in view.of("void") if operation.under_way]
    if under_way:
        return _to_pending(adopted, _own(adopted, under_way) or under_way[0], source)
    failed = _own(adopted, [operation for operation in view.of("void") if operation.failed])
    if failed is not None and unchanged:
        return _fail(_describe(adopted, failed), FailureReason.REFUSED, source)
    if view.captured:
        return _fail(void, FailureReason.ALREADY_CAPTURED, source)
    # A missing void is proof only if the same answer shows our hold, and never after one was seen under way.
    if not late or not view.shows_hold_alone or void.state is State.PENDING or void.under_way:
        return void
    if began >= attempt.requested_at + DAY_MS:
        return _fail(void, FailureReason.NOT_EXECUTED, source)
    return replace(void, resend_allowed=True)


def _conclude_without_attempt(void: Void, view: OrderView, unchanged: bool, source: Source) -> Void:
    """A void that nobody requested here ends when the provider shows that it has failed, or that the hold is taken."""
    shown = view.of("void")
    if void.under_way or not unchanged:
        return void
    failed = next((operation for operation in shown if operation.failed), None)
    if view.captured:
        return _fail(void, FailureReason.ALREADY_CAPTURED, source)
    return void if failed is None else _fail(_describe(void, failed), FailureReason.REFUSED, source)


def _own(void: Void, operations: list[Operation]) -> Operation | None:
    """The operation that is proven to be the newest attempt's, if any."""
    ids = void.attempt.ids if void.attempt is not None else frozenset[str]()
    return next((operation for operation in operations if operation.ids & ids), None)


def _adopt_only_new(void: Void, view: OrderView) -> Void:
    """An attempt without an id of its own takes the new id that a query after its window shows, if it is the only one.

    Another one that was seen before, or that a webhook showed under way, may be ours as well.
    """
    new = [one for one in view.of("void") if one.ids and one.ids.isdisjoint(void.ids_before_attempt)]
    known = (void.all_ids | void.under_way) - void.ids_before_attempt
    return _adopt_ids(void, new[0]) if len(new) == 1 and known <= new[0].ids else void


def apply_webhook(void: Void | None, operation: Operation, now: int) -> Void | None:
    """Merge a genuine void webhook; None: there is no void, and a failed one makes none."""
    source = Source(Evidence.WEBHOOK, now)
    if operation.succeeded:
        return _succeed(void or Void(State.SUBMITTING, currency_of(operation)), operation, source)
    if void is None:
        # Somebody else's void is under way.
        made = None if operation.failed else Void(State.SUBMITTING, currency_of(operation))
        return made and due_by(_to_pending(made, operation, source), now)
    if void.state is State.VOIDED:
        return void
    if operation.failed:
        # It may be late, or wrong: the next query decides.
        return void if void.settled else due_by(void, now)
    attempt = void.attempt
    if attempt is not None and operation.ids & attempt.ids:
        return void if void.settled else _to_pending(void, operation, source)
    if operation.ids and operation.ids <= void.ids_before_attempt:
        return void
    seen = replace(void, under_way=void.under_way | _names(operation), resend_allowed=False)
    return due_by(seen, now) if seen.settled and seen != void else seen


def reported(order: Order) -> Void | None:
    """The void that the order's webhooks have shown before anybody requested one here."""
    void: Void | None = None
    for webhook in order.newest_webhooks:
        if webhook.operation.method == "void":
            void = apply_webhook(void, webhook.operation, webhook.received_at)
    return void


def ask_for_review(void: Void) -> Void:
    """A person must look."""
    return replace(void, review=True)


# ---- what evidence does ----------------------------------------------------------------------------------------------


def _succeed_by(void: Void, view: OrderView | None, now: int) -> Void:
    for operation in view.of("void") if view else ():
        if operation.succeeded:
            void = _succeed(void, operation, Source(Evidence.QUERY, now))
    return void


def _succeed(void: Void, operation: Operation, source: Source) -> Void:
    """The provider says that the hold is released: true at once, from any source, for any attempt."""
    if void.state is State.VOIDED:
        return _complete_fields(void, operation)
    contradicted = void.order_currency is not None and operation.fields["currency"] not in (None, void.order_currency)
    void = replace(
        _describe(void, operation),
        reason=None,
        provider_code=None,
        provider_message=None,
        corrected=void.corrected or void.state is State.FAILED,
        review=void.review or contradicted,
        all_ids=void.all_ids | operation.ids,
        under_way=frozenset(),
    )
    return _settle(void, State.VOIDED, source)


def _fail(void: Void, reason: FailureReason, source: Source) -> Void:
    failed = _settle(replace(_with_attempt(void, refusal=None), reason=reason), State.FAILED, source)
    return watch_what_is_under_way(due_after_failure(failed, source.at), source.at)


def _settle(void: Void, state: State, source: Source) -> Void:
    return replace(_move(void, state, source), settled_at=source.at, due_at=None, resend_allowed=False)


def _to_pending(void: Void, operation: Operation | None, source: Source) -> Void:
    if operation is not None:
        void = replace(_describe(void, operation), under_way=void.under_way | _names(operation))
    # A void under way takes the permission to send another one back.
    return replace(_move(void, State.PENDING, source), resend_allowed=False)


def _move(void: Void, state: State, source: Source) -> Void:
    """Up, or not at all."""
    if RANK[state] <= RANK[void.state]:
        return void
    return append_history(replace(void, state=state), source)


def _see(void: Void, view: OrderView) -> Void:
    """Remember which voids a query showed, which of them are finished, and whether their statuses are known."""
    shown = view.of("void")
    under_way = frozenset[str]().union(*(_names(operation) for operation in shown if operation.under_way))
    finished = frozenset[str]().union(*(_names(operation) for operation in shown if operation.failed))
    strange = any(not operation.documented for operation in shown)
    return replace(
        void,
        all_ids=void.all_ids.union(*(operation.ids for operation in shown)),
        under_way=(void.under_way | under_way) - (finished - under_way),
        # Not final, but nobody knows when it will be: reviewed after the second query that shows it.
        review=void.review or (strange and void.undocumented),
        undocumented=void.undocumented or strange,
        # What stands alone now was not executed by an earlier attempt, whose window is over.
        earlier_sent=void.earlier_sent and not view.shows_hold_alone,
    )


def _names(operation: Operation) -> frozenset[str]:
    """The operation in a set of ids; "" stands for one without an id."""
    return operation.ids or frozenset({""})


def _adopt_ids(void: Void, operation: Operation | None) -> Void:
    """The operation's ids are proven to be the newest attempt's."""
    if operation is None or not operation.ids:
        return void
    return _with_attempt(void, ids=operation.ids)


def _with_attempt(void: Void, **changes: Any) -> Void:
    return void if void.attempt is None else replace(void, attempt=replace(void.attempt, **changes))


def _describe(void: Void, operation: Operation | None) -> Void:
    """Take this operation's fields; what it leaves out of the same operation stays as it was."""
    if operation is None:
        return void
    fields = dict(operation.fields)
    before = void.provider
    if before is not None and operation.ids & ids_of(before):
        fields = {name: before.get(name) if value is None else value for name, value in fields.items()}
    return replace(void, provider=fields)


def _complete_fields(void: Void, operation: Operation) -> Void:
    """Later evidence of a void that is done: it fills missing fields; a contradiction sets `review`."""
    before = void.provider or {}
    filled = {name: value if before.get(name) is None else before[name] for name, value in operation.fields.items()}
    contradicted = any(
        before.get(name) is not None and operation.fields[name] not in (None, before[name])
        for name in ("operation_id", "transaction_id", "payment_id", "amount", "currency")
    )
    if filled == before and not (contradicted and not void.review):
        return void
    if contradicted:
        # Another operation's fields must not be mixed into this one's.
        return replace(void, review=True)
    return replace(void, provider=filled)
