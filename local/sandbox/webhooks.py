"""Sends the sandbox's webhooks: signed like the provider's, or wrongly when a fault says so.

Promises that every webhook sent stands in the ledger with the answer it got, and that the last one can be sent again.
Never repeats by itself, whatever the answer was, unless the difference "webhook-again" is switched on.
"""

import base64
import hashlib
import http.client
import ssl
import threading
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode, urlsplit

from local.sandbox.differences import told
from local.sandbox.doors import to_json
from local.sandbox.ledger import STATUSES, Credentials, Ledger, Operation

UNREADABLE = "this is not JSON {"
ANOTHER_SECRET = "not-the-secret-of-this-project"
ANOTHER_ADDRESS = "127.0.0.2"  # loopback too, and not among those that the local gateway takes webhooks from
MOST_REPEATS = 3


def sign(secret: str, data: str) -> str:
    digest = hashlib.sha1((secret + data + secret).encode()).digest()
    return base64.urlsafe_b64encode(digest).decode()


def encode(message: str) -> str:
    return base64.urlsafe_b64encode(message.encode()).decode()


class Announcer:
    def __init__(
        self, ledger: Ledger, credentials: Credentials, stopping: threading.Event, tls: ssl.SSLContext | None
    ) -> None:
        self._ledger = ledger
        self._credentials = credentials
        self._stopping = stopping
        self._tls = tls

    def announce(self, order_id: str, operation: Operation | None, mode: str) -> None:
        """100 ms after the operation, in a thread of its own. Without one only an attacker has something to say."""
        self._in_background(0.1, lambda: self._announce_now(order_id, operation, mode))

    def announce_first(self, order_id: str, operation: Operation) -> None:
        """Delivered and answered before the caller goes on to answer the void."""
        self._deliver(order_id, self._remember(order_id, self._told(operation)))

    def finish_later(self, order_id: str, operation: Operation, status: str, mode: str) -> None:
        """A pending void gets its end after a second, and only then a webhook."""

        def finish() -> None:
            self._ledger.finish(operation, status)
            self.announce(order_id, operation, mode)

        self._in_background(1.0, finish)

    def send_again(self, order_id: str) -> dict[str, Any]:
        return self._deliver(order_id, self._ledger.last_message(order_id))

    def _announce_now(self, order_id: str, operation: Operation | None, mode: str) -> None:
        if mode == "forged":
            message = self._message_of(order_id, operation)
            self._deliver(order_id, message, secret=ANOTHER_SECRET)
        elif mode == "unreadable":
            self._message_of(order_id, operation)
            self._deliver(order_id, UNREADABLE)
        elif operation is not None:
            self._announce_operation(order_id, operation, mode)

    def _announce_operation(self, order_id: str, operation: Operation, mode: str) -> None:
        if mode in ("failure_then_success", "success_then_failure"):
            self._contradict(order_id, operation, mode.split("_then_"))
            return
        message = self._remember(order_id, self._told(operation))
        if "webhook-arrives" in self._ledger.differs:
            return
        usual = 2 if "webhook-number" in self._ledger.differs else 1
        secret = ANOTHER_SECRET if "webhook-secret" in self._ledger.differs else None
        for _ in range({"none": 0, "twice": 2}.get(mode, usual)):
            self._deliver_until_taken(order_id, message, secret)

    def _contradict(self, order_id: str, operation: Operation, statuses: list[str]) -> None:
        """Two webhooks of one void that exclude each other. The ledger ends as success, also when the answer was no."""
        if operation["status"] != "success":
            self._stopping.wait(1.0)  # so that a query right after the answer still sees what the answer said
            self._ledger.finish(operation, "success")
        for status in statuses:
            code, text = STATUSES[status]
            contrary = operation | {"status": status, "status_code": code, "status_description": text}
            self._deliver(order_id, self._remember(order_id, self._told(contrary)))

    def _message_of(self, order_id: str, operation: Operation | None) -> str:
        """The genuine message behind a bad one is kept, to be sent later by hand; an invented one is not."""
        if operation is not None:
            return self._remember(order_id, self._told(operation))
        code, text = STATUSES["success"]
        invented = {"order_id": order_id, "pos_id": self._credentials.pos_id, "method": "void", "status": "success"}
        return to_json(invented | {"status_code": code, "status_description": text})

    def _told(self, operation: Operation) -> str:
        return to_json(told(operation, self._ledger.differs, "webhook"))

    def _deliver_until_taken(self, order_id: str, message: str, secret: str | None) -> None:
        """Once; with the difference "webhook-again" each second, until it is answered 2xx."""
        repeats = MOST_REPEATS if "webhook-again" in self._ledger.differs else 0
        for repeat in range(1 + repeats):
            if repeat and self._stopping.wait(1.0):
                return
            status = self._deliver(order_id, message, secret)["status"]
            if status is not None and status < 300:
                return

    def _remember(self, order_id: str, message: str) -> str:
        self._ledger.remember_message(order_id, message)
        return message

    def _deliver(self, order_id: str, message: str, secret: str | None = None) -> dict[str, Any]:
        data = encode(message)
        signature = sign(secret or self._credentials.api_secret, data)
        url = self._ledger.webhook_target(order_id)
        sent: dict[str, Any] = {"url": url, "data": data, "signature": signature, "genuine": secret is None}
        form = urlencode({"data": data, "signature": signature})
        sent |= self._post(url, form) if url else _unanswered("no server_url")
        self._ledger.record_webhook(order_id, sent)
        return sent

    def _post(self, url: str, form: str) -> dict[str, Any]:
        target = urlsplit(url)
        host, port = target.hostname or "", target.port
        sender = (ANOTHER_ADDRESS, 0) if "webhook-address" in self._ledger.differs else None
        client = (
            http.client.HTTPSConnection(
                host, port, timeout=10, context=self._tls or ssl.create_default_context(), source_address=sender
            )
            if target.scheme == "https"
            else http.client.HTTPConnection(host, port, timeout=10, source_address=sender)
        )
        try:
            path = (target.path or "/") + (f"?{target.query}" if target.query else "")
            client.request("POST", path, form, {"Content-Type": "application/x-www-form-urlencoded"})
            answer = client.getresponse()
            return {"status": answer.status, "body": answer.read().decode(errors="replace"), "error": None}
        except (OSError, http.client.HTTPException) as problem:
            return _unanswered(str(problem) or type(problem).__name__)
        finally:
            client.close()

    def _in_background(self, delay: float, act: Callable[[], None]) -> None:
        def run() -> None:
            if not self._stopping.wait(delay):
                act()

        threading.Thread(target=run, daemon=True, name="sandbox-webhook").start()


def _unanswered(error: str) -> dict[str, Any]:
    return {"status": None, "body": None, "error": error}
