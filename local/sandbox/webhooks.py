"""Sends the sandbox's webhooks: signed like the provider's, or wrongly when a fault says so.

Promises that every webhook sent stands at the desk with the answer it got, and that the last one can be sent again.
Never repeats by itself, whatever the answer was, unless the difference "webhook-again" is switched on.
"""

import threading
from typing import Any

import urllib3

from local.sandbox.desk import Desk, Rejected
from play.ledger import Operation
from play.requests import Void
from play.webhooks import ANOTHER_SECRET, data, signed
from play.words import told

ANOTHER_ADDRESS = "127.0.0.2"  # loopback too, and not among those that the local gateway takes webhooks from
MOST_REPEATS = 3


class Announcer:
    def __init__(self, desk: Desk, stopping: threading.Event) -> None:
        self._desk, self._stopping = desk, stopping

    def announce(self, order_id: str, operation: Operation | None, mode: str, end: str | None = None) -> None:
        """100 ms after the operation, or after its `end` a second later. Without one only an attacker has a say."""

        def run() -> None:
            if operation and end and not self._stopping.wait(1.0):
                self._desk.finish(operation, end)
            if not self._stopping.wait(0.1):
                self._announce(order_id, operation, mode)

        threading.Thread(target=run, daemon=True, name="sandbox-webhook").start()

    def announce_first(self, order_id: str, operation: Operation) -> None:
        """Delivered and answered before the caller goes on to answer the void."""
        self._deliver(order_id, self._message(order_id, operation))

    def send_again(self, order_id: str) -> dict[str, Any]:
        message = self._desk.order(order_id).last_data
        if message is None:
            raise Rejected(f"order {order_id} has no webhook to send again")
        return self._deliver(order_id, message.encode())

    def _announce(self, order_id: str, operation: Operation | None, mode: str) -> None:
        message = None if operation is None else self._message(order_id, operation)
        if mode == "forged":
            self._deliver(order_id, message or self._invented(order_id), ANOTHER_SECRET)
        elif mode == "unreadable":
            self._deliver(order_id, data({}, "unreadable"))
        elif operation is None or message is None:
            return
        elif mode in ("failure_then_success", "success_then_failure"):
            self._contradict(order_id, operation, mode.split("_then_"))
        elif "webhook-arrives" not in self._desk.ledger.differs:
            usual = 2 if "webhook-number" in self._desk.ledger.differs else 1
            for _ in range({"none": 0, "twice": 2}.get(mode, usual)):
                self._deliver_until_taken(order_id, message)

    def _contradict(self, order_id: str, operation: Operation, statuses: list[str]) -> None:
        """Two webhooks of one void that exclude each other. The ledger ends as success, also when the answer was no."""
        if operation.status != "success":
            self._stopping.wait(1.0)  # so that a query right after the answer still sees what the answer said
            self._desk.finish(operation, "success")
        for status in statuses:
            self._deliver(order_id, self._message(order_id, operation, status))

    def _message(self, order_id: str, operation: Operation, status: str | None = None) -> bytes:
        """Kept, to be sent again by hand."""
        message = data(told(self._desk.ledger, operation, "webhook", status))
        self._desk.order(order_id).last_data = message.decode()
        return message

    def _invented(self, order_id: str) -> bytes:
        """About a void that there never was."""
        ledger, void = self._desk.ledger, Void(self._desk.project, order_id, "UAH")
        return data(told(ledger, ledger.draft("void", "success", void.project, void.order), "webhook"))

    def _deliver_until_taken(self, order_id: str, message: bytes) -> None:
        """Once; with the difference "webhook-again" each second, until it is answered 2xx."""
        differs = self._desk.ledger.differs
        secret = ANOTHER_SECRET if "webhook-secret" in differs else None
        for repeat in range(1 + MOST_REPEATS if "webhook-again" in differs else 1):
            if repeat and self._stopping.wait(1.0):
                return
            status = self._deliver(order_id, message, secret)["status"]
            if status is not None and status < 300:
                return

    def _deliver(self, order_id: str, message: bytes, secret: str | None = None) -> dict[str, Any]:
        form = signed(secret or self._desk.project.api_secret, message)
        url = self._desk.webhook_target(order_id)
        sent: dict[str, Any] = {"url": url, **form, "genuine": secret is None}
        sent |= self._post(url, form) if url else _unanswered("no server_url")
        with self._desk.lock:
            self._desk.order(order_id).webhooks.append(sent)
        return sent

    def _post(self, url: str, form: dict[str, str]) -> dict[str, Any]:
        sender = (ANOTHER_ADDRESS, 0) if "webhook-address" in self._desk.ledger.differs else None
        with urllib3.PoolManager(retries=False, timeout=10, source_address=sender) as pool:
            try:
                answer = pool.request("POST", url, fields=form, encode_multipart=False, redirect=False)
            except (OSError, urllib3.exceptions.HTTPError) as problem:
                return _unanswered(str(problem) or type(problem).__name__)
            return {"status": answer.status, "body": answer.data.decode(errors="replace"), "error": None}


def _unanswered(error: str) -> dict[str, Any]:
    return {"status": None, "body": None, "error": error}
