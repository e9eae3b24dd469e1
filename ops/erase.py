"""Removes what people wrote about an order, for good: its comment and free texts. What happened when stays.

Promises one conditional write of the whole order by the functions' own code. A text gives way to a mark and not to
nothing: a field that is known is never filled again by what the provider repeats. What of it the provider writes into
a new message comes back with that message.
"""

from copy import replace
from typing import Any

from ops import api, systems
from ops.commands import Arguments, confirmed, show
from ops.places import OpsError, Place
from ops.screen import Screen
from payments.orders import Order
from payments.store import Conflict

FREE_TEXTS = ("comment", "status_description")
"""Of the provider's fields: the first repeats ours, the other may."""
LONGEST_NOTE = 200


def erase(place: Place, chosen: Arguments, screen: Screen) -> None:
    """Ask, then erase, then show what is left."""
    if not 1 <= len(chosen.note.strip()) <= LONGEST_NOTE or not chosen.note.isprintable():
        raise OpsError(f"a note is 1 to {LONGEST_NOTE} printable characters")
    pos_id, deadline = api.read_void(place, chosen.order)["pos_id"], systems.deadline()
    store = systems.store(place)
    order = store.load(pos_id, chosen.order, deadline)
    if order is None:
        raise OpsError("this order has no record")
    question = f"Order {chosen.order} in {place.environment}: erase its comment and free texts, because: {chosen.note}"
    if not confirmed(question):
        raise OpsError("nothing was erased")
    erased = without_texts(order, f"[erased: {chosen.note.strip()}]")
    if erased == order:
        screen.line("There was nothing to erase.")
    elif isinstance(store.write(erased, systems.new_id(), systems.deadline()), Conflict):
        raise OpsError("the record changed meanwhile: nothing was erased; once more")
    show(place, chosen, screen)


def without_texts(order: Order, mark: str) -> Order:
    """The order with `mark` in the place of each text."""

    def marked[T](value: T) -> T:
        """A tuple with names, with its own texts marked."""
        fields: Any = value
        names = {"comment", "message", "note"} & set(fields._fields)
        changed: dict[str, Any] = {name: mark for name in names if getattr(value, name)}
        if getattr(value, "fields", None) is not None:
            changed["fields"] = _fields(fields.fields, mark)
        if getattr(value, "told", None) is not None:
            changed["told"] = marked(fields.told)
        found: T = fields._replace(**changed)
        return found

    facts = order.facts._replace(
        attempts=tuple(map(marked, order.facts.attempts)),
        operations=tuple(map(marked, order.facts.operations)),
        decisions=tuple(map(marked, order.facts.decisions)),
    )
    webhooks = {
        digest: one._replace(operation=replace(one.operation, fields=_fields(one.operation.fields, mark)))
        for digest, one in order.webhooks.items()
    }
    return replace(order, facts=facts, webhooks=webhooks, settles=False)


def _fields(fields: Any, mark: str) -> dict[str, object]:
    return {name: mark if name in FREE_TEXTS and value else value for name, value in fields.items()}
