"""Facts as one text, and back: nothing that is as it was at first, exact numbers, no field written twice. Pure.

A line of JSON for what is known and, where an operation of the provider is shown, one for its fields.
"""

import hashlib
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
CURRENT = "AWSCURRENT"
_UNSAID = {"number": 1, "key": None, "requested_by": None}


def own_fields(pos_id: str, order_id: str) -> Fields:
    """What the provider's fields usually repeat of an order."""
    return {"order_id": order_id, "pos_id": pos_id}


def write_facts(order: Order, shown: Fields | None, own: Fields) -> str:
    """All that is known. The fields of the operation that is `shown` stand in their own line alone."""
    facts = order.facts
    values: dict[str, object] = {
        "attempts": [_attempt(each) for each in facts.attempts],
        "operations": [_operation(each, shown, own) for each in facts.operations],
        "looked": _known(facts.looked._asdict(), NOTHING.looked._field_defaults),
        "asked": _known(facts.asked._asdict(), NOTHING.asked._field_defaults),
        "decisions": [list(each) for each in facts.decisions],
        "payments": sorted(facts.payments),
        "history": [_without_end(change) for change in order.history],
        "reviews": [list(each) for each in order.reviews],
        **{name: getattr(facts, name) for name in _PLAIN},
    }
    if facts.attempts and facts.known_since == facts.attempts[0].requested_at:
        del values["known_since"]
    known = {name: value for name, value in values.items() if value}
    # Only fields hold exact numbers, and of the usual order they stand elsewhere: then the C encoder writes it all.
    exact = any(each.fields is not None and each.fields is not shown for each in facts.operations)
    line = exact_json.write(known) if exact else _dump(known)
    return line if shown is None else f"{line}\n{write_fields(shown, own)}"


def _known(values: dict[str, object], unknown: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in values.items() if value != unknown.get(name)}


def _without_end(change: Change) -> list[object]:
    """The usual line has three values."""
    return list(change[: 5 if change.by_operator else 4 if change.reason is not None else 3])


def _attempt(attempt: Attempt) -> dict[str, object]:
    values = _known(attempt._asdict(), Attempt._field_defaults | _UNSAID)
    return values if attempt.told is None else values | {"told": list(attempt.told)}


def _operation(operation: Shown, shown: Fields | None, own: Fields) -> dict[str, object]:
    values = _known(operation._asdict(), Shown._field_defaults | {"since": 1, "at": operation.first})
    values |= {"status": operation.status.value, "by": sorted(operation.by), "names": sorted(operation.names)}
    if operation.fields is None:
        return values
    if operation.names == names_of(operation.fields):
        del values["names"]
    if operation.fields is shown:
        return values | {"fields": True}
    return values | {"fields": _saying(operation.fields, own)}


def read_change(at: int, state: str, by: str, reason: str | None = None, by_operator: bool = False) -> Change:
    return Change(at, State(state), Evidence(by), FailureReason(reason) if reason else None, by_operator)


def read_facts(text: str, own: Fields) -> tuple[dict[str, Any], Facts, Fields | None]:
    """What is known, as JSON has it and as facts, and the fields that are shown."""
    line, _, said = text.partition("\n")
    values = json.loads(line)
    kept = [each.get("fields") for each in values.get("operations", ())]
    shown = _complete(exact_json.parse(said), own) if said or True in kept else None
    if any(isinstance(each, dict) for each in kept):
        exact: Any = exact_json.parse(line)  # amounts keep their digits
        kept = [each.get("fields") for each in exact["operations"]]
    fields = [shown if each is True else _complete(each, own) if each is not None else None for each in kept]
    operations = zip(values.get("operations", ()), fields, strict=True)
    attempts = tuple(_read_attempt(each) for each in values.get("attempts", ()))
    since = {"known_since": attempts[0].requested_at} if attempts else {}
    facts = Facts(
        attempts=attempts,
        operations=tuple(_read_operation(*each) for each in operations),
        looked=NOTHING.looked._replace(**values.get("looked", {})),
        asked=NOTHING.asked._replace(**values.get("asked", {})),
        decisions=tuple(_read_decision(Decision(*each)) for each in values.get("decisions", ())),
        payments=frozenset(values.get("payments", ())),
        **since | {name: values[name] for name in _PLAIN if name in values},
    )
    return values, facts, shown


def _read_attempt(values: dict[str, Any]) -> Attempt:
    known = _UNSAID | values
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


def _read_decision(made: Decision) -> Decision:
    why = FailureReason(made.reason) if made.reason else None
    return made._replace(word=Word(made.word), state=State(made.state), reason=why)


def write_webhook(webhook: StoredWebhook, shown: str, own: Fields) -> str:
    """One webhook as one text; of one that says what is shown, in the same digits, only when it came and its proof."""
    fields, text = write_fields(webhook.operation.fields, own), repeating(webhook)
    return text if fields == shown else f"{text[:-1]},{fields}]"


def repeating(webhook: StoredWebhook) -> str:
    """The text of a webhook that says what is shown. Usually the current secret has proved it."""
    at, stage = webhook.received_at, webhook.verified_with
    return _dump([at] if stage == CURRENT else [at, stage])


def read_webhook(digest: str, text: str, shown: Fields | None, own: Fields) -> StoredWebhook:
    parsed: Any = exact_json.parse(text)
    received_at, *more = parsed
    fields: Any = _complete(more.pop(), own) if more and isinstance(more[-1], dict) else shown
    operation = Operation(fields["method"], fields["status"], fields["order_id"], fields)
    return StoredWebhook(digest, int(received_at.digits), more[0] if more else CURRENT, operation)


def write_fields(fields: Fields, own: Fields) -> str:
    """The provider's fields as JSON with their own digits: the table's own numbers would turn 100.00 into 100."""
    return exact_json.write(_saying(fields, own))


def digest_of(text: str) -> str:
    """By it a webhook is compared with what is shown: of what the provider says, one in 2^64 would be mistaken."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _saying(fields: Fields, own: Fields) -> dict[str, object]:
    # What is not known is left out, and so is what is the order's own; if that is not known, it is null.
    return {name: fields[name] for name in PROVIDER_FIELDS if fields[name] != own.get(name)}


def _complete(stored: Any, own: Fields) -> Fields:
    """The sixteen fields; unknown ones are None."""
    # Another form is not read as "nothing known": the next write would lose what the provider said.
    if not isinstance(stored, dict):
        raise ValueError("provider")
    return {name: stored.get(name, own.get(name)) for name in PROVIDER_FIELDS}
