"""The commands of `python -m ops`: what each does, its arguments by the table in commands.toml, and where it looks."""

import argparse
import os
import tomllib
from argparse import Namespace
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from ops import commands, console, erase, events, export, places, quarantine, reconcile, report
from ops.places import OpsError, Place
from ops.screen import Screen

TABLE: dict[str, Any] = tomllib.loads((Path(__file__).parent / "commands.toml").read_text("utf-8"))
RUN: Mapping[str, Callable[[Place, Namespace, Screen], int | None]] = {
    "list": commands.list_voids, "show": commands.show, "refresh": partial(commands.show, refresh=True),
    "compare": commands.compare_order, "decide": commands.decide, "erase": erase.erase, "export": export.export,
    "reconcile": reconcile.reconcile, "report": report.report, "events list": events.list_events,
    "events resend": events.resend_events, "quarantine list": quarantine.list_messages,
    "quarantine apply": quarantine.apply_message, "console": console.serve,
}  # fmt: skip


def parser() -> argparse.ArgumentParser:
    """Every command: `run` of what it parsed is what it does, None if only a part of a command was given."""
    said, form = TABLE["help"], argparse.RawDescriptionHelpFormatter
    top = argparse.ArgumentParser("python -m ops", None, said["description"], said["rights"], formatter_class=form)
    _where(top, None, False)
    top.set_defaults(run=None, help=top.format_help)
    known = {"": top.add_subparsers(metavar="COMMAND")}
    for words, run in RUN.items():
        group, _, name = words.rpartition(" ")
        if group not in known:
            known[group] = _group(known[""], group)
        said = TABLE["commands"][words]
        text = said.get("description", said["help"])
        command = known[group].add_parser(name, help=said["help"], description=text, formatter_class=form)
        # Here too, so that `list --json` works as `--json list` does.
        _where(command, argparse.SUPPRESS, argparse.SUPPRESS)
        command.set_defaults(run=run)
        for name, kind in (("int", int), ("rate", _rate)):
            command.register("type", name, kind)
        for argument in (dict(TABLE["arguments"][taken]) for taken in said["takes"]):
            command.add_argument(argument.pop("flag"), **argument)
    return top


def _rate(text: str) -> float:
    rate = float(text)
    if not 0 < rate <= 1000:
        raise ValueError
    return rate


def _group(known: Any, name: str) -> Any:
    group = known.add_parser(name, help=TABLE["groups"][name])
    _where(group, argparse.SUPPRESS, argparse.SUPPRESS)
    group.set_defaults(help=group.format_help)
    return group.add_subparsers(metavar="ACTION")


def _where(command: argparse.ArgumentParser, unset: Any, off: Any) -> None:
    where = command.add_argument_group("where")
    for flag, said in TABLE["where"].items():
        where.add_argument(flag, default=off if "action" in said else unset, **said)
    command.add_argument("--json", action="store_true", default=off, help="for scripts: one JSON document a line")


def place(chosen: Namespace) -> Place:
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
