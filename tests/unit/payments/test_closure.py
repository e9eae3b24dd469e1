"""The small spaces of the closure, and that it notices what is wrong with a sentence."""

import pytest

from payments import claims, evidence, verdict
from payments.facts import Facts, State
from proof.closure import world
from proof.closure.search import search
from proof.closure.world import Space, canonical


@pytest.fixture(autouse=True)
def _fresh() -> None:
    world.void_of.cache_clear()


def test_one_attempt_is_closed_and_nothing_is_wrong() -> None:
    found = search(Space())
    assert found.closed
    assert found.states > 10_000
    assert found.findings == {}


MUTANTS = {
    "a void's success is not voided": (verdict, "_executed", lambda facts: []),
    "a refusal is forgotten": (verdict, "_refused", lambda facts, newest: None),
    "sent again without a late list": (
        verdict, "may_be_sent_again", lambda facts, state: state in (State.SUBMITTING, State.UNKNOWN)
    ),
    "captured is not failed": (evidence, "_rows", lambda view: []),
    "everything may be claimed": (claims, "_may_claim", lambda void, made: True),
}  # fmt: skip


@pytest.mark.parametrize("name", MUTANTS)
def test_notices(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module, what, other = MUTANTS[name]
    monkeypatch.setattr(module, what, other)
    if what == "may_be_sent_again":
        monkeypatch.setattr("payments.orders.may_be_sent_again", other)
    assert search(Space(attempts=2), most=12_000, first=True).findings
    world.void_of.cache_clear()


def test_the_canonical_form_keeps_what_is_shown() -> None:
    facts = world.claimed(Facts(), "K1")
    assert canonical(canonical(facts)) == canonical(facts)
    assert world.void_of(canonical(facts)) is not None
