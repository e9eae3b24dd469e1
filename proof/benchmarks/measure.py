"""The situations in which subjects are run beside each other, and their figures: rounds interleaved.

Promises that every figure of a round is taken of all subjects within moments, so that a ratio is of one machine in one
state, and that an invoke which was not answered with 2xx ends the run: wrong work would be a wrong figure.
"""

import gzip
import os
import re
import statistics
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

from proof.benchmarks.processes import ROLES, Driven, Stubs
from proof.benchmarks.subjects import CACHE, Subject

Samples = dict[str, dict[str, list[float]]]
"""Figure, subject, one value a round."""

NEAR_REGION, OTHER_REGION = "8/10/200", "20/60/200"
FAR = {
    NEAR_REGION: ("--aws-ms=8", "--provider-connect-ms=10", "--provider-ms=200"),
    OTHER_REGION: ("--aws-ms=20", "--provider-connect-ms=60", "--provider-ms=200"),
}
"""Milliseconds to the table and the secret, until the provider's connection is open, until its answer: by one name."""
BLOCK, FAR_BLOCK, WARM_UP, COUNTED = 50, 3, 2, 40
PACKAGES = {"boto3": "botocore", "botocore": "botocore", "urllib3": "urllib3", "aws_lambda_powertools": "Powertools"}


def interleaved(sides: list[Subject], rounds: int, take: Callable[[Subject], dict[str, float]]) -> Samples:
    """So many rounds; another subject begins each one."""
    found: Samples = defaultdict(lambda: defaultdict(list))
    for number in range(rounds):
        start = number % len(sides)
        for side in sides[start:] + sides[:start]:
            for figure, value in take(side).items():
                found[figure][side.name].append(value)
    return found


def prepare(sides: list[Subject], work: str, running: Stubs) -> None:
    """A read needs an order."""
    for side in sides if work == "read" else ():
        with Driven(side, "submit", running.ports):
            pass


# ---- situations ------------------------------------------------------------------------------------------------------


def cold(sides: list[Subject], work: str, running: Stubs, rounds: int, distance: str = "") -> Samples:
    """Import and first invoke, each in a fresh process; far away the wall time, else what it computes and asks."""

    def take(side: Subject) -> dict[str, float]:
        running.ask("reset")
        with Driven(side, work, running.ports) as started:
            first, counts = started.first, running.ask("counts")
        wall, cpu = first["walls"][0] / 1e6, first["spent"][0] / 1e6
        if distance:
            return {
                f"{work}: cold start, wall ({distance}), ms": first["init_wall"] / 1e6 + wall,
                f"{work}: first invoke, wall ({distance}), ms": wall,
            }
        return {
            f"{work}: cold CPU, ms": first["init_cpu"] / 1e6 + cpu,
            f"{work}: first invoke CPU, ms": cpu,
            f"{work}: cold round trips": sum(counts.get(role, 0) for role in ROLES),
            f"{work}: cold connections": sum(counts.get(f"{role} connections", 0) for role in ROLES),
        }

    prepare(sides, work, running)
    interleaved(sides, 1, take)  # fills the page cache
    return interleaved(sides, rounds, take)


def warm(
    sides: list[Subject], work: str, running: Stubs, rounds: int, distance: str = "", *, drops: int = 0
) -> Samples:
    """Blocks of invokes in processes that go on; with `drops` also their memory, and invokes after a hang-up."""
    block = FAR_BLOCK if distance else BLOCK
    prepare(sides, work, running)
    with ExitStack() as stack:
        each = {side.name: stack.enter_context(Driven(side, work, running.ports)) for side in sides}
        for started in each.values():
            started.do("warm", block)

        def take(side: Subject) -> dict[str, float]:
            answer = each[side.name].do("warm", block)
            if distance:
                return {f"{work}: warm, wall ({distance}), ms": statistics.median(answer["walls"]) / 1e6}
            return {f"{work}: warm CPU, µs": statistics.median(answer["spent"]) / 1e3}

        def memory(side: Subject) -> dict[str, float]:
            started = each[side.name]
            return {f"{work}: memory after 1,000, MiB": started.do("warm", max(1000 - started.next, 1))["rss"] / 1024}

        def dropped(side: Subject) -> dict[str, float]:
            running.ask("drop")
            time.sleep(0.05)
            spent: float = each[side.name].do("warm")["spent"][0]
            return {f"{work}: CPU after dropped connections, µs": spent / 1e3}

        found = interleaved(sides, rounds, take)
        return {**found, **interleaved(sides, 1, memory), **interleaved(sides, drops, dropped)} if drops else found


def consumption(side: Subject, works: tuple[str, ...], running: Stubs) -> Samples:
    """What the same orders use in each work of their life, and the bytes that stay of one."""
    found: dict[str, float] = {}
    for work in works:
        with tempfile.NamedTemporaryFile(dir=CACHE) as log, Driven(side, work, running.ports, log=log.name) as started:
            started.do("warm", WARM_UP)
            os.truncate(log.name, 0)
            running.ask("reset")
            answer, counts = started.do("warm", COUNTED), running.ask("counts")
            text = Path(log.name).read_bytes()
        by_index = {name: count for name, count in counts.items() if name.startswith("writes ")}
        figures = {
            "warm round trips": sum(counts.get(role, 0) for role in ROLES),
            "warm bytes sent": sum(counts.get(f"{role} bytes", 0) for role in ROLES),
            "write units": sum(by_index.values()),
            **{name.replace("writes", "write units of"): count for name, count in by_index.items()},
            "read units": counts.get("reads", 0),
            "log, lines": text.count(b"\n"),
            "log, bytes": len(text),
            "log, bytes zipped": len(gzip.compress(text, 6)),
            "answer, bytes": sum(answer["sizes"]),
            "to the provider with TLS, bytes": counts.get("provider wire", 0),
        }
        found |= {f"{work}: {figure}": value / COUNTED for figure, value in figures.items()}
    stored = running.ask("stored")
    stored = sum(stored.get(name, 0) for name in (side.name, f"{side.name} idempotency"))
    found["item with its index entries, bytes"] = stored / (1 + WARM_UP + COUNTED)
    return {figure: {side.name: [value]} for figure, value in found.items()}


def settling(ours: Subject, running: Stubs, page: str, runs: int) -> Samples:
    """What one query of a settle run takes, with its lease and its outcome. `page`: the voids that are due."""
    running.ask("page", text=page)
    with Driven(ours, "settle", running.ports) as started:

        def take(_: Subject) -> dict[str, float]:
            running.ask("reset")
            answer = started.do("warm")
            return {
                "settle: CPU of a query, µs": answer["spent"][0] / 1e3 / running.ask("counts")["provider"],
                "settle: memory with 8 workers, MiB": answer["rss"] / 1024,
            }

        found = interleaved([ours], runs, take)
    running.ask("page", text="{}")
    return found


def profile(side: Subject, work: str, running: Stubs) -> Samples:
    """Where a warm invoke is: calls of Python functions by whose they are, which is the same in every run."""
    with Driven(side, work, running.ports) as started:
        started.do("warm", WARM_UP)
        calls = started.do("profile", COUNTED)["calls"]
    whose: Counter[str] = Counter()
    for name, count in calls.items():
        ours = name == "payments" or (side.directory / f"{name}.py").is_file()
        whose["the handlers and payments" if ours else PACKAGES.get(name, "Python's own")] += count
    return {f"{work}: calls within {name}": {side.name: [count / COUNTED]} for name, count in whose.most_common()}


def instructions(sides: list[Subject], work: str, running: Stubs, more: int) -> Samples:
    """User-space instructions, counted by valgrind: blind to the kernel, but nearly the same in every run.

    All are told the same number of events, so that reading them cancels out; two are counted side by side, which the
    count does not notice. With `more`: also those of a warm invoke, the mean of so many.
    """
    asked = [(), (("cold", 1),), (("cold", 1), ("warm", more))][: 3 if more else 2]

    def count(side: Subject, doing: tuple[tuple[str, int], ...]) -> int:
        tool = ("valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null")
        each = Driven(side, work, running.ports, under=tool)
        for do, times in (*doing, ("nothing", 1 + more - sum(times for _, times in doing))):
            if times:
                each.do(do, times)
        found = re.search(r"I\s+refs:\s+([\d,]+)", written := each.end())
        if found is None:
            raise RuntimeError(f"valgrind counted nothing: {written[-500:]}")
        return int(found[1].replace(",", ""))

    found: Samples = defaultdict(dict)
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        jobs = {side.name: [pool.submit(count, side, doing) for doing in asked] for side in sides}
        for name, (nothing, one, *many) in jobs.items():
            found[f"{work}: cold instructions, millions"][name] = [(one.result() - nothing.result()) / 1e6]
            for each in many:
                found[f"{work}: warm instructions, millions"][name] = [(each.result() - one.result()) / more / 1e6]
    return found
