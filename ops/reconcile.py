"""The records of a period, and the orders of finance's own file, against the provider's own list: both ways.

Promises that a difference is looked at twice before it is told, that an order about which the provider said nothing is
never counted as equal, and that a run that was killed goes on where it was. Reads only.
"""

import csv
import hashlib
import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from ops import export
from ops.compare import DECIDED, Difference, differences
from ops.places import OpsError
from ops.screen import json_text
from payments import exact_json
from payments.exact_json import Number
from payments.messages import OrderView

COLUMNS = ("order_id", "kind", "difference", "state", "reason", "settled_at", "reviews", "pos_id")
TRIES = 3
KEPT_SECONDS = 86_400
"""What was equal yesterday is asked about again."""

Document = Mapping[str, Any]
Row = dict[str, object]


class Sides(NamedTuple):
    """Where both sides are read: our record of an order (None: there is none) and the provider's list of it."""

    record: Callable[[str, str | None], Document | None]
    view: Callable[[str, str | None], OrderView]
    """Raises OpsError if the provider gave no answer that may be trusted."""


class Journal:
    """What a run has found so far, so that the next one with the same question goes on; gone when it is complete."""

    def __init__(self, folder: Path, question: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / f"reconcile-{hashlib.sha256(question.encode()).hexdigest()[:16]}.jsonl"
        if self.path.exists() and time.time() - self.path.stat().st_mtime > KEPT_SECONDS:
            self.close()
        self.done = dict(self._read())

    def _read(self) -> Iterator[tuple[str, list[Row]]]:
        for line in self.path.read_text("utf-8").splitlines() if self.path.exists() else ():
            try:
                name, rows = json.loads(line)
            except ValueError:
                continue  # the kill came in the middle of it
            yield name, rows

    def add(self, name: str, rows: list[Row]) -> None:
        """Keep what one order has shown."""
        self.done[name] = rows
        with self.path.open("a", encoding="utf-8") as out:
            out.write(json.dumps([name, rows]) + "\n")

    def close(self) -> None:
        """The run is complete."""
        self.path.unlink(missing_ok=True)


def orders(path: str) -> Iterator[Document]:
    """`order_id` and, if there, `amount` and `currency` of each line of finance's file. Raises OpsError."""
    try:
        with Path(path).open(encoding="utf-8-sig", newline="") as file:
            first = file.readline()
            file.seek(0)
            reader = csv.DictReader(file, delimiter=max(",;\t", key=first.count))
            if "order_id" not in (reader.fieldnames or ()):
                raise OpsError(f"{path} needs a first line that names its columns, one of them order_id")
            yield from (line for line in map(_line, reader) if line["order_id"])
    except UnicodeDecodeError:
        raise OpsError(f"{path} is not UTF-8") from None


def _line(line: Mapping[str, str | None]) -> Document:
    values = {name: _unwrapped(line.get(name) or "") for name in ("order_id", "amount", "currency")}
    number = re.sub(r"\s", "", values["amount"]).replace(",", ".")
    if number and not re.fullmatch(r"-?[0-9]{1,30}(\.[0-9]{1,20})?", number):
        raise OpsError(f"the amount of order {values['order_id']} is no number: {values['amount']}")
    return {**values, "amount": Number(number) if number else None, "currency": values["currency"].strip() or None}


def _unwrapped(text: str) -> str:
    """The text that `export` has protected against spreadsheets."""
    if text.startswith('="') and text.endswith('"'):
        return text[2:-1].replace('""', '"')
    return text.removeprefix("'")


def run(
    records: Iterator[Document], named: Iterator[Document], sides: Sides, journal: Journal, pace: "Pace"
) -> Iterator[list[Row]]:
    """What each order has shown, one after the other; what an earlier run has looked at comes without a question."""
    asked = {line["order_id"]: line for line in named}
    seen = set[str]()
    for record in records:
        seen.add(record["order_id"])
        yield _look(record["order_id"], record, asked.get(record["order_id"]), sides, journal, pace)
    for order_id, line in asked.items():
        if order_id not in seen:
            yield _look(order_id, sides.record(order_id, None), line, sides, journal, pace)


def _look(
    order_id: str, record: Document | None, line: Document | None, sides: Sides, journal: Journal, pace: "Pace"
) -> list[Row]:
    pos_id = record["pos_id"] if record else None
    name = f"{pos_id}#{order_id}"
    if name in journal.done:
        return journal.done[name]
    found = _found(order_id, record, line, sides, pace)
    if found and found[0].kind not in ("in-review", "not-answered"):
        # The record was read before the provider was asked: what was settled in between is no difference.
        record = sides.record(order_id, pos_id)
        found = _found(order_id, record, line, sides, pace)
    rows = [_row(order_id, record, one) for one in found]
    if all(one.kind != "not-answered" for one in found):  # the next run asks again
        journal.add(name, rows)
    return rows


def _found(
    order_id: str, record: Document | None, line: Document | None, sides: Sides, pace: "Pace"
) -> list[Difference]:
    pos_id = record["pos_id"] if record else None
    for attempt in range(1, TRIES + 1):
        pace.wait()
        try:
            view = sides.view(order_id, pos_id)
            break
        except OpsError as error:
            if attempt == TRIES:
                return [Difference("not-answered", str(error))]
    found = differences(record, view) + list(_of_file(line, record, view))
    if record and record["review"]:
        found.append(Difference("in-review", ", ".join(unread(record))))
    return found


def _of_file(line: Document | None, record: Document | None, view: OrderView) -> Iterator[Difference]:
    if line is None:
        return
    if record is None and view.not_found:
        yield Difference("unknown-here", "neither we nor the provider know this order")
    listed = [one.fields for one in view.operations if one.succeeded]
    for name in ("amount", "currency"):
        theirs = [fields[name] for fields in listed if fields[name] is not None]
        if line[name] is not None and theirs and line[name] not in theirs:
            yield Difference(name, f"{name}: the file {_text(line[name])}, the provider {_text(theirs[-1])}")


def unread(record: Document) -> list[str]:
    """The reasons for which an operator must look."""
    return [one["reason"] for one in record["reviews"] if one["read_at"] is None]


def _text(value: object) -> str:
    return value if isinstance(value, str) else exact_json.write(value)


def _row(order_id: str, record: Document | None, found: Difference) -> Row:
    shown = {name: record[name] if record else None for name in ("state", "reason", "settled_at", "pos_id")}
    reviews = " ".join(unread(record)) if record else None
    return {"order_id": order_id, "kind": found.kind, "difference": found.says, **shown, "reviews": reviews}


def write(out: TextIO, rows: list[Row], as_json: bool) -> None:
    """All differences, as CSV or as one JSON object a line."""
    if as_json:
        out.writelines(json_text(row) + "\n" for row in rows)
        return
    writer = csv.DictWriter(out, COLUMNS)
    writer.writeheader()
    writer.writerows({name: export.cell(row[name], out.isatty()) for name in COLUMNS} for row in rows)


def differ(rows: list[Row]) -> bool:
    """Is there one that no decision explains?"""
    return any(row["kind"] != DECIDED for row in rows)


class Pace:
    """At most so many questions a second."""

    def __init__(
        self, rate: float, clock: Callable[[], float] = time.monotonic, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._pause, self._clock, self._sleep, self._next = 1 / rate, clock, sleep, clock()

    def wait(self) -> None:
        """Until the next question may be asked."""
        now = self._clock()
        if self._next > now:
            self._sleep(self._next - now)
        self._next = max(self._next, now) + self._pause
