"""What each command about a period does: export, reconcile, the events of settled voids, the report of a month."""

import hashlib
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from botocore.exceptions import ClientError
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from ops import api, compare, events, export, items, places, reconcile, report, systems
from ops.commands import Arguments
from ops.files import whole_file
from ops.places import OpsError, Place
from ops.screen import Screen, progress_console

DIFFERENT = 3
"""The exit code of a reconciliation that found something."""


def export_period(place: Place, chosen: Arguments, screen: Screen) -> None:
    wanted = export.period(chosen.first, chosen.last)
    if chosen.excel and not chosen.out:
        raise OpsError("--excel is for a file: give --out")
    client, table = place.client("dynamodb"), places.storage(place).table_name
    with _output(chosen.out, chosen.excel) as out, _scanning(client, table, chosen.out) as passed:
        rows = (export.row(void) for void in export.records(client, table, wanted, passed))
        if screen.as_json:
            count = export.write_json_lines(out, rows)
        else:
            count = export.write_csv(out, rows, out.isatty(), chosen.excel)
    print(f"{count} records", file=sys.stderr)


def reconcile_period(place: Place, chosen: Arguments, screen: Screen) -> int:
    """Every record of the period, and every order of the file, against the provider's list; 3 if some differ."""
    wanted = export.period(chosen.first, chosen.last)
    file = Path(chosen.orders).read_bytes() if chosen.orders else b""
    question = [place.stack, place.region, place.api_url, chosen.first, chosen.last, hashlib.sha256(file).hexdigest()]
    journal = reconcile.Journal(places.CACHE, repr(question))
    variables, client = places.configuration(place), place.client("dynamodb")
    table, secret, provider = (
        places.storage(place).table_name,
        systems.secret(place, variables),
        systems.provider(variables),
    )
    if journal.done:
        print(f"goes on: {len(journal.done)} orders were looked at before", file=sys.stderr)
    sides = reconcile.Sides(
        lambda order, pos_id: items.of_order(
            client, table, pos_id or secret.current(systems.deadline()).project, order
        ),
        lambda order, pos_id: compare.ask(secret, provider, order, pos_id),
    )
    records = export.records(client, table, wanted, lambda _: None)
    named = reconcile.orders(chosen.orders) if chosen.orders else iter(())
    rows, looked = list[reconcile.Row](), 0
    with _output(chosen.out) as out:
        with _progress("orders looked at", None, chosen.out is None and sys.stdout.isatty()) as passed:
            for found in reconcile.run(records, named, sides, journal, reconcile.Pace(chosen.rate)):
                rows.extend(found)
                looked += 1
                passed(1)
        reconcile.write(out, rows, screen.as_json)
    if all(row["kind"] != "not-answered" for row in rows):
        journal.close()
    kinds = ", ".join(f"{kind} {count}" for kind, count in sorted(Counter(str(row["kind"]) for row in rows).items()))
    print(f"{looked} orders looked at: {kinds or 'no differences'}", file=sys.stderr)
    return DIFFERENT if reconcile.differ(rows) else 0


def events_list(place: Place, chosen: Arguments, screen: Screen) -> None:
    for detail in _events(place, chosen):
        screen.document(detail)


def events_resend(place: Place, chosen: Arguments, screen: Screen) -> None:
    bus = places.output(place, "OutcomeBus")
    sent = events.resend(place.client("events"), bus, _events(place, chosen))
    screen.line(f"{sent} events were put on the bus of {place.environment} again")


def _events(place: Place, chosen: Arguments) -> Iterator[events.Detail]:
    client, table = place.client("dynamodb"), places.storage(place).table_name
    if chosen.order is not None:
        pos_id = api.read_void(place, chosen.order)["pos_id"]
        return events.details(events.of_order(client, table, pos_id, chosen.order))
    if chosen.first is None:
        raise OpsError("say which: --from, or --order")
    begin = events.moment(chosen.first)
    end = events.moment(chosen.last, end=True) if chosen.last else events.now()
    return events.details(events.settled(client, table, begin, end))


def report_month(place: Place, chosen: Arguments, _: Screen) -> None:
    wanted = export.month(chosen.month)
    client, table = place.client("dynamodb"), places.storage(place).table_name
    with _output(chosen.out) as out, _scanning(client, table, chosen.out) as passed:
        figures = report.figures(export.records(client, table, wanted, passed))
        out.write(report.page(place.environment, chosen.month, wanted, figures, events.now()))


@contextmanager
def _output(path: str | None, excel: bool = False) -> Iterator[TextIO]:
    if path is None:
        yield sys.stdout
        return
    # Excel takes UTF-8 for something else unless it begins with a mark.
    with whole_file(path, "utf-8-sig" if excel else "utf-8") as out:
        yield out


@contextmanager
def _scanning(client: Any, table: str, path: str | None) -> Iterator[Callable[[int], None]]:
    try:
        total = export.items_in_table(client, table) or None
    except ClientError:
        total = None  # a bar without an end is no reason not to export
    with _progress("items read", total, path is None and sys.stdout.isatty()) as passed:  # rows are progress enough
        yield passed


@contextmanager
def _progress(what: str, total: int | None, quiet: bool) -> Iterator[Callable[[int], None]]:
    console = progress_console()
    columns = (
        SpinnerColumn(), TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(),
        TimeElapsedColumn(),
    )  # fmt: skip
    with Progress(*columns, console=console, transient=True, disable=quiet or not console.is_terminal) as bar:
        task = bar.add_task(what, total=total)
        yield lambda count: bar.advance(task, count)
