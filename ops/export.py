"""Void records of a period as CSV for finance, streamed from the table.

Promises exact amounts, cells that no spreadsheet takes for a formula, and each record in exactly one month. Reads by a
paginated scan with the operator's own rights: the functions have none, because a request must never cost a scan, and
what is open has no index by day.
"""

import csv
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, TextIO

from ops import items
from ops.places import OpsError
from ops.screen import clean, json_text
from payments import exact_json
from payments.exact_json import Number

_PARTS = re.compile(r"(?<=[;\t\r\n])")
_SIGN_NAMES = re.compile(r"PLUS SIGN|MINUS|EQUALS SIGN|HYPHEN|COMMERCIAL AT")
_OWN = (
    "order_id", "state", "reason", "review", "corrected", "attempt", "requested_at", "requested_by", "settled_at",
    "order_currency", "comment", "provider_code", "provider_message",
)  # fmt: skip
_FIELDS = (
    "operation_id", "payment_id", "transaction_id", "pos_id", "method", "amount", "currency", "status", "status_code",
    "status_description", "created_at", "processing_time", "comment",
)  # fmt: skip
COLUMNS = (
    *_OWN, *(f"provider_{name}" for name in _FIELDS), "provider_fee_amount", "provider_fee_currency", "pos_id",
)  # fmt: skip

LONGEST_LITERAL = 120
"""Excel takes 255 characters of text in a formula, and each quote twice."""
_BOOLEANS = frozenset({"true", "false", "істина", "хибність"})

Row = Mapping[str, object]
Document = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Period:
    """Whole days in UTC, both ends included. A void belongs to one of them: see `dated`."""

    first: date
    last: date

    @property
    def begin(self) -> str:
        return _midnight(self.first)

    @property
    def end(self) -> str:
        """The first moment after the period."""
        return _midnight(self.last + timedelta(days=1))

    def holds(self, void: Document) -> bool:
        """Is it a void of these days?"""
        return self.begin <= dated(void) < self.end


def dated(void: Document) -> str:
    """When it was settled, or else requested; what the portal alone has announced: when we first heard of it."""
    at: str = void["settled_at"] or void["requested_at"] or void["history"][0]["at"]
    return at


def _midnight(day: date) -> str:
    """As the API writes times, so that they are compared as text."""
    return f"{day.isoformat()}T00:00:00.000Z"


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


def month(text: str) -> Period:
    """The days of `2026-11`. Raises OpsError."""
    if not re.fullmatch(r"\d{4}-\d{2}", text):
        raise OpsError("a month is written as 2026-11")
    first = day(f"{text}-01")
    return Period(first, (first + timedelta(days=31)).replace(day=1) - timedelta(days=1))


def items_in_table(client: Any, table: str) -> int:
    """About how many items a scan will pass; AWS counts every six hours. 0: not known."""
    return int(client.describe_table(TableName=table)["Table"].get("ItemCount", 0))


def records(client: Any, table: str, wanted: Period, passed: Callable[[int], None]) -> Iterator[Document]:
    """The void records of a period, in no order; `passed` is told how many items each page looked at."""
    pages = client.get_paginator("scan").paginate(
        TableName=table, ConsistentRead=True, **items.settled_between(wanted.begin, wanted.end)
    )
    for page in pages:
        yield from (void for void in map(items.record, page["Items"]) if wanted.holds(void))
        passed(int(page.get("ScannedCount", 0)))


def row(void: Document) -> Row:
    """One record, flat."""
    provider = void["provider"] or {}
    fee = provider.get("fee")
    amount, currency = (fee.get("amount"), fee.get("currency")) if isinstance(fee, Mapping) else (fee, None)
    return {
        **{name: void[name] for name in _OWN},
        **{f"provider_{name}": provider.get(name) for name in _FIELDS},
        "provider_fee_amount": amount,
        "provider_fee_currency": currency,
        "pos_id": void["pos_id"],
    }


def write_csv(out: TextIO, rows: Iterator[Row], to_terminal: bool = False, excel: bool = False) -> int:
    """Write the rows as they come; how many. On a terminal line breaks inside a cell go, too."""
    writer, count = csv.DictWriter(out, COLUMNS), 0
    writer.writeheader()
    for one in rows:
        writer.writerow(
            {name: spreadsheet(value) if excel else cell(value, to_terminal) for name, value in one.items()}
        )
        count += 1
    return count


def spreadsheet(value: object) -> str:
    """A cell whose text stays text: a spreadsheet would make numbers and days of `00123`, `1E5` and `3-4`.

    It is the one form that Excel and LibreOffice both show as the text alone: a formula that is nothing but that text.
    """
    text = cell(value)
    guessed = isinstance(value, str) and (any(map(str.isnumeric, text)) or text.casefold() in _BOOLEANS)
    if not guessed or text.startswith("'") or set(text) & set("\t\r\n"):
        return text
    return f'="{text.replace('"', '""')}"' if len(text) <= LONGEST_LITERAL else f"'{text}"


def write_json_lines(out: TextIO, rows: Iterator[Row]) -> int:
    """The same for scripts: one JSON object a line, unchanged text."""
    count = 0
    for one in rows:
        out.write(json_text(dict(one)) + "\n")
        count += 1
    return count


def cell(value: object, to_terminal: bool = False) -> str:
    """A value as a CSV cell: exact numbers; text that a spreadsheet would calculate gets an apostrophe."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, Number) and value.value is not None:
        return f"{value.value:f}"
    # Cleaned first: a formula must not hide behind a character that is then removed.
    text = inert(clean(value if isinstance(value, str) else exact_json.write(value), keep="\t\r\n"))
    return clean(text) if to_terminal else text


def inert(text: str) -> str:
    """The text with an apostrophe wherever a cell could begin with a formula.

    Also behind a semicolon, a tab and a line break. Where one of these parts the cells, as the semicolon does in Excel
    in many countries, the quotes around a cell do not hold it together.
    """
    first, *rest = _PARTS.split(text)
    begins = text.startswith(("\t", "\r", "\n")) or is_formula(text)
    return ("'" if begins else "") + first + "".join(f"'{part}" if is_formula(part) else part for part in rest)


def is_formula(text: str) -> bool:
    """Does it begin, behind what cannot be seen, with a sign by which spreadsheets know a formula, or one like it?"""
    sign = next((character for character in text if not _is_invisible(character)), "")
    return bool(sign) and (
        unicodedata.normalize("NFKC", sign)[0] in "=+-@" or _SIGN_NAMES.search(_name(sign)) is not None
    )


def _is_invisible(character: str) -> bool:
    # Blanks, control and format characters, marks that stand on nothing, and the letters that are drawn as blanks.
    return unicodedata.category(character)[0] in "CZM" or "FILLER" in _name(character) or character in "\u2800\ufffd"


def _name(character: str) -> str:
    return unicodedata.name(character, "")
