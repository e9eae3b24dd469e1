"""The search: breadth first, so that each path to a finding is a shortest one."""

import time
from collections import deque
from typing import NamedTuple

from proof.closure.checks import wrong
from proof.closure.steps import steps
from proof.closure.world import Space, World


class Found(NamedTuple):
    """What a search has come to."""

    states: int
    closed: bool
    """Every state that can be reached was looked at."""
    findings: dict[str, str]
    """What is wrong, and a shortest path to it."""


def search(space: Space, most: int = 5_000_000, seconds: float = 1e9, *, first: bool = False) -> Found:
    """All states of the space, or as many as the limits allow: `seconds` of CPU; `first`: until something is wrong."""
    start, until = World(), time.process_time() + seconds
    parents: dict[World, tuple[str, World] | None] = {start: None}
    todo, findings = deque([start]), dict[str, str]()
    while todo and len(parents) < most and time.process_time() < until and not (first and findings):
        world = todo.popleft()
        for name, then in steps(world, space):
            if then is None:
                findings.setdefault(_after("two voids of ours", world), f"{_path(parents, world)} > {name}")
            elif then not in parents:
                parents[then] = (name, world)
                todo.append(then)
                for what in wrong(then, space):
                    if _after(what, then) not in findings:
                        findings[_after(what, then)] = _path(parents, then)
    return Found(len(parents), not todo, findings)


def _after(what: str, world: World) -> str:
    return f"{what} (after a wrong decision)" if world.misled else what


def _path(parents: dict[World, tuple[str, World] | None], world: World) -> str:
    names, step = list[str](), parents[world]
    while step is not None:
        names.append(step[0])
        step = parents[step[1]]
    return " > ".join(reversed(names))
