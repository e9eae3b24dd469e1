"""Every state that one order can reach keeps every promise; and a rule that is taken out breaks one.

The large spaces are explored by `make proof PROOF=model`: docs/closure.md.
"""

import random

import pytest

from payments import claims, evidence, orders, verdict
from payments.facts import DAY_MS, End, Facts, State, Status
from proof.closure import checks, world
from proof.closure.explore import explore
from proof.closure.world import Options

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(("options", "states"), [
    (Options(), 5_293), (Options(names=("ot", "t", "-")), 7_391), (Options(attempts=0, portal=1), 445),
])  # fmt: skip
def test_every_state_keeps_every_promise(options: Options, states: int) -> None:
    found = explore(options)
    assert (found.closed, found.broken, found.states) == (True, {}, states), "has the world grown or shrunk on purpose?"


def test_wrong_decisions_do_only_what_was_insisted_on_and_have_a_way_back() -> None:
    wrong = " (after a wrong decision)"
    found = explore(Options(decisions="any"), most=15_000)
    assert set(found.broken) <= {f"needs a decision{wrong}", f"a final word about an attempt that lives{wrong}"}
    found = explore(Options(2, decisions="any", first=world.WRONG))
    assert (found.closed, set(found.broken)) == (True, {f"a second void of ours{wrong}"})


def without_fields(facts: Facts) -> Facts:
    return facts._replace(operations=tuple(each._replace(fields=None) for each in facts.operations))


def test_what_is_left_out_of_a_state_changes_nothing(monkeypatch: pytest.MonkeyPatch, draw: random.Random) -> None:
    """Random ways with the whole facts beside: the same may happen, and the same is broken."""
    for _ in range(150):
        names = draw.choice([("o", "o", "o"), ("ot", "t", "o"), ("ot", "t", "-")])
        late_queries, other_rows, portal = draw.choices([False, True], k=3)
        options = Options(2, portal, names, late_queries, other_rows, draw.choice(["", "true", "any"]))
        short = whole = world.World()
        for _ in range(25):
            may, broken = dict(world.steps(short, options)), set(checks.broken(short, names[1]))
            with monkeypatch.context() as patch:
                for module in (world, checks):
                    patch.setattr(module, "canonical", without_fields)
                patch.setattr(checks, "_quiet", checks._quiet.__wrapped__)
                also = dict(world.steps(whole, options))
                assert (set(also), set(checks.broken(whole, names[1]))) == (set(may), broken)
            step = draw.choice(sorted(may))
            short, whole = may[step], also[step]


LOOKED, OPEN = evidence._looked, (State.SUBMITTING, State.UNKNOWN)
MUTANTS: dict[str, tuple[object, str, object, Options, str]] = {
    "a success is not above all": (verdict, "_executed", lambda facts: [], Options(), "beside a success"),
    "what is under way is not pending": (verdict, "under_way", lambda facts: [], Options(0, 1), "under way"),
    "only names end what messages named": (
        verdict, "under_way", lambda facts: [each for each in facts.voids if each.status is Status.UNDER_WAY],
        Options(names=("ot", "t", "-")), "for ever"),
    "an absence counts at once": (
        orders, "may_be_sent_again", lambda facts, state: state in OPEN and facts.looked.alone, Options(), "sent again"),
    "a list that began early is late": (
        evidence, "_looked", lambda looked, view, began, leased: LOOKED(looked, view, began + DAY_MS, leased), Options(), "lives"),
    "only the newest attempt is corrected": (
        orders, "REFUSALS", frozenset[End](), Options(2, decisions="any", first=world.WRONG), "not corrected"),
    "unknown rows are not seen": (claims, "unknown_rows", lambda facts: [], Options(2, other_rows=True), "we do not know"),
}  # fmt: skip


def clear() -> None:
    for cached in (world.void_of, world.may_claim, checks._quiet):
        cached.cache_clear()


@pytest.mark.parametrize("name", MUTANTS)
def test_a_rule_that_is_taken_out_breaks_a_promise(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    module, rule, mutant, options, promise = MUTANTS[name]
    clear()
    monkeypatch.setattr(module, rule, mutant)
    try:
        found = explore(options, most=20_000, until=promise)
    finally:
        monkeypatch.undo()
        clear()
    assert any(promise in each for each in found.broken), found
