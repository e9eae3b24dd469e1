"""What the service answers and its events say. All members that openapi.json names are there; unknown is None."""

# ruff: noqa: UP013  tables, because each name says it all
import json
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, Literal, TypedDict, cast
from urllib.parse import unquote

Text = str | None
Amount = int | Decimal
"""Exact, with the digits that the provider sent; never a float."""
State = Literal["submitting", "unknown", "pending", "failed", "voided"]
Reason = Literal[
    "refused", "already-captured", "order-not-found", "not-executed", "not-sent", "throttled", "provider-credentials"
]
End = Literal["not-sent", "throttled", "provider-credentials", "refused", "order-not-found", "accepted"]
Evidence = Literal["request", "answer", "webhook", "query", "operator"]
Ruling = Literal["reviewed", "not-voided", "voided"]

Provider = TypedDict("Provider", {
    "operation_id": Text, "payment_id": Text, "order_id": Text, "transaction_id": Text, "pos_id": Text, "mode": Text,
    "method": Text, "amount": Amount | None, "currency": Text, "status": Text, "status_code": Text,
    "status_description": Text, "created_at": Text, "processing_time": Text, "fee": Any, "comment": Text,
})  # fmt: skip
Step = TypedDict("Step", {"at": str, "state": State, "evidence": Evidence})
Review = TypedDict("Review", {"reason": str, "subject": str, "since": str, "read_at": Text})
# `end` None: it is in flight, or its answer was lost.
Attempt = TypedDict("Attempt", {
    "number": int, "requested_at": str, "requested_by": Text, "with_key": bool, "end": End | None, "ended_at": Text,
})  # fmt: skip
Operation = TypedDict("Operation", {
    "method": str, "operation_id": Text, "transaction_id": Text, "status": Literal["under-way", "failed", "success"],
    "first_reported_at": str, "last_reported_at": str, "reported_by": list[Literal["answer", "query", "webhook"]],
})  # fmt: skip
# State and reason are those before it.
Decision = TypedDict("Decision", {
    "at": str, "by": Text, "decision": Ruling, "note": str, "state": State, "reason": Reason | None,
})  # fmt: skip
VoidRecord = TypedDict("VoidRecord", {
    "order_id": str, "pos_id": str, "state": State, "reason": Reason | None, "review": bool, "reviews": list[Review],
    "corrected": bool, "resend_allowed": bool, "order_currency": Text, "comment": Text, "attempt": int,
    "requested_at": Text, "requested_by": Text, "settled_at": Text, "provider": Provider | None, "provider_code": Text,
    "provider_message": Text, "history": list[Step], "attempts": list[Attempt], "operations": list[Operation],
    "decisions": list[Decision], "version": int, "revision": str,
})  # fmt: skip
Webhook = TypedDict("Webhook", {"received_at": str, "method": str, "status": str, "provider": Provider})


class VoidWithWebhooks(VoidRecord):
    """The record of one order's void, and the genuine webhooks of the order."""

    webhooks: list[Webhook]
    webhooks_truncated: bool


# A problem document (RFC 9457): the first four are always there.
Problem = TypedDict("Problem", {
    "type": str, "title": str, "detail": str, "request_id": str, "status": int, "order_id": str,
    "errors": list[dict[str, str]], "void": VoidRecord, "provider_code": Text, "provider_message": Text,
}, total=False)  # fmt: skip
Settled = TypedDict("Settled", {
    "id": str, "order_id": str, "state": Literal["voided", "failed"], "reason": Reason | None, "attempt": int,
    "version": int, "settled_at": str, "review": bool, "corrected": bool, "order_currency": Text,
    "by": Literal["provider", "operator"],
})  # fmt: skip
Event = Mapping[str, Any] | str | bytes


def settled(event: Event) -> Settled:
    """What an event tells, of the whole or of its `detail`. ValueError if it is no `void.settled`."""
    try:
        document: Any = json.loads(event) if isinstance(event, str | bytes) else event
        if document.get("detail-type", "void.settled") != "void.settled":
            raise ValueError(document["detail-type"])
        told = {name: document.get("detail", document)[name] for name in Settled.__annotations__}
        told |= {name: int(told[name]) for name in ("attempt", "version")}
        told |= {name: told[name] or None for name in ("reason", "order_currency")}
        return cast(Settled, told | {"order_id": unquote(told["order_id"], errors="strict")})
    except (AttributeError, KeyError, TypeError, ValueError) as cause:
        raise ValueError(f"not an event void.settled ({type(cause).__name__}: {cause})") from cause


def newest(events: Iterable[Event]) -> dict[str, Settled]:
    """What is known of each order after these events, in whatever order and however often they came."""
    by_version = sorted(map(settled, events), key=lambda outcome: outcome["version"])
    return {outcome["order_id"]: outcome for outcome in by_version}
