"""What must be true in each state: nothing false is shown, nothing is sent twice, nobody is locked out."""

from collections.abc import Iterator

from payments import evidence
from payments.claims import may_decide
from payments.facts import Facts, FailureReason, State, Word
from proof.closure.steps import is_known
from proof.closure.world import LAST_PHASE, PHASES_MS, Space, World, canonical, decided, judged, moment, view, void_of


def wrong(world: World, space: Space) -> Iterator[str]:
    """What is wrong in this state, as sentences."""
    facts, number, void = world.facts, world.facts.number, void_of(world.facts)
    if (void is not None) != is_known(facts):
        yield "a record that is none"
    if void is None:
        return
    ours = [each for each in world.living if each.ours]
    voided = any(each.status == "success" for each in world.rows)
    if void.state is State.VOIDED and not voided and not void.by_operator:
        yield "voided without a void"
    if void.resend_allowed and (ours or world.posts):
        yield "sent again beside ours"
    lives = number in world.posts or any(each.name == f"{number}" for each in ours)
    if void.state is State.FAILED and void.reason is not FailureReason.ALREADY_CAPTURED and lives:
        yield f"failed {void.reason} though this attempt lives"
    pending = any(each.status == "pending" for each in world.rows)
    for end in ("success", "failure") if pending else ("",):
        yield from _at_rest(_quiet(world, end), space)


def _quiet(world: World, end: str) -> World:
    """The state when everything at the provider has ended."""
    rows = tuple(each._replace(status=end) if each.status == "pending" else each for each in world.rows)
    hold = "capture failed" if world.hold == "capturing" else world.hold
    return world._replace(rows=rows, hold=hold, foreign="failure" if world.foreign == "pending" else world.foreign)


def _at_rest(world: World, space: Space) -> Iterator[str]:
    """Queries answer truly, and nothing else happens."""
    facts, number = world.facts, world.facts.number
    shows = view(world.rows, world.hold, world.foreign, space.ids[1])
    for phase in range(max(world.phase, 2), len(PHASES_MS)):
        facts = canonical(evidence.seen(facts, shows, moment(number, phase), facts))
    void = void_of(facts)
    if void is None:
        return
    if any(each.status == "success" for each in world.rows) and void.state is not State.VOIDED:
        yield f"at rest {void.state} beside a success"
    if void.state not in (State.FAILED, State.VOIDED) and world.foreign != "success":
        yield f"stuck {void.state}"
    if world.living or world.hold == "captured" or world.foreign == "success":
        return
    if judged(facts, "K9", moment(number, LAST_PHASE + 2)) is not None:
        yield _locked_out(facts, f"{void.state} {void.reason or ''}")


def _locked_out(facts: Facts, shown: str) -> str:
    void, now = void_of(facts), moment(facts.number, LAST_PHASE + 2)
    if void is not None and may_decide(void, Word.NOT_VOIDED, now) is None:
        facts = decided(facts, Word.NOT_VOIDED)
    return f"needs a decision: {shown}" if judged(facts, "K9", now) is None else f"locked out: {shown}"
