"""What goes wrong, or is done by somebody else: each kind of event only where a configuration allows it, so many times."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from tests.faults import announcements, aws, wire
from tests.faults.answers import ANSWERS
from tests.faults.events import Event
from tests.faults.financial_line import HOUR_MS, Delivery, Operation, Post
from tests.faults.runtime import TABLE_READS, TABLE_WRITES, Actor, Point
from tests.faults.views import is_behind

if TYPE_CHECKING:
    from tests.faults.simulation import Simulation


# ---- AWS -------------------------------------------------------------------------------------------------------------


@dataclass(slots=True, eq=False)
class _Call(Event):
    """A call goes another way than it should."""

    actor: Actor
    way: str
    points: ClassVar[frozenset[Point]] = frozenset()
    ways: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def possible(cls, sim: "Simulation") -> Iterator[Event]:
        """Each way of each call that is made now."""
        for actor in sim.runtime.actors:
            if actor.point in cls.points and not actor.waiting:
                for way in cls.ways:
                    yield cls(actor, way)

    def happen(self, sim: "Simulation") -> None:
        """And its caller learns of it."""
        sim.go_on(self.actor, self.way)

    def counted_as(self) -> str:
        """The call and its way."""
        return f"{self.actor.point}: {self.way}"

    def __str__(self) -> str:
        return f"{self.actor.name}: {self.actor.point}: {self.way}"


class WriteFails(_Call):
    """A write is refused, hangs, or its answer is lost."""

    __slots__ = ()
    points = TABLE_WRITES
    ways = (aws.THROTTLED, aws.LOST, aws.REPEATED, aws.HANGS)


class ReadFails(_Call):
    """A read is refused or hangs."""

    __slots__ = ()
    points = TABLE_READS
    ways = (aws.THROTTLED, aws.HANGS)


class IndexLags(_Call):
    """The index shows what was."""

    __slots__ = ()
    points = frozenset({Point.INDEX})
    ways = (aws.STALE,)


class SecretFails(_Call):
    """Secrets Manager refuses or hangs."""

    __slots__ = ()
    points = frozenset({Point.SECRET})
    ways = (aws.THROTTLED, aws.HANGS)


# ---- the way to the provider -----------------------------------------------------------------------------------------


class ResolverSlow(_Call):
    """The resolver takes nine seconds."""

    __slots__ = ()
    points = frozenset({Point.RESOLVER})
    ways = (wire.SLOW,)


class NotOpened(_Call):
    """An address refuses."""

    __slots__ = ()
    points = frozenset({Point.CONNECT, Point.HANDSHAKE})
    ways = (wire.REFUSED,)


@dataclass(slots=True, eq=False)
class Swallowed(Event):
    """An address, or the far end of a handshake, is silent."""

    actor: Actor

    @classmethod
    def possible(cls, sim: "Simulation") -> Iterator[Event]:
        """Anybody who connects."""
        points = (Point.CONNECT, Point.HANDSHAKE)
        return (cls(actor) for actor in sim.runtime.actors if actor.point in points and not actor.waiting)

    def happen(self, sim: "Simulation") -> None:
        """From now on only time passes for him."""
        self.actor.waiting = True

    def counted_as(self) -> str:
        """Which of the two."""
        return f"{self.actor.point}: no answer"

    def __str__(self) -> str:
        return f"{self.actor.name}: {self.actor.point} is silent"


@dataclass(slots=True, eq=False)
class AnswerOtherwise(Event):
    """The provider does, or says, something else."""

    post: Post
    answer: str

    @classmethod
    def possible(cls, sim: "Simulation") -> Iterator[Event]:
        """To a POST that nobody waits for, only what it does matters."""
        usual = sim.usual_answer
        for post in sim.bank.posts:
            effects = {ANSWERS[usual].effect}
            for name in sim.config.answers:
                effect = ANSWERS[name].effect
                if name != usual and (post.heard or effect not in effects):
                    effects.add(effect)
                    yield cls(post, name)

    def happen(self, sim: "Simulation") -> None:
        """And is heard, if anybody waits."""
        sim.land(self.post, self.answer, heard=True)

    def counted_as(self) -> str:
        """The answer."""
        return f"POST answered: {self.answer}"

    def __str__(self) -> str:
        return f"the POST of {self.post.actor.name} reaches the provider: {self.answer}"


class AnswerLost(AnswerOtherwise):
    """The POST is executed, or refused, and its answer is lost."""

    __slots__ = ()

    @classmethod
    def possible(cls, sim: "Simulation") -> Iterator[Event]:
        """One for each thing that the provider may do."""
        for post in sim.bank.posts:
            effects = set[str | None]()
            for name in sim.config.answers:
                if post.heard and ANSWERS[name].effect not in effects:
                    effects.add(ANSWERS[name].effect)
                    yield cls(post, name)

    def happen(self, sim: "Simulation") -> None:
        """Whoever waits will wait until he gives up."""
        sim.land(self.post, self.answer, heard=False)

    def counted_as(self) -> str:
        """Whatever it was."""
        return "answer lost"

    def __str__(self) -> str:
        return f"the POST of {self.post.actor.name} reaches the provider: {self.answer}; the answer is lost"


@dataclass(slots=True, eq=False)
class PostLost(Event):
    """A POST never arrives."""

    post: Post
    fault: ClassVar[str] = "POST lost"

    @classmethod
    def possible(cls, sim: "Simulation") -> Iterator[Event]:
        """Any."""
        return (cls(post) for post in sim.bank.posts)

    def happen(self, sim: "Simulation") -> None:
        """Whoever waits will wait until he gives up."""
        sim.bank.posts.remove(self.post)

    def __str__(self) -> str:
        return f"the POST of {self.post.actor.name} is lost"


@dataclass(slots=True, eq=False)
class ViewOtherwise(Event):
    """A query is answered otherwise, or not at all."""

    actor: Actor
    view: str

    @classmethod
    def possible(cls, sim: "Simulation") -> Iterator[Event]:
        """What lags behind a webhook can do so only where a webhook was ahead."""
        behind: bool | None = None
        for actor in sim.runtime.actors:
            if actor.point is Point.VIEW and not actor.waiting:
                for view in sim.config.views:
                    if view == "behind its webhooks":
                        if behind is None:
                            behind = any(is_behind(sim.bank, one) for one in sim.bank.ledger)
                        if not behind:
                            continue
                    yield cls(actor, view)

    def happen(self, sim: "Simulation") -> None:
        """And is read."""
        sim.go_on(self.actor, self.view)

    def counted_as(self) -> str:
        """The answer."""
        return f"query answered: {self.view}"

    def __str__(self) -> str:
        return f"{self.actor.name}: the query is answered: {self.view}"


# ---- webhooks --------------------------------------------------------------------------------------------------------


@dataclass(slots=True, eq=False)
class _Webhook(Event):
    """Something happens to a webhook."""

    delivery: Delivery

    @classmethod
    def possible(cls, sim: "Simulation") -> Iterator[Event]:
        """Any that is made."""
        return (cls(delivery) for delivery in sim.bank.deliveries)


class WebhookLost(_Webhook):
    """It never comes."""

    __slots__ = ()
    fault = "webhook lost"

    def happen(self, sim: "Simulation") -> None:
        """Nobody knows."""
        sim.bank.deliveries.remove(self.delivery)

    def __str__(self) -> str:
        return f"{self.delivery} is lost"


class WebhookAgain(_Webhook):
    """One that was answered 200 comes again."""

    __slots__ = ()
    fault = "webhook repeated"

    @classmethod
    def possible(cls, sim: "Simulation") -> Iterator[Event]:
        """Any that was stored."""
        return (cls(delivery) for delivery in sim.accepted)

    def happen(self, sim: "Simulation") -> None:
        """The same bytes."""
        old = self.delivery
        sim.bank.deliveries.append(Delivery(old.operation, old.status, old.secret, old.form))

    def __str__(self) -> str:
        return f"{self.delivery} will come again"


@dataclass(slots=True, eq=False)
class WebhookOtherwise(Event):
    """A webhook has another form, or another status than the provider has by now."""

    delivery: Delivery
    form: str
    status: str

    @classmethod
    def possible(cls, sim: "Simulation") -> Iterator[Event]:
        """Of each that is made."""
        for delivery in sim.bank.deliveries:
            for form in sim.config.forms:
                if form != delivery.form:
                    yield cls(delivery, form, delivery.status)

    def happen(self, sim: "Simulation") -> None:
        """It arrives so."""
        sim.bank.deliveries.remove(self.delivery)
        self.delivery.form = self.form
        sim.deliver(self.delivery)

    def counted_as(self) -> str:
        """The form."""
        return f"webhook: {self.form}"

    def __str__(self) -> str:
        return f"{self.delivery}, but {self.form}"


@dataclass(slots=True, eq=False)
class WebhookForged(Event):
    """Somebody else sends a success that never was."""

    fault: ClassVar[str] = "webhook forged"

    @classmethod
    def possible(cls, sim: "Simulation") -> Iterator[Event]:
        """At any time."""
        yield cls()

    def happen(self, sim: "Simulation") -> None:
        """With a signature of his own."""
        order = sim.orders[0]
        sim.deliver(
            Delivery(Operation(99, "void", sim.project, order, "UAH", [(0, "success")]), "success", "x", forged=True)
        )

    def __str__(self) -> str:
        return "a forged webhook"


# ---- the provider and its portal -------------------------------------------------------------------------------------


@dataclass(slots=True, eq=False)
class ResolveOtherwise(Event):
    """What was under way fails, or gets a status that is not documented."""

    operation: Operation
    status: str

    @classmethod
    def possible(cls, sim: "Simulation") -> Iterator[Event]:
        """Of each that is under way."""
        for operation in sim.under_way():
            yield cls(operation, "failure")
            if sim.config.strange and operation.status != "antifraud":
                yield cls(operation, "antifraud")

    def happen(self, sim: "Simulation") -> None:
        """And a webhook will tell."""
        sim.bank.resolve(self.operation, self.status)

    def counted_as(self) -> str:
        """The status."""
        return f"under way, then {self.status}"

    def __str__(self) -> str:
        return f"{self.operation}, then {self.status}"


@dataclass(slots=True, eq=False)
class InPortal(Event):
    """Somebody acts in the provider's portal."""

    what: str
    method: str
    status: str
    acts: ClassVar[dict[str, tuple[str, str]]] = {
        "a void": ("void", "success"),
        "a void that is pending": ("void", "pending"),
        "a void that fails": ("void", "failure"),
        "a capture": ("capture", "success"),
        "a capture that is pending": ("capture", "pending"),
        "a capture that fails": ("capture", "failure"),
    }

    @classmethod
    def possible(cls, sim: "Simulation") -> Iterator[Event]:
        """While the hold stands."""
        if sim.bank.stands(sim.project, sim.orders[0]):
            for what in sim.config.portal:
                yield cls(what, *cls.acts[what])

    def happen(self, sim: "Simulation") -> None:
        """To our first order."""
        announced = not sim.config.silent_portal
        sim.bank.operate(self.method, self.status, sim.project, sim.orders[0], "UAH", announced=announced)

    def counted_as(self) -> str:
        """What is done."""
        return f"in the portal: {self.what}"

    def __str__(self) -> str:
        return f"in the portal: {self.what}"


@dataclass(slots=True, eq=False)
class Elsewhere(Event):
    """The same or another order is voided in a project or at a shop that is not ours now."""

    what: str

    @classmethod
    def possible(cls, sim: "Simulation") -> Iterator[Event]:
        """At any time."""
        yield cls("another order")
        if len(sim.bank.projects) > 1:
            yield cls("the same order of another project")

    def happen(self, sim: "Simulation") -> None:
        """Its webhook comes here all the same."""
        project, order = sim.project, "order-9"
        if self.what != "another order":
            project, order = next(each for each in sim.bank.projects.values() if each is not sim.project), sim.orders[0]
        sim.bank.operate("void", "success", project, order, "UAH")

    def counted_as(self) -> str:
        """Whose."""
        return f"voided elsewhere: {self.what}"

    def __str__(self) -> str:
        return f"{self.what} is voided"


@dataclass(slots=True, eq=False)
class Rotate(Event):
    """The credentials in Secrets Manager are replaced."""

    what: str

    @classmethod
    def possible(cls, sim: "Simulation") -> Iterator[Event]:
        """By new ones of the same project, or by those of another."""
        for what in sim.config.rotations:
            if what == "new keys" or what != sim.project.name:
                yield cls(what)

    def happen(self, sim: "Simulation") -> None:
        """At once; the functions' copies are older."""
        sim.rotate(self.what)

    def counted_as(self) -> str:
        """By which."""
        return f"secret replaced: {self.what}"

    def __str__(self) -> str:
        return f"the secret is replaced: {self.what}"


@dataclass(slots=True, eq=False)
class Outage(Event):
    """Something is out of reach for longer than anybody retries."""

    what: str
    ms: int
    lasts: ClassVar[dict[str, int]] = {"provider": 130_000, "table": 40_000, "secret": HOUR_MS}

    @classmethod
    def possible(cls, sim: "Simulation") -> Iterator[Event]:
        """One at a time."""
        if not any(sim.outage(what) for what in cls.lasts):
            for what in sim.config.outages:
                yield cls(what, cls.lasts[what])

    def happen(self, sim: "Simulation") -> None:
        """Until it is over."""
        sim.outages[self.what] = sim.runtime.now + self.ms
        sim.outage_began = True

    def counted_as(self) -> str:
        """Of what."""
        return f"outage of the {self.what}"

    def __str__(self) -> str:
        return f"the {self.what} is out of reach for {self.ms / 1000:g} s"


# ---- our own side ----------------------------------------------------------------------------------------------------


@dataclass(slots=True, eq=False)
class Death(Event):
    """A function's process dies."""

    actor: Actor
    fault: ClassVar[str] = "death of a function"

    @classmethod
    def possible(cls, sim: "Simulation") -> Iterator[Event]:
        """At each of its calls."""
        return (cls(actor) for actor in sim.runtime.actors if actor.parent is None)

    def happen(self, sim: "Simulation") -> None:
        """With all that it knew."""
        sim.die(self.actor, f"{self.actor.function} before {self.actor.point}")

    def __str__(self) -> str:
        return f"{self.actor.name} dies before {self.actor.point}"


class ColdStart(Event):
    """The instances that are idle are no longer there."""

    __slots__ = ()
    fault = "cold start"

    @classmethod
    def possible(cls, sim: "Simulation") -> Iterator[Event]:
        """If there are any."""
        if any(not instance.busy for instance in sim.instances):
            yield cls()

    def happen(self, sim: "Simulation") -> None:
        """What they had cached is gone."""
        sim.instances[:] = [instance for instance in sim.instances if instance.busy]

    def __str__(self) -> str:
        return "the idle instances are gone"


class Refresh(Event):
    """Somebody reads an order and has the provider asked."""

    __slots__ = ()
    fault = "refresh"

    @classmethod
    def possible(cls, sim: "Simulation") -> Iterator[Event]:
        """One at a time."""
        if not sim.running("read"):
            yield cls()

    def happen(self, sim: "Simulation") -> None:
        """By read_voids."""
        sim.read(sim.orders[0], refresh=True)

    def __str__(self) -> str:
        return "a refresh"


@dataclass(slots=True, eq=False)
class TimePasses(Event):
    """The calls that are under way take longer."""

    ms: int
    fault: ClassVar[str] = "slow"

    @classmethod
    def possible(cls, sim: "Simulation") -> Iterator[Event]:
        """Much, or to the last millisecond before a moment that means something."""
        if sim.runtime.actors:
            yield cls(2_503)
            yield cls(5_511)
        edge = sim.edge(free=True)
        if edge and edge - sim.runtime.now > 1:
            yield cls(edge - sim.runtime.now - 1)

    def happen(self, sim: "Simulation") -> None:
        """Whoever's limit comes on the way is told so."""
        sim.forward(sim.runtime.now + self.ms)

    def __str__(self) -> str:
        return f"{self.ms} ms pass"


KINDS: tuple[type[Event], ...] = (
    WriteFails, ReadFails, IndexLags, SecretFails, ResolverSlow, NotOpened, Swallowed, AnswerOtherwise, AnswerLost,
    PostLost, ViewOtherwise, WebhookLost, WebhookAgain, WebhookOtherwise, WebhookForged, ResolveOtherwise,
    InPortal, Elsewhere, Rotate, Outage, Death, ColdStart, Refresh, TimePasses,
)  # fmt: skip


__all__ = ["KINDS", "announcements"]
