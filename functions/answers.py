"""What is shown outside: the record of a void, its webhooks, the problems, and how each result is answered and counted.

One row of `ANSWERS` is everything about a result. Docs: openapi.json.
"""

import hashlib
from collections.abc import Mapping
from typing import Any, NamedTuple

from payments import exact_json
from payments.claims import Result
from payments.facts import Attempt, End, FailureReason, Shown, State, Status, Told, Word
from payments.items import timestamp
from payments.orders import Order, StoredWebhook, Void
from payments.reviews import Reason
from payments.verdict import state_at


class Problem(NamedTuple):
    """A kind of problem; its `type` is `urn:void-service:problem:{name}`."""

    status: int
    title: str


PROBLEMS: Mapping[str, Problem] = {
    "invalid-request": Problem(400, "The request breaks the contract"),
    "unauthenticated": Problem(403, "No valid signature or token"),
    "not-found": Problem(404, "No void is known for this order"),
    "in-progress": Problem(409, "Another request for this order is in flight"),
    "not-voidable": Problem(409, "The hold cannot be voided"),
    "too-many-attempts": Problem(409, "This order has used up its attempts"),
    "changed-meanwhile": Problem(409, "The record is no longer the one that was decided about"),
    "nothing-to-decide": Problem(409, "There is nothing to decide about this order"),
    "too-large": Problem(413, "The body is too large"),
    "unsupported-media-type": Problem(415, "The body is not of the expected type"),
    "idempotency-mismatch": Problem(422, "The Idempotency-Key was used with another body"),
    "currency-mismatch": Problem(422, "The void of this order has another currency"),
    "throttled": Problem(429, "Too many requests"),
    "provider-credentials": Problem(502, "The provider refuses the service's credentials"),
    "not-sent": Problem(503, "Nothing was sent to the provider"),
    "outcome-unknown": Problem(500, "The outcome is not known"),
}


class Answer(NamedTuple):
    """How one result is answered: this problem or, without one, a record with this status."""

    problem: str = ""
    detail: str = ""
    metric: str = ""
    """What counts it; what no alarm watches is in the log line only, since each metric costs by the hour."""
    retry_after: int | None = None
    submitted: bool = True
    """It counts as a submitted void unless the record alone answered it."""
    status: int = 0


ANSWERS: Mapping[Result, Answer] = {
    Result.VOIDED: Answer(status=200),
    Result.ACCEPTED: Answer(status=202, metric="VoidUnknown", retry_after=5),
    Result.NOT_VOIDABLE: Answer("not-voidable"),
    Result.IN_PROGRESS: Answer(
        "in-progress", "Read the void, or repeat the same request later.", retry_after=5, submitted=False
    ),
    Result.WAITS_FOR_OPERATOR: Answer(
        "in-progress", "An operation of an unknown kind is listed beside the hold, so nothing is sent. "
        "An operator has been notified.", retry_after=3600, submitted=False,
    ),
    Result.TOO_MANY: Answer(
        "too-many-attempts", "No further attempt is made for this order until an operator has decided about it.",
        "AttemptsUsedUp", submitted=False,
    ),
    Result.KEY_MISMATCH: Answer("idempotency-mismatch", "Use a new key for another request.", submitted=False),
    Result.CURRENCY_MISMATCH: Answer("currency-mismatch", "Use the currency of the order's hold.", submitted=False),
    Result.THROTTLED: Answer(
        "throttled", "The provider asked to wait; nothing was voided. Repeat the same request.", "VoidThrottled", 10
    ),
    Result.CREDENTIALS: Answer(
        "provider-credentials", "Nothing was voided; an alarm has been raised. The same request may be repeated.",
        "CredentialsRefused",
    ),
    Result.NOT_SENT: Answer(
        "not-sent", "The provider, the secret or the table was out of reach. The same request may be repeated.",
        "VoidNotSent", 5,
    ),
    Result.DECIDED: Answer(status=200),
    Result.CHANGED: Answer(
        "changed-meanwhile", "Read the record again: it has changed since the revision that the decision names."
    ),
    Result.NOTHING_TO_DECIDE: Answer(
        "nothing-to-decide", "The record is settled by the provider's own word, or nothing is unread."
    ),
}  # fmt: skip
WHAT_HELPS: Mapping[FailureReason | None, str] = {
    FailureReason.REFUSED: "Once its cause is gone, ask again with a new Idempotency-Key, or none.",
    FailureReason.ORDER_NOT_FOUND: "If the hold is made later, ask again with a new Idempotency-Key, or none.",
    FailureReason.NOT_EXECUTED: "If it is still wanted, ask again with a new Idempotency-Key, or none.",
    FailureReason.ALREADY_CAPTURED: "There is nothing left to void: returning the money is a refund.",
}
STATUSES = {Status.SAID_TO_HAVE_FAILED: "failed", Status.UNDER_WAY: "under-way", Status.FAILED: "failed"}


def why_not_voidable(void: Void, told: Told | None) -> str:
    """The detail of a 409 `not-voidable`: whose answer it is, and what helps."""
    if told is None:
        what_helps = WHAT_HELPS.get(void.reason, "")
        return f"The provider refused for good; `void.reason` says why. {what_helps}".rstrip()
    final = f"The attempt that this Idempotency-Key made has failed for good ({told.reason.value})."
    return f"{final} {WHAT_HELPS[told.reason]}"


# ---- the record ------------------------------------------------------------------------------------------------------


def void_record(order: Order, now: int, made: Attempt | None = None, told: Told | None = None) -> dict[str, object]:
    """The record of the contract: always all members, unknown is null. `now` is in milliseconds since 1970.

    `told`: what the attempt `made` came to, if that answers the request; then the record is shown as it ended.
    """
    shown = _what_a_read_shows(order, now)
    shown |= {"version": order.version, "revision": _digest(order, shown)}
    return shown if told is None or made is None else shown | _as_it_ended(made, told)


def revision_of(order: Order, now: int) -> str:
    """A digest of what a read shows.

    The bookkeeping of queries does not change it, so that nobody races an operator; nor does the history, which says
    only at the next write what a read shows as soon as a lease is over.
    """
    return _digest(order, _what_a_read_shows(order, now))


def _digest(order: Order, shown: Mapping[str, object]) -> str:
    of_queries = {"last_reported_at": None, "reported_by": None}
    operations = [{**_operation(each), **of_queries} for each in order.facts.operations]
    unread = sorted([each.reason, each.subject] for each in order.reviews if each.read_at is None)
    counted = {**shown, "history": None, "operations": operations, "reviews": unread}
    return hashlib.sha256(exact_json.write([counted, sorted(order.webhooks)]).encode()).hexdigest()[:16]


def _what_a_read_shows(order: Order, now: int) -> dict[str, object]:
    void = order.void
    if void is None:
        raise ValueError("an order without a void is not shown")
    newest = void.facts.newest
    return {
        "order_id": order.order_id,
        "pos_id": order.pos_id,
        "state": state_at(void.facts, void.state, now),
        "reason": void.reason,
        "review": void.review,
        "reviews": [_review(*each) for each in void.reviews],
        "corrected": void.corrected,
        "resend_allowed": void.resend_allowed,
        "order_currency": void.order_currency,
        "comment": newest.comment if newest is not None else None,
        "attempt": void.facts.number,
        "requested_at": timestamp(newest.requested_at) if newest is not None else None,
        "requested_by": newest.requested_by if newest is not None else None,
        "settled_at": _time(void.settled_at),
        "provider": None if void.provider is None else dict(void.provider),
        "provider_code": void.provider_code,
        "provider_message": void.provider_message,
        "history": [
            {"at": timestamp(each.at), "state": each.state, "evidence": each.evidence} for each in void.history
        ],
        "attempts": [_attempt(each) for each in void.facts.attempts],
        "operations": [_operation(each) for each in void.facts.operations],
        "decisions": [_decision(*each) for each in void.facts.decisions],
    }


def _review(reason: Reason, subject: str, since: int, read_at: int | None) -> dict[str, object]:
    return {"reason": reason, "subject": subject, "since": timestamp(since), "read_at": _time(read_at)}


def _attempt(attempt: Attempt) -> dict[str, object]:
    return {
        "number": attempt.number,
        "requested_at": timestamp(attempt.requested_at),
        "requested_by": attempt.requested_by,
        "with_key": attempt.key is not None,
        "end": None if attempt.end is End.LOST else attempt.end,
        "ended_at": _time(attempt.ended_at or None),
    }


def _operation(shown: Shown) -> dict[str, object]:
    fields = shown.fields or dict.fromkeys(("operation_id", "transaction_id"), min(shown.names) or None)
    return {
        "method": shown.method,
        "operation_id": fields["operation_id"],
        "transaction_id": fields["transaction_id"],
        "status": STATUSES.get(shown.status, "success"),
        "first_reported_at": timestamp(shown.first),
        "last_reported_at": timestamp(shown.at),
        "reported_by": sorted(shown.by),
    }


def _decision(
    at: int, by: str | None, word: Word, note: str, _revision: str, state: State, reason: FailureReason | None, _: int
) -> dict[str, object]:
    return {"at": timestamp(at), "by": by, "decision": word, "note": note, "state": state, "reason": reason}


def _as_it_ended(made: Attempt, told: Told) -> dict[str, object]:
    return {
        "state": State.FAILED,
        "reason": told.reason,
        "resend_allowed": False,
        "comment": None,
        "attempt": made.number,
        "requested_at": timestamp(made.requested_at),
        "requested_by": made.requested_by,
        "settled_at": _time(told.at),
        "provider": None,
        "provider_code": told.code,
        "provider_message": told.message,
    }


def with_webhooks(order: Order, now: int) -> dict[str, object]:
    """The record, and the genuine webhooks of the order, newest last."""
    webhooks = [_webhook(webhook) for webhook in order.newest_webhooks]
    return {**void_record(order, now), "webhooks": webhooks, "webhooks_truncated": order.more_webhooks}


def _webhook(webhook: StoredWebhook) -> dict[str, object]:
    operation = webhook.operation
    said = {"method": operation.method, "status": operation.status, "provider": dict(operation.fields)}
    return {"received_at": timestamp(webhook.received_at), **said}


def in_problem(record: Mapping[str, object]) -> dict[str, Any]:
    """What a problem shows of a record: the whole, and the provider's own code and text beside it."""
    words = {name: record[name] for name in ("provider_code", "provider_message")}
    return {"order_id": record["order_id"], "void": record, **words}


def _time(at: int | None) -> str | None:
    return None if at is None else timestamp(at)
