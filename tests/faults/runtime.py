"""The functions' runtime on a virtual clock: invocations, their threads, and the moments at which they wait.

An actor is a greenlet that stops before each call of an outside system. Nothing sleeps: time is a number, and whoever
waits longer than his own limit is told that his time is over.
"""

from collections import Counter
from collections.abc import Callable
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from greenlet import GreenletExit, getcurrent, greenlet

from payments.outside import Storage

if TYPE_CHECKING:
    from tests.faults.financial_line import Delivery, Operation, Post
    from tests.faults.merchant import Ask

START = 1_700_000_000_123
"""When a schedule begins, in milliseconds since 1970."""
START_MS = 50
"""When a thread has begun at the latest."""
STEP_MS = 7
"""What a call takes if nothing goes wrong."""


class Function(StrEnum):
    """The four functions, and what runs inside an invocation of them."""

    SUBMIT = "submit"
    READ = "read"
    WEBHOOK = "webhook"
    SETTLE = "settle"
    THREAD = "thread"


LIFE_MS = {
    Function.SUBMIT: 20_000,
    Function.READ: 20_000,
    Function.WEBHOOK: 10_000,
    Function.SETTLE: 55_000,
    Function.THREAD: 55_000,
}
"""The functions' timeouts, as deployed."""


class Point(StrEnum):
    """What an actor waits for."""

    START = "its start"
    GET = "get item"
    PUT = "put item"
    UPDATE = "update item"
    DELETE = "delete item"
    INDEX = "query of the index"
    QUARANTINE = "put quarantine"
    SECRET = "get secret"
    RESOLVER = "the resolver"
    CONNECT = "the connection"
    HANDSHAKE = "the handshake"
    OPENING = "the thread that connects"
    ANSWER = "the answer to the POST"
    VIEW = "the answer to the query"
    DRIP = "the next byte"
    THREADS = "its threads"


NO_EXCUSE = frozenset({Point.ANSWER, Point.VIEW, Point.DRIP, Point.THREADS})
"""Whatever the provider says, or leaves unsaid, is no excuse for a function."""
TABLE_READS = frozenset({Point.GET, Point.INDEX})
TABLE_WRITES = frozenset({Point.PUT, Point.UPDATE, Point.DELETE, Point.QUARANTINE})

OK = "ok"
TIME_OVER = "time is over"


class Instance:
    """One instance of a function: its systems, and with them its caches, live over many invocations."""

    def __init__(self, function: Function, systems: Storage, number: int) -> None:
        self.function, self.systems, self.number = function, systems, number
        self.busy = False
        self.refused_at = 0
        """When the provider last refused its credentials."""
        self.hurt_until = 0
        """For so long it remembers that Secrets Manager did not answer."""


class Actor:
    """One invocation of a function, or a thread of one."""

    def __init__(self, name: str, function: Function, started: int, instance: Instance) -> None:
        self.name, self.function, self.started, self.instance = name, function, started, instance
        self.ends = started + LIFE_MS[function]
        self.run: greenlet = getcurrent()
        self.alive = True
        self.ended_at = 0
        self.point = Point.START
        self.limit: int | None = None
        """When the call ends by itself."""
        self.waiting = False
        """Something else must happen before it can go on."""
        self.pauses = 0
        self.parent: Actor | None = None
        self.threads: list[Actor] = []
        self.result: Any = None
        self.error: Exception | None = None
        self.counted: Counter[str] = Counter()
        self.hurt = False
        """Something went wrong with one of its calls."""
        self.silent: set[Point] = set()
        """Kinds of calls that were not answered."""
        # What it is about:
        self.ask: Ask | None = None
        self.order = ""
        self.attempt_id: str | None = None
        """The attempt that it made."""
        self.intent_at = 0
        self.sends = 0
        self.seen: Any = None
        """The item that the table last showed it."""
        self.shown: list[Operation] = []
        """The voids that its queries were shown."""
        self.post: Post | None = None
        self.reply: bytes | None = None
        """What the provider answered and it has not read yet."""
        self.delivery: Delivery | None = None
        self.writes = 0
        self.reviewed: list[str] = []
        """Orders that it handed to a person."""
        self.about: dict[str, Any] = {}
        """What the invariants noted at its start."""

    @property
    def invocation(self) -> "Actor":
        """The invocation that this thread belongs to, or itself."""
        return self.parent.invocation if self.parent is not None else self


class Runtime:
    """The actors, the clock, and whose turn it is."""

    def __init__(self, ended: Callable[[Actor], None], escaped: Callable[[Actor, Exception], None]) -> None:
        self.now = START
        self.hub = getcurrent()
        self.actors: list[Actor] = []
        self.everybody: list[Actor] = []
        self.current: Actor | None = None
        self.deaths: Counter[str] = Counter()
        self.out_of_time: list[Actor] = []
        """Invocations that their own timeout killed."""
        self._ended, self._escaped = ended, escaped

    # ---- inside an actor ---------------------------------------------------------------------------------------------

    @property
    def actor(self) -> Actor:
        """Whose turn it is."""
        assert self.current is not None
        return self.current

    def pause(self, point: Point, seconds: float | None = None, *, waiting: bool = False) -> str:
        """Stop before an outside call, and learn how it goes. `seconds`: how long the caller waits at most."""
        actor = self.actor
        actor.point, actor.waiting = point, waiting
        actor.limit = None if seconds is None else self.now + round(seconds * 1000)
        actor.pauses += 1
        how = str(self.hub.switch())
        if how != OK and point not in NO_EXCUSE:
            actor.hurt = actor.invocation.hurt = True
        return how

    def sleep(self, point: Point, ms: int) -> None:
        """Let time pass."""
        actor = self.actor
        actor.point, actor.waiting, actor.limit = point, True, self.now + ms
        actor.pauses += 1
        self.hub.switch()

    # ---- from outside ------------------------------------------------------------------------------------------------

    def start(self, actor: Actor, work: Callable[[], Any], parent: Actor | None = None) -> None:
        """Make an actor do `work`; an invocation begins at once, a thread when it is its turn."""

        def body() -> None:
            try:
                actor.result = work()
            except GreenletExit:
                raise
            except Exception as error:  # noqa: BLE001 whatever escapes is a finding
                actor.error = error
                self._escaped(actor, error)

        actor.run = greenlet(body, self.hub)
        actor.parent = parent
        self.actors.append(actor)
        self.everybody.append(actor)
        if parent is not None:
            parent.threads.append(actor)
            actor.ends = parent.ends
            actor.limit = self.now + START_MS
        else:
            actor.instance.busy = True
            self.resume(actor)

    def resume(self, actor: Actor, value: str = OK) -> None:
        """Let an actor go on until it waits again."""
        self.current = actor
        actor.waiting = False
        if actor.run:
            actor.run.switch(value)
        else:
            actor.run.switch()
        self.current = None
        if actor.run.dead:
            self._finish(actor)

    def _finish(self, actor: Actor) -> None:
        actor.alive, actor.ended_at = False, self.now
        self.actors.remove(actor)
        self._throw_threads(actor)  # frozen with their process, and of no use to a later invocation
        if actor.parent is None:
            actor.instance.busy = False
            self._ended(actor)
        elif all(not thread.alive for thread in actor.parent.threads) and actor.parent.point is Point.THREADS:
            actor.parent.waiting, actor.parent.limit = False, self.now + START_MS

    def kill(self, actor: Actor) -> None:
        """The process dies, with all that it remembered."""
        self._throw(actor.invocation)

    def _throw_threads(self, actor: Actor) -> None:
        for thread in actor.threads:
            if thread.alive:
                self._throw(thread)

    def _throw(self, actor: Actor) -> None:
        actor.alive, actor.ended_at = False, self.now
        self._throw_threads(actor)
        self.current = None
        actor.run.throw(GreenletExit)
        self.actors.remove(actor)

    def forward(self, to: int, on_timeout: Callable[[Actor], None]) -> None:
        """Time passes. Whoever's limit comes on the way is told so; a function whose life is over dies."""
        while True:
            first: Actor | None = None
            moment = to
            for actor in self.actors:
                limit = actor.ends if actor.limit is None or actor.limit > actor.ends else actor.limit
                if limit < moment or (limit == moment and first is None):
                    first, moment = actor, limit
            if first is None:
                break
            self.now = max(self.now, moment)
            if first.ends <= moment:
                self.out_of_time.append(first.invocation)
                on_timeout(first.invocation)
            else:
                self.resume(first, TIME_OVER)
        self.now = max(self.now, to)
