"""POST /v1/webhooks/financial-line: a signed message, proved over its bytes, then read, then stored by one write.

Promises that a forged message leaves no trace and that an empty 200 means durable. Never parses before the proof, never
speaks to the provider: what a webhook cannot prove (a failure, an absence) makes the order due for a query.
"""

import base64
import hashlib
import re
from contextlib import suppress
from enum import StrEnum
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

import cold_start  # first: it turns the garbage collector off
import lambda_http
from lambda_http import BadRequest, GatewayEvent, Response
from payments import exact_json, messages, signatures
from payments.deadline import Deadline
from payments.messages import Operation, project_of, wrong_order_id
from payments.orders import Order, StoredWebhook, Void
from payments.secret import Credentials, Secret
from systems import Storage, storage
from telemetry import count, count_changes, logger, named, report

LARGEST_BODY = 65_536
MOST_FIELDS = 8
RECEIVE_SECONDS = 9.0
"""receive_webhook times out after 10 s."""
PROVE_SECONDS = 5.0
LONGEST_QUARANTINE = 16_384
_CARD_LIKE = re.compile(r"\d(?:[ -]?\d){11,}")
_MAIL_LIKE = re.compile(r"[^\s\"@]{1,64}@[^\s\"@]{1,255}")


class WebhookOutcome(StrEnum):
    """What became of a message."""

    APPLIED, STORED, DUPLICATE = "applied", "stored", "duplicate"
    QUARANTINED, FORGED = "quarantined", "forged"


class Received(NamedTuple):
    """What became of a message and, where it changed an order, the void before and after it."""

    outcome: WebhookOutcome
    operation: Operation | None = None
    before: Void | None = None
    after: Void | None = None
    why: str | None = None


# 500, so that the provider sends it again.
@lambda_http.lambda_handler("The message was not stored.", "outcome-unknown", None, bad_request="WebhookRejected")
def handler(event: GatewayEvent) -> Response:
    data, signature = read_form(event)
    received = receive(storage(), data, signature)
    _observe(received)
    if received.outcome is WebhookOutcome.FORGED:
        return lambda_http.problem(event, "unauthenticated", "The signature does not prove the message.", status=401)
    return lambda_http.empty(200)


def read_form(event: GatewayEvent) -> tuple[bytes, bytes]:
    """`data` and `signature` as received after form decoding. Raises BadRequest."""
    raw = lambda_http.body(event, LARGEST_BODY)
    # Its charset does not matter: the fields that we read are ASCII, and the signature proves them.
    if lambda_http.content_type(event)[0] != "application/x-www-form-urlencoded":
        raise BadRequest("invalid-request", "The body must be a form (application/x-www-form-urlencoded).")
    try:
        # Bytes: they pass through unchanged, whatever they are.
        fields = parse_qsl(raw, keep_blank_values=True, max_num_fields=MOST_FIELDS)
    except ValueError:
        raise BadRequest("invalid-request", "The form has too many fields.") from None
    found = {name: [value for key, value in fields if key == name.encode()] for name in ("data", "signature")}
    rules = {name: None if len(values) == 1 else "must be given exactly once" for name, values in found.items()}
    if rules["data"] is None and not found["data"][0]:
        rules["data"] = "must not be empty"
    lambda_http.obey("The form must have `data` and `signature`, once each.", rules)
    return found["data"][0], found["signature"][0]


def receive(storage: Storage, data: bytes, signature: bytes) -> Received:
    """Take one message. Raises SecretError, StoreError: then it is not stored, and the provider must send it again."""
    deadline = storage.deadline(RECEIVE_SECONDS)
    proof = verify(storage.secret, data, signature, deadline.within(PROVE_SECONDS))
    if proof is None:
        return Received(WebhookOutcome.FORGED)
    (stage, credentials), digest, now = proof, hashlib.sha256(data).hexdigest(), storage.now()
    operation = decode(data)
    why = "unreadable" if operation is None else _unusable(operation, credentials)
    if operation is not None and why is None:
        return _store(storage, credentials.project, StoredWebhook(digest[:32], now, stage, operation), digest, deadline)
    storage.store.put_quarantine(digest, _kept_text(data, operation), str(why), now, deadline)
    return Received(WebhookOutcome.QUARANTINED, operation, why=why)


def verify(secret: Secret, data: bytes, signature: bytes, deadline: Deadline) -> tuple[str, Credentials] | None:
    """Which credentials prove this message, and their stage; None: forged. Raises SecretError."""
    for stage, credentials in secret.candidates(deadline):
        if signatures.is_genuine(credentials.api_secret, data, signature):
            return stage, credentials
    return None


def decode(data: bytes) -> Operation | None:
    """The operation of a genuine message, None if unreadable. Missing padding is forgiven here, not in the proof."""
    try:
        operation = messages.read_operation(exact_json.parse(_decoded(data)))
    except ValueError:
        return None
    is_text = operation is not None and operation.method.isprintable() and operation.status.isprintable()
    return operation if is_text else None


def _decoded(data: bytes) -> bytes:
    return base64.b64decode(data + b"=" * (-len(data) % 4), altchars=b"-_", validate=True)


def _unusable(operation: Operation, proved_by: Credentials) -> str | None:
    """Why a genuine message that can be read goes to quarantine, None if it can be stored."""
    named = operation.fields["pos_id"]
    if named is not None and project_of(str(named)) != proved_by.project:
        return "other-pos-id"
    # The provider could not have taken such an order from us, and no record of it would fit the contract.
    return None if wrong_order_id(operation.order_id) is None else "order-id"


def _kept_text(data: bytes, operation: Operation | None) -> str:
    """What is kept for an operator: the allowed fields or, if unreadable, the text with what looks personal masked."""
    if operation is not None:
        return exact_json.write(dict(operation.fields))
    with suppress(ValueError):
        data = _decoded(data) or data
    return mask(data.decode("utf-8", "replace")[:LONGEST_QUARANTINE])


def mask(text: str) -> str:
    """Cover what looks like a card number or an e-mail address."""
    return _MAIL_LIKE.sub("[masked]", _CARD_LIKE.sub("[masked]", text))


def _store(storage: Storage, pos_id: str, webhook: StoredWebhook, digest: str, deadline: Deadline) -> Received:
    """The webhook and what it proves, in one write. `digest`: the whole one, for quarantine."""
    operation, order = webhook.operation, Order(pos_id, webhook.operation.order_id)
    if operation.method == "void" and operation.succeeded:
        # Usually the answer has said all of it before: then one trip stores the webhook.
        found = storage.store.append_webhook(pos_id, webhook, storage.new_id(), deadline)
        if found is True:
            return Received(WebhookOutcome.STORED, operation)
        order = found or order
    else:
        order = storage.store.load(pos_id, operation.order_id, deadline) or order
    merged = storage.store.merge(order, lambda current: current.with_webhook(webhook), storage.new_id, deadline)
    before, after = merged.before.void, merged.after.void
    if webhook.digest in merged.before.webhooks:
        outcome = WebhookOutcome.DUPLICATE
    elif webhook.digest not in merged.after.webhooks:
        text = exact_json.write(dict(operation.fields))
        storage.store.put_quarantine(digest, text, "too-many", webhook.received_at, deadline)
        outcome = WebhookOutcome.QUARANTINED
    else:
        # To a reader, who does not see the schedule.
        same = after is None or (before is not None and before.shown[:-1] == after.shown[:-1])
        outcome = WebhookOutcome.STORED if same else WebhookOutcome.APPLIED
    return Received(outcome, operation, before, after)


def _observe(received: Received) -> None:
    if received.outcome in (WebhookOutcome.FORGED, WebhookOutcome.QUARANTINED):
        count(f"Webhook{received.outcome.value.capitalize()}")
    if received.outcome is WebhookOutcome.FORGED:
        logger.warning("webhook forged")
        return
    operation, after = received.operation, received.after
    what: dict[str, Any] = {name: getattr(operation, name, None) for name in ("order_id", "method", "status")}
    logger.info("webhook received", outcome=received.outcome.value, why=received.why, **what, **named(after))
    count_changes(received.before, after)
    report("VoidWithoutWebhook", 0)


cold_start.finish(storage)
