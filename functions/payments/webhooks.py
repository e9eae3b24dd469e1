"""A webhook's way: proved genuine over the received bytes, then read, then merged into its order by one write.

Promises that a forged message leaves no trace and that "stored" means durable. Never parses before the proof, never
speaks to the provider: what a webhook cannot prove (a failure, an absence) makes the void due for a query.
"""

import base64
import hashlib
import re
from enum import StrEnum
from typing import NamedTuple

from payments import exact_json, items, messages, rules
from payments.messages import Operation, project_of
from payments.outside import Deadline, Storage
from payments.record import MOST_WEBHOOK_BYTES, MOST_WEBHOOKS, Order, StoredWebhook, Void, wrong_order_id
from payments.secret import Credentials, Secret
from payments.signatures import is_genuine
from payments.store import Merged

RECEIVE_SECONDS = 9.0
"""receive_webhook times out after 10 s."""
PROVE_SECONDS = 5.0
LONGEST_QUARANTINE = 16_384
_CARD_LIKE = re.compile(r"\d(?:[ -]?\d){11,}")
_MAIL_LIKE = re.compile(r"[^\s\"@]{1,64}@[^\s\"@]{1,255}")


class WebhookOutcome(StrEnum):
    """What became of a message."""

    APPLIED = "applied"
    STORED = "stored"
    DUPLICATE = "duplicate"
    QUARANTINED = "quarantined"
    FORGED = "forged"


class Received(NamedTuple):
    """What became of a message and, where it changed an order, the void before and after it."""

    outcome: WebhookOutcome
    operation: Operation | None = None
    before: Void | None = None
    after: Void | None = None


class Proof(NamedTuple):
    """Which credentials prove a message, and their stage in Secrets Manager."""

    stage: str
    credentials: Credentials


def receive(storage: Storage, data: bytes, signature: bytes) -> Received:
    """Take one message. Raises SecretError, StoreError: then it is not stored, and the provider must send it again."""
    deadline = storage.deadline(RECEIVE_SECONDS)
    proof = verify(storage.secret, data, signature, deadline.within(PROVE_SECONDS))
    if proof is None:
        return Received(WebhookOutcome.FORGED)
    digest, now = hashlib.sha256(data).hexdigest(), storage.now()
    operation = decode(data)
    why = "unreadable" if operation is None else _unusable(operation, proof.credentials)
    if operation is not None and why is None:
        return _store(storage, proof.credentials.project, StoredWebhook(digest, now, proof.stage, operation), deadline)
    storage.store.put_quarantine(digest, _kept_text(data, operation), str(why), now, deadline)
    return Received(WebhookOutcome.QUARANTINED, operation)


def verify(secret: Secret, data: bytes, signature: bytes, deadline: Deadline) -> Proof | None:
    """Which credentials prove this message; None: forged. Raises SecretError."""
    for stage, credentials in secret.candidates(deadline):
        if is_genuine(credentials.api_secret, data, signature):
            return Proof(stage, credentials)
    return None


def decode(data: bytes) -> Operation | None:
    """The operation of a genuine message, None if unreadable. Missing padding is forgiven here, not in the proof."""
    text = _decoded(data)
    try:
        operation = messages.read_operation(exact_json.parse(text)) if text is not None else None
    except exact_json.Unreadable:
        return None
    is_text = operation is not None and operation.method.isprintable() and operation.status.isprintable()
    return operation if is_text else None


def _decoded(data: bytes) -> bytes | None:
    try:
        return base64.b64decode(data + b"=" * (-len(data) % 4), altchars=b"-_", validate=True)
    except ValueError:
        return None


def _unusable(operation: Operation, proved_by: Credentials) -> str | None:
    """Why a genuine message that can be read goes to quarantine, None if it can be stored."""
    named = operation.fields["pos_id"]
    if named is not None and project_of(str(named)) != proved_by.project:
        return "other-pos-id"
    # The provider could not have taken such an order from us, and no record of it would fit the contract.
    return None if wrong_order_id(operation.order_id) is None else "order-id"


def _kept_text(data: bytes, operation: Operation | None) -> str:
    """What is kept for a person: the allowed fields or, if unreadable, the text with what looks personal masked."""
    if operation is not None:
        return exact_json.write(dict(operation.fields))
    return mask((_decoded(data) or data).decode("utf-8", "replace")[:LONGEST_QUARANTINE])


def mask(text: str) -> str:
    """Cover what looks like a card number or an e-mail address."""
    return _MAIL_LIKE.sub("[masked]", _CARD_LIKE.sub("[masked]", text))


def _store(storage: Storage, pos_id: str, webhook: StoredWebhook, deadline: Deadline) -> Received:
    """The webhook and what it proves, in one write."""
    operation, order = webhook.operation, Order(pos_id, webhook.operation.order_id)
    if operation.method == "void" and operation.succeeded:
        # Usually the answer has said all of it before: then one trip stores the webhook.
        found = storage.store.append_webhook(pos_id, webhook, storage.new_id(), deadline)
        if found is True:
            return Received(WebhookOutcome.STORED, operation)
        order = found or order
    else:
        order = storage.store.load(pos_id, operation.order_id, deadline) or order
    merged = storage.store.merge(order, lambda current: with_webhook(current, webhook), storage.new_id, deadline)
    if webhook.digest not in merged.after.webhooks:
        text = exact_json.write(dict(operation.fields))
        storage.store.put_quarantine(webhook.digest, text, "too-many", webhook.received_at, deadline)
    return _received(merged, webhook)


def with_webhook(order: Order, webhook: StoredWebhook) -> Order:
    """The order with one more webhook and what it proves; a repetition changes nothing."""
    if webhook.digest in order.webhooks:
        return order
    void, operation = order.void, webhook.operation
    # Without a void only a success makes one at once; what is under way becomes one with the first request.
    if operation.method == "void" and (void is not None or operation.succeeded):
        void = rules.apply_webhook(void, operation, webhook.received_at)
    size = order.webhook_bytes + items.webhook_size(webhook.digest, items.write_webhook(webhook))
    if len(order.webhooks) >= MOST_WEBHOOKS or size > MOST_WEBHOOK_BYTES:
        # The message itself goes to quarantine; what it proves counts all the same.
        reviewed = rules.ask_for_review(void) if void is not None else None
        return order._replace(void=reviewed, more_webhooks=True)
    return order._replace(
        void=void,
        webhooks={**order.webhooks, webhook.digest: webhook},
        webhook_bytes=size,
    )


def _received(merged: Merged, webhook: StoredWebhook) -> Received:
    before, after = merged.before.void, merged.after.void
    if webhook.digest in merged.before.webhooks:
        outcome = WebhookOutcome.DUPLICATE
    elif webhook.digest not in merged.after.webhooks:
        outcome = WebhookOutcome.QUARANTINED
    else:
        outcome = WebhookOutcome.STORED if before == after else WebhookOutcome.APPLIED
    return Received(outcome, webhook.operation, before, after)
