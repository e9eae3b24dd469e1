"""The service over virtual hours: a schedule, merchants, a provider that reports, an API in front, and what AWS measures.

A story says what happens when; `run` lets it happen, one event after the other.
"""

import heapq
import itertools
import json
from collections.abc import Callable, Mapping
from typing import Any

from tests.alarms import functions_on_a_clock as functions
from tests.alarms.account import Account
from tests.alarms.evaluator import MINUTE_MS
from tests.alarms.functions_on_a_clock import READ, SETTLE, SUBMIT, WEBHOOK, Clock, Functions, Handler

START = 1_795_000_020_000
"""The beginning of a minute: then the stack is deployed."""
SETTLE_SECOND = 20
WEBHOOK_AFTER_MS = 2_000
ROUTES = {SUBMIT: ("POST", "/voids"), READ: ("GET", "/voids/{order_id}"), WEBHOOK: ("POST", "/webhooks/financial-line")}
DROPPED = "DEFAULT_5XX"
"""How API Gateway calls the answer that it gives in place of a function that crashed or answered no response."""

Act = Callable[[], Any]


class Service:
    """One deployed stack and the world around it. Minutes are counted from the deployment."""

    def __init__(self, template: Mapping[str, Any], *, filled: bool = True) -> None:
        self.account = Account(template)
        self.clock = Clock(START)
        self.functions = Functions(self.clock, self.account.namespace, *(() if filled else (None,)))
        self.scheduled = True
        """Does the schedule start settle_voids?"""
        self.webhooks_come = True
        self.out_of_concurrency: set[str] = set()
        self.troubles: dict[str, int] = {}
        """When the cause of an alarm began (ms); "" is for all others."""
        self.released: int | None = None
        """When a bad release began to serve."""
        self._releases: dict[str, tuple[Handler, int, Any]] = {}
        self._timeline: list[tuple[int, int, Act]] = []
        self._numbers, self._orders = itertools.count(), itertools.count(1)

    @property
    def provider(self) -> functions.FinancialLine:
        """Financial Line, with its modes."""
        return self.functions.provider

    # What happens when.

    def at(self, minute: float, act: Act) -> None:
        """Once."""
        heapq.heappush(self._timeline, (START + round(minute * MINUTE_MS), next(self._numbers), act))

    def during(self, begin: float, end: float, every_seconds: float, act: Act) -> None:
        """Again and again."""
        minute = begin
        while minute < end:
            self.at(minute, act)
            minute += every_seconds / 60

    def trouble(self, minute: float, *alarms: str) -> None:
        """From here the time is taken in which these alarms must ring; without names, all alarms of the story."""
        for alarm in alarms or ("",):
            self.troubles[alarm] = START + round(minute * MINUTE_MS)

    def run(self, minutes: int) -> None:
        """Let everything happen up to then."""
        for minute in range(minutes):
            self.at(minute + SETTLE_SECOND / 60, self.settle)
            self.at(minute + 59 / 60, lambda: self.account.measure_queues(self.clock.at))
        while self._timeline:
            moment, _, act = heapq.heappop(self._timeline)
            if moment >= START + minutes * MINUTE_MS:
                break
            self.clock.at = moment
            act()

    # Who acts.

    def settle(self) -> None:
        """The schedule's run. It is asynchronous and not repeated: what fails goes to the dead-letter queue."""
        if not self.scheduled:
            return
        at = self.clock.at
        if SETTLE in self.out_of_concurrency:
            self.account.throttled(SETTLE, at)
            self.account.dead_letter(self.account.lost_runs, at + MINUTE_MS)
        elif self._start(SETTLE, {}).failed:
            self.account.dead_letter(self.account.lost_runs, at)

    def void(self, order_id: str | None = None, **more: Any) -> dict[str, Any]:
        """A merchant releases a hold; the provider reports what it did. The body of the answer."""
        order_id = order_id or f"order-{next(self._orders)}"
        status, answer = self.call(SUBMIT, functions.a_void(order_id, **more))
        if status in (200, 202) and self.webhooks_come and order_id in self.provider.executed:
            state = self.provider.executed[order_id]
            after = (self.clock.at + WEBHOOK_AFTER_MS - START) / MINUTE_MS
            self.at(after, lambda: self.webhook(order_id, status=state))
        return {"status": status, **answer}

    def patient_void(self, repetitions: int = 3) -> None:
        """A merchant who repeats what was not sent, as `Retry-After` says."""
        order_id = f"order-{next(self._orders)}"

        def attempt(left: int) -> None:
            if self.void(order_id)["status"] in (429, 503) and left:
                self.at((self.clock.at + 5_000 - START) / MINUTE_MS, lambda: attempt(left - 1))

        attempt(repetitions)

    def read(self, order_id: str, **query: str) -> int:
        """A merchant reads a void."""
        return self.call(READ, functions.a_read(order_id, **query))[0]

    def list(self, **query: str) -> int:
        """A merchant lists what is open."""
        return self.call(READ, functions.a_list(**query))[0]

    def webhook(self, order_id: str = "order-1", **more: Any) -> int:
        """The provider, or somebody who pretends to be it, reports a void."""
        return self.call(WEBHOOK, functions.a_webhook(order_id, **more))[0]

    def stranger(self, method: str = "GET", route: str = "-", why: str = "MISSING_AUTHENTICATION_TOKEN") -> None:
        """A request that the gateway refuses; no function sees it."""
        self.account.answered(method, route, self.clock.at, self.account.refuses(why), 5, why)

    def call(self, function: str, event: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """A request through API Gateway: status and body."""
        method, route = ROUTES[function]
        began = self.clock.at
        if function in self.out_of_concurrency:
            self.account.throttled(function, began)
            return self._dropped(method, route, began)
        finished = self._start(function, event)
        response = finished.result
        if finished.failed or not isinstance(response, dict) or not isinstance(response.get("statusCode"), int):
            return self._dropped(method, route, began)
        self.account.answered(method, route, began, response["statusCode"], finished.duration_ms + 10)
        return response["statusCode"], json.loads(response.get("body") or "{}")

    def _dropped(self, method: str, route: str, began: int) -> tuple[int, dict[str, Any]]:
        status = self.account.refuses(DROPPED)
        self.account.answered(method, route, began, status, self.clock.at - began + 10, DROPPED)
        return status, {}

    def _start(self, function: str, event: dict[str, Any]) -> functions.Finished:
        began = self.clock.at
        self.functions.instead.pop(function, None)
        if function in self._releases:
            handler, share, counter = self._releases[function]
            if next(counter) % share == 0:
                self.functions.instead[function] = handler
                self.troubles.setdefault("", began)
        finished = self.functions.start(function, event)
        self.account.ran(function, began, finished)
        return finished

    def release(self, function: str, handler: Handler, *, share: int = 10) -> None:
        """A release that serves one of `share` requests, the last of them; its first one is the cause of what rings."""
        self.released = self.clock.at
        self._releases[function] = (handler, share, itertools.count(1))

    def take_back(self, function: str) -> None:
        """The release before it serves everything again."""
        self._releases.pop(function, None)
