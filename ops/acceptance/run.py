"""Runs probes and keeps what they find. Whatever goes wrong ends as a row with a reason, never as a traceback.

Promises that a run which is stopped has kept all that it found, and that nothing is asked for with credentials that
AWS no longer takes: a refusal of our own caller must not look like a finding.
"""

from collections.abc import Callable, Iterator, Sequence

import urllib3
from botocore import exceptions as aws
from botocore.exceptions import ClientError

from ops import places
from ops.acceptance.aws_rows import AWS_ROWS
from ops.acceptance.probes import (
    account,
    alarms,
    figures,
    gateway,
    holds,
    outcomes,
    past_the_service,
    provider,
    releases,
    rotation,
    scratch,
    void,
)
from ops.acceptance.provider_rows import PROVIDER_ROWS
from ops.acceptance.rows import Finding, Probe, Row, not_seen
from ops.acceptance.site import Site
from ops.places import OpsError
from ops.screen import one_line
from payments.secret import SecretError
from payments.settings import SettingsError

ROWS: tuple[Row, ...] = (*AWS_ROWS, *PROVIDER_ROWS)
# What is quick and moves nothing first; then the holds; then what AWS takes minutes for.
PROBES: tuple[Probe, ...] = (
    *gateway.PROBES, *account.PROBES, *provider.PROBES, *holds.PROBES, *void.PROBES,
    *past_the_service.PROBES, *alarms.PROBES, *rotation.PROBES,
    *releases.PROBES, *scratch.PROBES, *outcomes.PROBES, *figures.PROBES,
)  # fmt: skip

_EXPIRED = {
    "ExpiredToken", "ExpiredTokenException", "RequestExpired", "InvalidClientTokenId", "UnrecognizedClientException",
    "InvalidSignatureException", "SignatureDoesNotMatch", "AuthFailure", "InvalidAccessKeyId", "IncompleteSignature",
}  # fmt: skip
_DENIED = {
    "AccessDenied", "AccessDeniedException", "AuthorizationError", "AuthorizationErrorException", "ForbiddenException",
    "NotAuthorized", "UnauthorizedOperation",
}  # fmt: skip
_LOGGED_OUT = (
    aws.NoCredentialsError, aws.PartialCredentialsError, aws.CredentialRetrievalError, aws.TokenRetrievalError,
    aws.NoAuthTokenError, aws.SSOError, aws.LoginError,
)  # fmt: skip
_NETWORK = (aws.ConnectionError, aws.HTTPClientError, urllib3.exceptions.HTTPError, OSError)


class Stopped(OpsError):
    """Nothing more can be seen until somebody logs in again."""


def chosen(names: Sequence[str]) -> list[str]:
    """The rows that `--only` names: one by its name, several by how their names begin. Raises OpsError."""
    known = [row.id for row in ROWS]
    if not names:
        return known
    named = [part for name in names for part in name.split(",") if part]
    meant = {name: [name] if name in known else [one for one in known if one.startswith(name)] for name in named}
    if wrong := [name for name, rows in meant.items() if not rows]:
        raise OpsError(f"no row is called {', '.join(wrong)}: --list names them all")
    return [one for one in known if any(one in rows for rows in meant.values())]


def due(site: Site, wanted: Sequence[str], again: bool) -> list[tuple[Probe, list[str]]]:
    """The probes that are still to be run, each with the rows that it is run for."""
    open_rows = [row for row in wanted if again or not site.state.settled(row)]
    pairs = [(probe, [row for row in probe.rows if row in open_rows]) for probe in PROBES]
    return [(probe, rows) for probe, rows in pairs if rows]


def run(site: Site, work: Sequence[tuple[Probe, list[str]]], found: Callable[[Finding], None]) -> None:
    """Run them in turn. Raises Stopped; KeyboardInterrupt passes through."""
    for probe, rows in work:
        for finding in findings(site, probe, rows):
            kept = Finding(finding.row, finding.verdict, _hidden(site, finding), site.redact.text(finding.why))
            site.state.keep(kept, site.timestamp())
            found(kept)


def _hidden(site: Site, finding: Finding) -> dict[str, object]:
    shown = site.redact(finding.evidence)
    return shown if isinstance(shown, dict) else {}


def findings(site: Site, probe: Probe, rows: Sequence[str]) -> Iterator[Finding]:
    """What one probe finds about these rows; each of them ends with a verdict. Raises Stopped."""
    if site.local and probe.not_locally:
        yield from (not_seen(row, f"the local run cannot say: {probe.not_locally}") for row in rows)
        return
    left = list(rows)
    try:
        ready(site)
        for finding in probe.run(site):
            if finding.row in left:
                left.remove(finding.row)
                yield finding
        why = "the probe ended without a word about it"
    except Stopped:
        raise
    except Exception as error:  # noqa: BLE001 a row says what happened; the error's text may hold data
        why = reason(error)
    yield from (not_seen(row, why) for row in left)


def ready(site: Site) -> None:
    """Does the API still take our own caller? Raises Stopped, NoAnswer."""
    reply = site.call("GET", f"{site.base}/voids?limit=1")
    if reply.status == 403:
        raise Stopped(
            "the API refuses your own signed read (403): log in again, or give your role the stack's output "
            "CallerPolicy, and see that `callers` in infra/environments.py names it; then run the same command again"
        )


def reason(error: Exception) -> str:
    """An error as one line for a row. Raises Stopped where nothing more can be seen."""
    match error:
        case ClientError() if error.response.get("Error", {}).get("Code") in _EXPIRED:
            raise Stopped(f"{_refused(error)}: log in again, then run the same command again") from None
        case ClientError() if error.response.get("Error", {}).get("Code") in _DENIED:
            return f"a right is missing: {_refused(error)}"
        case ClientError():
            return _refused(error)
        case SecretError():
            return f"the provider's credentials cannot be used: {error.reason}"
        case OpsError() | SettingsError():
            return one_line(str(error))
        case _ if isinstance(error, _LOGGED_OUT):
            raise Stopped("there are no AWS credentials (any more): log in, then run the same command again") from None
        case aws.WaiterError():
            return f"AWS was not ready in time: {one_line(str(error))}"
        case _ if isinstance(error, _NETWORK):
            return f"the network gave no answer: {type(error).__name__}"
        case aws.ProfileNotFound() | aws.NoRegionError() | aws.ConfigParseError():
            return one_line(str(error))
        case _:
            return f"unexpected {type(error).__name__}: a defect of this command"


def _refused(error: ClientError) -> str:
    return one_line(places.refusal_of_aws(error))
