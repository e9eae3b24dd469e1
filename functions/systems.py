"""What the functions stand on, made once per instance, in this one place: clients of AWS, table, secret and provider.

Promises that each call of AWS ends in time, and that a function which never speaks to the provider does not load it.
"""

import functools
import os
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from threading import Thread
from typing import TYPE_CHECKING, Any

import boto3
from botocore import handlers
from botocore.config import Config
from botocore.exceptions import ReadTimeoutError

from payments import settings
from payments.deadline import AWS_CALL_SECONDS, Deadline, in_a_thread
from payments.secret import Secret
from payments.store import Store, StoreError
from telemetry import count_once

if TYPE_CHECKING:
    from payments.provider import Provider

# At most two tries within the few seconds that each call gets.
_CONFIG = Config(
    connect_timeout=1,
    read_timeout=1.5,
    retries={"mode": "standard", "total_max_attempts": 2},
    parameter_validation=False,
    # Beyond its pool the SDK opens a connection for each call and throws it away.
    max_pool_connections=settings.MOST_WORKERS,
    user_agent="void-service",
)
# One for both clients: each session reads botocore's data on its own.
_SESSION = boto3.Session()
# Headers that neither service documents a use of; each of the three is signed, and costs a write 1.5 % of its work.
_SESSION.events.unregister("request-created", handlers.add_retry_headers)
_SESSION.events.unregister("before-call", handlers.add_recursion_detection_header)


class TimedClient:
    """A client whose calls are left in their thread when their time is over."""

    # The SDK's own timeout restarts at each byte: a peer that drips its answer could hold a function for ever.

    def __init__(self, client: Any) -> None:
        self._client = client

    def call(self, operation: str, seconds: float, **arguments: Any) -> dict[str, Any]:
        """Call one operation. Raises ClientError and BotoCoreError; ReadTimeoutError when `seconds` are over."""
        answer: Future[dict[str, Any]] = in_a_thread(lambda: getattr(self._client, operation)(**arguments))
        try:
            return answer.result(seconds)
        except TimeoutError:
            raise ReadTimeoutError(endpoint_url=operation) from None


@dataclass(frozen=True, slots=True)
class Storage:
    """The table and the secret. `now` is in milliseconds since 1970; `new_id` draws a fresh identifier at each call."""

    store: Store
    secret: Secret
    now: Callable[[], int]
    new_id: Callable[[], str]

    def deadline(self, seconds: float) -> Deadline:
        """The deadline of something that begins now."""
        return Deadline(self.now() + round(seconds * 1000), self.now)

    def connect(self) -> None:
        """Open both connections to AWS at once, reading the secret and no order; the first request waits for neither.

        What fails here is tried again by whoever needs it.
        """
        deadline = self.deadline(AWS_CALL_SECONDS)
        reading = Thread(target=self.secret.read_ahead, args=(deadline,), name="reading the secret", daemon=True)
        reading.start()
        with suppress(StoreError):
            self.store.load("", "", deadline)
        reading.join()


@dataclass(frozen=True, slots=True)
class Systems(Storage):
    """The table, the secret and the provider."""

    provider: "Provider"


def now() -> int:
    """Milliseconds since 1970 UTC."""
    return time.time_ns() // 1_000_000


def new_id() -> str:
    return os.urandom(8).hex()


@functools.cache
def storage() -> Storage:
    """Table and secret. Raises SettingsError."""
    where = settings.storage(os.environ)
    table, secrets = (TimedClient(_SESSION.client(name, config=_CONFIG)) for name in ("dynamodb", "secretsmanager"))
    secret = Secret(secrets, where.secret_id, now, on_outage=lambda: count_once("SecretOutOfReach"))
    return Storage(Store(table, where.table_name, where.keep_settled_days), secret, now, new_id)


@functools.cache
def systems(server_url: str = "") -> Systems:
    """For a function that speaks to the provider. Raises SettingsError."""
    from payments.provider import Provider

    parts, provider = storage(), Provider(settings.provider(os.environ), server_url)
    return Systems(parts.store, parts.secret, parts.now, parts.new_id, provider)


@functools.cache
def systems_that_send() -> Systems:
    """For the function that sends voids, whose webhooks need our address. Raises SettingsError."""
    return systems(settings.webhook_url(os.environ))
