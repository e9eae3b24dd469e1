"""One schedule: what can happen now, and what happens when it does. A chooser picks; choice 0 is the ordinary course."""

import json
from collections import Counter
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any, Self

import decide
import read_voids
import receive_webhook
import settle_voids
import submit_void
import telemetry
from payments.secret import Secret
from payments.store import Store
from play import webhooks
from play.ledger import EVERY_NAME, Ledger, Operation, Project
from play.words import told
from proof.simulation import aws, line, wire
from proof.simulation.choices import Choice, Delivery, Post, options
from proof.simulation.configurations import Ask, Config
from proof.simulation.rest import AtRest
from proof.simulation.runtime import STEP_MS, Actor, Instance, Runtime
from proof.simulation.watch import Watch
from systems import Systems
from tests.fakes.scene import gateway_event, webhook_event
from tests.fakes.table import Table

MOST_STEPS, MOST_TRIES = 250, 3
POS_IDS = {"test": "dc728de1-51ef-4ef1-80f7-3b44b07b5667", "live": "9f1c2d3e-aaaa-4bbb-8ccc-0123456789ab"}
Choose = Callable[[int], int]
SIGNED = {"Authorization": "AWS4-HMAC-SHA256 Signature=sentinel-signature", "X-Amz-Security-Token": "sentinel-token"}


class Simulation:
    """One schedule of one configuration, from its first step to rest."""

    def __init__(self, config: Config, choose: Choose, trace: bool = False) -> None:
        self.config, self._choose = config, choose
        self.watch = Watch(self)
        self.runtime = Runtime(self._ended, self.watch.escaped)
        self.table = Table()
        self.table.on_write = self.watch.written
        self.projects = [
            Project(pos_id, f"{name}-key", f"sentinel-secret-{name}", f"sentinel-endpoints-{name}")
            for name, pos_id in POS_IDS.items()
        ]
        self.project = self.projects[0]
        self.stages: dict[str, dict[str, str]] = {}
        self.deliveries: list[Delivery] = []
        self.accepted: list[Delivery] = []
        self.posts: list[Post] = []
        self.instances: list[Instance] = []
        self.heard: list[object] = []
        self.left, self.injected = dict(config.may), Counter[str]()
        self.place, self.refreshes, self.quiet, self.changed_at = 0, 0, False, 0
        self.lines: list[str] | None = [] if trace else None
        self.path: list[int] = []
        self.widths: list[int] = []
        self._ids = 0
        self.orders = tuple(dict.fromkeys(ask.order for ask in config.asks))
        self.bank = Ledger(
            lambda: self.runtime.now, lambda kind, number: f"{kind}-{number}", self._changed,
            executes_twice=config.executes_twice, ids={**EVERY_NAME, **config.ids},
        )  # fmt: skip
        for project in self.projects:
            for order in self.orders if not config.without_hold else ():
                self.bank.hold(project, order)
        self._store("AWSCURRENT")
        if config.previous:
            self.new_secret()

    def _store(self, stage: str) -> None:
        each = self.project
        self.stages[stage] = {"pos_id": each.pos_id, "api_key": each.api_key, "api_secret": each.api_secret, "endpoints_key": each.endpoints_key}  # fmt: skip

    def monotonic(self) -> float:
        """The clock of an instance that is frozen between its invocations, in seconds."""
        actor = self.runtime.current
        return (self.runtime.now - (actor.instance.frozen_ms if actor is not None else 0)) / 1000

    # ---- the whole schedule ------------------------------------------------------------------------------------------

    def run(self) -> Self:
        """What it violates is in `watch.violations`."""
        wire.RUNNING.append(self)
        try:
            for _ in range(MOST_STEPS):
                found = options(self)
                if not found or self.watch.violations:
                    break
                choice = self._choose(len(found))
                self.path.append(choice)
                self.widths.append(len(found))
                self.perform(found[choice])
            else:
                self.injected["cut off"] += 1
            if not self.watch.violations:
                AtRest(self).come()
        finally:
            for actor in [each for each in self.runtime.actors if each.parent is None]:
                self.runtime.kill(actor)
            wire.RUNNING.pop()
        return self

    def perform(self, choice: Choice) -> None:
        """Make it happen; what goes wrong is counted and paid for."""
        if self.lines is not None:
            self.lines.append(f"{(self.runtime.now - 1_795_000_000_123) / 1000:12.3f}  {choice.says}")
        if choice.costs is not None:
            self.left[choice.costs] -= 1
            self.injected[choice.says.partition(": ")[2] or choice.says] += 1
        choice.happen()

    # ---- time and turns ----------------------------------------------------------------------------------------------

    def go_on(self, actor: Actor, how: str) -> None:
        """An outside call takes a moment and goes so; if the moment was too long, it has been ended."""
        pauses = actor.pauses
        self.forward(self.runtime.now + STEP_MS)
        if actor.alive and actor.pauses == pauses:
            self.runtime.resume(actor, how)

    def forward(self, to: int) -> None:
        """Time passes. The provider is slow, not dead: a POST lands before its last moment."""
        for post in [each for each in self.posts if each.lands_by < to and not each.actor.alive]:
            self.runtime.forward(post.lands_by, self._out_of_time)
            self.land(post, "success")
        self.runtime.forward(to, self._out_of_time)

    def wait(self) -> None:
        limit = self.runtime.next_limit()
        self.forward(limit if limit is not None else self.runtime.now)

    def _out_of_time(self, actor: Actor) -> None:
        self.watch.never(True, "time", f"{actor.function} ran out of its time at {actor.point}")
        self.die(actor)

    def die(self, actor: Actor) -> None:
        self.runtime.kill(actor)
        self.instances.remove(actor.instance)
        self._over(actor, None)

    def next_due(self) -> int | None:
        """When a settle run has something to do."""
        moments = [int(item["due_at"]["N"]) for item in self.records().values() if "due_at" in item]
        return (max if self.config.together and not self.quiet else min)(moments, default=None)

    def records(self) -> dict[tuple[str, str], dict[str, Any]]:
        """The items that hold a void, by project and order."""
        found = ((pk, item) for (pk, sk), item in self.table.items.items() if sk == "ORDER" and "state" in item)
        return {(pk.partition("#")[0], pk.partition("#")[2]): item for pk, item in found}

    def under_way(self) -> list[Operation]:
        voids = [each for each in self.bank.operations if each.method == "void"]
        return [each for each in voids if each.status not in ("success", "failure")]

    # ---- the provider ------------------------------------------------------------------------------------------------

    def first_byte(self, piece: bytes) -> None:
        if piece.startswith(b"POST"):
            self.watch.sends(self.runtime.actor.invocation)

    def exchange(self, raw: bytes, seconds: float | None) -> bytes | None:
        return line.exchange(self, raw, seconds)

    def land(self, post: Post, name: str) -> bytes | None:
        return line.land(self, post, name)

    def _changed(self, operation: Operation) -> None:
        if operation.method == "void":
            self.deliveries.append(Delivery(operation, operation.status))

    def new_secret(self, *, live: bool = False) -> None:
        """The project's secret is replaced, at the provider and in Secrets Manager; or by that of another project."""
        self._store("AWSPREVIOUS")
        if live:
            self.project = self.projects[1]
        else:
            self.project.rotate(f"sentinel-secret-{self.runtime.now}-{len(self.path)}")
        self._store("AWSCURRENT")
        self.changed_at = self.runtime.now

    # ---- invocations -------------------------------------------------------------------------------------------------

    def _instance(self, function: str) -> Instance:
        for instance in self.instances:
            if instance.function == function and not instance.busy:
                return instance
        instance = Instance(function, self.runtime.now)
        missed = partial(telemetry.count_once, "SecretOutOfReach")
        instance.systems = Systems(
            Store(aws.TableClient(self), "t"), Secret(aws.SecretClient(self), "s", self.secret_clock, missed),
            lambda: self.runtime.now, self._new_id, wire.provider_of(function == "submit"),
        )  # fmt: skip
        self.instances.append(instance)
        return instance

    def secret_clock(self) -> int:
        """The wall clock runs on while an instance is frozen."""
        return self.runtime.now

    def _new_id(self) -> str:
        self._ids += 1
        return f"id-{self._ids}"

    def invoke(self, function: str, work: Callable[[Actor], Any], **about: Any) -> Actor:
        self.injected["runs"] += function == "settle"
        actor = Actor(f"{function} {len(self.path)}", function, self.runtime.now, self._instance(function))
        actor.about = about
        self.runtime.start(actor, lambda: work(actor))
        return actor

    def start_thread(self, name: str, work: Callable[[], Any]) -> Actor:
        parent = self.runtime.actor
        thread = Actor(f"{parent.name}, {name}", "thread", self.runtime.now, parent.instance)
        self.runtime.start(thread, work, parent)
        return thread

    def request(self, ask: Ask | None = None) -> Actor:
        if ask is None:
            ask = self.config.asks[self.place]
            self.place += 1
        body = {"order_id": ask.order, "order_currency": "UAH"} | ({"comment": ask.comment} if ask.comment else {})
        headers = SIGNED | {"Content-Type": "application/json"} | ({"Idempotency-Key": ask.key} if ask.key else {})
        event = gateway_event(json.dumps(body), headers)
        return self.invoke("submit", lambda _: submit_void.handler(event, None), ask=ask, order=ask.order)

    def deliver(self, delivery: Delivery, form: str | None = None) -> Actor:
        if delivery in self.deliveries:
            self.deliveries.remove(delivery)
        delivery.form = form or delivery.form
        fields = told(self.bank, delivery.operation, "webhook", delivery.status)
        data = webhooks.data(fields, delivery.form)
        project = delivery.operation.project
        secret = project.previous_secret if self.config.previous and project.previous_secret else project.api_secret
        signed = webhooks.signed(webhooks.ANOTHER_SECRET if delivery.forged else secret, data)
        event = webhook_event(data, signed["signature"].encode())
        about = {"delivery": delivery, "data": data, "signed": secret, "order": delivery.operation.order}
        return self.invoke("webhook", lambda _: receive_webhook.handler(event, None), **about)

    def settle(self, at: int) -> Actor:
        self.forward(max(self.runtime.now, at))

        def left(actor: Actor) -> Any:
            return SimpleNamespace(get_remaining_time_in_millis=lambda: actor.ends - self.runtime.now)

        return self.invoke("settle", lambda actor: settle_voids.handler({}, left(actor)))

    def read(self, order: str = "", **query: str) -> Actor:
        """Somebody reads an order, or else a list."""
        named = {"order_id": order} if order else None
        event = gateway_event(None, SIGNED, pathParameters=named, queryStringParameters=query or None)
        return self.invoke("read", lambda _: read_voids.handler(event, None), order=order)

    def decide(self, order: str, word: str, revision: str) -> Actor:
        body = json.dumps({"decision": word, "revision": revision, "note": "asked the provider"})
        event = gateway_event(body, SIGNED | {"Content-Type": "application/json"}, pathParameters={"order_id": order})
        return self.invoke("decide", lambda _: decide.handler(event, None), order=order)

    def finish(self) -> None:
        """Without faults, until nobody moves."""
        for _ in range(600):
            if not (found := options(self)) or self.watch.violations:
                return
            self.perform(found[0])

    def _ended(self, actor: Actor) -> None:
        self.heard.append(actor.result)
        self.watch.ended(actor)
        self._over(actor, actor.result)

    def _over(self, actor: Actor, result: Any) -> None:
        delivery = actor.about.get("delivery")
        if delivery is None or delivery.forged:
            return
        if result is not None and result["statusCode"] == 200:
            self.accepted.append(delivery)
            delivery.operation.told_at = delivery.operation.told_at or self.runtime.now
        elif delivery.tries < MOST_TRIES and {delivery.form} <= webhooks.READABLE:
            delivery.tries += 1
            self.deliveries.append(delivery)
