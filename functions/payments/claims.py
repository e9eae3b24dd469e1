"""Which request may send a void, which decision an operator may make, and how a request ends.

Promises that the key of an attempt is answered by that attempt, and that what may be under way is never claimed. Pure.
"""

from enum import StrEnum
from typing import NamedTuple

from payments.facts import REACHED_NOTHING, SETTLED, Attempt, Facts, FailureReason, Request, State, Status, Told, Word
from payments.operations import MOST_OPERATIONS
from payments.orders import NOTHING_SENT, Void
from payments.reviews import CAUSES
from payments.verdict import told_of, unknown_rows

MOST_ATTEMPTS = 20
"""Attempts that reached the provider between two decisions of an operator."""
MOST_ROUNDS = 10
WAIT_SECONDS = 5
WAIT_FOR_OPERATOR_SECONDS = 3_600


class Result(StrEnum):
    """How a request ends; most are named like their problem."""

    VOIDED = "voided"
    ACCEPTED = "accepted"
    NOT_VOIDABLE = "not-voidable"
    IN_PROGRESS = "in-progress"
    WAITS_FOR_OPERATOR = "waits-for-operator"
    TOO_MANY = "too-many-attempts"
    KEY_MISMATCH = "idempotency-mismatch"
    CURRENCY_MISMATCH = "currency-mismatch"
    THROTTLED = "throttled"
    CREDENTIALS = "provider-credentials"
    NOT_SENT = "not-sent"
    DECIDED = "decided"
    CHANGED = "changed-meanwhile"
    NOTHING_TO_DECIDE = "nothing-to-decide"


class Judged(NamedTuple):
    """What a request comes to; no result: it may send. `told`: its key's own attempt answers it."""

    result: Result | None
    made: Attempt | None = None
    told: Told | None = None


def judge(void: Void | None, request: Request, now: int) -> Judged:
    """May this request send a void, or does the record already answer it? From top to bottom."""
    if void is None:
        return Judged(None)
    facts, newest = void.facts, void.facts.newest
    made = facts.made_by(request.key)
    if made is not None and made.body_hash != request.body_hash:
        return Judged(Result.KEY_MISMATCH)
    told = told_of(facts, made) if made is not None else None
    if told is not None and told.reason not in NOTHING_SENT and void.state is not State.VOIDED:
        same = void.state is State.FAILED and made is newest and told.reason is void.reason
        return Judged(Result.NOT_VOIDABLE, made, None if same else told)
    if void.state is not State.FAILED and void.order_currency not in (None, request.order_currency):
        return Judged(Result.CURRENCY_MISMATCH)
    if newest is not None and newest.end is None and now < newest.lease_until and void.state not in SETTLED:
        return Judged(Result.IN_PROGRESS)
    if not _may_claim(void, made):
        return Judged(result_of(void))
    if unknown_rows(facts):
        return Judged(Result.WAITS_FOR_OPERATOR)
    return Judged(Result.TOO_MANY if _used_up(facts) else None)


def _may_claim(void: Void, made: Attempt | None) -> bool:
    """`made`: the attempt that the request's key has already made."""
    if void.state is State.FAILED:
        return void.reason in NOTHING_SENT or (made is None and void.reason is not FailureReason.ALREADY_CAPTURED)
    # A delayed retry with the key of an attempt must not send: only a new, explicit request may.
    return void.resend_allowed and made is None


def _used_up(facts: Facts) -> bool:
    begins = max((each.attempt for each in facts.decisions), default=0)
    counted = [each for each in facts.attempts if each.end not in REACHED_NOTHING]
    return (
        sum(each.number > begins for each in counted) >= MOST_ATTEMPTS
        or len(counted) >= MOST_ATTEMPTS * MOST_ROUNDS
        or len(facts.operations) >= MOST_OPERATIONS
    )


def result_of(void: Void) -> Result:
    """What the record says to a merchant. 200 only for what is released; nothing final for what is open."""
    if void.state is State.VOIDED:
        return Result.VOIDED
    if void.state is not State.FAILED:
        return Result.ACCEPTED
    return Result(void.reason) if void.reason in NOTHING_SENT else Result.NOT_VOIDABLE


def waits_for_operator(void: Void) -> bool:
    """Has an operator been notified of what keeps the order open, or its requests refused?"""
    return any(each.reason in CAUSES for each in void.reviews)


def retry_after(void: Void, now: int) -> int:
    """Seconds after which it is worth to ask again about an open void; an hour if it waits for an operator."""
    if waits_for_operator(void):
        return WAIT_FOR_OPERATOR_SECONDS
    return min(max(WAIT_SECONDS, ((void.due_at or now) - now) // 1000), WAIT_FOR_OPERATOR_SECONDS)


# ---- operators -------------------------------------------------------------------------------------------------------


def may_decide(void: Void, word: Word, now: int) -> Result | None:
    """Why this decision cannot be made now; None: it can. The provider's success is above every word."""
    facts = void.facts
    if word is Word.REVIEWED:
        return None if any(each.read_at is None for each in void.reviews) else Result.NOTHING_TO_DECIDE
    standing = facts.word
    by_word = void.state is State.VOIDED and standing is not None
    if any(each.status is Status.SUCCESS for each in facts.voids) or (by_word and word is Word.VOIDED):
        return Result.NOTHING_TO_DECIDE
    blocked = void.state is State.FAILED and bool(unknown_rows(facts))
    if word is Word.NOT_VOIDED and void.state is State.FAILED and not blocked:
        return Result.NOTHING_TO_DECIDE
    # Not the lease, the window: its POST may still arrive.
    return Result.IN_PROGRESS if facts.newest is not None and now < facts.window_until else None
