"""Webhooks that were genuine and could not be used: looked at, and applied again after their cause is gone.

Applies by the functions' own code (`payments.webhooks`), with the operator's rights. Promises to refuse what is still
unreadable, not ours, or was masked where it matters. Never deletes: the copy in quarantine expires by itself.
"""

import base64
import re
import time
import uuid
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

from ops import items
from ops.places import OpsError
from payments import webhooks
from payments.messages import Operation
from payments.secret import Secret
from payments.signatures import sign_webhook
from payments.store import Store
from payments.webhooks import Fate, Inbox, Received

KEPT_DAYS = 90
SHORTEST_DIGEST = 8
MASKED = "[masked]"
_MAY_BE_MASKED = ("comment", "status_description")

Message = Mapping[str, str]


def on_day(client: Any, table: str, day: date, digest: str = "") -> Iterator[Message]:
    """The messages of one day (UTC), or those whose digest begins so."""
    pages = client.get_paginator("query").paginate(TableName=table, **items.in_quarantine(day, digest))
    for page in pages:
        yield from map(items.message, page["Items"])


def find(client: Any, table: str, digest: str, day: date | None) -> Message:
    """The one message with this digest; without a day, all that are kept are looked through. Raises OpsError."""
    if not re.fullmatch(r"[0-9a-f]{8,64}", digest):
        raise OpsError(f"a digest is at least {SHORTEST_DIGEST} of its 64 hex digits, as `quarantine list` prints it")
    today = datetime.now(UTC).date()
    days = [day] if day else [today - timedelta(days=ago) for ago in range(KEPT_DAYS + 1)]
    found = [message for one in days for message in on_day(client, table, one, digest)]
    if not found:
        raise OpsError("no such message in quarantine; it is kept for 90 days")
    if len({message["digest"] for message in found}) > 1:
        raise OpsError("more than one message begins so: give more of the digest")
    return found[0]


def apply(store: Store, secret: Secret, message: Message) -> Received:
    """Take the message again, as if the provider had sent it again. Raises OpsError, SecretError, StoreError."""
    data = base64.urlsafe_b64encode(message["text"].encode())
    credentials = secret.current()
    operation = webhooks.decode(data)
    _refuse(operation, credentials.pos_id)
    # It was proven when it came, but only a masked text was kept: signed with our own secret it takes the way of every
    # message, and once more it is recognised as the same.
    signature = sign_webhook(credentials.api_secret, data)
    inbox = Inbox(store, secret, lambda: time.time_ns() // 1_000_000, lambda: uuid.uuid4().hex)
    received = webhooks.receive(inbox, data, signature)
    if received.fate is Fate.QUARANTINED:
        raise OpsError(f"still cannot be used, as when it came ({message['why']}): nothing was changed")
    return received


def _refuse(operation: Operation | None, pos_id: str) -> None:
    if operation is None:
        raise OpsError("still unreadable for this version of the code: nothing was changed")
    theirs = operation.fields["pos_id"]
    if theirs not in (None, pos_id):
        raise OpsError(f"the message is for pos_id {theirs}, the secret holds {pos_id}: nothing was changed")
    names = [name for name, value in operation.fields.items() if MASKED in str(value) and name not in _MAY_BE_MASKED]
    if names:
        raise OpsError(f"{', '.join(names)} was masked when it was stored, so it cannot be applied; use `refresh`")
