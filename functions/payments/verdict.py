"""What follows from the facts: the state, and what explains it. One list of sentences, read from top to bottom.

Promises that no flag is kept: each sentence is true or not, whatever came first. Pure.
"""

from typing import NamedTuple

from payments.facts import (
    DAY_MS,
    LAG_MS,
    REACHED_NOTHING,
    REFUSALS,
    WINDOW_MS,
    Attempt,
    End,
    Facts,
    FailureReason,
    Shown,
    State,
    Status,
    Told,
    Word,
)
from payments.messages import Fields


class Verdict(NamedTuple):
    """A state and why, which operation explains it, and the provider's words that say so."""

    state: State
    reason: FailureReason | None = None
    operation: Shown | None = None
    code: str | None = None
    message: str | None = None
    by_operator: bool = False


def verdict(facts: Facts) -> Verdict | None:
    """The first sentence that is true; None: there is no void to show. `state_at` ends what is submitting."""
    executed = _executed(facts)
    if executed:
        return Verdict(State.VOIDED, operation=executed[0])
    word = facts.word
    if word is not None and word.word is Word.VOIDED:
        return Verdict(State.VOIDED, by_operator=True)
    going = under_way(facts)
    if going:
        # Of several, the one that the newest of our attempts named.
        return Verdict(State.PENDING, operation=max(going, key=lambda each: (each.own, each.since, each.name)))
    newest = facts.newest
    if newest is None:
        return _of_nobody(facts)
    if facts.captured:
        return Verdict(State.FAILED, FailureReason.ALREADY_CAPTURED, _own(facts, newest))
    if newest.end in REACHED_NOTHING:
        return Verdict(State.FAILED, FailureReason(newest.end), None, newest.code, newest.message)
    return _refused(facts, newest) or _open(facts, newest)


def _open(facts: Facts, newest: Attempt) -> Verdict:
    """The provider has not said that the newest attempt failed."""
    mine = _own(facts, newest)
    if facts.ruled_by is not None:
        return Verdict(State.FAILED, FailureReason.NOT_EXECUTED, mine, by_operator=True)
    if newest.end is End.ACCEPTED:
        return Verdict(State.PENDING, operation=mine)
    if facts.looked.alone >= newest.requested_at + DAY_MS:
        return Verdict(State.FAILED, FailureReason.NOT_EXECUTED)
    in_flight = newest.end is None and not facts.looked.listed
    return Verdict(State.SUBMITTING if in_flight else State.UNKNOWN, None, mine, newest.code, newest.message)


def state_at(facts: Facts, state: State, now: int) -> State:
    """The state as it is shown: when the lease of what is submitting is over, nobody knows."""
    newest = facts.newest
    over = state is State.SUBMITTING and newest is not None and now >= newest.lease_until
    return State.UNKNOWN if over else state


def _refused(facts: Facts, newest: Attempt) -> Verdict | None:
    """The provider's own word that the newest attempt failed, and that this is all."""
    looked = facts.looked
    if not looked.alone and any(each.end in (None, End.LOST) for each in facts.attempts[:-1]):
        return None  # an earlier attempt may have been executed after all, and this one have failed because of it
    if newest.end in REFUSALS and looked.explained:
        return Verdict(State.FAILED, _refusal(facts, newest), _own(facts, newest), newest.code, newest.message)
    mine = _own(facts, newest)
    if mine is not None and mine.status is Status.FAILED and mine.listed:
        return _by_operation(mine)
    if looked.alone >= facts.window_until:
        # The hold stands, so what is new since has failed: ours, whatever it is called here. Not what was ruled out.
        new = [each for each in facts.voids if each.listed and each.since >= newest.number]
        new = [each for each in new if each.status is Status.FAILED] or [each for each in new if not each.ruled_out]
        return _by_operation(_first(new)) if new else None
    return None


def _refusal(facts: Facts, attempt: Attempt) -> FailureReason:
    unknown = attempt.end is End.NOT_FOUND and facts.looked.not_found == facts.looked.explained
    return FailureReason.ORDER_NOT_FOUND if unknown else FailureReason.REFUSED


def _by_operation(failed: Shown) -> Verdict:
    # Of one without a name only the words of its way are known.
    fields = (failed.fields if failed.status is not Status.UNDER_WAY else None) or {}
    code, text = fields.get("status_code"), fields.get("status_description")
    return Verdict(
        State.FAILED, FailureReason.REFUSED, failed,
        str(code) if code is not None else None, str(text) if text is not None else None,
    )  # fmt: skip


def _of_nobody(facts: Facts) -> Verdict | None:
    """A void that nobody requested here, and that is not under way any more."""
    if not facts.voids:
        return None
    failed = [each for each in facts.voids if each.status in (Status.FAILED, Status.SAID_TO_HAVE_FAILED)]
    if facts.captured:
        return Verdict(State.FAILED, FailureReason.ALREADY_CAPTURED, _first(failed) if failed else None)
    if failed:
        return _by_operation(_first(failed))
    return Verdict(State.FAILED, FailureReason.NOT_EXECUTED, by_operator=facts.ruled_by is not None)


# ---- operations ------------------------------------------------------------------------------------------------------


def _executed(facts: Facts) -> list[Shown]:
    """The voids that succeeded, the first one first."""
    executed = [each for each in facts.voids if each.status is Status.SUCCESS]
    return sorted(executed, key=lambda each: (each.first, each.name))


def under_way(facts: Facts) -> list[Shown]:
    """The voids that nothing has ended, whoever requested them.

    A list or an answer ends a void by name, an operator by ruling it out. What a list of an hour later lacks is over if
    it has no name, or if a webhook said that it failed; and what only messages named, if that list shows the hold
    alone, or taken: then it is one of the finished voids that only lists name.
    """
    going = [
        each for each in facts.voids
        if each.status is Status.UNDER_WAY and each.ruled_out < each.rows
        and not (("" in each.names or each.failed_at) and facts.listed >= each.at + LAG_MS)
    ]  # fmt: skip
    if not going:
        return going
    explained = [each for each in going if not each.listed and facts.clear >= each.at + LAG_MS]
    spare = [each for each in facts.voids if each.listed and not each.announced and each.status is Status.FAILED]
    return going if len(explained) > len(spare) else [each for each in going if each not in explained]


def unknown_rows(facts: Facts) -> list[Shown]:
    """Rows of methods that we do not know beside a standing hold, not failed: nothing is sent beside them."""
    if facts.captured or not facts.held:
        return []
    return [
        each for each in facts.operations
        if each.method != "void" and each.status is not Status.FAILED
        and each.ruled_out < each.rows and facts.listed < each.at + WINDOW_MS
    ]  # fmt: skip


def _own(facts: Facts, attempt: Attempt) -> Shown | None:
    """The operation that this attempt's answer named."""
    return next((each for each in facts.voids if each.own == attempt.number), None)


def _first(operations: list[Shown]) -> Shown:
    return min(operations, key=lambda each: (each.first, each.name))


def fields_of(facts: Facts, found: Verdict) -> Fields | None:
    """The provider's fields of the operation that explains the state; a success is completed by the others."""
    if found.operation is None or found.operation.fields is None:
        return None
    fields = found.operation.fields
    for other in _executed(facts)[1:]:
        if other.fields is not None and not _disagree(fields, other.fields):
            fields = {name: other.fields[name] if value is None else value for name, value in fields.items()}
    return fields


def _disagree(a: Fields, b: Fields) -> bool:
    return any(None not in (a[name], b[name]) and a[name] != b[name] for name in ("payment_id", "amount", "currency"))


# ---- what else a request needs to know -------------------------------------------------------------------------------


def may_be_sent_again(facts: Facts, state: State) -> bool:
    """Long after the request the latest list shows the hold alone: the POST did not arrive."""
    looked = facts.looked
    return state in (State.SUBMITTING, State.UNKNOWN) and looked.alone >= max(facts.window_until, looked.listed)


def told_of(facts: Facts, attempt: Attempt) -> Told | None:
    """What this attempt came to for good, as its key is answered; None: its key is answered by the order's state."""
    if attempt.told is not None:
        return attempt.told
    if attempt.end not in REFUSALS or not facts.looked.concluded or facts.captured:
        return None  # a capture explains the refusal, whenever it was seen
    return Told(_refusal(facts, attempt), attempt.ended_at, attempt.code, attempt.message)
