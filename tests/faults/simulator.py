"""One schedule: the real domain code on a virtual clock, interleaved and harmed at every call of an outside system.

Every actor (a request, a webhook, a settle run, a refresh) is a greenlet that stops before each outside call. A chooser
picks what happens next; choice 0 is always the faultless default, so a schedule is its list of deviations. Never sleeps.
"""

import base64
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ReadTimeoutError
from greenlet import GreenletExit, getcurrent, greenlet

from payments import operations, provider, voids, webhooks
from payments.provider import NotConnected, Provider
from payments.secret import Secret, SecretError
from payments.signatures import Scheme, sign_webhook
from payments.store import Store, StoreError
from payments.voids import Request, Result, Submitted, World
from tests.faults.invariants import Watch
from tests.faults.table import Item, Table, failure

POS, ORDER, URL = "pos-1", "order-1", "https://void.example/v1/webhooks/financial-line"
SECRETS = {"AWSCURRENT": "sentinel-current-secret", "AWSPREVIOUS": "sentinel-previous-secret"}
START = 1_700_000_000_000
FUNCTION_MS, LATENESS_MS, DAY_MS = 20_000, 120_000, 86_400_000
"""What the harness promises the code: a function is dead after 20 s, a POST lands within 120 s of leaving."""
LAG_MS = 5_000
MOST_STEPS = 160


@dataclass(frozen=True)
class Config:
    """What may happen in a schedule; the numbers are budgets."""

    name: str
    requests: tuple[tuple[str | None, str | None], ...] = (("K1", None),)
    executes: bool = False
    outcomes: str = "s"
    """success, pending, failure, refused, missing (404), throttled, credentials, 5 (not executed), 6 (executed), garbage"""
    portal: str = ""
    crash: int = 0
    loss: int = 0
    store: int = 0
    double: int = 0
    forged: int = 0
    previous: bool = False
    lying: bool = False
    blind: int = 0
    """Queries that fail, answer 404 or lag."""
    ticks: int = 0
    runs: int = 3
    refresh: int = 0
    clocks: int = 4
    late: bool = False
    """The next request comes after the clock and the settle runs by default, not before."""
    bounded: bool = True
    lazy: bool = False
    """A POST to which nobody listens any more lands last by default, not first."""
    first: str = ""
    """How the first POST goes by default, if not as the others."""
    secret: int = 0
    skew: int = 0
    """How far the clocks of settle runs and of later requests are ahead."""
    stuck: bool = False
    """What is pending stays so for ever."""


@dataclass(slots=True)
class Operation:
    """One operation in the provider's ledger."""

    number: int
    method: str
    status: str
    attempt_id: str | None
    at: int


@dataclass(slots=True, eq=False)
class Post:
    """A POST on its way."""

    actor: "Actor"
    attempt_id: str | None
    key: str | None
    deadline: int
    executed: bool = False
    landed: bool = False


@dataclass(slots=True, eq=False)
class Delivery:
    """A webhook to be delivered."""

    operation: Operation
    status: str
    tries: int = 0
    forged: bool = False


@dataclass(slots=True, eq=False)
class Actor:
    """One invocation of a function."""

    name: str
    kind: str
    started: int
    run: greenlet | None = None
    point: str = "start"
    index: int = 0
    key: str | None = None
    comment: str | None = None
    attempt_id: str | None = None
    sends: int = 0
    post: Post | None = None
    delivery: Delivery | None = None
    writes: int = 0
    result: Any = None
    error: Exception | None = None
    foreign_key: bool = False


Choose = Callable[[int], int]
Option = tuple[str, Any, Any]


class Simulation:
    """One schedule of one configuration, from its first step to rest."""

    baseline = False
    """Is something else than the void service under test?"""

    def __init__(self, config: Config, choose: Choose, trace: bool = False) -> None:
        self.config, self.choose = config, choose
        self.now = START
        self.table = Table()
        self.table.on_write = self.written
        self.hub = getcurrent()
        self.actors: list[Actor] = []
        self.current: Actor | None = None
        self.ledger: list[Operation] = [Operation(0, "auth", "success", None, START - 60_000)]
        self.posts: list[Post] = []
        self.landed: list[Post] = []
        self.hooks: list[Delivery] = []
        self.accepted: list[Delivery] = []
        self.left = {name: getattr(config, name) for name in (
            "crash", "loss", "store", "double", "forged", "blind", "ticks", "runs", "refresh", "clocks", "secret")}  # fmt: skip
        self.portal = config.portal
        self.next_request = 0
        self.ids = 0
        self.faults: Counter[str] = Counter()
        self.crashes: Counter[str] = Counter()
        self.steps: list[str] | None = [] if trace else None
        self.watch = Watch(self)
        self.quiet = False

    # ---- what the code under test sees -------------------------------------------------------------------------------

    def clock(self) -> int:
        return self.now

    def new_id(self) -> str:
        self.ids += 1
        return f"id-{self.ids}"

    def monotonic(self) -> float:
        return self.now / 1000

    def world(self, skew: int = 0) -> World:
        skew = 0 if self.quiet else skew
        sim_provider = object.__new__(SimProvider)
        sim_provider._scheme, sim_provider.sim = Scheme.PLAIN, self
        return World(Store(_Client(self), "t"), self.secret(), sim_provider, URL, lambda: self.now + skew, self.new_id)  # type: ignore[arg-type]

    def secret(self) -> Secret:
        return Secret(_Secrets(self), "s", self.monotonic)  # type: ignore[arg-type]

    def pause(self, point: str) -> str:
        """Called by an actor before an outside call: stop, and learn how the call goes."""
        actor = self.current
        assert actor is not None
        actor.point = point
        return str(self.hub.switch())

    def written(self, old: Item | None, new: Item) -> None:
        actor = self.current
        if actor is not None:
            actor.writes += 1
            if actor.kind == "request" and new["sk"]["S"] == "VOID":
                # The intent is this actor's if it was not in the record before.
                attempt_id = new.get("attempt_id", {}).get("S")
                if attempt_id is not None and (old is None or old.get("attempt_id", {}).get("S") != attempt_id):
                    actor.attempt_id = attempt_id
        self.watch.on_write(old, new)

    # ---- actors ------------------------------------------------------------------------------------------------------

    def start(self, kind: str, work: Callable[[], Any], **more: Any) -> Actor:
        actor = Actor(f"{kind} {sum(a.kind == kind for a in self.watch.all) + 1}", kind, self.now, **more)
        self.watch.all.append(actor)

        def body() -> None:
            try:
                actor.result = work()
            except (StoreError, SecretError) as error:
                actor.error = error
            except GreenletExit:
                actor.point = "dead"
                raise
            except Exception as error:  # noqa: BLE001 whatever escapes the domain is a finding
                self.watch.violation(f"I13 {type(error).__name__} escaped from {actor.name}: {error}")
                actor.error = error

        actor.run = greenlet(body)
        self.actors.append(actor)
        self.resume(actor, None)
        return actor

    def resume(self, actor: Actor, value: str | None) -> None:
        self.current = actor
        assert actor.run is not None
        actor.run.switch(value) if value is not None else actor.run.switch()
        self.current = None
        if actor.run.dead:
            self.actors.remove(actor)
            self.ended(actor)

    def kill(self, actor: Actor, point: str) -> None:
        self.crashes[point] += 1
        if actor.post is not None and actor.post in self.posts:
            actor.post = None
        self.current = None
        assert actor.run is not None
        actor.run.throw(GreenletExit)
        self.actors.remove(actor)
        if actor.delivery is not None:
            self.again(actor.delivery)

    def ended(self, actor: Actor) -> None:
        self.watch.on_end(actor)
        if actor.delivery is not None:
            if actor.error is not None:
                self.again(actor.delivery)
            elif not actor.delivery.forged:
                self.accepted.append(actor.delivery)

    def again(self, delivery: Delivery) -> None:
        delivery.tries += 1
        if delivery.tries < 3 and not delivery.forged:
            self.hooks.append(delivery)

    def request(self) -> None:
        key, comment = self.config.requests[self.next_request]
        index = self.next_request
        self.next_request += 1
        foreign = self.watch.key_taken(key, comment)
        request = Request(ORDER, "UAH", comment, key, "role")
        world = self.world(self.config.skew if index else 0)
        self.start(
            "request", lambda: voids.submit(world, request), index=index, key=key, comment=comment, foreign_key=foreign
        )

    def deliver(self, delivery: Delivery) -> None:
        data = self.data(delivery)
        stage = "AWSPREVIOUS" if self.config.previous else "AWSCURRENT"
        signature = sign_webhook("forged" if delivery.forged else SECRETS[stage], data)
        inbox = webhooks.Inbox(Store(_Client(self), "t"), self.secret(), self.clock, self.new_id)  # type: ignore[arg-type]
        self.start("webhook", lambda: webhooks.receive(inbox, data, signature), delivery=delivery)

    def data(self, delivery: Delivery) -> bytes:
        body = self.body(delivery.operation, delivery.status)
        return base64.urlsafe_b64encode(json.dumps(body, separators=(",", ":")).encode())

    def settle(self) -> None:
        world = self.world(self.config.skew)
        self.start("settle", lambda: voids.settle(world, self.now + 60_000))

    def refresh(self) -> None:
        world = self.world()

        def work() -> object:
            void = world.store.load(POS, ORDER)
            return voids.refresh(world, void) if void is not None else None

        self.start("refresh", work)

    # ---- the provider ------------------------------------------------------------------------------------------------

    def body(self, operation: Operation, status: str | None = None) -> Item:
        return {
            "operation_id": f"op-{operation.number}", "payment_id": "pay-1", "order_id": ORDER,
            "transaction_id": f"tx-{operation.number}", "pos_id": POS, "mode": "direct", "method": operation.method,
            "amount": 100, "currency": "UAH", "status": status or operation.status, "status_code": "1009",
        }  # fmt: skip

    def live(self) -> bool:
        return any(o.method == "void" and o.status in ("success", "pending") for o in self.ledger)

    def captured(self) -> bool:
        return any(o.method == "capture" for o in self.ledger)

    def operate(self, method: str, status: str, attempt_id: str | None) -> Operation:
        operation = Operation(len(self.ledger), method, status, attempt_id, self.now)
        self.ledger.append(operation)
        if method == "void":
            self.watch.on_ledger()
            self.announce(operation)
        return operation

    def announce(self, operation: Operation) -> None:
        if self.config.lying and operation.status == "success":
            self.hooks.append(Delivery(operation, "failure"))
        self.hooks.append(Delivery(operation, operation.status))

    def land(self, post: Post, outcome: str, heard: bool) -> None:
        """A POST reaches the provider; `heard`: its answer reaches us."""
        self.posts.remove(post)
        post.landed = True
        self.landed.append(post)
        answer: tuple[int, object] | None
        if self.captured() or (self.live() and not self.config.executes):
            answer = (400, {"message": "refused", "args": {"code": "P-409"}})
        elif outcome in "spf6g":
            status = {"p": "pending", "f": "failure"}.get(outcome, "success")
            post.executed = status != "failure"
            operation = self.operate("void", status, post.attempt_id)
            answer = {"6": (500, None), "g": (200, "garbage")}.get(outcome, (200, self.body(operation)))
        else:
            answer = {
                "r": (400, {"message": "refused", "args": {"code": "P-400"}}), "m": (404, {"message": "no order"}),
                "t": (429, None), "c": (401, {"message": "who", "args": {"code": "S-403"}}), "5": (500, None),
            }[outcome]  # fmt: skip
        if post.actor.post is post:
            post.actor.post = None
            self.resume(post.actor, "ok" if not heard else json.dumps(answer))

    def exchange(self, method: str) -> "provider._Raw | None":
        actor = self.current
        assert actor is not None
        if method == "POST":
            actor.sends += 1
            post = Post(actor, actor.attempt_id, actor.key, self.now + LATENESS_MS)
            self.watch.on_send(actor)
            self.posts.append(post)
            actor.post = post
            answer = self.pause("answer")
            if answer[0] != "[":
                return None
            status, body = json.loads(answer)
            return provider._Raw(status, b"<html>" if body == "garbage" else json.dumps(body).encode() if body else b"")
        how = self.pause("query")
        if how == "lost":
            return None
        if how == "missing":
            return provider._Raw(404, b'{"message": "no order"}')
        newest = self.now - LAG_MS if how == "stale" else self.now
        seen = [self.body(o) for o in self.ledger if o.at <= newest]
        return provider._Raw(200, json.dumps(seen).encode())

    # ---- the scheduler -----------------------------------------------------------------------------------------------

    def options(self, faults: bool) -> list[Option]:
        """What can happen now: first what happens by default, then the other orders, then the faults."""
        config, left = self.config, self.left
        out: list[Option] = [("go", actor, "ok") for actor in reversed(self.actors) if actor.point != "answer"]
        taken = config.first if config.first and not self.landed else config.outcomes[0]
        lazy = [post for post in self.posts if config.lazy and post.actor.post is not post]
        out += [("land", post, (taken, True)) for post in self.posts if post not in lazy]
        hooks: list[Option] = [("deliver", hook, None) for hook in self.hooks]
        ask: list[Option] = [("request", None, None)] if self.next_request < len(config.requests) else []
        pending: list[Option] = [
            ("resolve", o, "success")
            for o in self.ledger
            if o.method == "void" and o.status == "pending" and not config.stuck
        ]
        later: list[Option] = []
        if left["runs"] and self.due() and not self.busy("settle", 2):
            later.append(("settle", None, None))
        edge = self.edge()
        if edge and left["clocks"]:
            later.append(("clock", edge, None))
        if config.late and self.next_request:
            out += hooks + pending + later + ask
        else:
            out += hooks + ask + pending + later
        out += [("land", post, (taken, True)) for post in lazy]
        if not out or not faults:
            return out
        return out + self._faults(pending, taken)

    def _faults(self, pending: list[Option], taken: str) -> list[Option]:
        config, left = self.config, self.left
        out: list[Option] = []
        for post in self.posts:
            listening = post.actor.post is post
            out += [("land", post, (o, True)) for o in config.outcomes if o != taken and (listening or o in "spf")]
            if left["loss"]:
                if listening:
                    out += [("land", post, (o, False)) for o in config.outcomes if o in "spf"]
                out.append(("lose", post, None))
        out += [("resolve", o, "failure") for _, o, _ in pending]
        if left["loss"]:
            out += [("time-out", post.actor, None) for post in self.posts if post.actor.post is post]
            out += [("drop", hook, None) for hook in self.hooks]
        if left["double"]:
            out += [("double", hook, None) for hook in self.accepted]
        if left["forged"]:
            out.append(("forge", None, None))
        for actor in self.actors:
            point = actor.point
            if point == "secret":
                if left["secret"]:
                    out.append(("go", actor, "throttled"))
            elif point == "connect":
                if left["loss"]:
                    out.append(("go", actor, "refused"))
            elif point == "query":
                if left["blind"]:
                    out += [("go", actor, how) for how in ("lost", "missing", "stale")]
            elif point != "answer" and left["store"]:
                hows = ("throttled",) if point in ("get", "query table") else ("throttled", "lost", "repeated")
                out += [("go", actor, how) for how in hows]
                if point == "query table":
                    out.append(("go", actor, "stale"))
            if left["crash"]:
                out.append(("crash", actor, None))
        if self.portal and not self.live() and not self.captured():
            out += [("portal", letter, None) for letter in self.portal]
        if left["ticks"] and self.actors:
            out.append(("tick", None, None))
        if left["refresh"] and not self.busy("refresh", 1):
            out.append(("refresh", None, None))
        return out

    def busy(self, kind: str, most: int) -> bool:
        return sum(actor.kind == kind for actor in self.actors) >= most

    def record(self) -> Item | None:
        return self.table.items.get((POS + "#" + ORDER, "VOID"))

    def due(self) -> bool:
        item = self.record()
        return item is not None and "due_at" in item and int(item["due_at"]["N"]) <= self.now

    def edge(self) -> int:
        """The next moment that means something to the record; 0: none, or it may not come yet."""
        item = self.record()
        if self.baseline:
            edge = self.now + FUNCTION_MS + 1
            return 0 if any(post.deadline < edge for post in self.posts) else edge
        if item is None or item.get("requested_at", {}).get("S") is None or "due_at" not in item:
            return 0
        lease, settle = int(item["lease_until"]["N"]), int(item["settle_until"]["N"])
        day = lease - operations.LEASE_MS + DAY_MS
        after = [at for at in (lease, settle, int(item["due_at"]["N"]), day) if at > self.now]
        if not after:
            return 0
        edge = min(after)
        # The provider is slow, not dead: within the settle window a POST lands or is lost.
        if self.config.bounded and any(post.deadline < edge for post in self.posts):
            return 0
        return edge

    def forward(self, to: int) -> None:
        self.now = to
        for actor in [actor for actor in self.actors if self.now - actor.started > FUNCTION_MS]:
            self.faults["function timed out"] += 1
            self.kill(actor, f"{actor.kind} timed out at {actor.point}")

    def perform(self, option: Option) -> None:
        what, target, how = option
        left = self.left
        if self.steps is not None:
            self.steps.append(self.describe(option))
        match what:
            case "go":
                if how != "ok":
                    budget = {"secret": "secret", "connect": "loss", "query": "blind"}.get(target.point, "store")
                    left[budget] -= 1
                    self.faults[f"{target.point}: {how}"] += 1
                self.resume(target, how)
            case "land":
                outcome, heard = how
                if not heard:
                    left["loss"] -= 1
                    self.faults["answer lost"] += 1
                elif outcome != "s":
                    self.faults[f"provider: {outcome}"] += 1
                if target.actor.post is not target:
                    self.faults["late POST"] += 1
                self.land(target, outcome, heard)
            case "lose":
                left["loss"] -= 1
                self.faults["POST lost"] += 1
                self.posts.remove(target)
                if target.actor.post is target:
                    target.actor.post = None
                    self.resume(target.actor, "ok")
            case "time-out":
                left["loss"] -= 1
                self.faults["time-out"] += 1
                target.post = None
                self.resume(target, "ok")
            case "deliver":
                self.hooks.remove(target)
                self.deliver(target)
            case "drop":
                left["loss"] -= 1
                self.faults["webhook lost"] += 1
                self.hooks.remove(target)
            case "double":
                left["double"] -= 1
                self.faults["webhook doubled"] += 1
                self.hooks.append(Delivery(target.operation, target.status))
            case "forge":
                left["forged"] -= 1
                self.faults["webhook forged"] += 1
                self.deliver(Delivery(Operation(99, "void", "success", None, self.now), "success", forged=True))
            case "request":
                self.request()
            case "resolve":
                target.status, target.at = how, self.now
                if how == "failure":
                    self.faults["pending, then failure"] += 1
                self.watch.on_ledger()
                self.announce(target)
            case "settle":
                left["runs"] -= 1
                self.settle()
            case "refresh":
                left["refresh"] -= 1
                self.refresh()
            case "clock":
                left["clocks"] -= 1
                self.forward(target)
            case "tick":
                left["ticks"] -= 1
                self.faults["slow"] += 1
                self.forward(self.now + 5_500)
            case "crash":
                left["crash"] -= 1
                self.faults["crash"] += 1
                self.kill(target, f"{target.kind} before {target.point}")
            case "portal":
                self.portal = ""
                self.faults["portal"] += 1
                if target == "c":
                    self.operate("capture", "success", None)
                else:
                    self.operate("void", {"v": "success", "p": "pending", "f": "failure"}[target], None)

    def describe(self, option: Option) -> str:
        what, target, how = option
        match what:
            case "go":
                return f"{target.name}: {target.point}" + ("" if how == "ok" else f" ({how})")
            case "land":
                how = f"{how[0]}{'' if how[1] else ', the answer is lost'}"
                return f"POST of {target.actor.name} reaches the provider: {how}"
            case "lose":
                return f"POST of {target.actor.name} is lost"
            case "time-out" | "crash":
                return f"{target.name}: {what} at {target.point}"
            case "deliver" | "drop" | "double":
                return f"webhook {target.status} of operation {target.operation.number}: {what}"
            case "resolve":
                return f"operation {target.number}: pending, then {how}"
            case "clock":
                return f"clock: +{target - self.now} ms"
            case _:
                return what + (f" {target}" if target is not None else "")

    def run(self) -> None:
        """The whole schedule. What it violates is in `watch.violations`."""
        for _ in range(MOST_STEPS):
            options = self.options(True)
            if not options:
                break
            self.perform(options[self.choose(len(options))])
            if self.watch.violations:
                self.stop()
                return
        self.rest()
        self.stop()

    def stop(self) -> None:
        for actor in list(self.actors):
            self.kill(actor, "end")
        self.crashes.pop("end", None)

    def finish(self) -> None:
        """Without faults and without new requests, until nobody moves."""
        for _ in range(MOST_STEPS):
            options = [o for o in self.options(False) if o[0] in ("go", "land", "deliver")]
            if not options or self.watch.violations:
                return
            self.perform(options[0])

    def rest(self) -> None:
        """Faults off: settle runs alone must bring the record to the truth."""
        self.quiet = True
        if self.steps is not None:
            self.steps.append("-- at rest --")
        self.finish()
        for operation in self.ledger:
            if operation.method == "void" and operation.status == "pending" and not self.config.stuck:
                operation.status, operation.at = "success", self.now
        self.watch.on_ledger()
        self.now += LAG_MS + 1
        for _ in range(24):
            item = self.record()
            if item is None or "due_at" not in item or self.watch.violations:
                break
            self.now = max(self.now, int(item["due_at"]["N"]))
            self.settle()
            self.finish()
            self.watch.asked()
            if item.get("requested_at", {}).get("S") and self.now > int(item["lease_until"]["N"]) + 2 * DAY_MS:
                break
        if not self.watch.violations:
            self.watch.at_rest()
        if not self.watch.violations and not self.baseline:
            for again in (False, True):
                before = self.record()
                for delivery in self.accepted[:]:
                    self.deliver(delivery)
                    self.finish()
                if again:
                    self.watch.repeated(before, self.record())


@dataclass(slots=True)
class _Client:
    """The DynamoDB client: each call is a moment at which anything may happen."""

    sim: Simulation

    def get_item(self, **arguments: Any) -> Item:
        return self._read("get", self.sim.table.get_item, arguments)

    def query(self, **arguments: Any) -> Item:
        how = self.sim.pause("query table")
        if how == "throttled":
            raise failure("ProvisionedThroughputExceededException", "Query")
        return self.sim.table.query(**arguments, lagging=how == "stale")

    def put_item(self, **arguments: Any) -> Item:
        what = "put event" if arguments["Item"]["sk"]["S"] != "VOID" else "put void"
        return self._write(what, self.sim.table.put_item, arguments)

    def update_item(self, **arguments: Any) -> Item:
        return self._write("update", self.sim.table.update_item, arguments)

    def delete_item(self, **arguments: Any) -> Item:
        return self._write("delete", self.sim.table.delete_item, arguments)

    def transact_write_items(self, **arguments: Any) -> Item:
        how = self.sim.pause("transaction")
        if how == "throttled":
            raise failure("ThrottlingException", "TransactWriteItems")
        # A repetition with the same token is answered with the first one's success.
        self.sim.table.transact_write_items(**arguments)
        if how == "lost":
            raise ReadTimeoutError(endpoint_url="table")
        return {}

    def _read(self, point: str, call: Callable[..., Item], arguments: Item) -> Item:
        if self.sim.pause(point) == "throttled":
            raise failure("ProvisionedThroughputExceededException", point)
        return call(**arguments)

    def _write(self, point: str, call: Callable[..., Item], arguments: Item) -> Item:
        how = self.sim.pause(point)
        if how == "throttled":
            raise failure("ProvisionedThroughputExceededException", point)
        answer = call(**arguments)
        if how == "lost":
            raise ReadTimeoutError(endpoint_url="table")
        if how == "repeated":
            # The SDK repeats a write whose answer was lost: it meets its own item.
            return call(**arguments)
        return answer


@dataclass(slots=True)
class _Secrets:
    sim: Simulation

    def get_secret_value(self, VersionStage: str, **_: object) -> Item:
        if self.sim.config.secret and self.sim.pause("secret") == "throttled":
            raise failure("ThrottlingException", "GetSecretValue")
        # Rotated with `previous`: webhooks are still signed with the old one.
        value = {"pos_id": POS, "api_key": "key", "api_secret": SECRETS[VersionStage], "endpoints_key": "endpoints"}
        return {"SecretString": json.dumps(value)}


@dataclass(slots=True)
class _Connection:
    sim: Simulation

    def close(self) -> None:
        """Nothing to give up."""


@dataclass(slots=True)
class _Handshake:
    sim: Simulation

    def take(self) -> _Connection:
        if self.sim.pause("connect") == "refused":
            raise NotConnected("refused")
        return _Connection(self.sim)

    def close(self) -> None:
        """Nothing to give up."""


class SimProvider(Provider):
    """The real client above the socket: signing, serialising and reading answers are the shipped code."""

    sim: Simulation

    def begin(self) -> Any:
        return _Handshake(self.sim)

    def _connect(self) -> Any:
        return _Connection(self.sim)


class InlineWorkers:
    """Threads would escape the scheduler: a settle run asks one after the other here."""

    def __init__(self, *_: object, **__: object) -> None:
        pass

    def __enter__(self) -> "InlineWorkers":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    map = staticmethod(map)


def exchange(connection: Any, method: str, *_: object) -> "provider._Raw | None":
    """Stands in for the socket."""
    return connection.sim.exchange(method)  # type: ignore[no-any-return]


class _Time:
    """The provider file measures its own wall time; here no time passes during a call."""

    @staticmethod
    def monotonic() -> float:
        return 0.0


@dataclass(slots=True)
class Outcome:
    """What a schedule showed."""

    violations: list[str]
    choices: list[int]
    widths: list[int]
    simulation: Simulation
    faults: Counter[str] = field(default_factory=Counter)


def install() -> None:
    """Put the virtual socket, clock and workers in place of the real ones, for this process."""
    provider._exchange = exchange
    provider.time = _Time  # type: ignore[assignment]
    voids.ThreadPoolExecutor = InlineWorkers  # type: ignore[assignment,misc]


def uninstall(saved: tuple[Any, Any, Any]) -> None:
    """Put the real ones back."""
    provider._exchange, provider.time, voids.ThreadPoolExecutor = saved  # type: ignore[misc]


def installed() -> tuple[Any, Any, Any]:
    """What `uninstall` takes."""
    return provider._exchange, provider.time, voids.ThreadPoolExecutor


__all__ = ["Actor", "Config", "Outcome", "Result", "Simulation", "Submitted"]
