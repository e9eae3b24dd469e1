"""The provider itself, queried without the service: what it says is read as it comes.

Promises one request per call over verified TLS. Never repeats one, and keeps of an answer what evidence may hold.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote

from acceptance import wire
from acceptance.wire import Reply
from payments.secret import Credentials
from payments.settings import ProviderSettings
from payments.signatures import Scheme, authorise

SECONDS = 30.0


@dataclass(frozen=True)
class Line:
    provider: ProviderSettings
    credentials: Credentials

    def query(
        self, order: str, method: str = "", *, scheme: Scheme = Scheme.PLAIN, wrong: Mapping[str, str] | None = None
    ) -> Reply:
        """Query an order. `wrong` replaces credentials by others. Raises NoAnswer."""
        credentials = replace(self.credentials, **(wrong or {}))
        path = f"/api/v1/pos/{quote(credentials.pos_id, safe='')}/orders/{quote(order, safe='')}"
        return self._send("GET", f"{path}/{method}" if method else path, credentials, scheme, b"")

    def void(self, order: str, currency: str, *, comment: str | None = None, scheme: Scheme | None = None) -> Reply:
        """Send a void past the service, without a `server_url`. Only for a given hold or an order that nobody has."""
        document = {"pos_id": self.credentials.pos_id, "order_id": order, "order_currency": currency}
        body = wire.compact(document | ({"comment": comment} if comment else {}))
        return self._send("POST", "/api/v1/void", self.credentials, scheme or self.provider.scheme, body)

    def _send(self, method: str, path: str, credentials: Credentials, scheme: Scheme, body: bytes) -> Reply:
        headers = {
            "X-API-AUTH": authorise(scheme, credentials.api_key, credentials.api_secret, body),
            "X-API-KEY": credentials.endpoints_key,
            "Accept": "application/json",
            "User-Agent": "void-service-acceptance",
        } | ({"Content-Type": "application/json"} if body else {})
        return wire.send(self.provider.url, method, path, headers, body, ca_file=self.provider.ca_file, seconds=SECONDS)


def operations(reply: Reply, method: str | None = None, status: str | None = None) -> list[dict[str, Any]]:
    """The operations that an answer shows, in a list or alone; those of one method, with one status."""
    found = reply.json if reply.status == 200 else None
    listed = found if isinstance(found, list) else [found]
    shown = [one for one in listed if isinstance(one, dict) and "status" in one]
    return [one for one in shown if method in (None, one.get("method")) and status in (None, one["status"])]


def succeeded(reply: Reply, method: str) -> list[dict[str, Any]]:
    return operations(reply, method, "success")


def code(reply: Reply) -> str | None:
    args = reply.document.get("args")
    found = args.get("code") if isinstance(args, dict) else None
    return str(found)[:16] if found is not None else None


def about_credentials(reply: Reply) -> bool:
    return reply.status == 401 or (code(reply) or "").startswith("S-")


def is_error_document(reply: Reply) -> bool:
    """An error as the provider documents it: JSON with `message` or `args`."""
    return reply.status >= 400 and bool({"message", "args"} & reply.document.keys())


def evidence(reply: Reply) -> dict[str, object]:
    """What may be shown of an answer of the provider: statuses and codes, no text of theirs."""
    args = reply.document.get("args") if reply.status >= 400 else None
    named = [one for one in args if isinstance(one, dict)] if isinstance(args, list) else []
    shown = {
        "status": reply.status,
        "content_type": reply.content_type,
        "code": code(reply),
        "documented_error": is_error_document(reply) if reply.status >= 400 else None,
        "fields": [str(one.get("field_name", ""))[:32] for one in named],
        "operations": [f"{one.get('method')} {one['status']} {one.get('status_code')}" for one in operations(reply)],
    }
    return {name: value for name, value in shown.items() if value not in (None, [])}
