"""The service over virtual hours: a schedule, merchants, a provider that reports, an API in front, and what AWS measures.

A story is a script of clauses such as `20-40/60 stranger GET /voids`: from minute 20 to 40 each 60 seconds that verb.
`run` lets everything happen, one event after the other. The verbs are the methods of `Service` and of what it owns; one that
is no method is something that is so from then on: `30 posts unreachable`.
"""

import heapq
import itertools
import json
import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from payments.settings import SettingsError
from tests.alarms.account import OURS, Account
from tests.alarms.evaluator import MINUTE_MS
from tests.alarms.functions_on_a_clock import READ, SETTLE, SUBMIT, WEBHOOK, Finished, Functions, Release
from tests.fakes import scene

START = 1_795_000_020_000
"""The beginning of a minute: then the stack is deployed."""
SETTLE_SECOND = 20
ROUTES = {SUBMIT: ("POST", "/voids"), READ: ("GET", "/voids/{order_id}"), WEBHOOK: ("POST", "/webhooks/financial-line")}
DROPPED = "DEFAULT_5XX"
"""How API Gateway calls the answer that it gives in place of a function that crashed or answered no response."""
CLAUSE = re.compile(r"(?:(?P<begin>[\d.]+)(?:-(?P<end>[\d.]+)/(?P<every>\d+))? )?(?P<verb>\w+)(?P<words>(?: \S+)*)")
MALFORMED = ("{", "[]", '{"order_id": "0"}', '{"order_id": "a", "order_id": "b", "order_currency": "UAH"}')


class Service:
    """One deployed stack and the world around it. Minutes are counted from the deployment."""

    def __init__(self, template: Mapping[str, Any], minutes: int, *, filled: bool = True) -> None:
        self.account, self.minutes = Account(template, lambda: self.functions.at), minutes
        self.functions = Functions(START, self.account.namespace, *(() if filled else (None,)))
        self.functions.table.on_write = self.account.changed
        self.troubles: dict[str, int] = {}
        """When the cause of an alarm began (ms); "" is for all others."""
        self.released: int | None = None
        """When a bad release began to serve."""
        self.schedule, self.webhooks, self.without_concurrency = "on", "come", "nothing"
        self._releases: dict[str, tuple[Release | None, int, Any]] = {}
        self._timeline: list[tuple[int, int, Callable[[], Any]]] = []
        self._numbers, self._orders = itertools.count(), itertools.count(1)

    # What happens when.

    def tell(self, script: str) -> None:
        """Arrange what a script says. Raises ValueError for a clause that is none."""
        for clause in filter(None, map(str.strip, re.split(r"[;\n]", script))):
            found = CLAUSE.fullmatch(clause)
            if found is None:
                raise ValueError(clause)
            words = [word.partition("=") for word in found["words"].split()]
            owners = self, self.functions, self.functions.provider, self.account
            owner = next(each for each in owners if hasattr(each, found["verb"]))
            verb = getattr(owner, found["verb"])
            named = {name: int(value) if value.isdigit() else value for name, equals, value in words if equals}
            said = [word for word, equals, _ in words if not equals]
            act = partial(verb, *said, **named) if callable(verb) else partial(setattr, owner, found["verb"], *said)
            if found["begin"] is None:
                act()
            else:
                begin = float(found["begin"])
                self._during(begin, float(found["end"] or begin + 0.001), float(found["every"] or 60), act)

    def _during(self, minute: float, end: float, every_seconds: float, act: Callable[[], Any]) -> None:
        while minute < end:
            heapq.heappush(self._timeline, (START + round(minute * MINUTE_MS), next(self._numbers), act))
            minute += every_seconds / 60

    def _after(self, milliseconds: int, act: Callable[[], Any]) -> None:
        heapq.heappush(self._timeline, (self.functions.at + milliseconds, next(self._numbers), act))

    def run(self) -> None:
        for minute in range(self.minutes):
            self._during(minute + SETTLE_SECOND / 60, minute + 0.5, 60, self.settle)
            self._during(minute + 59 / 60, minute + 1, 60, self.account.each_minute)
        while self._timeline:
            moment, _, act = heapq.heappop(self._timeline)
            if moment >= START + self.minutes * MINUTE_MS:
                break
            self.functions.at = moment
            act()

    def trouble(self, *alarm: str) -> None:
        """From here the time is taken in which this alarm must ring; without a name, all others of the story."""
        self.troubles[" ".join(alarm)] = self.functions.at

    # Who acts.

    def trade(self, begin: int = 1, every: int = 60) -> None:
        """Ordinary traffic: a void a minute, and a read now and then."""
        self._during(begin, self.minutes, every, self.patient_void)
        self._during(begin + 0.7, self.minutes, 300, lambda: self.read("order-1"))

    def settle(self) -> None:
        """The schedule's run. It is asynchronous and not repeated: what fails goes to the dead-letter queue."""
        if self.schedule == "off":
            return
        if self.without_concurrency == SETTLE:
            self.account.throttled(SETTLE)
            self._after(MINUTE_MS, partial(self.account.lost, "run"))
        elif self._start(SETTLE, {}).failed:
            self.account.lost("run")

    def void(self, order_id: str | None = None, key: str | None = None, body: str | None = None) -> int:
        """A merchant releases a hold; the provider reports what it did. The status of the answer."""
        order_id = order_id or f"order-{next(self._orders)}"
        key = f"key {next(self._numbers)}" if key == "fresh" else key
        headers = {"Content-Type": "application/json", **({"Idempotency-Key": key} if key else {})}
        body = body or json.dumps({"order_id": order_id, "order_currency": "UAH"})
        status = self.call(SUBMIT, scene.gateway_event(body, headers))
        if status in (200, 202) and self.webhooks == "come" and order_id in self.functions.provider.executed:
            state = self.functions.provider.executed[order_id]
            self._after(2_000, lambda: self.webhook(order_id, status=state))
        return status

    def patient_void(self, order_id: str | None = None, left: int = 3) -> None:
        """A merchant who repeats what was not sent, as `Retry-After` says."""
        order_id = order_id or f"order-{next(self._orders)}"
        if self.void(order_id) in (429, 503) and left:
            self._after(5_000, lambda: self.patient_void(order_id, left - 1))

    def malformed(self) -> None:
        """A merchant who sends what is refused, and one key for two requests."""
        for body in MALFORMED:
            self.void("any", body=body)
        self.void("order-1", "one key", '{"order_id": "order-1", "order_currency": "EUR"}')

    def read(self, order_id: str | None = None, **query: str) -> None:
        path = {"pathParameters": {"order_id": order_id}} if order_id else {}
        self.call(READ, scene.gateway_event(None, {}, queryStringParameters=query or None, **path))

    def webhook(self, order_id: str = "order-1", forged: bool = False, unreadable: bool = False, **fields: Any) -> None:
        """The provider, or somebody who pretends to be it, reports a void."""
        message: object = scene.fields(**{"operation_id": f"void-{order_id}", "order_id": order_id, **fields})
        data, signature = scene.signed(b"no JSON" if unreadable else message)
        self.call(WEBHOOK, scene.webhook_event(data, b"forged" if forged else signature))

    def stranger(self, method: str, route: str, why: str, account: str | None = None) -> None:
        """A request that the gateway refuses; no function sees it. Who signed it has an account."""
        self.account.answered(method, route, self.account.refuses(why), why, account)

    def ours(self, method: str, route: str, why: str) -> None:
        """The same, of a caller of ours."""
        self.stranger(method, route, why, OURS)

    def call(self, function: str, event: dict[str, Any]) -> int:
        """A request through API Gateway: its status."""
        response, refused_as = None, None
        if self.without_concurrency == function:
            self.account.throttled(function)
        else:
            finished = self._start(function, event)
            response = None if finished.failed else finished.result
        if not isinstance(response, dict) or not isinstance(response.get("statusCode"), int):
            response, refused_as = {"statusCode": self.account.refuses(DROPPED)}, DROPPED
        json.loads(response.get("body") or "{}")
        self.account.answered(*ROUTES[function], response["statusCode"], refused_as)
        return int(response["statusCode"])

    def _start(self, function: str, event: dict[str, Any]) -> Finished:
        began, bad = self.functions.at, None
        release, share, counter = self._releases.get(function, (None, 1, itertools.count(1)))
        if next(counter) % share == 0 and function in self._releases:
            self.troubles.setdefault("", began)
            bad = release
        finished = self.functions.start(function, event, bad)
        self.account.ran(function, began, finished)
        return finished

    # What changes around the service.

    def release(self, function: str, kind: str, share: int = 10) -> None:
        """A release that serves one of `share` requests, the last of them; its first one is the cause of what rings."""
        self.released = self.functions.at
        self._releases[function] = (self._kinds()[kind], share, itertools.count(1))

    def _kinds(self) -> dict[str, Release | None]:
        def crash(*_: object) -> Any:
            raise RuntimeError

        return {
            "crashes": crash,
            "hangs": lambda *_: self.functions.wait(60),
            "answers-500": lambda *_: {"statusCode": 500, "body": "{}"},
            "answers-nothing": lambda *_: "ok",
            "has-a-defect": RuntimeError(),
            "lacks-a-setting": SettingsError("TABLE_NAME is not set"),
            "is-good": None,
        }

    def take_back(self, function: str) -> None:
        del self._releases[function]
