"""The arguments of `python -m ops`, and the place that they name. What a command does is in commands.py."""

import argparse
import os
from collections.abc import Callable
from typing import Any

from ops import commands, places
from ops.commands import Arguments
from ops.places import OpsError, Place
from ops.screen import Screen

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

`make smoke` looks at a deployed API from outside.

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
Text that a spreadsheet would calculate gets an apostrophe, with --json none; amounts keep the provider's digits."""
ORDER = "the merchant's order id; one that begins with - goes last, behind --"
STATES = ("unsettled", "review")


def parser() -> argparse.ArgumentParser:
    """Every command: `run` of what it parsed is what it does, None if only a part of a command was given."""
    top = argparse.ArgumentParser(
        prog="python -m ops",
        description=DESCRIPTION,
        epilog=RIGHTS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _where(top, None, False)
    top.set_defaults(run=None, help=top.format_help)
    known = top.add_subparsers(metavar="COMMAND")
    listing = _command(known, "list", "the voids that are not settled, or need a person", commands.list_voids)
    listing.add_argument("--state", choices=STATES, default="unsettled")
    for name, text, run in (
        ("show", "one order: its record, and what happened when", commands.show),
        ("refresh", "have the service ask the provider about an order now", commands.refresh),
        ("compare", "our record of an order against the provider's own list", commands.compare_order),
    ):
        _command(known, name, text, run).add_argument("order", metavar="ORDER", help=ORDER)
    _add_quarantine(known)
    exporting = _command(known, "export", "the void records of a period, for finance", commands.export_period, EXPORT)
    exporting.add_argument("--from", dest="first", required=True, metavar="DATE", help="first day, as 2026-11-24 (UTC)")
    exporting.add_argument("--to", dest="last", required=True, metavar="DATE", help="last day, included")
    exporting.add_argument("--out", metavar="FILE", help="write here instead of to standard output")
    exporting.add_argument("--excel", action="store_true", help="begin FILE with the mark by which Excel knows UTF-8")
    return top


def _add_quarantine(known: Any) -> None:
    group = known.add_parser("quarantine", help="genuine webhooks that could not be used: list, apply")
    _where(group, argparse.SUPPRESS, argparse.SUPPRESS)
    group.set_defaults(help=group.format_help)
    actions = group.add_subparsers(metavar="ACTION")
    looking = _command(actions, "list", "the messages of one day", commands.quarantine_list)
    looking.add_argument("--date", metavar="DATE", help="the day they came, as 2026-11-24 (UTC); without it today")
    applying = _command(actions, "apply", "take one of them again", commands.quarantine_apply, APPLY)
    applying.add_argument("digest", metavar="DIGEST", help="as `quarantine list` prints it, or its first 8 digits")
    applying.add_argument("--date", metavar="DATE", help="the day it came; without it all 90 days are looked through")


def _command(
    known: Any, name: str, text: str, run: Callable[[Place, Arguments, Screen], None], description: str | None = None
) -> argparse.ArgumentParser:
    command: argparse.ArgumentParser = known.add_parser(
        name, help=text, description=description or text, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    # Here too, so that `list --json` works as `--json list` does.
    _where(command, argparse.SUPPRESS, argparse.SUPPRESS)
    command.set_defaults(run=run)
    return command


def _where(command: argparse.ArgumentParser, unset: Any, off: Any) -> None:
    where = command.add_argument_group("where")
    where.add_argument("--local", action="store_true", default=off, help="the service that `make run` started")
    where.add_argument("--environment", default=unset, metavar="NAME", help="the stack VoidService-NAME: test, prod")
    where.add_argument("--region", default=unset, help="of the stack; otherwise as the AWS tools choose")
    where.add_argument("--profile", default=unset, help="of your AWS credentials; otherwise as the AWS tools choose")
    where.add_argument("--port", default=unset, help="with --local: its PORT (8080)")
    where.add_argument("--aws-endpoint", default=unset, metavar="URL", help="with --local: its AWS engine")
    command.add_argument("--json", action="store_true", default=off, help="for scripts: one JSON document a line")


def place(chosen: Arguments) -> Place:
    """Where the command looks. Raises OpsError."""
    if chosen.local == (chosen.environment is not None):
        raise OpsError("say where: --local, or --environment NAME")
    if chosen.environment is not None:
        return places.deployed(chosen.environment, chosen.region, chosen.profile)
    return places.local(_port(chosen.port or os.environ.get("PORT") or "8080"), chosen.aws_endpoint)


def _port(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 5 and 1 <= int(text) <= 65_535):
        raise OpsError(f"--port, or PORT, is not a port: it needs a number from 1 to 65535, and is {text}")
    return int(text)
