"""How the provider says what it knows: an operation as fields, JSON in its spelling, bytes as on the wire.

And in what it may differ from what the service assumes of Financial Line, one name for each assumption: without a name
nothing differs. Each is that of a provider row of the acceptance, which must then say "contradicted".
"""

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from http import HTTPStatus

from payments.exact_json import Number, write
from play.ledger import NAMES, Channel, Ledger, Operation

type Fields = dict[str, object]

STALL, DRIP, LATE = b"\x00stall", b"\x00drip", b"\x00late"
"""Before an answer: its rest never comes; it comes byte by byte; it comes when nobody waits any more."""
PAGE = "<html><head><title>Error</title></head><body><h1>Something went wrong</h1></body></html>"
ABSURD = Number("1e1000000000000000000")
HALF = Number('"\\ud83d half of a pair"')
"""A text that UTF-8 cannot carry. Written as it is, which is what `Number` is for."""

CODES = {
    ("auth", "success"): ("1002", ""),
    ("capture", "success"): ("1000", "Capture successful."),
    ("void", "success"): ("1009", "Reverse successful."),
    ("", "success"): ("1000", "Successful."),
    ("", "failure"): ("4150", "Invalid operation"),
    ("", ""): ("2119", "Transaction is processing"),
}
"""Method and status to status code and description; nothing stands for every other one."""

DIFFERENCES = {
    # How requests prove who sends them.
    "get-plain": "a GET with plain CPAY is refused",
    "get-signed": "a GET signed over nothing is accepted",
    "post-plain": "a POST with plain CPAY is refused",
    "post-signed": "a POST with CPAY-HMAC or CPAY-SHA1 is refused",
    "wrong-credentials": "wrong credentials are answered as a payment that nobody knows",
    "order-zero": "order 0 is refused whatever the credentials are",
    # Orders and limits.
    "unknown-void": "a void of an unknown order is answered by a page of a proxy",
    "unknown-query": "a query of an unknown order is answered by a page of a proxy",
    "order-limit": "32 bytes are the limit of an order, not 32 characters",
    "order-characters": "an order may have only letters, digits, dot, hyphen and underscore",
    "order-path": "an order that is percent-encoded in a path is not found",
    "comment-limit": "2,048 bytes are the limit of a comment, not 2,048 characters",
    # Refusals.
    "wrong-currency": "a void in another currency is executed",
    "refusal-shape": "a refused void is answered 422 with a page instead of an error document",
    "second-void": "a second void is executed",
    # The answer to a void.
    "answer-time": "a void is answered after 11 seconds",
    "answer-fields": "the answer lacks fields that the documentation shows",
    "operation-id": "the answer has no operation_id",
    "success-code": "a void that succeeded has another status code than 1009",
    "statuses": "a void that was executed is answered with a status that nobody documents",
    "at-once": "a void is answered pending, and ends a second later",
    "timestamps": "timestamps have a zone",
    "fee": "a fee is a number",
    "amount": "a query shows amounts in minor units",
    # Webhooks.
    "webhook-arrives": "no webhook is sent",
    "webhook-address": "webhooks come from another address",
    "webhook-secret": "webhooks are signed with another secret",
    "webhook-fields": "webhooks lack fields that the answer has",
    "webhook-number": "each webhook is sent twice",
    "webhook-order": "the webhook comes before the answer",
    "webhook-again": "a webhook that is not answered 2xx is sent again",
    "portal-announced": "a void that names no server_url is not announced",
    # Queries.
    "query-hold": "the query of an order answers an object instead of an array",
    "order-once": "an order has a second payment",
    "query-no-void": "the query of a void that nobody made is answered with a credentials code",
    "query-delay": "a void is not shown in queries",
    "query-lag": "a list does not show within the hour what an answer and a webhook said",
    "query-steady": "every other query of an order that exists answers 404",
}
NO_LONGER = {
    ("answer", "answer-fields"): ("created_at", "processing_time", "status_description"),
    ("answer", "operation-id"): ("operation_id",),
    ("webhook", "webhook-fields"): ("operation_id", "amount"),
}


def fields(operation: Operation, status: str | None = None, **more: object) -> Fields:
    """An operation as the provider documents it; `status`: another one than it has."""
    method, status = operation.method, status or operation.status
    code, description = CODES.get((method, status)) or CODES.get(("", status)) or CODES["", ""]
    hold = method == "auth"
    shown: Fields = {
        "operation_id": operation.operation_id, "payment_id": operation.payment_id, "order_id": operation.order,
        "transaction_id": operation.transaction_id, "pos_id": operation.project.pos_id, "mode": "direct",
        "method": method, "amount": operation.amount, "currency": operation.currency, "status": status,
        "status_code": code, "status_description": description, "created_at": timestamp(operation.made_at),
        "processing_time": timestamp(operation.changes[-1][0]), "fee": None, "comment": operation.comment,
        **({"gateway_order_id": f"gw-{operation.order}", "billing_order_id": f"b-{operation.order}"} if hold else {}),
        **more,
    }  # fmt: skip
    return {name: value for name, value in shown.items() if value is not None or name not in NAMES}


def told(ledger: Ledger, operation: Operation, channel: Channel, status: str | None = None) -> Fields:
    shown, differs = fields(operation, status), ledger.differs
    hidden = [name for name in NAMES if name not in ledger.ids[channel]]
    for (where, difference), names in NO_LONGER.items():
        hidden += names if where == channel and difference in differs else ()
    shown = {name: value for name, value in shown.items() if name not in hidden}
    if (shown["method"], shown["status"]) == ("void", "success"):
        if "success-code" in differs:
            shown["status_code"] = "1010"
        if "statuses" in differs and channel == "answer":
            shown["status"] = "processing"
    if "timestamps" in differs:
        shown |= {name: f"{shown[name]}Z" for name in ("created_at", "processing_time") if name in shown}
    if "fee" in differs:
        shown["fee"] = Number("1.50")
    if "amount" in differs and channel == "list":
        shown["amount"] = Number(str(Decimal(write(shown["amount"]).strip('"')) * 100))
    return shown


def timestamp(moment: int) -> str:
    """The provider's: three decimals and no zone."""
    return datetime.fromtimestamp(moment / 1000, UTC).replace(tzinfo=None).isoformat(timespec="milliseconds")


def text(value: object) -> bytes:
    return write(value).encode()


def http(status: int, body: bytes = b"", kind: str = "application/json", more: str = "") -> bytes:
    first = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}"
    return f"{first}\r\nContent-Type: {kind}\r\n{more}Content-Length: {len(body)}\r\n\r\n".encode() + body


def page(status: int) -> bytes:
    """What a proxy or a load balancer says."""
    return http(status, PAGE.encode(), "text/html")


def error(status: int, message: str | Number, code: object = None) -> bytes:
    """The documented error shape; the code may be absent."""
    return http(status, text({"message": message, "args": {} if code is None else {"code": code}}))


def _with(**more: object) -> Callable[[Fields], bytes]:
    return lambda fields: text(fields | more)


SPELLINGS: dict[str, Callable[[Fields], bytes]] = {
    "with an absurd amount": _with(amount=ABSURD),
    "with amount 1E+2": _with(amount=Number("1E+2")),
    "with half a surrogate pair": _with(status_description=HALF),
    "with a name twice": lambda fields: text(fields).replace(b"{", b'{"status":"failure",', 1),
    "without ids": _with(operation_id=None, transaction_id=None),
    "without pos_id": _with(pos_id=None),
    "with pos_id in capitals": lambda fields: text(fields | {"pos_id": str(fields["pos_id"]).upper()}),
}
"""Other ways to spell one operation, in each channel."""


def cut(answer: bytes, by: int = 10) -> bytes:
    """The same, without its last bytes: its length says more."""
    return answer[:-by]


def shortened(answer: bytes, by: int = 10) -> bytes:
    """A body that ends early, and says so: JSON cut in the middle."""
    status, body = parted(answer)
    return http(status, body[:-by])


def parted(answer: bytes) -> tuple[int, bytes]:
    """Status and body, for whoever has no wire."""
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head[9:12]), body
