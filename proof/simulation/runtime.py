"""Invocations and their threads on a virtual clock: each is a greenlet that stops before it calls anything outside."""

from collections import Counter
from collections.abc import Callable
from typing import Any

from greenlet import GreenletExit, getcurrent, greenlet

START = 1_795_000_000_123
"""When a schedule begins, in milliseconds since 1970."""
STEP_MS, START_MS = 7, 50
LIFE_MS = {"submit": 20_000, "read": 20_000, "decide": 20_000, "webhook": 10_000, "settle": 55_000}
"""The functions' timeouts, as deployed."""
OK, TIME_OVER = "ok", "time is over"


class Instance:
    """One instance of a function: its systems, and with them its caches, live over many invocations."""

    def __init__(self, function: str, now: int) -> None:
        self.function, self.busy = function, False
        self.systems: Any = None
        self.frozen_ms, self.idle_since = 0, now
        """For so long its monotonic clock stood still."""
        self.refused_at = 0
        """When the provider last refused its credentials."""


class Actor:
    """One invocation of a function, or a thread of one."""

    def __init__(self, name: str, function: str, now: int, instance: Instance) -> None:
        self.name, self.function, self.started, self.instance = name, function, now, instance
        self.ends = now + LIFE_MS.get(function, 60_000)
        self.run: greenlet = getcurrent()
        self.point, self.limit = "its start", None if function in LIFE_MS else now + START_MS
        self.alive, self.waiting, self.pauses = True, False, 0
        self.parent: Actor | None = None
        self.threads: list[Actor] = []
        self.result: Any = None
        self.counted: Counter[str] = Counter()
        self.about: dict[str, Any] = {}

    @property
    def invocation(self) -> "Actor":
        """The invocation that this thread belongs to, or itself."""
        return self.parent.invocation if self.parent is not None else self


class Runtime:
    """The actors, the clock, and whose turn it is."""

    def __init__(self, ended: Callable[[Actor], None], escaped: Callable[[Actor, Exception], None]) -> None:
        self.now, self.hub = START, getcurrent()
        self.actors: list[Actor] = []
        self.current: Actor | None = None
        self._ended, self._escaped = ended, escaped

    @property
    def actor(self) -> Actor:
        assert self.current is not None
        return self.current

    def pause(self, point: str, seconds: float | None = None, *, waiting: bool = False) -> str:
        """Stop before an outside call, and learn how it goes. `seconds`: how long the caller waits at most."""
        actor = self.actor
        actor.point, actor.waiting = point, waiting
        actor.limit = None if seconds is None else self.now + round(seconds * 1000)
        actor.pauses += 1
        return str(self.hub.switch())

    def start(self, actor: Actor, work: Callable[[], Any], parent: Actor | None = None) -> None:
        """Make an actor do `work`; an invocation begins at once, a thread when it is its turn."""

        def body() -> None:
            try:
                actor.result = work()
            except GreenletExit:
                raise
            except Exception as error:  # noqa: BLE001 whatever escapes is a finding
                self._escaped(actor, error)

        actor.run, actor.parent = greenlet(body, self.hub), parent
        self.actors.append(actor)
        if parent is not None:
            parent.threads.append(actor)
            actor.ends = parent.ends
            return
        actor.instance.busy = True
        actor.instance.frozen_ms += self.now - actor.instance.idle_since
        self.resume(actor)

    def resume(self, actor: Actor, value: str = OK) -> None:
        """Let an actor go on until it waits again."""
        self.current, actor.waiting = actor, False
        if actor.run:
            actor.run.switch(value)
        else:
            actor.run.switch()
        self.current = None
        if actor.run.dead:
            self._finish(actor)

    def _finish(self, actor: Actor) -> None:
        actor.alive = False
        self.actors.remove(actor)
        self._throw_threads(actor)  # frozen with their process, and of no use to a later invocation
        if actor.parent is None:
            actor.instance.busy, actor.instance.idle_since = False, self.now
            self._ended(actor)
        elif actor.parent.point == "threads" and all(not thread.alive for thread in actor.parent.threads):
            actor.parent.waiting, actor.parent.limit = False, self.now + START_MS

    def kill(self, actor: Actor) -> None:
        """The process dies, with all that it remembered."""
        actor.alive = False
        self._throw_threads(actor)
        self.current = None
        actor.run.throw(GreenletExit)
        self.actors.remove(actor)

    def _throw_threads(self, actor: Actor) -> None:
        for thread in actor.threads:
            if thread.alive:
                self.kill(thread)

    def next_limit(self) -> int | None:
        """When the first wait or life ends."""
        return min((min(actor.limit or actor.ends, actor.ends) for actor in self.actors), default=None)

    def forward(self, to: int, out_of_time: Callable[[Actor], None]) -> None:
        """Time passes. Whoever's limit comes on the way is notified; a function whose life is over dies."""
        while (moment := self.next_limit()) is not None and moment <= to:
            first = min(self.actors, key=lambda actor: min(actor.limit or actor.ends, actor.ends))
            self.now = max(self.now, moment)
            if first.ends <= moment:
                out_of_time(first.invocation)
            else:
                self.resume(first, TIME_OVER)
        self.now = max(self.now, to)
