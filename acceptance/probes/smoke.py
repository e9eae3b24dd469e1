"""What `make smoke` checks, too: from outside, then whether what is behind it is this environment. Only looks.

After a failed step nothing more is said that would depend on it: it might be about another deployment.
"""

from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

from acceptance.rows import Finding, judged, not_seen
from acceptance.site import JSON, WEBHOOK_ROUTE, Site
from acceptance.wire import PROBLEM, NoAnswer, Reply, compact
from infra import environments
from infra.environment import Environment
from ops import systems
from payments.secret import FIELDS

LOOPBACK = ("127.0.0.1", "localhost", "::1")
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
FORGED = b"data=e30%3D&signature=AAAAAAAAAAAAAAAAAAAAAAAAAAA%3D"
# Row, method, path, headers, body, and how it must be refused.
REFUSED: tuple[tuple[str, str, str, dict[str, str], bytes, tuple[int, ...]], ...] = (
    ("aws-unsigned-void", "POST", "/voids", JSON, compact({"order_id": "smoke", "order_currency": "XTS"}), (403,)),
    ("aws-unsigned-read", "GET", "/voids/smoke", {}, b"", (403,)),
    # 403: our address is not the provider's. 401: it is allowed (a local run), so the signature is checked.
    ("aws-forged-webhook", "POST", WEBHOOK_ROUTE, FORM, FORGED, (401, 403)),
    ("aws-unknown-route", "GET", "/nothing-here", {}, b"", (403,)),
)


def outside(site: Site) -> Iterator[Finding]:
    """What anybody may see."""
    yield _transport(site)
    for row, method, path, headers, body, statuses in REFUSED:
        try:
            reply = site.call(method, site.base + path, headers=headers, body=body, unsigned=True)
        except NoAnswer as error:
            yield not_seen(row, str(error))
        else:
            wrong = _wrong(reply, statuses)
            yield judged(row, not wrong, reply.evidence(), wrong)


def _transport(site: Site) -> Finding:
    """TLS, and whose; plain HTTP is for the local run only."""
    parts = urlsplit(site.origin)
    if parts.scheme == "http":
        local = parts.hostname in LOOPBACK
        why = "the local run cannot say: it has no TLS"
        return not_seen("aws-tls", why) if local else judged("aws-tls", False, {}, "plain HTTP")
    try:
        site.call("GET", f"{site.base}/nothing-here", unsigned=True)
    except NoAnswer as error:
        return not_seen("aws-tls", str(error))
    return judged("aws-tls", True, {"scheme": parts.scheme})


def _wrong(reply: Reply, statuses: tuple[int, ...]) -> str:
    """What is wrong with a refusal; empty if nothing is."""
    if reply.status not in statuses:
        return f"status {reply.status}, expected {' or '.join(map(str, statuses))}"
    if reply.content_type != PROBLEM:
        return f"content type '{reply.content_type}', expected '{PROBLEM}'"
    return "" if reply.document.get("status") == reply.status else "the body is not the problem document of its status"


def inside(site: Site) -> Iterator[Finding]:
    """Is it this environment's API, and does it answer a signed call?"""
    address = site.output("ApiUrl").rstrip("/")
    same = address == site.api_url
    yield judged("aws-own-address", same, {"same": same}, "" if same else f"its ApiUrl is {address}")
    if same:
        reply = site.call("GET", f"{site.base}/voids?limit=1")
        answered = reply.status == 200 and "voids" in reply.document
        yield judged("aws-signed-read", answered, reply.evidence(), "" if answered else f"status {reply.status}")


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
