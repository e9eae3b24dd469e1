"""The operation record of a void: its states, and what each piece of evidence may change.

Promises that knowledge only grows: `submitting < unknown < pending < failed < voided`, `voided` never changes, and
success counts from any source while absence and failure count only when they name this attempt. Pure; it never guesses.
"""

from copy import replace
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from payments.messages import Answer, Fields, Operation, OrderView, Word

LEASE_MS = 25_000
"""A submitter is dead by then: longer than the function's hard time-out of 20 s."""
SETTLE_WINDOW_MS = 120_000
"""After the lease a POST of ours may still arrive this late; only a query begun after it may prove absence."""
DAY_MS = 86_400_000
MOST_ATTEMPTS = 20
LONGEST_HISTORY = 100
CHECK_AFTER_MS = tuple(minutes * 60_000 for minutes in (1, 2, 5, 15, 60, 360))


class State(StrEnum):
    """A void's state, in the order of knowledge."""

    SUBMITTING = "submitting"
    UNKNOWN = "unknown"
    PENDING = "pending"
    FAILED = "failed"
    VOIDED = "voided"


RANK = {state: rank for rank, state in enumerate(State)}


class Reason(StrEnum):
    """Why a void failed."""

    REFUSED = "refused"
    ALREADY_CAPTURED = "already-captured"
    ORDER_NOT_FOUND = "order-not-found"
    NOT_EXECUTED = "not-executed"
    NOT_SENT = "not-sent"
    THROTTLED = "throttled"
    CREDENTIALS = "provider-credentials"


CLAIMABLE = frozenset({Reason.NOT_SENT, Reason.THROTTLED, Reason.CREDENTIALS})
"""Nothing reached or moved the provider: the same request, with the same key, may be sent."""
NOTHING_DONE = frozenset({Word.THROTTLED, Word.CREDENTIALS})


class Evidence(StrEnum):
    """Where a change of state came from."""

    REQUEST = "request"
    ANSWER = "answer"
    WEBHOOK = "webhook"
    QUERY = "query"


@dataclass(frozen=True, slots=True)
class UsedKey:
    """An idempotency key, the body it came with, and the attempt that it made."""

    key: str
    body_hash: str
    attempt: int


@dataclass(frozen=True, slots=True)
class Change:
    """One line of the history."""

    at: int
    state: State
    evidence: Evidence


class Void(NamedTuple):
    """The record of one order's void. Times are milliseconds since 1970 UTC, from our clock.

    A tuple: the rules below copy it with a change many times a request; a frozen dataclass takes several times as long.
    """

    pos_id: str
    order_id: str
    state: State
    order_currency: str | None
    reason: Reason | None = None
    review: bool = False
    corrected: bool = False
    resend_allowed: bool = False
    comment: str | None = None
    attempt: int = 0
    attempt_id: str | None = None
    sent: bool = False
    """An earlier attempt may have reached the provider: from then on a refusal is no proof."""
    own_ids: frozenset[str] = frozenset()
    """Ids proven to be this attempt's."""
    known_ids: frozenset[str] = frozenset()
    """Every id seen for the order before this attempt."""
    seen_ids: frozenset[str] = frozenset()
    """Every id seen for the order so far."""
    requested_at: int | None = None
    requested_by: str | None = None
    lease_until: int = 0
    settle_until: int = 0
    settled_at: int | None = None
    provider: Fields | None = None
    provider_code: str | None = None
    provider_message: str | None = None
    history: tuple[Change, ...] = ()
    keys: tuple[UsedKey, ...] = ()
    checks: int = 0
    asked_at: int = 0
    due_at: int | None = None
    version: int = 0
    write_id: str = ""

    @property
    def settled(self) -> bool:
        """Nothing is open: not in the sparse index."""
        return self.state in (State.FAILED, State.VOIDED)

    def used(self, key: str | None) -> UsedKey | None:
        """The newest use of this idempotency key, if any."""
        return next((used for used in reversed(self.keys) if key is not None and used.key == key), None)


@dataclass(frozen=True, slots=True)
class Intent:
    """What a merchant asked for, and who."""

    pos_id: str
    order_id: str
    order_currency: str
    comment: str | None
    key: str | None
    body_hash: str
    requested_by: str | None


class Verdict(StrEnum):
    """What a request means for the record that it met."""

    CLAIM = "claim"
    REPLAY = "replay"
    IN_PROGRESS = "in-progress"
    KEY_MISMATCH = "idempotency-mismatch"
    CURRENCY_MISMATCH = "currency-mismatch"
    TOO_MANY = "too-many-attempts"


def judge(void: Void | None, intent: Intent, now: int) -> Verdict:
    """May this request send a void, or does the record already answer it? Order: key, currency, state."""
    if void is None:
        return Verdict.CLAIM
    used = void.used(intent.key)
    if used is not None and used.body_hash != intent.body_hash:
        return Verdict.KEY_MISMATCH
    if void.state is not State.FAILED and void.order_currency not in (None, intent.order_currency):
        return Verdict.CURRENCY_MISMATCH
    if void.state is State.SUBMITTING and now < void.lease_until:
        return Verdict.IN_PROGRESS
    if not _claimable(void, used is not None):
        return Verdict.REPLAY
    return Verdict.TOO_MANY if void.attempt >= MOST_ATTEMPTS else Verdict.CLAIM


def _claimable(void: Void, old_key: bool) -> bool:
    match void.state:
        case State.FAILED:
            if void.reason in CLAIMABLE:
                return True
            return not old_key and void.reason is not Reason.ALREADY_CAPTURED
        case State.SUBMITTING | State.UNKNOWN:
            # A delayed retry with the key of an earlier attempt must not send: only a new, explicit request may.
            return void.resend_allowed and not old_key
        case _:
            return False


def claim(void: Void | None, intent: Intent, attempt_id: str, now: int) -> Void:
    """The durable intent of the next attempt: written before a request byte leaves."""
    attempt = void.attempt + 1 if void else 1
    keys = void.keys if void else ()
    if intent.key is not None:
        keys = (*keys, UsedKey(intent.key, intent.body_hash, attempt))
    lease_until = now + LEASE_MS
    fresh = Void(
        pos_id=intent.pos_id,
        order_id=intent.order_id,
        state=State.SUBMITTING,
        order_currency=intent.order_currency,
        comment=intent.comment,
        attempt=attempt,
        attempt_id=attempt_id,
        requested_at=now,
        requested_by=intent.requested_by,
        lease_until=lease_until,
        settle_until=lease_until + SETTLE_WINDOW_MS,
        keys=keys,
        due_at=lease_until,
    )
    if void is not None:
        fresh = replace(
            fresh,
            # A review that a person has not closed stays visible through later attempts.
            review=void.review,
            sent=void.sent or not (void.state is State.FAILED and void.reason in CLAIMABLE),
            known_ids=void.known_ids | void.seen_ids | void.own_ids,
            seen_ids=void.seen_ids | void.own_ids,
            history=void.history,
            version=void.version,
        )
    return _noted(fresh, Evidence.REQUEST, now)


def learn_answer(void: Void, attempt_id: str, answer: Answer, view: OrderView | None, now: int) -> Void:
    """Merge the answer to the POST of `attempt_id`; `view`: the query after a refusal, None if unreadable."""
    operation = answer.operation
    mine = void.attempt_id == attempt_id
    if answer.word is Word.SUCCESS and operation is not None:
        return _succeed(void, operation, Evidence.ANSWER, now, own=mine)
    if not mine or void.settled:
        # An attempt that is over learns nothing but success; a settled one knows more than this answer.
        return _success_in(void, view, Evidence.ANSWER, now)
    void = replace(void, provider_code=answer.code, provider_message=answer.message)
    if void.state is State.PENDING and answer.word in NOTHING_DONE:
        return void  # a query saw a void under way meanwhile: `pending` is never claimed
    match answer.word:
        case Word.PENDING:
            return _pend(_name(void, operation, answered=True), operation, Evidence.ANSWER, now)
        case Word.THROTTLED:
            return _fail(void, Reason.THROTTLED, Evidence.ANSWER, now)
        case Word.CREDENTIALS:
            return _fail(void, Reason.CREDENTIALS, Evidence.ANSWER, now)
        case Word.FAILURE | Word.REFUSED:
            return _learn_refusal(void, answer, view, now)
        case _:
            return _move(void, State.UNKNOWN, Evidence.ANSWER, now)


def not_sent(void: Void, attempt_id: str, now: int) -> Void:
    """No connection could be opened: no byte of ours left."""
    if void.attempt_id != attempt_id or void.settled or void.state is State.PENDING:
        return void
    return _fail(void, Reason.NOT_SENT, Evidence.ANSWER, now)


def _learn_refusal(void: Void, answer: Answer, view: OrderView | None, now: int) -> Void:
    """A refusal says that this POST did nothing; whether the hold still stands only the order can tell."""
    if view is None:
        return _move(_name(void, answer.operation, answered=True), State.UNKNOWN, Evidence.ANSWER, now)
    void = _see(void, view)
    released = _success_in(void, view, Evidence.QUERY, now)
    if released.state is State.VOIDED:
        return released
    if void.state is State.PENDING:
        return void  # a query of somebody else's saw more than this one
    void = _name(void, answer.operation, answered=True)
    if view.captured:
        return _fail(void, Reason.ALREADY_CAPTURED, Evidence.QUERY, now)
    under_way = [operation for operation in view.of("void") if operation.under_way]
    if under_way:
        return _pend(void, under_way[0], Evidence.QUERY, now)
    if void.sent:
        # An earlier attempt may have been executed: this refusal may be *because* of it.
        return _move(void, State.UNKNOWN, Evidence.ANSWER, now)
    void = _describe(void, answer.operation)
    lost = view.not_found and answer.not_found
    return _fail(void, Reason.ORDER_NOT_FOUND if lost else Reason.REFUSED, Evidence.ANSWER, now)


def learn_query(void: Void, view: OrderView, began: int, attempt_id: str | None, unchanged: bool, now: int) -> Void:
    """Merge one order query that began at `began` for `attempt_id`.

    `unchanged`: nobody has written the record since before the query began. Only then may absence or failure count.
    """
    released = _success_in(void, view, Evidence.QUERY, now)
    if released.state is State.VOIDED or void.settled:
        return released
    void = _see(void, view)
    same = unchanged and void.attempt_id == attempt_id
    late = same and began >= void.settle_until
    under_way = [operation for operation in view.of("void") if operation.under_way]
    if under_way:
        operation = next((one for one in under_way if one.ids & void.own_ids), under_way[0])
        named = late and operation.ids.isdisjoint(void.known_ids)
        return _pend(_name(void, operation) if named else void, operation, Evidence.QUERY, now)
    failed = [operation for operation in view.of("void") if operation.failed]
    named_failure = next((one for one in failed if one.ids and _is_own(void, one, same, late)), None)
    if named_failure is not None:
        return _fail(_describe(void, named_failure), Reason.REFUSED, Evidence.QUERY, now)
    if view.captured:
        return _fail(void, Reason.ALREADY_CAPTURED, Evidence.QUERY, now)
    # Absence needs a positive control: the same answer must show our hold. And `pending` was seen: it is never absent.
    if not late or not view.held or void.state is State.PENDING:
        return void
    if began >= (void.requested_at or 0) + DAY_MS:
        return _fail(void, Reason.NOT_EXECUTED, Evidence.QUERY, now)
    return replace(void, resend_allowed=True)


def _is_own(void: Void, operation: Operation, same: bool, late: bool) -> bool:
    if operation.ids & void.own_ids:
        return same
    return late and operation.ids.isdisjoint(void.known_ids)


def learn_webhook(void: Void | None, operation: Operation, pos_id: str, now: int) -> Void | None:
    """Merge a genuine void webhook; None: there is no record and this webhook makes none."""
    if operation.succeeded:
        base = void or Void(pos_id, operation.order_id, State.SUBMITTING, _currency(operation))
        return _succeed(base, operation, Evidence.WEBHOOK, now, own=False)
    if void is None or void.settled:
        return void
    if operation.failed:
        # It may be late, or lie: the next query decides.
        return replace(void, due_at=min(void.due_at or now, now))
    if operation.ids & void.own_ids:
        return _pend(void, operation, Evidence.WEBHOOK, now)
    return void


def next_check(void: Void, now: int) -> Void:
    """The record while settle_voids asks: when to ask again, and whether a person must look."""
    day_over = (void.requested_at or now) + DAY_MS
    if void.checks < len(CHECK_AFTER_MS):
        due = now + CHECK_AFTER_MS[void.checks]
    else:
        due = now + (DAY_MS if now < day_over + 6 * DAY_MS else 7 * DAY_MS)
    # The two moments that decide something: when absence may count, and when a person must know.
    due = min([due, *(moment for moment in (void.settle_until, day_over) if now < moment)])
    return replace(asking(void, now), checks=void.checks + 1, due_at=due)


def asking(void: Void, now: int) -> Void:
    """The record while somebody else asks: the schedule stays as it is, or reading often would put it off."""
    return replace(void, asked_at=now, review=void.review or now >= (void.requested_at or now) + DAY_MS)


# ---- what evidence does ----------------------------------------------------------------------------------------------


def _success_in(void: Void, view: OrderView | None, evidence: Evidence, now: int) -> Void:
    for operation in view.of("void") if view else ():
        if operation.succeeded:
            void = _succeed(void, operation, evidence, now, own=False)
    return void


def _succeed(void: Void, operation: Operation, evidence: Evidence, now: int, own: bool) -> Void:
    """The provider says that the hold is released: true at once, from any source, for any attempt."""
    if void.state is State.VOIDED:
        return _fill(void, operation)
    contradicted = void.order_currency is not None and _currency(operation) not in (None, void.order_currency)
    void = _name(void, operation, answered=True) if own else void
    void = replace(
        _describe(void, operation),
        reason=None,
        provider_code=None,
        provider_message=None,
        corrected=void.corrected or void.state is State.FAILED,
        review=void.review or contradicted,
        seen_ids=void.seen_ids | operation.ids,
    )
    return _settle(void, State.VOIDED, evidence, now)


def _fail(void: Void, reason: Reason, evidence: Evidence, now: int) -> Void:
    return _settle(replace(void, reason=reason), State.FAILED, evidence, now)


def _settle(void: Void, state: State, evidence: Evidence, now: int) -> Void:
    return replace(_move(void, state, evidence, now), settled_at=now, due_at=None, resend_allowed=False)


def _pend(void: Void, operation: Operation | None, evidence: Evidence, now: int) -> Void:
    # A void under way takes the permission to send another one back.
    return replace(_move(_describe(void, operation), State.PENDING, evidence, now), resend_allowed=False)


def _move(void: Void, state: State, evidence: Evidence, now: int) -> Void:
    """Up, or not at all."""
    if RANK[state] <= RANK[void.state]:
        return void
    return _noted(replace(void, state=state), evidence, now)


def _noted(void: Void, evidence: Evidence, now: int) -> Void:
    history = (*void.history, Change(now, void.state, evidence))
    if len(history) > LONGEST_HISTORY:
        history = (history[0], *history[-(LONGEST_HISTORY - 1) :])
    return replace(void, history=history)


def _see(void: Void, view: OrderView) -> Void:
    ids = frozenset[str]().union(*(operation.ids for operation in view.of("void")))
    return replace(void, seen_ids=void.seen_ids | ids)


def _name(void: Void, operation: Operation | None, *, answered: bool = False) -> Void:
    """Remember which ids are this attempt's: the answer to its own POST outweighs what a late query showed."""
    if operation is None or not operation.ids or (void.own_ids and not answered):
        return void
    return replace(void, own_ids=operation.ids)


def _describe(void: Void, operation: Operation | None) -> Void:
    """Take this operation's fields; what it leaves out of the same operation stays as it was."""
    if operation is None:
        return void
    fields = dict(operation.fields)
    before = void.provider
    if before is not None and operation.ids & _ids(before):
        fields = {name: before.get(name) if value is None else value for name, value in fields.items()}
    return replace(void, provider=fields)


def _fill(void: Void, operation: Operation) -> Void:
    """Later evidence of a void that is done: fills what is absent; a contradiction asks for a person."""
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


def _ids(fields: Fields) -> frozenset[str]:
    return frozenset(str(fields[name]) for name in ("operation_id", "transaction_id") if fields.get(name))


def _currency(operation: Operation) -> str | None:
    value = operation.fields["currency"]
    return value if isinstance(value, str) else None
