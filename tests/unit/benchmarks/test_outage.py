"""Settling after an outage, as the benchmark plays it: what limits a run, and that nobody is asked about twice."""

import pytest

from benchmarks import outage


@pytest.mark.parametrize(
    ("workers", "memory", "a_second"),
    [(8, 512, 35), (8, 1_769, 35), (64, 512, 96), (64, 1_769, 283), (64, 3_008, 283)],
)
def test_workers_wait_until_the_processor_is_full(workers: int, memory: int, a_second: int) -> None:
    assert round(outage.rate(workers, memory)) == a_second


def test_two_minutes_of_voids_take_two_runs_and_one_question_each() -> None:
    runs, minutes = outage.settle_all(2_000, 8, 512)
    assert runs == 2
    assert 1 < minutes < 2


def test_a_void_that_is_left_out_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    place = outage._place
    monkeypatch.setattr(outage, "_place", lambda table, order, at: order == "order-7" or place(table, order, at))
    with pytest.raises(AssertionError, match="not asked about"):
        outage.settle_all(20, 8, 512)
