"""`python -m acceptance --environment test --holds order-1,order-2,order-3`; without an environment: the local run.

Promises to say what it will do and to ask first, to refuse `prod`, and one clear line for whatever goes wrong.
"""

import argparse
import io
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any
from uuid import uuid4

from acceptance import report, undo
from acceptance.display import Display
from acceptance.limits import LOCAL_PATIENCE, Allowed
from acceptance.note import find
from acceptance.redact import Redactor, masked_account
from acceptance.rows import FACTS, Probe, Verdict
from acceptance.run import PROBES, ROWS, Stopped, chosen, due, ready, reason, run
from acceptance.site import Site
from acceptance.state import State, load, lock
from infra import environments
from ops import places
from ops.places import OpsError
from ops.screen import Screen, clean, one_line

CONTRADICTED, NOT_ALL_SEEN, INTERRUPTED = 3, 4, 130

Arguments = argparse.Namespace
Work = Sequence[tuple[Probe, list[str]]]


class NotAllowed(OpsError):
    """Called in a way that this command must not obey."""


def main(arguments: list[str]) -> int:
    """Run the command; the exit code."""
    options = _parser().parse_args(arguments)
    try:
        with _terminated_as_interrupted():
            wanted = chosen(options.only)
            return _list(wanted, options.json) if options.list else _accept(options, wanted)
    except KeyboardInterrupt:
        print("\nInterrupted.", file=sys.stderr)
        return INTERRUPTED
    except Exception as error:  # noqa: BLE001 whoever runs this gets a line; the error's text may hold data
        try:
            message = reason(error)
        except Stopped as stopped:
            message = str(stopped)
        print(f"error: {one_line(message)}", file=sys.stderr)
        return 2 if isinstance(error, NotAllowed) else 1


@contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """SIGTERM, from a pipeline that gives up, takes back what was made as Ctrl-C does."""

    def interrupt(_: int, __: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _parser() -> argparse.ArgumentParser:
    groups = dict(FACTS["command"])
    texts, form = (groups.pop("description"), groups.pop("epilog")), argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("python -m acceptance", None, *texts, formatter_class=form)
    special: dict[str, dict[str, Any]] = {"only": {"action": "append", "default": []}, "port": {"type": int}}
    for title, options in groups.items():
        group = parser.add_argument_group(title)
        for name, (value, meaning) in options.items():
            how = {"metavar": value, **special.get(name, {})} if value else {"action": "store_true"}
            group.add_argument(f"--{name}", help=meaning, **how)
    return parser


def _list(wanted: Sequence[str], as_json: bool) -> int:
    screen, probes = Screen(as_json), {row: probe for probe in PROBES for row in probe.rows}
    for row in (row for row in ROWS if row.id in wanted):
        probe = probes[row.id]
        if as_json:
            needs = {"hold": probe.hold, "rights": list(probe.rights), "not_locally": probe.not_locally or None}
            screen.document(report.of_row(row) | {"does": probe.does or None} | needs)
        else:
            screen.line(f"{row.id:<28} {row.question}{'' if probe.hold is None else f'  (hold {probe.hold + 1})'}")
    return 0


# ---- the site --------------------------------------------------------------------------------------------------------


@contextmanager
def _site(options: Arguments, say: Callable[[str], None]) -> Iterator[Site]:
    """What is examined, with its state file locked. Raises OpsError."""
    site = _local_site(options) if options.environment is None else _deployed_site(options)
    site.say = say
    folder = Path(options.out) if options.out else places.CACHE / "acceptance" / site.place.stack
    handle = lock(folder / "state.json")
    try:
        site.redact.account = site.account
        site.state = load(folder / "state.json")
        yield site
    finally:
        os.close(handle)


def _deployed_site(options: Arguments) -> Site:
    name = options.environment
    if name == "prod":
        raise NotAllowed("acceptance never runs against prod: it voids holds, rings an alarm and moves a release")
    try:
        environment = environments.named(name)
    except ValueError as error:
        raise NotAllowed(str(error)) from None
    if environment.local:
        raise NotAllowed("the local run is examined without --environment")
    allowed = _allowed(options)
    place = places.deployed(name, options.region or environment.region, options.profile)
    site = Site(
        place, environment, State(Path()), allowed, Redactor(filter(None, (allowed.token, allowed.expired_token)))
    )
    if {"Key": "environment", "Value": "prod"} in site.stack.get("Tags", []):
        raise NotAllowed(f"{place.stack} carries the tag environment=prod: acceptance never runs against it")
    return site


def _local_site(options: Arguments) -> Site:
    note, allowed = find(options.port), _allowed(options)
    place, environment = places.local(note.port, note.aws_endpoint), environments.named("local")
    site = Site(place, environment, State(Path()), allowed, Redactor(), note.sandbox_url, LOCAL_PATIENCE)
    if not allowed.holds:
        # Three that nobody else uses; the first needs percent-encoding.
        run_of = uuid4().hex[:12]
        orders = (f'{run_of} "a\\é/1', f"{run_of}-2", f"{run_of}-3")
        for order in orders:
            site.control("POST", "holds", {"order_id": order, "amount": 100, "currency": "UAH"})
        site.allowed = Allowed(orders, second_void=True)
    return site


def _allowed(options: Arguments) -> Allowed:
    given = [order for order in (options.holds or "").split(",") if order]
    given += _text(options.holds_file).splitlines()
    given = [order for order in given if order]
    if twice := [order for order in given if given.count(order) > 1]:
        raise NotAllowed(f"the hold {twice[0]} is given twice")
    tokens = [_text(file).strip() or None for file in (options.token_file, options.expired_token_file)]
    profiles = (options.expired_profile, options.denied_profile, options.merchant_profile)
    return Allowed(tuple(given), options.allow_second_void, *profiles, *tokens)


def _text(file: str | None) -> str:
    return Path(file).read_text(encoding="utf-8") if file else ""


# ---- the run ---------------------------------------------------------------------------------------------------------


def _accept(options: Arguments, wanted: list[str]) -> int:
    display = Display(options.json)
    with _site(options, display.say) as site:
        if options.clean:
            return _clean(site)
        # Is this the stack that this version deploys, and does it answer?
        site.functions  # noqa: B018 each is read; a stack of another version lacks one
        site.api_id  # noqa: B018
        ready(site)
        changed = site.state.begin(f"{site.stack['StackId']} {site.stack.get('LastUpdatedTime', '')}")
        if changed and not site.local:
            _say("The stack has changed since the last run: what that run found is left out.")
        work = due(site, wanted, options.again)
        if work and not _agreed(site, work, options):
            return 2
        return _run(site, work, wanted, options, display)


def _agreed(site: Site, work: Work, options: Arguments) -> bool:
    _say("\n".join(plan(site, work)))
    if options.yes or site.local:
        return True
    if not sys.stdin.isatty():
        raise NotAllowed("nobody can be asked here: say --yes if all of this may be done")
    print("Go on? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower().startswith("y")


def plan(site: Site, work: Work) -> Iterator[str]:
    """What will be done, in words."""
    rows, minutes = sum(len(rows) for _, rows in work), sum(probe.minutes for probe, _ in work)
    yield f"{site.place.stack}, account {masked_account(site.account)}, {site.place.region}: {rows} rows."
    if not site.local:
        yield f"It takes up to {max(round(minutes), 1)} minutes and costs less than a dollar. It will"
        yield from (f"  - {probe.does}" for probe, _ in work if probe.does and _can(site, probe))
        holds = ", ".join(clean(order) for order in site.allowed.holds)
        yield f"Holds that may be voided: {holds or 'none'}. Whatever else is made is taken back."


def _can(site: Site, probe: Probe) -> bool:
    if probe.rows == ("provider-second-void",) and not site.allowed.second_void:
        return False
    return probe.hold is None or probe.hold < len(site.allowed.holds)


def _run(site: Site, work: Work, wanted: list[str], options: Arguments, display: Display) -> int:
    code, last_word = 0, ""
    try:
        if number := undo.take_back(site):
            _say(f"An earlier run was stopped hard: {number} of its changes are taken back first.")
        display.bar.update(display.task, total=sum(len(rows) for _, rows in work))
        with display.bar:
            run(site, work, display.found)
    except KeyboardInterrupt:
        code, last_word = INTERRUPTED, "Interrupted: the same command goes on where it was."
    except Stopped as stopped:
        code, last_word = 1, f"error: {stopped}"
    found = report.document(site, wanted)
    files = report.write(site.state.path.parent, found)
    print(report.json_of(found)) if options.json else _show(found)
    left = [f"  - {one_line(one)}" for one in site.left_behind]
    if left:
        left.insert(0, "Left behind, because it could not be taken back; run the same command with --clean:")
    _say("\n".join(filter(None, [last_word, *left, f"Report: {files[0]} and {files[1]}"])))
    return code or (1 if left else _code(found, options.strict))


def _code(found: report.Document, strict: bool) -> int:
    if found["counts"][Verdict.CONTRADICTED.value]:
        return CONTRADICTED
    return NOT_ALL_SEEN if strict and found["counts"][Verdict.NOT_SEEN.value] else 0


def _show(found: report.Document) -> None:
    screen = Screen()
    for verdict in (Verdict.NOT_SEEN, Verdict.CONTRADICTED):
        rows = [row for row in found["rows"] if row["verdict"] == verdict]
        if rows:
            screen.heading(verdict.value, above=True)
            screen.table(("row", "why" if verdict is Verdict.NOT_SEEN else "do"), [_advice(row) for row in rows])
    screen.heading(report.counted(found), above=True)


def _advice(row: report.Document) -> tuple[str, str]:
    if row["verdict"] == Verdict.NOT_SEEN:
        return row["id"], row["why"]
    return row["id"], row["if_contradicted"] + (f" Setting: {row['setting']}" if row["setting"] else "")


def _clean(site: Site) -> int:
    """Take back, see, and say what is left."""
    left = undo.clean(site)
    for one in left:
        print(f"left: {one_line(site.redact.text(one))}")
    if not left:
        print(f"Nothing of an acceptance is left in {site.place.stack}.")
    return 1 if left else 0


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # Orders have letters that this terminal's encoding may lack.
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    sys.exit(main(sys.argv[1:]))
