"""Breadth first through every state, remembering the shortest way to each."""

import time
from collections import deque
from typing import NamedTuple

from proof.closure import checks
from proof.closure.world import Options, World, steps


class Found(NamedTuple):
    """What an exploration found."""

    states: int
    closed: bool
    seconds: float
    broken: dict[str, str]
    """Each broken promise with the shortest way there."""


def explore(options: Options, most: int = 3_000_000, seconds: float = 600) -> Found:
    """All states of this world, or as many as `most` and `seconds` (of the processor) allow."""
    began = time.process_time()
    start = World()
    for name in options.first:
        start = dict(steps(start, options))[name]
    came: dict[World, tuple[str, World] | None] = {start: None}
    waiting, broken = deque([start]), dict[str, str]()
    while waiting and len(came) < most and time.process_time() - began < seconds:
        world = waiting.popleft()
        for name, after in steps(world, options):
            if after in came:
                continue
            came[after] = (name, world)
            if not after.double:
                waiting.append(after)
            for promise in checks.broken(after, options.names[1]):
                broken.setdefault(promise + (" (after a wrong decision)" if after.wrong else ""), way(came, after))
    return Found(len(came), not waiting, time.process_time() - began, broken)


def way(came: dict[World, tuple[str, World] | None], world: World) -> str:
    """The steps that led to a state."""
    names: list[str] = []
    while (before := came[world]) is not None:
        name, world = before
        names.append(name)
    return " > ".join(reversed(names))
