"""Webhooks that were genuine and could not be used: looked at, and applied again after their cause is gone.

Applies by the functions' own code (`receive_webhook`), with the operator's rights. Promises to refuse what is still
unreadable, not ours, or was masked where it matters. Never deletes: the copy in quarantine expires by itself.
"""

import base64
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from ops import items, systems
from ops.places import OpsError
from payments.messages import Operation, wrong_order_id
from payments.secret import Credentials, Secret
from payments.signatures import sign_webhook

if TYPE_CHECKING:
    from receive_webhook import Received
    from systems import Storage

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


def apply(storage: "Storage", message: Message) -> "Received":
    """Take the message again, as if the provider had sent it again. Raises OpsError, SecretError, StoreError."""
    import receive_webhook  # here: it sets up what a function stands on

    data = base64.urlsafe_b64encode(message["text"].encode())
    operation = receive_webhook.decode(data)
    _refuse(operation)
    # It was proven when it came, but only a masked text was kept: signed with our own secret it takes the way of every
    # message, and once more it is recognised as the same.
    signature = sign_webhook(_credentials(storage.secret, operation).api_secret, data)
    received = receive_webhook.receive(storage, data, signature)
    if received.outcome is receive_webhook.WebhookOutcome.QUARANTINED and received.before == received.after:
        raise OpsError(f"it still cannot be stored, as when it came ({message['why']}): the record stays as it is")
    return received


def _refuse(operation: Operation | None) -> None:
    if operation is None:
        raise OpsError("still unreadable for this version of the code: nothing was changed")
    wrong = wrong_order_id(operation.order_id)
    names = [name for name, value in operation.fields.items() if MASKED in str(value) and name not in _MAY_BE_MASKED]
    if names:
        raise OpsError(f"{', '.join(names)} was masked when it was stored, so it cannot be applied; use `refresh`")
    if wrong is not None:
        raise OpsError(f"its order id {wrong}: no order of ours has it, and nothing was changed")


def _credentials(secret: Secret, operation: Operation | None) -> Credentials:
    """Those of the project that the message names. Raises OpsError, SecretError."""
    deadline = systems.deadline()
    current = secret.current(deadline)
    theirs = operation.fields["pos_id"] if operation is not None else None
    found = current if theirs is None else secret.of_project(str(theirs), deadline)
    if found is None:
        raise OpsError(f"the message is for pos_id {theirs}, the secret holds {current.pos_id}: nothing was changed")
    return found
