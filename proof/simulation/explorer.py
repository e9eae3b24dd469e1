"""Schedules: at random, breadth first, shortened, and replayed from the line that names them."""

import random
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import count
from typing import Any
from unittest.mock import patch

import decide
import lambda_http
import queries
import read_voids
import receive_webhook
import settle_voids
import submit_void
import telemetry
from payments import items
from proof.simulation import wire
from proof.simulation.configurations import CONFIGURATIONS, Config
from proof.simulation.world import Simulation

type Schedule = dict[int, int]


class _Log:
    """Every word of the log is kept."""

    def append_keys(self, **more: Any) -> None:
        wire.simulation().heard.append(more)

    def info(self, message: str, **more: Any) -> None:
        wire.simulation().heard.append((message, more))

    debug = warning = error = exception = critical = info


class _Metrics:
    """What each invocation counted is its own."""

    @property
    def metric_set(self) -> Any:
        actor = wire.simulation().runtime.current
        return actor.invocation.counted if actor is not None else Counter()

    def add_metric(self, name: str, unit: Any, value: float) -> None:
        self.metric_set[name] += round(value)

    def flush_metrics(self) -> None:
        """They are read when the invocation has ended."""


@contextmanager
def installed() -> Iterator[None]:
    """The virtual outside in place of the real one."""

    def systems() -> Any:
        return wire.simulation().runtime.actor.instance.systems

    handlers = (lambda_http, queries, submit_void, read_voids, receive_webhook, settle_voids, decide, telemetry)
    replaced = [
        *((module, "logger", _Log()) for module in handlers), (telemetry, "metrics", _Metrics()),
        (submit_void, "systems_that_send", systems), (read_voids, "systems", systems), (decide, "systems", systems),
        (settle_voids, "systems", systems), (receive_webhook, "storage", systems),
        (settle_voids, "now", lambda: wire.simulation().runtime.now), (settle_voids, "ThreadPoolExecutor", wire.Workers),
        (items, "SHARDS", 2), *wire.replacements(),
    ]  # fmt: skip
    with ExitStack() as stack:
        for target, name, value in replaced:
            stack.enter_context(patch.object(target, name, value))
        yield


def run(config: Config, schedule: Schedule, trace: bool = False) -> Simulation:
    """One schedule: at each step that it names another choice than the first."""
    step = count()
    return Simulation(config, lambda number: min(schedule.get(next(step), 0), number - 1), trace).run()


def walk(config: Config, seed: str) -> tuple[Simulation, Schedule]:
    dice = random.Random(seed)
    often = dice.choice((0.05, 0.12, 0.35))

    def choose(number: int) -> int:
        return dice.randrange(1, number) if number > 1 and dice.random() < often else 0

    sim = Simulation(config, choose).run()
    return sim, {step: choice for step, choice in enumerate(sim.path) if choice}


def breadth_first(config: Config, most: int) -> Iterator[tuple[Schedule, Simulation]]:
    """The ordinary course, then each single deviation from it."""
    sim = run(config, {})
    yield {}, sim
    singles = [(step, choice) for step, width in enumerate(sim.widths) for choice in range(1, width)]
    for step, choice in singles[:most]:
        yield {step: choice}, run(config, {step: choice})


def shrink(config: Config, schedule: Schedule) -> Schedule:
    """The same harm with fewer deviations."""

    def harm(schedule: Schedule) -> set[str]:
        return {each.partition(":")[0] for each in run(config, schedule).watch.violations}

    found = harm(schedule)
    for step in sorted(schedule, reverse=True):
        fewer = {key: value for key, value in schedule.items() if key != step}
        if found & harm(fewer):
            schedule = fewer
    return schedule


def written(config: Config, schedule: Schedule) -> str:
    """The line that replays a schedule."""
    return f"{config.name}:{','.join(f'{step}={choice}' for step, choice in sorted(schedule.items()))}"


def read(line: str) -> tuple[Config, Schedule]:
    name, _, steps = line.partition(":")
    return CONFIGURATIONS[name], {
        int(step): int(choice) for step, _, choice in (each.partition("=") for each in steps.split(",") if each)
    }
