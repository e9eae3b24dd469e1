"""A bounded campaign of the fault simulator; `make faults` runs a larger one."""

import pytest

from tests.faults import campaign
from tests.faults.campaign import Done, Job
from tests.faults.guards import GUARDS, MISTAKES

SEED = "test"
EXHAUSTIVE, RANDOM = 400, 4_000


@pytest.fixture(scope="module")
def done() -> list[Done]:
    jobs = (
        campaign.all_guards()
        + campaign.all_mistakes()
        + campaign.exhaustive(2, EXHAUSTIVE)
        + campaign.randomly(SEED, RANDOM)
    )
    jobs.append(Job("every", "outrun", 3, 2_500))  # what was found once: a request overtaken while its answer was lost
    return campaign.run(jobs, processes=2)


def test_no_schedule_does_harm(done: list[Done]) -> None:
    figures = campaign.total(done, "every", "random")
    print(f"seed {SEED}: {figures.exhaustive} schedules exhaustively, {figures.random} at random")
    assert figures.first == {}
    assert figures.exhaustive + figures.random >= 20_000


def test_every_kind_of_fault_was_injected(done: list[Done]) -> None:
    figures = campaign.total(done, "every", "random")
    kinds = {
        "POST lost", "answer lost", "time-out", "late POST", "webhook lost", "webhook doubled", "webhook forged", "crash",
        "put void: lost", "put void: repeated", "put void: throttled", "transaction: lost", "get: throttled",
        "query: stale", "query: missing", "query: lost", "connect: refused", "secret: throttled", "portal", "slow",
        "query table: stale", "query: foreign", "timeline: throttled", *(f"provider: {outcome}" for outcome in "pfrmtc56gxo"),
    }  # fmt: skip
    assert kinds - figures.faults.keys() == set()


@pytest.mark.parametrize("guard", GUARDS, ids=lambda guard: guard.name)
def test_a_missing_guard_is_noticed(done: list[Done], guard: object) -> None:
    hunted = next(each for each in done if each.job.kind == "guard" and GUARDS[each.job.number] is guard)
    assert hunted.found is not None


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.name)
def test_a_mistake_is_noticed(done: list[Done], mistake: object) -> None:
    hunted = next(each for each in done if each.job.kind == "mistake" and MISTAKES[each.job.number] is mistake)
    assert hunted.found is not None
