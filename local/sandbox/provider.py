"""The sandbox's provider over sockets: which request is which, when it is answered, and the webhooks that it sends.

Promises that every webhook sent stands at the desk with the answer it got, and that the last one can be sent again.
Never repeats by itself, whatever the answer was, unless the difference "webhook-again" is switched on.
"""

import threading
from typing import Any

import urllib3

from local.sandbox.desk import Desk, Rejected
from local.sandbox.doors import Exchange
from play import requests
from play.answers import ANSWERS, refusal
from play.ledger import Operation
from play.requests import Invalid, Void
from play.views import Query
from play.webhooks import ANOTHER_SECRET, data, signed
from play.words import LATE, http, text, told

HOLD_SECONDS = 30.0  # longer than any client of ours waits
LATE_SECONDS = 11.0  # longer than the service waits for an answer
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
        ledger = self._desk.ledger
        if operation is None:  # a void that there never was
            invented = ledger.draft("void", "success", self._desk.project, order_id)
            message = data(told(ledger, invented, "webhook"))
        else:
            message = self._message(order_id, operation)
        match mode, operation:
            case "forged", _:
                self._deliver(order_id, message, ANOTHER_SECRET)
            case "unreadable", _:
                self._deliver(order_id, data({}, "unreadable"))
            case "failure_then_success" | "success_then_failure", Operation():
                self._contradict(order_id, operation, mode.split("_then_"))
            case _, Operation() if "webhook-arrives" not in ledger.differs:
                usual = 2 if "webhook-number" in ledger.differs else 1
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
        sent: dict[str, Any] = {"url": url, **form, "genuine": secret is None, "status": None, "body": None}
        sent |= self._post(url, form) if url else {"error": "no server_url"}
        with self._desk.lock:
            self._desk.order(order_id).webhooks.append(sent)
        return sent

    def _post(self, url: str, form: dict[str, str]) -> dict[str, Any]:
        sender = (ANOTHER_ADDRESS, 0) if "webhook-address" in self._desk.ledger.differs else None
        with urllib3.PoolManager(retries=False, timeout=10, source_address=sender) as pool:
            try:
                answer = pool.request("POST", url, fields=form, encode_multipart=False, redirect=False)
            except (OSError, urllib3.exceptions.HTTPError) as problem:
                return {"error": str(problem) or type(problem).__name__}
            return {"status": answer.status, "body": answer.data.decode(errors="replace"), "error": None}


class ProviderApi:
    def __init__(self, desk: Desk, announcer: Announcer, stopping: threading.Event) -> None:
        self._desk, self._announcer, self._stopping = desk, announcer, stopping

    def __call__(self, exchange: Exchange) -> None:
        answer = self._answer(exchange.received)
        if answer is not None and answer.startswith(LATE):
            answer = b"" if self._stopping.wait(HOLD_SECONDS) else answer.removeprefix(LATE)
        return exchange.write(answer)

    def _answer(self, request: requests.Request) -> bytes | None:
        match request.method, request.segments:
            case "GET", ["health"]:
                return http(200, b"OK", "text/plain")
            case "POST", ["api", "v1", "void"]:
                return self._void(request)
            case "GET", ["api", "v1", "pos", _, "orders", _] | ["api", "v1", "pos", _, "orders", _, _]:
                desk = self._desk
                found = requests.read_query([desk.project], request, desk.ledger.differs)
                if isinstance(found, Invalid):
                    return _refused(found)
                return desk.answer_query(Query(desk.ledger, *found, encoded="%" in request.path))
            case _, ["health"] | ["api", "v1", "void"] | ["api", "v1", "pos", _, "orders", _]:
                return refusal("wrong method")
            case _:
                return refusal("no endpoint")

    def _void(self, request: requests.Request) -> bytes | None:
        desk = self._desk
        void = requests.read_void([desk.project], request, desk.ledger.differs)
        if isinstance(void, Invalid):
            return _refused(void)
        if "answer-time" in desk.ledger.differs:
            self._stopping.wait(LATE_SECONDS)
        faults = desk.receive(void)
        # The answer says what was true now, not what a later change makes of it.
        answer, operation = desk.land(void, faults["answer"])
        self._announce(void, operation, faults)
        return answer

    def _announce(self, void: Void, operation: Operation | None, faults: dict[str, str]) -> None:
        webhook = faults["webhook"]
        if operation is None:
            return self._announcer.announce(void.order, None, webhook)
        if webhook == "once" and "webhook-order" in self._desk.ledger.differs:
            webhook = "before_answer"
        if webhook == "before_answer":
            self._announcer.announce_first(void.order, operation)
        end = ANSWERS[faults["answer"]].then or ("success" if faults["answer"] == "success" else None)
        end = end if operation.status == "pending" else None
        if end or webhook != "before_answer":
            self._announcer.announce(void.order, operation, webhook, end)
        return None


def _refused(invalid: Invalid) -> bytes:
    if invalid.violations is None:
        return refusal(invalid.why)
    return http(400, text({"message": "Invalid request", "args": invalid.violations}))
