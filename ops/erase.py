"""Removes what people wrote about an order, for good: its comment and free texts. What happened when stays. Promises
one conditional write of the whole order by the functions' own code. A text gives way to a mark and not to nothing: a
field that is known is never filled again by what the provider repeats. What of it the provider writes into a new
message comes back with that message."""

from argparse import Namespace
from collections.abc import Mapping
from copy import replace
from typing import Any

from ops import api, systems
from ops.commands import confirm, show
from ops.places import OpsError, Place
from ops.screen import Screen
from payments.orders import Order

FREE_TEXTS = ("comment", "message", "note", "status_description")
"""By these names, wherever they are: ours, an operator's, and those that the provider repeats or may write."""
LONGEST_NOTE = 200


def erase(place: Place, chosen: Namespace, screen: Screen) -> None:
    if not 1 <= len(chosen.note.strip()) <= LONGEST_NOTE or not chosen.note.isprintable():
        raise OpsError(f"a note is 1 to {LONGEST_NOTE} printable characters")
    pos_id, store = api.read_void(place, chosen.order)["pos_id"], systems.store(place)
    order = store.load(pos_id, chosen.order, systems.deadline())
    if order is None:
        raise OpsError("this order has no record")
    confirm(place, chosen, "erase its comment and free texts", "nothing was erased")
    erased = without_texts(order, f"[erased: {chosen.note.strip()}]")
    if erased == order:
        screen.line("There was nothing to erase.")
    elif store.write(erased, write_id := systems.new_id(), systems.deadline()).write_id != write_id:
        raise OpsError("the record changed meanwhile: nothing was erased; once more")
    show(place, chosen, screen)


def without_texts(order: Order, mark: str) -> Order:
    """The order with `mark` in the place of each text."""
    return replace(order, facts=_marked(order.facts, mark), webhooks=_marked(order.webhooks, mark), settles=False)


def _marked(value: Any, mark: str) -> Any:
    def inside(name: str, one: Any) -> Any:
        return (mark if one else one) if name in FREE_TEXTS else _marked(one, mark)

    if isinstance(value, Mapping):
        return {name: inside(name, one) for name, one in value.items()}
    if hasattr(value, "_asdict"):
        return replace(value, **{name: inside(name, one) for name, one in value._asdict().items()})
    return tuple(_marked(one, mark) for one in value) if isinstance(value, tuple) else value
