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
from typing import Any
from urllib.parse import urlsplit

from botocore.auth import SIGV4_TIMESTAMP, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import ReadOnlyCredentials

from ops.places import OpsError
from payments import exact_json
from payments.exact_json import Number

SECONDS = 35.0
"""Longer than API Gateway lets any request take."""
LARGEST = 1_048_576
PROBLEM = "application/problem+json"
SERVICE = "execute-api"


class NoAnswer(OpsError):
    """The network, or whoever is behind it, gave no answer."""


def _plain(value: object) -> Any:
    """Numbers as Python's own: whole ones as int, others exact; None for what no number here could be."""
    match value:
        case Number(digits):
            return int(digits) if digits.lstrip("-").isdecimal() and len(digits) < 20 else value.value
        case dict():
            return {name: _plain(item) for name, item in value.items()}
        case list():
            return [_plain(item) for item in value]
        case _:
            return value


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
            return _plain(exact_json.parse(self.body))
        except exact_json.Unreadable:
            return None

    @property
    def content_type(self) -> str:
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def problem(self) -> str | None:
        """The name of our problem, if this is a problem document."""
        document = self.json
        if self.content_type != PROBLEM or not isinstance(document, dict):
            return None
        return str(document.get("type", "")).rpartition(":")[2]

    def evidence(self) -> dict[str, object]:
        """What may be shown of any answer of the API: never its body."""
        shown: dict[str, object] = {"status": self.status, "content_type": self.content_type}
        if self.problem is not None:
            shown["problem"] = self.problem
        if (kind := self.headers.get("x-amzn-errortype")) is not None:
            shown["x_amzn_errortype"] = kind
        return shown


@dataclass(frozen=True, slots=True)
class Signer:
    """Who signs, for what, and when."""

    credentials: ReadOnlyCredentials
    region: str
    service: str = SERVICE
    at: datetime | None = None

    def headers(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> dict[str, str]:
        """These headers and those of the signature."""
        request = AWSRequest(method, url, headers=dict(headers), data=body)
        _SignedAt(self.credentials, self.service, self.region, self.at).add_auth(request)
        return dict(request.headers.items())


class _SignedAt(SigV4Auth):
    """botocore's signer, at a chosen time."""

    def __init__(self, credentials: ReadOnlyCredentials, service: str, region: str, at: datetime | None) -> None:
        super().__init__(credentials, service, region)
        self._at = at

    def _modify_request_before_signing(self, request: AWSRequest) -> None:
        if self._at is not None:
            request.context["timestamp"] = self._at.astimezone(UTC).strftime(SIGV4_TIMESTAMP)
        super()._modify_request_before_signing(request)  # type: ignore[misc]  # the stubs know the public ones only


def send(
    origin: str,
    method: str,
    target: str,
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
    *,
    ca_file: str | None = None,
    source: str | None = None,
    seconds: float = SECONDS,
) -> Reply:
    """One request over a fresh connection; `target` goes onto the wire as it is. Raises NoAnswer."""
    parts = urlsplit(origin)
    began = time.monotonic()
    try:
        connection = _connection(parts.scheme, parts.hostname or "", parts.port, ca_file, source, seconds)
    except (OSError, ssl.SSLError) as error:
        raise NoAnswer(f"no answer from {parts.netloc}: {type(error).__name__}") from None
    try:
        return _exchange(connection, method, target, {"Host": parts.netloc, **(headers or {})}, body, began)
    except (OSError, http.client.HTTPException, ssl.SSLError) as error:
        raise NoAnswer(f"no answer from {parts.netloc}: {type(error).__name__}") from None
    finally:
        connection.close()


def _connection(
    scheme: str, host: str, port: int | None, ca_file: str | None, source: str | None, seconds: float
) -> http.client.HTTPConnection:
    address = (source, 0) if source else None
    if scheme == "http":
        return http.client.HTTPConnection(host, port, timeout=seconds, source_address=address)
    context = ssl.create_default_context(cafile=ca_file)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return http.client.HTTPSConnection(host, port, timeout=seconds, source_address=address, context=context)


def _exchange(
    connection: http.client.HTTPConnection,
    method: str,
    target: str,
    headers: Mapping[str, str],
    body: bytes,
    began: float,
) -> Reply:
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
    return Reply(
        answer.status,
        {name.lower(): value for name, value in answer.getheaders()},
        content,
        time.monotonic() - began,
    )


def compact(document: object) -> bytes:
    """JSON in UTF-8, as a merchant's client writes it."""
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
