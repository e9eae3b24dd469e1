"""The harm that a schedule may do: a double void, a lost operation, a false word, a disagreement at rest, and what leaks.

Each is seen from outside: the provider's ledger, the table, the answers, the logs. None repeats a rule of the service.
"""

import hashlib
import json
from typing import TYPE_CHECKING, Any

from play.ledger import Operation
from play.webhooks import READABLE
from proof.simulation.rest import AtRest
from proof.simulation.runtime import Actor

if TYPE_CHECKING:
    from proof.simulation.world import Simulation

CACHED_MS = 61_000
FRESH_MS = 6_000
"""A copy so young is taken for the secret as it is now."""
NOTHING_DONE = ("not-sent", "throttled", "provider-credentials")
FINAL = ("refused", "not-executed", "order-not-found")


class Watch:
    """What one schedule violated: `harm: what happened`."""

    def __init__(self, sim: "Simulation") -> None:
        self.sim = sim
        self.violations: list[str] = []
        self.decided: list[str] = []
        """Reviews that an operator's decision had to end."""

    def violation(self, harm: str, what: str) -> None:
        """Harm was done."""
        self.violations.append(f"{harm}: {what}")

    # ---- while it runs -----------------------------------------------------------------------------------------------

    def escaped(self, actor: Actor, error: Exception) -> None:
        """An exception that nobody caught."""
        self.violation("crash", f"{type(error).__name__} escaped from {actor.name}")

    def written(self, old: dict[str, Any] | None, new: dict[str, Any]) -> None:
        """The table changed."""
        actor = self.sim.runtime.current
        delivery = actor.invocation.about.get("delivery") if actor is not None else None
        if delivery is not None and delivery.forged:
            self.violation("false", "a forged webhook changed the table")
        if (
            old is not None
            and new["sk"]["S"] == "ORDER"
            and not old["webhooks"]["M"].keys() <= new["webhooks"]["M"].keys()
        ):
            self.violation("lost", "a stored webhook is gone")

    def voids(self, order: str, project: Any = None) -> list[Operation]:
        """The order's voids that are done or may still be."""
        return [each for each in self.sim.bank.of(project or self.sim.project, order, "void") if each.live]

    def sends(self, actor: Actor) -> None:
        """The first byte of a POST leaves."""
        sim, order = self.sim, actor.about["order"]
        if actor.about.get("sent"):
            self.violation("double void", f"two POSTs of one request for {order}")
        actor.about["sent"] = True
        late = [post for post in sim.posts if post.actor.about["order"] == order]
        if late:
            self.violation("double void", f"a second POST for {order} while the first may still land")
        if any(each.attempt_id is not None for each in self.voids(order)):
            self.violation("double void", f"a second POST for {order} beside a live void of ours")
        known = [each for each in self.voids(order) if each.told_at is not None and each.told_at < actor.started]
        if known:
            self.violation("double void", f"a POST for {order} beside a void that a webhook reported")
        credentials = sim.stages["AWSCURRENT"]["pos_id"]
        if (
            sim.changed_at
            and sim.runtime.now > sim.changed_at + CACHED_MS
            and actor.started > sim.changed_at + CACHED_MS
        ):
            actor.about["pos_id"] = credentials

    def ended(self, actor: Actor) -> None:
        """An invocation has ended with an answer."""
        for name in ("UnexpectedError",):
            if actor.counted[name]:
                self.violation("crash", f"{name} in {actor.function}")
        result = actor.result
        if actor.function == "settle" or result is None:
            return
        body = json.loads(result["body"]) if result.get("body") else {}
        status, problem = result["statusCode"], str(body.get("type", "")).rpartition("/")[2].rpartition(":")[2]
        if actor.function == "webhook":
            self._webhook(actor, status)
        elif actor.function == "submit":
            self._submitted(actor, status, problem, body)
        if isinstance(void := body.get("void", body), dict) and "state" in void:
            self._told(actor, void)

    def _webhook(self, actor: Actor, status: int) -> None:
        delivery, sim = actor.about["delivery"], self.sim
        if delivery.forged:
            if status == 200:
                self.violation("false", "a forged webhook was answered 200")
            return
        secrets = {each["api_secret"] for each in sim.stages.values()}
        project = delivery.operation.project
        signed = actor.about["signed"]
        fresh = sim.changed_at and actor.started < sim.changed_at + FRESH_MS
        if status in (400, 401) and signed in secrets and not fresh:
            self.violation("lost", f"a genuine webhook was answered {status}")
        if status != 200:
            return
        digest = hashlib.sha256(actor.about["data"]).hexdigest()
        kept = [item for item in sim.table.items.values() if digest in json.dumps(item)]
        if not kept:
            self.violation("lost", "a webhook was answered 200 and is stored nowhere")
        if delivery.form in READABLE and signed in secrets:
            own = [item for item in kept if item["pk"]["S"] == f"{project.pos_id}#{delivery.operation.order}"]
            if not own and len(sim.stages) and kept:
                self.violation("lost", f"a webhook ({delivery.form}) is not at its own order")

    def _submitted(self, actor: Actor, status: int, problem: str, body: dict[str, Any]) -> None:
        sim, order = self.sim, actor.about["order"]
        if status == 200 and not self.released(order) and not self.decided:
            self.violation("false", f"200 voided, and the hold of {order} stands")
        mine = [each for each in sim.bank.operations if each.attempt_id == actor.name and each.live]
        if problem in NOTHING_DONE and mine:
            self.violation("false", f"{problem}, and the void was made")
        wanted = actor.about.get("pos_id") if status in (200, 202) else None
        if wanted is not None and body.get("pos_id") != wanted:
            self.violation("false", "the void went to the project of the old credentials")
        if problem == "provider-credentials" and actor.about.get("sent") and sim.changed_at:
            self._refused(actor)

    def _refused(self, actor: Actor) -> None:
        """The provider refused the credentials of a project whose secret has been replaced."""
        sim, instance = self.sim, actor.instance
        injected = "bad credentials" in " ".join(sim.injected) or sim.injected["secret"]
        if instance.refused_at > sim.changed_at and actor.started > sim.changed_at and not injected:
            self.violation("disagreement", "an instance sends the credentials again that were refused a moment ago")
        instance.refused_at = sim.runtime.now

    def released(self, order: str) -> bool:
        """Has the provider released a hold of the order?"""
        return any(
            each.status == "success"
            for project in self.sim.projects
            for each in self.sim.bank.of(project, order, "void")
        )

    def _told(self, actor: Actor, void: dict[str, Any]) -> None:
        """A record that somebody was shown."""
        project = next((each for each in self.sim.projects if each.pos_id == void.get("pos_id")), None)
        if project is None or self.decided:
            return
        own = [
            each
            for each in self.voids(void["order_id"], project)
            if each.attempt_id and (each.made_at < actor.started or each.attempt_id == actor.name)
        ]
        if (
            void["state"] == "failed"
            and void["reason"] in (*FINAL, "already-captured")
            and own
            and actor.function != "read"
        ):
            self.violation("false", f"failed ({void['reason']}) beside a live void of ours")
        success = [each for each in self.sim.bank.of(project, void["order_id"], "void") if each.status == "success"]
        if void["state"] == "voided" and not success:
            self.violation("false", f"voided, and the provider has released nothing of {void['order_id']}")
        if void["provider"] is not None and "sentinel" in json.dumps(void):
            self.violation("leak", "a record holds what is not allowed")

    def come_to_rest(self) -> None:
        """Nothing goes wrong any more: all is brought to its end and compared."""
        AtRest(self).come()
