"""Verification of AWS Signature Version 4 for `execute-api`, as API Gateway does it: in a header or in the query.

Computed from the received bytes only; accepts one access key and never says what the right signature would have been.
Says what AWS says, and besides what helps to find the mistake: by how much a clock is off, which region was expected.
"""

import base64
import hashlib
import hmac
import posixpath
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl, quote, unquote

ACCESS_KEY = "local"
SECRET_KEY = "local-secret"
ALGORITHM = "AWS4-HMAC-SHA256"
MAX_SKEW = timedelta(minutes=5)  # as API Gateway: an older signature is a replay or a wrong clock
LONGEST_PRESIGNED = timedelta(days=7)

_CREDENTIAL = re.compile(r"(?P<key>[^/,\s]+)/(?P<date>\d{8})/(?P<region>[^/,\s]+)/(?P<service>[^/,\s]+)/aws4_request")

type Headers = Sequence[tuple[str, str]]


class Refused(Exception):
    """The request does not prove who sent it; `kind` is the type of the gateway's response."""

    def __init__(self, kind: str, message: str, error_type: str | None = None) -> None:
        super().__init__(message)
        self.kind, self.error_type = kind, error_type


@dataclass(frozen=True)
class Claim:
    """What a request says of its signature."""

    credential: str
    signed_headers: str
    signature: str
    sent_at: str
    token: str | None
    valid_for: timedelta = MAX_SKEW


def is_signature(authorization: str) -> bool:
    return authorization.startswith(ALGORITHM)


def verify(method: str, target: str, headers: Headers, body: bytes, region: str, now: datetime) -> None:
    """Raises Refused unless the request carries a valid, recent signature of the local access key."""
    path, _, query = target.partition("?")
    received = _by_name(headers)
    claim = _claim(received, dict(parse_qsl(query, keep_blank_values=True)))
    scope = _CREDENTIAL.fullmatch(claim.credential)
    if scope is None:
        raise incomplete(claim.credential)
    _check_key(scope["key"], claim.token)
    _check_scope(scope["region"], scope["service"], region)
    _check_date(claim, scope["date"], now)
    signed = claim.signed_headers.split(";")
    if "host" not in signed or any(name.startswith("x-amz-") and name not in signed for name in received):
        raise Refused("INVALID_SIGNATURE", "'Host' or 'X-Amz-*' headers must be signed: all that are sent.")
    # The hash of the body that arrived, whatever X-Amz-Content-SHA256 claims: execute-api has no unsigned payloads.
    request = canonical_request(method, path, _without_signature(query), received, signed, body)
    expected = _signature(claim.sent_at, scope, request)
    if not hmac.compare_digest(expected.encode(), claim.signature.encode()):
        raise Refused(
            "INVALID_SIGNATURE",
            "The request signature we calculated does not match the signature you provided. Check your AWS Secret "
            "Access Key and signing method. Consult the service documentation for details.",
        )


def incomplete(what: str) -> Refused:
    """For what is no SigV4 at all. What was sent may be somebody's password, so only its hash is said."""
    digest = base64.b64encode(hashlib.sha256(what.encode("utf-8", "replace")).digest()).decode()
    return Refused(
        "INVALID_SIGNATURE",
        "Authorization header requires 'Credential', 'Signature' and 'SignedHeaders' parameters. "
        f"(Hashed with SHA-256 and encoded with Base64) Authorization={digest}",
        "IncompleteSignatureException",
    )


def canonical_request(
    method: str, path: str, query: str, received: Mapping[str, str], signed: Sequence[str], body: bytes
) -> str:
    values = "".join(f"{name}:{received.get(name, '')}\n" for name in signed)
    payload = hashlib.sha256(body).hexdigest()
    return f"{method}\n{_canonical_path(path)}\n{_canonical_query(query)}\n{values}\n{';'.join(signed)}\n{payload}"


# ---- what the request says -------------------------------------------------------------------------------------------


def _claim(received: Mapping[str, str], query: Mapping[str, str]) -> Claim:
    authorization = received.get("authorization")
    if authorization is None and "X-Amz-Signature" in query:
        return _presigned(query)
    if authorization is None:
        raise Refused("MISSING_AUTHENTICATION_TOKEN", "Missing Authentication Token")
    if not is_signature(authorization):
        raise incomplete(authorization)
    parts = (part.strip().partition("=") for part in authorization.removeprefix(ALGORITHM).split(","))
    named = {name: value for name, _, value in parts}
    if not all(named.get(name) for name in ("Credential", "SignedHeaders", "Signature")):
        raise incomplete(authorization)
    return Claim(
        credential=named["Credential"],
        signed_headers=named["SignedHeaders"],
        signature=named["Signature"],
        sent_at=received.get("x-amz-date", ""),
        token=received.get("x-amz-security-token"),
    )


def _presigned(query: Mapping[str, str]) -> Claim:
    seconds = query.get("X-Amz-Expires", "")
    if query.get("X-Amz-Algorithm") != ALGORITHM or not seconds.isdecimal() or len(seconds) > 6:
        raise incomplete(query["X-Amz-Signature"])
    return Claim(
        credential=query.get("X-Amz-Credential", ""),
        signed_headers=query.get("X-Amz-SignedHeaders", ""),
        signature=query["X-Amz-Signature"],
        sent_at=query.get("X-Amz-Date", ""),
        token=query.get("X-Amz-Security-Token"),
        valid_for=min(timedelta(seconds=int(seconds)), LONGEST_PRESIGNED),
    )


def _by_name(headers: Headers) -> dict[str, str]:
    collected: dict[str, list[str]] = {}
    for name, value in headers:
        collected.setdefault(name.lower(), []).append(" ".join(value.split()))
    return {name: ",".join(values) for name, values in collected.items()}


# ---- what is checked -------------------------------------------------------------------------------------------------


def _check_key(key: str, token: str | None) -> None:
    # A token belongs to a temporary key, and the one key here is none.
    if key != ACCESS_KEY or token is not None:
        raise Refused("ACCESS_DENIED", "The security token included in the request is invalid.")


def _check_scope(given: str, service: str, expected: str) -> None:
    if given != expected:
        raise Refused(
            "INVALID_SIGNATURE",
            f"Credential should be scoped to a valid region, not '{given}'. Expected: '{expected}'.",
        )
    if service != "execute-api":
        raise Refused(
            "INVALID_SIGNATURE", f"Credential should be scoped to correct service: 'execute-api'. ({service})"
        )


def _check_date(claim: Claim, scope_date: str, now: datetime) -> None:
    try:
        moment = datetime.strptime(claim.sent_at, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        raise Refused(
            "INVALID_SIGNATURE", "Date in X-Amz-Date is missing or not of the form 20261124T101010Z."
        ) from None
    if claim.sent_at[:8] != scope_date:
        raise Refused(
            "INVALID_SIGNATURE",
            f"Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date: {scope_date}",
        )
    if moment < now - claim.valid_for:
        raise Refused("INVALID_SIGNATURE", f"Signature expired: {_compared(moment, 'earlier', now, -claim.valid_for)}")
    if moment > now + MAX_SKEW:
        raise Refused("INVALID_SIGNATURE", f"Signature not yet current: {_compared(moment, 'later', now, MAX_SKEW)}")


def _compared(moment: datetime, how: str, now: datetime, allowed: timedelta) -> str:
    minutes, seconds = divmod(abs(allowed) // timedelta(seconds=1), 60)
    off, period = abs(now - moment) // timedelta(seconds=1), f"{seconds} s." if seconds else f"{minutes} min."
    if how == "earlier":
        adverb, sign, help_ = "now", "-", f"The caller's clock is {off} s slow, or the request is that old."
    else:
        adverb, sign, help_ = "still", "+", f"The caller's clock is {off} s fast."
    limit = f"{_basic(now + allowed)} ({_basic(now)} {sign} {period})"
    return f"{_basic(moment)} is {adverb} {how} than {limit} {help_}"


def _basic(moment: datetime) -> str:
    return moment.strftime("%Y%m%dT%H%M%SZ")


# ---- the signature ---------------------------------------------------------------------------------------------------


def _signature(sent_at: str, scope: re.Match[str], request: str) -> str:
    key = f"AWS4{SECRET_KEY}".encode()
    parts = (scope["date"], scope["region"], scope["service"], "aws4_request")
    for part in parts:
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    # Latin-1: the bytes of the headers as they were received.
    to_sign = f"{ALGORITHM}\n{sent_at}\n{'/'.join(parts)}\n{hashlib.sha256(request.encode('latin-1')).hexdigest()}"
    return hmac.new(key, to_sign.encode(), hashlib.sha256).hexdigest()


def _canonical_path(path: str) -> str:
    """Every service but S3 encodes the path as it was sent once more: %20 is signed as %2520."""
    normal = posixpath.normpath(path) if path else "/"
    normal = "/" + normal.lstrip("/")
    if path.endswith("/") and not normal.endswith("/"):
        normal += "/"
    return quote(normal, safe="/-_.~")


def _without_signature(query: str) -> str:
    return "&".join(part for part in query.split("&") if part.partition("=")[0] != "X-Amz-Signature")


def _canonical_query(query: str) -> str:
    pairs = [part.partition("=") for part in query.split("&") if part]
    encoded = sorted((_encoded(name), _encoded(value)) for name, _, value in pairs)
    return "&".join(f"{name}={value}" for name, value in encoded)


def _encoded(part: str) -> str:
    return quote(unquote(part, errors="surrogateescape"), safe="-_.~", errors="surrogateescape")
