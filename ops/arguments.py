"""The arguments of `python -m ops`, and the place that they name. What a command does is elsewhere."""

import argparse
import os
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ops import commands, console, erase, periods, places
from ops.commands import Arguments
from ops.places import OpsError, Place
from ops.screen import Screen

HELP: dict[str, str] = tomllib.loads((Path(__file__).parent / "help.toml").read_text("utf-8"))
ORDER = "the merchant's order id; one that begins with - goes last, behind --"
DATE = "as 2026-11-24 (UTC)"


def parser() -> argparse.ArgumentParser:
    """Every command: `run` of what it parsed is what it does, None if only a part of a command was given."""
    top = argparse.ArgumentParser(
        prog="python -m ops",
        description=HELP["description"],
        epilog=HELP["rights"],
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _where(top, None, False)
    top.set_defaults(run=None, help=top.format_help)
    known = top.add_subparsers(metavar="COMMAND")
    _add_orders(known)
    _add_periods(known)
    group = _group(known, "quarantine", "genuine webhooks that could not be used: list, apply")
    looking = _command(group, "list", "the messages of one day", commands.quarantine_list)
    looking.add_argument("--date", metavar="DATE", help=f"the day they came, {DATE}; without it today")
    applying = _command(group, "apply", "take one of them again", commands.quarantine_apply, HELP["apply"])
    applying.add_argument("digest", metavar="DIGEST", help="as `quarantine list` prints it, or its first 8 digits")
    applying.add_argument("--date", metavar="DATE", help="the day it came; without it all 90 days are looked through")
    serving = _command(known, "console", "voids in the browser, over the deployed API", console.serve, HELP["console"])
    serving.add_argument("--decide", action="store_true", help="may take decisions")
    serving.add_argument("--void", action="store_true", help="may send voids")
    serving.add_argument("--console-port", type=int, default=0, metavar="PORT", help="without it a free one")
    return top


def _add_orders(known: Any) -> None:
    listing = _command(
        known, "list", "voids that are open, need an operator, or were settled on a day", commands.list_voids
    )
    listing.add_argument("--state", choices=tuple(commands.TITLES), default="unsettled")
    listing.add_argument("--day", metavar="DATE", help=f"with --state settled: {DATE}; without it today")
    for name, text, run in (
        ("show", "one order: its record, and what happened when", commands.show),
        ("refresh", "have the service ask the provider about an order now", commands.refresh),
        ("compare", "our record of an order against the provider's own list", commands.compare_order),
    ):
        _command(known, name, text, run).add_argument("order", metavar="ORDER", help=ORDER)
    deciding = _command(
        known, "decide", "end by an operator's word what evidence cannot", commands.decide, HELP["decide"]
    )
    deciding.add_argument("order", metavar="ORDER", help=ORDER)
    deciding.add_argument("decision", choices=("voided", "not-voided", "reviewed"))
    deciding.add_argument("--note", required=True, help="why, 1 to 500 characters: it is kept in the record")
    erasing = _command(known, "erase", "remove an order's comment and free texts", erase.erase, HELP["erase"])
    erasing.add_argument("order", metavar="ORDER", help=ORDER)
    erasing.add_argument("--note", required=True, help="why, 1 to 500 characters, without anything personal")


def _add_periods(known: Any) -> None:
    exporting = _command(
        known, "export", "the void records of a period, for finance", periods.export_period, HELP["export"]
    )
    exporting.add_argument(
        "--excel", action="store_true", help="FILE is for Excel: its mark of UTF-8, and text stays text"
    )
    reconciling = _command(
        known, "reconcile", "a period against the provider's own list", periods.reconcile_period, HELP["reconcile"]
    )
    reconciling.add_argument("--orders", metavar="FILE", help="CSV with order_id and, if wanted, amount and currency")
    reconciling.add_argument("--rate", type=_rate, default=5, metavar="N", help="questions a second, at most (5)")
    for command in (exporting, reconciling):
        command.add_argument("--from", dest="first", required=True, metavar="DATE", help=f"first day, {DATE}")
        command.add_argument("--to", dest="last", required=True, metavar="DATE", help="last day, included")
    reporting = _command(known, "report", "a month in pictures, as one HTML page to send on", periods.report_month)
    reporting.add_argument("--month", required=True, metavar="MONTH", help="as 2026-11 (UTC)")
    for command in (exporting, reconciling, reporting):
        command.add_argument("--out", metavar="FILE", help="write here instead of to standard output")
    group = _group(known, "events", "the events of settled voids: list, resend")
    for name, run in (("list", periods.events_list), ("resend", periods.events_resend)):
        command = _command(group, name, f"{name} what was settled in a time", run, HELP["events"])
        command.add_argument("--from", dest="first", metavar="MOMENT", help=f"{DATE}, or as 2026-11-24T10:10:00Z")
        command.add_argument("--to", dest="last", metavar="MOMENT", help="likewise, a day included; without it now")
        command.add_argument("--order", metavar="ORDER", help="this order only, whenever it was settled")


def _rate(text: str) -> float:
    rate = float(text)
    if not 0 < rate <= 1000:
        raise ValueError
    return rate


def _group(known: Any, name: str, text: str) -> Any:
    group = known.add_parser(name, help=text)
    _where(group, argparse.SUPPRESS, argparse.SUPPRESS)
    group.set_defaults(help=group.format_help)
    return group.add_subparsers(metavar="ACTION")


def _command(
    known: Any,
    name: str,
    text: str,
    run: Callable[[Place, Arguments, Screen], int | None],
    description: str | None = None,
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
