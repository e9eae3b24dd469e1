"""The sandbox's control side: how a test or a person prepares the provider and looks into it.

Promises 200 with JSON for every call that makes sense, and 400 with {"error": ...} for one that does not; 403 to the
pages of other sites. Never part of the provider: nothing in functions/ may know that it exists.
"""

import base64
import re
from collections.abc import Callable, Collection
from typing import Any

from urllib3 import HTTPHeaderDict

from local.issuer import Issuer
from local.loopback import is_local, is_same_site
from local.sandbox.desk import DEFAULTS, FAULTS, Desk, Rejected
from local.sandbox.doors import Door, Exchange
from local.sandbox.provider import Announcer
from payments.exact_json import Number, Unreadable, parse
from play.ledger import EVERY_NAME, NAMES, Operation
from play.webhooks import signed
from play.words import DIFFERENCES, http, text

WHAT = "The control side of the Financial Line sandbox, for tests and people; the API that it plays is at `provider`."
CALLS = (
    "POST /sandbox/holds", "GET /sandbox/orders/{order_id}", "PUT /sandbox/faults/{order_id}",
    "POST /sandbox/orders/{order_id}/void", "POST /sandbox/orders/{order_id}/capture",
    "POST /sandbox/orders/{order_id}/operations", "POST /sandbox/webhooks/{order_id}", "POST /sandbox/sign",
    "PUT /sandbox/settings",
)  # fmt: skip


def _is_amount(value: Any) -> bool:
    """A number, or a number in a string as some white labels send it; the digits are kept either way."""
    if isinstance(value, str):
        value = Number(value) if re.fullmatch(r"\d+(\.\d+)?", value) else None
    return isinstance(value, Number) and value.value is not None and value.value > 0


def _are_of(value: Any, known: Collection[str]) -> bool:
    return isinstance(value, list) and set(map(str, value)) <= {*known}


def _are_ids(value: Any) -> bool:
    named = isinstance(value, dict) and value.keys() <= EVERY_NAME.keys()
    return named and all(_are_of(ids, NAMES) for ids in value.values())


def _text(most: int, least: int = 1) -> tuple[Callable[[Any], bool], str]:
    length = f"{least} to {most}" if least < most else f"{most}"
    return lambda value: isinstance(value, str) and least <= len(value) <= most, f"a string of {length} characters"


def _one_of(*names: str) -> tuple[Callable[[Any], bool], str]:
    return lambda value: isinstance(value, str) and value in names, f"one of {', '.join(names)}"


_NAME = (lambda value: isinstance(value, str | None), "a string or null")
ROW_NAMES = (*NAMES, "payment_id")
MEMBERS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "order_id": _text(32), "currency": _text(3, 3), "method": _text(64), "status": _text(64), "api_secret": _text(256),
    "amount": (_is_amount, "a positive number"),
    **dict.fromkeys((*ROW_NAMES, "comment"), _NAME),
    **{fault: _one_of(*names) for fault, names in FAULTS.items()},
    "data": (lambda _: True, "any JSON"),
    "secret": _one_of("current", "previous"), "second_void": _one_of("refuse", "execute"),
    "listening": (lambda value: isinstance(value, bool), "true or false"),
    "differs": (lambda value: _are_of(value, DIFFERENCES), f"a list of {', '.join(DIFFERENCES)}"),
    "ids": (_are_ids, f"for each of {', '.join(EVERY_NAME)} a list of {', '.join(NAMES)}"),
}  # fmt: skip
"""What the bodies of the calls may have."""


class Control:
    issuer: Issuer | None = None

    def __init__(self, desk: Desk, announcer: Announcer, provider: Door) -> None:
        self._desk, self._announcer, self._provider = desk, announcer, provider

    def __call__(self, exchange: Exchange) -> None:
        if not (is_local(sender := exchange.received.headers) and is_same_site(sender)):
            return exchange.send(403, {"error": "only for this machine's own pages and programs"})
        path = exchange.path.partition("?")[0]
        headers = HTTPHeaderDict(exchange.headers.items())
        if self.issuer and (reply := self.issuer.answer(exchange.command, path, headers, exchange.body)):
            status, document, more = reply
            return exchange.write(http(status, text(document), more="".join(f"{n}: {v}\r\n" for n, v in more.items())))
        try:
            return exchange.send(200, self._answer(exchange))
        except Rejected as problem:
            return exchange.send(400, {"error": str(problem)})

    def _answer(self, exchange: Exchange) -> Any:
        desk = self._desk
        match exchange.command, exchange.received.segments:
            case "GET", [""]:
                return {"what": WHAT, "provider": f"https://127.0.0.1:{self._provider.port}", "calls": CALLS}
            case "POST", ["sandbox", "holds"]:
                wanted = _read(exchange, "order_id", "amount", "currency")
                desk.place_hold(**wanted)
                return desk.view(wanted["order_id"])
            case "GET", ["sandbox", "orders", order_id]:
                return desk.view(order_id)
            case "POST", ["sandbox", "orders", order_id, "void" | "capture" as method]:
                return self._announced(order_id, desk.portal(order_id, method), "once")
            case "POST", ["sandbox", "orders", order_id, "operations"]:
                row = _read(exchange, "status", may=("method", "amount", "currency", "webhook", "comment", *ROW_NAMES))
                webhook = row.pop("webhook", DEFAULTS["webhook"])
                return self._announced(order_id, desk.write_row(order_id, row), webhook)
            case "PUT", ["sandbox", "faults", order_id]:
                faults = DEFAULTS | _read(exchange, may=tuple(FAULTS))
                desk.order(order_id).faults = faults
                return {"order_id": order_id} | faults
            case "POST", ["sandbox", "webhooks", order_id]:
                return self._announcer.send_again(order_id)
            case "POST", ["sandbox", "sign"]:
                return self._sign(**_read(exchange, "data", may=("secret",)))
            case "PUT", ["sandbox", "settings"]:
                return self._set(_read(exchange, may=("second_void", "listening", "api_secret", "differs", "ids")))
            case _:
                raise Rejected(f"there is no {exchange.command} {exchange.path} on the control side")

    def _announced(self, order_id: str, operation: Operation, webhook: str) -> Any:
        self._announcer.announce(order_id, operation, webhook)
        return self._desk.view(order_id)

    def _sign(self, data: Any, secret: str = "current") -> Any:
        project = self._desk.project
        key = project.api_secret if secret == "current" else project.previous_secret
        if key is None:
            raise Rejected("secret: current, or previous after a rotation")
        return signed(key, base64.urlsafe_b64encode(text(data)))

    def _set(self, wanted: dict[str, Any]) -> Any:
        ledger, project = self._desk.ledger, self._desk.project
        answered: dict[str, Any] = {}
        if "differs" in wanted:
            ledger.differs = frozenset(wanted["differs"])
            answered["differs"] = sorted(ledger.differs)
        if "ids" in wanted:
            ledger.ids = answered["ids"] = {**EVERY_NAME, **wanted["ids"]}
        if "second_void" in wanted:
            ledger.executes_twice = wanted["second_void"] == "execute"
        if wanted.get("api_secret", project.api_secret) != project.api_secret:
            project.rotate(wanted["api_secret"])
        if "listening" in wanted:
            (self._provider.open if wanted["listening"] else self._provider.close)()
        second = "execute" if ledger.executes_twice else "refuse"
        return {"second_void": second, "listening": self._provider.is_open, **answered}


def _read(exchange: Exchange, *must: str, may: tuple[str, ...] = ()) -> dict[str, Any]:
    """The body: these members and no others, each of its kind. Raises Rejected."""
    try:
        value = parse(exchange.body)
        text(value)
    except UnicodeEncodeError:
        raise Rejected("the body has half of a surrogate pair, which no UTF-8 can carry") from None
    except Unreadable as problem:
        raise Rejected(f"the body is not JSON: {problem}") from None
    if not isinstance(value, dict):
        raise Rejected("the body is not a JSON object")
    if unknown := sorted(set(value) - {*must, *may}):
        raise Rejected(f"unknown: {', '.join(unknown)}; known: {', '.join((*must, *may))}")
    # A setting that is null is one that is not named.
    named = {name: each for name, each in value.items() if each is not None or name in (*must, *ROW_NAMES)}
    for name in (*must, *named):
        fits, expected = MEMBERS[name]
        if name not in named or not fits(named[name]):
            raise Rejected(f"{name}: {expected}")
    return named
