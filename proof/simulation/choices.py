"""What can happen next in a schedule: the ordinary course first, then the others' turns, then what goes wrong."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from play.ledger import Operation
from play.requests import Request
from proof.simulation import aws, wire
from proof.simulation.runtime import OK, TIME_OVER, Actor

if TYPE_CHECKING:
    from proof.simulation.world import Simulation

WINDOW_MS = 145_000


@dataclass(slots=True, eq=False)
class Post:
    """A void's POST between its first byte and the provider."""

    actor: Actor
    request: Request
    lands_by: int


@dataclass(slots=True, eq=False)
class Delivery:
    """A webhook that is on its way."""

    operation: Operation
    status: str
    form: str = "as documented"
    forged: bool = False
    tries: int = 0


@dataclass(frozen=True, slots=True)
class Choice:
    """Something that can happen. `costs`: which budget pays for it."""

    says: str
    happen: Callable[[], object]
    costs: str | None = None


def options(sim: "Simulation") -> list[Choice]:
    """First what happens by default, then the others' turns, then what goes wrong."""
    ready = [each for each in sim.runtime.actors if not each.waiting]
    usual = [Choice(f"{each.name} goes on at {each.point}", partial(sim.go_on, each, OK)) for each in ready]
    first = sim.runtime.actors[0] if sim.runtime.actors else None
    if not usual and first is not None:
        usual = [Choice("time passes", sim.wait)]
    if first is None:
        usual = _next(sim)
    if not usual or sim.quiet:
        return usual
    if len(usual) > 1 and not sim.left.get("overlap") and not sim.left.get("order"):
        usual = usual[:1]
    return usual + [choice for choice in _wrong(sim, ready) if sim.left.get(choice.costs or "", 0)]


def _next(sim: "Simulation") -> list[Choice]:
    """What begins when nobody runs."""
    late = [Choice("a late POST lands", partial(sim.land, post, "success")) for post in sim.posts]
    come = [(f"webhook {each.operation.operation_id} {each.status}", each) for each in sim.deliveries]
    hooks = [Choice(says, partial(sim.deliver, each)) for says, each in come]
    asks, runs, due = sim.place < len(sim.config.asks), sim.injected["runs"], sim.next_due()
    if sim.quiet:
        return late + hooks
    request = [Choice("the merchant asks", sim.request)] if asks else []
    soon = due is not None and due <= sim.runtime.now + WINDOW_MS and runs < 4
    settle = [Choice("settle_voids runs", partial(sim.settle, due or 0))] if soon else []
    if sim.config.settles_first:
        return hooks + (settle if runs < sim.config.settles_first else []) + request + late
    return late + hooks + request + settle


def _wrong(sim: "Simulation", ready: list[Actor]) -> Iterator[Choice]:
    for actor in ready:
        yield from _at(sim, actor)
    for actor in [each for each in sim.runtime.actors if each.parent is None]:
        yield Choice(f"{actor.function} dies", partial(sim.die, actor), "die")
    if sim.runtime.actors and sim.place < len(sim.config.asks):
        yield Choice("another request overlaps", sim.request, "overlap")
    if sim.runtime.actors and (due := sim.next_due()) is not None:
        yield Choice("a settle run overlaps", lambda: sim.settle(due), "overlap")
    if sim.runtime.actors and sim.deliveries:
        yield Choice("a webhook overlaps", lambda: sim.deliver(sim.deliveries[-1]), "order")
    yield from _of_webhooks(sim)
    yield from _of_the_outside(sim)


def _at(sim: "Simulation", actor: Actor) -> Iterator[Choice]:
    """How the call that an actor waits for may go otherwise."""
    config, point = sim.config, actor.point
    reset: dict[str, tuple[str, ...]] = {"net": (wire.REFUSED, wire.RESET, TIME_OVER)}
    ways_of: dict[str, dict[str, tuple[str, ...]]] = {
        "the answer": {"answer": config.answers, "late": ("late", "never lands")}, "the view": {"view": config.views},
        "secret": {"secret": (aws.HANGS, aws.THROTTLED)}, "the resolver": {"net": (wire.SLOW,)},
        "the connection": reset, "the handshake": reset,
    }  # fmt: skip
    kinds = ways_of.get(point, {})
    if point.startswith("table") and not point.endswith("silent"):
        kinds = {"table": (aws.THROTTLED, aws.HANGS, *((aws.STALE,) if "query" in point else ()), *((aws.LOST, aws.REPEATED) if "put" in point or "update" in point else ()))}  # fmt: skip
    for costs, ways in kinds.items():
        for way in ways:
            yield Choice(f"{actor.name}, {point}: {way}", partial(sim.go_on, actor, way), costs)


def _of_webhooks(sim: "Simulation") -> Iterator[Choice]:
    for each in sim.deliveries[:1]:
        for form in sim.config.forms:
            yield Choice(f"webhook: {form}", partial(sim.deliver, each, form), "form")
        yield Choice("webhook: none comes", partial(sim.deliveries.remove, each), "silence")
    for each in (sim.accepted or sim.deliveries)[:2]:
        again = Delivery(each.operation, each.status, each.form)
        yield Choice("webhook: again", partial(sim.deliver, again), "again")
    for operation in sim.bank.of(sim.project, sim.orders[0])[-1:]:
        forged = Delivery(operation, "success", forged=True)
        yield Choice("webhook: forged", partial(sim.deliver, forged), "forged")


def _of_the_outside(sim: "Simulation") -> Iterator[Choice]:
    order, project = sim.orders[0], sim.project

    def made(says: str, costs: str, method: str, status: str = "success") -> Choice:
        return Choice(says, partial(sim.bank.operate, method, status, project, order), costs)

    if sim.bank.refuses("void", project, order) is None:
        for status in ("success", "pending"):
            yield made(f"in the portal: void {status}", "portal", "void", status)
        yield made("in the portal: capture", "portal", "capture")
        for method in ("refund", "reverse", "auto_void"):
            yield made(f"a row: {method}", "rows", method)
    for operation in sim.under_way()[:1]:
        yield Choice("what was under way: failed", partial(sim.bank.resolve, operation, "failure"), "portal")
    yield Choice("the secret: new keys", sim.new_secret, "rotate")
    if project is sim.projects[0]:
        yield Choice("the secret: of the live project", partial(sim.new_secret, live=True), "live")
    if not sim.runtime.actors:
        yield Choice("all instances: frozen for a while", lambda: sim.forward(sim.runtime.now + 16 * 60_000), "freeze")
        yield Choice("all instances: frozen for ten seconds", lambda: sim.forward(sim.runtime.now + 10_000), "freeze")
    known = sim.records().get((project.pos_id, order)) is not None
    if known and not sim.runtime.actors:
        yield Choice("a reader: refresh", lambda: sim.read(order, refresh="true"), "refresh")
