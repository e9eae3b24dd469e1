"""Looks at a deployed API: from outside (`make smoke URL=https://…/v1`), and with `ENVIRONMENT=…` also whether what
is behind it is that environment, with the provider's credentials of that environment: the rows of an acceptance that
have a sentence for it.

Promises to send nothing that could void a hold, and to print no credential but `pos_id`. Nothing is checked silently
less: what was not seen is printed as such. Exits 0 only if every check holds.
"""

import argparse
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from botocore.credentials import ReadOnlyCredentials

from acceptance.limits import Allowed
from acceptance.redact import Redactor
from acceptance.rows import FACTS, Finding, Probe, Verdict
from acceptance.run import PROBES, ROWS
from acceptance.site import Site
from acceptance.state import State
from infra import environments
from infra.environment import Environment
from ops import places
from ops.errors import EXPECTED, exit_code, told
from ops.places import OpsError, Place
from ops.screen import one_line

SAYS = {row.id: row.smoke for row in ROWS if row.smoke}
CHECKS = [probe for probe in PROBES if SAYS.keys() & set(probe.rows)]
OUTSIDE, INSIDE = CHECKS[:2], CHECKS[2:]
WORDS = {Verdict.CONFIRMED: "ok", Verdict.CONTRADICTED: "FAIL"}


class Result(NamedTuple):
    """What one check found: `ok`, `FAIL`, or `skip` with the reason why nobody looked."""

    verdict: str
    says: str
    why: str = ""


def look(base: str, environment: Environment | None) -> Iterator[Result]:
    """All that is found, check by check."""
    nobody = Place("", "", None, ReadOnlyCredentials("", "", None), base)
    outside = _site(nobody, environment or Environment(name="unnamed"))
    for probe in OUTSIDE:
        yield from check(outside, probe)
    if environment is None:
        yield Result("skip", "whose credentials it has", "say ENVIRONMENT=…")
        return
    try:
        site = _site(replace(place_of(base, environment), api_url=base), environment)
    except OpsError as error:
        yield Result("FAIL", SAYS["aws-own-address"].format(environment=environment.name), told(error))
        return
    for probe in INSIDE:
        found = list(check(site, probe))
        yield from found
        if len(found) < len(SAYS.keys() & set(probe.rows)) or (probe is INSIDE[0] and found[0].verdict != "ok"):
            return  # it ended early, or it is another API


def _site(place: Place, environment: Environment) -> Site:
    return Site(place, environment, State(Path()), Allowed(), Redactor())


def check(site: Site, probe: Probe) -> Iterator[Result]:
    """One probe's checks; what goes wrong on the way to one is a failed check, not a traceback."""
    left = [row for row in probe.rows if row in SAYS]
    try:
        for finding in probe.run(site):
            left.remove(finding.row)
            yield _result(site, finding)
    except EXPECTED as error:
        yield Result("FAIL", SAYS[left[0]].format(environment=site.environment.name), told(error))


def _result(site: Site, finding: Finding) -> Result:
    skipped = finding.why.startswith("the local run cannot say")
    word = WORDS.get(finding.verdict, "skip" if skipped else "FAIL")
    says = SAYS[finding.row].format(environment=site.environment.name)
    return Result(word, says, one_line(finding.why))


def place_of(base: str, environment: Environment) -> Place:
    """Where it is; the local run is found by its port. Raises OpsError."""
    if environment.local:
        return places.local(urlsplit(base).port or 80, None)
    return places.deployed(environment.name, environment.region, None)


def main(arguments: list[str]) -> int:
    """Run the checks; 0 if all hold, 1 if not. Called wrongly: exit code 2."""
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("python -m acceptance.smoke", None, **FACTS["smoke"], formatter_class=form)
    parser.add_argument("url", metavar="URL", type=_address, help="with its stage, as in https://{api}/v1")
    whose = "whose it must be: test, prod or local"
    parser.add_argument("--environment", metavar="NAME", type=_environment, help=whose)
    if not arguments:
        parser.print_help()
        return 2
    chosen = parser.parse_args(arguments)
    return exit_code(lambda: _report(look(chosen.url, chosen.environment)))


def _report(results: Iterator[Result]) -> int:
    failures = 0
    for found in results:
        failures += found.verdict == "FAIL"
        print(f"{found.verdict:<5}{found.says}" + (f" ({found.why})" if found.why else ""), flush=True)
    return 1 if failures else 0


def _address(text: str) -> str:
    if not text.startswith(("http://", "https://")) or not urlsplit(text).hostname:
        raise argparse.ArgumentTypeError("not an http(s) address")
    return text.rstrip("/")


def _environment(name: str) -> Environment:
    try:
        return environments.named(name)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
