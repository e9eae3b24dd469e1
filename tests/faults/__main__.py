"""`make faults`: runs the fault simulator and prints its figures. `--replay LINE` prints one schedule step by step.

Writes docs/faults.md; ends with an error if anything was violated, or a guard or a mistake was not noticed.
"""

import argparse
import sys
import time
from pathlib import Path

from tests.faults import baseline, campaign, explorer, guards, mistakes, report, seams

ROOT = Path(__file__).resolve().parents[2]


def replay(text: str, removed: str | None, other: bool) -> int:
    """Print one schedule, as shipped, or with a guard taken out, or of the baseline."""
    seams.install()
    config, schedule = explorer.parse(text)
    if other:
        with baseline.instead():
            sim, _ = explorer.play(config, schedule, trace=True)
    elif removed:
        known = {guard.name: guard for guard in (*guards.GUARDS, *mistakes.MISTAKES)}
        with guards.without(known[removed]):
            sim, _ = explorer.play(config, schedule, trace=True)
    else:
        sim, _ = explorer.play(config, schedule, trace=True)
    for number, step in enumerate(sim.lines or (), 1):
        print(f"{number:3}. {step}")
    print(*(sim.watch.violations or ["no violation"]), sep="\n")
    return 1 if sim.watch.violations else 0


def main() -> int:
    """The command line."""
    options = argparse.ArgumentParser(
        prog="python -m tests.faults", description="The fault simulator of the void service."
    )
    options.add_argument("--schedules", type=int, default=500_000, help="how many in all")
    options.add_argument("--seed", default="faults", help="of the random schedules")
    options.add_argument("--processes", type=int, default=2)
    options.add_argument("--replay", metavar="LINE", help="one schedule, as printed")
    options.add_argument("--without", metavar="GUARD", help="with --replay: this guard taken out")
    options.add_argument("--baseline", action="store_true", help="with --replay: the baseline instead of the service")
    options.add_argument("--no-write", action="store_true", help="leave docs/faults.md as it is")
    chosen = options.parse_args()
    if chosen.replay:
        return replay(chosen.replay, chosen.without, chosen.baseline)
    began = time.time()
    most = max(500, chosen.schedules // 100)
    hunts = campaign.all_guards() + campaign.all_mistakes()
    done = campaign.run(hunts + campaign.exhaustive(2, most, deeper=1), chosen.processes)
    left = max(0, chosen.schedules - campaign.total(done, "every").exhaustive)
    done += campaign.run(
        campaign.exhaustive(2, most // 10, kind="baseline")
        + campaign.randomly(f"{chosen.seed}-baseline", min(20_000, left // 10), "baseline")
        + campaign.randomly(chosen.seed, left),
        chosen.processes,
    )
    text = report.report(done, chosen.seed, time.time() - began)
    print(text)
    if not chosen.no_write:
        (ROOT / "docs" / "faults.md").write_text(text, encoding="utf-8")
    noticed = all(each.found for each in done if each.job.kind in ("guard", "mistake"))
    return 0 if noticed and not campaign.total(done, "every", "random").harm else 1


if __name__ == "__main__":
    sys.exit(main())
