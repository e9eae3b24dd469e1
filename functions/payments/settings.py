"""Every environment variable that the functions read, checked once, named in the error.

Promises that a wrong or missing value stops the function with the variable's name before anything is sent.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from payments.signatures import Scheme

MOST_WORKERS = 64


class SettingsError(Exception):
    """An environment variable is missing or wrong; the text names it and never repeats its value."""


@dataclass(frozen=True, slots=True)
class StorageSettings:
    """Where records and credentials are."""

    table_name: str
    secret_id: str


@dataclass(frozen=True, slots=True)
class ProviderSettings:
    """How the provider is reached. `ca_file` is a PEM file that replaces the system's trust (local run only)."""

    url: str
    scheme: Scheme
    ca_file: str | None


def storage(environ: Mapping[str, str]) -> StorageSettings:
    """Read what every function needs. Raises SettingsError."""
    return StorageSettings(_required(environ, "TABLE_NAME"), _required(environ, "SECRET_ID"))


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
    value = environ.get("SETTLE_WORKERS", "8")
    if not (value.isascii() and value.isdecimal() and len(value) <= 3 and 1 <= int(value) <= MOST_WORKERS):
        raise SettingsError(f"SETTLE_WORKERS is not a whole number from 1 to {MOST_WORKERS}")
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
