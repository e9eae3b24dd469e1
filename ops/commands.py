"""What each command of `python -m ops` does: looks at one place, and prints what it found to one screen."""

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, TextIO

from botocore.exceptions import ClientError
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from ops import api, compare, export, places, quarantine, systems
from ops.places import OpsError, Place
from ops.screen import Screen, progress_console

Arguments = argparse.Namespace


def list_voids(place: Place, chosen: Arguments, screen: Screen) -> None:
    voids = api.list_voids(place, chosen.state)
    if screen.as_json:
        for void in voids:
            screen.document(void)
        return
    listed = list(voids)
    columns = ["order_id", "state", "reason", "review", "resend_allowed", "requested_at", "comment"]
    if len({void.get("pos_id") for void in listed}) > 1:
        columns.append("pos_id")  # the list has the voids of all projects
    rows = [[void.get(name) for name in columns] for void in listed]
    if rows:
        screen.table([name.replace("_", " ") for name in columns], rows)
    screen.line(f"{len(rows)} {chosen.state if chosen.state == 'unsettled' else 'in review'}")


def show(place: Place, chosen: Arguments, screen: Screen) -> None:
    _print_void(api.read_void(place, chosen.order), screen)


def refresh(place: Place, chosen: Arguments, screen: Screen) -> None:
    _print_void(api.read_void(place, chosen.order, refresh=True), screen)


def _print_void(void: api.Document, screen: Screen) -> None:
    if screen.as_json:
        screen.document(void)
        return
    parts = ("provider", "history", "events", "events_truncated")
    screen.heading(f"Order {void['order_id']}")
    screen.fields({name: value for name, value in void.items() if name not in parts})
    if void["provider"]:
        screen.heading("As the provider says", above=True)
        screen.fields(void["provider"])
    screen.heading("Timeline", above=True)
    screen.table(("at", "what", "state", "by", "operation"), list(timeline(void)))
    if void["events_truncated"]:
        screen.line("Older webhooks are left out.")


def timeline(void: api.Document) -> Iterator[list[object]]:
    """The record's changes and the webhooks, in the order of our clock; of one moment the webhook is the cause."""
    changes = [(one["at"], 1, ["state", one["state"], one["evidence"], None]) for one in void["history"]]
    events = [
        (
            one["received_at"],
            0,
            ["webhook", one["status"], one["method"], (one["provider"] or {}).get("operation_id")],
        )
        for one in void["events"]
    ]
    for at, _, what in sorted(changes + events, key=lambda line: line[:2]):
        yield [at, *what]


def compare_order(place: Place, chosen: Arguments, screen: Screen) -> None:
    record = _record_or_none(place, chosen.order)
    variables = places.configuration(place)
    secret, provider = systems.secret(place, variables), systems.provider(variables)
    said = record["provider"] if record else None
    view = compare.ask(secret, provider, chosen.order, said["pos_id"] if said else None)
    if record is None and view.not_found:
        raise OpsError("neither we nor the provider know this order")
    found = compare.differences(record, view)
    listed = [dict(operation.fields) for operation in view.operations]
    if screen.as_json:
        known = not view.not_found
        screen.document(
            {"order_id": chosen.order, "agrees": not found, "differences": found, "known_to_provider": known,
             "record": record, "operations": listed}
        )  # fmt: skip
        return
    state = record["state"] if record else None
    screen.heading(f"Order {chosen.order}: our record is {state or 'missing'}")
    columns = ("method", "status", "amount", "currency", "operation_id", "status_description")
    screen.table([name.replace("_", " ") for name in columns], [[one[name] for name in columns] for one in listed])
    for line in found or ["Both agree."]:
        screen.line(line)


def _record_or_none(place: Place, order: str) -> api.Document | None:
    try:
        return api.read_void(place, order)
    except api.NotFound:
        return None


def quarantine_list(place: Place, chosen: Arguments, screen: Screen) -> None:
    day = export.day(chosen.date) if chosen.date else datetime.now(UTC).date()
    client, where = place.client("dynamodb"), places.storage(place)
    messages = list(quarantine.on_day(client, where.table_name, day))
    if screen.as_json:
        for message in messages:
            screen.document(dict(message))
        return
    columns = ("digest", "received_at", "why", "text")
    if messages:
        screen.table(columns, [[message[name] for name in columns] for message in messages])
    screen.line(f"{len(messages)} in quarantine from {day.isoformat()}")


def quarantine_apply(place: Place, chosen: Arguments, screen: Screen) -> None:
    client, where = place.client("dynamodb"), places.storage(place)
    day = export.day(chosen.date) if chosen.date else None
    message = quarantine.find(client, where.table_name, chosen.digest, day)
    received = quarantine.apply(systems.storage(place), message)
    order = received.operation.order_id if received.operation else None
    state = received.after.state.value if received.after else None
    if screen.as_json:
        document = {"digest": message["digest"], "outcome": received.outcome, "order_id": order, "state": state}
        screen.document(document)
    else:
        screen.line(f"{received.outcome}: order {order}, record {state or 'unchanged'}")


def export_period(place: Place, chosen: Arguments, screen: Screen) -> None:
    wanted = export.period(chosen.first, chosen.last)
    if chosen.excel and not chosen.out:
        raise OpsError("--excel is for a file: give --out")
    client, table = place.client("dynamodb"), places.storage(place).table_name
    quiet = chosen.out is None and sys.stdout.isatty()  # the rows themselves are the progress
    with _progress(_total(client, table), quiet) as passed:
        rows = (export.row(void) for void in export.records(client, table, wanted, passed))

        def write(out: TextIO) -> int:
            if screen.as_json:
                return export.write_json_lines(out, rows)
            return export.write_csv(out, rows, out.isatty())

        if chosen.out is None:
            count = write(sys.stdout)
        else:
            with export.whole_file(chosen.out, chosen.excel) as out:
                count = write(out)
    print(f"{count} records", file=sys.stderr)


def _total(client: Any, table: str) -> int | None:
    try:
        return export.items_in_table(client, table) or None
    except ClientError:
        return None  # a bar without an end is no reason not to export


@contextmanager
def _progress(total: int | None, quiet: bool) -> Iterator[Callable[[int], None]]:
    console = progress_console()
    columns = (
        SpinnerColumn(), TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(),
        TimeElapsedColumn(),
    )  # fmt: skip
    with Progress(*columns, console=console, transient=True, disable=quiet or not console.is_terminal) as bar:
        task = bar.add_task("items read", total=total)
        yield lambda count: bar.advance(task, count)
