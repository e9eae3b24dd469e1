"""Verification of AWS Signature Version 4 for `execute-api`, as API Gateway does it.

Computed from the received bytes only; accepts one access key and never says what the right signature would have been.
"""

import hashlib
import hmac
import posixpath
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from urllib.parse import quote, unquote

ACCESS_KEY = "local"
SECRET_KEY = "local-secret"
MAX_SKEW = timedelta(minutes=5)  # as API Gateway: an older signature is a replay or a wrong clock

_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(?P<key>[^/,\s]+)/(?P<date>\d{8})/(?P<region>[^/,\s]+)/(?P<service>[^/,\s]+)"
    r"/aws4_request,\s*SignedHeaders=(?P<headers>[^,\s]+),\s*Signature=(?P<signature>[0-9a-f]{64})"
)

type Headers = Sequence[tuple[str, str]]


class Unsigned(Exception):
    """The request does not prove who sent it; `kind` is the type of the gateway's response."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


def verify(method: str, target: str, headers: Headers, body: bytes, region: str, now: datetime) -> None:
    """Raises Unsigned unless the request carries a valid, recent signature of the local access key."""
    received = _by_name(headers)
    if "authorization" not in received:
        raise Unsigned("MISSING_AUTHENTICATION_TOKEN", "Missing Authentication Token")
    parsed = _AUTHORIZATION.fullmatch(received["authorization"])
    if parsed is None:
        raise Unsigned("INVALID_SIGNATURE", "Authorization header is not an AWS Signature Version 4")
    signed = parsed["headers"].split(";")
    sent_at = received.get("x-amz-date", "")
    _check_scope(parsed, region)
    _check_date(sent_at, parsed["date"], now)
    if "host" not in signed or any(name.startswith("x-amz-") and name not in signed for name in received):
        raise Unsigned("INVALID_SIGNATURE", "'Host' and every 'X-Amz-*' header must be signed")
    scope = f"{parsed['date']}/{region}/execute-api/aws4_request"
    request = canonical_request(method, target, received, signed, body)
    to_sign = f"AWS4-HMAC-SHA256\n{sent_at}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
    expected = hmac.new(_signing_key(parsed["date"], region), to_sign.encode(), hashlib.sha256).hexdigest()
    if not hmac.compare_digest(expected, parsed["signature"]):
        raise Unsigned(
            "INVALID_SIGNATURE",
            "The request signature we calculated does not match the signature you provided. "
            "Check your AWS Secret Access Key and signing method.",
        )


def canonical_request(method: str, target: str, received: dict[str, str], signed: list[str], body: bytes) -> str:
    path, _, query = target.partition("?")
    values = "".join(f"{name}:{received.get(name, '')}\n" for name in signed)
    # The hash of the body that arrived, whatever X-Amz-Content-SHA256 claims: execute-api has no unsigned payloads.
    payload = hashlib.sha256(body).hexdigest()
    return f"{method}\n{_canonical_path(path)}\n{_canonical_query(query)}\n{values}\n{';'.join(signed)}\n{payload}"


def _canonical_path(path: str) -> str:
    """Every service but S3 encodes the path as it was sent once more: %20 is signed as %2520."""
    normal = posixpath.normpath(path) if path else "/"
    normal = "/" + normal.lstrip("/")
    if path.endswith("/") and not normal.endswith("/"):
        normal += "/"
    return quote(normal, safe="/-_.~")


def _canonical_query(query: str) -> str:
    pairs = [part.partition("=") for part in query.split("&") if part]
    encoded = sorted((_encoded(name), _encoded(value)) for name, _, value in pairs)
    return "&".join(f"{name}={value}" for name, value in encoded)


def _encoded(part: str) -> str:
    return quote(unquote(part, errors="surrogateescape"), safe="-_.~", errors="surrogateescape")


def _by_name(headers: Headers) -> dict[str, str]:
    collected: dict[str, list[str]] = {}
    for name, value in headers:
        collected.setdefault(name.lower(), []).append(" ".join(value.split()))
    return {name: ",".join(values) for name, values in collected.items()}


def _check_scope(parsed: re.Match[str], region: str) -> None:
    if parsed["key"] != ACCESS_KEY:
        raise Unsigned("ACCESS_DENIED", "The security token included in the request is invalid.")
    if parsed["region"] != region or parsed["service"] != "execute-api":
        raise Unsigned("INVALID_SIGNATURE", f"Credential should be scoped to {region} and execute-api.")


def _check_date(sent_at: str, scope_date: str, now: datetime) -> None:
    try:
        moment = datetime.strptime(sent_at, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        raise Unsigned("INVALID_SIGNATURE", "X-Amz-Date is missing or not a date") from None
    if sent_at[:8] != scope_date:
        raise Unsigned("INVALID_SIGNATURE", "The date of the credential does not match X-Amz-Date")
    if abs(now - moment) > MAX_SKEW:
        raise Unsigned("INVALID_SIGNATURE", f"Signature expired: {sent_at} is more than 5 minutes off")


def _signing_key(date: str, region: str) -> bytes:
    key = f"AWS4{SECRET_KEY}".encode()
    for part in (date, region, "execute-api", "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return key
