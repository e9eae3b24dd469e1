"""`python -m proof.simulation`: the campaign, a replay, or a replay with a guard taken out."""

import argparse
import random
import sys
import time
from collections import Counter
from contextlib import nullcontext
from pathlib import Path

from proof.commit import commit
from proof.simulation import explorer
from proof.simulation.configurations import CONFIGURATIONS
from proof.simulation.guards import GUARDS, MISTAKES, Guard, hunt, without

ALL = {each.name: each for each in (*GUARDS, *MISTAKES)}
PAGE = Path(__file__).resolve().parent.parent.parent / "docs" / "faults.md"


def main() -> int:
    """Run what the command line says; 1 if harm was found or a guard was not noticed."""
    parser = argparse.ArgumentParser(prog="proof.simulation", description=__doc__)
    parser.add_argument("--schedules", type=int, default=100_000)
    parser.add_argument("--seed", default=str(random.SystemRandom().randrange(10**9)))
    parser.add_argument("--replay")
    parser.add_argument("--without", choices=ALL, metavar="GUARD")
    arguments = parser.parse_args()
    with explorer.installed():
        if arguments.replay:
            return replay(arguments.replay, ALL.get(arguments.without))
        return campaign(arguments.schedules, arguments.seed)


def replay(line: str, taken_out: Guard | None) -> int:
    """Print one schedule step by step."""
    with without(taken_out) if taken_out is not None else nullcontext():
        sim = explorer.run(*explorer.read(line), trace=True)
    print("\n".join(sim.lines or ()))
    print("\n".join(sim.watch.violations) or "No harm.")
    return int(bool(sim.watch.violations))


def campaign(schedules: int, seed: str) -> int:
    """So many schedules at random over all configurations; writes the page."""
    began, kinds, decided = time.process_time(), Counter[str](), Counter[str]()
    harm: dict[str, str] = {}
    configs = list(CONFIGURATIONS.values())
    for number in range(schedules):
        config = configs[number % len(configs)]
        sim, schedule = explorer.walk(config, f"{seed}/{number}")
        kinds.update(sim.injected)
        decided.update(sim.watch.decided)
        for text in sim.watch.violations[:1]:
            if text not in harm:
                harm[text] = explorer.written(config, explorer.shrink(config, schedule))
                print(f"{text}   make faults REPLAY='{harm[text]}'", flush=True)
    hits = {name: hunt(each) for name, each in ALL.items()}
    seconds = time.process_time() - began
    faults = kinds.total() - kinds["runs"] - kinds["cut off"]
    done = f"""{schedules:,} schedules at random over {len(configs)} configurations (seed {seed}),
{faults:,} faults of {len(kinds)} kinds injected, {kinds["cut off"]} schedules cut off at their longest, {seconds:.0f} CPU seconds, one process."""
    PAGE.write_text(page(done, decided, harm, hits))
    print(f"{schedules} schedules (seed {seed}), {seconds:.0f} CPU s, harm: {len(harm)}; {PAGE.name} written")
    return int(bool(harm) or None in hits.values())


def page(done: str, decided: Counter[str], harm: dict[str, str], hits: dict[str, tuple[str, str] | None]) -> str:
    found = "\n".join(f"- {text}: `make faults REPLAY='{line}'`" for text, line in harm.items()) or "None."
    ended = ", ".join(f"{name} {count}" for name, count in decided.most_common()) or "none"
    table = "\n".join(
        f"| {name} | {hit[0] if hit else '**not noticed**'} | {f'`{hit[1]}`' if hit else ''} |"
        for name, hit in hits.items()
    )
    return f"""# Faults

Written by `make faults` on commit {commit()}: {done}

The shipped handlers and provider client run on a virtual network, table, secret and clocks; the provider is `play/`, in bytes.
What only permutes steps of the protocol is explored whole elsewhere ([closure](closure.md)).

## Harm

Double voids, lost operations, false words, disagreement at rest, leaks, crashes, functions out of time: {len(harm)} kinds.

{found}

What no evidence could end, an operator's decision ended; it had been reviewed as: {ended}.

## Without a guard

Each guard is one lock. Taken out, it does this harm (the line replays it: `make faults REPLAY='…' WITHOUT='…'`); the last
{len(MISTAKES)} are mistakes put in.

| guard or mistake | harm | schedule |
|---|---|---|
{table}
"""


if __name__ == "__main__":
    sys.exit(main())
