"""Rows as CSV, with cells that no spreadsheet takes for a formula and exact amounts; or as one JSON object a line."""

import csv
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import TextIO

from ops.screen import clean, json_text
from payments import exact_json
from payments.exact_json import Number

_PARTS = re.compile(r"(?<=[;\t\r\n])")
_SIGN_NAMES = re.compile(r"PLUS SIGN|MINUS|EQUALS SIGN|HYPHEN|COMMERCIAL AT")
LONGEST_LITERAL = 120
"""Excel takes 255 characters of text in a formula, and each quote twice."""
_BOOLEANS = frozenset({"true", "false", "істина", "хибність"})


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
    """A cell whose text stays text: a spreadsheet would make numbers and days of `00123`, `1E5` and `3-4`.

    It is the one form that Excel and LibreOffice both show as the text alone: a formula that is nothing but that text.
    """
    text = cell(value)
    guessed = isinstance(value, str) and (any(map(str.isnumeric, text)) or text.casefold() in _BOOLEANS)
    if not guessed or text.startswith("'") or set(text) & set("\t\r\n"):
        return text
    return f'="{text.replace('"', '""')}"' if len(text) <= LONGEST_LITERAL else f"'{text}"


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
    """The text with an apostrophe wherever a cell could begin with a formula.

    Also behind a semicolon, a tab and a line break. Where one of these parts the cells, as the semicolon does in Excel
    in many countries, the quotes around a cell do not hold it together.
    """
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
