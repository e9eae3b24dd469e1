"""Requests exactly as they are meant: no path is normalised, no header added, no redirect followed, nothing repeated.

Signed by botocore where they are signed, so that the signature is not ours. Never prints or keeps what was sent.
"""

import contextlib
import http.client
import json
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any
from urllib.parse import urlsplit

from botocore.auth import SIGV4_TIMESTAMP, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import ReadOnlyCredentials

from ops.places import OpsError

SECONDS = 35.0
"""Longer than API Gateway lets any request take."""
LARGEST = 1_048_576
PROBLEM = "application/problem+json"


class NoAnswer(OpsError):
    """The network, or whoever is behind it, gave no answer."""


def _exact(digits: str) -> Decimal | None:
    """A number with its digits; None for what no number here could be."""
    try:
        return Decimal(digits)
    except InvalidOperation:
        return None


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer as it came. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    seconds: float

    @property
    def json(self) -> Any:
        """The body, its numbers exact; None if it is no JSON."""
        try:
            return json.loads(self.body, parse_float=_exact, parse_constant=_exact)
        except (ValueError, RecursionError):
            return None

    @property
    def document(self) -> dict[str, Any]:
        """The body if it is a JSON object, else an empty one."""
        found = self.json
        return found if isinstance(found, dict) else {}

    @property
    def content_type(self) -> str:
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def problem(self) -> str | None:
        """The name of our problem, if this is a problem document."""
        found = self.json if self.content_type == PROBLEM else None
        return str(found.get("type", "")).rpartition(":")[2] if isinstance(found, dict) else None

    def evidence(self) -> dict[str, object]:
        """What may be shown of any answer of the API: never its body."""
        shown = {"problem": self.problem, "x_amzn_errortype": self.headers.get("x-amzn-errortype")}
        known = {name: value for name, value in shown.items() if value is not None}
        return {"status": self.status, "content_type": self.content_type} | known


@dataclass(frozen=True, slots=True)
class Signer:
    """Who signs, for what, and when."""

    credentials: ReadOnlyCredentials
    region: str
    service: str = "execute-api"
    at: datetime | None = None

    def headers(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> dict[str, str]:
        """These headers and those of the signature."""
        request = AWSRequest(method, url, headers=dict(headers), data=body)
        _SignedAt(self).add_auth(request)
        return dict(request.headers.items())


class _SignedAt(SigV4Auth):
    """botocore's signer, at a chosen time."""

    def __init__(self, signer: Signer) -> None:
        super().__init__(signer.credentials, signer.service, signer.region)
        self._at = signer.at

    def _modify_request_before_signing(self, request: AWSRequest) -> None:
        if self._at is not None:
            request.context["timestamp"] = self._at.astimezone(UTC).strftime(SIGV4_TIMESTAMP)
        super()._modify_request_before_signing(request)  # type: ignore[misc]  # the stubs know the public ones only


def send(
    origin: str, method: str, target: str, headers: Mapping[str, str] | None = None, body: bytes = b"", *,
    ca_file: str | None = None, source: str | None = None, seconds: float = SECONDS,
) -> Reply:  # fmt: skip
    """One request over a fresh connection; `target` goes onto the wire as it is. Raises NoAnswer."""
    parts, began = urlsplit(origin), time.monotonic()
    how: dict[str, Any] = {"timeout": seconds, "source_address": (source, 0) if source else None}
    try:
        if parts.scheme == "https":
            context = ssl.create_default_context(cafile=ca_file)
            context.minimum_version = ssl.TLSVersion.TLSv1_2
            how["context"] = context
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        with contextlib.closing(kind(parts.hostname or "", parts.port, **how)) as connection:
            return _exchange(connection, method, target, {"Host": parts.netloc, **(headers or {})}, body, began)
    except (OSError, http.client.HTTPException) as error:
        raise NoAnswer(f"no answer from {parts.netloc}: {type(error).__name__}") from None


def _exchange(
    connection: http.client.HTTPConnection, method: str, target: str, headers: Mapping[str, str], body: bytes,
    began: float,
) -> Reply:  # fmt: skip
    connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
    for name, value in headers.items():
        connection.putheader(name, value.encode("latin-1", "replace"))
    if (body or method == "POST") and "Content-Length" not in headers:
        connection.putheader("Content-Length", str(len(body)))
    # Refused before all of it was sent: the answer may be there all the same.
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        connection.endheaders(body or None)
    answer = connection.getresponse()
    content = answer.read(LARGEST)
    if answer.length and len(content) < LARGEST:
        raise http.client.IncompleteRead(b"", answer.length)
    known = {name.lower(): value for name, value in answer.getheaders()}
    return Reply(answer.status, known, content, time.monotonic() - began)


def compact(document: object) -> bytes:
    """JSON in UTF-8, as a merchant's client writes it."""
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
