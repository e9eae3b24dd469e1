"""What a run measures, one step after the other: each gives figures of several subjects, taken side by side."""

import json
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from functools import partial

from proof.benchmarks import measure, subjects
from proof.benchmarks.measure import FAR, NEAR_REGION, Samples
from proof.benchmarks.processes import Stubs
from proof.benchmarks.stub import PROJECT
from proof.benchmarks.subjects import ALONE, HEADS, LEVERS, SHIPPABLE, WORKS, Subject

BARE = "cold instructions, peers without byte code, millions"
DUE = 20
"""Orders that each shard of a settle run shows."""

Step = Callable[[], Samples]


def steps(made: dict[str, Subject], stack: ExitStack, indexes: str, *, quick: bool, valgrind: bool) -> dict[str, Step]:
    """All of them by name; the stubs run until the stack ends. `indexes`: of the deployed table."""
    sides, ours = [made[name] for name in HEADS], made["ours"]
    near = stack.enter_context(Stubs(indexes=indexes))
    distances = {NEAR_REGION: FAR[NEAR_REGION]} if quick else FAR
    distant = {name: stack.enter_context(Stubs(*given)) for name, given in distances.items()}
    found: dict[str, Step] = {"packages": partial(packages, made)}
    for side in sides:
        works = (*WORKS, *ALONE) if side is ours else WORKS
        found[f"{side.name}: consumption"] = partial(measure.consumption, side, works, near)
    for work in WORKS:
        found[f"{work}: cold"] = partial(measure.cold, sides, work, near, 3 if quick else 15)
        found[f"{work}: warm"] = partial(measure.warm, sides, work, near, 5 if quick else 40, drops=0 if quick else 30)
        found[f"{work}: profile"] = partial(measure.profile, ours, work, near)
        for name, far in distant.items():
            found[f"{work}: warm, {name}"] = partial(measure.warm, sides, work, far, 3 if quick else 20, name)
            found[f"{work}: first, {name}"] = partial(measure.cold, sides, work, far, 2 if quick else 10, name)
        if valgrind:
            counted = sides[:2] if quick else sides
            found[f"{work}: instructions"] = partial(measure.instructions, counted, work, near, 4 if quick else 10)
        if valgrind and not quick:
            found[f"{work}: instructions without byte code"] = partial(bare, made, work, near)
    for work in ALONE:  # for the bill
        found[f"{work}: cold"] = partial(measure.cold, [ours], work, near, 3)
        found[f"{work}: warm"] = partial(measure.warm, [ours], work, near, 3)
        found[f"{work}: first"] = partial(measure.cold, [ours], work, distant[NEAR_REGION], 3, NEAR_REGION)
        found[f"{work}: warm, far"] = partial(measure.warm, [ours], work, distant[NEAR_REGION], 3, NEAR_REGION)
    found["settling"] = lambda: measure.settling(ours, near, due(), 3 if quick else 10)
    return found | levers(ours, near, quick=quick, valgrind=valgrind)


def levers(ours: Subject, near: Stubs, *, quick: bool, valgrind: bool) -> dict[str, Step]:
    """Our asset with one thing taken away at a time, beside the asset as it is."""

    def sides() -> list[Subject]:
        return [ours, *(replace(take(ours), name=f"ours: {what}") for what, take in LEVERS.items())]

    found: dict[str, Step] = {"levers: packages": lambda: packages({side.name: side for side in sides()})}
    found["levers: cold"] = lambda: measure.cold(sides(), "submit", near, 3 if quick else 10)
    if not quick:
        found["levers: warm"] = lambda: measure.warm(sides(), "submit", near, 10, drops=15)
    if valgrind and not quick:
        found["levers: instructions"] = lambda: measure.instructions(sides(), "submit", near, 0)
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
    (values,) = measure.instructions([made["ours"], *plain], work, near, 0).values()
    return {f"{work}: {BARE}": values}


def due() -> str:
    """A page of orders whose answers were lost, all of them executed."""
    from payments.facts import Request
    from payments.items import number, write_order
    from payments.orders import Order

    requested = Order(PROJECT.pos_id, "order-0").claimed(Request("order-0", "UAH", "benchmark", "key", None), "id", 1)
    item = write_order(replace(requested, version=1)) | {"due_at": number(1)}
    orders = [f"order-{count}" for count in range(DUE)]
    moved = [{"pk": {"S": f"{PROJECT.pos_id}#{name}"}, "order_id": {"S": name}} for name in orders]
    return json.dumps({"Items": [{**item, **each} for each in moved]})
