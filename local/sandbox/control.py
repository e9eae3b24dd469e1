"""The sandbox's control side: how a test or a person prepares the provider and looks into it.

Promises 200 with JSON for every call that makes sense, and 400 with {"error": ...} for one that does not; 403 to the
pages of other sites. Never part of the provider: nothing in functions/ may know that it exists.
"""

import re
from decimal import Decimal, InvalidOperation
from typing import Any

from local.sandbox.differences import DIFFERENCES
from local.sandbox.doors import Door, Exchange, parse_json, to_json
from local.sandbox.ledger import FAULTS, Credentials, Ledger, Refusal, Rejected
from local.sandbox.webhooks import Announcer, encode, sign

LOOPBACK = re.compile(r"(127\.0\.0\.1|localhost|\[::1\])(:\d+)?", re.IGNORECASE)
WHAT = "The control side of the Financial Line sandbox, for tests and people; the API that it plays is at `provider`."
CALLS = (
    "POST /sandbox/holds",
    "GET /sandbox/orders/{order_id}",
    "PUT /sandbox/faults/{order_id}",
    "POST /sandbox/orders/{order_id}/void",
    "POST /sandbox/orders/{order_id}/capture",
    "POST /sandbox/webhooks/{order_id}",
    "POST /sandbox/sign",
    "PUT /sandbox/settings",
)


class Control:
    def __init__(self, ledger: Ledger, credentials: Credentials, announcer: Announcer, provider: Door) -> None:
        self._ledger = ledger
        self._credentials = credentials
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
        match exchange.command, exchange.segments:
            case "GET", [""]:
                return {"what": WHAT, "provider": f"https://127.0.0.1:{self._provider.port}", "calls": CALLS}
            case "POST", ["sandbox", "holds"]:
                return self._hold(_object(exchange))
            case "GET", ["sandbox", "orders", order_id]:
                return self._ledger.view(order_id)
            case "POST", ["sandbox", "orders", order_id, "void" | "capture" as method]:
                return self._portal(order_id, method)
            case "PUT", ["sandbox", "faults", order_id]:
                return {"order_id": order_id} | self._ledger.set_faults(order_id, _faults(_object(exchange)))
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
        if amount is None or not _is_amount(amount):
            raise Rejected("amount: a positive number")
        if not (isinstance(currency, str) and len(currency) == 3):
            raise Rejected("currency: three letters")
        self._ledger.place_hold(order_id, amount, currency)
        return self._ledger.view(order_id)

    def _portal(self, order_id: str, method: str) -> Any:
        outcome = (
            self._ledger.void(order_id, None, None, "success") if method == "void" else self._ledger.capture(order_id)
        )
        if isinstance(outcome, Refusal):
            raise Rejected(outcome.message)
        self._announcer.announce(order_id, outcome, "once")
        return self._ledger.view(order_id)

    def _sign(self, request: dict[str, Any]) -> Any:
        _only(request, "data", "secret")
        if "data" not in request:
            raise Rejected("data: any JSON")
        secrets = {"current": self._credentials.api_secret, "previous": self._credentials.previous_secret}
        name = request.get("secret", "current")
        secret = secrets.get(name) if isinstance(name, str) else None
        if secret is None:
            raise Rejected("secret: current, or previous after a rotation")
        data = encode(to_json(request["data"]))
        return {"data": data, "signature": sign(secret, data)}

    def _set(self, request: dict[str, Any]) -> Any:
        _only(request, "second_void", "listening", "api_secret", "differs")
        second_void, listening, secret = (request.get(name) for name in ("second_void", "listening", "api_secret"))
        if second_void not in (None, "refuse", "execute"):
            raise Rejected("second_void: refuse or execute")
        if listening is not None and not isinstance(listening, bool):
            raise Rejected("listening: true or false")
        if secret is not None and not (isinstance(secret, str) and secret):
            raise Rejected("api_secret: a string")
        differs = request.get("differs")
        if differs is not None:
            self._ledger.differs = _differences(differs)
        self._ledger.second_void = second_void or self._ledger.second_void
        if secret and secret != self._credentials.api_secret:
            self._credentials.rotate(secret)
        if listening is not None:
            (self._provider.open if listening else self._provider.close)()
        settings = {"second_void": self._ledger.second_void, "listening": self._provider.is_open}
        return settings | ({} if differs is None else {"differs": sorted(self._ledger.differs)})


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
        value = parse_json(exchange.body)
    except ValueError as problem:
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


def _is_amount(value: Any) -> bool:
    """A number, or a number in a string as some white labels send it; the digits are kept either way."""
    if isinstance(value, bool) or not isinstance(value, int | Decimal | str):
        return False
    try:
        return Decimal(value).is_finite() and Decimal(value) > 0
    except InvalidOperation:
        return False
