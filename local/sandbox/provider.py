"""The sandbox's provider API: what Financial Line answers, and every way in which the answer may go wrong.

Promises that credentials are checked before anything else, over the received bytes. Never executes a void that a fault
calls not executed.
"""

import hashlib
import hmac
import re
import threading
import uuid
from collections.abc import Set
from email.message import Message
from typing import Any
from urllib.parse import urlsplit

from local.sandbox.differences import told
from local.sandbox.doors import Exchange, parse_json
from local.sandbox.ledger import Credentials, Ledger, Operation, Refusal
from local.sandbox.webhooks import Announcer

HOLD_SECONDS = 30.0  # longer than any client of ours waits

BAD_CREDENTIALS = Refusal(401, "Invalid pos_id field or credentials", "S-403")
FOREIGN_POS_ID = Refusal(401, "Invalid pos_id field or credentials", "S-404")
NO_ENDPOINT = Refusal(404, "Endpoint not found")
NO_PAYMENT = Refusal(404, "Payment not found")
INTERNAL = Refusal(500, "Internal error")
PAGE = "<html><body><h1>Not Found</h1></body></html>"
LATE_SECONDS = 11.0  # longer than the service waits for an answer
PLAIN_ORDER = re.compile(r"[A-Za-z0-9._-]+")

NOT_EXECUTED = {  # faults after which nothing happened, and the answer when there is one
    "http_400": Refusal(400, "Invalid request"),
    "http_401": BAD_CREDENTIALS,
    "http_404": NO_PAYMENT,
    "http_429": Refusal(429, "Too many requests"),
    "http_500_not_executed": INTERNAL,
    "http_503": Refusal(503, "Service unavailable"),
    "timeout_not_executed": None,
    "reset_not_executed": None,
}
STATUS_OF = {"pending": "pending", "pending_then_failure": "pending", "failure": "failure"}


class ProviderApi:
    def __init__(
        self, ledger: Ledger, credentials: Credentials, announcer: Announcer, stopping: threading.Event
    ) -> None:
        self._ledger = ledger
        self._credentials = credentials
        self._announcer = announcer
        self._stopping = stopping

    def __call__(self, exchange: Exchange) -> None:
        match exchange.command, exchange.segments:
            case "GET", ["health"]:
                exchange.send(200, "OK")
            case "POST", ["api", "v1", "void"]:
                self._void(exchange)
            case "GET", ["api", "v1", "pos", pos_id, "orders", order_id]:
                self._query(exchange, pos_id, order_id, None)
            case "GET", ["api", "v1", "pos", pos_id, "orders", order_id, method]:
                self._query(exchange, pos_id, order_id, method)
            case _, ["health"] | ["api", "v1", "void"] | ["api", "v1", "pos", _, "orders", _]:
                _refuse(exchange, Refusal(405, "Method not allowed"))
            case _:
                _refuse(exchange, NO_ENDPOINT)

    @property
    def _differs(self) -> Set[str]:
        return self._ledger.differs

    def _void(self, exchange: Exchange) -> None:
        if not self._is_authentic_post(exchange):
            return self._refuse_credentials(exchange)
        if "answer-time" in self._differs:
            self._stopping.wait(LATE_SECONDS)
        try:
            request = parse_json(exchange.body)
        except ValueError:
            return _refuse(exchange, Refusal(406, "Not acceptable: JSON expected"))
        if violations := violations_of(request, self._differs):
            return exchange.send(400, {"message": "Invalid request", "args": violations})
        if request["pos_id"] != self._credentials.pos_id:
            return _refuse(exchange, FOREIGN_POS_ID)
        return self._execute(exchange, request)

    def _execute(self, exchange: Exchange, request: dict[str, Any]) -> None:
        order_id = request["order_id"]
        faults = self._ledger.receive_void(order_id, request.get("server_url"))
        answer, webhook = faults["answer"], faults["webhook"]
        if answer in NOT_EXECUTED:
            self._announcer.announce(order_id, None, webhook)
            return self._answer_not_executed(exchange, answer)
        at_once = "pending" if "at-once" in self._differs else "success"
        outcome = self._ledger.void(
            order_id, request["order_currency"], request.get("comment"), STATUS_OF.get(answer, at_once)
        )
        if isinstance(outcome, Refusal):
            self._announcer.announce(order_id, None, webhook)
            return self._refuse_void(exchange, outcome)
        # The answer says what was true now, not what a later change makes of it.
        as_told = told(dict(outcome), self._differs, "answer")
        self._announce(order_id, outcome, answer, webhook)
        return self._answer_executed(exchange, answer, as_told)

    def _refuse_void(self, exchange: Exchange, refusal: Refusal) -> None:
        if refusal.status == NO_PAYMENT.status and "unknown-void" in self._differs:
            exchange.send(404, PAGE)
        elif refusal.status != NO_PAYMENT.status and "refusal-shape" in self._differs:
            exchange.send(422, PAGE)
        else:
            _refuse(exchange, refusal)

    def _is_authentic_post(self, exchange: Exchange) -> bool:
        refused = "post-plain" if _is_plain(exchange.headers) else "post-signed"
        return refused not in self._differs and authentic(self._credentials, exchange.headers, exchange.body)

    def _is_authentic_get(self, exchange: Exchange) -> bool:
        if _is_plain(exchange.headers):
            return "get-plain" not in self._differs and plain(self._credentials, exchange.headers)
        return "get-signed" in self._differs and authentic(self._credentials, exchange.headers, b"")

    def _refuse_credentials(self, exchange: Exchange) -> None:
        _refuse(exchange, NO_PAYMENT if "wrong-credentials" in self._differs else BAD_CREDENTIALS)

    def _announce(self, order_id: str, operation: Operation, answer: str, webhook: str) -> None:
        if webhook == "once" and "webhook-order" in self._differs:
            webhook = "before_answer"
        if webhook == "before_answer":
            self._announcer.announce_first(order_id, operation)
        if answer == "pending_then_failure":
            self._announcer.finish_later(order_id, operation, "failure", webhook)
        elif answer == "success" and operation["status"] == "pending":
            self._announcer.finish_later(order_id, operation, "success", webhook)
        elif webhook != "before_answer":
            self._announcer.announce(order_id, operation, webhook)

    def _answer_not_executed(self, exchange: Exchange, answer: str) -> None:
        refusal = NOT_EXECUTED[answer]
        if refusal:
            _refuse(exchange, refusal)
        elif answer == "reset_not_executed":
            exchange.reset()
        else:
            self._stopping.wait(HOLD_SECONDS)
            exchange.hang_up()

    def _answer_executed(self, exchange: Exchange, answer: str, operation: Operation) -> None:
        match answer:
            case "timeout_executed":
                if self._stopping.wait(HOLD_SECONDS):
                    return exchange.hang_up()
                exchange.send(200, operation)
            case "reset_executed":
                exchange.reset()
            case "http_500_executed":
                _refuse(exchange, INTERNAL)
            case "garbage":
                exchange.send(200, "<html><body>It works!</body></html>")
            case "truncated":
                exchange.send_half(200, operation)
            case "redirect":
                exchange.send(302, "", {"Location": f"/api/v1/pos/{operation['pos_id']}/orders/moved/void"})
            case "wrong_order":
                exchange.send(200, of_another_order(operation))
            case _:
                exchange.send(200, operation)
        return None

    def _query(self, exchange: Exchange, pos_id: str, order_id: str, method: str | None) -> None:
        if not self._is_authentic_get(exchange):
            return self._refuse_credentials(exchange)
        if pos_id != self._credentials.pos_id:
            return _refuse(exchange, FOREIGN_POS_ID)
        fault = self._ledger.take_query_fault(order_id)
        if fault == "timeout" and self._stopping.wait(HOLD_SECONDS):
            return exchange.hang_up()
        if fault == "http_500":
            return _refuse(exchange, INTERNAL)
        if order_id == "0" and "order-zero" in self._differs:
            return _refuse(exchange, BAD_CREDENTIALS)
        found = self._shown(exchange, order_id, method)
        match fault:
            case "not_found":
                found = []
            case "stale":
                found = without_last_void(found)
            case "wrong_order":
                found = [of_another_order(item) for item in found]
        if found:
            return exchange.send(200, found[-1] if "query-hold" in self._differs else found)
        if method is not None and "query-no-void" in self._differs:
            return _refuse(exchange, FOREIGN_POS_ID)
        if "unknown-query" in self._differs:
            return exchange.send(404, PAGE)
        return _refuse(exchange, NO_PAYMENT)

    def _shown(self, exchange: Exchange, order_id: str, method: str | None) -> list[Operation]:
        """The operations that a query finds, as this provider tells them."""
        if "order-path" in self._differs and "%" in exchange.path:
            return []
        hidden = {"void"} if {"query-delay", "query-lag"} & self._differs else set()
        found = [
            told(item, self._differs, "query")
            for item in self._ledger.operations(order_id)
            if method in (None, item["method"]) and item["method"] not in hidden
        ]
        return found + ([found[0] | {"payment_id": "another"}] if found and "order-once" in self._differs else [])


def authentic(credentials: Credentials, headers: Message, body: bytes) -> bool:
    scheme, _, proof = headers.get("X-API-AUTH", "").partition(" ")
    api_key, _, signature = proof.partition(":")
    secret = credentials.api_secret.encode()
    expected = {
        "CPAY": credentials.api_secret,
        "CPAY-HMAC": hmac.new(secret, body, hashlib.sha1).hexdigest(),
        "CPAY-SHA1": hashlib.sha1(secret + body + secret).hexdigest(),
    }.get(scheme)
    return (
        expected is not None
        and api_key == credentials.api_key
        and signature == expected
        and headers.get("X-API-KEY") == credentials.endpoints_key
    )


def plain(credentials: Credentials, headers: Message) -> bool:
    """What a signature of a GET covers is not documented, so only the plain scheme is accepted there."""
    return _is_plain(headers) and authentic(credentials, headers, b"")


def _is_plain(headers: Message) -> bool:
    return headers.get("X-API-AUTH", "").startswith("CPAY ")


def violations_of(request: Any, differs: Set[str] = frozenset()) -> Any:
    """The provider's two shapes of a bad request: by path when it is no object, else one entry per field."""
    if not isinstance(request, dict):
        return {"obj": [{"msg": ["error.expected.jsobject"], "args": []}]}
    limits = {"pos_id": 36, "order_id": 32, "order_currency": 3}
    found = [
        {"field_name": name, "violation": f"required: a string of at most {limit} characters"}
        for name, limit in limits.items()
        if not (isinstance(request.get(name), str) and 0 < _size(request[name], name, differs) <= limit)
    ]
    if "order-characters" in differs and not PLAIN_ORDER.fullmatch(str(request.get("order_id"))):
        found.append({"field_name": "order_id", "violation": "letters, digits, dot, hyphen and underscore"})
    comment, url = request.get("comment"), request.get("server_url")
    if comment is not None and not (isinstance(comment, str) and _size(comment, "comment", differs) <= 2048):
        found.append({"field_name": "comment", "violation": "a string of at most 2048 characters"})
    if url is not None and not _is_url(url):
        found.append({"field_name": "server_url", "violation": "an http or https URL"})
    return found


def _size(text: str, field: str, differs: Set[str]) -> int:
    """In characters; in bytes where this provider counts those."""
    in_bytes = {"order_id": "order-limit", "comment": "comment-limit"}.get(field) in differs
    return len(text.encode("utf-8", "replace")) if in_bytes else len(text)


def of_another_order(operation: Operation) -> Operation:
    ids = {name: str(uuid.uuid4()) for name in ("operation_id", "payment_id", "transaction_id") if name in operation}
    return operation | ids | {"order_id": f"not-{operation['order_id']}"[:32]}


def without_last_void(operations: list[Operation]) -> list[Operation]:
    """What a replica that lags behind still shows."""
    voids = [index for index, item in enumerate(operations) if item["method"] == "void"]
    return operations[: voids[-1]] if voids else operations


def _is_url(value: Any) -> bool:
    try:
        return isinstance(value, str) and urlsplit(value).scheme in ("http", "https") and bool(urlsplit(value).hostname)
    except ValueError:
        return False


def _refuse(exchange: Exchange, refusal: Refusal) -> None:
    exchange.send(refusal.status, refusal.body)
