"""Where the CPU goes: parts that exist, each without those that it calls."""

import functools
import importlib
import threading
import time
from collections import Counter

import pytest

from benchmarks import shares
from benchmarks.shares import Shares


@pytest.mark.parametrize("name", [name for names in shares.PARTS.values() for name in names])
def test_every_part_names_a_function_that_is_there(name: str) -> None:
    module, _, path = name.partition(":")
    assert callable(functools.reduce(getattr, path.split("."), importlib.import_module(module)))


class Clock:
    """CPU time that passes when somebody works."""

    now = 0

    def work(self, nanoseconds: int) -> None:
        self.now += nanoseconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(time, "thread_time_ns", lambda: clock.now)
    return clock


def test_what_a_timed_callee_takes_is_its_own(clock: Clock) -> None:
    parts = Shares()
    inner = parts.around("inner", lambda: clock.work(30))

    def both() -> str:
        clock.work(10)
        inner()
        inner()
        clock.work(5)
        return "done"

    assert parts.around("outer", both)() == "done"
    assert parts.spent == {"inner": 60, "outer": 15}


def test_what_fails_is_timed_as_well(clock: Clock) -> None:
    parts = Shares()

    def fail() -> None:
        clock.work(7)
        raise KeyError

    with pytest.raises(KeyError):
        parts.around("outer", fail)()
    assert parts.spent == {"outer": 7}


def test_threads_do_not_take_from_each_other() -> None:
    parts = Shares()

    def burn() -> None:
        until = time.thread_time_ns() + 2_000_000
        while time.thread_time_ns() < until:
            pass

    inner = parts.around("inner", burn)

    def outer() -> None:
        thread = threading.Thread(target=inner)
        thread.start()
        thread.join()

    parts.around("outer", outer)()
    assert parts.spent["inner"] >= 2_000_000
    assert parts.spent["outer"] >= 0, "another thread's time is not taken out of it"


def test_the_parts_and_the_rest_are_the_whole() -> None:
    lines = shares.table("submit", Counter({"a connection": 250, "items": 150}), 1_000).splitlines()
    assert lines == [
        "| submit | share of the CPU |",
        "|---|---|",
        f"| {shares.REST} | 60% |",
        "| a connection | 25% |",
        "| items | 15% |",
    ]


def test_wrong_work_ends_the_run() -> None:
    with pytest.raises(RuntimeError, match="submit answered 503"):
        shares.spend(lambda event, context: {"statusCode": 503}, "submit", Shares())
