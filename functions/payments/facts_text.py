"""Facts as one JSON text, and back: nothing that is as it was at first, exact numbers, no field written twice. Pure."""

import json
from collections.abc import Mapping
from typing import Any

from payments import exact_json
from payments.facts import Attempt, Decision, End, Evidence, Facts, FailureReason, Shown, State, Status, Told, Word
from payments.messages import PROVIDER_FIELDS, Fields, Operation
from payments.operations import names_of
from payments.orders import NOTHING, Change, Order, StoredWebhook

_dump = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_PLAIN = ("known_since", "listed", "clear", "held", "captured")


def write_facts(order: Order) -> str:
    """All that is known, as JSON. The fields of the operation that is shown stand in `provider` alone."""
    facts, void = order.facts, order.void
    shown = void.provider if void is not None else None
    values: dict[str, object] = {
        "attempts": [_attempt(each) for each in facts.attempts],
        "operations": [_operation(each, shown) for each in facts.operations],
        "looked": _known(facts.looked._asdict(), NOTHING.looked._field_defaults),
        "asked": _known(facts.asked._asdict(), NOTHING.asked._field_defaults),
        "decisions": [list(each) for each in facts.decisions],
        "payments": sorted(facts.payments),
        "history": [_without_end(change) for change in order.history],
        "reviews": [list(each) for each in order.reviews],
        **{name: getattr(facts, name) for name in _PLAIN},
    }
    known = {name: value for name, value in values.items() if value}
    # Only fields hold exact numbers, and of the usual order they stand elsewhere: then the C encoder writes it all.
    exact = any(each.fields is not None and each.fields is not shown for each in facts.operations)
    return exact_json.write(known) if exact else _dump(known)


def _known(values: dict[str, object], unknown: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in values.items() if value != unknown.get(name)}


def _without_end(change: Change) -> list[object]:
    """The usual line has three values."""
    line: list[object] = list(change)
    return line if change.by_operator else line[:4] if change.reason is not None else line[:3]


def _attempt(attempt: Attempt) -> dict[str, object]:
    values = _known(attempt._asdict(), Attempt._field_defaults | {"key": None, "requested_by": None})
    return values if attempt.told is None else values | {"told": list(attempt.told)}


def _operation(operation: Shown, shown: Fields | None) -> dict[str, object]:
    values = _known(operation._asdict(), Shown._field_defaults | {"since": 1, "at": operation.first})
    values |= {"status": operation.status.value, "by": sorted(operation.by), "names": sorted(operation.names)}
    if operation.fields is None:
        return values
    if operation.names == names_of(operation.fields):
        del values["names"]
    if operation.fields is shown:
        return values | {"fields": True}
    return values | {"fields": {name: value for name, value in operation.fields.items() if value is not None}}


def read_change(at: int, state: str, by: str, reason: str | None = None, by_operator: bool = False) -> Change:
    return Change(at, State(state), Evidence(by), FailureReason(reason) if reason else None, by_operator)


def read_facts(values: dict[str, Any], text: str, provider: str | None) -> Facts:
    """The facts of a text, and of the text of the operation that is shown."""
    shown = _complete(exact_json.parse(provider)) if provider is not None else None
    operations: list[dict[str, Any]] = values.get("operations", [])
    kept = [each.get("fields") for each in operations]
    if any(isinstance(each, dict) for each in kept):
        exact: Any = exact_json.parse(text)  # amounts keep their digits
        kept = [each.get("fields") for each in exact["operations"]]
    fields = [shown if each is True else _complete(each) if each is not None else None for each in kept]
    return Facts(
        attempts=tuple(_read_attempt(each) for each in values.get("attempts", ())),
        operations=tuple(_read_operation(each, known) for each, known in zip(operations, fields, strict=True)),
        looked=NOTHING.looked._replace(**values.get("looked", {})),
        asked=NOTHING.asked._replace(**values.get("asked", {})),
        decisions=tuple(_read_decision(*each) for each in values.get("decisions", ())),
        payments=frozenset(values.get("payments", ())),
        **{name: values[name] for name in _PLAIN if name in values},
    )


def _read_attempt(values: dict[str, Any]) -> Attempt:
    known = {"key": None, "requested_by": None, **values}
    if "end" in known:
        known["end"] = End(known["end"])
    if "told" in known:
        reason, *more = known["told"]
        known["told"] = Told(FailureReason(reason), *more)
    return Attempt(**known)


def _read_operation(values: dict[str, Any], fields: Fields | None) -> Shown:
    names = frozenset(values["names"]) if "names" in values else names_of(fields or {})
    by = frozenset(Evidence(each) for each in values["by"])
    more = {"names": names, "status": Status(values["status"]), "by": by, "fields": fields}
    return Shown(**{"since": 1, "at": values["first"], **values, **more})


def _read_decision(
    at: int, by: str | None, word: str, note: str, revision: str, state: str, reason: str | None, attempt: int
) -> Decision:
    why = FailureReason(reason) if reason else None
    return Decision(at, by, Word(word), note, revision, State(state), why, attempt)


def write_webhook(webhook: StoredWebhook, facts: Facts) -> str:
    """One webhook as one text; of one that says what its operation says only that operation's name."""
    names, method, fields = webhook.operation.ids, webhook.operation.method.lower(), webhook.operation.fields
    known = next((each.fields for each in facts.operations if names & each.names and each.method == method), None)
    return repeating(webhook) if known == fields else _text(webhook, write_fields(fields))


def repeating(webhook: StoredWebhook) -> str:
    """The text of a webhook whose operation is known to say the same."""
    names, fields = webhook.operation.ids, webhook.operation.fields
    return _text(webhook, _dump(min(names)) if names else write_fields(fields))


def _text(webhook: StoredWebhook, what: str) -> str:
    operation = webhook.operation
    return f"[{_dump([webhook.received_at, webhook.verified_with, operation.method, operation.status])},{what}]"


def read_webhook(digest: str, text: str, facts: Facts) -> StoredWebhook:
    parsed: Any = exact_json.parse(text)
    (received_at, verified_with, method, status), what = parsed
    if isinstance(what, str):
        what = next((each.fields for each in facts.operations if what in each.names), None)
    fields = _complete(what)
    operation = Operation(method, status, str(fields["order_id"]), fields)
    return StoredWebhook(digest, int(received_at.digits), verified_with, operation)


def write_fields(fields: Fields) -> str:
    """The provider's fields as JSON with their own digits: the table's own numbers would turn 100.00 into 100."""
    return exact_json.write({name: fields[name] for name in PROVIDER_FIELDS if fields.get(name) is not None})


def _complete(stored: Any) -> Fields:
    """The sixteen fields; unknown ones are None."""
    # Another form is not read as "nothing known": the next write would lose what the provider said.
    if not isinstance(stored, dict):
        raise ValueError("provider")
    return {name: stored.get(name) for name in PROVIDER_FIELDS}
