"""What `make smoke` checks beside requests: TLS, the address, and whose the provider's credentials are. Only looks."""

from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

from acceptance.rows import Finding, judged, not_seen
from acceptance.site import Site
from acceptance.wire import NoAnswer
from infra import environments
from infra.environment import Environment
from ops import systems
from payments.secret import FIELDS

LOOPBACK = ("127.0.0.1", "localhost", "::1")


def transport(site: Site) -> Iterator[Finding]:
    """TLS, and whose; plain HTTP is for the local run only."""
    row, parts = "aws-tls", urlsplit(site.origin)
    if parts.scheme == "http":
        local = not_seen(row, "the local run cannot say: it has no TLS")
        yield local if parts.hostname in LOOPBACK else judged(row, False, {}, "plain HTTP")
        return
    try:
        site.call("GET", f"{site.base}/nothing-here", unsigned=True)
    except NoAnswer as error:
        yield not_seen(row, str(error))
    else:
        yield judged(row, True, {"scheme": parts.scheme})


def address(site: Site) -> Iterator[Finding]:
    """Is it this environment's API?"""
    theirs = site.output("ApiUrl").rstrip("/")
    same = theirs == site.api_url
    yield judged("aws-own-address", same, {"same": same}, "" if same else f"its ApiUrl is {theirs}")


def credentials(site: Site) -> Iterator[Finding]:
    """The secret is filled, it is this environment's, and the provider takes it: in this order."""
    found = site.credentials  # raises when a field is missing
    yield judged("aws-secret-fields", True, {"fields": list(FIELDS)})
    wrong = whose(found.pos_id, site.environment, environments.ENVIRONMENTS)
    shown = f"pos_id '{found.pos_id}'"
    yield judged("aws-secret-project", not wrong, {"pos_id": found.pos_id}, f"{shown}: {wrong}" if wrong else shown)
    taken = systems.provider(site.functions["submit_void"].variables).accepts(found, systems.deadline())
    why = "" if taken else "no answer that says so" if taken is None else "it refuses them"
    yield judged("aws-secret-accepted", taken is True, {"accepted": taken}, why)


def whose(pos_id: str, environment: Environment, known: Mapping[str, Environment]) -> str:
    """Test and live projects differ by their credentials only, so nothing but `pos_id` can tell them apart."""
    others = [one for one in known.values() if one.name != environment.name]
    if owners := [one.name for one in others if one.pos_id == pos_id.lower()]:
        return f"it is the pos_id of {owners[0]}"
    if environment.pos_id is None:
        return f"nobody can say: set {environment.name}.pos_id in infra/environments.py"
    return "" if pos_id.lower() == environment.pos_id else f"expected '{environment.pos_id}'"
