"""The only file that reads Secrets Manager: the provider's credentials, cached, current and previous.

Promises that neither a value nor a piece of one appears in an error or a representation. Never writes.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from botocore.exceptions import BotoCoreError, ClientError

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

MAX_AGE_SECONDS = 60.0
"""A rotated secret is picked up within this time; a 401 of the provider in between may be repeated."""

Stage = Literal["AWSCURRENT", "AWSPREVIOUS"]
FIELDS = ("pos_id", "api_key", "api_secret", "endpoints_key")


class SecretError(Exception):
    """The credentials cannot be had: `reason` says why, for the log, without any value."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Credentials:
    """What the provider issued for one project. Only `pos_id` may be shown."""

    pos_id: str
    api_key: str = field(repr=False)
    api_secret: str = field(repr=False)
    endpoints_key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class _Copy:
    credentials: Credentials | None
    fetched: float


class Secret:
    """One secret with its cache. `monotonic` is in seconds; passed in so that tests can age the copy."""

    def __init__(self, client: "SecretsManagerClient", secret_id: str, monotonic: Callable[[], float]) -> None:
        self._client, self._secret_id, self._monotonic = client, secret_id, monotonic
        self._copies: dict[Stage, _Copy] = {}

    def current(self, max_age: float = MAX_AGE_SECONDS) -> Credentials:
        """The current credentials, at most `max_age` seconds old. Raises SecretError."""
        credentials = self._at_most("AWSCURRENT", max_age, self._fetch)
        if credentials is None:
            raise SecretError("no-value")
        return credentials

    def previous(self, max_age: float = MAX_AGE_SECONDS) -> Credentials | None:
        """The credentials before the last rotation, if we can use them. Raises SecretError if out of reach."""
        return self._at_most("AWSPREVIOUS", max_age, self._fetch_if_any)

    def forget(self) -> None:
        """Fetch anew at the next use: the provider has just refused what we have, so it may have been rotated."""
        self._copies.clear()

    def _at_most(
        self, stage: Stage, max_age: float, fetch: Callable[[Stage], Credentials | None]
    ) -> Credentials | None:
        copy = self._copies.get(stage)
        now = self._monotonic()
        if copy is None or now - copy.fetched > max_age:
            # "None" is kept too: or each forged message would make us fetch again.
            fetched = _Copy(fetch(stage), now)
            if copy is not None and stage == "AWSCURRENT" and fetched.credentials != copy.credentials:
                # Rotated: what we know of the previous version is out of date, however young.
                self._copies.pop("AWSPREVIOUS", None)
            copy = self._copies[stage] = fetched
        return copy.credentials

    def _fetch_if_any(self, stage: Stage) -> Credentials | None:
        try:
            return self._fetch(stage)
        except SecretError as error:
            # Never rotated: no previous version. And an old one may not be our JSON: both mean "none".
            if error.reason in ("no-value", "malformed"):
                return None
            raise

    def _fetch(self, stage: Stage) -> Credentials:
        try:
            answer = self._client.get_secret_value(SecretId=self._secret_id, VersionStage=stage)
        except ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", ""))
            raise SecretError("no-value" if code == "ResourceNotFoundException" else "out-of-reach") from None
        except BotoCoreError:
            raise SecretError("out-of-reach") from None
        return _read(answer.get("SecretString"))


def _read(text: str | None) -> Credentials:
    try:
        value = json.loads(text or "")
    except ValueError:
        raise SecretError("malformed") from None  # the parser's message quotes the text
    if not isinstance(value, dict) or not all(_usable(value.get(name)) for name in FIELDS):
        raise SecretError("malformed")
    return Credentials(*(value[name] for name in FIELDS))


def _usable(value: object) -> bool:
    # Header values: anything else than printable ASCII could split a header or fail inside the HTTP library.
    return isinstance(value, str) and value != "" and value.isascii() and value.isprintable()
