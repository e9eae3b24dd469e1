"""How a schedule ends: settle runs find the truth, an operator decides what evidence cannot, then all is compared."""

import json
from typing import TYPE_CHECKING, Any

from proof.simulation.configurations import Ask

if TYPE_CHECKING:
    from proof.simulation.watch import Watch

DAY_MS, CACHED_MS = 86_400_000, 61_000
MOST_RUNS, MOST_REQUESTS = 40, 8
NOTHING_DONE = ("not-sent", "throttled", "provider-credentials")


class AtRest:
    """The comparison at the end of one schedule."""

    def __init__(self, watch: "Watch") -> None:
        self.watch, self.sim = watch, watch.sim

    def come(self) -> None:
        """Nothing goes wrong any more: settle runs find the truth, an operator decides the rest, all is compared."""
        sim = self.sim
        sim.quiet = True
        sim.finish()
        for operation in [] if sim.config.stuck else sim.under_way():
            sim.bank.resolve(operation, "success")
        sim.finish()
        sim.forward(sim.runtime.now + CACHED_MS)
        self._settle_all()
        for check in (self._compare, self._lists, self._operator, self._lockout):
            if not self.watch.violations:
                check()
        self._secrets()

    def _settle_all(self) -> None:
        """Until nothing is due within nine days."""
        sim, began = self.sim, self.sim.runtime.now
        for _ in range(MOST_RUNS):
            due = sim.next_due()
            if due is None or due > began + 9 * DAY_MS or self.watch.violations:
                return
            sim.settle(due)
            sim.finish()

    def _projects(self) -> list[Any]:
        known = {each["pos_id"] for each in self.sim.stages.values()}
        return [each for each in self.sim.projects if each.pos_id in known]

    def _compare(self) -> None:
        """The records against the ledger."""
        sim, records = self.sim, self.sim.records()
        for project in self._projects():
            for order in sim.orders:
                item = records.get((project.pos_id, order))
                voids = sim.bank.of(project, order, "void")
                done = [each for each in voids if each.status == "success"]
                ours = [each for each in voids if each.attempt_id is not None or each.told_at is not None]
                if item is None:
                    if ours and (done or any(each.attempt_id for each in voids)):
                        self.watch.violation("lost", f"{order} was voided, and there is no record")
                    continue
                state = item["state"]["S"]
                reason = item.get("reason", {}).get("S")
                idle = reason in NOTHING_DONE
                if idle and not any(each.told_at or each.attempt_id for each in done):
                    continue  # nothing of ours reached the provider, and what was made in the portal nobody announced
                if done and state != "voided":
                    self.watch.violation("lost", f"{order} was voided, and its record says {state} ({reason})")
                elif state == "voided" and not done:
                    self.watch.violation("false", f"{order} is voided in the record alone")
                elif state not in ("voided", "failed"):
                    self._open(order, item)
                if state == "failed" and not sim.config.errs and any(each.live for each in voids):
                    self.watch.violation("disagreement", f"{order} failed, and a void of it is under way")

    def _open(self, order: str, item: dict[str, Any]) -> None:
        """What stays open must have been reviewed, and an operator must be able to end it: `_operator`."""
        if not item["review"]["BOOL"]:
            self.watch.violation("lost", f"{order} stays {item['state']['S']}, and no operator was notified")

    def _lists(self) -> None:
        """What is open or in review is in its list."""
        sim = self.sim
        for state, holds in (
            ("unsettled", lambda item: item["state"]["S"] not in ("voided", "failed")),
            ("review", lambda item: item["review"]["BOOL"]),
        ):
            wanted = {key[1] for key, item in sim.records().items() if holds(item)}
            if not wanted:
                continue
            actor = sim.list(state)
            sim.finish()
            shown = {each["order_id"] for each in json.loads(actor.result["body"])["voids"]}
            if not shown or not shown <= wanted:
                self.watch.violation("disagreement", f"the list {state} shows {sorted(shown)}, not {sorted(wanted)}")

    def _read(self, order: str) -> dict[str, Any] | None:
        actor = self.sim.read(order, refresh=False)
        self.sim.finish()
        return json.loads(actor.result["body"]) if actor.result and actor.result["statusCode"] == 200 else None

    def _operator(self) -> None:
        """An operator ends what evidence cannot; what that must end is counted with its review."""
        sim = self.sim
        for order in sim.orders:
            record = self._read(order)
            if record is None or record["state"] in ("voided", "failed"):
                continue
            sim.forward(sim.runtime.now + 200_000)
            truth = "voided" if self.watch.released(order) else "not-voided"
            word = {"voided": "not-voided", "not-voided": "voided"}[truth] if sim.config.errs else truth
            self.watch.decided += [each["reason"] for each in record["reviews"]]
            actor = sim.decide(order, word, record["revision"])
            sim.finish()
            after = self._read(order)
            if (
                actor.result is None
                or actor.result["statusCode"] != 200
                or after is None
                or after["state"] not in ("voided", "failed")
            ):
                self.watch.violation(
                    "lost", f"an operator cannot end {order}: {actor.result and actor.result['statusCode']}"
                )
            elif sim.config.errs:
                self._corrected(order)

    def _corrected(self, order: str) -> None:
        """The provider's success is above every word."""
        sim = self.sim
        for operation in sim.under_way():
            sim.bank.resolve(operation, "success")
        sim.finish()
        after = self._read(order)
        if self.watch.released(order) and (after is None or after["state"] != "voided"):
            self.watch.violation(
                "lost", f"an operator erred about {order}, and the provider's success did not correct it"
            )

    def _lockout(self) -> None:
        """Where a hold stands, a merchant with a new key gets it released."""
        sim = self.sim
        if self.watch.decided or sim.config.errs:
            return
        for order in sim.orders:
            if not sim.bank.stands(sim.project, order) or any(
                each.method not in ("auth", "capture", "void") for each in sim.bank.of(sim.project, order)
            ):
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
                record = self._read(order)
                if record is None or not record["review"]:
                    self.watch.violation("lost", f"the hold of {order} stands, and nobody can release it: {answers}")

    def _secrets(self) -> None:
        """No word that was logged or answered holds what is secret."""
        if "sentinel" in json.dumps(self.sim.heard, default=str) or "sentinel" in json.dumps(
            list(self.sim.table.items.values())
        ):
            self.watch.violation("leak", "a secret, a signature or cardholder data in an answer, a log or the table")
