"""The real outside systems of the functions that speak to the provider, built on the first request and kept."""

import functools
import os
import time
import uuid

import clients
from payments import settings
from payments.provider import Provider
from payments.secret import Secret
from payments.store import Store
from payments.voids import World


def now() -> int:
    """Milliseconds since 1970 UTC."""
    return time.time_ns() // 1_000_000


def new_id() -> str:
    """A fresh identifier: drawn for each use, never at start, so that a snapshot of this process holds none."""
    return uuid.uuid4().hex


@functools.cache
def world(sends: bool) -> World:
    """The outside systems; only a function that `sends` needs the webhook's address. Raises SettingsError."""
    where = settings.storage(os.environ)
    provider = settings.provider(os.environ)
    server_url = settings.webhook_url(os.environ) if sends else ""
    return World(
        Store(clients.dynamodb(), where.table_name),
        Secret(clients.secretsmanager(), where.secret_id, time.monotonic),
        Provider(provider),
        server_url,
        now,
        new_id,
    )
