"""Webhooks that were genuine and could not be used: listed, and applied again after their cause is gone. Applies by the
functions' own code (`receive_webhook`), with the operator's rights. Promises to refuse what is still unreadable, not
ours, or was masked where it matters. Never deletes: the copy in quarantine expires by itself."""

import base64
import re
from argparse import Namespace
from collections.abc import Mapping
from datetime import date, timedelta
from typing import TYPE_CHECKING

from ops import days, items, systems
from ops.places import OpsError, Place
from ops.screen import Screen
from payments.messages import Operation, wrong_order_id
from payments.signatures import sign_webhook

if TYPE_CHECKING:
    from receive_webhook import Received
    from systems import Storage

MASKED = "[masked]"
_MAY_BE_MASKED = ("comment", "status_description")

Message = Mapping[str, str]


def list_messages(place: Place, chosen: Namespace, screen: Screen) -> None:
    day = days.day(chosen.date) if chosen.date else days.now().date()
    messages = items.table(place).in_quarantine(day)
    screen.listed(("digest", "received_at", "why", "text"), messages, f"in quarantine from {day.isoformat()}")


def apply_message(place: Place, chosen: Namespace, screen: Screen) -> None:
    message = find(items.table(place), chosen.digest, days.day(chosen.date) if chosen.date else None)
    received = apply(systems.storage(place), message)
    order = received.operation.order_id if received.operation else None
    state = received.after.state.value if received.after else None
    if screen.as_json:
        found = {"digest": message["digest"], "outcome": received.outcome, "order_id": order, "state": state}
        return screen.document(found)
    return screen.line(f"{received.outcome}: order {order}, record {state or 'unchanged'}")


def find(table: items.Table, digest: str, day: date | None) -> Message:
    """The one message with this digest; without a day, all that are kept are looked through. Raises OpsError."""
    if not re.fullmatch(r"[0-9a-f]{8,64}", digest):
        raise OpsError("a digest is at least 8 of its 64 hex digits, as `quarantine list` prints it")
    today = days.now().date()
    wanted = [day] if day else [today - timedelta(days=ago) for ago in range(91)]
    found = {message["digest"]: message for one in wanted for message in table.in_quarantine(one, digest)}
    if not found:
        raise OpsError("no such message in quarantine; it is kept for 90 days")
    if len(found) > 1:
        raise OpsError("more than one message begins so: give more of the digest")
    return found.popitem()[1]


def apply(storage: "Storage", message: Message) -> "Received":
    """Take the message again, as if the provider had sent it again. Raises OpsError, SecretError, StoreError."""
    import receive_webhook  # here: it sets up what a function stands on

    data = base64.urlsafe_b64encode(message["text"].encode())
    operation = _usable(receive_webhook.decode(data))
    # It was proven when it came, but only a masked text was kept: signed with our own secret it takes the way of every
    # message, and once more it is recognised as the same.
    pos_id = operation.fields["pos_id"]
    credentials = systems.credentials(storage.secret, str(pos_id) if pos_id else None, systems.deadline())
    signature = sign_webhook(credentials.api_secret, data)
    received = receive_webhook.receive(storage, data, signature)
    if received.outcome is receive_webhook.WebhookOutcome.QUARANTINED and received.before == received.after:
        raise OpsError(f"it still cannot be stored, as when it came ({message['why']}): the record stays as it is")
    return received


def _usable(operation: Operation | None) -> Operation:
    if operation is None:
        raise OpsError("still unreadable for this version of the code: nothing was changed")
    names = [name for name, value in operation.fields.items() if MASKED in str(value) and name not in _MAY_BE_MASKED]
    if names:
        raise OpsError(f"{', '.join(names)} was masked when it was stored, so it cannot be applied; use `refresh`")
    wrong = wrong_order_id(operation.order_id)
    if wrong is not None:
        raise OpsError(f"its order id {wrong}: no order of ours has it, and nothing was changed")
    return operation
