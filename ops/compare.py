"""Our record of an order against the provider's own list of it. Reads only, on both sides.

Promises that "the provider could not be asked" is never shown as "the provider has nothing".
"""

from collections.abc import Iterator
from typing import Any

from ops import systems
from ops.places import OpsError
from ops.screen import shown
from payments.messages import Operation, OrderView
from payments.provider import Provider
from payments.secret import Secret

_IDS = ("operation_id", "transaction_id", "payment_id")
_EQUAL = ("amount", "currency", *_IDS)


def ask(secret: Secret, provider: Provider, order_id: str, pos_id: str | None) -> OrderView:
    """The provider's list, asked for once with the credentials of that project. Raises OpsError, SecretError."""
    deadline = systems.deadline()
    credentials = secret.of_project(pos_id, deadline) if pos_id else secret.current(deadline)
    if credentials is None:
        raise OpsError(f"the record belongs to project {pos_id}, and the secret has no credentials of it")
    view = provider.get_order(credentials, order_id, deadline)
    if view is None:
        raise OpsError("the provider gave no answer that may be trusted: nothing can be said; try again later")
    return view


def differences(record: dict[str, Any] | None, view: OrderView) -> list[str]:
    """What does not agree, in words; nothing if all does."""
    return list(_differences(record, view))


def _differences(record: dict[str, Any] | None, view: OrderView) -> Iterator[str]:
    voids = view.of("void")
    released = [operation for operation in voids if operation.succeeded]
    if record is None:
        if voids:
            yield f"the provider lists {len(voids)} void(s), and we have no record"
        return
    state, evidence = record["state"], record["provider"] or {}
    if view.not_found:
        yield "the provider does not know the order (this may also be a delay)"
        return
    if len(released) > 1:
        yield f"the provider executed {len(released)} voids of this order"
    if state == "voided" and not released:
        yield "our record is voided, and the provider lists no successful void"
    if state != "voided" and released:
        yield f"the provider lists a successful void, and our record is {state}: `refresh` takes it over"
    if state == "failed" and any(operation.under_way for operation in voids):
        yield "the provider has a void under way, and our record is failed"
    if state == "voided" and released:
        yield from _contradictions(evidence, released)


def _contradictions(evidence: dict[str, Any], released: list[Operation]) -> Iterator[str]:
    same = next((one for one in released if _shared(evidence, one)), released[0])
    for name in _EQUAL:
        ours, theirs = evidence.get(name), same.fields[name]
        if ours is not None and theirs is not None and ours != theirs:
            yield f"{name}: ours {shown(ours)}, theirs {shown(theirs)}"


def _shared(evidence: dict[str, Any], operation: Operation) -> bool:
    return any(evidence.get(name) and evidence.get(name) == operation.fields[name] for name in _IDS[:2])
