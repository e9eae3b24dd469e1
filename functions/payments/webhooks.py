"""A webhook's way: proved genuine over the received bytes, then read, then stored, then merged into the void's record.

Promises that a forged message leaves no trace and that "stored" means durable. Never parses before the proof, never
speaks to the provider: what a webhook cannot prove (a failure, an absence) makes the void due for a question.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from payments import exact_json, messages, operations
from payments.messages import Operation
from payments.operations import Void
from payments.secret import Secret
from payments.signatures import is_genuine
from payments.store import Event, Store, StoreError, Written, timestamp

FRESH_SECONDS = 5.0
""""Forged" rests on a copy of the secret at most this old, and strangers make us fetch it no more often."""
MOST_MERGES = 5
LONGEST_QUARANTINE = 16_384
_CARD_LIKE = re.compile(r"\d(?:[ -]?\d){11,}")
_MAIL_LIKE = re.compile(r"[^\s\"@]{1,64}@[^\s\"@]{1,255}")


class Fate(StrEnum):
    """What became of a message."""

    APPLIED = "applied"
    STORED = "stored"
    DUPLICATE = "duplicate"
    QUARANTINED = "quarantined"
    FORGED = "forged"


@dataclass(frozen=True, slots=True)
class Received:
    """The fate of a message and, where it is about a void, the record afterwards, and before if it was looked at."""

    fate: Fate
    operation: Operation | None = None
    void: Void | None = None
    before: Void | None = None


@dataclass(frozen=True, slots=True)
class Inbox:
    """Everything outside that a webhook needs. `now` is in milliseconds."""

    store: Store
    secret: Secret
    now: Callable[[], int]
    new_id: Callable[[], str]


def receive(inbox: Inbox, data: bytes, signature: bytes) -> Received:
    """Take one message. Raises SecretError, StoreError: then it is not stored, and the provider must send it again."""
    stage = verify(inbox.secret, data, signature)
    if stage is None:
        return Received(Fate.FORGED)
    digest = hashlib.sha256(data).hexdigest()
    operation = decode(data)
    if operation is None:
        return _quarantine(inbox, digest, data, None)
    pos_id = inbox.secret.current().pos_id
    if operation.fields["pos_id"] not in (None, pos_id):
        return _quarantine(inbox, digest, data, operation)
    event = Event(digest, timestamp(inbox.now()), stage, operation)
    if operation.method == "void" and operation.succeeded:
        return _release(inbox, pos_id, event)
    return _store_and_apply(inbox, pos_id, event)


def verify(secret: Secret, data: bytes, signature: bytes) -> str | None:
    """Which secret proves this message, `AWSCURRENT` or `AWSPREVIOUS`; None: forged. Raises SecretError."""
    if is_genuine(secret.current().api_secret, data, signature):
        return "AWSCURRENT"
    # Rotated a moment ago? Only fresh copies may say "forged"; but they are fetched at a limited rate.
    if is_genuine(secret.current(FRESH_SECONDS).api_secret, data, signature):
        return "AWSCURRENT"
    previous = secret.previous(FRESH_SECONDS)
    if previous is not None and is_genuine(previous.api_secret, data, signature):
        return "AWSPREVIOUS"
    return None


def decode(data: bytes) -> Operation | None:
    """The operation of a genuine message, None if unreadable. Missing padding is forgiven here, not in the proof."""
    text = _decoded(data)
    try:
        operation = messages.read_operation(exact_json.parse(text)) if text is not None else None
    except exact_json.Unreadable:
        return None
    # An order id that cannot be a key of ours is as unreadable as no order id.
    return operation if operation is not None and 1 <= len(operation.order_id) <= 64 and _is_text(operation) else None


def _decoded(data: bytes) -> bytes | None:
    try:
        return base64.b64decode(data + b"=" * (-len(data) % 4), altchars=b"-_", validate=True)
    except (ValueError, binascii.Error):
        return None


def _is_text(operation: Operation) -> bool:
    return all(part.isprintable() for part in (operation.order_id, operation.method, operation.status))


def _quarantine(inbox: Inbox, digest: str, data: bytes, operation: Operation | None) -> Received:
    """Genuine, but not ours to use: kept for a person, reduced to the allowed fields or, if unreadable, masked."""
    if operation is not None:
        text, why = exact_json.write(dict(operation.fields)), "other-pos-id"
    else:
        text, why = mask((_decoded(data) or data).decode("utf-8", "replace")[:LONGEST_QUARANTINE]), "unreadable"
    inbox.store.put_quarantine(digest, text, why, inbox.now())
    return Received(Fate.QUARANTINED, operation)


def mask(text: str) -> str:
    """Cover what looks like a card number or an e-mail address."""
    return _MAIL_LIKE.sub("[masked]", _CARD_LIKE.sub("[masked]", text))


def _release(inbox: Inbox, pos_id: str, event: Event) -> Received:
    """A success: one transaction if nothing stands against it, otherwise the event first and then a merge."""
    created = operations.learn_webhook(None, event.operation, pos_id, inbox.now())
    if created is None:
        return _store_and_apply(inbox, pos_id, event)
    unreleased = inbox.store.put_event_and_release(pos_id, event, created, inbox.new_id())
    if unreleased is None:
        return Received(Fate.APPLIED, event.operation, created)
    return _store_and_apply(inbox, pos_id, event, unreleased.void)


def _store_and_apply(inbox: Inbox, pos_id: str, event: Event, before: Void | None = None) -> Received:
    """The event first, then the record. A repetition is applied again: the first delivery may have died in between.

    `before` spares a read: a record that is old by now is noticed by its version, and a void that is done stays done.
    """
    new = inbox.store.put_event(pos_id, event)
    if event.operation.method != "void":
        return Received(Fate.STORED if new else Fate.DUPLICATE, event.operation)
    before = before or inbox.store.load(pos_id, event.operation.order_id)
    after = _merge(inbox, pos_id, event.operation, before)
    changed = after is not before and after is not None and (before is None or after.version != before.version)
    fate = Fate.APPLIED if changed else Fate.STORED if new else Fate.DUPLICATE
    return Received(fate, event.operation, after, before)


def _merge(inbox: Inbox, pos_id: str, operation: Operation, void: Void | None) -> Void | None:
    for _ in range(MOST_MERGES):
        learnt = operations.learn_webhook(void, operation, pos_id, inbox.now())
        if learnt is None or learnt == void:
            return void
        written = (inbox.store.create if void is None else inbox.store.replace)(learnt, inbox.new_id())
        if isinstance(written, Written):
            return written.void
        void = written.void
    raise StoreError("record kept changing")
