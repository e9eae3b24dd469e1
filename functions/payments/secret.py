"""The only file that reads Secrets Manager: the provider's credentials, cached, current and previous.

Promises that neither a value nor a piece of one appears in an error or a representation. Never writes.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Literal

from botocore.exceptions import BotoCoreError, ClientError

from payments.deadline import AWS_CALL_SECONDS, AwsClient, Deadline
from payments.messages import project_of

MAX_AGE_SECONDS = 60.0
"""A rotated secret is picked up within this time; a 401 of the provider in between may be repeated."""
FRESH_SECONDS = 5.0
"""A message is called forged only against a copy at most this old: so forged ones cause at most one fetch in it."""
OLDEST_SECONDS = 900.0
"""While Secrets Manager is out of reach, an older copy still serves; a secret rotated meanwhile is used too long."""

Stage = Literal["AWSCURRENT", "AWSPREVIOUS"]
STAGES: tuple[Stage, ...] = ("AWSCURRENT", "AWSPREVIOUS")
FIELDS = ("pos_id", "api_key", "api_secret", "endpoints_key")
OUT_OF_REACH, NO_VALUE, MALFORMED = "out-of-reach", "no-value", "malformed"


class SecretError(Exception):
    """The credentials cannot be had: `reason` says why, without any value; `member`, which one is wrong."""

    def __init__(self, reason: str, member: str | None = None) -> None:
        super().__init__(reason)
        self.reason, self.member = reason, member


@dataclass(frozen=True, slots=True)
class Credentials:
    """What the provider issued for one project. Only `pos_id` may be shown."""

    pos_id: str
    api_key: str = field(repr=False)
    api_secret: str = field(repr=False)
    endpoints_key: str = field(repr=False)

    @property
    def project(self) -> str:
        """The project's id in its one spelling: what records belong to."""
        return project_of(self.pos_id)


def _is_younger(moment: int, seconds: float, now: int) -> bool:
    """By the wall clock: the monotonic one stands still while Lambda freezes an instance. A negative age is old."""
    return 0 <= now - moment <= seconds * 1000


class Secret:
    """One secret with its cache. `now` is in ms since 1970; `on_outage` is called when an older copy has to serve."""

    def __init__(
        self, client: AwsClient, secret_id: str, now: Callable[[], int], on_outage: Callable[[], None] = lambda: None
    ) -> None:
        self._client, self._secret_id, self._now, self._on_outage = client, secret_id, now, on_outage
        self._versions: dict[Stage, tuple[Credentials | None, int]] = {}  # and when it was fetched
        self._out_of_reach_since: int | None = None

    def current(self, deadline: Deadline) -> Credentials:
        """The current credentials. Raises SecretError."""
        credentials = self._at_most("AWSCURRENT", MAX_AGE_SECONDS, OLDEST_SECONDS, deadline)
        if credentials is None:
            raise SecretError(NO_VALUE)
        return credentials

    def previous(self, deadline: Deadline) -> Credentials | None:
        """The credentials before the last rotation, if we can use them. Raises SecretError if out of reach."""
        return self._at_most("AWSPREVIOUS", MAX_AGE_SECONDS, OLDEST_SECONDS, deadline)

    def of_project(self, pos_id: str, deadline: Deadline) -> Credentials | None:
        """The credentials of one project, current or previous; None: nobody's that we have. Raises SecretError."""
        project, current = project_of(pos_id), self.current(deadline)
        found = current if current.project == project else self.previous(deadline)
        return found if found is not None and found.project == project else None

    def candidates(self, deadline: Deadline) -> Iterator[tuple[Stage, Credentials]]:
        """All credentials that may prove a webhook: first the copies at hand, then, if asked for more, fresh ones.

        Raises SecretError when fresh ones cannot be had: whoever has asked for all of them may then not say "forged".
        """
        for max_age, oldest in ((MAX_AGE_SECONDS, OLDEST_SECONDS), (FRESH_SECONDS, FRESH_SECONDS)):
            for stage in STAGES:
                credentials = self._at_most(stage, max_age, oldest, deadline)
                if credentials is not None:
                    yield stage, credentials

    def read_ahead(self, deadline: Deadline) -> None:
        """Read the current version before anybody asks for it; an error is left to whoever does, as if never tried."""
        now = self._now()
        with suppress(SecretError):
            self._versions["AWSCURRENT"] = self._ask("AWSCURRENT", deadline), now

    def forget(self) -> None:
        """Drop the cached copies, because the provider has just refused them: they may have been rotated."""
        self._versions.clear()

    def _at_most(self, stage: Stage, max_age: float, oldest: float, deadline: Deadline) -> Credentials | None:
        """The version, at most `max_age` seconds old, or `oldest` while Secrets Manager is out of reach."""
        cached, now = self._versions.get(stage), self._now()
        if cached is not None and _is_younger(cached[1], max_age, now):
            return cached[0]
        try:
            fetched = self._fetch(stage, deadline)
        except SecretError as error:
            if error.reason != OUT_OF_REACH or cached is None or not _is_younger(cached[1], oldest, now):
                raise
            self._on_outage()
            return cached[0]
        if cached is not None and stage == "AWSCURRENT" and fetched != cached[0]:
            # Rotated: what we know of the previous version is out of date, however young.
            self._versions.pop("AWSPREVIOUS", None)
        # "None" is kept too, or each forged message would make us fetch it again.
        self._versions[stage] = fetched, now
        return fetched

    def _fetch(self, stage: Stage, deadline: Deadline) -> Credentials | None:
        now, since = self._now(), self._out_of_reach_since
        if since is not None and 0 <= now - since < FRESH_SECONDS * 1000:
            raise SecretError(OUT_OF_REACH)  # asked a moment ago: waiting for it again would cost each request seconds
        try:
            return self._ask(stage, deadline)
        except SecretError as error:
            self._out_of_reach_since = now if error.reason == OUT_OF_REACH else None
            if stage == "AWSPREVIOUS" and error.reason in (NO_VALUE, MALFORMED):
                return None  # never rotated, or an old version that is not our JSON
            raise

    def _ask(self, stage: Stage, deadline: Deadline) -> Credentials:
        seconds = min(deadline.left(), AWS_CALL_SECONDS)
        if seconds <= 0:
            raise SecretError(OUT_OF_REACH)
        try:
            answer = self._client.call("get_secret_value", seconds, SecretId=self._secret_id, VersionStage=stage)
        except ClientError as error:
            raise SecretError(_reason(error)) from None
        except BotoCoreError:
            raise SecretError(OUT_OF_REACH) from None
        return _read(answer.get("SecretString"))


def _reason(error: ClientError) -> str:
    details = error.response.get("Error", {})
    code, message = str(details.get("Code", "")), str(details.get("Message", ""))
    if code == "ResourceNotFoundException":
        # One code for two causes; only the text tells a secret without a value from a secret that does not exist.
        return NO_VALUE if "secret value" in message else "no-such-secret"
    if code in ("AccessDeniedException", "DecryptionFailure"):
        return "denied"
    return OUT_OF_REACH


def _read(text: str | None) -> Credentials:
    if text is None:
        raise SecretError(NO_VALUE)
    try:
        value = json.loads(text)
    except ValueError:
        raise SecretError(MALFORMED) from None  # the parser's message quotes the text
    if not isinstance(value, dict):
        raise SecretError(MALFORMED)
    # In a key of the table `#` ends the project's id.
    wrong = [name for name in FIELDS if not _usable(value.get(name)) or (name == "pos_id" and "#" in value[name])]
    if wrong:
        raise SecretError(MALFORMED, wrong[0])
    return Credentials(*(value[name] for name in FIELDS))


def _usable(value: object) -> bool:
    # Header values: anything else than printable ASCII could split a header or fail inside the HTTP library. A blank
    # at an end was pasted: with it every request is refused, or names another project.
    return isinstance(value, str) and value == value.strip() != "" and value.isascii() and value.isprintable()
