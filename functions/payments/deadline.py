"""The ground of the domain: the moment by which something must have ended, and what may be left behind when it has not.

Promises that a deadline covers everything that is done under it, however many calls that is.
"""

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from queue import SimpleQueue
from threading import Thread
from typing import Any, Protocol

AWS_CALL_SECONDS = 3.0
"""The longest that one call of the table or of Secrets Manager may take, its retry within the SDK included."""


class Deadline:
    """A moment of our clock (ms) at which something must have ended."""

    __slots__ = ("_now", "at")

    def __init__(self, at: int, now: Callable[[], int]) -> None:
        self.at, self._now = at, now

    def left(self) -> float:
        """Seconds until then, 0 once it is over."""
        return max(0, self.at - self._now()) / 1000

    @property
    def over(self) -> bool:
        return self._now() >= self.at

    def earlier_by(self, seconds: float) -> "Deadline":
        """This deadline minus `seconds`, which stay free for what follows."""
        return Deadline(self.at - round(seconds * 1000), self._now)

    def within(self, seconds: float) -> "Deadline":
        """The earlier one of this deadline and `seconds` from now."""
        return Deadline(min(self.at, self._now() + round(seconds * 1000)), self._now)


class AwsClient(Protocol):
    """A client of AWS whose every call ends in time."""

    def call(self, operation: str, seconds: float, **arguments: Any) -> dict[str, Any]:
        """Call one operation. Raises ClientError and BotoCoreError, the latter also when `seconds` are over."""


# The jobs of each thread that waits for one; a thread that is stuck is not given any more.
_IDLE: deque[SimpleQueue[Callable[[], None]]] = deque()


def in_a_thread[T](work: Callable[[], T]) -> Future[T]:
    """What this comes to, in a thread that is idle: starting one costs 0.15 million instructions."""
    found: Future[T] = Future()

    def do() -> None:
        try:
            tell = partial(found.set_result, work())
        except Exception as error:  # noqa: BLE001 raised where its result is asked for
            tell = partial(found.set_exception, error)
        _IDLE.append(jobs)  # before anybody hears of it, and wants a thread again
        tell()

    try:
        jobs = _IDLE.pop()
    except IndexError:
        jobs = SimpleQueue()
        Thread(target=_work_off, args=(jobs,), daemon=True).start()
    jobs.put(do)
    return found


def _work_off(jobs: SimpleQueue[Callable[[], None]]) -> None:
    while True:
        jobs.get()()
