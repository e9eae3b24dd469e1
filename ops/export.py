"""Void records of a period for finance, streamed from the table: each record in exactly one month. Promises exact
amounts, and cells that no spreadsheet takes for a formula."""

import csv
import re
import sys
import unicodedata
from argparse import Namespace
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TextIO

from ops import days, items
from ops.files import output, progress
from ops.places import OpsError, Place
from ops.screen import Screen, clean, json_text
from payments import exact_json
from payments.exact_json import Number

_OWN = (
    "order_id", "state", "reason", "review", "corrected", "attempt", "requested_at", "requested_by", "settled_at",
    "order_currency", "comment", "provider_code", "provider_message",
)  # fmt: skip
_FIELDS = (
    "operation_id", "payment_id", "transaction_id", "pos_id", "method", "amount", "currency", "status", "status_code",
    "status_description", "created_at", "processing_time", "comment", "fee_amount", "fee_currency",
)  # fmt: skip
COLUMNS = (*_OWN, *(f"provider_{name}" for name in _FIELDS), "pos_id")
_PARTS = re.compile(r"(?<=[;\t\r\n])")
_SIGN_NAMES = re.compile(r"PLUS SIGN|MINUS|EQUALS SIGN|HYPHEN|COMMERCIAL AT")
_BOOLEANS = frozenset({"true", "false", "істина", "хибність"})


def export(place: Place, chosen: Namespace, screen: Screen) -> None:
    wanted, table = days.period(chosen.first, chosen.last), items.table(place)
    if chosen.excel and not chosen.out:
        raise OpsError("--excel is for a file: give --out")
    with output(chosen.out, chosen.excel) as out, progress("items read", table.size(), chosen.out) as passed:
        rows = map(row, table.records(wanted, passed))
        count = write(out, COLUMNS, rows, screen.as_json, chosen.excel)
    print(f"{count} records", file=sys.stderr)


def row(void: Mapping[str, Any]) -> Mapping[str, object]:
    provider = void["provider"] or {}
    fee = provider.get("fee")
    parts = {f"fee_{name}": value for name, value in (fee if isinstance(fee, Mapping) else {"amount": fee}).items()}
    said = {f"provider_{name}": (provider | parts).get(name) for name in _FIELDS}
    return {name: void[name] for name in _OWN} | said | {"pos_id": void["pos_id"]}


def write(
    out: TextIO, columns: Sequence[str], rows: Iterable[Mapping[str, object]], as_json: bool, excel: bool = False
) -> int:
    """Write the rows as they come; how many. On a terminal line breaks inside a cell go, too."""
    table, count = csv.DictWriter(out, columns), 0
    if not as_json:
        table.writeheader()
    for count, row in enumerate(rows, 1):
        if as_json:
            out.write(json_text(dict(row)) + "\n")
        else:
            cells = {name: spreadsheet(row[name]) if excel else cell(row[name], out.isatty()) for name in columns}
            table.writerow(cells)
    return count


def spreadsheet(value: object) -> str:
    """A cell whose text stays text: a spreadsheet would make numbers and days of `00123`, `1E5` and `3-4`. It is the
    one form that Excel and LibreOffice both show as the text alone: a formula that is nothing but that text."""
    text = cell(value)
    guessed = isinstance(value, str) and (any(map(str.isnumeric, text)) or text.casefold() in _BOOLEANS)
    if not guessed or text.startswith("'") or set(text) & set("\t\r\n"):
        return text
    # Excel takes 255 characters of text in a formula, and each quote twice.
    return f'="{text.replace('"', '""')}"' if len(text) <= 120 else f"'{text}"


def unwrapped(text: str) -> str:
    """The text of a cell that is protected against spreadsheets, as `spreadsheet` makes it."""
    if text.startswith('="') and text.endswith('"'):
        return text[2:-1].replace('""', '"')
    return text.removeprefix("'")


def cell(value: object, to_terminal: bool = False) -> str:
    """A value as a CSV cell: exact numbers; text that a spreadsheet would calculate gets an apostrophe."""
    match value:
        case None:
            return ""
        case bool() | int():
            return str(value).lower()
        case Number() if value.value is not None:
            return f"{value.value:f}"
    # Cleaned first: a formula must not hide behind a character that is then removed.
    text = inert(clean(value if isinstance(value, str) else exact_json.write(value), keep="\t\r\n"))
    return clean(text) if to_terminal else text


def inert(text: str) -> str:
    """The text with an apostrophe wherever a cell could begin with a formula. Also behind a semicolon, a tab and a line
    break. Where one of these parts the cells, as the semicolon does in Excel in many countries, the quotes around a
    cell do not hold it together."""
    first, *rest = _PARTS.split(text)
    begins = text.startswith(("\t", "\r", "\n")) or is_formula(text)
    return ("'" if begins else "") + first + "".join(f"'{part}" if is_formula(part) else part for part in rest)


def is_formula(text: str) -> bool:
    """Does it begin, behind what cannot be seen, with a sign by which spreadsheets know a formula, or one like it?"""
    sign = next((character for character in text if not _is_invisible(character)), " ")
    alike = unicodedata.normalize("NFKC", sign)[0] in "=+-@"
    return alike or _SIGN_NAMES.search(unicodedata.name(sign, "")) is not None


def _is_invisible(character: str) -> bool:
    # Blanks, control and format characters, marks that stand on nothing, and the letters that are drawn as blanks.
    blank = "FILLER" in unicodedata.name(character, "") or character in "\u2800\ufffd"
    return blank or unicodedata.category(character)[0] in "CZM"
