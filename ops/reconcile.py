"""The records of a period, and the orders of finance's own file, against the provider's own list: both ways. Promises
that a difference is checked twice before it is reported, that an order about which the provider said nothing is never
counted as equal, and that a run that was killed goes on where it was. Reads only."""

import csv
import hashlib
import json
import re
import sys
import time
from argparse import Namespace
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from answers import void_record
from ops import compare, days, export, items, places, systems
from ops.compare import DECIDED, Difference, Document, Theirs, differences
from ops.files import output, progress
from ops.places import OpsError, Place
from ops.screen import Screen, shown
from payments.exact_json import Number
from payments.messages import OrderView

COLUMNS = ("order_id", "kind", "difference", "state", "reason", "settled_at", "reviews", "pos_id")
TRIES = 3

Row = dict[str, object]


def reconcile(place: Place, chosen: Namespace, screen: Screen) -> int:
    """Every record of the period, and every order of the file, against the provider's list; 3 if some differ."""
    wanted = days.period(chosen.first, chosen.last)
    file = Path(chosen.orders).read_bytes() if chosen.orders else b""
    question = [place.stack, place.region, place.api_url, chosen.first, chosen.last, hashlib.sha256(file).hexdigest()]
    journal, table = Journal(places.CACHE, repr(question)), items.table(place)
    if journal.done:
        print(f"goes on: {len(journal.done)} orders were looked at before", file=sys.stderr)
    run = Run(ours(place), compare.theirs(place), journal, pace(chosen.rate))
    named = orders(chosen.orders) if chosen.orders else ()
    rows, looked = list[Row](), 0
    with output(chosen.out) as out:
        with progress("orders looked at", None, chosen.out) as passed:
            for looked, found in enumerate(run.over(table.records(wanted, lambda _: None), named), 1):
                rows.extend(found)
                passed(1)
        export.write(out, COLUMNS, rows, screen.as_json)
    kinds = Counter(str(row["kind"]) for row in rows)
    if "not-answered" not in kinds:
        journal.close()
    counts = ", ".join(f"{kind} {count}" for kind, count in sorted(kinds.items()))
    print(f"{looked} orders looked at: {counts or 'no differences'}", file=sys.stderr)
    return 3 if differ(rows) else 0


Ours = Callable[[str, str | None], Document | None]
"""Our record of an order, by its project if that is known; None: there is none."""


def ours(place: Place) -> Ours:
    storage = systems.storage(place)

    def record(order_id: str, pos_id: str | None) -> Document | None:
        deadline = systems.deadline()
        order = storage.store.load(pos_id or storage.secret.current(deadline).project, order_id, deadline)
        return void_record(order, systems.now()) if order and order.void else None

    return record


class Journal:
    """What a run has found so far, so that the next one with the same question goes on; gone when it is complete."""

    def __init__(self, folder: Path, question: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / f"reconcile-{hashlib.sha256(question.encode()).hexdigest()[:16]}.jsonl"
        if self.path.exists() and time.time() - self.path.stat().st_mtime > 86_400:
            self.close()  # what was equal yesterday is queried again
        self.done: dict[str, list[Row]] = {}
        for line in self.path.read_text("utf-8").splitlines() if self.path.exists() else ():
            with suppress(ValueError):  # the kill came in the middle of it
                self.done |= [json.loads(line)]

    def add(self, name: str, rows: list[Row]) -> None:
        self.done[name] = rows
        with self.path.open("a", encoding="utf-8") as out:
            out.write(json.dumps([name, rows]) + "\n")

    def close(self) -> None:
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
    order, amount, currency = (export.unwrapped(line.get(name) or "") for name in ("order_id", "amount", "currency"))
    number = re.sub(r"\s", "", amount).replace(",", ".")
    if number and not re.fullmatch(r"-?[0-9]{1,30}(\.[0-9]{1,20})?", number):
        raise OpsError(f"the amount of order {order} is no number: {amount}")
    return {"order_id": order, "amount": Number(number) if number else None, "currency": currency.strip() or None}


def pace(rate: float) -> Callable[[], None]:
    """Waits so that it ends at most so many times a second."""
    due = time.monotonic()

    def wait() -> None:
        nonlocal due
        time.sleep(max(0, due - time.monotonic()))
        due = max(due, time.monotonic()) + 1 / rate

    return wait


class Run(NamedTuple):
    """One reconciliation: what it reads, what it has found before, and how fast it may ask."""

    ours: Ours
    theirs: Theirs
    journal: Journal
    wait: Callable[[], None]

    def over(self, records: Iterable[Document], named: Iterable[Document]) -> Iterator[list[Row]]:
        """What each order has shown, one after the other; what an earlier run has found comes without a question."""
        lines, seen = {line["order_id"]: line for line in named}, set[str]()
        for record in records:
            seen.add(record["order_id"])
            yield self._look(record["order_id"], record, lines.get(record["order_id"]))
        for order_id in (name for name in lines if name not in seen):
            yield self._look(order_id, self.ours(order_id, None), lines[order_id])

    def _look(self, order_id: str, record: Document | None, line: Document | None) -> list[Row]:
        pos_id = record["pos_id"] if record else None
        name = f"{pos_id}#{order_id}"
        if name in self.journal.done:
            return self.journal.done[name]
        found = self._found(order_id, record, line)
        if found and found[0].kind not in ("in-review", "not-answered"):
            # The record was read before the provider was asked: what was settled in between is no difference.
            record = self.ours(order_id, pos_id)
            found = self._found(order_id, record, line)
        rows = [_row(order_id, record, one) for one in found]
        if all(one.kind != "not-answered" for one in found):  # the next run asks again
            self.journal.add(name, rows)
        return rows

    def _found(self, order_id: str, record: Document | None, line: Document | None) -> list[Difference]:
        for attempt in range(1, TRIES + 1):
            self.wait()
            try:
                view = self.theirs(order_id, record["pos_id"] if record else None)
                break
            except OpsError as error:
                if attempt == TRIES:
                    return [Difference("not-answered", str(error))]
        found = differences(record, view) + list(_of_file(line, record, view))
        return found + ([Difference("in-review", ", ".join(unread(record)))] if record and record["review"] else [])


def _of_file(line: Document | None, record: Document | None, view: OrderView) -> Iterator[Difference]:
    if line is None:
        return
    if record is None and view.not_found:
        yield Difference("unknown-here", "neither we nor the provider know this order")
    for name in ("amount", "currency"):
        theirs = [one.fields[name] for one in view.operations if one.succeeded and one.fields[name] is not None]
        if line[name] is not None and theirs and line[name] not in theirs:
            yield Difference(name, f"{name}: the file {shown(line[name])}, the provider {shown(theirs[-1])}")


def differ(rows: list[Row]) -> bool:
    """Is there one that no decision explains?"""
    return any(row["kind"] != DECIDED for row in rows)


def unread(record: Document) -> list[str]:
    """The reasons for which an operator must look."""
    return [one["reason"] for one in record["reviews"] if one["read_at"] is None]


def _row(order_id: str, record: Document | None, found: Difference) -> Row:
    ours = {name: record[name] if record else None for name in ("state", "reason", "settled_at", "pos_id")}
    reviews = " ".join(unread(record)) if record else None
    return {"order_id": order_id, "kind": found.kind, "difference": found.says, **ours, "reviews": reviews}
