"""What is shown outside: the void record, a webhook, and the problems. Docs: openapi.json."""

from collections.abc import Mapping
from typing import NamedTuple

from payments.items import timestamp
from payments.record import EarlierAttempt, FailureReason, Order, State, StoredWebhook, Void


class Problem(NamedTuple):
    """A kind of problem; its `type` is `urn:void-service:problem:{name}`."""

    status: int
    title: str


PROBLEMS: Mapping[str, Problem] = {
    "invalid-request": Problem(400, "The request breaks the contract"),
    "unauthenticated": Problem(403, "No valid signature"),
    "not-found": Problem(404, "No void is known for this order"),
    "in-progress": Problem(409, "Another request for this order is in flight"),
    "not-voidable": Problem(409, "The hold cannot be voided"),
    "too-many-attempts": Problem(409, "This order has used up its attempts"),
    "too-large": Problem(413, "The body is too large"),
    "unsupported-media-type": Problem(415, "The body is not of the expected type"),
    "idempotency-mismatch": Problem(422, "The Idempotency-Key was used with another body"),
    "currency-mismatch": Problem(422, "The void of this order has another currency"),
    "throttled": Problem(429, "Too many requests"),
    "provider-credentials": Problem(502, "The provider refuses the service's credentials"),
    "not-sent": Problem(503, "Nothing was sent to the provider"),
    "outcome-unknown": Problem(500, "The outcome is not known"),
}
WHAT_HELPS = {
    FailureReason.REFUSED: "Once its cause is gone, ask again with a new Idempotency-Key, or none.",
    FailureReason.ORDER_NOT_FOUND: "If the hold is made later, ask again with a new Idempotency-Key, or none.",
    FailureReason.NOT_EXECUTED: "If it is still wanted, ask again with a new Idempotency-Key, or none.",
    FailureReason.ALREADY_CAPTURED: "There is nothing left to void: returning the money is a refund.",
}


def why_not_voidable(void: Void, earlier: EarlierAttempt | None) -> str:
    """The detail of a 409 `not-voidable`: whose answer it is, and what helps."""
    if earlier is None:
        what_helps = WHAT_HELPS.get(void.reason, "") if void.reason is not None else ""
        return f"The provider refused for good; `void.reason` says why. {what_helps}".rstrip()
    told = f"The attempt that this Idempotency-Key made has failed for good ({earlier.reason.value})."
    if void.state is State.VOIDED:
        return f"{told} The order has been voided since."
    return f"{told} {WHAT_HELPS[earlier.reason]}"


def void_record(order: Order, earlier: EarlierAttempt | None = None) -> dict[str, object]:
    """The void record of the contract: always all members, unknown is null.

    `earlier`: an attempt whose key is answered. Unless the order is voided, the record is shown as that attempt ended.
    """
    void = order.void
    if void is None:
        raise ValueError("an order without a void is not shown")
    attempt = void.attempt
    shown: dict[str, object] = {
        "order_id": order.order_id,
        "state": void.state.value,
        "reason": void.reason.value if void.reason is not None else None,
        "review": void.review,
        "corrected": void.corrected,
        "resend_allowed": void.resend_allowed,
        "order_currency": void.order_currency,
        "comment": attempt.comment if attempt is not None else None,
        "attempt": attempt.number if attempt is not None else 0,
        "requested_at": _time(attempt.requested_at) if attempt is not None else None,
        "requested_by": attempt.requested_by if attempt is not None else None,
        "settled_at": _time(void.settled_at),
        "provider": None if void.provider is None else dict(void.provider),
        "history": [
            {"at": timestamp(change.at), "state": change.state.value, "evidence": change.evidence.value}
            for change in void.history
        ],
    }
    return shown if earlier is None or void.state is State.VOIDED else shown | _as_it_ended(earlier)


def _as_it_ended(earlier: EarlierAttempt) -> dict[str, object]:
    return {
        "state": State.FAILED.value,
        "reason": earlier.reason.value,
        "resend_allowed": False,
        "comment": None,
        "attempt": earlier.number,
        "requested_at": _time(earlier.requested_at),
        "requested_by": earlier.requested_by,
        "settled_at": _time(earlier.settled_at),
        "provider": None,
    }


def provider_words(void: Void, earlier: EarlierAttempt | None = None) -> dict[str, object]:
    """The provider's own code and text, as far as it gave them."""
    told_by = earlier if earlier is not None else void
    words = {"provider_code": told_by.provider_code, "provider_message": told_by.provider_message}
    return {name: value for name, value in words.items() if value is not None}


def webhook_record(webhook: StoredWebhook) -> dict[str, object]:
    """One webhook as it is shown."""
    return {
        "received_at": timestamp(webhook.received_at),
        "method": webhook.operation.method,
        "status": webhook.operation.status,
        "provider": dict(webhook.operation.fields),
    }


def _time(at: int | None) -> str | None:
    return None if at is None else timestamp(at)
