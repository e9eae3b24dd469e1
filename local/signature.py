"""Who signed a request to the local gateway: botocore signs what was received once more, and the two must agree.

Signature Version 4 for `execute-api`, in a header or in the query, within five minutes. Accepts the keys of `SIGNERS`
only and never says what the right signature would have been; says what AWS says, and what helps to find the mistake.
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl, quote, unquote_to_bytes

from botocore.auth import SIGV4_TIMESTAMP, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.compat import HTTPHeaders
from botocore.credentials import Credentials

from local.aws import ACCOUNT, REGION
from local.exchange import GatewayError, Headers, refused

ALGORITHM = "AWS4-HMAC-SHA256"
PARTS = ("Credential", "SignedHeaders", "Signature")
BESIDE = {"x-amz-date": "Date", "x-amz-security-token": "Security-Token"}
MAX_SKEW = timedelta(minutes=5)  # as API Gateway: an older signature is a replay or a wrong clock
LONGEST_PRESIGNED = timedelta(days=7)
MISMATCH = (
    "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key "
    "and signing method. Consult the service documentation for details."
)


@dataclass(frozen=True)
class Signer:
    """A local caller: its key, and the role that it stands for."""

    access_key: str
    secret_key: str
    role: str

    @property
    def principal(self) -> str:
        return f"arn:aws:iam::{ACCOUNT}:role/{self.role}"

    @property
    def session(self) -> str:
        return f"arn:aws:sts::{ACCOUNT}:assumed-role/{self.role}/{self.access_key}"


MERCHANT = Signer("local", "local-secret", "local-merchant")
OPERATOR = Signer("operator", "operator-secret", "local-operator")
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
    hint = "A token goes to /v1/oauth/voids (make run AUTH=token): this route takes signatures."
    said = hint if what.lower().startswith("bearer ") else message
    return GatewayError("INVALID_SIGNATURE", message, said, "IncompleteSignatureException")


def verify(method: str, target: str, headers: Headers, body: bytes) -> Signer:
    """Who signed. Raises GatewayError unless the request carries a valid, recent signature of a local key."""
    received: dict[str, str] = {}
    for name, value in headers:
        before = f"{received[name.lower()]}," if name.lower() in received else ""
        received[name.lower()] = before + " ".join(value.split())
    claim = _claim(received, target.partition("?")[2])
    scope = re.fullmatch(r"([^/,\s]+)/(\d{8})/([^/,\s]+)/([^/,\s]+)/aws4_request", claim["Credential"])
    if scope is None:
        raise incomplete(claim["Credential"])
    signer = SIGNERS.get(scope[1])
    # A token belongs to a temporary key, and no key here is one.
    if signer is None or "Security-Token" in claim:
        raise refused("ACCESS_DENIED", "The security token included in the request is invalid.")
    signed = {name: received.get(name, "") for name in claim["SignedHeaders"].split(";")}
    if mistake := _mistake(claim, scope, {"host", *received} - signed.keys()):
        raise refused("INVALID_SIGNATURE", mistake)
    again = AWSRequest(method, _address(target), signed, body)
    again.context["timestamp"] = claim["Date"]
    # The body that arrived counts, whatever X-Amz-Content-SHA256 claims: execute-api has no unsigned payloads.
    digest = hashlib.sha256(body).hexdigest()
    expected = _Again(signer).signed(again) if received.get("x-amz-content-sha256", digest) == digest else ""
    if not hmac.compare_digest(expected.encode(), claim["Signature"].encode()):
        raise refused("INVALID_SIGNATURE", MISMATCH)
    return signer


class _Again(SigV4Auth):
    """Signs the headers that the caller signed, at the caller's time."""

    def __init__(self, signer: Signer) -> None:
        super().__init__(Credentials(signer.access_key, signer.secret_key), "execute-api", REGION)

    def signed(self, request: AWSRequest) -> str:
        # The server gives the bytes of a header as Latin-1; they were signed as they are.
        canonical = self.canonical_request(request).encode("latin-1").decode("utf-8", "replace")
        return str(self.signature(self.string_to_sign(request, canonical), request))

    def headers_to_sign(self, request: AWSRequest) -> HTTPHeaders:
        return request.headers


def _address(target: str) -> str:
    """With the query encoded anew: AWS signs %20 for a blank however it was sent."""
    path, _, query = target.lstrip("/").partition("?")
    parts = ([quote(unquote_to_bytes(each), safe="-_.~") for each in part.split("=", 1)] for part in query.split("&"))
    pairs = ([*part, ""][:2] for part in parts if part[0] not in ("", "X-Amz-Signature"))
    return f"http://local/{path.replace('#', '%23')}?" + "&".join(map("=".join, pairs))


def _claim(received: Mapping[str, str], query: str) -> dict[str, str]:
    """What a request says of its signature, named as in a query; `Expires`: how long a presigned address is valid."""
    authorization, in_query = received.get("authorization"), dict(parse_qsl(query, keep_blank_values=True))
    if authorization is not None:
        parts = (part.strip().partition("=") for part in authorization.removeprefix(ALGORITHM).split(","))
        # What else is written beside these was not signed, and says nothing.
        claim = {name: value for name, _, value in parts if name in PARTS}
        claim |= {name: received[key] for key, name in BESIDE.items() if key in received}
        complete = is_signature(authorization)
    elif "X-Amz-Signature" in in_query:
        claim = {name.removeprefix("X-Amz-"): value for name, value in in_query.items()}
        seconds = re.fullmatch(r"[0-9]{1,6}", claim.get("Expires", ""))
        complete = claim.get("Algorithm") == ALGORITHM and seconds is not None
    else:
        raise refused("MISSING_AUTHENTICATION_TOKEN", "Missing Authentication Token")
    if not complete or not all(claim.get(name) for name in PARTS):
        raise incomplete(authorization or claim["Signature"])
    return {"Date": ""} | claim


def _mistake(claim: Mapping[str, str], scope: re.Match[str], unsigned: set[str]) -> str:
    """What is wrong besides the signature itself; nothing is no text."""
    _, day, region, service = scope.groups()
    if region != REGION:
        return f"Credential should be scoped to a valid region, not '{region}'. Expected: '{REGION}'."
    if service != "execute-api":
        return f"Credential should be scoped to correct service: 'execute-api'. ({service})"
    if claim["Date"][:8] != day:
        return f"Date in Credential scope does not match YYYYMMDD from X-Amz-Date: {day}"
    if any(name == "host" or name.startswith("x-amz-") for name in unsigned):
        return "'Host' or 'X-Amz-*' headers must be signed: all that are sent."
    try:
        at, now = datetime.strptime(claim["Date"], SIGV4_TIMESTAMP).replace(tzinfo=UTC), datetime.now(UTC)
    except ValueError:
        return "Date in X-Amz-Date is missing or not of the form 20261124T101010Z."
    valid_for = min(timedelta(seconds=int(claim.get("Expires", MAX_SKEW.seconds))), LONGEST_PRESIGNED)
    return "" if now - valid_for <= at <= now + MAX_SKEW else _off(at, now, valid_for)


def _off(at: datetime, now: datetime, valid_for: timedelta) -> str:
    """By how much a clock is off, in AWS's words and in plain ones."""
    if at < now:
        how, limit, minutes = "expired: {} is now earlier", now - valid_for, valid_for / timedelta(minutes=-1)
    else:
        how, limit, minutes = "not yet current: {} is still later", now + MAX_SKEW, MAX_SKEW / timedelta(minutes=1)
    at_, limit_, now_ = (f"{each:{SIGV4_TIMESTAMP}}" for each in (at, limit, now))
    compared = f"{how.format(at_)} than {limit_} ({now_} {'-+'[minutes > 0]} {abs(minutes):g} min.)"
    clock = "fast" if minutes > 0 else "slow, or the request is that old"
    return f"Signature {compared} The caller's clock is {abs(now - at) // timedelta(seconds=1)} s {clock}."
