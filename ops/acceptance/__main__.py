"""`python -m ops.acceptance --environment test --holds order-1,order-2,order-3`; without an environment: the local run.

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
from uuid import uuid4

from infra import environments
from ops import places
from ops.acceptance import report, undo
from ops.acceptance.display import Display
from ops.acceptance.limits import LOCAL_PATIENCE, Allowed
from ops.acceptance.note import find
from ops.acceptance.redact import Redactor, masked_account
from ops.acceptance.rows import Probe, Verdict
from ops.acceptance.run import PROBES, ROWS, Stopped, chosen, due, ready, reason, run
from ops.acceptance.site import Site
from ops.acceptance.state import State, load, lock
from ops.places import OpsError
from ops.screen import Screen, clean, one_line

DESCRIPTION = "Turns what this project assumes of AWS and of the provider into what you know."
EPILOG = """\
It asks before it acts, voids only the holds that it is given, refuses prod, and takes back all else that it made.
Stopped, it goes on where it was when it is called again. Report and state: .cache/acceptance/STACK/, or --out.

rights, with your own AWS role: what an operator has (python -m ops --help), and for each row what --list --json names

exit codes: 0 nothing is contradicted, 1 an error (one line says which), 2 called wrongly or not allowed,
3 something is contradicted, 4 with --strict: something was not seen, 130 interrupted"""
CONTRADICTED, NOT_ALL_SEEN, INTERRUPTED = 3, 4, 130
CACHE = places.CACHE / "acceptance"

Arguments = argparse.Namespace


class NotAllowed(OpsError):
    """Called in a way that this command must not obey."""


def main(arguments: list[str]) -> int:
    """Run the command; the exit code."""
    options = _parser().parse_args(arguments)
    try:
        with _terminated_as_interrupted():
            wanted = chosen(options.only)
            return _list(wanted, options.json) if options.list else _accept(options, wanted)
    except NotAllowed as error:
        return _fail(str(error), 2)
    except KeyboardInterrupt:
        print("\nInterrupted.", file=sys.stderr)
        return INTERRUPTED
    except Exception as error:  # noqa: BLE001 whoever runs this gets a line; the error's text may hold data
        try:
            return _fail(reason(error), 1)
        except Stopped as stopped:
            return _fail(str(stopped), 1)


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


def _fail(message: str, code: int) -> int:
    print(f"error: {one_line(message)}", file=sys.stderr)
    return code


# ---- arguments -------------------------------------------------------------------------------------------------------


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m ops.acceptance",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    where = parser.add_argument_group("where")
    where.add_argument("--environment", metavar="NAME", help="the stack VoidService-NAME; without it the local run")
    where.add_argument("--region", help="of the stack; otherwise as infra/environments.py says")
    where.add_argument("--profile", help="of your AWS credentials; otherwise as the AWS tools choose")
    where.add_argument("--port", type=int, help="of the local run: its PORT; otherwise the newest run")
    what = parser.add_argument_group("what")
    what.add_argument(
        "--holds", metavar="ORDERS", help="orders of the test project that may be voided, comma-separated"
    )
    what.add_argument("--holds-file", metavar="FILE", help="the same, one a line: for orders with odd characters")
    what.add_argument("--only", metavar="ROWS", action="append", default=[], help="rows, or how they begin: aws-")
    what.add_argument("--again", action="store_true", help="look again at what an earlier run has answered")
    what.add_argument("--allow-second-void", action="store_true", help="void the first hold twice, at the provider")
    what.add_argument("--expired-profile", metavar="NAME", help="an AWS profile whose session has expired")
    what.add_argument("--denied-profile", metavar="NAME", help="an AWS profile that `callers` does not name")
    how = parser.add_argument_group("how")
    how.add_argument("--list", action="store_true", help="the rows and what each needs; nothing is done")
    how.add_argument("--clean", action="store_true", help="take back what a stopped run left, and show what is left")
    how.add_argument("--json", action="store_true", help="the report as JSON on standard output")
    how.add_argument("--yes", action="store_true", help="do not ask")
    how.add_argument("--strict", action="store_true", help="exit code 4 if something was not seen")
    how.add_argument("--out", metavar="DIR", help="where report and state are kept")
    return parser


def _list(wanted: Sequence[str], as_json: bool) -> int:
    screen = Screen(as_json)
    probes = {row: probe for probe in PROBES for row in probe.rows}
    for row in (row for row in ROWS if row.id in wanted):
        probe = probes[row.id]
        if as_json:
            screen.document(
                {"id": row.id, "question": row.question, "assumed": row.assumed, "depends": list(row.depends),
                 "rule": row.rule, "if_contradicted": row.otherwise, "setting": row.setting or None,
                 "observed_by": row.observe, "does": probe.does or None, "hold": probe.hold,
                 "rights": list(probe.rights), "not_locally": probe.not_locally or None}
            )  # fmt: skip
        else:
            needs = "" if probe.hold is None else f"  (hold {probe.hold + 1})"
            screen.line(f"{row.id:<28} {row.question}{needs}")
    return 0


# ---- the site --------------------------------------------------------------------------------------------------------


@contextmanager
def _site(options: Arguments, say: Callable[[str], None]) -> Iterator[Site]:
    """What is looked at, with its state file locked. Raises OpsError."""
    site = _local_site(options) if options.environment is None else _deployed_site(options)
    site.say = say
    path = (Path(options.out) if options.out else CACHE / site.place.stack) / "state.json"
    handle = lock(path)
    try:
        site.redact.account = site.account
        site.state = load(path)
        yield site
    finally:
        lock_ends(handle)


def lock_ends(handle: int) -> None:
    """Another run may begin."""
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
        raise NotAllowed("the local run is looked at without --environment")
    place = places.deployed(name, options.region or environment.region, options.profile)
    site = Site(place, environment, State(Path()), _allowed(options), Redactor())
    tags = {tag["Key"]: tag["Value"] for tag in site.stack.get("Tags", [])}
    if tags.get("environment") == "prod":
        raise NotAllowed(f"{place.stack} carries the tag environment=prod: acceptance never runs against it")
    return site


def _local_site(options: Arguments) -> Site:
    note = find(options.port)
    place = places.local(note.port, note.aws_endpoint)
    environment = environments.named("local")
    site = Site(place, environment, State(Path()), _allowed(options), Redactor(), note.sandbox_url, LOCAL_PATIENCE)
    if not site.allowed.holds:
        site.allowed = Allowed(_holds_of_the_sandbox(site), second_void=True)
    return site


def _holds_of_the_sandbox(site: Site) -> tuple[str, ...]:
    """Three holds that nobody else uses; the first needs percent-encoding."""
    run_of = uuid4().hex[:12]
    orders = (f'{run_of} "a\\é/1', f"{run_of}-2", f"{run_of}-3")
    for order in orders:
        site.control("POST", "holds", {"order_id": order, "amount": 100, "currency": "UAH"})
    return orders


def _allowed(options: Arguments) -> Allowed:
    given = [order for order in (options.holds or "").split(",") if order]
    if options.holds_file:
        text = Path(options.holds_file).read_text(encoding="utf-8")
        given += [order for order in text.splitlines() if order]
    twice = [order for order in given if given.count(order) > 1]
    if twice:
        raise NotAllowed(f"the hold {twice[0]} is given twice")
    return Allowed(tuple(given), options.allow_second_void, options.expired_profile, options.denied_profile)


# ---- the run ---------------------------------------------------------------------------------------------------------


def _accept(options: Arguments, wanted: Sequence[str]) -> int:
    display = Display(options.json)
    with _site(options, display.say) as site:
        if options.clean:
            return _clean(site)
        _check(site)
        work = due(site, wanted, options.again)
        if work and not _agreed(site, work, options):
            return 2
        return _run(site, work, wanted, options, display)


def _check(site: Site) -> None:
    """Is this the stack that this version deploys, and does it answer? Raises OpsError."""
    site.functions  # noqa: B018 each is read; a stack of another version lacks one
    site.api_id  # noqa: B018
    ready(site)
    changed = site.state.begin(f"{site.stack['StackId']} {site.stack.get('LastUpdatedTime', '')}")
    if changed and not site.local:
        _tell("The stack has changed since the last run: what that run found is left out.")


def _agreed(site: Site, work: Sequence[tuple[Probe, list[str]]], options: Arguments) -> bool:
    _tell("\n".join(plan(site, work)))
    if options.yes or site.local:
        return True
    if not sys.stdin.isatty():
        raise NotAllowed("nobody can be asked here: say --yes if all of this may be done")
    print("Go on? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower().startswith("y")


def plan(site: Site, work: Sequence[tuple[Probe, list[str]]]) -> Iterator[str]:
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


def _run(
    site: Site,
    work: Sequence[tuple[Probe, list[str]]],
    wanted: Sequence[str],
    options: Arguments,
    display: Display,
) -> int:
    code, last_word = 0, ""
    try:
        if number := undo.take_back(site):
            _tell(f"An earlier run was stopped hard: {number} of its changes are taken back first.")
        display.begin(sum(len(rows) for _, rows in work))
        with display.bar:
            run(site, work, display.found)
    except KeyboardInterrupt:
        code, last_word = INTERRUPTED, "Interrupted: the same command goes on where it was."
    except Stopped as stopped:
        code, last_word = 1, str(stopped)
    found = report.document(site, wanted)
    files = report.write(site.state.path.parent, found)
    _show(found, options.json)
    _tell("\n".join(filter(None, [last_word, *_left(site.left_behind), f"Report: {files[0]} and {files[1]}"])))
    return code or (1 if site.left_behind else _code(found, options.strict))


def _left(left: Sequence[str]) -> Iterator[str]:
    if left:
        yield "Left behind, because it could not be taken back; run the same command with --clean:"
        yield from (f"  - {one_line(one)}" for one in left)


def _code(found: report.Document, strict: bool) -> int:
    if found["counts"][Verdict.CONTRADICTED.value]:
        return CONTRADICTED
    return NOT_ALL_SEEN if strict and found["counts"][Verdict.NOT_SEEN.value] else 0


def _show(found: report.Document, as_json: bool) -> None:
    if as_json:
        print(report.json_of(found))
        return
    screen = Screen()
    for verdict in (Verdict.NOT_SEEN, Verdict.CONTRADICTED):
        rows = [row for row in found["rows"] if row["verdict"] == verdict.value]
        if rows:
            screen.heading(verdict.value, above=True)
            screen.table(("row", "why" if verdict is Verdict.NOT_SEEN else "do"), [_told(row) for row in rows])
    counts = ", ".join(f"{number} {name}" for name, number in found["counts"].items())
    screen.heading(counts, above=True)


def _told(row: report.Document) -> tuple[str, str]:
    if row["verdict"] == Verdict.NOT_SEEN.value:
        return row["id"], row["why"]
    return row["id"], row["if_contradicted"] + (f" Setting: {row['setting']}" if row["setting"] else "")


def _clean(site: Site) -> int:
    """Take back, look, and say what is left."""
    left = undo.clean(site)
    for one in left:
        print(f"left: {one_line(site.redact.text(one))}")
    if not left:
        print(f"Nothing of an acceptance is left in {site.place.stack}.")
    return 1 if left else 0


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # Orders have letters that this terminal's encoding may lack.
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    sys.exit(main(sys.argv[1:]))
