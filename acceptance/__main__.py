"""`python -m acceptance --environment test --holds order-1,order-2,order-3`; without an environment: the local run.

Promises to say what it will do and to ask first, to refuse `prod`, and one clear line for whatever goes wrong.
"""

import io
import os
import signal
import sys
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

from acceptance import run, undo
from acceptance.rows import FACTS, Finding, Verdict, load, locked, masked_account
from acceptance.site import API, Allowed, Site
from infra import environments
from ops import places
from ops.errors import exit_code
from ops.places import OpsError
from ops.screen import Screen, clean, one_line, progress_console

CONTRADICTED, NOT_ALL_SEEN, INTERRUPTED = 3, 4, 130


class NotAllowed(OpsError):
    """Called in a way that this command must not obey."""


def main(arguments: list[str]) -> int:
    options = _parser().parse_args(arguments)
    return exit_code(lambda: _worded(options))


def _worded(options: Namespace) -> int:
    """Whoever runs this gets one line for an error, as a row does."""
    try:
        wanted = run.chosen(options.only)
        return _list(wanted, options.json) if options.list else _accept(options, wanted)
    except NotAllowed as error:
        _say(f"error: {one_line(str(error))}")
        return 2
    except BrokenPipeError:
        raise  # who reads the list has enough: see ops/errors.py
    except Exception as error:  # noqa: BLE001 the same
        raise OpsError(run.reason(error)) from None


def _parser() -> ArgumentParser:
    groups = dict(FACTS["command"])
    texts = groups.pop("description"), groups.pop("epilog")
    parser = ArgumentParser("python -m acceptance", None, *texts, formatter_class=RawDescriptionHelpFormatter)
    parser.register("type", "int", int)
    for title, options in groups.items():
        group = parser.add_argument_group(title)
        for name, how in options.items():
            group.add_argument(f"--{name}", **how)
    return parser


def _list(wanted: Sequence[str], as_json: bool) -> int:
    screen = Screen(as_json)
    for row, probe in ((row, probe) for probe in run.PROBES for row in run.ROWS if row.id in {*probe.rows} & {*wanted}):
        if as_json:
            needs = {"hold": probe.hold, "rights": list(probe.rights), "not_locally": probe.not_locally or None}
            screen.document(run.of_row(row) | {"does": probe.does or None} | needs)
        else:
            screen.line(f"{row.id:<28} {row.question}{'' if probe.hold is None else f'  (hold {probe.hold + 1})'}")
    return 0


# ---- the site --------------------------------------------------------------------------------------------------------


@contextmanager
def _site(options: Namespace) -> Iterator[Site]:
    """What is examined, with its state file locked. Raises OpsError."""
    site = _local_site(options) if options.environment is None else _deployed_site(options)
    folder = Path(options.out) if options.out else places.CACHE / "acceptance" / site.place.stack
    with locked(folder / "state.json"):
        site.redact.account = site.account
        site.state = load(folder / "state.json")
        yield site


def _deployed_site(options: Namespace) -> Site:
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
    site = Site(places.deployed(name, options.region or environment.region, options.profile), environment, allowed)
    site.redact.learn(allowed.token, allowed.expired_token)
    if {"Key": "environment", "Value": "prod"} in site.stack.get("Tags", []):
        raise NotAllowed(f"{site.place.stack} carries the tag environment=prod: acceptance never runs against it")
    return site


def _local_site(options: Namespace) -> Site:
    """Without holds it makes three that nobody else uses; the first needs percent-encoding."""
    port, aws_endpoint, sandbox_url = _local_run(options.port)
    site = Site(places.local(port, aws_endpoint), environments.named("local"), _allowed(options), sandbox_url)
    if not site.allowed.holds:
        name = uuid4().hex[:12]
        site.allowed = Allowed((f'{name} "a\\é/1', f"{name}-2", f"{name}-3"), second_void=True)
        for order in site.allowed.holds:
            site.control("POST", "holds", {"order_id": order, "amount": 100, "currency": "UAH"})
    return site


def _local_run(port: int | None) -> tuple[int, str, str]:
    """The newest run, or the one with this port, by the note that `make run` keeps. Raises OpsError."""
    wanted = int(port or os.environ.get("PORT") or 0)
    for note in places.running():
        if wanted in (0, its_port := urlsplit(note["url"]).port or 80):
            return its_port, note["aws_endpoint"], note["sandbox_url"]
    raise OpsError(
        f"no local run found{f' on port {wanted}' if wanted else ''}: start it with `make run` in another terminal, "
        "then repeat this; or name a deployment, as in: make acceptance ENVIRONMENT=test HOLDS=order-1,order-2"
    )


def _allowed(options: Namespace) -> Allowed:
    lines = [*(options.holds or "").split(","), *_text(options.holds_file).splitlines()]
    given = tuple(order for order in lines if order)
    if twice := [order for order in given if given.count(order) > 1]:
        raise NotAllowed(f"the hold {twice[0]} is given twice")
    tokens = [_text(file).strip() or None for file in (options.token_file, options.expired_token_file)]
    profiles = (options.expired_profile, options.denied_profile, options.merchant_profile)
    return Allowed(given, options.allow_second_void, *profiles, *tokens)


def _text(file: str | None) -> str:
    return Path(file).read_text(encoding="utf-8") if file else ""


# ---- the run ---------------------------------------------------------------------------------------------------------


def _accept(options: Namespace, wanted: list[str]) -> int:
    with _site(options) as site:
        if options.clean:
            return _clean(site)
        # Is this the stack that this version deploys, and does it answer?
        _ = site.functions, site.resource(API)  # each is read; a stack of another version lacks one
        run.ready(site)
        changed = site.state.begin(f"{site.stack['StackId']} {site.stack.get('LastUpdatedTime', '')}")
        if changed and not site.local:
            _say("The stack has changed since the last run: what that run found is left out.")
        work = run.due(site, wanted, options.again)
        if work and not _agreed(site, work, options.yes):
            return 2
        return _run(site, work, wanted, options)


def _agreed(site: Site, work: run.Work, yes: bool) -> bool:
    _say("\n".join(plan(site, work)))
    if yes or site.local:
        return True
    if not sys.stdin.isatty():
        raise NotAllowed("nobody can be asked here: say --yes if all of this may be done")
    print("Go on? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower().startswith("y")


def plan(site: Site, work: run.Work) -> Iterator[str]:
    """What will be done, in words."""
    rows, minutes, given = sum(len(rows) for _, rows in work), sum(probe.minutes for probe, _ in work), site.allowed
    yield f"{site.place.stack}, account {masked_account(site.account)}, {site.place.region}: {rows} rows."
    if site.local:
        return
    yield f"It takes up to {max(round(minutes), 1)} minutes and costs less than a dollar. It will"
    for probe, _ in work:
        allowed = given.second_void or probe.rows != ("provider-second-void",)
        if probe.does and allowed and (probe.hold is None or probe.hold < len(given.holds)):
            yield f"  - {probe.does}"
    holds = ", ".join(clean(order) for order in given.holds) or "none"
    yield f"Holds that may be voided: {holds}. Whatever else is made is taken back."


def _run(site: Site, work: run.Work, wanted: list[str], options: Namespace) -> int:
    code, last_word, console = 0, "", progress_console()
    console.quiet = options.json

    def found(finding: Finding) -> None:
        console.print(f"{finding.verdict:<13} {finding.row:<28} {one_line(finding.why)}".rstrip())

    try:
        if number := undo.take_back(site):
            _say(f"An earlier run was stopped hard: {number} of its changes are taken back first.")
        with console.status("") as status:
            site.say = lambda text: status.update(clean(text))
            run.run(site, work, found)
    except KeyboardInterrupt:
        code, last_word = INTERRUPTED, "Interrupted: the same command goes on where it was."
    except run.Stopped as stopped:
        code, last_word = 1, f"error: {stopped}"
    document = run.document(site, wanted)
    files = run.write(site.state.path.parent, document)
    print(run.json_of(document)) if options.json else _show(document)
    left = [f"  - {one_line(one)}" for one in site.left_behind]
    if left:
        left.insert(0, "Left behind, because it could not be taken back; run the same command with --clean:")
    _say("\n".join(filter(None, [last_word, *left, f"Report: {' and '.join(files)}"])))
    contradicted, unseen = (document["counts"][verdict] for verdict in (Verdict.CONTRADICTED, Verdict.NOT_SEEN))
    return code or (1 if left else CONTRADICTED if contradicted else NOT_ALL_SEEN if options.strict and unseen else 0)


def _show(found: run.Document) -> None:
    screen = Screen()
    for verdict, advice in ((Verdict.NOT_SEEN, "why"), (Verdict.CONTRADICTED, "do")):
        if rows := [(row["id"], run.advice(row)) for row in found["rows"] if row["verdict"] == verdict]:
            screen.heading(verdict.value, above=True)
            screen.table(("row", advice), rows)
    screen.heading(run.counted(found), above=True)


def _clean(site: Site) -> int:
    left = [f"left: {one_line(site.redact.text(one))}" for one in undo.clean(site)]
    print("\n".join(left) or f"Nothing of an acceptance is left in {site.place.stack}.")
    return 1 if left else 0


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # Orders have letters that this terminal's encoding may lack.
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    # SIGTERM, from a pipeline that gives up, takes back what was made as Ctrl-C does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(main(sys.argv[1:]))
