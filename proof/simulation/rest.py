"""How a schedule ends: settle runs find the truth, an operator decides what evidence cannot, then all is compared."""

import json
from typing import TYPE_CHECKING, Any

from proof.simulation.configurations import Ask
from proof.simulation.watch import CACHED_MS, NOTHING_DONE
from tests.fakes.table import unzipped

if TYPE_CHECKING:
    from proof.simulation.world import Simulation

DAY_MS = 86_400_000
MOST_RUNS, MOST_REQUESTS = 40, 8
SETTLED = ("voided", "failed")


class AtRest:
    """The comparison at the end of one schedule."""

    def __init__(self, sim: "Simulation") -> None:
        self.sim, self.watch, self.never = sim, sim.watch, sim.watch.never

    def come(self) -> None:
        """Nothing goes wrong any more: settle runs find the truth, an operator decides the rest, all is compared."""
        sim = self.sim
        sim.quiet = True
        sim.finish()
        if not sim.config.stuck:
            self._succeed()
        sim.forward(sim.runtime.now + CACHED_MS)
        self._settle_all()
        for check in (self._compare, self._lists, self._operator, self._lockout):
            if not self.watch.violations:
                check()
        seen = json.dumps(sim.heard, default=str) + json.dumps(list(sim.table.items.values()), default=unzipped)
        leaks = "sentinel" in seen
        self.never(leaks, "leak", "a secret, a signature or cardholder data in an answer, a log or the table")

    def _succeed(self) -> None:
        """What is under way ends."""
        for operation in self.sim.under_way():
            self.sim.bank.resolve(operation, "success")
        self.sim.finish()

    def _settle_all(self) -> None:
        """Until nothing is due within nine days."""
        sim, began = self.sim, self.sim.runtime.now
        for _ in range(MOST_RUNS):
            due = sim.next_due()
            if due is None or due > began + 9 * DAY_MS or self.watch.violations:
                return
            sim.settle(due)
            sim.finish()

    def _compare(self) -> None:
        """The records against the ledger."""
        sim, records = self.sim, self.sim.records()
        known = {each["pos_id"] for each in sim.stages.values()}
        for project in sim.projects:
            for order in sim.orders if project.pos_id in known else ():
                voids = sim.bank.of(project, order, "void")
                item = records.get((project.pos_id, order))
                if item is not None:
                    self._compare_one(order, item, voids)
                    continue
                done = [each for each in voids if each.status == "success"]
                told = done and any(each.told_at is not None for each in voids)
                ours = told or any(each.attempt_id for each in voids)
                self.never(ours, "lost", f"{order} was voided, and there is no record")

    def _compare_one(self, order: str, item: dict[str, Any], voids: list[Any]) -> None:
        done = [each for each in voids if each.status == "success"]
        state, reason = item["state"]["S"], item.get("reason", {}).get("S")
        if reason in NOTHING_DONE and not any(each.told_at or each.attempt_id for each in done):
            return  # nothing of ours reached the provider, and what was made in the portal nobody announced
        self.never(done and state != "voided", "lost", f"{order} was voided, and its record says {state} ({reason})")
        self.never(state == "voided" and not done, "false", f"{order} is voided in the record alone")
        # What stays open must have been reviewed, and an operator must be able to end it: `_operator`.
        silent = not done and state not in SETTLED and not item["review"]["BOOL"]
        self.never(silent, "lost", f"{order} stays {state}, and no operator was notified")
        live = state == "failed" and not self.sim.config.errs and any(each.live for each in voids)
        self.never(live, "disagreement", f"{order} failed, and a void of it is under way")

    def _lists(self) -> None:
        """What is open or in review is in its list."""
        sim, records = self.sim, self.sim.records().items()
        opened = {key[1] for key, item in records if item["state"]["S"] not in SETTLED}
        reviewed = {key[1] for key, item in records if item["review"]["BOOL"]}
        for state, wanted in (("unsettled", opened), ("review", reviewed)):
            if wanted:
                actor = sim.read(state=state, limit="1")
                sim.finish()
                shown = {each["order_id"] for each in json.loads(actor.result["body"])["voids"]}
                wrong = not shown or not shown <= wanted
                self.never(wrong, "disagreement", f"the list {state} shows {sorted(shown)}, not {sorted(wanted)}")

    def _read(self, order: str) -> dict[str, Any]:
        """The record; empty, if nobody gets it."""
        actor = self.sim.read(order)
        self.sim.finish()
        return json.loads(actor.result["body"]) if actor.result and actor.result["statusCode"] == 200 else {}

    def _operator(self) -> None:
        """An operator ends what evidence cannot; what that must end is counted with its review."""
        sim = self.sim
        for order in sim.orders:
            record = self._read(order)
            if not record or record["state"] in SETTLED:
                continue
            sim.forward(sim.runtime.now + 200_000)
            word = "voided" if self.watch.released(order) is not sim.config.errs else "not-voided"
            self.watch.decided += [each["reason"] for each in record["reviews"]]
            actor = sim.decide(order, word, record["revision"])
            sim.finish()
            status, state = actor.result and actor.result["statusCode"], self._read(order).get("state")
            self.never(status != 200 or state not in SETTLED, "lost", f"an operator cannot end {order}: {status}")
            if sim.config.errs and not self.watch.violations:  # the provider's success is above every word
                self._succeed()
                wrong = self.watch.released(order) and self._read(order).get("state") != "voided"
                text = f"an operator erred about {order}, and the provider's success did not correct it"
                self.never(wrong, "lost", text)

    def _lockout(self) -> None:
        """Where a hold stands, a merchant with a new key gets it released."""
        sim = self.sim
        usual = ("auth", "capture", "void")
        for order in sim.orders if not self.watch.decided and not sim.config.errs else ():
            alone = all(each.method in usual for each in sim.bank.of(sim.project, order))
            if not sim.bank.stands(sim.project, order) or not alone:
                continue
            answers = []
            for number in range(MOST_REQUESTS):
                actor = sim.request(Ask(f"late-{number}", None, order))
                sim.finish()
                answers.append(actor.result["statusCode"] if actor.result else 0)
                if self.watch.released(order) or self.watch.violations:
                    break
                sim.forward(sim.runtime.now + DAY_MS)
                self._settle_all()
            else:
                locked = not self._read(order).get("review")
                self.never(locked, "lost", f"the hold of {order} stands, and nobody can release it: {answers}")
