"""Runs probes and keeps what they find. Whatever goes wrong ends as a row with a reason, never as a traceback.

Promises that a run which is stopped has kept all that it found, and that nothing is asked with credentials that AWS no
longer takes, or of an API that is gone: what our own caller meets must not look like a finding.
"""

from collections.abc import Callable, Iterator, Sequence

import urllib3
from botocore import exceptions as aws
from botocore.exceptions import ClientError

from acceptance.rows import FACTS, Finding, Probe, Verdict, not_seen, read
from acceptance.site import Site
from acceptance.wire import NoAnswer
from ops.errors import told
from ops.places import OpsError

ROWS, PROBES = read()
CODES = FACTS["codes"]
AGAIN = "then run the same command again"

_LOGGED_OUT = (
    aws.NoCredentialsError, aws.PartialCredentialsError, aws.CredentialRetrievalError, aws.TokenRetrievalError,
    aws.NoAuthTokenError, aws.SSOError, aws.LoginError,
)  # fmt: skip
_NETWORK = (aws.ConnectionError, aws.HTTPClientError, urllib3.exceptions.HTTPError, OSError)

type Work = Sequence[tuple[Probe, list[str]]]


class Stopped(OpsError):
    """Nothing more can be seen until somebody logs in again, or the API is back."""


def chosen(names: Sequence[str]) -> list[str]:
    """The rows that `--only` names: one by its name, several by how their names begin. Raises OpsError."""
    known = [row.id for row in ROWS]
    named = [part for name in names for part in name.split(",") if part]
    meant = {name: [name] if name in known else [one for one in known if one.startswith(name)] for name in named}
    if wrong := [name for name, found in meant.items() if not found]:
        raise OpsError(f"no row is called {', '.join(wrong)}: --list names them all")
    return [one for one in known if not names or any(one in found for found in meant.values())]


def due(site: Site, wanted: Sequence[str], again: bool) -> Work:
    """The probes that are still to be run, each with the rows that it is run for."""
    left = [row for row in wanted if again or not site.state.settled(row)]
    pairs = [(probe, [row for row in probe.rows if row in left]) for probe in PROBES]
    return [(probe, rows) for probe, rows in pairs if rows]


def run(site: Site, work: Work, found: Callable[[Finding], None]) -> None:
    """Run them in turn. Raises Stopped; KeyboardInterrupt passes through."""
    for probe, rows in work:
        for finding in findings(site, probe, rows):
            evidence = {site.redact.text(name): site.redact(value) for name, value in finding.evidence.items()}
            kept = Finding(finding.row, finding.verdict, evidence, site.redact.text(finding.why))
            site.state.keep(kept, site.timestamp())
            found(kept)


def findings(site: Site, probe: Probe, rows: Sequence[str]) -> Iterator[Finding]:
    """What one probe finds about these rows; each of them ends with a verdict. Raises Stopped."""
    if site.local and probe.not_locally:
        yield from (not_seen(row, f"the local run cannot say: {probe.not_locally}") for row in rows)
        return
    left, unseen, why = list(rows), False, "the probe ended without a word about it"
    try:
        ready(site)
        for finding in probe.run(site):
            if finding.row in left:
                left.remove(finding.row)
                unseen = unseen or finding.verdict is Verdict.NOT_SEEN
                yield finding
    except Exception as error:  # noqa: BLE001 a row says what happened; the error's text may hold data
        why = reason(error)
    yield from (not_seen(row, why) for row in left)
    if left or unseen:
        ready(site)  # was it the API? After the last probe nobody else would notice


def ready(site: Site) -> None:
    """Does the API answer, and still take our own caller? Raises Stopped."""
    try:
        status = site.call("GET", f"{site.base}/voids?limit=1").status
    except NoAnswer as error:
        raise Stopped(f"{error}: the API cannot be reached. See that it is there, {AGAIN}") from None
    if status == 403:
        raise Stopped(
            "the API refuses your own signed read (403): log in again, or give your role the stack's output "
            f"CallerPolicy, and see that `callers` in infra/environments.py names it; {AGAIN}"
        )
    if status >= 500:
        raise Stopped(f"the API answers {status} to a signed read: see its alarms, {AGAIN}")


def reason(error: Exception) -> str:
    """An error as one line for a row. Raises Stopped where nothing more can be seen."""
    code = error.response.get("Error", {}).get("Code") if isinstance(error, ClientError) else None
    if isinstance(error, Stopped):
        raise error
    if code in CODES["expired"]:
        raise Stopped(f"{told(error)}: log in again, {AGAIN}") from None
    if isinstance(error, _LOGGED_OUT):
        raise Stopped(f"there are no AWS credentials (any more): log in, {AGAIN}") from None
    if code in CODES["denied"]:
        return f"a right is missing: {told(error)}"
    return f"the network gave no answer: {type(error).__name__}" if isinstance(error, _NETWORK) else told(error)
