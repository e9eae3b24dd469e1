"""Walks through schedules: all with at most n deviations from the ordinary course, and random ones from a printed seed.

A schedule is written as `configuration:step=choice,…`, its deviations only; that line replays it.
"""

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.faults.configurations import CONFIGURATIONS, Config
from tests.faults.invariants.harm import harm_of
from tests.faults.record import moment
from tests.faults.simulation import Simulation

Schedule = dict[int, int]
LONG = (
    "outage", "outages", "stuck", "obedient", "no such order", "refused again", "views of a refusal", "failures",
    "everything late", "pages", "not connected", "key late", "looked at again", "undocumented statuses", "lists",
    "full pages",
)  # fmt: skip
"""Configurations whose schedules take several times as long as the others'."""
TURNS = [
    config for turn in range(4) for config in CONFIGURATIONS.values() if turn == 0 or config.name not in LONG
]  # fmt: skip
"""Whose turn it is among the random schedules."""


@dataclass(slots=True)
class Figures:
    """What many schedules showed."""

    exhaustive: int = 0
    random: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    deaths: Counter[str] = field(default_factory=Counter)
    harm: Counter[str] = field(default_factory=Counter)
    first: dict[str, str] = field(default_factory=dict)
    """Each violation's shortest schedule so far."""
    settle_ms: dict[str, Counter[int]] = field(default_factory=dict)

    def add(self, other: "Figures") -> None:
        """And what others showed."""
        self.exhaustive += other.exhaustive
        self.random += other.random
        self.faults += other.faults
        self.deaths += other.deaths
        self.harm += other.harm
        for text, line in other.first.items():
            self._first(text, line)
        for kind, times in other.settle_ms.items():
            self.settle_ms.setdefault(kind, Counter()).update(times)

    def _first(self, text: str, line: str) -> None:
        if text not in self.first or _length(line) < _length(self.first[text]):
            self.first[text] = line

    def count(self, config: Config, sim: Simulation, line: str) -> None:
        """One schedule more."""
        self.faults += sim.faults
        self.deaths += sim.deaths
        for text in dict.fromkeys(sim.watch.violations):
            self.harm[harm_of(text)] += 1
            self._first(text, line)
        for record in sim.records.values():
            if record.order != sim.orders[0] or "settled_at" not in record.item or record.attempt is None:
                continue
            took = moment(record.item["settled_at"]["S"]) - record.attempt["requested_at"]
            for kind in sim.faults or ("none",):
                self.settle_ms.setdefault(kind, Counter())[took] += 1


def _length(line: str) -> tuple[int, int]:
    return line.count("="), len(line)


def percentile(times: Counter[int], part: float) -> int:
    """The value that `part` of the times do not exceed."""
    rank, seen = part * times.total(), 0
    for value in sorted(times):
        seen += times[value]
        if seen >= rank:
            return value
    return 0


def written(config: Config, schedule: Schedule) -> str:
    """A schedule as a line."""
    return f"{config.name}:" + ",".join(f"{step}={choice}" for step, choice in sorted(schedule.items()) if choice)


def parse(text: str) -> tuple[Config, Schedule]:
    """And back."""
    name, _, choices = text.partition(":")
    pairs = (pair.split("=") for pair in choices.split(",") if pair)
    return CONFIGURATIONS[name], {int(step): int(choice) for step, choice in pairs}


def play(config: Config, schedule: Schedule, trace: bool = False) -> tuple[Simulation, list[int]]:
    """Run one schedule; the second value is how many choices each step had."""
    widths: list[int] = []

    def choose(width: int) -> int:
        widths.append(width)
        return min(schedule.get(len(widths) - 1, 0), width - 1)

    sim = Simulation(config, choose, trace)
    sim.run()
    return sim, widths


def breadth_first(config: Config, deviations: int, most: int) -> Iterator[tuple[str, Simulation]]:
    """Every schedule with at most `deviations` choices that are not the default, at most `most` of them.

    Breadth first, so that the first violation found is a shortest one; what violates is not followed further.
    """
    ran = 0
    frontier: list[Schedule] = [{}]
    for depth in range(deviations + 1):
        following: list[Schedule] = []
        for schedule in frontier:
            if ran >= most:
                return
            sim, widths = play(config, schedule)
            ran += 1
            yield written(config, schedule), sim
            if depth < deviations and not sim.watch.violations:
                begin = max(schedule, default=-1) + 1
                following += [
                    {**schedule, step: choice}
                    for step in range(begin, len(widths))
                    for choice in range(1, widths[step])
                ]
        frontier = following


def every(config: Config, deviations: int, most: int, figures: Figures) -> bool:
    """Count them. True: all of them fitted into `most`."""
    ran = 0
    for line, sim in breadth_first(config, deviations, most):
        ran += 1
        figures.exhaustive += 1
        figures.count(config, sim, line)
    return ran < most


def walk(config: Config, seed: str) -> tuple[Simulation, Schedule]:
    """One random schedule. How adventurous it is, is random too: few deviations go deep, many go wild."""
    chance = random.Random(seed)
    calm = chance.choice((0.3, 0.6, 0.8, 0.9, 0.95))
    schedule: Schedule = {}
    step = 0

    def choose(width: int) -> int:
        nonlocal step
        choice = 0 if width == 1 or chance.random() < calm else chance.randrange(1, width)
        if choice:
            schedule[step] = choice
        step += 1
        return choice

    sim = Simulation(config, choose)
    sim.run()
    return sim, schedule


def seeds(seed: str, first: int, count: int) -> Iterator[tuple[Config, str]]:
    """Which configuration each random schedule runs."""
    for number in range(first, first + count):
        yield TURNS[number % len(TURNS)], f"{seed}/{number}"


def wander(seed: str, first: int, count: int, figures: Figures) -> None:
    """Random schedules through all configurations."""
    for config, each in seeds(seed, first, count):
        sim, schedule = walk(config, each)
        figures.random += 1
        figures.count(config, sim, written(config, schedule))


def shrink(config: Config, schedule: Schedule, violation: str) -> Schedule:
    """Drop deviations as long as the same violation remains."""
    shorter = True
    while shorter:
        shorter = False
        for step in sorted(schedule, reverse=True):
            fewer = {at: choice for at, choice in schedule.items() if at != step}
            if violation in play(config, fewer)[0].watch.violations:
                schedule, shorter = fewer, True
    return schedule


def shorten(figures: Figures) -> None:
    """Shrink the first schedule of each violation."""
    for violation, text in list(figures.first.items()):
        config, schedule = parse(text)
        figures.first[violation] = written(config, shrink(config, schedule, violation))
