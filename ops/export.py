"""Operation records of a period as CSV for finance, streamed from the table.

Promises exact amounts and cells that no spreadsheet takes for a formula. Reads by a paginated scan with the operator's
own rights: the functions have none, because a request must never cost a scan, and a period has no index on purpose.
"""

import csv
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, TextIO

from ops.places import OpsError
from ops.screen import clean, json_text
from payments.operations import Void
from payments.store import VOID, read_void, timestamp

COLUMNS = (
    "order_id", "state", "reason", "review", "corrected", "attempt", "requested_at", "requested_by", "settled_at",
    "order_currency", "comment", "provider_operation_id", "provider_payment_id", "provider_transaction_id",
    "provider_pos_id", "provider_method", "provider_amount", "provider_currency", "provider_status",
    "provider_status_code", "provider_status_description", "provider_created_at", "provider_processing_time",
    "provider_comment", "provider_fee_amount", "provider_fee_currency",
)  # fmt: skip
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
_FIELDS = (
    "operation_id", "payment_id", "transaction_id", "pos_id", "method", "amount", "currency", "status", "status_code",
    "status_description", "created_at", "processing_time", "comment",
)  # fmt: skip

Row = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Period:
    """Whole days in UTC, both ends included. A void belongs to the day on which it was settled, or else requested."""

    first: date
    last: date

    @property
    def begin(self) -> str:
        return timestamp(_milliseconds(self.first))

    @property
    def end(self) -> str:
        """The first moment after the period."""
        return timestamp(_milliseconds(self.last + timedelta(days=1)))


def _milliseconds(day: date) -> int:
    return round(datetime.combine(day, time(), UTC).timestamp()) * 1000


def day(text: str) -> date:
    """`2026-11-24`. Raises OpsError."""
    try:
        found = date.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.isoformat() != text or not 2000 <= found.year <= 9000:
        raise OpsError("a date is written as 2026-11-24")
    return found


def period(first: str, last: str) -> Period:
    """Raises OpsError if it ends before it begins."""
    found = Period(day(first), day(last))
    if found.last < found.first:
        raise OpsError("the period ends before it begins")
    return found


def items_in_table(client: Any, table: str) -> int:
    """About how many items a scan will pass; AWS counts every six hours. 0: not known."""
    return int(client.describe_table(TableName=table)["Table"].get("ItemCount", 0))


def records(client: Any, table: str, wanted: Period, passed: Callable[[int], None]) -> Iterator[Void]:
    """The void records of a period, in no order; `passed` is told how many items each page looked at."""
    pages = client.get_paginator("scan").paginate(
        TableName=table,
        ConsistentRead=True,
        FilterExpression=(
            "sk = :void AND ((settled_at >= :begin AND settled_at < :end) OR "
            "(NOT attribute_type(settled_at, :text) AND requested_at >= :begin AND requested_at < :end))"
        ),
        ExpressionAttributeValues={
            ":void": {"S": VOID}, ":begin": {"S": wanted.begin}, ":end": {"S": wanted.end}, ":text": {"S": "S"},
        },
    )  # fmt: skip
    for page in pages:
        yield from (read_void(item) for item in page["Items"])
        passed(int(page.get("ScannedCount", 0)))


def row(void: Void) -> Row:
    """One record, flat."""
    provider = void.provider or {}
    fee = provider.get("fee")
    amount, currency = (fee.get("amount"), fee.get("currency")) if isinstance(fee, Mapping) else (fee, None)
    return {
        "order_id": void.order_id,
        "state": void.state.value,
        "reason": void.reason.value if void.reason else None,
        "review": void.review,
        "corrected": void.corrected,
        "attempt": void.attempt,
        "requested_at": timestamp(void.requested_at) if void.requested_at is not None else None,
        "requested_by": void.requested_by,
        "settled_at": timestamp(void.settled_at) if void.settled_at is not None else None,
        "order_currency": void.order_currency,
        "comment": void.comment,
        **{f"provider_{name}": provider.get(name) for name in _FIELDS},
        "provider_fee_amount": amount,
        "provider_fee_currency": currency,
    }


def write_csv(out: TextIO, rows: Iterator[Row], to_terminal: bool) -> int:
    """Write the rows as they come; how many. On a terminal line breaks inside a cell go, too."""
    writer = csv.DictWriter(out, COLUMNS)
    writer.writeheader()
    count = 0
    for one in rows:
        writer.writerow({name: cell(value, to_terminal) for name, value in one.items()})
        count += 1
    return count


def write_json_lines(out: TextIO, rows: Iterator[Row]) -> int:
    """The same for scripts: one JSON object a line, unchanged text."""
    count = 0
    for one in rows:
        out.write(json_text(dict(one)) + "\n")
        count += 1
    return count


def cell(value: object, to_terminal: bool = False) -> str:
    """A value as a CSV cell: exact numbers; text that a spreadsheet would calculate begins with an apostrophe."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | Decimal):
        return f"{value:f}" if isinstance(value, Decimal) else str(value)
    # Cleaned first: a formula must not hide behind a character that is then removed.
    text = _without_controls(str(value))
    text = f"'{text}" if text.startswith(_FORMULA) else text
    return clean(text) if to_terminal else text


def _without_controls(text: str) -> str:
    return clean(text, keep="\t\r\n")


@contextmanager
def whole_file(path: str, excel: bool) -> Iterator[TextIO]:
    """A file that gets its name when it is complete: half an export must not be taken for a whole one."""
    part = Path(f"{path}.part")
    try:
        # Excel takes UTF-8 for something else unless it begins with a mark.
        with part.open("w", encoding="utf-8-sig" if excel else "utf-8", newline="") as out:
            yield out
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
