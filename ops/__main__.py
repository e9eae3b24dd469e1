"""The operators' command line: `python -m ops --local list`, `python -m ops --environment prod show 123`.

Promises one clear line on standard error and exit code 1 for whatever goes wrong, and never a traceback. Never sends a
void: all it may change is what a question to the provider or a message from the provider proves.
"""

import argparse
import io
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO

import urllib3
from botocore.exceptions import BotoCoreError, ClientError
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from ops import api, compare, export, places, quarantine
from ops.places import OpsError, Place
from ops.screen import Screen, one_line, progress_console
from payments import settings
from payments.provider import Provider
from payments.secret import Secret, SecretError
from payments.settings import SettingsError
from payments.store import Store, StoreError

DESCRIPTION = "Looks at voids and helps those that are stuck. Never sends a void."
RIGHTS = """\
rights, with your own AWS role:
  list, show, refresh   execute-api:Invoke on the API (the stack's output CallerPolicy) and
                        cloudformation:DescribeStacks
  the others            cloudformation:ListStackResources and lambda:GetFunctionConfiguration, which say
                        where the table, the secret and the provider are; and
  quarantine list       dynamodb:Query
  quarantine apply      dynamodb:Query, GetItem, PutItem, UpdateItem; secretsmanager:GetSecretValue
  export                dynamodb:Scan, DescribeTable
  compare               what `show` needs; secretsmanager:GetSecretValue

exit codes: 0 done, 1 an error (one line says which), 2 called wrongly, 130 interrupted"""
APPLY = """\
Takes a message out of quarantine and lets the functions' own code apply it: when the code can read it by now, or when
the secret holds its pos_id by now. It runs here, with your own rights on table and secret, not in Lambda:
dynamodb:Query, GetItem, PutItem, UpdateItem on the table and secretsmanager:GetSecretValue on the secret. Applying
twice does nothing the second time. What is still unreadable, another shop's, or was masked in an id is refused."""
EXPORT = """\
Void records as CSV (or, with --json, one JSON object a line), in no order. A void belongs to the day, in UTC, on which
it was settled, or requested while it is not settled. Reads the whole table page by page (a scan: the functions have no
right to it; yours needs dynamodb:Scan and, for the progress bar, DescribeTable): each run costs a read of every item.
Text that a spreadsheet would calculate begins with an apostrophe; amounts keep the provider's digits."""
STATES = ("unsettled", "review")

Arguments = argparse.Namespace


def main(arguments: list[str]) -> int:
    """Run one command; the exit code."""
    chosen = _parser().parse_args(arguments)
    try:
        place = _place(chosen)
        chosen.run(place, chosen, Screen(chosen.json))
        sys.stdout.flush()
    except (OpsError, SettingsError) as error:
        return _fail(str(error))
    except SecretError as error:
        return _fail(f"the provider's credentials cannot be used: {error.reason}")
    except StoreError as error:
        return _fail(f"the table cannot be used: {error}")
    except ClientError as error:
        return _fail(places.refusal_of_aws(error))
    except BrokenPipeError:
        # The reader, `head` perhaps, has enough; nothing may be written at exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (BotoCoreError, urllib3.exceptions.HTTPError, OSError) as error:
        return _fail(f"{type(error).__name__}: {error}")
    except KeyboardInterrupt:
        return 130
    except Exception as error:  # noqa: BLE001 an operator in an incident gets a line; its text may hold data
        return _fail(f"unexpected {type(error).__name__}: a defect of this command line")
    return 0


def _fail(message: str) -> int:
    print(f"error: {one_line(message)}", file=sys.stderr)
    return 1


# ---- arguments -------------------------------------------------------------------------------------------------------


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m ops",
        description=DESCRIPTION,
        epilog=RIGHTS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _where(parser, None, False)
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    listing = _command(commands, "list", "the voids that are not settled, or need a person", _list)
    listing.add_argument("--state", choices=STATES, default="unsettled")
    for name, text, run in (
        ("show", "one order: its record, and what happened when", _show),
        ("refresh", "have the service ask the provider about an order now", _refresh),
        ("compare", "our record of an order against the provider's own list", _compare),
    ):
        _command(commands, name, text, run).add_argument("order", metavar="ORDER", help="the merchant's order id")
    _add_quarantine(commands)
    exporting = _command(commands, "export", "the void records of a period, for finance", _export, EXPORT)
    exporting.add_argument("--from", dest="first", required=True, metavar="DATE", help="first day, as 2026-11-24 (UTC)")
    exporting.add_argument("--to", dest="last", required=True, metavar="DATE", help="last day, included")
    exporting.add_argument("--out", metavar="FILE", help="write here instead of to standard output")
    exporting.add_argument("--excel", action="store_true", help="begin FILE with the mark by which Excel knows UTF-8")
    return parser


def _add_quarantine(commands: Any) -> None:
    group = commands.add_parser("quarantine", help="genuine webhooks that could not be used")
    _where(group, argparse.SUPPRESS, argparse.SUPPRESS)
    actions = group.add_subparsers(metavar="ACTION", required=True)
    looking = _command(actions, "list", "the messages of one day", _quarantine_list)
    looking.add_argument("date", metavar="DATE", help="the day it came, as 2026-11-24 (UTC)")
    applying = _command(actions, "apply", "take one of them again", _quarantine_apply, APPLY)
    applying.add_argument("digest", metavar="DIGEST", help="as `quarantine list` prints it, or its first 8 digits")
    applying.add_argument("--date", metavar="DATE", help="the day it came; without it all 90 days are looked through")


def _command(
    commands: Any, name: str, text: str, run: Callable[[Place, Arguments, Screen], None], description: str | None = None
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=text, description=description or text, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    # Here too, so that `list --json` works as `--json list` does.
    _where(parser, argparse.SUPPRESS, argparse.SUPPRESS)
    parser.set_defaults(run=run)
    return parser


def _where(parser: argparse.ArgumentParser, unset: Any, off: Any) -> None:
    place = parser.add_argument_group("where")
    place.add_argument("--local", action="store_true", default=off, help="the service that `make run` started")
    place.add_argument("--environment", default=unset, metavar="NAME", help="the stack VoidService-NAME: test, prod")
    place.add_argument("--region", default=unset, help="of the stack; otherwise as the AWS tools choose")
    place.add_argument("--profile", default=unset, help="of your AWS credentials; otherwise as the AWS tools choose")
    place.add_argument("--port", default=unset, type=int, help="with --local: its PORT (8080)")
    place.add_argument("--aws-endpoint", default=unset, metavar="URL", help="with --local: its AWS engine")
    parser.add_argument("--json", action="store_true", default=off, help="for scripts: one JSON document a line")


def _place(chosen: Arguments) -> Place:
    if chosen.local == (chosen.environment is not None):
        raise OpsError("say where: --local, or --environment NAME")
    if chosen.environment is not None:
        return places.deployed(chosen.environment, chosen.region, chosen.profile)
    port = os.environ.get("PORT") or "8080"
    return places.local(chosen.port or (int(port) if port.isdecimal() else 8080), chosen.aws_endpoint)


# ---- commands --------------------------------------------------------------------------------------------------------


def _list(place: Place, chosen: Arguments, screen: Screen) -> None:
    voids = api.list_voids(place, chosen.state)
    if screen.as_json:
        for void in voids:
            screen.document(void)
        return
    columns = ("order_id", "state", "reason", "review", "resend_allowed", "requested_at", "comment")
    rows = [[void[name] for name in columns] for void in voids]
    if rows:
        screen.table([name.replace("_", " ") for name in columns], rows)
    screen.line(f"{len(rows)} {chosen.state if chosen.state == 'unsettled' else 'in review'}")


def _show(place: Place, chosen: Arguments, screen: Screen) -> None:
    _print_void(api.read_void(place, chosen.order), screen)


def _refresh(place: Place, chosen: Arguments, screen: Screen) -> None:
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


def _compare(place: Place, chosen: Arguments, screen: Screen) -> None:
    record = _record_or_none(place, chosen.order)
    variables = places.configuration(place)
    secret = _secret(place, settings.storage(variables))
    view = compare.ask(secret, Provider(settings.provider(variables)), chosen.order)
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


def _quarantine_list(place: Place, chosen: Arguments, screen: Screen) -> None:
    client, where = place.client("dynamodb"), places.storage(place)
    messages = list(quarantine.on_day(client, where.table_name, export.day(chosen.date)))
    if screen.as_json:
        for message in messages:
            screen.document(dict(message))
        return
    columns = ("digest", "received_at", "why", "text")
    if messages:
        screen.table(columns, [[message[name] for name in columns] for message in messages])
    screen.line(f"{len(messages)} in quarantine from {chosen.date}")


def _quarantine_apply(place: Place, chosen: Arguments, screen: Screen) -> None:
    client, where = place.client("dynamodb"), places.storage(place)
    day = export.day(chosen.date) if chosen.date else None
    message = quarantine.find(client, where.table_name, chosen.digest, day)
    received = quarantine.apply(Store(client, where.table_name), _secret(place, where), message)
    order = received.operation.order_id if received.operation else None
    state = received.void.state.value if received.void else None
    if screen.as_json:
        screen.document({"digest": message["digest"], "fate": received.fate, "order_id": order, "state": state})
    else:
        screen.line(f"{received.fate}: order {order}, record {state or 'unchanged'}")


def _secret(place: Place, where: settings.Storage) -> Secret:
    return Secret(place.client("secretsmanager"), where.secret_id, time.monotonic)


def _export(place: Place, chosen: Arguments, screen: Screen) -> None:
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


if __name__ == "__main__":
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Other people's text has letters that this terminal's encoding may lack.
        sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")
    sys.exit(main(sys.argv[1:]))
