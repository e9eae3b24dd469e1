"""The operations of an order: one for all messages that share a name, each joined so that no order of arrival matters.

Promises that what is under way is never forgotten, and that nothing is mixed: fields are filled and, where two
statements about one operation disagree, that is a fact of its own. Pure.
"""

from typing import NamedTuple

from payments.facts import Evidence, Facts, Shown, Status
from payments.messages import Fields, Operation

MOST_OPERATIONS = 200
MOST_DESCRIBED = 50
MOST_TEXT = 50_000
"""Of so many operations the provider's fields are kept, in so many bytes: the record must fit into its item."""
COMPARED = ("operation_id", "transaction_id", "payment_id", "amount", "currency")
NAMELESS = frozenset({""})


class Showing(NamedTuple):
    """Who showed something, and when."""

    by: Evidence
    at: int
    since: int
    """The number of the newest attempt then."""
    own: int = 0
    """The attempt whose answer this is."""
    late: bool = False
    """By a list that began after the newest attempt's window."""


def joined(facts: Facts, operation: Operation, showing: Showing, rows: int = 1) -> Facts:
    """The facts with what one message says of one operation."""
    names, status = operation.ids or NAMELESS, status_of(operation)
    own, failed_at = showing.own, 0
    if names is NAMELESS:
        if status is Status.FAILED and showing.by is not Evidence.WEBHOOK:
            return facts  # nobody knows which one
        own = 0
    if status is Status.FAILED and showing.by is Evidence.WEBHOOK:
        status, failed_at = Status.SAID_TO_HAVE_FAILED, showing.at
    one = Shown(
        names, status, showing.since, operation.method.lower(), showing.at, showing.at, own,
        frozenset({showing.by}), failed_at, showing.at if showing.late and not operation.documented else 0, rows,
        fields=operation.fields,
    )  # fmt: skip
    others = []
    for each in facts.operations:
        if each.method != one.method or each.names.isdisjoint(names):
            others.append(each)
        else:
            one = _together(each, one)
    operations = _bounded(sorted([*others, one], key=_place)) if others else (one,)
    return facts._replace(operations=operations, known_since=min(facts.known_since or showing.at, showing.at))


def _place(shown: Shown) -> tuple[str, str]:
    return shown.method, min(shown.names)


def _together(a: Shown, b: Shown) -> Shown:
    fields, contradicted = _fields(a, b)
    return Shown(
        a.names | b.names, max(a.status, b.status), min(a.since, b.since), a.method, min(a.first, b.first),
        max(a.at, b.at), max(a.own, b.own), a.by | b.by,
        max(a.failed_at, b.failed_at), max(a.undocumented_at, b.undocumented_at),
        max(a.rows, b.rows), max(a.ruled_out, b.ruled_out), a.contradicted or b.contradicted or contradicted, fields,
    )  # fmt: skip


def _fields(a: Shown, b: Shown) -> tuple[Fields | None, bool]:
    """The fields of the later status; of two values beside one status, or of what identifies it, the greater.

    That is arbitrary, but the same in whatever order they came; and where it matters, an operator is notified.
    """
    if a.fields is None or b.fields is None:
        return a.fields or b.fields, False
    late, early = (a.fields, b.fields) if a.status >= b.status else (b.fields, a.fields)
    fields, same, contradicted = dict(late), a.status == b.status, False
    for name, value in late.items():
        other = early[name]
        if other is None or not (same or name in COMPARED):
            continue
        fields[name] = other if value is None else max(value, other, key=str)
        contradicted = contradicted or (name in COMPARED and value is not None and value != other)
    return fields, contradicted and "" not in a.names


def _bounded(operations: list[Shown]) -> tuple[Shown, ...]:
    """What has failed is forgotten first, then further successes; never what is under way."""
    if len(operations) > MOST_OPERATIONS:
        finished = [each for each in operations if each.status is not Status.UNDER_WAY]
        finished.sort(key=lambda each: (each.status, each.own, each.since, _place(each)))
        gone = finished[: len(operations) - MOST_OPERATIONS]
        operations = [each for each in operations if each not in gone]
    important = sorted(range(len(operations)), key=lambda at: _importance(operations[at]), reverse=True)
    described: set[int] = set()
    left = MOST_TEXT
    for at in important[:MOST_DESCRIBED]:
        left -= _size(operations[at].fields or {})
        if left < 0 and described:
            break
        described.add(at)
    return tuple(each if at in described else each._replace(fields=None) for at, each in enumerate(operations))


def _importance(shown: Shown) -> tuple[bool, int, int, tuple[str, str]]:
    return shown.status is Status.SUCCESS, shown.own, shown.since, _place(shown)


def _size(fields: Fields) -> int:
    return sum(len(value.encode()) for value in fields.values() if isinstance(value, str))


def currency_of(fields: Fields | None) -> str | None:
    """The currency if it looks like one; whatever else stands there remains among the provider's fields."""
    value = fields["currency"] if fields is not None else None
    is_currency = isinstance(value, str) and len(value) == 3 and value.isascii() and value.isalpha() and value.isupper()
    return str(value) if is_currency else None


def names_of(fields: Fields) -> frozenset[str]:
    """What identifies the operation of these fields."""
    return frozenset(str(fields[name]) for name in ("operation_id", "transaction_id") if fields.get(name))


def status_of(operation: Operation) -> Status:
    """What is neither success nor failure is under way, also with a status that we do not know."""
    return Status.SUCCESS if operation.succeeded else Status.FAILED if operation.failed else Status.UNDER_WAY
