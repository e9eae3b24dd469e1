"""The provider's webhooks in bytes: as it documents them, and as they may come instead."""

import base64

from payments.signatures import sign_webhook
from play.words import SPELLINGS, Fields, text

ANOTHER_SECRET = "not-the-secret-of-this-project"
FORMS = SPELLINGS | {
    "as documented": text,
    "with payload": lambda fields: text(fields | {"payload": "sentinel-cardholder", "billing_order_id": "b-1"}),
    "unreadable": lambda _: b"\xff nonsense",
    "with too long an order": lambda fields: text(fields | {"order_id": "x" * 40}),
}
READABLE = frozenset(FORMS) - {"with a name twice", "unreadable", "with too long an order"}
"""What must be stored and applied; the others are kept in quarantine."""
SANDBOX = (
    "once", "twice", "none", "before_answer", "forged", "unreadable", "failure_then_success", "success_then_failure",
)  # fmt: skip
"""The names that the sandbox takes for the webhooks of the next void of an order."""


def data(fields: Fields, form: str = "as documented") -> bytes:
    return base64.urlsafe_b64encode(FORMS[form](fields))


def signed(secret: str, data: bytes) -> dict[str, str]:
    return {"data": data.decode(), "signature": sign_webhook(secret, data).decode()}
