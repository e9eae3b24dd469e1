"""Table, secret and provider, built on the first use and kept. Only importers of this file can reach the provider."""

import functools
import os

from payments import settings
from payments.outside import Systems
from payments.provider import Provider
from storage import storage


@functools.cache
def systems() -> Systems:
    """For a function that only asks the provider. Raises SettingsError."""
    return _with(Provider(settings.provider(os.environ)))


@functools.cache
def systems_that_send() -> Systems:
    """For the function that sends voids, whose webhooks need our address. Raises SettingsError."""
    return _with(Provider(settings.provider(os.environ), settings.webhook_url(os.environ)))


def _with(provider: Provider) -> Systems:
    parts = storage()
    return Systems(parts.store, parts.secret, parts.now, parts.new_id, provider)
