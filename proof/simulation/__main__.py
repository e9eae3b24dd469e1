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
from proof.simulation.guards import GUARDS, MISTAKES, hunt, without

PAGE = Path(__file__).resolve().parent.parent.parent / "docs" / "faults.md"


def main() -> int:
    """Run what the command line says; 1 if harm was found or a guard was not noticed."""
    parser = argparse.ArgumentParser(prog="proof.simulation", description=__doc__)
    parser.add_argument("--schedules", type=int, default=100_000)
    parser.add_argument("--seed", default=str(random.SystemRandom().randrange(10**9)))
    parser.add_argument("--replay")
    parser.add_argument("--without")
    arguments = parser.parse_args()
    with explorer.installed():
        if arguments.replay:
            return replay(arguments.replay, arguments.without)
        return campaign(arguments.schedules, arguments.seed)


def replay(line: str, name: str | None) -> int:
    """Print one schedule step by step."""
    config, schedule = explorer.read(line)
    taken_out = next((each for each in (*GUARDS, *MISTAKES) if each.name == name), None)
    if name is not None and taken_out is None:
        print(f"No such guard: {name}. There are: {', '.join(each.name for each in (*GUARDS, *MISTAKES))}")
        return 2
    with without(taken_out) if taken_out is not None else nullcontext():
        sim = explorer.run(config, schedule, trace=True)
    print("\n".join(sim.lines or ()))
    print("\n".join(sim.watch.violations) or "No harm.")
    return int(bool(sim.watch.violations))


def campaign(schedules: int, seed: str) -> int:
    """So many schedules at random over all configurations; writes the page."""
    began, total, kinds, decided = time.process_time(), 0, Counter[str](), Counter[str]()
    harm: dict[str, str] = {}
    names = list(CONFIGURATIONS)
    for number in range(schedules):
        config = CONFIGURATIONS[names[number % len(names)]]
        sim, schedule = explorer.walk(config, f"{seed}/{number}")
        total += 1
        kinds.update(sim.injected)
        decided.update(sim.watch.decided)
        for text in sim.watch.violations[:1]:
            if text not in harm:
                harm[text] = explorer.written(config, explorer.shrink(config, schedule))
                print(f"{text}   make faults REPLAY='{harm[text]}'", flush=True)
    rows = [(each.name, hunt(each)) for each in (*GUARDS, *MISTAKES)]
    seconds = time.process_time() - began
    PAGE.write_text(page(total, seed, seconds, kinds, decided, harm, rows))
    print(f"{total} schedules (seed {seed}), {seconds:.0f} CPU s, harm: {len(harm)}; {PAGE.name} written")
    return int(bool(harm) or any(found is None for _, found in rows))


def page(
    total: int, seed: str, seconds: float, kinds: Counter[str], decided: Counter[str],
    harm: dict[str, str], rows: list[tuple[str, tuple[str, str] | None]],
) -> str:  # fmt: skip
    faults = sum(count for name, count in kinds.items() if name not in ("runs", "cut off"))
    found = "\n".join(f"- {text}: `make faults REPLAY='{line}'`" for text, line in harm.items()) or "None."
    ended = ", ".join(f"{name} {count}" for name, count in decided.most_common()) or "none"
    table = "\n".join(
        f"| {name} | {hit[0] if hit else '**not noticed**'} | {f'`{hit[1]}`' if hit else ''} |" for name, hit in rows
    )
    return f"""# Faults

Written by `make faults` on commit {commit()}: {total:,} schedules at random over {len(CONFIGURATIONS)} configurations (seed {seed}),
{faults:,} faults of {len(kinds)} kinds injected, {kinds["cut off"]} schedules cut off at their longest, {seconds:.0f} CPU seconds, one process.

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
