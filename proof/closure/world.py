"""One order and everything around it: the provider's truth, what travels, and our facts about it."""

from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from payments import claims, evidence
from payments.facts import (
    DAY_MS,
    Decision,
    Evidence,
    Facts,
    Request,
    State,
    Word,
)
from payments.messages import PROVIDER_FIELDS, Answer, AnswerKind, Operation, OrderView
from payments.orders import Change, Order, Void
from proof.closure.canonical import canonical

AT = (1_000, 30_000, 146_000, DAY_MS + 1_000, 3 * DAY_MS, 5 * DAY_MS)
"""The phases of the newest attempt: within its lease, in its window, late, a day after; the last two only at rest."""
LATE, LAST, REST = 2, 3, 5
EPOCH = 10 * DAY_MS
HISTORY = (Change(1, State.SUBMITTING, Evidence.REQUEST),)
LIVE = ("pending", "success")
KINDS = {
    "refused": AnswerKind.REFUSED, "failure": AnswerKind.FAILURE, "throttled": AnswerKind.THROTTLED,
    "success": AnswerKind.SUCCESS, "pending": AnswerKind.PENDING, "lost": AnswerKind.UNKNOWN,
}  # fmt: skip
WORDS = (Word.NOT_VOIDED, Word.VOIDED)
WRONG = (
    *("claim K1", "1 lands: pending", "answer lost", "time passes", "time passes"),
    *("decided not-voided (wrong)", "1 becomes success", "claim K2"),
)
"""An operator rules out what is executed later."""


class Options(NamedTuple):
    """Which world. Names by channel: `o` operation_id, `t` transaction_id, `ot` both, `-` none."""

    attempts: int = 1
    portal: int = 0
    names: tuple[str, str, str] = ("o", "o", "o")
    """Of the answer, of lists and of webhooks."""
    late_queries: bool = False
    """A query may end after anything else happened."""
    other_rows: bool = False
    """A row of a method that we do not know may come."""
    decisions: str = ""
    """`true`: an operator decides what is true; `any`: anything."""
    first: tuple[str, ...] = ()
    """The steps with which it begins, where only what comes after them is of interest."""


class Done(NamedTuple):
    """One void at the provider."""

    name: str
    ours: bool
    status: str

    @property
    def lives(self) -> bool:
        """It is under way, or has released the hold."""
        return self.status != "failure"


class Travelling(NamedTuple):
    """The answer of a POST that has not arrived yet."""

    attempt: int
    kind: str
    name: str | None = None


class Query(NamedTuple):
    """A query under way: what the provider showed, when it began, and the order as it was leased."""

    done: tuple[Done, ...]
    hold: str
    other: str | None
    began: int
    leased: Facts


class World(NamedTuple):
    """One state."""

    facts: Facts = Facts()
    posts: frozenset[int] = frozenset()
    """Attempts whose POST may still arrive."""
    answer: Travelling | None = None
    done: tuple[Done, ...] = ()
    hold: str = "held"
    announced: frozenset[Done] = frozenset()
    """Webhooks that the provider sends, each as often as it likes."""
    phase: int = 0
    query: Query | None = None
    wrong: bool = False
    """An operator has said what is not true."""
    other: str | None = None
    """The status of a row of another method."""
    double: bool = False
    """A second void of ours was executed beside one that lives."""

    @property
    def living(self) -> list[Done]:
        """The voids that are under way or executed."""
        return [each for each in self.done if each.lives]

    @property
    def stands(self) -> bool:
        """A void would be executed now."""
        return self.hold in ("held", "capture failed") and not self.living and self.other not in LIVE

    @property
    def known(self) -> bool:
        """Anybody knows of this order here."""
        return bool(self.facts.attempts or self.facts.operations)

    @property
    def now(self) -> int:
        """The moment of this phase."""
        return moment(self.facts.number, self.phase)


def moment(attempt: int, phase: int) -> int:
    """The moment of a phase of an attempt, in milliseconds."""
    return (attempt + 1) * EPOCH + AT[phase]


@lru_cache(None)
def operation(name: str, fields: str, status: str, method: str = "void") -> Operation:
    """A row with these names."""
    values: dict[str, object] = dict.fromkeys(PROVIDER_FIELDS)
    values |= {"operation_id": f"o{name}"} if "o" in fields else {}
    values |= {"transaction_id": f"t{name}"} if "t" in fields else {}
    return Operation(method, status, "123", values)


@lru_cache(None)
def view_of(done: tuple[Done, ...], hold: str, other: str | None, fields: str) -> OrderView:
    """The provider's whole list."""
    rows = [operation("h", "o", "success", "auth"), *(operation(each.name, fields, each.status) for each in done)]
    capture = {"capturing": "pending", "captured": "success", "capture failed": "failure"}.get(hold)
    rows += [operation("c", "o", capture, "capture")] if capture else []
    rows += [operation("x", "o", other, "reversal")] if other else []
    return OrderView(tuple(rows))


PARTIAL = OrderView((operation("h", "o", "success", "auth"),), partial=True)
ABSENT = OrderView(not_found=True)


@lru_cache(None)
def request(key: str | None) -> Request:
    """A merchant's request with this key."""
    return Request("123", "UAH", None, key, None)


@lru_cache(None)
def void_of(facts: Facts) -> Void | None:
    """What follows."""
    return Order("pos", "123", facts, HISTORY).void


@lru_cache(None)
def may_claim(facts: Facts, key: str | None, now: int) -> bool:
    """May a request with this key send?"""
    return claims.judge(void_of(facts), request(key), now).result is None


def look(world: World, facts: Facts, view: OrderView, now: int, leased: Facts) -> World:
    """A query that ends now."""
    return world._replace(facts=canonical(evidence.seen(facts, view, now, leased)))


def decided(facts: Facts, word: Word) -> Facts:
    """An operator's word about the newest attempt."""
    return canonical(evidence.decided(facts, Decision(1, None, word, "", "", State.UNKNOWN, None, facts.number)))


# ---- what can happen next
# ----------------------------------------------------------------------------------------------


def steps(world: World, options: Options) -> Iterator[tuple[str, World]]:
    """Each thing that can happen, and the state afterwards."""
    yield from _claims(world, options)
    for attempt in world.posts:
        yield from _lands(world, attempt)
    if world.answer is not None:
        yield from _answers(world, world.answer, options)
    yield from _webhooks(world, options)
    if world.known:
        yield from _queries(world, options)
        yield from _clock(world)
        if options.decisions:
            yield from _decisions(world, options)
    yield from _provider(world, options)


def _claims(world: World, options: Options) -> Iterator[tuple[str, World]]:
    facts, number = world.facts, world.facts.number
    if number >= options.attempts:
        return
    for key in ("K1",) if not number else ("K1", "K2"):
        if may_claim(facts, key, world.now):
            told = Order("pos", "123", facts, HISTORY)._told()
            claimed = evidence.claimed(facts, request(key), "", moment(number + 1, 0) - AT[0], told)
            yield (
                f"claim {key}",
                world._replace(facts=canonical(claimed), posts=world.posts | {number + 1}, answer=None, phase=0),
            )


def _lands(world: World, attempt: int) -> Iterator[tuple[str, World]]:
    """The POST of an attempt arrives, or never does."""
    alive, name = attempt == world.facts.number and world.phase == 0, f"{attempt}"
    rest = world._replace(posts=world.posts - {attempt})

    def answered(kind: str, named: str | None = None) -> World:
        return rest._replace(answer=Travelling(attempt, kind, named)) if alive else rest

    for kind in ("refused", "throttled") if world.stands else ("refused",):
        yield f"{attempt} {kind}", answered(kind)
    if world.stands:
        for status in ("success", "pending", "failure"):
            made = Done(name, True, status)
            yield (
                f"{attempt} lands: {status}",
                answered(status, name)._replace(
                    done=tuple(sorted((*world.done, made))), announced=world.announced | {made}
                ),
            )
    elif any(each.ours for each in world.living):
        yield f"{attempt} lands a second time", rest._replace(double=True)
    if alive and world.answer is None:
        yield (
            f"{attempt} never left",
            rest._replace(facts=canonical(evidence.answered(world.facts, attempt, None, world.now))),
        )
    yield f"{attempt} is lost", rest


def _answers(world: World, came: Travelling, options: Options) -> Iterator[tuple[str, World]]:
    gone = world._replace(answer=None)
    row = operation(came.name, options.names[0], came.kind) if came.name is not None else None
    facts = evidence.answered(world.facts, came.attempt, Answer(KINDS[came.kind], row), world.now)
    yield "answer", gone._replace(facts=canonical(facts))
    if came.kind in ("refused", "failure"):
        yield "answer, and the query after it", look(gone, facts, _view(world, options), world.now, facts)
    lost = evidence.answered(world.facts, came.attempt, Answer(AnswerKind.UNKNOWN), world.now)
    yield "answer lost", gone._replace(facts=canonical(lost))
    yield "answer lost, and the function died", gone


def _view(world: World, options: Options) -> OrderView:
    return view_of(world.done, world.hold, world.other, options.names[1])


def _webhooks(world: World, options: Options) -> Iterator[tuple[str, World]]:
    for each in world.announced:
        facts = evidence.reported(world.facts, operation(each.name, options.names[2], each.status), world.now)
        yield f"webhook {each.name} {each.status}", world._replace(facts=canonical(facts))


def _queries(world: World, options: Options) -> Iterator[tuple[str, World]]:
    facts, now, view = world.facts, world.now, _view(world, options)
    yield "query", look(world, facts, view, now, facts)
    yield "query: one object", look(world, facts, PARTIAL, now, facts)
    yield "query: 404", look(world, facts, ABSENT, now, facts)
    if options.late_queries:
        if world.query is None:
            leased = Facts(attempts=facts.attempts[-1:], known_since=facts.known_since)
            yield (
                "query begins",
                world._replace(query=Query(world.done, world.hold, world.other, now, canonical(leased))),
            )
        else:
            done, hold, other, began, leased = world.query
            view = view_of(done, hold, other, options.names[1])
            yield "query ends", look(world._replace(query=None), facts, view, began, leased)


def _clock(world: World) -> Iterator[tuple[str, World]]:
    if world.phase < LAST:
        phase = world.phase + 1
        posts = frozenset[int]() if phase >= LATE else world.posts
        query = None if phase == LAST else world.query
        yield "time passes", world._replace(phase=phase, answer=None, posts=posts, query=query)


def _provider(world: World, options: Options) -> Iterator[tuple[str, World]]:
    for at, each in enumerate(world.done):
        for end in ("success", "failure") if each.status == "pending" else ():
            ended = each._replace(status=end)
            yield (
                f"{each.name} becomes {end}",
                world._replace(
                    done=(*world.done[:at], ended, *world.done[at + 1 :]), announced=world.announced | {ended}
                ),
            )
    if world.hold == "held" and not world.living:
        yield "a capture begins", world._replace(hold="capturing")
    for end in ("captured", "capture failed") if world.hold == "capturing" else ():
        yield end, world._replace(hold=end)
    made = sum(not each.ours for each in world.done)
    for status in LIVE if made < options.portal and world.stands and world.hold == "held" else ():
        portal = Done(f"p{made}", False, status)
        yield (
            f"portal {status}",
            world._replace(done=tuple(sorted((*world.done, portal))), announced=world.announced | {portal}),
        )
    if options.other_rows and world.other is None and world.stands:
        yield "another row", world._replace(other="pending")
    for end in ("success", "failure") if world.other == "pending" else ():
        yield f"the other row {end}", world._replace(other=end)


def _decisions(world: World, options: Options) -> Iterator[tuple[str, World]]:
    void = void_of(world.facts)
    for word in WORDS if void is not None else ():
        if void is None or claims.may_decide(void, word, world.now) is not None:
            continue
        nothing = not world.living and not world.posts and world.other not in LIVE
        true = nothing if word is Word.NOT_VOIDED else any(each.status == "success" for each in world.done)
        if true or options.decisions == "any":
            yield (
                f"decided {word.value}{'' if true else ' (wrong)'}",
                world._replace(facts=decided(world.facts, word), wrong=world.wrong or not true),
            )
