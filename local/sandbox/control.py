"""The sandbox's control side: how a test or a person prepares the provider and looks into it.

Promises 200 with JSON for every call that makes sense, and 400 with {"error": ...} for one that does not; 403 to the
pages of other sites. Never part of the provider: nothing in functions/ may know that it exists.
"""

import base64
import re
from decimal import InvalidOperation
from typing import Any

from local.sandbox.desk import DEFAULTS, FAULTS, Desk, Rejected
from local.sandbox.doors import Door, Exchange
from local.sandbox.webhooks import Announcer
from payments.exact_json import Number, Unreadable, parse
from play.ledger import EVERY_NAME, NAMES, Channel, Operation
from play.webhooks import signed
from play.words import DIFFERENCES, text

LOOPBACK = re.compile(r"(127\.0\.0\.1|localhost|\[::1\])(:\d+)?", re.IGNORECASE)
WHAT = "The control side of the Financial Line sandbox, for tests and people; the API that it plays is at `provider`."
CALLS = (
    "POST /sandbox/holds",
    "GET /sandbox/orders/{order_id}",
    "PUT /sandbox/faults/{order_id}",
    "POST /sandbox/orders/{order_id}/void",
    "POST /sandbox/orders/{order_id}/capture",
    "POST /sandbox/orders/{order_id}/operations",
    "POST /sandbox/webhooks/{order_id}",
    "POST /sandbox/sign",
    "PUT /sandbox/settings",
)


class Control:
    def __init__(self, desk: Desk, announcer: Announcer, provider: Door) -> None:
        self._desk = desk
        self._announcer = announcer
        self._provider = provider

    def __call__(self, exchange: Exchange) -> None:
        if not _is_from_this_machine(exchange):
            return exchange.send(403, {"error": "only for this machine's own pages and programs"})
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
                return self._hold(_object(exchange))
            case "GET", ["sandbox", "orders", order_id]:
                return desk.view(order_id)
            case "POST", ["sandbox", "orders", order_id, "void" | "capture" as method]:
                return self._announced(order_id, desk.portal(order_id, method), "once")
            case "POST", ["sandbox", "orders", order_id, "operations"]:
                return self._row(order_id, _object(exchange))
            case "PUT", ["sandbox", "faults", order_id]:
                faults = DEFAULTS | _faults(_object(exchange))
                desk.order(order_id).faults = faults
                return {"order_id": order_id} | faults
            case "POST", ["sandbox", "webhooks", order_id]:
                return self._announcer.send_again(order_id)
            case "POST", ["sandbox", "sign"]:
                return self._sign(_object(exchange))
            case "PUT", ["sandbox", "settings"]:
                return self._set(_object(exchange))
            case _:
                raise Rejected(f"there is no {exchange.command} {exchange.path} on the control side")

    def _hold(self, request: dict[str, Any]) -> Any:
        _only(request, "order_id", "amount", "currency")
        order_id, amount, currency = request.get("order_id"), request.get("amount"), request.get("currency")
        if not (isinstance(order_id, str) and 0 < len(order_id) <= 32):
            raise Rejected("order_id: a string of 1 to 32 characters")
        _check_money(amount, currency)
        self._desk.place_hold(order_id, amount, str(currency))
        return self._desk.view(order_id)

    def _row(self, order_id: str, request: dict[str, Any]) -> Any:
        _only(request, "method", "status", *NAMES, "payment_id", "amount", "currency", "comment", "webhook")
        method, status, webhook = request.get("method"), request.get("status"), request.get("webhook", "once")
        for name, value in (("method", method or "void"), ("status", status)):
            if not (isinstance(value, str) and 0 < len(value) <= 64):
                raise Rejected(f"{name}: a string of 1 to 64 characters")
        details = {name: value for name, value in request.items() if name not in ("method", "status", "webhook")}
        _check_money(details.get("amount", Number("1")), details.get("currency", "UAH"))
        for name in (*NAMES, "payment_id", "comment"):
            if not isinstance(details.get(name), str | None):
                raise Rejected(f"{name}: a string or null")
        if webhook not in FAULTS["webhook"]:
            raise Rejected(f"webhook: one of {', '.join(FAULTS['webhook'])}")
        return self._announced(order_id, self._desk.write_row(order_id, method, str(status), details), webhook)

    def _announced(self, order_id: str, operation: Operation, webhook: str) -> Any:
        self._announcer.announce(order_id, operation, webhook)
        return self._desk.view(order_id)

    def _sign(self, request: dict[str, Any]) -> Any:
        _only(request, "data", "secret")
        if "data" not in request:
            raise Rejected("data: any JSON")
        project = self._desk.project
        secret = {"current": project.api_secret, "previous": project.previous_secret}.get(
            str(request.get("secret", "current"))
        )
        if secret is None:
            raise Rejected("secret: current, or previous after a rotation")
        return signed(secret, base64.urlsafe_b64encode(text(request["data"])))

    def _set(self, request: dict[str, Any]) -> Any:
        _only(request, "second_void", "listening", "api_secret", "differs", "ids")
        second_void, listening, secret = (request.get(name) for name in ("second_void", "listening", "api_secret"))
        if second_void not in (None, "refuse", "execute"):
            raise Rejected("second_void: refuse or execute")
        if listening is not None and not isinstance(listening, bool):
            raise Rejected("listening: true or false")
        if secret is not None and not (isinstance(secret, str) and secret):
            raise Rejected("api_secret: a string")
        desk, ledger = self._desk, self._desk.ledger
        changes = {"differs": _differences, "ids": _ids}
        settings = {name: read(request[name]) for name, read in changes.items() if request.get(name) is not None}
        for name, value in settings.items():
            setattr(ledger, name, value)
        ledger.executes_twice = ledger.executes_twice if second_void is None else second_void == "execute"
        if secret and secret != desk.project.api_secret:
            desk.project.rotate(secret)
        if listening is not None:
            (self._provider.open if listening else self._provider.close)()
        if "differs" in settings:
            settings["differs"] = sorted(ledger.differs)
        return {
            "second_void": "execute" if ledger.executes_twice else "refuse",
            "listening": self._provider.is_open,
            **settings,
        }


def _is_from_this_machine(exchange: Exchange) -> bool:
    """A page of another site, or another name for this address (DNS rebinding), gives no orders here."""
    host = exchange.headers.get("Host", "")
    return (
        LOOPBACK.fullmatch(host) is not None
        and exchange.headers.get("Origin", f"http://{host}") == f"http://{host}"
        and exchange.headers.get("Sec-Fetch-Site", "none") in ("same-origin", "none")
    )


def _object(exchange: Exchange) -> dict[str, Any]:
    try:
        value = parse(exchange.body)
        text(value)
    except UnicodeEncodeError:
        raise Rejected("the body has half of a surrogate pair, which no UTF-8 can carry") from None
    except Unreadable as problem:
        raise Rejected(f"the body is not JSON: {problem}") from None
    if not isinstance(value, dict):
        raise Rejected("the body is not a JSON object")
    return value


def _only(request: dict[str, Any], *names: str) -> None:
    if unknown := sorted(set(request) - set(names)):
        raise Rejected(f"unknown: {', '.join(unknown)}; known: {', '.join(names)}")


def _faults(request: dict[str, Any]) -> dict[str, str]:
    _only(request, *FAULTS)
    for kind, name in request.items():
        if name not in FAULTS[kind]:
            raise Rejected(f"{kind}: one of {', '.join(FAULTS[kind])}")
    return request


def _differences(names: Any) -> frozenset[str]:
    if not (isinstance(names, list) and all(isinstance(name, str) and name in DIFFERENCES for name in names)):
        raise Rejected(f"differs: a list of {', '.join(DIFFERENCES)}")
    return frozenset(names)


def _ids(names: Any) -> dict[Channel, list[str]]:
    known = isinstance(names, dict) and names.keys() <= EVERY_NAME.keys()
    if not known or not all(
        isinstance(given, list) and all(name in NAMES for name in given) for given in names.values()
    ):
        raise Rejected(f"ids: for each of {', '.join(EVERY_NAME)} a list of {', '.join(NAMES)}")
    return {**EVERY_NAME, **names}


def _check_money(amount: Any, currency: Any) -> None:
    """A number, or a number in a string as some white labels send it; the digits are kept either way."""
    number = Number(amount) if isinstance(amount, str) else amount
    try:
        valid = isinstance(number, Number) and number.value is not None and number.value > 0
    except InvalidOperation:
        valid = False
    if not valid:
        raise Rejected("amount: a positive number")
    if not (isinstance(currency, str) and len(currency) == 3):
        raise Rejected("currency: three letters")
