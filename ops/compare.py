"""Our record of an order against the provider's own list of it. Reads only, on both sides. Promises that "the provider
could not be asked" is never shown as "the provider has nothing", and that what an operator has decided is no
difference."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple

from ops import places, systems
from ops.places import OpsError, Place
from ops.screen import shown
from payments.messages import Operation, OrderView
from payments.provider import Provider
from payments.secret import Secret

_IDS = ("operation_id", "transaction_id", "payment_id")
DECIDED = "decided"

Document = Mapping[str, Any]
Theirs = Callable[[str, str | None], OrderView]
"""The provider's list of an order of a project. Raises OpsError if it gave no answer that may be trusted."""


class Difference(NamedTuple):
    """What does not agree: its kind, as `reconcile` counts it, and a sentence."""

    kind: str
    says: str


def theirs(place: Place) -> Theirs:
    """The provider's list, as the functions of this place would get it. Raises OpsError, SettingsError."""
    variables = places.configuration(place)
    return partial(ask, systems.secret(place, variables), systems.provider(variables))


def ask(secret: Secret, provider: Provider, order_id: str, pos_id: str | None) -> OrderView:
    """The provider's list, asked for once with the credentials of that project. Raises OpsError, SecretError."""
    deadline = systems.deadline()
    view = provider.get_order(systems.credentials(secret, pos_id, deadline), order_id, deadline)
    if isinstance(view, str) or view.partial:
        raise OpsError("the provider gave no answer that may be trusted: nothing can be said; try again later")
    return view


def differences(record: Document | None, view: OrderView) -> list[Difference]:
    """What does not agree; nothing if all does. What a decision explains has the kind `decided`."""
    if record is not None:
        return [_decided(record, one) for one in _differences(record, view)]
    voids = [operation for operation in view.of("void") if not operation.failed]
    says = f"the provider lists {len(voids)} void(s), and we have no record"
    return [Difference("unknown-here", says)] if voids else []


def _differences(record: Document, view: OrderView) -> Iterator[Difference]:
    state, released = record["state"], [operation for operation in view.of("void") if operation.succeeded]
    if view.not_found:
        if state != "failed":  # nothing was voided: on that both agree
            kind = "voided-here-not-there" if state == "voided" else "open"
            yield Difference(kind, "the provider does not know the order (this may also be a delay)")
        return
    if len(released) > 1:
        yield Difference("second-void", f"the provider executed {len(released)} voids of this order")
    if state == "voided" and released:
        yield from _contradictions(record, view, released)
    elif state == "voided":
        yield Difference("voided-here-not-there", "our record is voided, and the provider lists no successful void")
    elif released:
        says = f"the provider lists a successful void, and our record is {state}: `refresh` takes it over"
        yield Difference("voided-there-not-here", says)
    elif state != "failed":
        yield Difference("open", f"our record is {state}")
    elif any(operation.under_way for operation in view.of("void")):
        yield Difference("open", "the provider has a void under way, and our record is failed")


def _contradictions(record: Document, view: OrderView, released: list[Operation]) -> Iterator[Difference]:
    said = record["provider"] or {}
    known = [(name, said[name]) for name in _IDS[:2] if said.get(name)]
    same = next((one for one in released if any(one.fields[name] == value for name, value in known)), released[0])
    for name in ("amount", "currency", *_IDS):
        ours, theirs = said.get(name), same.fields[name]
        if ours is not None and theirs is not None and ours != theirs:
            kind = name if name in ("amount", "currency") else "ids"
            yield Difference(kind, f"{name}: ours {shown(ours)}, theirs {shown(theirs)}")
    payment = said.get("payment_id") or same.fields["payment_id"]
    others = {auth.fields["payment_id"] for auth in view.of("auth") if auth.succeeded} - {payment, None}
    if payment is not None and others:
        names = ", ".join(sorted(map(str, others)))
        yield Difference("another-hold", f"the void released payment {payment}, and another hold may stand: {names}")


def _decided(record: Document, found: Difference) -> Difference:
    """An operator's newest word stands for what the provider does not show, and for what it still shows under way."""
    requested = record["requested_at"] or ""
    words = [one for one in record["decisions"] if one["decision"] != "reviewed" and one["at"] >= requested]
    explained = {("voided", "voided"): "voided-here-not-there", ("not-voided", "failed"): "open"}
    if words and explained.get((words[-1]["decision"], record["state"])) == found.kind:
        return Difference(DECIDED, f"{found.says}; decided by {shown(words[-1]['by'])}: {words[-1]['note']}")
    return found
