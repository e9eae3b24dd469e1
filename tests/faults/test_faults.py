"""A bounded campaign of the fault simulator; `make faults` runs a larger one."""

import pytest

from tests.faults import campaign
from tests.faults.campaign import Done, Job
from tests.faults.configurations import CONFIGURATIONS
from tests.faults.guards import GUARDS, Guard
from tests.faults.mistakes import MISTAKES

SEED = "test"
EXHAUSTIVE, RANDOM = 300, 10_500


@pytest.fixture(scope="module")
def done() -> list[Done]:
    """What a campaign of two processes found."""
    jobs = [
        *campaign.all_guards(),
        *campaign.all_mistakes(),
        *campaign.exhaustive(2, EXHAUSTIVE),
        *campaign.randomly(SEED, RANDOM),
        Job("every", "overtaken", 3, 2_500),  # what was found once: a request overtaken while its answer was lost
    ]
    return campaign.run(jobs, processes=2)


def test_no_schedule_does_harm(done: list[Done]) -> None:
    figures = campaign.total(done, "every", "random")
    print(f"seed {SEED}: {figures.exhaustive} schedules exhaustively, {figures.random} at random")
    assert figures.first == {}
    assert figures.exhaustive + figures.random >= 20_000


def test_every_kind_of_fault_was_injected(done: list[Done]) -> None:
    injected = campaign.total(done, "every", "random").faults
    kinds = {kind.fault for config in CONFIGURATIONS.values() for kind in config.may if kind.fault}
    answered = {f"POST answered: {name}" for config in CONFIGURATIONS.values() for name in config.answers[1:]}
    shown = {f"query answered: {name}" for config in CONFIGURATIONS.values() for name in config.views}
    forms = {f"webhook: {name}" for config in CONFIGURATIONS.values() for name in config.forms} - {
        "webhook: as documented"
    }
    portal = {f"in the portal: {name}" for config in CONFIGURATIONS.values() for name in config.portal}
    calls = {
        f"{call}: {way}"
        for call in ("put item", "update item")
        for way in ("throttled", "answer lost", "no answer", "repeated by the SDK")
    }
    assert (kinds | answered | shown | forms | portal | calls) - injected.keys() == set()


@pytest.mark.parametrize("guard", GUARDS, ids=lambda guard: guard.name)
def test_a_missing_guard_is_noticed(done: list[Done], guard: Guard) -> None:
    hunted = next(each for each in done if each.job.kind == "guard" and GUARDS[each.job.number] is guard)
    assert hunted.found is not None


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.name)
def test_a_mistake_is_noticed(done: list[Done], mistake: Guard) -> None:
    hunted = next(each for each in done if each.job.kind == "mistake" and MISTAKES[each.job.number] is mistake)
    assert hunted.found is not None
