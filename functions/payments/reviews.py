"""What an operator must look at, and since when. Each review has a reason and a subject: an operation, an attempt, …

A *cause* stands exactly while it lasts. *News* stays until an operator has read it or the next attempt is made. What is
remembered is only when a review first followed and when it was read. Pure.
"""

from collections.abc import Iterator
from enum import StrEnum
from typing import NamedTuple

from payments.facts import DAY_MS, SETTLED, Decision, End, Facts, State, Status, Word
from payments.verdict import Verdict, fields_of, under_way, unknown_rows

UNANSWERED_MS = 2 * 3_600_000
"""So long `open-for-a-day` waits for the answer to a query of then or later, which may end it."""
UNREAD_AGAIN_MS = 7 * DAY_MS


class Reason(StrEnum):
    """Why an operator must look; each is a heading of the runbook."""

    OPEN_FOR_A_DAY = "open-for-a-day"
    VANISHED = "vanished"
    UNKNOWN_OPERATION = "unknown-operation"
    UNDOCUMENTED_STATUS = "undocumented-status"
    OTHER_PROJECT = "other-project"
    OTHER_CURRENCY = "other-currency"
    FIELDS_CONTRADICT = "fields-contradict"
    SECOND_VOID = "second-void"
    ANOTHER_HOLD = "another-hold"
    CORRECTED = "corrected"
    DECISION_CONTRADICTED = "decision-contradicted"
    ATTEMPTS_USED_UP = "attempts-used-up"
    TOO_MANY_WEBHOOKS = "too-many-webhooks"


CAUSES = frozenset({
    Reason.OPEN_FOR_A_DAY, Reason.VANISHED, Reason.UNKNOWN_OPERATION, Reason.UNDOCUMENTED_STATUS, Reason.OTHER_PROJECT,
})  # fmt: skip

Followed = tuple[Reason, str]


class Review(NamedTuple):
    """One review: since when it follows, and when it was read."""

    reason: Reason
    subject: str
    since: int
    read_at: int | None = None


class Opened(NamedTuple):
    """What the history says: when the order was opened,
    and whether a final failure of what then succeeded was shown.
    """

    at: int
    corrected: bool


def follow(facts: Facts, found: Verdict, opened: Opened, now: int) -> Iterator[Followed]:
    """What follows from the facts, apart from what an operator has read of it."""
    attempt = f"attempt {facts.number}"
    if found.state not in SETTLED:
        yield from _while_open(facts, opened, now)
    if found.state is not State.VOIDED:
        for row in unknown_rows(facts):
            yield Reason.UNKNOWN_OPERATION, row.name
    elif not found.by_operator:
        yield from _of_a_success(facts, found)
    if opened.corrected:
        # Of an operator's `not-voided` it is news, also if a correction was read before that.
        yield Reason.CORRECTED, attempt if facts.ruled_by is None else _name(facts, facts.ruled_by)
    for each in facts.operations:
        if each.contradicted:
            yield Reason.FIELDS_CONTRADICT, each.name
    word = facts.word
    if word is not None and _contradicted(facts, word, found):
        yield Reason.DECISION_CONTRADICTED, _name(facts, word)


def _name(facts: Facts, decision: Decision) -> str:
    return f"decision {facts.decisions.index(decision) + 1}"


def _while_open(facts: Facts, opened: Opened, now: int) -> Iterator[Followed]:
    asked, attempt, a_day_old = facts.asked, f"attempt {facts.number}", opened.at + DAY_MS
    unanswered = asked.unanswered > asked.answered and now >= max(asked.unanswered, a_day_old) + UNANSWERED_MS
    if unanswered or asked.answered >= a_day_old:
        yield Reason.OPEN_FOR_A_DAY, attempt
    going, newest = under_way(facts), facts.newest
    for each in going:
        if facts.listed >= each.at + DAY_MS:
            yield Reason.VANISHED, each.name
        if each.undocumented_at >= each.at:
            yield Reason.UNDOCUMENTED_STATUS, each.name
    if not going and newest is not None and newest.end is End.ACCEPTED and facts.listed >= newest.ended_at + DAY_MS:
        yield Reason.VANISHED, attempt
    if asked.without_credentials > asked.answered:
        yield Reason.OTHER_PROJECT, "order"


def _of_a_success(facts: Facts, found: Verdict) -> Iterator[Followed]:
    if found.operation is None:
        return
    fields, newest = fields_of(facts, found) or {}, facts.newest
    if newest is not None and fields.get("currency") not in (None, newest.currency):
        yield Reason.OTHER_CURRENCY, found.operation.name
    if len(facts.voids) > 1 and _second_void(facts):
        yield Reason.SECOND_VOID, "order"
    payment = fields.get("payment_id")
    for other in sorted(facts.payments - {payment}) if payment is not None else ():
        yield Reason.ANOTHER_HOLD, other


def _second_void(facts: Facts) -> bool:
    """Two were executed, by the word of lists or by the same field of two messages: names may differ by channel."""
    executed = [each for each in facts.voids if each.status is Status.SUCCESS and "" not in each.names]
    messages = [each.fields for each in executed if each.announced and each.fields is not None]
    counts = [sum(bool(fields[name]) for fields in messages) for name in ("operation_id", "transaction_id")]
    return max(sum(each.listed for each in executed), *counts) > 1


def _contradicted(facts: Facts, word: Decision, found: Verdict) -> bool:
    """An operator said `voided`, and a list that began later shows otherwise."""
    if word.word is not Word.VOIDED or not found.by_operator:
        return False
    released = any(each.status is Status.SUCCESS for each in facts.operations)
    return facts.clear > word.at or (facts.listed >= word.at + DAY_MS and not released)


# ---- what is remembered ----------------------------------------------------------------------------------------------


def remembered(known: tuple[Review, ...], followed: list[Followed], now: int) -> tuple[Review, ...]:
    """The reviews of the order now: new ones begin, causes that are over end, what is read stays read."""
    kept = [_again(each, now) for each in known if each.reason not in CAUSES or (each.reason, each.subject) in followed]
    have = {(each.reason, each.subject) for each in kept}
    return (*kept, *(Review(reason, subject, now) for reason, subject in followed if (reason, subject) not in have))


def _again(review: Review, now: int) -> Review:
    """A cause that was read and still holds the order open, or refuses requests, is unread after seven days."""
    over = review.reason in CAUSES and review.read_at is not None and now >= review.read_at + UNREAD_AGAIN_MS
    return review._replace(read_at=None) if over else review


def read(known: tuple[Review, ...], now: int) -> tuple[Review, ...]:
    """All of them are read: by an operator, or because the next attempt is made, with which every cause ends."""
    return tuple(each._replace(read_at=now) if each.read_at is None else each for each in known)


def unread(known: tuple[Review, ...]) -> frozenset[Followed]:
    """The reviews that an operator has still to read."""
    return frozenset((each.reason, each.subject) for each in known if each.read_at is None)
