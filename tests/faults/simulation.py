"""One schedule: the real handlers on a virtual clock, interleaved and harmed at every call of an outside system.

A chooser picks what happens next. Choice 0 is always the ordinary course, so a schedule is its list of deviations.
"""

from collections import Counter
from collections.abc import Callable
from typing import Any

import read_voids
import receive_webhook
import settle_voids
import submit_void
import telemetry
from payments import items, settling
from payments.outside import Storage, Systems
from payments.secret import Secret
from payments.store import Store
from tests.fakes.table import Item, Table
from tests.faults import announcements, answers, aws, events, faults, seams, wire
from tests.faults.answers import CREDENTIALS
from tests.faults.configurations import Config
from tests.faults.events import Event
from tests.faults.financial_line import DAY_MS, FINAL, Delivery, FinancialLine, Operation, Post, Project, sign
from tests.faults.invariants.harm import Harm
from tests.faults.invariants.told import read as read_answer
from tests.faults.invariants.watch import Watch
from tests.faults.merchant import Listed, Merchant, Obedient
from tests.faults.record import WINDOW_MS, Record
from tests.faults.rest import CACHED_MS, LASTING, come_to_rest
from tests.faults.runtime import OK, START, STEP_MS, TIME_OVER, Actor, Function, Instance, Point, Runtime
from tests.faults.views import VIEWS

MOST_STEPS = 220
MOST_TRIES = 3
"""How often the provider sends a webhook that is not answered 200."""
TEST_POS, LIVE_POS = "dc728de1-51ef-4ef1-80f7-3b44b07b5667", "9f1c2d3e-aaaa-4bbb-8ccc-0123456789ab"
LEASE_MS = 25_000

Choose = Callable[[int], int]


class Simulation:
    """One schedule of one configuration, from its first step to rest."""

    baseline = False
    """Is something else than the void service under test?"""

    def __init__(self, config: Config, choose: Choose, trace: bool = False) -> None:
        self.config, self._choose = config, choose
        self.watch = Watch(self)
        self.runtime = Runtime(self._ended, self.watch.escaped)
        self.table = Table()
        self.table.on_write = self._written
        self.records: dict[tuple[str, str], Record] = {}
        """By project and order: what the table holds now."""
        self.orders = tuple(dict.fromkeys(ask.order for ask in config.asks))
        self.stages: dict[str, dict[str, str]] = {}
        """The secret: current and previous credentials."""
        self.rotated_at = 0
        self.bank = self._make_bank()
        self.project = self.bank.projects["test"]
        """Whose credentials are in Secrets Manager."""
        self._store_credentials()
        if config.previous:
            self.bank.signs_with = self.project.credentials["api_secret"]
            self.rotate("new keys")
            self.rotated_at = 0
        self.merchant: Merchant = Obedient(config.asks[0], config.obedient) if config.obedient else Listed(config.asks)
        self.asked = 0
        self.instances: list[Instance] = []
        self.outages: dict[str, int] = {}
        self.outage_began = False
        self.accepted: list[Delivery] = []
        self.blind_at = 0
        """When a query last showed less than there was."""
        self.left: dict[type[Event], int] = dict(config.may)
        self.may_refuse = faults.NotOpened in config.may
        self.runs_left, self.clocks_left = config.runs, config.clocks
        self.only_webhooks = False
        """With `permute`: everything but the order of the webhooks is decided."""
        self.quiet = False
        """Nothing goes wrong any more."""
        self.faults: Counter[str] = Counter()
        self.deaths: Counter[str] = Counter()
        self.heard: list[object] = []
        """Every log line, answer and exception text."""
        self.signatures: set[str] = set()
        self.path: list[int] = []
        self.ends: list[object] = []
        self.lines: list[str] | None = [] if trace else None
        self._ids = 0
        self._made = 0

    def _make_bank(self) -> FinancialLine:
        config = self.config
        projects = {"test": Project("test", TEST_POS)}
        if config.projects:
            projects["live"] = Project("live", LIVE_POS)
        bank = FinancialLine(
            lambda: self.runtime.now, self.watch.ledger_changed, projects,
            lying=config.lying, executes_twice=config.executes,
        )  # fmt: skip
        for project in projects.values() if not config.missing else ():
            for order in self.orders:
                if config.second_hold:
                    bank.hold(project, order).changes.append((START - 50_000, "failure"))
                bank.hold(project, order)
        if config.permute:
            bank.announce(bank.ledger[0])
        return bank

    # ---- the whole schedule ------------------------------------------------------------------------------------------

    def run(self) -> None:
        """What it violates is in `watch.violations`."""
        before = wire.run_in(self)
        constants = items.SHARDS, settling.PAGE
        items.SHARDS, settling.PAGE = self.config.shards, self.config.page
        try:
            self._run()
        finally:
            items.SHARDS, settling.PAGE = constants
            wire.run_in(before)

    def _run(self) -> None:
        for _ in range(MOST_STEPS + 10 * self.config.obedient):
            options = self.options()
            if not options:
                break
            choice = self._choose(len(options))
            if not self.only_webhooks and not isinstance(options[0], events.Copies):
                self.path.append(choice)
            self.perform(options[choice])
            if self.watch.violations:
                break
        else:
            self.faults["cut off"] += 1
        if not self.watch.violations:
            come_to_rest(self)
        for actor in [actor for actor in self.runtime.actors if actor.parent is None]:
            self.runtime.kill(actor)

    def options(self) -> list[Event]:
        """What can happen now: first what happens by default, then the other orders, then what goes wrong."""
        if self.config.permute:
            return self._permuted()
        order = events.MERCHANT_LATE if self.config.late and self.asked else events.USUAL
        ordinary = [event for kind in order for event in kind.possible(self)]
        return ordinary + self._wrong() if ordinary else ordinary

    def _wrong(self) -> list[Event]:
        return [event for kind, left in self.left.items() if left for event in kind.possible(self)]

    def _permuted(self) -> list[Event]:
        """Everything but the webhooks; then how often each comes; then each order of them."""
        kinds: tuple[type[Event], ...] = (events.Continue, events.Land, events.GiveUp, events.Demand, events.Resolve)
        ordinary = [event for kind in kinds for event in kind.possible(self)]
        if ordinary:
            return ordinary if self.only_webhooks else ordinary + self._wrong()
        if self.only_webhooks:
            different = {(hook.operation.number, hook.status): hook for hook in self.bank.deliveries}
            return [events.Deliver(hook) for hook in different.values()]
        return list(events.Copies.possible(self)) if self.bank.deliveries else []

    def perform(self, event: Event) -> None:
        """Make it happen; what goes wrong is counted and paid for."""
        self.say(str(event))
        kind = type(event)
        if kind in self.left:
            self.left[kind] -= 1
            self.faults[event.counted_as()] += 1
        event.happen(self)

    def say(self, line: str) -> None:
        """A line of the replay."""
        if self.lines is not None:
            self.lines.append(line)

    # ---- time and turns ----------------------------------------------------------------------------------------------

    def go_on(self, actor: Actor, how: str) -> None:
        """An outside call takes a moment and goes so; if the moment was too long, it has been told so."""
        pauses = actor.pauses
        self.forward(self.runtime.now + STEP_MS)
        if actor.alive and actor.pauses == pauses:
            self.runtime.resume(actor, how)

    def forward(self, to: int) -> None:
        """Time passes."""
        self.runtime.forward(to, self._out_of_time)

    def _out_of_time(self, actor: Actor) -> None:
        self.watch.out_of_time(actor)
        self.faults["function out of time"] += 1
        self.die(actor, f"{actor.function} out of time at {actor.point}")

    def die(self, actor: Actor, where: str) -> None:
        """Its process is gone."""
        self.deaths[where] += 1
        self.runtime.kill(actor)
        self.instances.remove(actor.instance)
        self._over(actor, None)

    def edge(self, *, free: bool = False) -> int:
        """The next moment that means something; 0: none, or it may not come yet."""
        if not self.clocks_left and not free:
            return 0
        now = self.runtime.now
        if self.baseline:
            moments = [now + 20_001]
        else:
            moments = [at for record in self.records.values() for at in self._moments(record) if at > now]
        if self.merchant.not_before > now and self.merchant.next() is not None and not self.merchant_waits:
            moments.append(self.merchant.not_before)
        if not moments:
            return 0
        edge = min(moments)
        # The provider is slow, not dead: within the settle window a POST lands or is lost.
        if self.config.bounded and any(post.deadline < edge for post in self.bank.posts):
            return 0
        return edge

    def _moments(self, record: Record) -> list[int]:
        if record.due_at is None:
            return []
        if record.settled:
            return [record.due_at] if self.config.rechecks or record.under_way else []
        asked = record.known_since
        return [asked + LEASE_MS, asked + WINDOW_MS, asked + DAY_MS, record.due_at]

    def due(self) -> bool:
        """Would a settle run find something?"""
        now = self.runtime.now
        return any(record.due_at is not None and record.due_at <= now for record in self.records.values())

    # ---- invocations -------------------------------------------------------------------------------------------------

    def running(self, function: str) -> int:
        """How many invocations of a function are there now?"""
        return sum(actor.function == function and actor.parent is None for actor in self.runtime.actors)

    @property
    def merchant_waits(self) -> bool:
        """Does a merchant who asks one thing at a time wait for an answer?"""
        return isinstance(self.merchant, Obedient) and self.running("submit") > 0

    def _actor(self, function: Function) -> Actor:
        number = sum(actor.function is function for actor in self.runtime.everybody) + 1
        return Actor(f"{function} {number}", function, self.runtime.now, self._instance(function))

    def _instance(self, function: Function) -> Instance:
        """An idle one with its caches, else a new one."""
        for instance in self.instances:
            if instance.function is function and not instance.busy:
                return instance
        self._made += 1
        first = not any(instance.function is Function.SUBMIT for instance in self.instances)
        skew = 0 if function is Function.WEBHOOK or (function is Function.SUBMIT and first) else self.config.skew
        instance = Instance(function, self._systems(function, skew), self._made)
        self.instances.append(instance)
        return instance

    def _systems(self, function: Function, skew: int) -> Storage:
        runtime = self.runtime
        now: Callable[[], int] = (lambda: runtime.now + skew) if skew else (lambda: runtime.now)
        store = Store(aws.TableClient(self), "t")
        secret = Secret(
            aws.SecretClient(self), "s", lambda: runtime.now / 1000, lambda: telemetry.count("SecretOutOfReach")
        )
        if function is Function.WEBHOOK:
            return Storage(store, secret, now, self._new_id)
        return Systems(store, secret, now, self._new_id, wire.provider_of(function is Function.SUBMIT))

    def _new_id(self) -> str:
        self._ids += 1
        return f"id-{self._ids}"

    def _start(self, actor: Actor, work: Callable[[], Any]) -> None:
        self.watch.started(actor)
        self.runtime.start(actor, work)

    def start_thread(self, name: str, work: Callable[[], Any]) -> Actor:
        """A thread of whoever runs now."""
        parent = self.runtime.actor
        thread = Actor(f"{parent.name}, {name}", Function.THREAD, self.runtime.now, parent.instance)
        self.runtime.start(thread, work, parent)
        return thread

    def request(self) -> None:
        """The merchant asks for a void."""
        ask = self.merchant.next()
        assert ask is not None
        self.merchant.asked()
        self.asked += 1
        event = seams.void_event(ask.key, ask.order, ask.currency, ask.comment)
        actor = self._actor(Function.SUBMIT)
        actor.ask, actor.order = ask, ask.order
        self._start(actor, lambda: submit_void.handler(event, None))

    def deliver(self, delivery: Delivery) -> None:
        """A webhook arrives."""
        data = announcements.data(delivery)
        signature = sign(delivery, data)
        self.signatures.add(signature.decode())
        event = seams.provider_event(data, signature)
        actor = self._actor(Function.WEBHOOK)
        actor.delivery, actor.order = delivery, delivery.operation.order
        self._start(actor, lambda: receive_webhook.handler(event, None))

    def settle(self) -> None:
        """The minute's run."""
        actor = self._actor(Function.SETTLE)
        self._start(actor, lambda: settle_voids.handler({}, seams.Context(actor)))

    def read(self, order: str, *, refresh: bool) -> None:
        """Somebody reads an order."""
        actor = self._actor(Function.READ)
        actor.order = order
        self._start(actor, lambda: read_voids.handler(seams.read_event(order, refresh=refresh), None))

    def read_list(self, state: str, cursor: str | None) -> Any:
        """Somebody reads a list, and nothing goes wrong; the answer."""
        actor = self._actor(Function.READ)
        self._start(actor, lambda: read_voids.handler(seams.list_event(state, cursor), None))
        while actor.alive:
            self.go_on(actor, OK)
        return actor.result

    def _ended(self, actor: Actor) -> None:
        if actor.result is not None:
            self.heard.append(actor.result)
        self.watch.ended(actor)
        self._over(actor, actor.result)

    def _over(self, actor: Actor, result: Any) -> None:
        """An invocation is over, with an answer or without one."""
        if actor.delivery is not None:
            self._delivered(actor.delivery, result)
        if actor.ask is not None:
            answer = read_answer(result) if result is not None else None
            told = None if answer is None else {
                "status": answer.status, "problem": answer.problem, "body": answer.body,
                "retry_after": answer.retry_after,
            }  # fmt: skip
            self.merchant.answered(actor.ask, told, self.runtime.now)

    def _delivered(self, delivery: Delivery, result: Any) -> None:
        if result is not None and result["statusCode"] == 200:
            if not delivery.forged:
                self.accepted.append(delivery)
                self._told(delivery)
            return
        delivery.tries += 1
        if delivery.tries < MOST_TRIES and not delivery.forged:
            self.bank.deliveries.append(delivery)

    def _told(self, delivery: Delivery) -> None:
        operation = delivery.operation
        readable = delivery.form in announcements.READABLE
        if readable and delivery.status != "failure" and operation.told_at is None:
            operation.told_at = self.runtime.now

    # ---- what the code under test sees -------------------------------------------------------------------------------

    def hear(self, message: str, more: dict[str, Any]) -> None:
        """A log line."""
        self.heard.append((message, more))
        actor = self.runtime.current
        if actor is None:
            return
        if message == "unexpected error" and not self.baseline:
            what = f"{more.get('error')} inside {actor.invocation.function} at {more.get('place')}"
            self.watch.violation(Harm.WRONG, what)
        elif message == "void requested":
            actor.about["logged"] = more.get("attempt_id")

    def _written(self, old: Item | None, new: Item) -> None:
        actor = self.runtime.current.invocation if self.runtime.current is not None else None
        if actor is not None:
            actor.writes += 1
        if new["sk"]["S"] != items.ORDER or "state" not in new:
            return
        record = Record(new)
        before = self.records.get((record.pos_id, record.order))
        self.records[record.pos_id, record.order] = record
        claimed = record.attempt_id is not None and (before is None or before.attempt_id != record.attempt_id)
        if claimed and actor is not None and actor.function is Function.SUBMIT:
            # The intent is this actor's if it was not in the record before.
            actor.attempt_id, actor.intent_at = record.attempt_id, self.runtime.now
        self.watch.on_write(actor, before, record)

    def pos_of(self, actor: Actor) -> str:
        """Whose record the table last showed an actor."""
        return str(actor.seen["pos_id"]["S"]) if actor.seen else self.project.pos_id

    def first_byte(self, piece: bytes) -> None:
        """A request begins to leave."""
        if not piece.startswith(b"POST"):
            return
        actor = self.runtime.actor
        actor.sends += 1
        key = actor.ask.key if actor.ask is not None else None
        actor.post = Post(actor, actor.attempt_id, key, self.runtime.now, self.pos_of(actor), order=actor.order)
        self.watch.sending(actor)
        self.bank.posts.append(actor.post)

    def exchange(self, request: bytes, seconds: float | None) -> bytes | None:
        """The bytes that answer a request; None: the connection is reset. Raises TimeoutError."""
        if request.startswith(b"POST"):
            return self._answer(request, seconds)
        actor = self.runtime.actor
        view = self.runtime.pause(Point.VIEW, seconds)
        view = self.config.usual_view if view == OK and not self.quiet else view
        if view not in (OK, *SHOWN):
            self.blind_at = self.runtime.now
        if view == TIME_OVER:
            raise TimeoutError
        project, order = self.bank.read_query(request)
        if project is None:
            self.watch.sends.refused(actor)
            return CREDENTIALS
        actor.invocation.shown += self.bank.of(project, order, "void") if view in (OK, *SHOWN) else []
        return VIEWS["whole" if view == OK else view](self.bank, project, order)

    def _answer(self, request: bytes, seconds: float | None) -> bytes | None:
        actor = self.runtime.actor
        post = actor.post
        assert post is not None
        self.bank.read_post(request, post)
        self.watch.sends.credentials(actor, post)
        how = self.runtime.pause(Point.ANSWER, seconds, waiting=True)
        actor.post = None
        if how == TIME_OVER:
            raise TimeoutError
        return actor.reply

    def land(self, post: Post, name: str, *, heard: bool) -> None:
        """A POST reaches the provider; `heard`: its answer reaches us."""
        self.bank.posts.remove(post)
        post.landed = True
        self.bank.landed.append(post)
        reply = answers.land(self.bank, post, name)
        if heard and post.heard:
            post.actor.reply = reply
            self.go_on(post.actor, OK)

    @property
    def usual_answer(self) -> str:
        """How a POST is answered by default."""
        first = self.config.first
        return first if first and not self.bank.landed else self.config.answers[0] if not self.quiet else "success"

    def outage(self, what: str) -> bool:
        """Is it out of reach now?"""
        return self.runtime.now < self.outages.get(what, 0)

    def refuse_in_an_outage(self) -> None:
        """Raises ConnectionRefusedError."""
        if self.outage("provider"):
            raise ConnectionRefusedError

    def under_way(self) -> list[Operation]:
        """What the provider has not finished, and will."""
        if self.config.stuck or (self.config.until_rest and not self.quiet):
            return []
        return [one for one in self.bank.ledger if one.status not in FINAL]

    # ---- the secret --------------------------------------------------------------------------------------------------

    def _store_credentials(self) -> None:
        credentials = self.project.credentials
        if self.config.capitals:
            credentials["pos_id"] = credentials["pos_id"].upper()
        self.stages["AWSCURRENT"] = credentials

    def rotate(self, what: str) -> None:
        """New keys of this project, or those of another one; what was current is previous."""
        self.stages["AWSPREVIOUS"] = self.stages["AWSCURRENT"]
        if what == "new keys":
            self.project.keys += 1
        else:
            self.project = self.bank.projects[what]
        self._store_credentials()
        self.rotated_at = self.runtime.now

    def rotated_since(self, moment: int) -> bool:
        """Was the secret replaced since then, or so short before that a copy may be older?"""
        return self.rotated_at > moment - CACHED_MS

    def can_prove(self, delivery: Delivery) -> bool:
        """Has Secrets Manager the secret of this webhook, and long enough for every copy to be of it?"""
        secrets = {stage["api_secret"] for stage in self.stages.values()}
        return delivery.secret in secrets and self.runtime.now - self.rotated_at > 5_000

    # ---- what is compared at the end ---------------------------------------------------------------------------------

    def item(self, project: Project, order: str) -> Item | None:
        """The item of an order."""
        return self.table.items.get((items.partition(project.pos_id, order), items.ORDER))

    def shown_record(self, order: str) -> Record | None:
        """The record that the API shows: of the current project, else of the previous one."""
        for stage in ("AWSCURRENT", "AWSPREVIOUS"):
            record = self.records.get((self.stages.get(stage, {}).get("pos_id", "").lower(), order))
            if record is not None:
                return record
        return None

    def note_end(self) -> None:
        """With `permute`: what the records hold now. Neither times nor versions."""
        if not self.config.permute:
            return
        for order in self.orders:
            record = self.records.get((self.project.pos_id, order))
            shown = None if record is None else (*(record.item.get(name) for name in LASTING), record.under_way)
            item = self.item(self.project, order)
            self.ends.append((shown, None if item is None else sorted(item["webhooks"]["M"])))

    def ends_in_first_order(self) -> list[object]:
        """Where the webhooks lead in their first order, once each, after the same beginning."""
        key = (self.config.name, tuple(self.path))
        if key not in ENDS:
            ENDS[key] = self.ends  # so that the reference compares itself with itself only
            choices = iter(self.path)
            reference = Simulation(self.config, lambda _: next(choices, 0))
            reference.run()
            ENDS[key] = reference.ends
        return ENDS[key]


SHOWN = ("whole", "amount 1E+2", "without pos_id")
"""Answers to a query that show every void, and can be read."""
ENDS: dict[tuple[str, tuple[int, ...]], list[object]] = {}
"""Emptied whenever other code is put under test."""
