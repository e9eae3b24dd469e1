"""Many schedules in several processes.

Each process installs the virtual outside for itself, so the one that asks for a campaign keeps the real one.
"""

import gc
import multiprocessing
import os
from collections.abc import Iterable
from dataclasses import dataclass

from tests.faults import baseline, explorer, guards, mistakes, seams
from tests.faults.configurations import CONFIGURATIONS

DEEP = (
    "store", "executes", "slow", "unbounded", "same key late", "blind", "three", "another attempt", "store twice",
    "overtaken", "told under way", "partial views", "capture under way", "late arrivals",
)  # fmt: skip
"""Small enough to be explored with one deviation more."""
WHOLE = ("permutations", "permutations lying")
"""Every order and multiplicity of the webhooks: without a bound on deviations, as far as `most` allows."""
UNBOUNDED, MOST_WHOLE = 99, 4
FEWER_OF_THE_LONG = 5
"""So many times fewer schedules of those that take several times as long."""
CHUNK = 2_000


@dataclass(frozen=True, slots=True)
class Job:
    """A piece of work for one process. `kind`: every, random, guard, mistake, baseline."""

    kind: str
    name: str
    number: int
    most: int


@dataclass(slots=True)
class Done:
    """What became of a job."""

    job: Job
    figures: explorer.Figures
    whole: bool = True
    found: tuple[str, str] | None = None


def work(job: Job) -> Done:
    """Do one job."""
    figures = explorer.Figures()
    match job.kind:
        case "every":
            whole = explorer.every(CONFIGURATIONS[job.name], job.number, job.most, figures)
            return Done(job, figures, whole)
        case "random":
            explorer.wander(job.name, job.number, job.most, figures)
            return Done(job, figures)
        case "guard":
            return Done(job, figures, found=guards.hunt(guards.GUARDS[job.number]))
        case "mistake":
            return Done(job, figures, found=guards.hunt(mistakes.MISTAKES[job.number]))
        case _:
            with baseline.instead():
                if job.name in CONFIGURATIONS:
                    explorer.every(CONFIGURATIONS[job.name], job.number, job.most, figures)
                else:
                    explorer.wander(job.name, job.number, job.most, figures)
                explorer.shorten(figures)
            return Done(job, figures)


def exhaustive(deviations: int, most: int, deeper: int = 0, kind: str = "every") -> list[Job]:
    """Each configuration but those of everything."""
    return [
        Job(kind, name, UNBOUNDED, most * MOST_WHOLE)
        if name in WHOLE
        else Job(
            kind,
            name,
            deviations + (deeper if name in DEEP else 0),
            most // FEWER_OF_THE_LONG if name in explorer.LONG else most,
        )
        for name in CONFIGURATIONS
        if not name.startswith("everything")
    ]


def randomly(seed: str, count: int, kind: str = "random") -> list[Job]:
    """So many schedules through all configurations."""
    return [Job(kind, seed, first, min(CHUNK, count - first)) for first in range(0, count, CHUNK)]


def all_guards() -> list[Job]:
    """Each taken out once."""
    return [Job("guard", guard.name, number, 0) for number, guard in enumerate(guards.GUARDS)]


def all_mistakes() -> list[Job]:
    """Each made once."""
    return [Job("mistake", mistake.name, number, 0) for number, mistake in enumerate(mistakes.MISTAKES)]


def run(jobs: Iterable[Job], processes: int) -> list[Done]:
    """Do all jobs; the largest should come first."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(processes, initializer=_prepare) as pool:
        done = list(pool.imap_unordered(work, jobs, chunksize=1))
        pool.close()
        pool.join()
    return done


def _prepare() -> None:
    os.nice(5)
    seams.install()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)  # a schedule leaves little behind


def total(done: Iterable[Done], *kinds: str) -> explorer.Figures:
    """The figures of these kinds of job."""
    figures = explorer.Figures()
    for each in done:
        if each.job.kind in kinds:
            figures.add(each.figures)
    return figures
