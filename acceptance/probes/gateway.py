"""What API Gateway makes of requests that are signed wrongly, shaped oddly or not meant for it. Voids nothing.

What counts is that nobody gets in and that a refusal can be read; which of two harmless ways AWS goes is evidence.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any

import boto3
from botocore.credentials import ReadOnlyCredentials
from botocore.exceptions import ClientError, ProfileNotFound

from acceptance.probes.smoke import FORGED, FORM
from acceptance.rows import Finding, judged, not_seen
from acceptance.site import JSON, WEBHOOK_ROUTE, NotGiven, Site
from acceptance.wire import PROBLEM, Reply, Signer, compact

MIB = 1024 * 1024
ODD = {"blank": "a b", "slash": "a/b", "accent": "é", "percent": "a%41", "ticket": 'b%+"🎫'}
"""`a%41` decoded twice is `aA`, `é` read as Latin-1 is two letters."""
STRANGER = "127.0.0.2"
"""Where a local stranger calls from: loopback, and not among the addresses of the local environment."""


def path_encoding(site: Site) -> Iterator[Finding]:
    """Which order does a path name?"""
    shown, good = {}, True
    for name, letters in ODD.items():
        order = site.nobody(letters)[16:]
        reply = site.read(order)
        named = str(reply.document.get("order_id"))
        good = good and named == order and reply.status == 404
        shown[name] = {"asked": letters, "named": named[-8:]} | reply.evidence()
    yield judged("aws-path-encoding", good, shown, "" if good else f"named {shown}")


# ---- signed wrongly --------------------------------------------------------------------------------------------------


def refusals(site: Site) -> Iterator[Finding]:
    """Who is not proven is refused, and reads why."""
    target, mine = f"{site.base}/voids?limit=1", site.signer()
    unknown = ReadOnlyCredentials("AKIA" + "ACCEPTANCENOBODY"[:16], "no-secret-of-anybody", None)
    wrong = ReadOnlyCredentials(mine.credentials.access_key, "not-the-secret-of-this-key", mine.credentials.token)
    signers = {
        "aws-unknown-key": replace(mine, credentials=unknown),
        "aws-wrong-secret": replace(mine, credentials=wrong),
        "aws-wrong-region": replace(mine, region="us-east-1" if site.place.region != "us-east-1" else "eu-west-1"),
        "aws-wrong-service": replace(mine, service="s3"),
        "aws-clock-off": replace(mine, at=site.now() - timedelta(minutes=6)),
    }
    replies = {row: site.call("GET", target, signer=signer) for row, signer in signers.items()}
    bearer, paths = {"Authorization": "Bearer x"}, {"/voids": "/voids", "unknown": "/nothing-here"}
    others = {name: site.call("GET", site.base + path, headers=bearer, unsigned=True) for name, path in paths.items()}
    unsigned = site.call("GET", target, unsigned=True)
    logged = logged_as(site, [*replies.values(), *others.values(), unsigned], "refused_as")
    for row, reply in replies.items():
        yield judged(row, _is_refusal(reply), reply.evidence() | logged(reply))
    shown = {name: reply.evidence() | logged(reply) for name, reply in others.items()}
    yield judged("aws-other-authorization", all(map(_is_refusal, others.values())), shown)
    same = unsigned.document.get("request_id") == unsigned.headers.get("x-amz-apigw-id")
    evidence = unsigned.evidence() | logged(unsigned) | {"request_id_is_the_header": same}
    yield judged("aws-refusal-type", _is_refusal(unsigned) and same, evidence)


def _is_refusal(reply: Reply) -> bool:
    return reply.status == 403 and reply.problem == "unauthenticated"


def logged_as(site: Site, replies: list[Reply], *names: str) -> Callable[[Reply], dict[str, object]]:
    """Members of the access log's lines. Evidence only: without the log, or the right to read it, there are none."""
    ids = [one for reply in replies if (one := reply.headers.get("x-amz-apigw-id"))]
    entries: list[dict[str, Any]] = []
    if not site.local and ids:
        pattern, since = " || ".join(f'($.request_id = "{one}")' for one in ids), site.now() - timedelta(minutes=15)

        def lines() -> list[dict[str, Any]]:
            return site.access_log(f"{{ {pattern} }}", since)

        with suppress(ClientError):
            entries, _ = site.until("the access log", lines, lambda seen: len(seen) >= len(ids), site.patience.logs)
    found = {str(entry.get("request_id")): {name: entry.get(name) for name in names} for entry in entries}
    return lambda reply: dict(found.get(reply.headers.get("x-amz-apigw-id", ""), {}))


def expired(site: Site) -> Iterator[Finding]:
    """AWS gives no session shorter than a quarter of an hour, so an expired one must be brought along."""
    signer = _of_profile(
        site, site.allowed.expired_profile, "credentials of a session that has expired: --expired-profile"
    )
    reply = site.call("GET", f"{site.base}/voids?limit=1", signer=signer)
    yield judged("aws-expired-token", _is_refusal(reply), reply.evidence())


def _of_profile(site: Site, name: str | None, needs: str) -> Signer:
    if name is None:
        raise NotGiven(f"it needs {needs} NAME")
    credentials = None
    with suppress(ProfileNotFound):
        credentials = boto3.Session(profile_name=name).get_credentials()
    if credentials is None:
        raise NotGiven(f"there is no AWS profile {name} on this machine")
    return Signer(credentials.get_frozen_credentials(), site.place.region)


def decisions(site: Site) -> Iterator[Finding]:
    """A merchant asks for a decision about an order that nobody has: it must be refused before the order is read."""
    merchant = site.signer()
    if not site.local:
        needs = "a caller whom `callers` names and `operators` does not: --merchant-profile"
        merchant = _of_profile(site, site.allowed.merchant_profile, needs)
    target = f"{site.base}/voids/{site.nobody()}/decisions"
    body = compact({"decision": "reviewed", "revision": "0" * 16, "note": "acceptance"})
    reply = site.call("POST", target, headers=JSON, body=body, signer=merchant)
    reads = site.call("GET", f"{site.base}/voids?limit=1", signer=merchant)
    shown = {"decision": reply.evidence(), "read": reads.evidence()}
    if reads.status != 200:
        yield not_seen("aws-decision-refused", "this caller may not even read: it is no merchant", shown)
    else:
        yield judged("aws-decision-refused", _is_refusal(reply), shown)


# ---- shaped oddly ----------------------------------------------------------------------------------------------------


def _slashed(site: Site) -> dict[str, str]:
    paths = {"at the end": "{}/voids/", "before the resource": "{}//voids", "before the stage": "/{}/voids"}
    return {name: path.format(site.base) for name, path in paths.items()}


def slashes(site: Site) -> Iterator[Finding]:
    """Surplus slashes, signed and unsigned."""
    shown, inside = {}, False
    for name, target in _slashed(site).items():
        signed, unsigned = site.call("GET", target), site.call("GET", target, unsigned=True)
        inside = inside or unsigned.status != 403
        shown[name] = {"signed": signed.evidence(), "unsigned": unsigned.evidence()}
    yield judged("aws-surplus-slashes", not inside, shown)


def denied(site: Site) -> Iterator[Finding]:
    """The same by a caller whom the policy denies, and what the access log says of that caller."""
    needs = "a caller of the account that `callers` does not name: --denied-profile"
    signer = _of_profile(site, site.allowed.denied_profile, needs)
    paths = {"as it is": f"{site.base}/voids"} | _slashed(site)
    replies = {name: site.call("GET", target, signer=signer) for name, target in paths.items()}
    shown = {name: reply.evidence() for name, reply in replies.items()}
    yield judged("aws-slashes-denied", all(reply.status == 403 for reply in replies.values()), shown)
    refused = replies["as it is"]
    line = logged_as(site, [refused], "account", "refused_as")(refused)
    if not line:
        yield not_seen("aws-refused-account", "the access log has no line of it yet, or may not be read", shown)
    else:
        yield judged("aws-refused-account", line["account"] not in (None, "", "-"), line)


def sizes(site: Site) -> Iterator[Finding]:
    """More than the gateway takes."""
    large = b" " * (10 * MIB + 1)
    void = site.call("POST", f"{site.base}/voids", headers=JSON, body=large)
    webhook = site.call("POST", f"{site.base}{WEBHOOK_ROUTE}", headers=FORM, body=large, unsigned=True)
    shown = {"void": void.evidence(), "webhook": webhook.evidence(), "problem_document": void.content_type == PROBLEM}
    yield judged("aws-body-too-large", void.status == 413 and webhook.status in (403, 413), shown)
    padded = site.call("GET", f"{site.base}/voids?limit=1", headers={"X-Padding": "x" * 11_000})
    yield judged("aws-headers-too-large", 400 <= padded.status < 500, padded.evidence())


def invalid_utf8(site: Site) -> Iterator[Finding]:
    """A body that is no text. The field too many has it refused in any case, so nothing is ever sent."""
    body = b'{"order_id":"' + site.nobody()[:20].encode() + b'\xff","order_currency":"UAH","acceptance":1}'
    reply = site.call("POST", f"{site.base}/voids", headers=JSON, body=body)
    named = [str(one.get("pointer")) for one in reply.document.get("errors", []) if isinstance(one, dict)]
    noticed = reply.status in (400, 415) and (not named or "/order_id" in named)
    yield judged("aws-invalid-utf8", noticed, reply.evidence() | {"errors": named})


def request_id(site: Site) -> Iterator[Finding]:
    """A caller's own request id, with a quote that would break a template."""
    mine = 'acceptance-"x'
    headers = {"x-amzn-RequestId": mine, "X-Amzn-Trace-Id": f"Root={mine}"}
    reply = site.call("GET", f"{site.base}/voids", headers=headers, unsigned=True)
    shown = {"json": bool(reply.document), "callers_own": "acceptance" in str(reply.document.get("request_id"))}
    yield judged("aws-request-id", shown["json"] and not shown["callers_own"], reply.evidence() | shown)


def forwarded_for(site: Site) -> Iterator[Finding]:
    """A stranger who says that the provider sent him."""
    headers = FORM | {"X-Forwarded-For": site.environment.webhook_addresses[0].partition("/")[0]}
    source = STRANGER if site.local else None
    reply = site.call("POST", f"{site.base}{WEBHOOK_ROUTE}", headers=headers, body=FORGED, unsigned=True, source=source)
    yield judged("aws-forwarded-for", reply.status == 403, reply.evidence())


def method_override(site: Site) -> Iterator[Finding]:
    """Another method by a header."""
    override, source = {"X-HTTP-Method-Override": "POST"}, STRANGER if site.local else None
    webhook = site.call("GET", f"{site.base}{WEBHOOK_ROUTE}", headers=override, unsigned=True, source=source)
    unsigned = site.call("GET", f"{site.base}/voids", headers=override, unsigned=True)
    signed = site.call("GET", f"{site.base}/voids", headers=override)
    shown = {"webhook": webhook.evidence(), "unsigned": unsigned.evidence(), "signed": signed.evidence()}
    refused = webhook.status == 403 and unsigned.status == 403
    yield judged("aws-method-override", refused and signed.status in (200, 400, 403, 415), shown)


def query_plus(site: Site) -> Iterator[Finding]:
    """A blank in a query: a cursor that is none, so the function answers 400 once the signature is accepted."""
    replies = {form: site.call("GET", f"{site.base}/voids?cursor=a{form}b") for form in ("%20", "+")}
    shown = {form: reply.evidence() for form, reply in replies.items()}
    yield judged("aws-query-plus", replies["%20"].status == 400, shown)
