"""The AWS clients, made once per function instance, in this one place.

Promises that each call ends in time: a function that waits for a table cannot keep its own promise of time.
"""

from collections.abc import Callable
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ReadTimeoutError

from payments.settings import MOST_WORKERS

# At most two tries within the few seconds that each call gets.
_CONFIG = Config(
    connect_timeout=1,
    read_timeout=1.5,
    retries={"mode": "standard", "total_max_attempts": 2},
    parameter_validation=False,
    # Beyond its pool the SDK opens a connection for each call and throws it away.
    max_pool_connections=MOST_WORKERS,
    user_agent="void-service",
)
# One for both clients: each session reads botocore's data on its own.
_SESSION = boto3.Session()


class TimedClient:
    """A client whose calls are made in a thread and left there when their time is over.

    The SDK's own timeout restarts at each byte, so a peer that drips its answer could hold a function for ever.
    """

    def __init__(self, client: Any) -> None:
        self._client = client
        self._idle: SimpleQueue[_Worker] = SimpleQueue()

    def call(self, operation: str, seconds: float, **arguments: Any) -> dict[str, Any]:
        """Call one operation. Raises ClientError and BotoCoreError; ReadTimeoutError when `seconds` are over."""
        try:
            worker = self._idle.get_nowait()
        except Empty:
            worker = _Worker()
        answer: SimpleQueue[tuple[dict[str, Any] | None, Exception | None]] = SimpleQueue()

        def work() -> None:
            try:
                answer.put((getattr(self._client, operation)(**arguments), None))
            except Exception as error:  # noqa: BLE001 raised where the caller waits
                answer.put((None, error))
            self._idle.put(worker)

        worker.jobs.put(work)
        try:
            value, error = answer.get(timeout=seconds)
        except Empty:
            raise ReadTimeoutError(endpoint_url=operation) from None
        if error is not None:
            raise error
        return value or {}


class _Worker:
    """A thread that waits for work; one that is stuck is not given any more."""

    def __init__(self) -> None:
        self.jobs: SimpleQueue[Callable[[], None]] = SimpleQueue()
        Thread(target=self._run, name="aws call", daemon=True).start()

    def _run(self) -> None:
        while True:
            self.jobs.get()()


def dynamodb() -> TimedClient:
    """The table's client."""
    return TimedClient(_SESSION.client("dynamodb", config=_CONFIG))


def secretsmanager() -> TimedClient:
    """The secret's client."""
    return TimedClient(_SESSION.client("secretsmanager", config=_CONFIG))
