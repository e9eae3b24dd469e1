"""Who signed a request to the local gateway: botocore signs what was received once more, and the two must agree.

Signature Version 4 for `execute-api`, in a header or in the query, within five minutes. Accepts the keys of `SIGNERS`
only and never says what the right signature would have been; says what AWS says, and what helps to find the mistake.
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from botocore.auth import SIGV4_TIMESTAMP, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.compat import HTTPHeaders
from botocore.credentials import Credentials

from local.refusal import GatewayError, refused

ALGORITHM = "AWS4-HMAC-SHA256"
MAX_SKEW = timedelta(minutes=5)  # as API Gateway: an older signature is a replay or a wrong clock
LONGEST_PRESIGNED = timedelta(days=7)
MISMATCH = (
    "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key "
    "and signing method. Consult the service documentation for details."
)
_CREDENTIAL = re.compile(r"([^/,\s]+)/(\d{8})/([^/,\s]+)/([^/,\s]+)/aws4_request")

type Headers = Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Signer:
    """A local caller: its key, and the role that it stands for."""

    access_key: str
    secret_key: str
    role: str


ACCESS_KEY, SECRET_KEY = "local", "local-secret"
OPERATOR_KEY, OPERATOR_SECRET = "operator", "operator-secret"
MERCHANT = Signer(ACCESS_KEY, SECRET_KEY, "local-merchant")
OPERATOR = Signer(OPERATOR_KEY, OPERATOR_SECRET, "local-operator")
SIGNERS = {each.access_key: each for each in (MERCHANT, OPERATOR)}


def is_signature(authorization: str) -> bool:
    return authorization.startswith(ALGORITHM)


def incomplete(what: str) -> GatewayError:
    """For what is no SigV4 at all. What was sent may be somebody's password, so only its hash is said."""
    digest = base64.b64encode(hashlib.sha256(what.encode("utf-8", "replace")).digest()).decode()
    message = (
        "Authorization header requires 'Credential', 'Signature' and 'SignedHeaders' parameters. "
        f"(Hashed with SHA-256 and encoded with Base64) Authorization={digest}"
    )
    return refused("INVALID_SIGNATURE", message, "IncompleteSignatureException")


def verify(method: str, target: str, headers: Headers, body: bytes, region: str, now: datetime) -> Signer:
    """Who signed. Raises GatewayError unless the request carries a valid, recent signature of a local key."""
    received = _by_name(headers)
    claim = _claim(received, target.partition("?")[2])
    scope = _CREDENTIAL.fullmatch(claim["Credential"])
    if scope is None:
        raise incomplete(claim["Credential"])
    signer = SIGNERS.get(scope[1])
    # A token belongs to a temporary key, and no key here is one.
    if signer is None or "token" in claim:
        raise refused("ACCESS_DENIED", "The security token included in the request is invalid.")
    mistake = _wrong_scope(scope, region) or _wrong_time(claim, scope[2], now)
    signed = claim["SignedHeaders"].split(";")
    if not mistake and (
        "host" not in signed or any(name.startswith("x-amz-") and name not in signed for name in received)
    ):
        mistake = "'Host' or 'X-Amz-*' headers must be signed: all that are sent."
    # The body that arrived counts, whatever X-Amz-Content-SHA256 claims: execute-api has no unsigned payloads.
    digest = hashlib.sha256(body).hexdigest()
    if not mistake and received.get("x-amz-content-sha256", digest) == digest:
        again = AWSRequest(
            method, f"http://local/{target.lstrip('/')}", {name: received.get(name, "") for name in signed}, body
        )
        again.context["timestamp"] = claim["at"]
        if hmac.compare_digest(_Again(signer, region).signed(again).encode(), claim["Signature"].encode()):
            return signer
    raise refused("INVALID_SIGNATURE", mistake or MISMATCH)


class _Again(SigV4Auth):
    """Signs the headers that the caller signed, at the caller's time."""

    def __init__(self, signer: Signer, region: str) -> None:
        super().__init__(Credentials(signer.access_key, signer.secret_key), "execute-api", region)

    def signed(self, request: AWSRequest) -> str:
        # The server gives the bytes of a header as Latin-1; they were signed as they are.
        canonical = self.canonical_request(request).encode("latin-1").decode("utf-8", "replace")
        return str(self.signature(self.string_to_sign(request, canonical), request))

    def headers_to_sign(self, request: AWSRequest) -> HTTPHeaders:
        return request.headers

    def canonical_query_string(self, request: AWSRequest) -> str:
        """Encoded anew: AWS signs %20 for a blank however it was sent."""
        parts = (part.partition("=") for part in str(urlsplit(request.url).query).split("&") if part)
        pairs = sorted((_encoded(name), _encoded(value)) for name, _, value in parts if name != "X-Amz-Signature")
        return "&".join(f"{name}={value}" for name, value in pairs)


def _encoded(part: str) -> str:
    return quote(unquote(part, errors="surrogateescape"), safe="-_.~", errors="surrogateescape")


def _by_name(headers: Headers) -> dict[str, str]:
    collected: dict[str, list[str]] = {}
    for name, value in headers:
        collected.setdefault(name.lower(), []).append(" ".join(value.split()))
    return {name: ",".join(values) for name, values in collected.items()}


def _claim(received: Mapping[str, str], query: str) -> dict[str, str]:
    """What a request says of its signature; `at` is its time, `seconds` how long a presigned address is valid."""
    authorization, in_query = received.get("authorization"), dict(parse_qsl(query, keep_blank_values=True))
    if authorization is None and "X-Amz-Signature" not in in_query:
        raise refused("MISSING_AUTHENTICATION_TOKEN", "Missing Authentication Token")
    if authorization is not None:
        parts = (part.strip().partition("=") for part in authorization.removeprefix(ALGORITHM).split(","))
        claim, complete = {name: value for name, _, value in parts}, is_signature(authorization)
        beside = {"at": received.get("x-amz-date"), "token": received.get("x-amz-security-token")}
    else:
        claim = {name.removeprefix("X-Amz-"): value for name, value in in_query.items()}
        complete = (
            claim.get("Algorithm") == ALGORITHM and re.fullmatch(r"\d{1,6}", claim.get("Expires", "")) is not None
        )
        beside = {"at": claim.get("Date"), "token": claim.get("Security-Token"), "seconds": claim.get("Expires")}
    if not complete or not all(claim.get(name) for name in ("Credential", "SignedHeaders", "Signature")):
        raise incomplete(authorization or claim["Signature"])
    return claim | {name: value for name, value in beside.items() if value is not None}


def _wrong_scope(scope: re.Match[str], region: str) -> str:
    if scope[3] != region:
        return f"Credential should be scoped to a valid region, not '{scope[3]}'. Expected: '{region}'."
    if scope[4] != "execute-api":
        return f"Credential should be scoped to correct service: 'execute-api'. ({scope[4]})"
    return ""


def _wrong_time(claim: Mapping[str, str], scope_date: str, now: datetime) -> str:
    try:
        at = datetime.strptime(claim.get("at", ""), SIGV4_TIMESTAMP).replace(tzinfo=UTC)
    except ValueError:
        return "Date in X-Amz-Date is missing or not of the form 20261124T101010Z."
    if claim["at"][:8] != scope_date:
        return f"Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date: {scope_date}"
    valid_for = min(timedelta(seconds=int(claim["seconds"])), LONGEST_PRESIGNED) if "seconds" in claim else MAX_SKEW
    if now - valid_for <= at <= now + MAX_SKEW:
        return ""
    late = at < now
    period, sign = (valid_for, "-") if late else (MAX_SKEW, "+")
    limit, minutes = now - period if late else now + period, f"{period / timedelta(minutes=1):g}"
    how = "expired: {} is now earlier" if late else "not yet current: {} is still later"
    clock = "slow, or the request is that old" if late else "fast"
    off = abs(now - at) // timedelta(seconds=1)
    return (
        f"Signature {how.format(claim['at'])} than {limit:{SIGV4_TIMESTAMP}} "
        f"({now:{SIGV4_TIMESTAMP}} {sign} {minutes} min.) The caller's clock is {off} s {clock}."
    )
