"""The harm that a schedule may do: a double void, a lost operation, a false word, a disagreement at rest, and what leaks.

Each is seen from outside: the provider's ledger, the table, the answers, the logs. None repeats a rule of the service.
"""

import hashlib
import json
from typing import TYPE_CHECKING, Any

from play.ledger import Operation
from play.webhooks import READABLE
from proof.simulation.runtime import Actor

if TYPE_CHECKING:
    from proof.simulation.world import Simulation

CACHED_MS = 61_000
FRESH_MS = 6_000
"""A copy so young is taken for the secret as it is now."""
NOTHING_DONE = ("not-sent", "throttled", "provider-credentials")
FINAL = ("refused", "not-executed", "order-not-found", "already-captured")


class Watch:
    """What one schedule violated: `harm: what happened`."""

    def __init__(self, sim: "Simulation") -> None:
        self.sim = sim
        self.violations: list[str] = []
        self.decided: list[str] = []
        """Reviews that an operator's decision had to end."""

    def never(self, done: object, harm: str, what: str) -> None:
        """If it was done, it is harm."""
        if done:
            self.violations.append(f"{harm}: {what}")

    def escaped(self, actor: Actor, error: Exception) -> None:
        self.never(True, "crash", f"{type(error).__name__} escaped from {actor.name}")

    def written(self, old: dict[str, Any] | None, new: dict[str, Any]) -> None:
        actor = self.sim.runtime.current
        delivery = actor.invocation.about.get("delivery") if actor is not None else None
        self.never(delivery is not None and delivery.forged, "false", "a forged webhook changed the table")
        if old is not None and new["sk"]["S"] == "ORDER":
            self.never(old["webhooks"]["M"].keys() - new["webhooks"]["M"].keys(), "lost", "a stored webhook is gone")

    def voids(self, order: str, project: Any = None) -> list[Operation]:
        """The order's voids that are done or may still be."""
        return [each for each in self.sim.bank.of(project or self.sim.project, order, "void") if each.live]

    def released(self, order: str) -> bool:
        """Has the provider released a hold of the order?"""
        of = self.sim.bank.of
        return any(each.status == "success" for project in self.sim.projects for each in of(project, order, "void"))

    def sends(self, actor: Actor) -> None:
        """The first byte of a POST leaves."""
        sim, order = self.sim, actor.about["order"]
        self.never(actor.about.get("sent"), "double void", f"two POSTs of one request for {order}")
        actor.about["sent"] = True
        late = [post for post in sim.posts if post.actor.about["order"] == order]
        self.never(late, "double void", f"a second POST for {order} while the first may still land")
        ours = any(each.attempt_id is not None for each in self.voids(order))
        self.never(ours, "double void", f"a second POST for {order} beside a live void of ours")
        known = [each for each in self.voids(order) if each.told_at is not None and each.told_at < actor.started]
        self.never(known, "double void", f"a POST for {order} beside a void that a webhook reported")
        if sim.changed_at and actor.started > sim.changed_at + CACHED_MS:
            actor.about["pos_id"] = sim.stages["AWSCURRENT"]["pos_id"]

    def ended(self, actor: Actor) -> None:
        self.never(actor.counted["UnexpectedError"], "crash", f"UnexpectedError in {actor.function}")
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
            self.never(status == 200, "false", "a forged webhook was answered 200")
            return
        secrets = {each["api_secret"] for each in sim.stages.values()}
        genuine = actor.about["signed"] in secrets
        fresh = sim.changed_at and actor.started < sim.changed_at + FRESH_MS
        refused = status in (400, 401) and genuine and not fresh
        self.never(refused, "lost", f"a genuine webhook was answered {status}")
        if status != 200:
            return
        digest = hashlib.sha256(actor.about["data"]).hexdigest()[:32]
        kept = [item for item in sim.table.items.values() if digest in str(item)]
        self.never(not kept, "lost", "a webhook was answered 200 and is stored nowhere")
        key = f"{delivery.operation.project.pos_id}#{delivery.operation.order}"
        astray = kept and delivery.form in READABLE and genuine and all(item["pk"]["S"] != key for item in kept)
        self.never(astray, "lost", f"a webhook ({delivery.form}) is not at its own order")

    def _submitted(self, actor: Actor, status: int, problem: str, body: dict[str, Any]) -> None:
        sim, order = self.sim, actor.about["order"]
        alone = status == 200 and not self.released(order) and not self.decided
        self.never(alone, "false", f"200 voided, and the hold of {order} stands")
        mine = [each for each in sim.bank.operations if each.attempt_id == actor.name and each.live]
        self.never(problem in NOTHING_DONE and mine, "false", f"{problem}, and the void was made")
        wanted = actor.about.get("pos_id") if status in (200, 202) else None
        astray = wanted is not None and body.get("pos_id") != wanted
        self.never(astray, "false", "the void went to the project of the old credentials")
        if problem == "provider-credentials" and actor.about.get("sent") and sim.changed_at:
            self._refused(actor)

    def _refused(self, actor: Actor) -> None:
        """The provider refused the credentials of a project whose secret has been replaced."""
        sim, instance = self.sim, actor.instance
        injected = "bad credentials" in " ".join(sim.injected) or sim.injected["secret"]
        again = instance.refused_at > sim.changed_at and actor.started > sim.changed_at and not injected
        self.never(again, "disagreement", "an instance sends the credentials again that were refused a moment ago")
        instance.refused_at = sim.runtime.now

    def _told(self, actor: Actor, void: dict[str, Any]) -> None:
        """A record that somebody was shown."""
        project = next((each for each in self.sim.projects if each.pos_id == void.get("pos_id")), None)
        if project is None or self.decided:
            return
        live = [each for each in self.voids(void["order_id"], project) if each.attempt_id]
        own = [each for each in live if each.made_at < actor.started or each.attempt_id == actor.name]
        failed = void["state"] == "failed" and void["reason"] in FINAL and actor.function != "read"
        self.never(failed and own, "false", f"failed ({void['reason']}) beside a live void of ours")
        success = [each for each in self.sim.bank.of(project, void["order_id"], "void") if each.status == "success"]
        alone = void["state"] == "voided" and not success
        self.never(alone, "false", f"voided, and the provider has released nothing of {void['order_id']}")
        leaks = void["provider"] is not None and "sentinel" in json.dumps(void)
        self.never(leaks, "leak", "a record holds what is not allowed")
