"""One schedule: the real handlers on a virtual clock, interleaved and harmed at every call of an outside system.

Every actor (a request, a webhook, a settle run, a refresh) is one invocation of a shipped handler with a real event: a
greenlet that stops before each outside call. A chooser
picks what happens next; choice 0 is always the faultless default, so a schedule is its list of deviations. Never sleeps.
"""

import base64
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from typing import Any

from botocore.exceptions import ReadTimeoutError
from greenlet import GreenletExit, getcurrent, greenlet

import read_voids
import receive_webhook
import settle_voids
import submit_void
from payments import operations, provider, voids
from payments.provider import NotConnected, Provider
from payments.secret import Secret, SecretError
from payments.signatures import Scheme, sign_webhook
from payments.store import Store, StoreError
from payments.voids import World
from payments.webhooks import Inbox
from tests.faults import gateway
from tests.faults.invariants import Watch
from tests.faults.table import Item, Table, failure

POS, ORDER, URL = "pos-1", "order-1", "https://void.example/v1/webhooks/financial-line"
SECOND, STRANGER, CURRENCY = "order-2", "order-9", "UAH"
"""Another order of ours, one that we never heard of, and the currency of every hold."""
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
    requests: tuple[tuple[str | None, ...], ...] = (("K1", None),)
    """Key and comment; currency and order where they are not the usual ones."""
    executes: bool = False
    outcomes: str = "s"
    """success, pending, failure, refused, missing (404), throttled, credentials, 5 (not executed), 6 (executed), garbage, x (executed
    in another currency), o (another order's success, nothing executed)"""
    portal: str = ""
    """What somebody does without us: void, pending or failed void, capture, another order's void, another project's."""
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
    foreign: bool = False
    """Queries may answer with another order's success."""
    permute: bool = False
    """First the requests, then their webhooks: once or twice each, one after the other, in every order."""


@dataclass(slots=True)
class Operation:
    """One operation in the provider's ledger."""

    number: int
    method: str
    status: str
    attempt_id: str | None
    at: int
    order: str = ORDER
    currency: str = CURRENCY
    pos: str = POS


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
    order: str = ORDER
    currency: str = CURRENCY
    systems: World | Inbox | None = None
    hurt: bool = False
    """A fault was injected into one of its calls."""
    unanswered: bool = False
    """The table did not answer its last call."""
    logged: str | None = None
    """The attempt that its log names."""


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
        self.orders = tuple(dict.fromkeys((ORDER, *(ask[3] or ORDER for ask in config.requests if len(ask) > 3))))
        self.ledger: list[Operation] = [
            Operation(number, "auth", "success", None, START - 60_000, order)
            for number, order in enumerate(self.orders)
        ]
        self.posts: list[Post] = []
        self.landed: list[Post] = []
        self.hooks: list[Delivery] = [Delivery(self.ledger[0], "success")] if config.permute else []
        self.path: list[int] = []
        """The choices so far; with `permute`, those before the first webhook."""
        self.scripted = False
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
        self.heard: list[object] = []
        """Every log line, metric, answer and exception text."""
        self.signatures: set[str] = set()
        self.ends: list[object] = []

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
        how = str(self.hub.switch())
        actor.hurt = actor.hurt or how in FAULTS
        return how

    def keep(self, message: str, more: dict[str, Any]) -> None:
        """A log line or the metrics of an invocation."""
        self.heard.append((message, more))
        actor = self.current
        if actor is None:
            return
        if message == "unexpected error":
            self.watch.violation(f"I13 {more.get('error')} escaped inside a {actor.kind} at {more.get('place')}")
        elif message == "void requested":
            actor.logged = more.get("attempt_id")

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
                self.heard.append(str(error))
            except GreenletExit:
                actor.point = "dead"
                raise
            except Exception as error:  # noqa: BLE001 whatever escapes the domain is a finding
                self.watch.violation(f"I13 {type(error).__name__} escaped from {actor.name}: {error}")
                actor.error = error
                self.heard.append(str(error))

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
        if actor.result is not None:
            self.heard.append(actor.result)
        self.watch.on_end(actor)
        if actor.delivery is not None:
            if actor.result is None or actor.result["statusCode"] != 200:
                self.again(actor.delivery)
            elif not actor.delivery.forged:
                self.accepted.append(actor.delivery)

    def again(self, delivery: Delivery) -> None:
        delivery.tries += 1
        if delivery.tries < 3 and not delivery.forged:
            self.hooks.append(delivery)

    def request(self) -> None:
        ask = self.config.requests[self.next_request]
        key, comment, currency, order = *ask, *(CURRENCY, ORDER)[len(ask) - 2 :]
        assert currency is not None
        assert order is not None
        index = self.next_request
        self.next_request += 1
        event = gateway.void_event(key, order, currency, comment)
        self.start(
            "request", lambda: submit_void.handler(event, None), index=index, key=key, comment=comment, order=order,
            currency=currency, foreign_key=self.watch.key_taken(order, key, comment, currency),
            systems=self.world(self.config.skew if index else 0),
        )  # fmt: skip

    def deliver(self, delivery: Delivery) -> None:
        data = self.data(delivery)
        stage = "AWSPREVIOUS" if self.config.previous else "AWSCURRENT"
        signature = sign_webhook("forged" if delivery.forged else SECRETS[stage], data)
        self.signatures.add(signature.decode())
        inbox = Inbox(Store(_Client(self), "t"), self.secret(), self.clock, self.new_id)  # type: ignore[arg-type]
        event = gateway.provider_event(data, signature)
        self.start("webhook", lambda: receive_webhook.handler(event, None), delivery=delivery, systems=inbox)

    def data(self, delivery: Delivery) -> bytes:
        body = self.body(delivery.operation, delivery.status)
        return base64.urlsafe_b64encode(json.dumps(body, separators=(",", ":")).encode())

    def settle(self) -> None:
        context = gateway.Context(60_000 + settle_voids.LAST_QUESTION_MS)
        self.start("settle", lambda: settle_voids.handler({}, context), systems=self.world(self.config.skew))

    def refresh(self) -> None:
        event = gateway.read_event(ORDER)
        self.start("refresh", lambda: read_voids.handler(event, None), systems=self.world())

    # ---- the provider ------------------------------------------------------------------------------------------------

    def body(self, operation: Operation, status: str | None = None) -> Item:
        return {
            "operation_id": f"op-{operation.number}", "payment_id": "pay-1", "order_id": operation.order,
            "transaction_id": f"tx-{operation.number}", "pos_id": operation.pos, "mode": "direct",
            "method": operation.method, "amount": 100, "currency": operation.currency, "status": status or operation.status, "status_code": "1009",
        }  # fmt: skip

    def of(self, order: str) -> list[Operation]:
        return [operation for operation in self.ledger if operation.order == order]

    def live(self, order: str = ORDER) -> bool:
        return any(o.method == "void" and o.status in ("success", "pending") for o in self.of(order))

    def captured(self, order: str = ORDER) -> bool:
        return any(o.method == "capture" for o in self.of(order))

    def operate(
        self, method: str, status: str, attempt_id: str | None, order: str = ORDER, currency: str = CURRENCY
    ) -> Operation:
        operation = Operation(len(self.ledger), method, status, attempt_id, self.now, order, currency)
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
        order = post.actor.order
        wrong = post.actor.currency != CURRENCY
        if wrong or self.captured(order) or (self.live(order) and not self.config.executes):
            answer = (400, {"message": "refused", "args": {"code": "P-409"}})
        elif outcome in "spf6gx":
            status = {"p": "pending", "f": "failure"}.get(outcome, "success")
            post.executed = status != "failure"
            operation = self.operate("void", status, post.attempt_id, order, "USD" if outcome == "x" else CURRENCY)
            answer = {"6": (500, None), "g": (200, "garbage")}.get(outcome, (200, self.body(operation)))
        elif outcome == "o":
            answer = (200, self.body(self.stranger()))
        else:
            answer = {
                "r": (400, {"message": "refused", "args": {"code": "P-400"}}), "m": (404, {"message": "no order"}),
                "t": (429, None), "c": (401, {"message": "who", "args": {"code": "S-403"}}), "5": (500, None),
            }[outcome]  # fmt: skip
        if post.actor.post is post:
            post.actor.post = None
            self.resume(post.actor, "ok" if not heard else json.dumps(answer))

    def stranger(self) -> Operation:
        """Another order's success."""
        return Operation(98, "void", "success", None, self.now, STRANGER)

    def exchange(self, method: str, path: str) -> "provider._Raw | None":
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
        seen = [self.body(o) for o in self.ledger if o.at <= newest and path.endswith(gateway.path_of(o.order))]
        if how == "foreign":
            seen.append(self.body(self.stranger()))
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
        edge = self.edge() if left["clocks"] else 0
        if edge:
            later.append(("clock", edge, None))
        if config.permute:
            return self._permuted(out + ask + pending, pending, taken, faults)
        if config.late and self.next_request:
            out += hooks + pending + later + ask
        else:
            out += hooks + ask + pending + later
        out += [("land", post, (taken, True)) for post in lazy]
        if not out or not faults:
            return out
        return out + self._faults(pending, taken)

    def _permuted(self, out: list[Option], pending: list[Option], taken: str, faults: bool) -> list[Option]:
        """Everything but the webhooks; then how often each comes; then each order of them."""
        if out and not self.scripted:
            return out + [o for o in self._faults(pending, taken) if o[0] != "drop"] if faults else out
        if not out and self.hooks and not self.scripted:
            return [("copies", counts, None) for counts in product((1, 2), repeat=len(self.hooks))]
        return out or [
            ("deliver", hook, None) for hook in {(h.operation.number, h.status): h for h in self.hooks}.values()
        ]

    def _faults(self, pending: list[Option], taken: str) -> list[Option]:
        config, left = self.config, self.left
        out: list[Option] = []
        for post in self.posts:
            listening = post.actor.post is post
            out += [("land", post, (o, True)) for o in config.outcomes if o != taken and (listening or o in "spfx")]
            if left["loss"]:
                if listening:
                    out += [("land", post, (o, False)) for o in config.outcomes if o in "spfx"]
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
                    if config.foreign:
                        out.append(("go", actor, "foreign"))
            elif point != "answer" and left["store"]:
                hows = (
                    ("throttled",) if point in ("get", "timeline", "query table") else ("throttled", "lost", "repeated")
                )
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

    def record(self, order: str = ORDER) -> Item | None:
        return self.table.items.get((POS + "#" + order, "VOID"))

    def open(self) -> list[Item]:
        """The records in the sparse index."""
        found = (self.record(order) for order in self.orders)
        return [item for item in found if item is not None and "due_at" in item]

    def due(self) -> bool:
        return any(int(item["due_at"]["N"]) <= self.now for item in self.open())

    def edge(self) -> int:
        """The next moment that means something to a record; 0: none, or it may not come yet."""
        if self.baseline:
            edge = self.now + FUNCTION_MS + 1
            return 0 if any(post.deadline < edge for post in self.posts) else edge
        after: list[int] = []
        for item in self.open():
            if item.get("requested_at", {}).get("S") is None:
                continue
            lease, settle = int(item["lease_until"]["N"]), int(item["settle_until"]["N"])
            day = lease - operations.LEASE_MS + DAY_MS
            after += [at for at in (lease, settle, int(item["due_at"]["N"]), day) if at > self.now]
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
            case "copies":
                self.scripted = True
                self.hooks = [
                    Delivery(hook.operation, hook.status)
                    for hook, count in zip(self.hooks, target, strict=True)
                    for _ in range(count)
                ]
            case "crash":
                left["crash"] -= 1
                self.faults["crash"] += 1
                self.kill(target, f"{target.kind} before {target.point}")
            case "portal":
                self.portal = ""
                self.faults["portal"] += 1
                if target == "c":
                    self.operate("capture", "success", None)
                elif target == "o":
                    self.operate("void", "success", None, SECOND)
                elif target == "q":
                    other = Operation(97, "void", "success", None, self.now, pos="pos-2")
                    self.hooks.append(Delivery(other, "success"))
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
        global _running
        before, _running = _running, self
        try:
            self._run()
        finally:
            _running = before

    def _run(self) -> None:
        for _ in range(MOST_STEPS):
            options = self.options(True)
            if not options:
                break
            choice = self.choose(len(options))
            if not self.scripted and options[0][0] != "copies":
                self.path.append(choice)
            self.perform(options[choice])
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

    def end(self) -> None:
        """With `permute`: what the records hold now. Neither times nor versions."""
        if not self.config.permute:
            return
        for order in self.orders:
            item = self.record(order)
            shown = {name: item.get(name) for name in LASTING} if item is not None else None
            self.ends.append((shown, sum(sk.startswith("EVENT#") for _, sk in self.table.items)))

    def rest(self) -> None:
        """Faults off: settle runs alone must bring the record to the truth."""
        self.quiet = True
        self.end()
        if self.steps is not None:
            self.steps.append("-- at rest --")
        self.finish()
        for operation in self.ledger:
            if operation.method == "void" and operation.status == "pending" and not self.config.stuck:
                operation.status, operation.at = "success", self.now
        self.watch.on_ledger()
        self.now += LAG_MS + 1
        for _ in range(24 * len(self.orders)):
            items = self.open()
            if not items or self.watch.violations:
                break
            self.now = max(self.now, min(int(item["due_at"]["N"]) for item in items))
            self.settle()
            self.finish()
            self.watch.asked()
            if all(
                item.get("requested_at", {}).get("S") and self.now > int(item["lease_until"]["N"]) + 2 * DAY_MS
                for item in items
            ):
                break
        self.end()
        if not self.watch.violations:
            self.watch.at_rest()
        if not self.watch.violations and not self.baseline:
            if not self.config.permute:  # there the schedule itself repeats them
                self.repeat()
            if self.config.permute and self.ends != _reference(self.config, tuple(self.path), self.ends):
                self.watch.violation("I11 another order of the same webhooks ends otherwise")
        self.watch.secrets()

    def repeat(self) -> None:
        """Every webhook again: the first time may still fill a gap, the second may change nothing at all."""
        for again in (False, True):
            before = self.record()
            for delivery in self.accepted[:]:
                self.deliver(delivery)
                self.finish()
            if self.watch.same(before, self.record()):
                return
            if again:
                self.watch.violation("I11 a second delivery changed the record")


def _reference(config: Config, path: tuple[int, ...], mine: list[object]) -> list[object]:
    """Where the webhooks lead in their first order, once each, after the same beginning."""
    key = (config.name, path)
    if key not in ENDS:
        ENDS[key] = mine  # so that the reference compares itself with itself only
        choices = iter(path)
        reference = Simulation(config, lambda _: next(choices, 0))
        reference.run()
        ENDS[key] = reference.ends
    return ENDS[key]


ENDS: dict[tuple[str, tuple[int, ...]], list[object]] = {}
"""Emptied whenever other code is put under test."""
LASTING = ("state", "reason", "review", "corrected", "resend_allowed", "attempt", "attempt_id", "provider", "due_pk")
FAULTS = ("throttled", "lost", "repeated", "stale", "missing", "foreign", "refused")


@dataclass(slots=True)
class _Client:
    """The DynamoDB client: each call is a moment at which anything may happen."""

    sim: Simulation

    def get_item(self, **arguments: Any) -> Item:
        return self._read("get", self.sim.table.get_item, arguments)

    def query(self, **arguments: Any) -> Item:
        point = "timeline" if arguments["IndexName"] == "timeline" else "query table"
        how = self._pause(point)
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
        how = self._pause("transaction")
        if how == "throttled":
            raise failure("ThrottlingException", "TransactWriteItems")
        # A repetition with the same token is answered with the first one's success.
        self.sim.table.transact_write_items(**arguments)
        if how == "lost":
            raise ReadTimeoutError(endpoint_url="table")
        return {}

    def _pause(self, point: str) -> str:
        how = self.sim.pause(point)
        actor = self.sim.current
        assert actor is not None
        actor.unanswered = how in ("throttled", "lost")
        return how

    def _read(self, point: str, call: Callable[..., Item], arguments: Item) -> Item:
        if self._pause(point) == "throttled":
            raise failure("ProvisionedThroughputExceededException", point)
        return call(**arguments)

    def _write(self, point: str, call: Callable[..., Item], arguments: Item) -> Item:
        how = self._pause(point)
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
        value = {
            "pos_id": POS,
            "api_key": "sentinel-key",
            "api_secret": SECRETS[VersionStage],
            "endpoints_key": "sentinel-endpoints",
        }
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


def exchange(connection: Any, method: str, path: str, *_: object) -> "provider._Raw | None":
    """Stands in for the socket."""
    return connection.sim.exchange(method, path)  # type: ignore[no-any-return]


class _Time:
    """The provider file measures its own wall time; here no time passes during a call."""

    @staticmethod
    def monotonic() -> float:
        return 0.0


_running: Simulation | None = None


def _systems(_sends: bool) -> Any:
    """What an invocation is built with: its own, as in a fresh process."""
    assert _running is not None
    assert _running.current is not None
    return _running.current.systems


def _now() -> int:
    return int(_systems(False).now())


def _keep(message: str, more: dict[str, Any]) -> None:
    if _running is not None:
        _running.keep(message, more)


def install() -> None:
    """Put the virtual socket, clock, workers, systems and logs in place of the real ones, for this process."""
    for module, name, value in (
        (provider, "_exchange", exchange),
        (provider, "time", _Time),
        (voids, "ThreadPoolExecutor", InlineWorkers),
        *gateway.replacements(_systems, _now, _keep),
    ):
        setattr(module, name, value)


__all__ = ["Actor", "Config", "Simulation"]
