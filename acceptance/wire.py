"""Requests exactly as they are meant: no path is normalised, no redirect followed, nothing repeated.

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

from ops.places import OpsError

SECONDS = 35.0
"""Longer than API Gateway lets any request take."""
LARGEST = 1_048_576
PROBLEM = "application/problem+json"


class NoAnswer(OpsError):
    """The network, or whoever is behind it, gave no answer."""


def exact(digits: str) -> Decimal | None:
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
            return json.loads(self.body, parse_float=exact, parse_constant=exact)
        except (ValueError, RecursionError):
            return None

    @property
    def document(self) -> dict[str, Any]:
        """The body if it is a JSON object, else an empty one."""
        return found if isinstance(found := self.json, dict) else {}

    @property
    def content_type(self) -> str:
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def problem(self) -> str | None:
        """The name of our problem, if this is a problem document."""
        is_problem = self.content_type == PROBLEM and isinstance(self.json, dict)
        return str(self.document.get("type", "")).rpartition(":")[2] if is_problem else None

    def evidence(self) -> dict[str, object]:
        """What may be shown of any answer of the API: never its body."""
        shown = {"status": self.status, "content_type": self.content_type, "problem": self.problem}
        shown["x_amzn_errortype"] = self.headers.get("x-amzn-errortype")
        return {name: value for name, value in shown.items() if value is not None}


class Signer(SigV4Auth):
    """botocore's signer for one who signs; at a chosen time, if there is one."""

    at: datetime | None = None

    def headers(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> dict[str, str]:
        request = AWSRequest(method, url, headers=dict(headers), data=body)
        self.add_auth(request)
        return dict(request.headers.items())

    def _modify_request_before_signing(self, request: AWSRequest) -> None:
        if self.at is not None:
            request.context["timestamp"] = self.at.astimezone(UTC).strftime(SIGV4_TIMESTAMP)
        super()._modify_request_before_signing(request)  # type: ignore[misc]  # the stubs know the public ones only


def send(
    origin: str, method: str, target: str, headers: Mapping[str, str] | None = None, body: bytes = b"", *,
    ca_file: str | None = None, source: str | None = None, seconds: float = SECONDS,
) -> Reply:  # fmt: skip
    """One request over a fresh connection; `target` goes onto the wire as it is. Raises NoAnswer."""
    parts, began = urlsplit(origin), time.monotonic()
    how: dict[str, Any] = {"timeout": seconds, "source_address": (source, 0) if source else None}
    if parts.scheme == "https":
        how["context"] = ssl.create_default_context(cafile=ca_file)
        how["context"].minimum_version = ssl.TLSVersion.TLSv1_2
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    named = {"Host": parts.netloc, **(headers or {})}
    sent = {name: value.encode("latin-1", "replace") for name, value in named.items()}
    try:
        with contextlib.closing(kind(parts.hostname or "", parts.port, **how)) as connection:
            # Refused before all of it was sent: the answer may be there all the same.
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                connection.request(method, target, body or None, sent)
            answer = connection.getresponse()
            content = answer.read(LARGEST)
            if answer.length and len(content) < LARGEST:
                raise http.client.IncompleteRead(b"", answer.length)
    except (OSError, http.client.HTTPException) as error:
        raise NoAnswer(f"no answer from {parts.netloc}: {type(error).__name__}") from None
    known = {name.lower(): value for name, value in answer.getheaders()}
    return Reply(answer.status, known, content, time.monotonic() - began)


def compact(document: object) -> bytes:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
