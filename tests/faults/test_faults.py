"""A bounded campaign of the fault simulator; `make faults` runs a larger one."""

import pytest

from tests.faults import campaign, guards, mistakes
from tests.faults.campaign import Done

SEED = "test"
EXHAUSTIVE, RANDOM = 12, 120


@pytest.fixture(scope="module")
def done() -> list[Done]:
    jobs = campaign.taken_out() + campaign.every(EXHAUSTIVE) + campaign.at_random(SEED, RANDOM)
    return campaign.run(jobs, processes=2)


def test_no_schedule_does_harm(done: list[Done]) -> None:
    figures = campaign.total(done)
    print(f"seed {SEED}: {figures.exhaustive} schedules by their deviations, {figures.random} at random")
    assert figures.first == {}
    assert figures.exhaustive + figures.random >= 700


@pytest.mark.parametrize("name", [guard.name for guard in guards.GUARDS])
def test_a_missing_guard_is_noticed(done: list[Done], name: str) -> None:
    assert next(each for each in done if (each.job.kind, each.job.name) == ("guard", name)).found is not None


@pytest.mark.parametrize("name", [mistake.name for mistake in mistakes.MISTAKES])
def test_a_mistake_is_noticed(done: list[Done], name: str) -> None:
    assert next(each for each in done if (each.job.kind, each.job.name) == ("mistake", name)).found is not None


def test_there_are_at_least_twenty_guards() -> None:
    assert len(guards.GUARDS) >= 20
