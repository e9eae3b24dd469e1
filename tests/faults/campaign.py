"""Many schedules in several processes, and the table of what they showed.

Each process installs the virtual outside for itself, so the one that asks for a campaign keeps the real one.
"""

import multiprocessing
from collections.abc import Iterable
from dataclasses import dataclass

from tests.faults import baseline, explorer, guards, simulator
from tests.faults.configurations import CONFIGURATIONS
from tests.faults.invariants import HARM

DEEP = (
    "store",
    "executes",
    "slow",
    "unbounded",
    "same-key-late",
    "blind",
    "three",
    "another-attempt",
    "store2",
    "outrun",
)
"""Small enough to be explored with one deviation more."""
WHOLE = ("permutations", "permutations-lying")
"""Every order and multiplicity of the webhooks: without a bound on deviations, as far as `most` allows."""
UNBOUNDED, MOST_WHOLE = 99, 4
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
            return Done(job, figures, found=guards.hunt(guards.MISTAKES[job.number]))
        case _:
            with baseline.instead():
                if job.name in CONFIGURATIONS:
                    explorer.every(CONFIGURATIONS[job.name], job.number, job.most, figures)
                else:
                    explorer.wander(job.name, job.number, job.most, figures)
                explorer.shorten(figures)
            return Done(job, figures)


def exhaustive(deviations: int, most: int, deeper: int = 0, kind: str = "every") -> list[Job]:
    return [
        Job(kind, name, UNBOUNDED, most * MOST_WHOLE)
        if name in WHOLE
        else Job(kind, name, deviations + (deeper if name in DEEP else 0), most)
        for name in CONFIGURATIONS
        if not name.startswith("everything")
    ]


def randomly(seed: str, count: int, kind: str = "random") -> list[Job]:
    return [Job(kind, seed, first, min(CHUNK, count - first)) for first in range(0, count, CHUNK)]


def all_guards() -> list[Job]:
    return [Job("guard", guard.name, number, 0) for number, guard in enumerate(guards.GUARDS)]


def all_mistakes() -> list[Job]:
    return [Job("mistake", mistake.name, number, 0) for number, mistake in enumerate(guards.MISTAKES)]


def run(jobs: Iterable[Job], processes: int) -> list[Done]:
    """Do all jobs; the largest should come first."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(processes, initializer=simulator.install) as pool:
        done = list(pool.imap_unordered(work, jobs, chunksize=1))
        pool.close()
        pool.join()
    return done


def total(done: Iterable[Done], *kinds: str) -> explorer.Figures:
    figures = explorer.Figures()
    for each in done:
        if each.job.kind in kinds:
            figures.add(each.figures)
    return figures


def report(done: list[Done], seed: str, seconds: float) -> str:
    """The document: figures, guards, baseline."""
    figures, other = total(done, "every", "random"), total(done, "baseline")
    hunted = sorted((each for each in done if each.job.kind == "guard"), key=lambda each: each.job.number)
    killed = sum(each.found is not None for each in hunted)
    partly = sorted(each.job.name for each in done if each.job.kind == "every" and not each.whole)
    lines = [
        "# The fault simulator's figures",
        "",
        "Written by `make faults`; not by hand. The four real handlers run in one process on a virtual clock, with "
        "API Gateway's events, against a table, a secret and a provider in memory, and are interrupted, interleaved and harmed at every call of them. A "
        "schedule is its list of deviations from the faultless order: `exhaustive` means every schedule with at most two "
        "deviations (three in the small configurations; `permutations`: every order of the webhooks, once or twice each), `random` draws from the seed.",
        "",
        f"Seed `{seed}`; {seconds:.0f} s. One schedule again, step by step: "
        "`python tests/faults/run.py --replay 'executes:3=1'`.",
        "",
        "| | the void service | idempotency decorator around the provider call |",
        "|---|--:|--:|",
        f"| schedules, exhaustive | {figures.exhaustive:,} | {other.exhaustive:,} |",
        f"| schedules, random | {figures.random:,} | {other.random:,} |",
        f"| faults injected | {figures.faults.total():,} | {other.faults.total():,} |",
        f"| crashes | {figures.crashes.total():,} | {other.crashes.total():,} |",
        *(f"| schedules with: {column} | {figures.harm[column]:,} | {other.harm[column]:,} |" for column in HARM),
        f"| guards whose removal is noticed | {killed} of {len(hunted)} | |",
        "",
        *([f"Not explored whole within their budget: {', '.join(partly)}.", ""] if partly else []),
    ]
    lines += _findings("Violations", figures)
    lines += ["## Guards", "", "| taken out | then | shortest schedule found |", "|---|---|---|"]
    for each in hunted:
        what, schedule = each.found or ("NOT NOTICED", "")
        lines.append(f"| {each.job.name} | {what} | `{schedule}` |")
    lines += ["", *_findings("The baseline's violations", other)]
    lines += ["## Faults and crashes", "", "| fault | times | settled after, p50 | p99 |", "|---|--:|--:|--:|"]
    for kind, times in sorted(figures.settle_ms.items()):
        p50, p99 = explorer.percentile(times, 0.5), explorer.percentile(times, 0.99)
        lines.append(f"| {kind} | {figures.faults[kind] or times.total():,} | {_span(p50)} | {_span(p99)} |")
    lines += ["", "| crash | times |", "|---|--:|"]
    lines += [f"| {point} | {count:,} |" for point, count in sorted(figures.crashes.items())]
    return "\n".join(lines) + "\n"


def _findings(title: str, figures: explorer.Figures) -> list[str]:
    if not figures.first:
        return []
    rows = [f"| {what} | `{schedule}` |" for what, schedule in sorted(figures.first.items())]
    return [f"## {title}", "", "| violation | shortest schedule found |", "|---|---|", *rows, ""]


def _span(ms: int) -> str:
    """Virtual time as a person reads it."""
    if ms < 60_000:
        return f"{ms / 1000:g} s"
    if ms < 3_600_000:
        return f"{ms / 60_000:.1f} min"
    return f"{ms / 3_600_000:.1f} h"


__all__ = ["Done", "Job", "all_guards", "all_mistakes", "exhaustive", "randomly", "report", "run", "total"]
