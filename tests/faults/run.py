"""`make faults`: runs the fault simulator and prints its figures. `--replay LINE` prints one schedule step by step."""

import argparse
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "functions")]

from tests.faults import explorer, simulator  # noqa: E402 the path comes first


def replay(text: str) -> int:
    config, schedule = explorer.parse(text)
    sim, _ = explorer.play(config, schedule, trace=True)
    for number, step in enumerate(sim.steps or (), 1):
        print(f"{number:3}. {step}")
    print(*(sim.watch.violations or ["no violation"]), sep="\n")
    return 1 if sim.watch.violations else 0


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--schedules", type=int, default=500_000)
    options.add_argument("--replay")
    options.add_argument("--seed", default="faults")
    chosen = options.parse_args()
    simulator.install()
    if chosen.replay:
        return replay(chosen.replay)
    figures = explorer.Figures()
    began = time.time()
    explorer.wander(chosen.seed, 0, chosen.schedules, figures)
    print(f"{figures.random} in {time.time() - began:.1f} s", dict(figures.harm))
    for text, line in figures.first.items():
        print(text, "  ", line)
    return 0


if __name__ == "__main__":
    sys.exit(main())
