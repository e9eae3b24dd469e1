"""Every environment variable that the functions read, checked once, named in the error.

Promises that a wrong or missing value stops the function with the variable's name before anything is sent.
"""

from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import urlsplit

from payments.signatures import Scheme

MOST_WORKERS = 64
FEWEST_KEPT_DAYS = 400
"""A record that is gone forgets its keys: a late repetition would be a new request."""


class SettingsError(Exception):
    """An environment variable is missing or wrong; the text names it and never repeats its value."""


class StorageSettings(NamedTuple):
    """Where records and credentials are."""

    table_name: str
    secret_id: str
    keep_settled_days: int | None = None
    """How long a settled order is kept; None: for ever."""


class ProviderSettings(NamedTuple):
    """How the provider is reached. `ca_file` is a PEM file that replaces the system's trust (local run only)."""

    url: str
    scheme: Scheme
    ca_file: str | None


def storage(environ: Mapping[str, str]) -> StorageSettings:
    """Read what every function needs. Raises SettingsError."""
    days = environ.get("KEEP_SETTLED_DAYS")
    kept = None if days is None else _whole("KEEP_SETTLED_DAYS", days, FEWEST_KEPT_DAYS, 36_500)
    return StorageSettings(_required(environ, "TABLE_NAME"), _required(environ, "SECRET_ID"), kept)


def provider(environ: Mapping[str, str]) -> ProviderSettings:
    """Read what the functions that speak to the provider need. Raises SettingsError."""
    name = environ.get("PROVIDER_SCHEME", Scheme.PLAIN.value)
    if name not in {scheme.value for scheme in Scheme}:
        raise SettingsError("PROVIDER_SCHEME is not one of CPAY, CPAY-HMAC, CPAY-SHA1")
    return ProviderSettings(_https(environ, "PROVIDER_URL"), Scheme(name), environ.get("PROVIDER_CA_FILE") or None)


def webhook_url(environ: Mapping[str, str]) -> str:
    """Where the provider shall report (`server_url`). Ours, never the caller's. Raises SettingsError."""
    return _required(environ, "WEBHOOK_URL")


def settle_workers(environ: Mapping[str, str]) -> int:
    """How many voids one settle run queries at once; also what the provider has to bear. Raises SettingsError."""
    return _whole("SETTLE_WORKERS", environ.get("SETTLE_WORKERS", "8"), 1, MOST_WORKERS)


def tokens(environ: Mapping[str, str]) -> tuple[str, set[str]]:
    """The claim that names a client of one's own token issuers, and which may call: nobody, unless it is set."""
    return environ.get("TOKEN_CALLER_CLAIM", "client_id"), set(environ.get("TOKEN_CALLERS", "").split(",")) - {""}


def _whole(name: str, value: str, least: int, most: int) -> int:
    if not (value.isascii() and value.isdecimal() and len(value) <= len(str(most)) + 1 and least <= int(value) <= most):
        raise SettingsError(f"{name} is not a whole number from {least} to {most}")
    return int(value)


def _required(environ: Mapping[str, str], name: str) -> str:
    value = environ.get(name, "")
    if not value:
        raise SettingsError(f"{name} is not set")
    return value


def _https(environ: Mapping[str, str], name: str) -> str:
    value = _required(environ, name).rstrip("/")
    parts = urlsplit(value)
    # Plain `CPAY` carries the secret itself: it must never travel in the clear.
    if parts.scheme != "https" or not parts.hostname or parts.query or parts.fragment or parts.path:
        raise SettingsError(f"{name} is not an https:// origin")
    return value
