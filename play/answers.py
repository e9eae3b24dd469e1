"""How the provider answers a void's POST: what it does, and the bytes that it says.

The statuses and shapes that it documents, and those that it, a load balancer or a broken connection may show instead.
"""

from collections.abc import Callable
from dataclasses import dataclass

from play.ledger import Ledger, Operation
from play.requests import Void
from play.words import ABSURD, DRIP, HALF, LATE, SPELLINGS, STALL, Fields, cut, error, http, page, shortened, text, told

type Written = Callable[[Fields], bytes | None]

REFUSALS = {  # name -> status, message, code
    "bad credentials": (401, "Invalid pos_id field or credentials", "S-403"),
    "bad credentials as S-404": (404, "Invalid pos_id field or credentials", "S-404"),
    "foreign project": (401, "Invalid pos_id field or credentials", "S-404"),
    "no such order": (404, "Payment not found", None),  # no S- code: that would mean credentials
    "no such order, P-404": (404, "Payment not found", "P-404"),
    "no endpoint": (404, "Endpoint not found", None),
    "wrong method": (405, "Method not allowed", None),
    "not acceptable": (406, "Not acceptable: JSON expected", None),
    "another currency": (400, "Invalid order_currency: the order is in another one", None),
    "captured": (400, "Invalid operation: the payment is captured", None),
    "voided": (400, "Invalid operation: the payment is voided or being voided", None),
    "refused": (400, "Invalid operation", "P-400"),
    "refused without a code": (403, "Forbidden", None),
    "invalid": (400, "Invalid request", None),
    "throttled": (429, "Too many requests", None),
    "internal": (500, "Internal error", None),
    "unavailable": (503, "Service unavailable", None),
}


@dataclass(frozen=True, slots=True)
class PostAnswer:
    """One way to answer. `effect`: the status of the void that comes to be; None: nothing is done."""

    effect: str | None
    write: Written
    currency: str | None = None  # executed in another currency
    then: str | None = None  # the status that it ends with a second later


def refusal(name: str) -> bytes:
    return error(*REFUSALS[name])


def whole(fields: Fields) -> bytes:
    return http(200, text(fields))


def of_another_order(fields: Fields) -> Fields:
    """The same about an order that nobody asked about."""
    named = ("operation_id", "payment_id", "transaction_id", "order_id")
    return fields | {name: f"not-{fields[name]}"[:32] for name in named if name in fields}


def _says(answer: bytes | None, effect: str | None = None) -> PostAnswer:
    """Whatever was asked. None: the connection is reset."""
    return PostAnswer(effect, lambda _: answer)


def _refuses(*names: str) -> dict[str, PostAnswer]:
    return {name: _says(refusal(name)) for name in names}


def _spelled(spelling: Callable[[Fields], bytes]) -> PostAnswer:
    return PostAnswer("success", lambda fields: http(200, spelling(fields)))


BY_FIELD = {"message": "Invalid request", "args": [{"field_name": "order_currency", "violation": "unknown"}]}
DOCUMENTED = {
    **{status: PostAnswer(status, whole) for status in ("success", "pending", "init", "failure")},
    **_refuses("refused", "refused without a code", "no such order", "no such order, P-404", "throttled"),
    **_refuses("bad credentials", "bad credentials as S-404"),
    "refused for its fields": _says(http(422, text(BY_FIELD))),
}
FORMS: dict[str, bytes | None] = {
    **{f"{status} page": page(status) for status in (200, 400, 403, 404, 502, 503)},
    **{f"{status} empty": http(status) for status in (200, 204, 404, 504)},
    **{str(status): error(status, "Invalid operation", "P-400") for status in (405, 406, 408, 409, 423, 425)},
    "500": refusal("internal"),
    "404 cut short": cut(refusal("no such order, P-404")),
    "S-404 cut short": cut(refusal("bad credentials as S-404")),
    "404 of half a text": shortened(refusal("no such order, P-404")),
    "redirect": http(302, more="Location: https://elsewhere.invalid/\r\n"),
    "no status line": b"hello\r\n\r\n",
    "reset": None,
    "packed": http(200, b"\x1f\x8b\x08nonsense", more="Content-Encoding: gzip\r\n"),
}
"""Answers that say nothing about the void: it may be executed or not."""
SILENT = {
    f"{form}, {end}": _says(said, effect)
    for form, said in FORMS.items()
    for end, effect in (("executed", "success"), ("not executed", None))
}
ODD = {
    **{f"success {name}": _spelled(spelling) for name, spelling in SPELLINGS.items()},
    "success cut short": PostAnswer("success", lambda fields: cut(whole(fields))),
    "success of half a text": PostAnswer("success", lambda fields: shortened(whole(fields))),
    "success that stalls": PostAnswer("success", lambda fields: STALL + cut(whole(fields))),
    "success byte by byte": PostAnswer("success", lambda fields: DRIP + whole(fields)),
    "success in another currency": PostAnswer("success", whole, currency="USD"),
    "success of another order, not executed": PostAnswer(None, lambda fields: whole(of_another_order(fields))),
    "success of another project": _spelled(lambda fields: text(fields | {"pos_id": "11111111-2222-4333-8444-5555"})),
    "antifraud": PostAnswer("antifraud", whole),
    "refused with half a surrogate pair": _says(error(400, HALF)),
    "refused with an absurd number": _says(error(400, "no", ABSURD)),
    "failure, 201": PostAnswer("failure", lambda fields: http(201, text(fields))),
}
"""Answers about an executed void that are hard to read, or about something else."""
SANDBOX = {
    **{status: DOCUMENTED[status] for status in ("success", "pending")},
    "pending_then_failure": PostAnswer("pending", whole, then="failure"),
    "failure": DOCUMENTED["failure"],
    "timeout_executed": PostAnswer("success", lambda fields: LATE + whole(fields)),
    "timeout_not_executed": _says(LATE),
    "reset_executed": _says(None, "success"),
    "reset_not_executed": _says(None),
    "http_400": _says(refusal("invalid")),
    "http_401": DOCUMENTED["bad credentials"],
    "http_404": DOCUMENTED["no such order"],
    "http_429": DOCUMENTED["throttled"],
    "http_500_executed": SILENT["500, executed"],
    "http_500_not_executed": SILENT["500, not executed"],
    "http_503": _says(refusal("unavailable")),
    "garbage": _says(http(200, b"<html><body>It works!</body></html>", "text/plain; charset=utf-8"), "success"),
    "truncated": PostAnswer("success", lambda fields: cut(whole(fields), len(text(fields)) // 2)),
    "redirect": _says(http(302, more="Location: /api/v1/pos/moved/orders/moved/void\r\n"), "success"),
    "wrong_order": PostAnswer("success", lambda fields: whole(of_another_order(fields))),
}
"""The names that the sandbox takes for the next void of an order."""
ANSWERS = SANDBOX | DOCUMENTED | SILENT | ODD


def land(ledger: Ledger, void: Void, name: str, attempt_id: str | None = None) -> tuple[bytes | None, Operation | None]:
    """The POST reaches the provider, which does what `name` says if it can: what it says, and what it wrote."""
    why, answer = ledger.refuses("void", void.project, void.order, void.currency), ANSWERS[name]
    if why is not None and answer.effect is not None:
        return _refused(ledger, why), None
    details = {"currency": answer.currency or void.currency, "comment": void.comment, "attempt_id": attempt_id}
    if answer.effect is None:
        draft = ledger.draft("void", "success", void.project, void.order, **details)
        return answer.write(told(ledger, draft, "answer")), None
    status = "pending" if "at-once" in ledger.differs and answer.effect == "success" else answer.effect
    made = ledger.operate("void", status, void.project, void.order, **details)
    return answer.write(told(ledger, made, "answer")), made


def _refused(ledger: Ledger, why: str) -> bytes:
    if why == "no such order":
        return page(404) if "unknown-void" in ledger.differs else refusal(why)
    return page(422) if "refusal-shape" in ledger.differs else refusal(why)
