"""The situations in which subjects are run beside each other, and their figures: rounds interleaved.

Promises that every figure of a round is taken of all subjects within moments, so that a ratio is of one machine in one
state, and that an invoke which was not answered with 2xx ends the run: wrong work would be a wrong figure.
"""

import gzip
import json
import os
import re
import statistics
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from copy import replace
from functools import partial
from pathlib import Path

from proof.benchmarks import subjects
from proof.benchmarks.processes import ROLES, Driven, Stubs
from proof.benchmarks.stub import PROJECT
from proof.benchmarks.subjects import ALONE, HEADS, LEVERS, SHIPPABLE, WORKS, Subject

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
        with (
            tempfile.NamedTemporaryFile(dir=subjects.CACHE) as log,
            Driven(side, work, running.ports, log=log.name) as started,
        ):
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


# ---- what a run measures ---------------------------------------------------------------------------------------------

BARE = "cold instructions, peers without byte code, millions"
DUE = 20
"""Orders that each shard of a settle run shows."""

type Step = Callable[[], Samples]


def steps(made: dict[str, Subject], stack: ExitStack, indexes: str, *, quick: bool, valgrind: bool) -> dict[str, Step]:
    """All of them by name; the stubs run until the stack ends. `indexes`: of the deployed table."""
    sides, ours = [made[name] for name in HEADS], made["ours"]
    near = stack.enter_context(Stubs(indexes=indexes))
    distances = {NEAR_REGION: FAR[NEAR_REGION]} if quick else FAR
    distant = {name: stack.enter_context(Stubs(*given)) for name, given in distances.items()}
    found: dict[str, Step] = {"packages": partial(packages, made)}
    for side in sides:
        works = (*WORKS, *ALONE) if side is ours else WORKS
        found[f"{side.name}: consumption"] = partial(consumption, side, works, near)
    for work in WORKS:
        found[f"{work}: cold"] = partial(cold, sides, work, near, 3 if quick else 15)
        found[f"{work}: warm"] = partial(warm, sides, work, near, 5 if quick else 40, drops=0 if quick else 30)
        found[f"{work}: profile"] = partial(profile, ours, work, near)
        for name, far in distant.items():
            found[f"{work}: warm, {name}"] = partial(warm, sides, work, far, 3 if quick else 20, name)
            found[f"{work}: first, {name}"] = partial(cold, sides, work, far, 2 if quick else 10, name)
        if valgrind:
            counted = sides[:2] if quick else sides
            found[f"{work}: instructions"] = partial(instructions, counted, work, near, 4 if quick else 10)
        if valgrind and not quick:
            found[f"{work}: instructions without byte code"] = partial(bare, made, work, near)
    for work in ALONE:  # for the bill
        found[f"{work}: cold"] = partial(cold, [ours], work, near, 3)
        found[f"{work}: warm"] = partial(warm, [ours], work, near, 3)
        found[f"{work}: first"] = partial(cold, [ours], work, distant[NEAR_REGION], 3, NEAR_REGION)
        found[f"{work}: warm, far"] = partial(warm, [ours], work, distant[NEAR_REGION], 3, NEAR_REGION)
    found["settling"] = lambda: settling(ours, near, due(), 3 if quick else 10)
    return found | levers(ours, near, quick=quick, valgrind=valgrind)


def levers(ours: Subject, near: Stubs, *, quick: bool, valgrind: bool) -> dict[str, Step]:
    """Our asset with one thing taken away at a time, beside the asset as it is."""

    def sides() -> list[Subject]:
        return [ours, *(replace(take(ours), name=f"ours: {what}") for what, take in LEVERS.items())]

    found: dict[str, Step] = {"levers: packages": lambda: packages({side.name: side for side in sides()})}
    found["levers: cold"] = lambda: cold(sides(), "submit", near, 3 if quick else 10)
    if not quick:
        found["levers: warm"] = lambda: warm(sides(), "submit", near, 10, drops=15)
    if valgrind and not quick:
        found["levers: instructions"] = lambda: instructions(sides(), "submit", near, 0)
    return found


def packages(made: dict[str, Subject]) -> Samples:
    """Sizes. Peers are counted as most tools zip them, without byte code; ours with it, as it is deployed."""
    found: Samples = {"package unzipped, MiB": {}, "package zipped, MiB": {}}
    for name, subject in made.items():
        side = subjects.without_bytecode(subject) if name in SHIPPABLE else subject
        for values, size in zip(found.values(), subjects.size(side.directory), strict=True):
            values[name] = [size / 2**20]
    return found


def bare(made: dict[str, Subject], work: str, near: Stubs) -> Samples:
    """Cold instructions of ours, and of the peers as most tools zip them."""
    plain = [replace(subjects.without_bytecode(made[name]), name=name) for name in SHIPPABLE]
    (values,) = instructions([made["ours"], *plain], work, near, 0).values()
    return {f"{work}: {BARE}": values}


def due() -> str:
    """A page of orders whose answers were lost, all of them executed."""
    from payments.facts import Request
    from payments.items import number, write_order
    from payments.orders import Order

    requested = Order(PROJECT.pos_id, "order-0").claimed(Request("order-0", "UAH", "benchmark", "key", None), "id", 1)
    item = write_order(replace(requested, version=1)) | {"due_at": number(1)}
    moved = [{**item, "pk": {"S": f"{PROJECT.pos_id}#order-{count}"}} for count in range(DUE)]
    return json.dumps({"Items": moved})
