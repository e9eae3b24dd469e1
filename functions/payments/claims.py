"""Which request may send a void, and the attempt that it then makes.

Promises that the key of an attempt is answered by that attempt, and that what may be under way is never claimed. Pure.
"""

from copy import replace
from enum import StrEnum

from payments.record import (
    REACHED_NOTHING,
    Attempt,
    Change,
    EarlierAttempt,
    Evidence,
    FailureReason,
    Request,
    Source,
    State,
    Void,
    append_history,
)

LEASE_MS = 25_000
"""Longer than submit_void's 20 s timeout: when the lease ends, the submitter cannot still be running."""
SETTLE_WINDOW_MS = 120_000
"""How long after the lease our POST may still arrive. Only a query begun after it may show an absence."""
MOST_ATTEMPTS = 20


class ClaimDecision(StrEnum):
    """What a request means for the record that it met."""

    CLAIM = "claim"
    REPLAY = "replay"
    FAILED_EARLIER = "failed-earlier"
    IN_PROGRESS = "in-progress"
    KEY_MISMATCH = "idempotency-mismatch"
    CURRENCY_MISMATCH = "currency-mismatch"
    TOO_MANY = "too-many-attempts"


def judge(void: Void | None, request: Request, now: int) -> ClaimDecision:
    """May this request send a void, or does the record already answer it? Order: key, currency, state."""
    if void is None:
        return ClaimDecision.CLAIM
    made = void.made_by(request.key)
    if made is not None and made.body_hash != request.body_hash:
        return ClaimDecision.KEY_MISMATCH
    if isinstance(made, EarlierAttempt) and _answers_its_key(void, made):
        return ClaimDecision.FAILED_EARLIER
    if void.state is not State.FAILED and void.order_currency not in (None, request.order_currency):
        return ClaimDecision.CURRENCY_MISMATCH
    if void.state is State.SUBMITTING and void.attempt is not None and now < void.attempt.lease_until:
        return ClaimDecision.IN_PROGRESS
    if not _may_claim(void, made):
        return ClaimDecision.REPLAY
    if void.under_way:
        return ClaimDecision.IN_PROGRESS
    return ClaimDecision.TOO_MANY if void.attempts_that_count >= MOST_ATTEMPTS else ClaimDecision.CLAIM


def _answers_its_key(void: Void, earlier: EarlierAttempt) -> bool:
    """Has this attempt failed for good? Whatever came after it: what was said about a key never changes."""
    if earlier.reason is FailureReason.NOT_EXECUTED and void.state is State.VOIDED:
        return False  # its POST may have arrived after all, and be what released the hold
    return earlier.reason not in REACHED_NOTHING


def _may_claim(void: Void, made: Attempt | EarlierAttempt | None) -> bool:
    """`made`: the attempt that the request's key has already made."""
    match void.state:
        case State.FAILED if void.reason in REACHED_NOTHING:
            return True  # also with an earlier key: what has failed for good was answered above
        case State.FAILED:
            return made is None and void.reason is not FailureReason.ALREADY_CAPTURED
        case State.SUBMITTING | State.UNKNOWN:
            # A delayed retry with the key of an attempt must not send: only a new, explicit request may.
            return void.resend_allowed and made is None
        case _:
            return False


def claim(void: Void | None, request: Request, attempt_id: str, now: int) -> Void:
    """The durable intent of the next attempt, written before a request byte leaves."""
    lease_until = now + LEASE_MS
    before = void.attempt if void is not None else None
    idle = void is not None and void.reason in REACHED_NOTHING
    attempt = Attempt(
        number=before.number + 1 if before is not None else 1,
        id=attempt_id,
        key=request.key,
        body_hash=request.body_hash,
        currency=request.order_currency,
        comment=request.comment,
        requested_at=now,
        requested_by=request.requested_by,
        lease_until=lease_until,
        absence_counts_from=lease_until + SETTLE_WINDOW_MS,
        idle_before=before.idle_before + 1 if before is not None and idle else 0,
    )
    fresh = Void(State.SUBMITTING, request.order_currency, attempt, due_at=lease_until)
    if void is not None:
        own = before.ids if before is not None else frozenset[str]()
        fresh = replace(
            fresh,
            earlier=_shelved(void, before, request.key) if before is not None else (),
            # A review that nobody has closed stays visible through later attempts.
            review=void.review,
            earlier_sent=void.earlier_sent or not _end_is_proven(void),
            ids_before_attempt=void.ids_before_attempt | void.all_ids | own,
            all_ids=void.all_ids | own,
            history=_kept_history(void, before),
        )
    return append_history(fresh, Source(Evidence.REQUEST, now))


def _end_is_proven(void: Void) -> bool:
    """Did the newest attempt end without being executed, by the provider's own word or because nothing left?"""
    return void.state is State.FAILED and void.reason is not FailureReason.NOT_EXECUTED


def _shelved(void: Void, attempt: Attempt, next_key: str | None) -> tuple[EarlierAttempt, ...]:
    """The earlier attempts and the newest. Those that reached nothing are kept for their keys only, and bounded."""
    ended = EarlierAttempt(
        attempt.number, attempt.key, attempt.body_hash, attempt.requested_at, attempt.requested_by,
        void.reason or FailureReason.NOT_EXECUTED, void.settled_at, void.provider_code, void.provider_message,
    )  # fmt: skip
    kept = [each for each in (*void.earlier, ended) if not _is_forgettable(each, next_key)]
    idle = [each for each in kept if each.reason in REACHED_NOTHING]
    return tuple(each for each in kept if each not in idle[:-MOST_ATTEMPTS])


def _is_forgettable(attempt: EarlierAttempt, next_key: str | None) -> bool:
    return attempt.reason in REACHED_NOTHING and attempt.key in (None, next_key)


def _kept_history(void: Void, attempt: Attempt | None) -> tuple[Change, ...]:
    """Of many attempts in a row that reached nothing, the first and the newest: an outage must not fill the record."""
    if attempt is None or not attempt.idle_before or void.reason not in REACHED_NOTHING:
        return void.history
    begins = max(at for at, change in enumerate(void.history) if change.state is State.SUBMITTING)
    return void.history[:begins]
