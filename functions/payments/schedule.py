"""When an order is queried next.

Promises that what is open stays due until it is settled, that every failure which may still be contradicted is
re-checked twice, and that nothing is asked each minute for ever. Pure.
"""

from payments.facts import DAY_MS, REACHED_NOTHING, Facts, State
from payments.verdict import Verdict

QUERY_AFTER_MS = tuple(minutes * 60_000 for minutes in (1, 2, 5, 15, 60, 360))
RECHECK_AFTER_MS = (DAY_MS, 7 * DAY_MS)
GIVEN_UP_MS = 30 * DAY_MS


def due_at(facts: Facts, found: Verdict, opened_at: int, settled_at: int | None) -> int | None:
    """When the next query is due; None: nothing more is expected."""
    asked = facts.asked
    if found.state is State.VOIDED and not found.by_operator:
        return None
    wanted = [asked.wanted] if asked.wanted > asked.at else []
    regular = _while_open(facts, opened_at) if settled_at is None else _recheck(facts, found, settled_at)
    return min([*wanted, *regular], default=None)


def _while_open(facts: Facts, opened_at: int) -> list[int]:
    asked, newest = facts.asked, facts.newest
    if not asked.at:
        return [newest.lease_until if newest is not None else facts.known_since]
    # Also at the end of the window, when an absence begins to count, and after a day, when it is reviewed.
    moments = [moment for moment in (facts.window_until, opened_at + DAY_MS) if moment > asked.at]
    return [asked.at + _backoff(facts, opened_at), *moments]


def _recheck(facts: Facts, found: Verdict, settled_at: int) -> list[int]:
    asked = facts.asked
    if found.by_operator and found.state is State.VOIDED and asked.at < settled_at + DAY_MS:
        return [min(max(asked.at, settled_at) + _backoff(facts, settled_at), settled_at + DAY_MS)]
    if not facts.operations and all(each.end in REACHED_NOTHING for each in facts.attempts):
        return []  # nothing of any attempt can have been executed
    # A look took place when a whole list answered it.
    again = next((settled_at + after for after in RECHECK_AFTER_MS if facts.listed < settled_at + after), None)
    if again is None or asked.at >= settled_at + GIVEN_UP_MS:
        return []
    return [again if asked.at < again else asked.at + _backoff(facts, settled_at)]


def _backoff(facts: Facts, since: int) -> int:
    asked = facts.asked
    if asked.times <= len(QUERY_AFTER_MS):
        return QUERY_AFTER_MS[max(asked.times - 1, 0)]
    return DAY_MS if asked.at < since + 7 * DAY_MS else 7 * DAY_MS
