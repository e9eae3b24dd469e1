"""When the first byte of a POST leaves, and when the ledger changes: may it, and was it done once?"""

from typing import TYPE_CHECKING

from tests.faults.financial_line import Operation, Post
from tests.faults.invariants.harm import Harm
from tests.faults.record import Record
from tests.faults.runtime import Actor, Function

if TYPE_CHECKING:
    from tests.faults.invariants.watch import Watch
    from tests.faults.simulation import Simulation

CACHED_MS = 60_000
SEND_MS = 4_000
"""A POST leaves within this time of its request, or not at all."""


class Sends:
    """The invariants of what is sent and executed."""

    def __init__(self, watch: "Watch", sim: "Simulation") -> None:
        self._watch, self._sim = watch, sim
        self._sent: set[str] = set()

    def check(self, actor: Actor) -> None:
        """A byte of this actor's POST leaves now."""
        if self._sim.baseline:
            return
        if actor.attempt_id is None:
            self._watch.violation(Harm.DOUBLE_VOID, "a byte left before the intent was durable")
            return
        if actor.attempt_id in self._sent:
            self._watch.violation(Harm.DOUBLE_VOID, "one attempt was sent twice")
        self._sent.add(actor.attempt_id)
        self._late(actor)
        self._state(actor)
        self._beside(actor)
        self._same_key(actor)

    def _late(self, actor: Actor) -> None:
        if self._sim.runtime.now - actor.started > SEND_MS:
            self._watch.violation(Harm.DOUBLE_VOID, "sent more than 4 s after the request")

    def _state(self, actor: Actor) -> None:
        """What the table last showed it: its own intent, not answered by anything yet."""
        if actor.seen is None or "state" not in actor.seen:
            return
        seen = Record(actor.seen)
        if seen.attempt_id == actor.attempt_id and seen.state != "submitting":
            self._watch.violation(Harm.DOUBLE_VOID, f"sent though the record was {seen.state}")

    def _beside(self, actor: Actor) -> None:
        for one in self._sim.bank.ledger:
            live = one.order == actor.order and one.method == "void" and one.live
            if live and self._known(one, actor.intent_at) and one.project is self._watch.project_of(actor):
                self._watch.violation(Harm.DOUBLE_VOID, "sent beside a void that we had been told of")
                return

    def _known(self, operation: Operation, before: int) -> bool:
        """Were we told of it, durably, before this intent?"""
        moments = (operation.told_at, self._watch.shown_at.get(operation.number))
        return any(moment is not None and moment < before for moment in moments)

    def _same_key(self, actor: Actor) -> None:
        key = actor.ask.key if actor.ask is not None else None
        for post in (*self._sim.bank.posts, *self._sim.bank.landed):
            other = post.actor is not actor and (post.pos_id, post.order) == (self._sim.pos_of(actor), actor.order)
            if key and post.key == key and other and (post.executed or not post.landed):
                self._watch.violation(
                    Harm.DOUBLE_VOID, "the same key was sent twice though the first may have been executed"
                )

    def credentials(self, actor: Actor, post: Post) -> None:
        """Whose credentials a POST carries: those of the secret, or of at most a minute ago."""
        if self._sim.baseline or self._sim.outage_began or self._sim.config.secret_calls:
            return
        old = post.project is not self._sim.project
        if old and actor.started - self._sim.rotated_at > CACHED_MS + SEND_MS:
            self._watch.violation(Harm.DISAGREEMENT, "sent with credentials that were replaced more than a minute ago")
        if post.project is None:
            self.refused(actor)

    def refused(self, actor: Actor) -> None:
        """The provider refuses the credentials of this instance: the next time it has fetched them again."""
        instance, fresh = actor.instance, self._sim.rotated_at
        if (
            instance.refused_at > fresh
            and actor.invocation.started >= instance.refused_at
            and actor.function is Function.SUBMIT
        ):
            self._watch.violation(Harm.WRONG, "credentials that the provider has refused were used again")
        instance.refused_at = self._sim.runtime.now

    def ledger_changed(self) -> None:
        """At most one of our voids of an order is ever executed."""
        if not self._sim.config.bounded:
            return
        done = [(one.project.name, one.order) for order in self._sim.orders for one in self._sim.bank.own(order)]
        if len(done) > len(set(done)):
            self._watch.violation(Harm.DOUBLE_VOID, "two voids of one order were executed")
