"""What happens in a schedule: one small class for each kind of event.

`possible` says what of its kind may happen now, `happen` makes it happen, and its text is the line of a replay. The
classes here are the ordinary course of things, `faults` has the others.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, ClassVar

from tests.faults.financial_line import Delivery, Operation, Post
from tests.faults.runtime import OK, STEP_MS, Actor, Point

if TYPE_CHECKING:
    from tests.faults.simulation import Simulation


class Event:
    """Something that may happen next."""

    __slots__ = ()
    fault: ClassVar[str] = ""
    """What the figures call it; the ordinary course of things has no name there."""

    @classmethod
    def possible(cls, sim: "Simulation") -> "Iterator[Event]":
        """All of this kind that may happen now."""
        raise NotImplementedError

    def happen(self, sim: "Simulation") -> None:
        """Make it so."""
        raise NotImplementedError

    def counted_as(self) -> str:
        """The name in the figures."""
        return self.fault


@dataclass(slots=True, eq=False)
class Continue(Event):
    """An outside call goes as it should, and its caller goes on."""

    actor: Actor

    @classmethod
    def possible(cls, sim: "Simulation") -> Iterator[Event]:
        """The newest first."""
        return (cls(actor) for actor in reversed(sim.runtime.actors) if not actor.waiting)

    def happen(self, sim: "Simulation") -> None:
        """It takes a moment, in which others may run out of theirs."""
        sim.go_on(self.actor, OK)

    def __str__(self) -> str:
        return f"{self.actor.name}: {self.actor.point}"


@dataclass(slots=True, eq=False)
class Land(Event):
    """A POST reaches the provider, which answers as usual."""

    post: Post
    answer: str

    @classmethod
    def possible(cls, sim: "Simulation") -> Iterator[Event]:
        """Where the provider is lazy, a POST that nobody waits for comes last of all."""
        usual = sim.usual_answer
        listened = any(post.heard for post in sim.bank.posts)
        for post in sim.bank.posts:
            if post.heard or not sim.config.lazy or (sim.config.overtakes and listened):
                yield cls(post, usual)

    def happen(self, sim: "Simulation") -> None:
        """And its answer reaches us, if anybody waits for it."""
        if not self.post.heard:
            sim.faults["late POST"] += 1
        sim.land(self.post, self.answer, heard=True)

    def __str__(self) -> str:
        return f"the POST of {self.post.actor.name} reaches the provider: {self.answer}"


class LandLate(Land):
    """The same for a POST that nobody waits for."""

    __slots__ = ()

    @classmethod
    def possible(cls, sim: "Simulation") -> Iterator[Event]:
        """Last of all."""
        first = sim.config.overtakes and any(post.heard for post in sim.bank.posts)
        if sim.config.lazy and not first:
            yield from (cls(post, sim.usual_answer) for post in sim.bank.posts if not post.heard)


@dataclass(slots=True, eq=False)
class GiveUp(Event):
    """Time passes until somebody has waited for as long as he may."""

    actor: Actor

    @classmethod
    def possible(cls, sim: "Simulation") -> Iterator[Event]:
        """Whose time is over first."""
        waiting = [actor for actor in sim.runtime.actors if actor.waiting and actor.limit is not None]
        if waiting:
            yield cls(min(waiting, key=lambda actor: actor.limit or 0))

    def happen(self, sim: "Simulation") -> None:
        """He is told so."""
        assert self.actor.limit is not None
        if self.actor.point is Point.ANSWER:
            sim.faults["answer too late"] += 1
        sim.forward(self.actor.limit)

    def __str__(self) -> str:
        return f"{self.actor.name} waits no longer for {self.actor.point}"


@dataclass(slots=True, eq=False)
class Deliver(Event):
    """A webhook arrives."""

    delivery: Delivery

    @classmethod
    def possible(cls, sim: "Simulation") -> Iterator[Event]:
        """Any of those that are made."""
        return (cls(delivery) for delivery in sim.bank.deliveries)

    def happen(self, sim: "Simulation") -> None:
        """To receive_webhook."""
        sim.bank.deliveries.remove(self.delivery)
        sim.deliver(self.delivery)

    def __str__(self) -> str:
        return str(self.delivery)


class Demand(Event):
    """The merchant asks for a void."""

    __slots__ = ()

    @classmethod
    def possible(cls, sim: "Simulation") -> Iterator[Event]:
        """When it is time."""
        if sim.merchant.next() is not None and sim.merchant.not_before <= sim.runtime.now and not sim.merchant_waits:
            yield cls()

    def happen(self, sim: "Simulation") -> None:
        """Of submit_void."""
        sim.request()

    def __str__(self) -> str:
        return "the merchant asks for a void"


@dataclass(slots=True, eq=False)
class Resolve(Event):
    """What was under way at the provider succeeds."""

    operation: Operation

    @classmethod
    def possible(cls, sim: "Simulation") -> Iterator[Event]:
        """Unless it is stuck."""
        return (cls(operation) for operation in sim.under_way())

    def happen(self, sim: "Simulation") -> None:
        """And a webhook will tell."""
        sim.bank.resolve(self.operation, "success")

    def __str__(self) -> str:
        return f"{self.operation}, then success"


class SettleRun(Event):
    """The minute's run of settle_voids."""

    __slots__ = ()

    @classmethod
    def possible(cls, sim: "Simulation") -> Iterator[Event]:
        """When something is due."""
        if sim.runs_left and sim.due() and sim.running("settle") < 2:
            yield cls()

    def happen(self, sim: "Simulation") -> None:
        """Of settle_voids."""
        sim.runs_left -= 1
        sim.settle()

    def __str__(self) -> str:
        return "settle_voids runs"


@dataclass(slots=True, eq=False)
class Clock(Event):
    """Time passes until the next moment that means something to a record or to the merchant."""

    to: int
    ms: int

    @classmethod
    def possible(cls, sim: "Simulation") -> Iterator[Event]:
        """If there is one, and it may come yet."""
        edge = sim.edge()
        if edge:
            yield cls(edge, edge - sim.runtime.now)

    def happen(self, sim: "Simulation") -> None:
        """All calls that are under way run out of time."""
        sim.clocks_left -= 1
        sim.forward(self.to)

    def __str__(self) -> str:
        return f"{self.ms} ms pass"


@dataclass(slots=True, eq=False)
class Copies(Event):
    """Each webhook will come that many times."""

    counts: tuple[int, ...]

    @classmethod
    def possible(cls, sim: "Simulation") -> Iterator[Event]:
        """Once or twice each."""
        return (cls(counts) for counts in product((1, 2), repeat=len(sim.bank.deliveries)))

    def happen(self, sim: "Simulation") -> None:
        """From now on only their order is open."""
        sim.only_webhooks = True
        made = list(sim.bank.deliveries)
        sim.bank.deliveries[:] = [
            Delivery(each.operation, each.status, each.secret, each.form)
            for each, count in zip(made, self.counts, strict=True)
            for _ in range(count)
        ]

    def __str__(self) -> str:
        return f"webhooks come {self.counts} times"


USUAL: tuple[type[Event], ...] = (Continue, Land, GiveUp, Deliver, Demand, Resolve, SettleRun, Clock, LandLate)
"""In the order in which they happen by default."""
MERCHANT_LATE: tuple[type[Event], ...] = (Continue, Land, GiveUp, Deliver, Resolve, SettleRun, Clock, Demand, LandLate)
"""The merchant asks again only when everything else has happened."""


__all__ = ["MERCHANT_LATE", "STEP_MS", "USUAL", "Event"]
