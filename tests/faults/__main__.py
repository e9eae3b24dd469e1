"""`make faults`: a campaign of many schedules, and docs/faults.md as its report.

`python -m tests.faults [--schedules N] [--seed TEXT] [--replay LINE]`; a line of the report replays step by step.
"""

import argparse
import os
import sys
import time
from pathlib import Path

from tests.faults import campaign, explorer, seams
from tests.faults.campaign import Done
from tests.faults.invariants.harm import Harm

REPORT = Path(__file__).resolve().parents[2] / "docs" / "faults.md"


def main() -> int:
    """The exit code: 0 if nothing did harm and each guard was missed."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--schedules", type=int, default=500_000, help="about how many, half of them at random")
    parser.add_argument("--seed", default="faults")
    parser.add_argument("--replay", help="a schedule of the report")
    arguments = parser.parse_args()
    os.environ |= {"POWERTOOLS_SERVICE_NAME": "void-service", "POWERTOOLS_METRICS_NAMESPACE": "VoidService"}
    if arguments.replay:
        return replay(arguments.replay)
    began = time.monotonic()
    configurations = len(campaign.CONFIGURATIONS)
    jobs = campaign.taken_out() + campaign.every(arguments.schedules // 2 // configurations)
    done = campaign.run(jobs + campaign.at_random(arguments.seed, arguments.schedules // 2))
    text = report(done, arguments.seed, time.monotonic() - began)
    REPORT.write_text(text, encoding="utf-8")
    print(text)
    return 1 if campaign.total(done).first or any(each.found is None for each in hunted(done)) else 0


def replay(line: str) -> int:
    """Print one schedule step by step."""
    seams.install()
    sim, _ = explorer.play(*explorer.parse(line), trace=True)
    print("\n".join(sim.steps or ()))
    print("\n".join(sim.watch.violations) or "no violation")
    return int(bool(sim.watch.violations))


def hunted(done: list[Done]) -> list[Done]:
    """What was taken out or done wrongly on purpose."""
    return [each for each in done if each.job.kind in ("guard", "mistake")]


def report(done: list[Done], seed: str, seconds: float) -> str:
    """docs/faults.md."""
    figures = campaign.total(done)
    lines = [
        "# The fault simulator's figures", "",
        "Written by `make faults`; not by hand. The four real handlers run in one process on a virtual clock, with API",
        "Gateway's events, against a table, a secret and a provider in memory that speaks bytes, and are interrupted,",
        "interleaved and harmed at every call of them. A schedule is its list of deviations from the ordinary course.",
        'The guard "a repetition is applied again" of earlier reports is gone: a webhook and its effect are one write.', "",
        f"Seed `{seed}`; {seconds:.0f} s. One schedule again, step by step:",
        "`PYTHONPATH=functions .venv/bin/python -m tests.faults --replay 'LINE'`.", "",
        "| | |", "|---|--:|",
        f"| schedules by their deviations, at most two | {figures.exhaustive:,} |",
        f"| schedules at random | {figures.random:,} |",
        f"| faults injected | {figures.faults.total():,} |",
        f"| functions that died | {figures.deaths.total():,} |",
        *(f"| schedules with: {harm.value} | {figures.harm[harm]:,} |" for harm in Harm),
        f"| guards and mistakes noticed | {sum(bool(each.found) for each in hunted(done))} of {len(hunted(done))} |", "",
        "## Guards taken out, and mistakes made", "", "| what | then | schedule |", "|---|---|---|",
        *(f"| {each.job.name} | {each.found[0]} | `{each.found[1]}` |" if each.found else f"| {each.job.name} | not noticed | |"
          for each in hunted(done)), "",
        *(["## Violations", "", *(f"- {text}: `{line}`" for text, line in figures.first.items()), ""] if figures.first else []),
        "## Faults", "", "| fault | times | settled after, p50 | p99 |", "|---|--:|--:|--:|",
        *(f"| {kind} | {times:,} | {_time(figures, kind, 0.5)} | {_time(figures, kind, 0.99)} |"
          for kind, times in sorted(figures.faults.items())), "",
    ]  # fmt: skip
    return "\n".join(lines)


def _time(figures: explorer.Figures, kind: str, part: float) -> str:
    times = figures.settle_ms.get(kind)
    if not times:
        return ""
    seconds = explorer.percentile(times, part) / 1000
    return (
        f"{seconds:.0f} s"
        if seconds < 120
        else f"{seconds / 60:.0f} min"
        if seconds < 7200
        else f"{seconds / 3600:.1f} h"
    )


if __name__ == "__main__":
    sys.exit(main())
