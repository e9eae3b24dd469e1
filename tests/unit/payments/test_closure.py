"""Every state that one order can reach keeps every promise; and a rule that is taken out breaks one.

The large spaces are explored by `make proof PROOF=model`: docs/closure.md.
"""

from collections.abc import Callable
from typing import Any

import pytest

from payments import claims, evidence, orders, verdict
from payments.facts import DAY_MS, End, State, Status
from proof.closure import checks, world
from proof.closure.explore import explore
from proof.closure.world import Options

pytestmark = pytest.mark.slow
SPACES = {
    "one attempt": (Options(), 17_967),
    "names that answers use and lists do not": (Options(names=("ot", "t", "-")), 23_105),
    "a void of the portal": (Options(attempts=0, portal=1), 1_593),
}


@pytest.mark.parametrize(("options", "states"), SPACES.values(), ids=SPACES)
def test_every_state_keeps_every_promise(options: Options, states: int) -> None:
    found = explore(options)
    assert (found.closed, found.broken) == (True, {})
    assert found.states == states, "the world has grown or shrunk: is that meant?"


def test_wrong_decisions_do_only_what_was_insisted_on_and_have_a_way_back() -> None:
    found = explore(Options(decisions="any"), most=15_000)
    assert set(found.broken) <= {
        "needs a decision (after a wrong decision)", "a final word about an attempt that lives (after a wrong decision)",
    }  # fmt: skip
    found = explore(Options(2, decisions="any", first=world.WRONG))
    assert (found.closed, set(found.broken)) == (True, {"a second void of ours (after a wrong decision)"})


Mutant = Callable[[pytest.MonkeyPatch], None]


def patched(module: Any, name: str, make: Callable[[Any], Any]) -> Mutant:
    return lambda monkeypatch: monkeypatch.setattr(module, name, make(getattr(module, name)))


def unwilling(real: Callable[..., Any]) -> Callable[..., Any]:
    """Only a name in a list ends what messages named."""
    return lambda facts: [
        each for each in facts.voids if each.status is Status.UNDER_WAY and each.ruled_out < each.rows
    ]  # fmt: skip


def too_late(real: Callable[..., Any]) -> Callable[..., Any]:
    """Whenever a list began, a day is over."""
    return lambda looked, view, began, leased: real(looked, view, began + DAY_MS, leased)


def early(real: Callable[..., bool]) -> Callable[..., bool]:
    """An absence counts as soon as the hold was alone."""
    return lambda facts, state: state in (State.SUBMITTING, State.UNKNOWN) and bool(facts.looked.alone)


MUTANTS: dict[str, tuple[Mutant, Options, str]] = {
    "a success is not above all": (patched(verdict, "_executed", lambda _: lambda _facts: []), Options(), "beside a success"),
    "what is under way is not pending": (patched(verdict, "under_way", lambda _: lambda _facts: []), Options(0, 1), "under way"),
    "only names end what messages named": (
        patched(verdict, "under_way", unwilling), Options(names=("ot", "t", "-")), "for ever"),
    "an absence counts at once": (patched(orders, "may_be_sent_again", early), Options(), "sent again"),
    "a list that began early is late": (patched(evidence, "_looked", too_late), Options(), "lives"),
    "only the newest attempt is corrected": (
        patched(orders, "REFUSALS", lambda _: frozenset[End]()), Options(2, decisions="any", first=world.WRONG), "not corrected"),
    "unknown rows are not seen": (
        patched(claims, "unknown_rows", lambda _: lambda _facts: []), Options(2, other_rows=True), "we do not know"),
}  # fmt: skip


def clear() -> None:
    for cached in (world.void_of, world.may_claim, checks._quiet):
        cached.cache_clear()


@pytest.mark.parametrize("name", MUTANTS)
def test_a_rule_that_is_taken_out_breaks_a_promise(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    mutant, options, promise = MUTANTS[name]
    clear()
    mutant(monkeypatch)
    try:
        found = explore(options, most=20_000, until=promise)
    finally:
        monkeypatch.undo()
        clear()
    assert any(promise in each for each in found.broken), found
