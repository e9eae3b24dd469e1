"""How evidence adds to the facts: an intent, the answer to its POST, webhooks, order queries, an operator's word.

Promises that facts are joined by union, by maximum or by the first word of an attempt's own answer, so that the order
of arrival does not matter. Nothing here concludes anything. Pure.
"""

from collections import Counter
from typing import NamedTuple

from payments.facts import (
    REACHED_NOTHING,
    REFUSALS,
    Asked,
    Attempt,
    Decision,
    End,
    Evidence,
    Facts,
    Looked,
    Request,
    Shown,
    Status,
    Told,
    Word,
)
from payments.messages import Answer, AnswerKind, Operation, OrderView
from payments.operations import Showing, joined

MOST_IDLE = 20
"""Attempts that reached nothing are kept only so that their keys are recognised, the newest twenty of them."""
MOST_WORDY = 10
"""Of so many attempts the provider's words are kept."""
MOST_DECISIONS = 50
MOST_PAYMENTS = 8

ENDS = {
    AnswerKind.SUCCESS: End.ACCEPTED,
    AnswerKind.PENDING: End.ACCEPTED,
    AnswerKind.FAILURE: End.REFUSED,
    AnswerKind.REFUSED: End.REFUSED,
    AnswerKind.THROTTLED: End.THROTTLED,
    AnswerKind.CREDENTIALS: End.CREDENTIALS,
    AnswerKind.UNKNOWN: End.LOST,
}


def claimed(facts: Facts, request: Request, attempt_id: str, now: int, told: Told | None) -> Facts:
    """The durable intent of the next attempt, written before a request byte leaves. `told`: what the newest came to."""
    _, currency, comment, key, by = request
    attempt = Attempt(facts.number + 1, key, request.body_hash, now, by, attempt_id, currency, comment)
    before = facts.attempts
    if before:
        before = (*before[:-1], before[-1]._replace(id="", currency="", comment=None, told=told))
    return facts._replace(
        attempts=(*_kept(before, request.key), attempt),
        looked=Looked(),
        asked=Asked(latest=facts.asked.latest),
        known_since=facts.known_since or now,
    )


def _kept(attempts: tuple[Attempt, ...], next_key: str | None) -> tuple[Attempt, ...]:
    """Bounded: an outage must not fill the record."""
    kept = [each for each in attempts if each.end not in REACHED_NOTHING or each.key not in (None, next_key)]
    idle = {each.number for each in [each for each in kept if each.end in REACHED_NOTHING][:-MOST_IDLE]}
    silent = {each.number for each in kept[:-MOST_WORDY]}
    return tuple(_silent(each) if each.number in silent else each for each in kept if each.number not in idle)


def _silent(attempt: Attempt) -> Attempt:
    told = attempt.told and attempt.told._replace(code=None, message=None)
    return attempt._replace(code=None, message=None, told=told)


def answered(facts: Facts, number: int, answer: Answer | None, now: int) -> Facts:
    """The answer to the POST of attempt `number`, whichever is the newest by now; None: no byte of it left."""
    if answer is None:
        return _ended(facts, number, End.NOT_SENT, now)
    if answer.operation is not None:
        facts = joined(facts, answer.operation, Showing(Evidence.ANSWER, now, number, own=number))
    end = End.NOT_FOUND if answer.not_found and answer.kind is AnswerKind.REFUSED else ENDS[answer.kind]
    return _ended(facts, number, end, now, answer.code, answer.message)


def _ended(facts: Facts, number: int, end: End, now: int, code: str | None = None, text: str | None = None) -> Facts:
    attempts = [
        each._replace(end=end, ended_at=now, code=code, message=text)
        if each.number == number and each.end is None
        else each
        for each in facts.attempts
    ]
    return facts._replace(attempts=tuple(attempts))


def reported(facts: Facts, operation: Operation, at: int) -> Facts:
    """A genuine webhook. Only a void's success proves anything; what else finishes something is a reason to query."""
    method = operation.method.lower()
    if method == "auth":
        return with_hold(facts, operation)
    if method == "void":
        facts = joined(facts, operation, Showing(Evidence.WEBHOOK, at, facts.number))
    if (method != "void" or operation.failed) and facts.known_since:
        facts = facts._replace(asked=facts.asked._replace(wanted=max(facts.asked.wanted, at)))
    return facts


def with_hold(facts: Facts, operation: Operation) -> Facts:
    """A successful `auth` is a hold; which one, its `payment_id` says."""
    if not operation.succeeded:
        return facts
    payment = operation.fields["payment_id"]
    known = facts.payments | {payment} if isinstance(payment, str) else facts.payments
    return facts._replace(held=True, payments=frozenset(sorted(known)[:MOST_PAYMENTS]))


def asked(facts: Facts, at: int, *, scheduled: bool, credentials: bool) -> Facts:
    """A query begins. Those that a reader requested do not postpone the scheduled ones."""
    before = facts.asked
    unanswered = before.unanswered if before.unanswered > before.answered else at
    now = before._replace(latest=max(before.latest, at), unanswered=unanswered)
    if scheduled:
        now = now._replace(at=at, times=now.times + 1)
    return facts._replace(asked=now if credentials else now._replace(without_credentials=at))


def seen(facts: Facts, view: OrderView, began: int, leased: Facts) -> Facts:
    """A query that began at `began`, when the order was as `leased`. It may end much later.

    What it shows counts. What it does not show counts only if it is a whole list, and about no attempt made since.
    """
    late = not view.partial and began >= leased.window_until
    showing = Showing(Evidence.QUERY, began, leased.number, late=late)
    for operation, rows in _rows(view):
        facts = joined(facts, operation, showing, rows)
    for operation in view.of("auth"):
        facts = with_hold(facts, operation)
    facts = facts._replace(
        captured=facts.captured or view.captured,
        asked=facts.asked._replace(answered=max(facts.asked.answered, began)),
    )
    if view.partial:
        return facts
    if not view.not_found:
        clear = max(facts.clear, began) if view.shows_hold_alone or view.captured else facts.clear
        facts = facts._replace(listed=max(facts.listed, began), clear=clear)
    return facts if leased.number != facts.number else facts._replace(looked=_looked(facts.looked, view, began, leased))


def _rows(view: OrderView) -> list[tuple[Operation, int]]:
    """What is neither `auth` nor `capture`; what has no name and is under way, with how many of it there are."""
    shown = [each for each in view.operations if each.method.lower() not in ("auth", "capture")]
    nameless = Counter(each.method.lower() for each in shown if not each.ids and each.under_way)
    return [(each, max(1, nameless[each.method.lower()]) if not each.ids else 1) for each in shown]


def _looked(looked: Looked, view: OrderView, began: int, leased: Facts) -> Looked:
    newest = leased.newest
    if newest is not None and newest.end in REFUSALS:
        looked = looked._replace(explained=_first(looked.explained, began))
        if view.not_found:
            looked = looked._replace(not_found=_first(looked.not_found, began))
        if not any(each.under_way for each in view.of("void")):
            looked = looked._replace(concluded=_first(looked.concluded, began))
    if view.not_found:
        return looked
    alone = max(looked.alone, began) if view.shows_hold_alone else looked.alone
    return looked._replace(listed=max(looked.listed, began), alone=alone)


def _first(known: int, moment: int) -> int:
    return min(known or moment, moment)


def decided(facts: Facts, decision: Decision) -> Facts:
    """An operator's word. `not-voided` rules out what is under way; the provider's success is above every word."""
    kept = (*facts.decisions, decision)
    if len(kept) > MOST_DECISIONS:
        # The word that stands is never forgotten.
        gone = next((each for each in kept if each.word is Word.REVIEWED), kept[0])
        kept = tuple(each for each in kept if each is not gone)
    facts = facts._replace(decisions=kept)
    if decision.word is Word.REVIEWED:
        return facts
    asked_anew = facts.asked._replace(wanted=max(facts.asked.wanted, decision.at))
    if decision.word is Word.VOIDED:
        return facts._replace(asked=asked_anew)
    operations = [
        each._replace(ruled_out=max(each.ruled_out, each.rows)) if _is_open(each) else each for each in facts.operations
    ]
    return facts._replace(asked=asked_anew, operations=tuple(operations))


def _is_open(shown: Shown) -> bool:
    return shown.status is Status.UNDER_WAY or (shown.method != "void" and shown.status is not Status.FAILED)


# ---- what a write is worth, and what it must not do ------------------------------------------------------------------


def adds_only_moments(before: Facts, after: Facts) -> bool:
    """Has a query only shown once more what was known? If nothing follows from that, it is not worth a write."""
    return _without_moments(before) == _without_moments(after)


def _without_moments(facts: Facts) -> Facts:
    # When something under way was last shown decides how long it counts: that moment is kept.
    # Instead of 0 any constant would do: both sides get the same.
    operations = [
        each if _is_open(each) else
        each._replace(at=0, by=frozenset())  # pragma: no mutate
        for each in facts.operations
    ]  # fmt: skip
    return facts._replace(
        looked=facts.looked._replace(listed=0, alone=0),  # pragma: no mutate
        asked=facts.asked._replace(answered=0),  # pragma: no mutate
        operations=tuple(operations),
        listed=0, clear=0,  # pragma: no mutate
    )  # fmt: skip


class Lost(NamedTuple):
    """What a write would forget."""

    what: str


def forgets(before: Facts, after: Facts) -> Lost | None:
    """What of the facts before is missing afterwards; None: all is there. Attempts that reached nothing may go."""
    numbers = {each.number for each in after.attempts}
    if any(each.number not in numbers and each.end not in REACHED_NOTHING for each in before.attempts):
        return Lost("attempt")
    executed = [each.names for each in after.operations if each.status is Status.SUCCESS]
    for each in before.operations:
        if each.status is Status.SUCCESS and each.method == "void" and not any(each.names <= one for one in executed):
            return Lost("success")
    return Lost("capture") if before.captured and not after.captured else None
