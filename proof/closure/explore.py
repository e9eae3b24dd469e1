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


def explore(options: Options, most: int = 30_000_000, seconds: float = 600, until: str = "never") -> Found:
    """All states of this world, or as many as `most` and `seconds` (of the processor) allow.

    Ends as soon as a promise is broken whose name holds `until`. States are told apart by their hashes of 64 bits: ten
    million of them are all different but once in 400,000 runs, and each would take a kilobyte and more.
    """
    began = time.process_time()
    start = World()
    for name in options.first:
        start = dict(steps(start, options))[name]
    came: dict[int, tuple[str, int]] = {hash(start): ("", 0)}
    waiting, broken = deque([(hash(start), start)]), dict[str, str]()
    ends = began + seconds
    while waiting and len(came) < most and time.process_time() < ends and not any(until in each for each in broken):
        before, world = waiting.popleft()
        for name, after in steps(world, options):
            if (key := hash(after)) in came:
                continue
            came[key] = (name, before)
            if not after.double:
                waiting.append((key, after))
            for promise in checks.broken(after, options.names[1]):
                broken.setdefault(promise + (" (after a wrong decision)" if after.wrong else ""), way(came, key))
    return Found(len(came), not waiting, time.process_time() - began, broken)


def way(came: dict[int, tuple[str, int]], key: int) -> str:
    """The steps that led to a state."""
    names: list[str] = []
    while came[key][0]:
        name, key = came[key]
        names.append(name)
    return " > ".join(reversed(names))
