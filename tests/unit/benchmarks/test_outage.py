"""The simulated outage: all voids are settled, each asked about once, in the time that its limits allow."""

import pytest

from benchmarks import outage
from benchmarks.outage import Outcome, Question, simulate


@pytest.mark.parametrize("at_once", [1, 3])
def test_every_void_is_asked_about_once_also_by_several_runs(at_once: int) -> None:
    found = simulate(600, 8, at_once, cpu_ms=1.0)  # ends with an error if one is asked about twice, or not at all
    assert (found.voids, found.workers, found.at_once) == (600, 8, at_once)
    assert (found.refused > 0) is (at_once > 1)


def test_few_workers_wait_for_the_provider_and_many_for_the_processor() -> None:
    question_ms = 2 * outage.TABLE_MS + outage.CONNECT_MS + outage.ANSWER_MS
    few, many = simulate(200, 2, 1, cpu_ms=5.0), simulate(800, 64, 1, cpu_ms=20.0)
    assert few.minutes * 60_000 == pytest.approx(200 / 2 * question_ms, rel=0.1)
    assert many.minutes * 60_000 == pytest.approx(800 * 20, rel=0.1)
    assert many.most_questions <= 51


def test_a_run_leaves_the_rest_for_the_next_minute() -> None:
    found = simulate(500, 1, 1, cpu_ms=1.0)
    # 35 of 60 seconds each: about 150 voids.
    assert 3 < found.minutes < 4


def test_the_table_shows_each_case() -> None:
    outcome = Outcome(1_000, 8, 1, 2.0, 34, 6_000, 40, 0)
    text = outage.table_of(Question("2026-11-25", 1769, 5.0, {"8": 50.2}), [outcome])
    assert "holds 50 MiB with 8 workers" in text
    assert text.splitlines()[-1] == "| 1,000 | 8 | 1 | 2 | 8 | 34 | 40 | 6.0 | 0 |"
