"""`make smoke`: an acceptance's rows that have a sentence for it; with `ENVIRONMENT=…` also whether what is behind the
address is that environment, with its credentials of the provider.

Promises to send no void, to print no credential but `pos_id`, and to print what was not seen as such.
"""

import argparse
import sys
from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import urlsplit

from botocore.credentials import ReadOnlyCredentials

from acceptance.rows import FACTS, Probe, Verdict
from acceptance.run import PROBES, ROWS
from acceptance.site import Site
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

Result = tuple[str, str, str]
"""What one check found: `ok`, `FAIL` or `skip`; what it says; the reason why it failed or nobody looked."""


def look(base: str, environment: Environment | None) -> Iterator[Result]:
    nobody = ReadOnlyCredentials("", "", None)
    outside = Site(Place("", "", None, nobody, base), environment or Environment(name="unnamed"))
    for probe in OUTSIDE:
        yield from check(outside, probe)
    if environment is None:
        yield "skip", "whose credentials it has", "say ENVIRONMENT=…"
        return
    try:
        local, where = environment.local, (environment.name, environment.region, None)
        place = places.local(urlsplit(base).port or 80, None) if local else places.deployed(*where)
        site = Site(replace(place, api_url=base), environment)
    except OpsError as error:
        yield "FAIL", SAYS["aws-own-address"].format(environment=environment.name), told(error)
        return
    for probe in INSIDE:
        found = list(check(site, probe))
        yield from found
        if len(found) < len(SAYS.keys() & set(probe.rows)) or (probe is INSIDE[0] and found[0][0] != "ok"):
            return  # it ended early, or it is another API


def check(site: Site, probe: Probe) -> Iterator[Result]:
    """One probe's checks; what goes wrong on the way to one is a failed check, not a traceback."""
    left = {row: SAYS[row].format(environment=site.environment.name) for row in probe.rows if row in SAYS}
    try:
        for finding in probe.run(site):
            skipped = finding.why.startswith("the local run cannot say")
            word = WORDS.get(finding.verdict, "skip" if skipped else "FAIL")
            yield word, left.pop(finding.row), one_line(finding.why)
    except EXPECTED as error:
        yield "FAIL", next(iter(left.values())), told(error)


def main(arguments: list[str]) -> int:
    """Run the checks; 0 if all hold, 1 if not. Called wrongly: exit code 2."""
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("python -m acceptance.smoke", None, **FACTS["smoke"], formatter_class=form)
    parser.add_argument("url", metavar="URL", type=_address, help="with its stage, as in https://{api}/v1")
    known, whose = sorted(environments.ENVIRONMENTS), "whose it must be: test, prod or local"
    parser.add_argument("--environment", metavar="NAME", choices=known, help=whose)
    if not arguments:
        parser.print_help()
        return 2
    chosen = parser.parse_args(arguments)
    return exit_code(lambda: _report(look(chosen.url, environments.ENVIRONMENTS.get(chosen.environment))))


def _report(results: Iterator[Result]) -> int:
    failures = 0
    for verdict, says, why in results:
        failures += verdict == "FAIL"
        print(f"{verdict:<5}{says}" + (f" ({why})" if why else ""), flush=True)
    return 1 if failures else 0


def _address(text: str) -> str:
    if not text.startswith(("http://", "https://")) or not urlsplit(text).hostname:
        raise argparse.ArgumentTypeError("not an http(s) address")
    return text.rstrip("/")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
