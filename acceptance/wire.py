"""Requests exactly as they are meant, to the API and past it to the provider: no path is normalised, no redirect is
followed, nothing is repeated, and what comes back is read as it comes.

Signed by botocore where AWS reads the signature, so that it is not ours. Never prints or keeps what was sent.
"""

import contextlib
import http.client
import json
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any
from urllib.parse import quote, urlsplit

from botocore.auth import SIGV4_TIMESTAMP, SigV4Auth
from botocore.awsrequest import AWSRequest

from ops.places import OpsError
from payments.messages import AnswerKind, read_answer
from payments.secret import Credentials
from payments.settings import ProviderSettings
from payments.signatures import Scheme, authorise

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
    def problem(self) -> str:
        """The name of our problem, if this is a problem document."""
        return str(self.document.get("type", "")).rpartition(":")[2] if self.content_type == PROBLEM else ""

    def evidence(self) -> dict[str, object]:
        """What may be shown of any answer of the API: never its body."""
        shown = {"content_type": self.content_type, "problem": self.problem}
        shown["x_amzn_errortype"] = self.headers.get("x-amzn-errortype", "")
        return {"status": self.status} | {name: value for name, value in shown.items() if value}


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
    kind: type[http.client.HTTPConnection] = http.client.HTTPConnection
    if parts.scheme == "https":
        kind, how["context"] = http.client.HTTPSConnection, ssl.create_default_context(cafile=ca_file)
        how["context"].minimum_version = ssl.TLSVersion.TLSv1_2
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


# ---- the provider ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Line:
    """The provider itself, with one project's credentials, over verified TLS."""

    provider: ProviderSettings
    credentials: Credentials

    def query(self, order: str, method: str = "", scheme: Scheme = Scheme.PLAIN, **wrong: str) -> Reply:
        """Query an order. `wrong` replaces credentials by others. Raises NoAnswer."""
        credentials = replace(self.credentials, **wrong)
        path = f"/api/v1/pos/{quote(credentials.pos_id, safe='')}/orders/{quote(order, safe='')}"
        return self._send("GET", f"{path}/{method}" if method else path, credentials, scheme, b"")

    def void(self, order: str, currency: str, *, comment: str | None = None, scheme: Scheme | None = None) -> Reply:
        """Send a void past the service, without a `server_url`. Only for a given hold or an order that nobody has."""
        document = {"pos_id": self.credentials.pos_id, "order_id": order, "order_currency": currency}
        body = compact(document | ({"comment": comment} if comment else {}))
        return self._send("POST", "/api/v1/void", self.credentials, scheme or self.provider.scheme, body)

    def _send(self, method: str, path: str, credentials: Credentials, scheme: Scheme, body: bytes) -> Reply:
        proof = authorise(scheme, credentials.api_key, credentials.api_secret, body)
        headers = {"X-API-AUTH": proof, "X-API-KEY": credentials.endpoints_key, "Accept": "application/json"}
        headers |= {"User-Agent": "void-service-acceptance"} | ({"Content-Type": "application/json"} if body else {})
        return send(self.provider.url, method, path, headers, body, ca_file=self.provider.ca_file, seconds=30)


def operations(reply: Reply, method: str | None = None, status: str | None = None) -> list[dict[str, Any]]:
    """The operations that an answer shows, in a list or alone; those of one method, with one status."""
    found = reply.json if reply.status == 200 else None
    listed = found if isinstance(found, list) else [found]
    shown = [one for one in listed if isinstance(one, dict) and "status" in one]
    return [one for one in shown if method in (None, one.get("method")) and status in (None, one["status"])]


def succeeded(reply: Reply, method: str) -> list[dict[str, Any]]:
    return operations(reply, method, "success")


def _code(reply: Reply) -> str | None:
    args = reply.document.get("args")
    found = args.get("code") if isinstance(args, dict) else None
    return str(found)[:16] if found is not None else None


def about_credentials(reply: Reply) -> bool:
    return reply.status == 401 or (_code(reply) or "").startswith("S-")


def refuses(reply: Reply) -> bool:
    """Does the service take this for a refusal? Any other answer leaves the outcome of a void open."""
    return read_answer(reply.status, reply.body, "", "").kind is AnswerKind.REFUSED


def evidence(reply: Reply) -> dict[str, object]:
    """What may be shown of an answer of the provider: statuses and codes, no text of theirs."""
    args = reply.document.get("args") if reply.status >= 400 else None
    named = [one for one in args if isinstance(one, dict)] if isinstance(args, list) else []
    shown = {
        "status": reply.status, "content_type": reply.content_type, "code": _code(reply),
        "documented_error": refuses(reply) if reply.status >= 400 else None,
        "fields": [str(one.get("field_name", ""))[:32] for one in named],
        "operations": [f"{one.get('method')} {one['status']} {one.get('status_code')}" for one in operations(reply)],
    }  # fmt: skip
    return {name: value for name, value in shown.items() if value not in (None, [])}
