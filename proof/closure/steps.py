"""What may happen next to one order."""

from collections.abc import Iterator

from payments import evidence
from payments.claims import may_decide
from payments.facts import Facts, Word
from payments.messages import OrderView
from proof.closure.world import (
    LAST_PHASE,
    ONE_OBJECT,
    Query,
    Reply,
    Row,
    Space,
    World,
    answered,
    canonical,
    changed,
    claimed,
    decided,
    judged,
    operation,
    view,
    void_of,
)

Step = tuple[str, World | None]
"""Its name, and the state after it; None: the provider would execute a second void of ours."""


def steps(world: World, space: Space) -> Iterator[Step]:
    """All that may happen next."""
    yield from _requests(world, space)
    for attempt in world.posts:
        yield from _post(world, attempt)
    if world.reply is not None:
        yield from _reply(world, world.reply, space)
    for name, status in world.announced - world.reported:
        facts = evidence.reported(world.facts, operation(name, space.ids[2], status), world.now)
        yield f"webhook {name} {status}", changed(world, facts=facts, reported=world.reported | {(name, status)})
    if is_known(world.facts):
        yield from _queries(world, space)
    yield from _provider(world, space)
    if world.phase < LAST_PHASE and is_known(world.facts):
        later = world.phase + 1
        posts = frozenset[int]() if later >= 2 else world.posts
        query = None if later == LAST_PHASE else world.query
        yield "clock", changed(world, phase=later, reply=None, posts=posts, query=query)
    if space.decisions:
        yield from _decisions(world, space)


def is_known(facts: Facts) -> bool:
    """Is there anything of this order?"""
    return bool(facts.attempts or facts.operations)


def shown(world: World, space: Space) -> OrderView:
    """The provider's whole list now."""
    return view(world.rows, world.hold, world.foreign, space.ids[1])


def _requests(world: World, space: Space) -> Iterator[Step]:
    number = world.facts.number
    if number >= space.attempts:
        return
    for key in ("K1", "K2") if number else ("K1",):
        if judged(world.facts, key, world.now) is None:
            posts = world.posts | {number + 1}
            yield f"claim {key}", changed(world, facts=claimed(world.facts, key), posts=posts, reply=None, phase=0)


def _post(world: World, attempt: int) -> Iterator[Step]:
    rest, alive = world.posts - {attempt}, attempt == world.facts.number and world.phase == 0

    def landed(kind: str, name: str | None = None) -> World:
        reply = Reply(attempt, kind, name) if alive else world.reply
        if name is None:
            return changed(world, posts=rest, reply=reply)
        rows = tuple(sorted((*world.rows, Row(name, True, kind))))
        return changed(world, posts=rest, reply=reply, rows=rows, announced=world.announced | {(name, kind)})

    if world.stands:
        for status in ("success", "pending", "failure"):
            yield f"{attempt} lands {status}", landed(status, f"{attempt}")
        yield f"{attempt} lands throttled", landed("throttled")
    elif any(each.ours for each in world.living):
        yield f"{attempt} lands twice", None
    yield f"{attempt} lands refused", landed("refused")
    if alive and world.reply is None:
        yield (
            f"{attempt} never left",
            changed(world, facts=evidence.answered(world.facts, attempt, None, world.now), posts=rest),
        )
    yield f"{attempt} lost", changed(world, posts=rest)


def _reply(world: World, reply: Reply, space: Space) -> Iterator[Step]:
    facts = answered(world, reply.kind, space)
    yield "answer", changed(world, facts=facts, reply=None)
    if reply.kind in ("refused", "failure"):
        seen = evidence.seen(facts, shown(world, space), world.now, facts)
        yield "answer, query", changed(world, facts=seen, reply=None)
    yield "answer lost", changed(world, facts=answered(world, "lost", space), reply=None)
    yield "function died", changed(world, reply=None)


def _queries(world: World, space: Space) -> Iterator[Step]:
    facts, now = world.facts, world.now
    for name, shows in (
        ("query", shown(world, space)), ("one object", ONE_OBJECT), ("404", OrderView(not_found=True)),
    ):  # fmt: skip
        yield name, changed(world, facts=evidence.seen(facts, shows, now, facts))
    if not space.stale:
        return
    if world.query is None:
        # Of what it was leased with only the newest attempt counts.
        leased = Facts(attempts=canonical(facts).attempts[-1:], known_since=facts.known_since)
        yield "query begins", changed(world, query=Query(shown(world, space), now, leased))
    else:
        yield "query ends", changed(world, facts=evidence.seen(facts, *world.query), query=None)


def _provider(world: World, space: Space) -> Iterator[Step]:
    for at, each in enumerate(world.rows):
        for end in ("success", "failure") if each.status == "pending" else ():
            rows = (*world.rows[:at], each._replace(status=end), *world.rows[at + 1 :])
            yield (
                f"{each.name} becomes {end}",
                changed(world, rows=rows, announced=world.announced | {(each.name, end)}),
            )
    if world.hold == "held" and not world.living:
        yield "capture begins", changed(world, hold="capturing")
    if world.hold == "capturing":
        yield "captured", changed(world, hold="captured")
        yield "capture fails", changed(world, hold="capture failed")
    others = sum(not each.ours for each in world.rows)
    if others < space.portal and world.stands and world.hold == "held":
        for status in ("success", "pending"):
            row = Row(f"p{others}", False, status)
            announced = world.announced | {(row.name, status)}
            yield f"portal {status}", changed(world, rows=tuple(sorted((*world.rows, row))), announced=announced)
    if space.foreign and world.foreign is None and world.stands:
        yield "foreign row", changed(world, foreign="pending")
    if world.foreign == "pending":
        for end in ("success", "failure"):
            yield f"foreign {end}", changed(world, foreign=end)


def _decisions(world: World, space: Space) -> Iterator[Step]:
    void = void_of(world.facts)
    for word in (Word.NOT_VOIDED, Word.VOIDED):
        if void is None or may_decide(void, word, world.now) is not None:
            continue
        if word is Word.VOIDED:
            true = any(each.status == "success" for each in world.rows)
        else:
            true = not world.living and not world.posts and world.foreign in (None, "failure")
        if true or space.decisions == "any":
            yield f"decide {word}", changed(world, facts=decided(world.facts, word), misled=world.misled or not true)
