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

from ops.acceptance.rows import Finding, Probe, judged
from ops.acceptance.site import WEBHOOK_ROUTE, NotGiven, Site
from ops.acceptance.wire import PROBLEM, Reply, Signer

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
FORGED = b"data=e30%3D&signature=AAAAAAAAAAAAAAAAAAAAAAAAAAA%3D"
MIB = 1024 * 1024
ODD = {"blank": "a b", "slash": "a/b", "accent": "é", "percent": "a%41"}
"""`a%41` decoded twice is `aA`, `é` read as Latin-1 is two letters."""
STRANGER = "127.0.0.2"
"""Where a local stranger calls from: loopback, and not among the addresses of the local environment."""


def path_encoding(site: Site) -> Iterator[Finding]:
    """Which order does a path name?"""
    replies = {name: site.read(site.nobody(letters)[16:]) for name, letters in ODD.items()}
    shown, good = {}, True
    for name, reply in replies.items():
        document = reply.json if isinstance(reply.json, dict) else {}
        named = str(document.get("order_id"))
        decoded = named.endswith(ODD[name]) and reply.status == 404
        good = good and decoded
        shown[name] = {"asked": ODD[name], "named": named[-8:]} | reply.evidence()
    yield judged("aws-path-encoding", good, shown)


# ---- signed wrongly --------------------------------------------------------------------------------------------------


def refusals(site: Site) -> Iterator[Finding]:
    """Who is not proven is refused, and reads why."""
    target, mine = f"{site.base}/voids?limit=1", site.signer()
    unknown = ReadOnlyCredentials("AKIA" + "ACCEPTANCENOBODY"[:16], "no-secret-of-anybody", None)
    wrong = ReadOnlyCredentials(mine.credentials.access_key, "not-the-secret-of-this-key", mine.credentials.token)
    elsewhere = "us-east-1" if site.place.region != "us-east-1" else "eu-west-1"
    signers = {
        "aws-unknown-key": replace(mine, credentials=unknown),
        "aws-wrong-secret": replace(mine, credentials=wrong),
        "aws-wrong-region": replace(mine, region=elsewhere),
        "aws-wrong-service": replace(mine, service="s3"),
        "aws-clock-off": replace(mine, at=site.now() - timedelta(minutes=6)),
    }
    replies = {row: site.call("GET", target, signer=signer) for row, signer in signers.items()}
    bearer = {"Authorization": "Bearer x"}
    others = [
        site.call("GET", f"{site.base}{path}", headers=bearer, unsigned=True) for path in ("/voids", "/nothing-here")
    ]
    unsigned = site.call("GET", target, unsigned=True)
    types = _refused_as(site, [*replies.values(), *others, unsigned])
    for row, reply in replies.items():
        yield judged(row, _is_refusal(reply), reply.evidence() | types(reply))
    paths = {path: reply.evidence() | types(reply) for path, reply in zip(("/voids", "unknown"), others, strict=True)}
    yield judged("aws-other-authorization", all(map(_is_refusal, others)), paths)
    document = unsigned.json if isinstance(unsigned.json, dict) else {}
    same = document.get("request_id") == unsigned.headers.get("x-amz-apigw-id")
    shown = unsigned.evidence() | types(unsigned) | {"request_id_is_the_header": same}
    yield judged("aws-refusal-type", _is_refusal(unsigned) and same, shown)


def _is_refusal(reply: Reply) -> bool:
    return reply.status == 403 and reply.problem == "unauthenticated"


def _refused_as(site: Site, replies: list[Reply]) -> Callable[[Reply], dict[str, object]]:
    """The response types by the access log. Evidence only: without the log, or the right to read it, there are none."""
    ids = [one for reply in replies if (one := reply.headers.get("x-amz-apigw-id"))]
    found: dict[str, object] = {}
    if not site.local and ids:
        with suppress(ClientError):
            entries = _entries(site, ids)
            found = {str(entry.get("request_id")): entry.get("refused_as") for entry in entries}

    def of(reply: Reply) -> dict[str, object]:
        one = reply.headers.get("x-amz-apigw-id", "")
        return {"refused_as": found[one]} if one in found else {}

    return of


def _entries(site: Site, ids: list[str]) -> list[dict[str, Any]]:
    pattern = "{ " + " || ".join(f'($.request_id = "{one}")' for one in ids) + " }"
    since = site.now() - timedelta(minutes=15)
    entries, _ = site.until(
        "the access log",
        lambda: site.access_log(pattern, since),
        lambda seen: len(seen) >= len(ids),
        site.patience.logs,
    )
    return entries


def expired(site: Site) -> Iterator[Finding]:
    """AWS gives no session shorter than a quarter of an hour, so an expired one must be brought along."""
    if site.allowed.expired_profile is None:
        raise NotGiven("it needs credentials of a session that has expired: --expired-profile NAME")
    reply = site.call("GET", f"{site.base}/voids?limit=1", signer=_of_profile(site, site.allowed.expired_profile))
    yield judged("aws-expired-token", _is_refusal(reply), reply.evidence())


def _of_profile(site: Site, name: str) -> Signer:
    try:
        credentials = boto3.Session(profile_name=name).get_credentials()
    except ProfileNotFound:
        credentials = None
    if credentials is None:
        raise NotGiven(f"there is no AWS profile {name} on this machine")
    return Signer(credentials.get_frozen_credentials(), site.place.region)


# ---- shaped oddly ----------------------------------------------------------------------------------------------------


def _slashed(site: Site) -> dict[str, str]:
    return {
        "at the end": f"{site.base}/voids/",
        "before the resource": f"{site.base}//voids",
        "before the stage": f"/{site.base}/voids",
    }


def slashes(site: Site) -> Iterator[Finding]:
    """Surplus slashes, signed and unsigned."""
    shown, inside = {}, False
    for name, target in _slashed(site).items():
        signed, unsigned = site.call("GET", target), site.call("GET", target, unsigned=True)
        inside = inside or unsigned.status != 403
        shown[name] = {"signed": signed.evidence(), "unsigned": unsigned.evidence()}
    yield judged("aws-surplus-slashes", not inside, shown)


def slashes_denied(site: Site) -> Iterator[Finding]:
    """The same by a caller whom the policy denies."""
    if site.allowed.denied_profile is None:
        raise NotGiven("it needs a caller of the account that `callers` does not name: --denied-profile NAME")
    signer = _of_profile(site, site.allowed.denied_profile)
    paths = {"as it is": f"{site.base}/voids"} | _slashed(site)
    replies = {name: site.call("GET", target, signer=signer) for name, target in paths.items()}
    shown = {name: reply.evidence() for name, reply in replies.items()}
    yield judged("aws-slashes-denied", all(reply.status == 403 for reply in replies.values()), shown)


def sizes(site: Site) -> Iterator[Finding]:
    """More than the gateway takes."""
    large = b" " * (10 * MIB + 1)
    json_type = {"Content-Type": "application/json"}
    void = site.call("POST", f"{site.base}/voids", headers=json_type, body=large)
    webhook = site.call("POST", f"{site.base}{WEBHOOK_ROUTE}", headers=FORM, body=large, unsigned=True)
    shown = {"void": void.evidence(), "webhook": webhook.evidence(), "problem_document": void.content_type == PROBLEM}
    yield judged("aws-body-too-large", void.status == 413 and webhook.status in (403, 413), shown)
    padded = site.call("GET", f"{site.base}/voids?limit=1", headers={"X-Padding": "x" * 11_000})
    yield judged("aws-headers-too-large", 400 <= padded.status < 500, padded.evidence())


def invalid_utf8(site: Site) -> Iterator[Finding]:
    """A body that is no text. The field too many has it refused in any case, so nothing is ever sent."""
    body = b'{"order_id":"' + site.nobody()[:20].encode() + b'\xff","order_currency":"UAH","acceptance":1}'
    reply = site.call("POST", f"{site.base}/voids", headers={"Content-Type": "application/json"}, body=body)
    document = reply.json if isinstance(reply.json, dict) else {}
    named = [str(one.get("pointer")) for one in document.get("errors", []) if isinstance(one, dict)]
    noticed = reply.status in (400, 415) and (not named or "/order_id" in named)
    yield judged("aws-invalid-utf8", noticed, reply.evidence() | {"errors": named})


def request_id(site: Site) -> Iterator[Finding]:
    """A caller's own request id, with a quote that would break a template."""
    mine = 'acceptance-"x'
    headers = {"x-amzn-RequestId": mine, "X-Amzn-Trace-Id": f"Root={mine}"}
    reply = site.call("GET", f"{site.base}/voids", headers=headers, unsigned=True)
    document = reply.json
    readable = isinstance(document, dict)
    named = str(document.get("request_id")) if readable else ""
    shown = reply.evidence() | {"json": readable, "callers_own": "acceptance" in named}
    yield judged("aws-request-id", readable and "acceptance" not in named, shown)


def forwarded_for(site: Site) -> Iterator[Finding]:
    """A stranger who says that the provider sent him."""
    address = site.environment.webhook_addresses[0].partition("/")[0]
    headers = FORM | {"X-Forwarded-For": address}
    source = STRANGER if site.local else None
    reply = site.call("POST", f"{site.base}{WEBHOOK_ROUTE}", headers=headers, body=FORGED, unsigned=True, source=source)
    yield judged("aws-forwarded-for", reply.status == 403, reply.evidence())


def method_override(site: Site) -> Iterator[Finding]:
    """Another method by a header."""
    override = {"X-HTTP-Method-Override": "POST"}
    source = STRANGER if site.local else None
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


PROBES = (
    Probe(rows=("aws-path-encoding",), run=path_encoding, does=""),
    Probe(
        rows=(
            "aws-unknown-key", "aws-wrong-secret", "aws-wrong-region", "aws-wrong-service", "aws-clock-off",
            "aws-other-authorization", "aws-refusal-type",
        ),
        run=refusals,
        does="send the API eight requests that it must refuse",
        rights=("apigateway:GET", "logs:FilterLogEvents"),
        minutes=2,
    ),
    Probe(rows=("aws-expired-token",), run=expired, does="", not_locally="the local run gives no sessions"),
    Probe(rows=("aws-surplus-slashes",), run=slashes, does=""),
    Probe(
        rows=("aws-slashes-denied",), run=slashes_denied, does="", not_locally="the local run knows one caller only"
    ),
    Probe(rows=("aws-body-too-large", "aws-headers-too-large"), run=sizes, does="send the API 20 MiB that it refuses"),
    Probe(rows=("aws-invalid-utf8",), run=invalid_utf8, does=""),
    Probe(rows=("aws-request-id",), run=request_id, does=""),
    Probe(rows=("aws-forwarded-for",), run=forwarded_for, does="send the API a forged webhook, which it must refuse"),
    Probe(rows=("aws-method-override",), run=method_override, does=""),
    Probe(rows=("aws-query-plus",), run=query_plus, does=""),
)  # fmt: skip
