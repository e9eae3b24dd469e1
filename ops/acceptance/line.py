"""The provider itself, asked without the service: what it says is looked at as it comes.

Promises one request per call over verified TLS. Never repeats one, and keeps of an answer what evidence may hold.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from ops.acceptance import wire
from ops.acceptance.wire import Reply
from payments.secret import Credentials
from payments.signatures import Scheme, authorise

SECONDS = 30.0


class Line:
    """One project at the provider."""

    def __init__(self, url: str, ca_file: str | None, credentials: Credentials, scheme: str) -> None:
        self._url, self._ca_file = url, ca_file
        self.credentials, self.scheme = credentials, Scheme(scheme)

    def query(
        self, order: str, method: str = "", *, scheme: Scheme = Scheme.PLAIN, wrong: Mapping[str, str] | None = None
    ) -> Reply:
        """Ask about an order. `wrong` replaces credentials by others. Raises NoAnswer."""
        credentials = replace(self.credentials, **(wrong or {}))
        path = f"/api/v1/pos/{quote(credentials.pos_id, safe='')}/orders/{quote(order, safe='')}"
        return self._send("GET", f"{path}/{method}" if method else path, credentials, scheme, b"")

    def void(
        self,
        order: str,
        currency: str,
        *,
        comment: str | None = None,
        scheme: Scheme | None = None,
        wrong: Mapping[str, str] | None = None,
    ) -> Reply:
        """Send a void past the service, without a `server_url`. Only for a given hold or an order that nobody has."""
        credentials = replace(self.credentials, **(wrong or {}))
        document = {"pos_id": credentials.pos_id, "order_id": order, "order_currency": currency}
        body = wire.compact(document | ({"comment": comment} if comment else {}))
        return self._send("POST", "/api/v1/void", credentials, scheme or self.scheme, body)

    def _send(self, method: str, path: str, credentials: Credentials, scheme: Scheme, body: bytes) -> Reply:
        headers = {
            "X-API-AUTH": authorise(scheme, credentials.api_key, credentials.api_secret, body),
            "X-API-KEY": credentials.endpoints_key,
            "Accept": "application/json",
            "User-Agent": "void-service-acceptance",
        } | ({"Content-Type": "application/json"} if body else {})
        return wire.send(self._url, method, path, headers, body, ca_file=self._ca_file, seconds=SECONDS)


# ---- reading ---------------------------------------------------------------------------------------------------------


def operations(reply: Reply) -> list[dict[str, Any]]:
    """The operations that an answer shows, in a list or alone."""
    found = reply.json if reply.status == 200 else None
    listed = found if isinstance(found, list) else [found]
    return [one for one in listed if isinstance(one, dict) and "status" in one]


def of_method(reply: Reply, method: str) -> list[dict[str, Any]]:
    """Those of one method."""
    return [one for one in operations(reply) if one.get("method") == method]


def voided(reply: Reply) -> list[dict[str, Any]]:
    """The voids that succeeded."""
    return [one for one in of_method(reply, "void") if one.get("status") == "success"]


def code(reply: Reply) -> str | None:
    """The provider's own error code."""
    document = reply.json
    args = document.get("args") if isinstance(document, dict) else None
    found = args.get("code") if isinstance(args, dict) else None
    return str(found)[:16] if found is not None else None


def about_credentials(reply: Reply) -> bool:
    """Does it say that the credentials are wrong?"""
    return reply.status == 401 or (code(reply) or "").startswith("S-")


def is_error_document(reply: Reply) -> bool:
    """An error as the provider documents it: JSON with `message` or `args`."""
    document = reply.json
    return reply.status >= 400 and isinstance(document, dict) and bool({"message", "args"} & document.keys())


def evidence(reply: Reply) -> dict[str, object]:
    """What may be shown of an answer of the provider: statuses and codes, no text of theirs."""
    return dict(_evidence(reply))


def _evidence(reply: Reply) -> Iterator[tuple[str, object]]:
    yield "status", reply.status
    yield "content_type", reply.content_type
    if (found := code(reply)) is not None:
        yield "code", found
    if reply.status >= 400:
        yield "documented_error", is_error_document(reply)
        if violations := _violations(reply):
            yield "fields", [str(one.get("field_name", ""))[:32] for one in violations]
    shown = operations(reply)
    if shown:
        yield "operations", [f"{one.get('method')} {one.get('status')} {one.get('status_code')}" for one in shown]


def _violations(reply: Reply) -> list[dict[str, Any]]:
    document = reply.json
    args = document.get("args") if isinstance(document, dict) else None
    return [one for one in args if isinstance(one, dict)] if isinstance(args, list) else []
