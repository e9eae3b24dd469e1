"""What operators see: other people's text made harmless, tables for people, JSON for scripts. Promises that no text
from outside reaches the terminal with control characters, or is read as markup: what could move the cursor, change a
colour or turn the direction of writing is shown as U+FFFD. Never prints a credential."""

import re
import sys
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from payments import exact_json

LONGEST_LINE = 500
_STYLES = {"voided": "green", "failed": "red", "pending": "cyan", "unknown": "yellow", "submitting": "yellow"}
# Control, format (bidi, zero width, tags), surrogate, line and paragraph separator.
_UNSAFE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


def _is_obeyed(character: str) -> bool:
    return unicodedata.category(character) in _UNSAFE


def clean(text: str, keep: str = "") -> str:
    """The text without anything that a terminal obeys; `keep` names control characters that may stay."""
    return "".join("\ufffd" if _is_obeyed(one) and one not in keep else one for one in text)


def one_line(text: str) -> str:
    """A message of any origin as one short, harmless line."""
    line = clean(re.sub(r"\s+", " ", text).strip())
    return line if len(line) <= LONGEST_LINE else line[: LONGEST_LINE - 1] + "…"


def shown(value: object) -> str:
    """A value as operators read it; amounts keep their digits."""
    if value is None or isinstance(value, bool):
        return {None: "–", True: "yes", False: "no"}[value]
    if isinstance(value, list):
        return ", ".join(map(shown, value))
    return clean(value if isinstance(value, str) else exact_json.write(value))


def json_text(document: object) -> str:
    """Compact JSON, exact numbers, and nothing but printable characters: the others are escaped, so nothing is lost."""
    return "".join(_escaped(one) if _is_obeyed(one) else one for one in exact_json.write(document))


def _escaped(character: str) -> str:
    return re.sub("(....)", r"\\u\1", character.encode("utf-16-be", "surrogatepass").hex())


class Screen:
    """Where a command's result goes: people get tables, scripts (`as_json`) one JSON document a line."""

    def __init__(self, as_json: bool = False, out: TextIO | None = None) -> None:
        self.as_json = as_json
        self._out = out or sys.stdout
        self._console = _console(self._out)

    def document(self, value: object) -> None:
        self.documents([value])

    def documents(self, values: Iterable[object]) -> None:
        self._out.writelines(json_text(value) + "\n" for value in values)

    def heading(self, text: str, above: bool = False) -> None:
        """A line that names what follows; `above` sets it apart from what is above it."""
        if above:
            self._console.print()
        self._console.print(Text(clean(text), style="bold"))

    def line(self, text: str) -> None:
        self._console.print(Text(clean(text)))

    def fields(self, pairs: Mapping[str, object]) -> None:
        """Names and values, one under the other."""
        table = Table(box=None, show_header=False, pad_edge=False)
        table.add_column(style="dim")
        table.add_column(overflow="fold")
        for name, value in pairs.items():
            table.add_row(Text(clean(name)), _cell(value))
        self._console.print(table)

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Rows under headings; states have their colour."""
        table = Table(box=None, pad_edge=False, header_style="bold")
        for name in columns:
            table.add_column(Text(clean(name.replace("_", " "))), overflow="fold")
        for row in rows:
            table.add_row(*map(_cell, row))
        self._console.print(table)

    def records(self, columns: Sequence[str], records: Iterable[Mapping[str, object]]) -> None:
        self.table(columns, ([record[name] for name in columns] for record in records))

    def listed(self, columns: Sequence[str], records: Iterable[Mapping[str, object]], what: str) -> None:
        """A table, if there is a record, and how many of `what` there are; scripts get the records alone."""
        if self.as_json:
            return self.documents(records)
        found = list(records)
        if found:
            self.records(columns, found)
        return self.line(f"{len(found)} {what}")


def progress_console() -> Console:
    """Standard error: a result that is piped stays clean."""
    return _console(sys.stderr)


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Whoever reads, `head` perhaps, has enough: see ops/errors.py. Rich itself would end the command with 1."""
        raise BrokenPipeError


def _console(out: TextIO) -> Console:
    # No markup, no emoji codes, no highlighting: "[red]" in somebody's comment is text.
    # Without a terminal there is no width to keep to: lines are for grep then.
    return _Console(file=out, markup=False, emoji=False, highlight=False, width=None if out.isatty() else 220)


def _cell(value: object) -> Text:
    text = shown(value)
    return Text(text, style=_STYLES.get(text, ""))
