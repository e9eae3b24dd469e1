"""One order, its provider and its messages, as small as they can be, around the real facts.

Real times are reduced to one moment for each attempt and phase; what decides nothing about a state is dropped.
"""

from functools import cache
from typing import NamedTuple

from payments import claims, evidence
from payments.facts import DAY_MS, Asked, Decision, Evidence, Facts, Request, State, Told, Word
from payments.messages import PROVIDER_FIELDS, Answer, AnswerKind, Fields, Operation, OrderView
from payments.orders import Change, Order, Void
from payments.verdict import told_of

PHASES_MS = (1_000, 30_000, 146_000, DAY_MS + 1_000, 3 * DAY_MS, 5 * DAY_MS)
"""Within the lease, within the window, late, after a day; the last two only when all is quiet."""
LAST_PHASE = 3
EPOCH_MS = 10 * DAY_MS
KINDS = {
    "success": AnswerKind.SUCCESS, "pending": AnswerKind.PENDING, "failure": AnswerKind.FAILURE,
    "refused": AnswerKind.REFUSED, "throttled": AnswerKind.THROTTLED, "lost": AnswerKind.UNKNOWN,
}  # fmt: skip


class Row(NamedTuple):
    """One void at the provider."""

    name: str
    ours: bool
    status: str


class Reply(NamedTuple):
    """What the provider answered to a POST; no name: no operation."""

    attempt: int
    kind: str
    name: str | None = None


class Query(NamedTuple):
    """A query that has begun, with what it will show."""

    view: OrderView
    began: int
    leased: Facts


class World(NamedTuple):
    """A state of the closure."""

    facts: Facts = Facts()
    posts: frozenset[int] = frozenset()
    reply: Reply | None = None
    rows: tuple[Row, ...] = ()
    hold: str = "held"
    announced: frozenset[tuple[str, str]] = frozenset()
    reported: frozenset[tuple[str, str]] = frozenset()
    phase: int = 0
    query: Query | None = None
    misled: bool = False
    """An operator has said what is not true."""
    foreign: str | None = None
    """The status of a row of another method."""

    @property
    def now(self) -> int:
        """Milliseconds."""
        return moment(self.facts.number, self.phase)

    @property
    def living(self) -> list[Row]:
        """The voids that have not failed."""
        return [each for each in self.rows if each.status != "failure"]

    @property
    def stands(self) -> bool:
        """Would the provider execute a void now?"""
        return self.hold in ("held", "capture failed") and not self.living and self.foreign in (None, "failure")


class Space(NamedTuple):
    """What may happen. `ids`: the names that answers, lists and webhooks give: "o", "t", both or none ("-")."""

    attempts: int = 1
    portal: int = 0
    ids: tuple[str, str, str] = ("o", "o", "o")
    stale: bool = False
    foreign: bool = False
    decisions: str = ""
    """"": none; "true": what the provider shows; "any"."""


def moment(attempt: int, phase: int) -> int:
    """When this phase of an attempt is."""
    return (attempt + 1) * EPOCH_MS + PHASES_MS[phase]


@cache
def operation(name: str, ids: str, status: str, method: str = "void") -> Operation:
    """An operation as a channel that gives these ids shows it."""
    fields: Fields = dict.fromkeys(PROVIDER_FIELDS)
    if "o" in ids:
        fields["operation_id"] = f"o{name}"
    if "t" in ids:
        fields["transaction_id"] = f"t{name}"
    return Operation(method, status, "123", fields)


HOLD = operation("h", "o", "success", "auth")
ONE_OBJECT = OrderView((HOLD,), partial=True)
CAPTURES = {"capturing": "pending", "captured": "success", "capture failed": "failure"}


@cache
def view(rows: tuple[Row, ...], hold: str, foreign: str | None, ids: str) -> OrderView:
    """The provider's whole list."""
    shown = [HOLD, *(operation(each.name, ids, each.status) for each in rows)]
    if hold in CAPTURES:
        shown.append(operation("c", "o", CAPTURES[hold], "capture"))
    if foreign:
        shown.append(operation("x", "o", foreign, "reversal"))
    return OrderView(tuple(shown))


@cache
def request(key: str) -> Request:
    """A merchant's request with this key."""
    return Request("123", "UAH", None, key, None)


@cache
def void_of(facts: Facts) -> Void | None:
    """What the service shows."""
    return Order("p", "1", facts, (Change(1, State.SUBMITTING, Evidence.REQUEST),)).void


def judged(facts: Facts, key: str, now: int) -> claims.Result | None:
    """How a request with this key ends; None: it is sent."""
    return claims.judge(void_of(facts), request(key), now).result


def canonical(facts: Facts) -> Facts:
    """The facts without what decides nothing about a state: texts and the bookkeeping of queries."""
    attempts = tuple(
        each._replace(ended_at=0, code=None, message=None, told=each.told and Told(each.told.reason, None))
        for each in facts.attempts
    )
    operations = tuple(
        each._replace(
            fields=None, undocumented_at=0, first=0, contradicted=False,
            by=frozenset(([Evidence.QUERY] if each.listed else []) + ([Evidence.ANSWER] if each.announced else [])),
        )
        for each in facts.operations
    )  # fmt: skip
    decisions = tuple(
        each._replace(at=0, note="", revision="", state=State.UNKNOWN, reason=None) for each in facts.decisions[-1:]
    )
    return facts._replace(attempts=attempts, operations=operations, asked=Asked(), decisions=decisions)


def claimed(facts: Facts, key: str) -> Facts:
    """The facts with the intent of the next attempt, as `Order.claimed` makes it."""
    void, told = void_of(facts), None
    if void is not None and facts.newest is not None:
        told = told_of(facts, facts.newest) or Told(void.reason or claims.FailureReason.NOT_EXECUTED, None)
    return evidence.claimed(facts, request(key), "", moment(facts.number + 1, 0) - PHASES_MS[0], told)


def answered(world: World, kind: str, space: Space) -> Facts:
    """The facts after the reply, or after `kind` instead of it."""
    reply = world.reply
    if reply is None:
        return world.facts
    named = (
        operation(reply.name, space.ids[0], kind)
        if reply.name is not None and kind in ("success", "pending", "failure")
        else None
    )
    return evidence.answered(world.facts, reply.attempt, Answer(KINDS[kind], named), world.now)


def decided(facts: Facts, word: Word) -> Facts:
    """The facts after an operator's word."""
    return evidence.decided(facts, Decision(1, None, word, "", "", State.UNKNOWN, None, facts.number))


def changed(world: World, **fields: object) -> World:
    """The world with these fields, its facts in their canonical form."""
    other = world._replace(**fields)  # type: ignore[arg-type]
    return other._replace(facts=canonical(other.facts)) if "facts" in fields else other
