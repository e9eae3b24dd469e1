"""What the provider says, read leniently: answers, order queries and webhooks become values.

Promises that no input crashes it and that only allow-listed fields leave it (no card data, no personal data).
Never decides a state: that is `verdict`. Sources: docs.finline.io void/api, error-handling, after-payments.
"""

import re
import unicodedata
from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple

from payments import exact_json
from payments.exact_json import Number, without_surrogates

PROVIDER_FIELDS = (
    "operation_id", "payment_id", "order_id", "transaction_id", "pos_id", "mode", "method", "amount", "currency",
    "status", "status_code", "status_description", "created_at", "processing_time", "fee", "comment",
)  # fmt: skip
"""The sixteen fields of a void response, in the provider's order."""
TEXT_FIELDS = tuple(name for name in PROVIDER_FIELDS if name not in ("amount", "fee"))

LONGEST_TEXT = 2048
"""The longest field that the provider documents (`comment`), in characters; what is longer is cut."""
LONGEST_ID = 128
LONGEST_ORDER_ID = 32
MOST_OPERATIONS = 200
"""An answer with more is not believed: stored, it would exceed DynamoDB's 400 KB and block every later write."""
REFUSING = (400, 403, 404, 422)
"""The statuses that refuse, and only with the documented error body. Every other one leaves the outcome open."""
_NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?")
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")

Fields = Mapping[str, object]


class Operation(NamedTuple):
    """One operation of an order as the provider reported it; `fields` holds all sixteen, unknown ones as None."""

    method: str
    status: str
    order_id: str
    fields: Fields

    @property
    def ids(self) -> frozenset[str]:
        """What identifies this operation. Not `payment_id`: that is the hold's, which all operations share."""
        named = (self.fields[name] for name in ("operation_id", "transaction_id"))
        return frozenset(value for value in named if isinstance(value, str) and 0 < len(value) <= LONGEST_ID)

    @property
    def succeeded(self) -> bool:
        """`success` is final."""
        return self.status == "success"

    @property
    def failed(self) -> bool:
        """`failure` is final; everything that is neither, also a status that we do not know, is under way."""
        return self.status == "failure"

    @property
    def under_way(self) -> bool:
        """Not final: keep watching."""
        return not self.succeeded and not self.failed

    @property
    def documented(self) -> bool:
        """Is its status one of the four that the provider documents?"""
        return self.status in ("init", "pending", "success", "failure")


class AnswerKind(StrEnum):
    """What an answer to a void's POST means."""

    SUCCESS, PENDING, FAILURE, REFUSED = "success", "pending", "failure", "refused"
    THROTTLED, CREDENTIALS, UNKNOWN = "throttled", "provider-credentials", "unknown"


class Answer(NamedTuple):
    """The provider's answer to our POST, as far as it could be understood."""

    kind: AnswerKind
    operation: Operation | None = None
    not_found: bool = False
    code: str | None = None
    message: str | None = None
    cause: str | None = None
    """For the log: the HTTP status, or how the answer was lost."""


class OrderView(NamedTuple):
    """One order query. `not_found` is no proof of anything: it may also be a delay."""

    operations: tuple[Operation, ...] = ()
    not_found: bool = False
    partial: bool = False
    """One object came instead of the list: what it does not show proves nothing."""

    def of(self, method: str) -> tuple[Operation, ...]:
        """The operations of one method, however it is capitalised."""
        return tuple(operation for operation in self.operations if operation.method.lower() == method)

    @property
    def captured(self) -> bool:
        """A capture succeeded: there is nothing left to void."""
        return any(operation.succeeded for operation in self.of("capture"))

    @property
    def shows_hold_alone(self) -> bool:
        """A hold stands, and everything else has failed: nothing was executed or is under way, whatever its name."""
        holds = self.of("auth")
        if self.partial or not any(each.succeeded for each in holds) or any(each.under_way for each in holds):
            return False
        return all(each.failed for each in self.operations if each.method.lower() != "auth")


def read_answer(status: int, body: bytes, pos_id: str, order_id: str) -> Answer:
    """Understand the answer to a void's POST; whatever is not certain is UNKNOWN."""
    cause, value = f"HTTP {status}", _parse(body)
    if status == 429:
        return Answer(AnswerKind.THROTTLED, cause=cause)
    if status == 401 or status in REFUSING:
        kind = _refusal(status, value)
        code, text = _error(value) if kind is not AnswerKind.UNKNOWN else (None, None)
        return Answer(kind, None, status == 404 and kind is AnswerKind.REFUSED, code, text, cause)
    operation = read_operation(value) if 200 <= status < 300 else None
    if operation is None or operation.method.lower() != "void" or not belongs(operation, pos_id, order_id):
        return Answer(AnswerKind.UNKNOWN, cause=cause)
    kind = AnswerKind.SUCCESS if operation.succeeded else AnswerKind.FAILURE if operation.failed else AnswerKind.PENDING
    fields = operation.fields
    code, text = _short(fields["status_code"], 64), _short(fields["status_description"], 512)
    return Answer(kind, operation, False, code, text, cause)


def _refusal(status: int, value: object) -> AnswerKind:
    if status == 401 or _names_credentials(value):
        return AnswerKind.CREDENTIALS
    # Otherwise a page of a load balancer or a body cut short: the provider itself has said nothing.
    return AnswerKind.REFUSED if _has_error_shape(value) else AnswerKind.UNKNOWN


def read_order(status: int, body: bytes, pos_id: str, order_id: str) -> OrderView | None:
    """Understand an order query; None is "no answer that may be trusted"."""
    value = _parse(body)
    if status == 404 and _has_error_shape(value) and not _names_credentials(value):
        return OrderView(not_found=True)
    if not 200 <= status < 300 or not isinstance(value, list | dict):
        return None
    items = value if isinstance(value, list) else [value]
    if len(items) > MOST_OPERATIONS:
        return None
    operations = [read_operation(item) for item in items]
    known = tuple(operation for operation in operations if operation is not None)
    # An answer about somebody else's order, or with pieces that we cannot read, proves nothing about ours.
    if len(known) != len(items) or not all(belongs(operation, pos_id, order_id) for operation in known):
        return None
    return OrderView(known, partial=isinstance(value, dict))


def read_credentials_check(status: int, body: bytes) -> bool | None:
    """Were the credentials of a question about order `0` taken? None: the answer says neither."""
    value = _parse(body)
    if status == 401 or _names_credentials(value):
        return False
    # The order is refused or unknown, in the provider's own JSON: so the credentials passed. An empty page or a
    # firewall's 403 says nothing about them.
    return True if status in (200, 400, 404) and isinstance(value, list | dict) else None


def belongs(operation: Operation, pos_id: str, order_id: str) -> bool:
    """Is this our order? A missing `pos_id` is allowed: integrators met that in production."""
    named = operation.fields["pos_id"]
    return operation.order_id == order_id and (named is None or project_of(str(named)) == project_of(pos_id))


def project_of(pos_id: str) -> str:
    """The one spelling of a project's id: a UUID in lower case, anything else as it is."""
    return pos_id.lower() if _UUID.fullmatch(pos_id) else pos_id


def wrong_order_id(value: object) -> str | None:
    """Why this cannot be an order's id, None if it can. `.`, `..` and `0` mean something else in the provider's paths.

    Were the provider to trim blanks or to normalise Unicode, two spellings would be one order with two records.
    """
    if not isinstance(value, str) or not 1 <= len(value) <= LONGEST_ORDER_ID or value in (".", "..", "0"):
        return "must be text of 1 to 32 characters, and not '.', '..' or '0'"
    if not value.isprintable() or "\ufffd" in value:
        return "must be printable text, without U+FFFD"
    if value != value.strip():
        return "must not begin or end with a blank"
    if not unicodedata.is_normalized("NFC", value):
        return "must be in Unicode's composed form (NFC)"
    return None


def read_operation(value: object) -> Operation | None:
    """Read one operation; only `method`, `status` and `order_id` are required."""
    if not isinstance(value, dict):
        return None
    fields: dict[str, object] = dict.fromkeys(PROVIDER_FIELDS)
    fields.update({name: _text(value.get(name)) for name in TEXT_FIELDS})
    fields["processing_time"] = fields["processing_time"] or _text(value.get("processed_at"))
    fields |= {"amount": _number(value.get("amount")), "fee": _fee(value.get("fee"))}
    # An order id of digits may come as a number: its digits are the id.
    method, status, order_id = value.get("method"), value.get("status"), fields["order_id"]
    if not (isinstance(method, str) and isinstance(status, str) and isinstance(order_id, str)):
        return None
    if max(len(method), len(status), len(order_id)) > 64:
        return None
    return Operation(without_surrogates(method), without_surrogates(status), order_id, fields)


def _parse(body: bytes) -> object:
    try:
        return exact_json.parse(body)
    except exact_json.Unreadable:
        return None


def _has_error_shape(value: object) -> bool:
    return isinstance(value, dict) and ("message" in value or "args" in value)


def _names_credentials(value: object) -> bool:
    """S-404 means bad credentials, not "no such order"."""
    return (_error(value)[0] or "").startswith("S-")


def _error(value: object) -> tuple[str | None, str | None]:
    """Code and message of an error body; `args` may be an object, an array or absent."""
    if not isinstance(value, dict):
        return None, None
    args = value.get("args")
    code = args.get("code") if isinstance(args, dict) else None
    return _short(code if code is not None else value.get("code"), 64), _short(value.get("message"), 512)


def _short(value: object, limit: int) -> str | None:
    return without_surrogates(value[:limit]) if isinstance(value, str) else None


def _text(value: object) -> str | None:
    """Text as sent; a number where text is documented (codes) becomes its digits."""
    if isinstance(value, Number):
        return value.digits[:LONGEST_TEXT]
    return _short(value, LONGEST_TEXT)


def _number(value: object) -> Number | None:
    """An exact amount in major units, sent as a number or as text; None if no amount could look like that."""
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        value = Number(value)
    return value if isinstance(value, Number) and value.value is not None else None


def _fee(value: object) -> object:
    """Null or an object whose shape is not documented: amount and currency are kept, as sent."""
    if isinstance(value, dict):
        return {"amount": _number(value.get("amount")), "currency": _text(value.get("currency"))}
    return _number(value)
