"""The sandbox's provider API over sockets: which request is which, when it is answered, and what is announced."""

import threading

from local.sandbox.desk import Desk
from local.sandbox.doors import Exchange
from local.sandbox.webhooks import Announcer
from play import requests
from play.answers import ANSWERS, refusal
from play.ledger import Operation
from play.requests import Invalid, Void
from play.views import Query
from play.words import LATE, http, text

HOLD_SECONDS = 30.0  # longer than any client of ours waits
LATE_SECONDS = 11.0  # longer than the service waits for an answer


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
                return self._query(request)
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
            self._announcer.announce(void.order, None, webhook)
            return
        if webhook == "once" and "webhook-order" in self._desk.ledger.differs:
            webhook = "before_answer"
        if webhook == "before_answer":
            self._announcer.announce_first(void.order, operation)
        end = ANSWERS[faults["answer"]].then or ("success" if faults["answer"] == "success" else None)
        end = end if operation.status == "pending" else None
        if end or webhook != "before_answer":
            self._announcer.announce(void.order, operation, webhook, end)

    def _query(self, request: requests.Request) -> bytes | None:
        desk = self._desk
        found = requests.read_query([desk.project], request, desk.ledger.differs)
        if isinstance(found, Invalid):
            return _refused(found)
        return desk.answer_query(Query(desk.ledger, *found, encoded="%" in request.path))


def _refused(invalid: Invalid) -> bytes:
    if invalid.violations is None:
        return refusal(invalid.why)
    return http(400, text({"message": "Invalid request", "args": invalid.violations}))
