"""What must hold at each state, and what must follow from it once all is quiet and queries answer truly."""

from collections.abc import Iterator
from functools import lru_cache

from payments import claims, evidence
from payments.facts import REACHED_NOTHING, REFUSALS, SETTLED, Facts, FailureReason, State, Status, Word
from payments.orders import NOTHING_SENT
from payments.verdict import unknown_rows
from proof.closure.canonical import canonical
from proof.closure.world import LATE, LIVE, REST, Done, World, decided, may_claim, moment, view_of, void_of


def broken(world: World, fields: str) -> Iterator[str]:
    """Each promise that this state breaks. `fields`: the names in lists."""
    if world.double:
        yield "a second void of ours"
        return
    void, facts = void_of(world.facts), world.facts
    ours = [each for each in world.living if each.ours]
    if (void is not None) is not world.known:
        yield "a record that is none, or none that should be"
    if void is None:
        return
    if void.state is State.VOIDED and not void.corrected and _was_reported_failed(world):
        yield "reported as failed, executed, and not corrected"
    if void.state is State.VOIDED and not void.by_operator and all(each.status != "success" for each in world.done):
        yield "voided without a void"
    if void.resend_allowed and (ours or world.posts):
        yield "may be sent again beside one of ours"
    lives = facts.number in world.posts or any(each.name == f"{facts.number}" for each in ours)
    if void.state is State.FAILED and void.reason is not FailureReason.ALREADY_CAPTURED and lives:
        yield "a final word about an attempt that lives"
    if void.state is State.FAILED and any(_is_in_the_newest_list(facts, each.names) for each in facts.voids):
        yield "failed beside a void that the newest list shows under way"
    newest = facts.newest
    beside = [each for each in unknown_rows(facts) if newest is not None and each.since < newest.number]
    if newest is not None and newest.number in world.posts and world.other in LIVE and beside:
        yield "sent beside a row that we do not know"
    for end in ("success", "failure") if any(each.status == "pending" for each in world.done) else ("",):
        yield from _at_rest(world, end, fields)


def _was_reported_failed(world: World) -> bool:
    """One of our attempts was executed whose key is answered as failed, and all since are known to be idle."""
    attempts = world.facts.attempts
    executed = {each.name for each in world.done if each.status == "success"}
    return any(
        f"{each.number}" in executed and each.told is not None and each.told.reason not in NOTHING_SENT
        and all(later.end in REACHED_NOTHING | REFUSALS for later in attempts[at + 1 :])
        for at, each in enumerate(attempts)
    )  # fmt: skip


def _is_in_the_newest_list(facts: Facts, names: frozenset[str]) -> bool:
    return any(
        each.names == names and each.status is Status.UNDER_WAY and each.listed and each.at == facts.listed
        and each.ruled_out < each.rows
        for each in facts.voids
    )  # fmt: skip


def _at_rest(world: World, end: str, fields: str) -> Iterator[str]:
    done = tuple(each._replace(status=end) if each.status == "pending" else each for each in world.done)
    hold = "capture failed" if world.hold == "capturing" else world.hold
    other = "failure" if world.other == "pending" else world.other
    facts = _quiet(world.facts, done, hold, other, fields, max(world.phase, LATE))
    void, now = void_of(facts), moment(facts.number, REST)
    if void is None:
        return
    if any(each.status == "success" for each in done) and void.state is not State.VOIDED:
        yield f"at rest {void.state.value} beside a success"
    if other == "success":
        return  # an operator's affair: nothing is sent beside it
    if void.state not in SETTLED:
        yield f"at rest {void.state.value} for ever"
    if any(each.lives for each in done) or hold == "captured" or may_claim(facts, "K9", now):
        return
    reviewed = void.by_operator or bool(unknown_rows(facts))
    allowed = reviewed and claims.may_decide(void, Word.NOT_VOIDED, now) is None
    if allowed and may_claim(decided(facts, Word.NOT_VOIDED), "K9", now):
        yield "needs a decision"
    else:
        yield "locked out: a standing hold that nobody can release"


@lru_cache(None)
def _quiet(facts: Facts, done: tuple[Done, ...], hold: str, other: str | None, fields: str, phase: int) -> Facts:
    """The facts after queries in each later phase."""
    for each in range(phase, REST + 1):
        facts = canonical(
            evidence.seen(facts, view_of(done, hold, other, fields), moment(facts.number, each), facts)
        )  # fmt: skip
    return facts
