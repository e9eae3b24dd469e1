"""The provider's webhooks in bytes: as it documents them, and as they may come instead."""

import base64
from collections.abc import Callable

from tests.faults.answers import ABSURD, HALF, text
from tests.faults.financial_line import Delivery, Operation, fields

Form = Callable[[Operation, str], bytes]


def _with(old: bytes, new: bytes) -> Form:
    return lambda operation, status: text(fields(operation, status)).replace(old, new, 1)


def _fields(**more: object) -> Form:
    return lambda operation, status: text(fields(operation, status, **more))


FORMS: dict[str, Form] = {
    "as documented": _fields(),
    "without ids": _fields(operation_id=None, transaction_id=None),
    "without pos_id": _fields(pos_id=None),
    "with payload": _fields(payload="sentinel-cardholder", billing_order_id="b-1"),
    "pos_id in capitals": lambda operation, status: text(
        fields(operation, status, pos_id=operation.project.pos_id.upper())
    ),
    "absurd amount": _with(b'"amount":100', b'"amount":' + ABSURD),
    "amount 1E+2": _with(b'"amount":100', b'"amount":1E+2'),
    "half a surrogate pair": _with(b'"status_code":"1009"', b'"status_description":' + HALF),
    "a name twice": _with(b'"method":', b'"mode":"x","method":'),
    "unreadable": lambda _operation, _status: b"\xff nonsense",
    "too long an order": lambda operation, status: text(fields(operation, status, order_id="x" * 40)),
}
READABLE = frozenset(FORMS) - {"a name twice", "unreadable", "too long an order"}
"""What must be stored and applied; the others are kept in quarantine."""


def data(delivery: Delivery) -> bytes:
    """The form's `data`."""
    return base64.urlsafe_b64encode(FORMS[delivery.form](delivery.operation, delivery.status))
