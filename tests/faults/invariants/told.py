"""What is told: to a merchant, to a reader and to the provider. Is it true, and does it stay so?"""

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.faults import announcements
from tests.faults.financial_line import Delivery, Operation
from tests.faults.invariants.harm import Harm
from tests.faults.record import RANK
from tests.faults.runtime import Actor, Function, Point

if TYPE_CHECKING:
    from tests.faults.invariants.watch import Watch
    from tests.faults.simulation import Simulation

PROBLEMS = {
    "not-voidable": 409, "in-progress": 409, "too-many-attempts": 409, "idempotency-mismatch": 422,
    "currency-mismatch": 422, "throttled": 429, "provider-credentials": 502, "not-sent": 503,
}  # fmt: skip
"""What a merchant whose request is well formed may be told, besides 200 and 202."""
MOST_ATTEMPTS = 20
LONGEST_CALL_MS = 3_050
"""What a call of the table or of Secrets Manager takes at most."""
NO_STATEMENT = ("in-progress", "not-sent", "idempotency-mismatch", "too-many-attempts", "currency-mismatch")


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer of submit_void or read_voids, read."""

    status: int
    problem: str
    body: dict[str, Any]
    retry_after: int | None = None

    @property
    def void(self) -> dict[str, Any] | None:
        """The void record in it."""
        shown = self.body.get("void") if self.problem else self.body
        return shown or None


def read(result: dict[str, Any]) -> Answer:
    """Read a response."""
    body = json.loads(result["body"]) if result["body"] else {}
    retry = result["headers"].get("Retry-After")
    problem = str(body.get("type", "")).removeprefix("urn:void-service:problem:")
    return Answer(result["statusCode"], problem, body, int(retry) if retry else None)


class Told:
    """The invariants of our answers."""

    def __init__(self, watch: "Watch", sim: "Simulation") -> None:
        self._watch, self._sim = watch, sim
        self._final: list[tuple[str, str | None]] = []
        """Reasons that were told, with their attempts."""
        self._by_key: dict[tuple[str, ...], Answer] = {}
        """The strongest statement so far about each key and body."""

    # ---- merchants ---------------------------------------------------------------------------------------------------

    def foreign_key(self, actor: Actor) -> bool:
        """Does this request use a key that stands for another body?"""
        ask, known = actor.ask, self._watch.writes.keys
        if ask is None or ask.key is None:
            return False
        bodies = {
            body
            for (pos, order, key), body in known.items()
            if (pos, order, key) == (self._sim.project.pos_id, ask.order, ask.key)
        }
        return bool(bodies) and (ask.comment, ask.currency) not in bodies

    def about_key(self, actor: Actor) -> Answer | None:
        """What was told about this request's key before it began. What is told meanwhile may overtake its answer."""
        name = self._name(actor)
        return self._by_key.get(name) if name is not None else None

    def _name(self, actor: Actor) -> tuple[str, ...] | None:
        ask = actor.ask
        if ask is None or ask.key is None:
            return None
        return self._sim.pos_of(actor), ask.order, ask.key, str(ask.comment), ask.currency

    def request(self, actor: Actor, answer: Answer) -> None:
        """A request for a void was answered."""
        took = self._sim.runtime.now - actor.started
        if not self._sim.baseline and not actor.sends and not actor.hurt and took > actor.pauses * LONGEST_CALL_MS:
            self._watch.violation(Harm.WRONG, "an answer that needed no provider waited for one")
        if answer.problem and PROBLEMS.get(answer.problem) != answer.status:
            self._watch.violation(Harm.WRONG, f"a bare {answer.status} {answer.problem}")
            return
        if answer.void is None:
            self._nothing_known(actor, answer)
            return
        self._about_key(actor, answer)
        attempts = self._watch.writes.attempts.get((actor.order, answer.void["attempt"]), set())
        its = (
            actor.about.get("logged")
            if actor.about.get("logged") in attempts
            else next(iter(attempts), actor.about.get("logged"))
        )
        self._is_durable(answer, attempts)
        self._is_true(actor, answer, its)

    def _nothing_known(self, actor: Actor, answer: Answer) -> None:
        """A 503 without a record: right only if nothing was sent, and if the table hid what is durable."""
        if self._sim.baseline:
            return
        if answer.problem != "not-sent" or not actor.hurt:
            self._watch.violation(Harm.WRONG, f"{answer.status} {answer.problem} without a record")
        elif actor.sends:
            self._watch.violation(Harm.WRONG, "a bare 503 though something was sent")
        elif actor.attempt_id is not None and not actor.silent:
            self._watch.violation(Harm.WRONG, "a bare 503 though the intent is durable")

    def _about_key(self, actor: Actor, answer: Answer) -> None:
        name = self._name(actor)
        if name is None or self._sim.baseline:
            return
        if actor.about.get("foreign_key") and answer.problem != "idempotency-mismatch":
            self._watch.violation(
                Harm.WRONG, f"a used key with another body was answered {answer.problem or answer.status}"
            )
        if answer.problem in ("idempotency-mismatch", "currency-mismatch") and actor.sends:
            self._watch.violation(Harm.WRONG, "a mismatch was sent")
        if answer.problem in NO_STATEMENT:
            return
        before: Answer | None = actor.about["told_before"]
        if before is not None and not _grows(before, answer):
            self._watch.violation(Harm.WRONG, f"told {_short(answer)} about a key that was told {_short(before)}")
        latest = self._by_key.get(name)
        if latest is None or _grows(latest, answer):
            self._by_key[name] = answer

    def _is_durable(self, answer: Answer, attempts: set[str]) -> None:
        void = answer.void
        if self._sim.baseline or void is None or void["state"] == "voided":
            return
        # A void that was only ever seen from outside has no attempt.
        of = attempts if void["attempt"] else {None}
        durable = any((attempt_id, void["reason"]) in self._watch.writes.reasons for attempt_id in of)
        if not durable and answer.problem in ("not-voidable", "throttled", "provider-credentials", "not-sent"):
            self._watch.violation(Harm.WRONG, f"told {answer.problem} though no such reason is durable")

    def _is_true(self, actor: Actor, answer: Answer, attempt_id: str | None) -> None:
        void, order = answer.void, actor.order
        assert void is not None
        match answer.problem or answer.status:
            case 200:
                if not self._watch.voided_in(self._sim.pos_of(actor), order):
                    self._watch.violation(Harm.WRONG, "told 200 without a void")
                if void["state"] != "voided":
                    self._watch.violation(Harm.WRONG, f"told 200 while {void['state']}")
            case 202:
                if RANK[void["state"]] >= RANK["failed"]:
                    self._watch.violation(Harm.WRONG, f"told 202 though {void['state']}")
            case "not-voidable":
                self._is_final(actor, void, attempt_id)
            case "throttled" | "provider-credentials" | "not-sent":
                self._final.append((str(void["reason"]), attempt_id))
                if any(post.executed and post.attempt_id == attempt_id for post in self._sim.bank.landed):
                    self._watch.violation(Harm.WRONG, f"told {answer.problem} though the POST was executed")
            case "in-progress":
                if actor.attempt_id and not actor.sends and not self._others(actor):
                    self._watch.violation(Harm.WRONG, "gave up its own intent: told in-progress, and nobody sends")
            case "currency-mismatch":
                asked = actor.ask.currency if actor.ask is not None else ""
                if not any(of == order and one not in (None, asked) for of, one in self._watch.writes.currencies):
                    self._watch.violation(Harm.WRONG, "told currency-mismatch for the record's own currency")
            case "too-many-attempts":
                posts = [post for post in (*self._sim.bank.posts, *self._sim.bank.landed) if post.order == order]
                if len(posts) < MOST_ATTEMPTS:
                    self._watch.violation(Harm.LOST, "locked, though fewer than twenty attempts were sent")
            case "idempotency-mismatch":
                pass
            case _:
                self._watch.violation(Harm.WRONG, f"a bare {answer.status}")

    def _is_final(self, actor: Actor, void: dict[str, Any], attempt_id: str | None) -> None:
        """Told 409 for good. Of an order that was voided since, it is about the key's own attempt."""
        if void["state"] == "voided":
            return
        self._final.append((str(void["reason"]), attempt_id))
        if not self._sim.config.bounded and void["reason"] != "refused":
            return
        pos_id = self._sim.pos_of(actor)
        own = [one for one in self._sim.bank.own(actor.order) if one.project.pos_id == pos_id]
        if any(one.attempt_id == attempt_id or self._should_know(actor, void, one) for one in own):
            self._watch.violation(Harm.WRONG, "told 409 for good though our void was executed")

    def _should_know(self, actor: Actor, void: dict[str, Any], operation: Operation) -> bool:
        """Is this answer also about that void of another attempt? The newest attempt's is; in the baseline, its key's."""
        if not self._sim.baseline:
            numbers = (number for order, number in self._watch.writes.attempts if order == actor.order)
            return bool(void["attempt"] == max(numbers))
        maker = next(each for each in self._sim.runtime.everybody if each.name == operation.attempt_id)
        return maker.ask is not None and actor.ask is not None and maker.ask.key == actor.ask.key

    def _others(self, actor: Actor) -> bool:
        """In the baseline, whose claims carry no name: might another request be the one in progress?"""
        everybody = self._sim.runtime.everybody
        return self._sim.baseline and any(each.function is Function.SUBMIT and each is not actor for each in everybody)

    def at_rest(self) -> None:
        """What was final is still so, after everything has landed."""
        if not self._sim.config.bounded:
            return
        executed = {one.attempt_id for order in self._sim.orders for one in self._sim.bank.own(order)}
        for reason, attempt_id in self._final:
            if attempt_id in executed:
                self._watch.violation(Harm.WRONG, f"told {reason}, but that attempt was executed")

    # ---- readers -----------------------------------------------------------------------------------------------------

    def reader(self, actor: Actor, answer: Answer) -> None:
        """A read was answered."""
        if self._sim.baseline:
            return
        if answer.status == 200 and not answer.problem:
            if (
                "voids" not in answer.body
                and answer.body["state"] == "voided"
                and not self._watch.voided_in(self._sim.pos_of(actor), actor.order)
            ):
                self._watch.violation(Harm.WRONG, "a read says voided without a void")
        elif answer.status == 404 and answer.problem == "not-found":
            if actor.about.get("existed") and not self._sim.rotated_since(actor.started):
                self._watch.violation(Harm.WRONG, "a read says not-found though there is a record")
        elif (answer.status, answer.problem) != (503, "not-sent") or not actor.hurt:
            self._watch.violation(Harm.WRONG, f"a read was answered {answer.status} {answer.problem}")

    # ---- the provider ------------------------------------------------------------------------------------------------

    def webhook(self, actor: Actor, delivery: Delivery, answer: Answer) -> None:
        """A webhook was answered."""
        if self._sim.baseline:
            return
        if answer.status == 500 and answer.problem == "outcome-unknown" and actor.hurt:
            return
        if answer.status not in (200, 401):
            self._watch.violation(Harm.WRONG, f"a webhook was answered {answer.status} {answer.problem}")
        elif delivery.forged:
            if answer.status != 401 or actor.writes:
                self._watch.violation(Harm.WRONG, "a forged webhook left a trace")
        elif answer.status == 401:
            if self._sim.can_prove(delivery) and actor.about.get("provable"):
                self._watch.violation(Harm.WRONG, "a genuine webhook was refused")
        else:
            self._stored(delivery)

    def _stored(self, delivery: Delivery) -> None:
        operation = delivery.operation
        digest = hashlib.sha256(announcements.data(delivery)).hexdigest()
        item = self._sim.item(operation.project, operation.order)
        kept = any(sk == digest for _, sk in self._sim.table.items)
        stored = item is not None and digest in item["webhooks"]["M"]
        if not stored and not kept:
            self._watch.violation(Harm.LOST, "a webhook was answered 200 and is not stored")
        if (
            kept
            and delivery.form in announcements.READABLE
            and not stored
            and (item is None or "more_webhooks" not in item)
        ):
            self._watch.violation(Harm.LOST, "a webhook that can be read is in quarantine")
        if operation.method != "void" or delivery.status != "success" or delivery.form not in announcements.READABLE:
            return
        record = self._sim.records.get((operation.project.pos_id, operation.order))
        if record is None or record.state != "voided":
            self._watch.violation(Harm.LOST, "a success webhook was answered 200 and not applied")


def _grows(before: Answer, after: Answer) -> bool:
    """May the second answer follow the first one about the same key? Knowledge grows; what was final stays so."""
    old, new = before.void, after.void
    if old is None or new is None:
        return True
    if before.status == 200:
        return after.status == 200
    if before.problem == "not-voidable":
        if after.status == 200 or new["state"] == "voided":
            return True
        return after.problem == "not-voidable" and (old["attempt"], old["reason"]) == (new["attempt"], new["reason"])
    return True


def _short(answer: Answer) -> str:
    void = answer.void
    reason = f" {void['reason']}" if void and void["reason"] else ""
    return f"{answer.status}{f' {answer.problem}' if answer.problem else ''}{reason}"


__all__ = ["Answer", "Point", "Told", "read"]
