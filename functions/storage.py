"""Table and secret, built on the first use and kept: all that a function needs which never speaks to the provider."""

import functools
import os
import time
import uuid

import clients
from payments import settings
from payments.outside import Storage
from payments.secret import Secret
from payments.store import Store
from telemetry import count


def now() -> int:
    """Milliseconds since 1970 UTC."""
    return time.time_ns() // 1_000_000


def new_id() -> str:
    """A fresh identifier: drawn for each use, never at start, so that a snapshot of this process holds none."""
    return uuid.uuid4().hex


@functools.cache
def storage() -> Storage:
    """Table and secret. Raises SettingsError."""
    where = settings.storage(os.environ)
    secret = Secret(
        clients.secretsmanager(), where.secret_id, time.monotonic, on_outage=lambda: count("SecretOutOfReach")
    )
    return Storage(Store(clients.dynamodb(), where.table_name), secret, now, new_id)
