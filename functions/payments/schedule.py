"""When a void is queried next, and when a person must look.

Promises that what is open stays due until it is settled, and what has failed as long as it may be contradicted. Pure.
"""

from copy import replace

from payments.record import FailureReason, State, Void

DAY_MS = 86_400_000
QUERY_AFTER_MS = tuple(minutes * 60_000 for minutes in (1, 2, 5, 15, 60, 360))
LOOKED_AT_AGAIN = frozenset({FailureReason.REFUSED, FailureReason.NOT_EXECUTED})
"""Failures that the provider may still contradict without a webhook: queried once more after a day and after a week."""


def due_by(void: Void, moment: int) -> Void:
    """Queried at this moment at the latest."""
    return replace(void, due_at=moment if void.due_at is None else min(void.due_at, moment))


def due_after_failure(void: Void, now: int) -> Void:
    """A void that has just failed."""
    again = now + DAY_MS if void.reason in LOOKED_AT_AGAIN else None
    return replace(void, query_count=0, due_at=again)


def watch_what_is_under_way(void: Void, now: int) -> Void:
    """A failed void beside one that is under way: queried soon, and until then nobody may send another."""
    return due_by(void, now + QUERY_AFTER_MS[0]) if void.under_way else void


def schedule_query(void: Void, now: int) -> Void:
    """The record while settle_voids queries: when the next query is due, and whether a person must look."""
    queried = replace(mark_queried(void, now), query_count=void.query_count + 1)
    if void.state is State.FAILED and not void.under_way:
        again = (void.settled_at or now) + 7 * DAY_MS
        return replace(queried, due_at=again if now < again else None)
    day_over = _known_since(void, now) + DAY_MS
    if void.query_count < len(QUERY_AFTER_MS):
        due = now + QUERY_AFTER_MS[void.query_count]
    else:
        due = now + (DAY_MS if now < day_over + 6 * DAY_MS else 7 * DAY_MS)
    # Also at the end of the settle window, when an absence begins to count, and after a day, when it is reviewed.
    moments = (void.attempt.absence_counts_from if void.attempt else now, day_over)
    return replace(queried, due_at=min([due, *(moment for moment in moments if now < moment)]))


def mark_queried(void: Void, now: int) -> Void:
    """The void as just queried, its schedule unchanged: frequent reads must not postpone the scheduled query."""
    open_for_a_day = (not void.settled or bool(void.under_way)) and now >= _known_since(void, now) + DAY_MS
    return replace(void, queried_at=now, review=void.review or open_for_a_day)


def _known_since(void: Void, now: int) -> int:
    return void.known_since or now
