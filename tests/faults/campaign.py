"""Many schedules, guards and mistakes on all processors: a list of jobs, each of which one process does alone.

The seed is the caller's, so a campaign is repeated by its seed.
"""

import multiprocessing
import os
from collections.abc import Iterable
from dataclasses import dataclass, field

from tests.faults import explorer, guards, mistakes, seams
from tests.faults.configurations import CONFIGURATIONS

CHUNK = 250


@dataclass(frozen=True, slots=True)
class Job:
    """One piece of work: `every` schedule of a configuration, some at `random`, or what a `guard` or `mistake` shows."""

    kind: str
    name: str
    first: int = 0
    count: int = 0


@dataclass(slots=True)
class Done:
    """What a job showed; `found`: the violation and the schedule that shows it."""

    job: Job
    figures: explorer.Figures = field(default_factory=explorer.Figures)
    found: tuple[str, str] | None = None
    whole: bool = True


def every(count: int) -> list[Job]:
    """Up to `count` schedules of each configuration, those with fewest deviations first."""
    return [Job("every", name, count=count) for name in CONFIGURATIONS]


def at_random(seed: str, count: int) -> list[Job]:
    """Random schedules through all configurations."""
    return [Job("random", seed, first, min(CHUNK, count - first)) for first in range(0, count, CHUNK)]


def taken_out() -> list[Job]:
    """Each guard taken out and each mistake made."""
    named = [Job("guard", guard.name) for guard in guards.GUARDS]
    return named + [Job("mistake", mistake.name) for mistake in mistakes.MISTAKES]


def run(jobs: Iterable[Job], processes: int | None = None) -> list[Done]:
    """Do all jobs."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(processes or os.cpu_count() or 2, seams.install) as pool:
        return pool.map(do, jobs, chunksize=1)


def do(job: Job) -> Done:
    """Do one job."""
    done = Done(job)
    match job.kind:
        case "every":
            done.whole = explorer.every(CONFIGURATIONS[job.name], 2, job.count, done.figures)
        case "random":
            explorer.wander(job.name, job.first, job.count, done.figures)
        case "guard":
            done.found = guards.hunt(next(guard for guard in guards.GUARDS if guard.name == job.name))
        case _:
            done.found = guards.hunt(next(each for each in mistakes.MISTAKES if each.name == job.name))
    explorer.shorten(done.figures)
    return done


def total(done: Iterable[Done]) -> explorer.Figures:
    """All figures together."""
    figures = explorer.Figures()
    for each in done:
        figures.add(each.figures)
    return figures
