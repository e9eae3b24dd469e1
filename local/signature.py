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

from local.aws import ACCOUNT, REGION
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

    @property
    def principal(self) -> str:
        return f"arn:aws:iam::{ACCOUNT}:role/{self.role}"

    @property
    def session(self) -> str:
        return f"arn:aws:sts::{ACCOUNT}:assumed-role/{self.role}/{self.access_key}"


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


def verify(method: str, target: str, headers: Headers, body: bytes) -> Signer:
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
    signed = {name: received.get(name, "") for name in claim["SignedHeaders"].split(";")}
    if mistake := _mistake(claim, scope, {"host", *received} - signed.keys()):
        raise refused("INVALID_SIGNATURE", mistake)
    again = AWSRequest(method, f"http://local/{target.lstrip('/')}".replace("#", "%23"), signed, body)
    again.context["timestamp"] = claim["at"]
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
    if authorization is not None:
        parts = (part.strip().partition("=") for part in authorization.removeprefix(ALGORITHM).split(","))
        said, complete = {name: value for name, _, value in parts}, is_signature(authorization)
        beside = {"at": received.get("x-amz-date", ""), "token": received.get("x-amz-security-token")}
    elif "X-Amz-Signature" in in_query:
        said = {name.removeprefix("X-Amz-"): value for name, value in in_query.items()}
        beside = {"at": said.get("Date", ""), "token": said.get("Security-Token"), "seconds": said.get("Expires", "")}
        complete = (
            said.get("Algorithm") == ALGORITHM and re.fullmatch(r"[0-9]{1,6}", said.get("Expires", "")) is not None
        )
    else:
        raise refused("MISSING_AUTHENTICATION_TOKEN", "Missing Authentication Token")
    # What else is written beside these was not signed, and says nothing.
    claim = {name: said.get(name, "") for name in ("Credential", "SignedHeaders", "Signature")}
    if not complete or not all(claim.values()):
        raise incomplete(authorization or claim["Signature"])
    return claim | {name: value for name, value in beside.items() if value is not None}


def _mistake(claim: Mapping[str, str], scope: re.Match[str], unsigned: set[str]) -> str:
    """What is wrong besides the signature itself; nothing is no text."""
    at, now = _moment(claim["at"]), datetime.now(UTC)
    for wrong, message in (
        (scope[3] != REGION, f"Credential should be scoped to a valid region, not '{scope[3]}'. Expected: '{REGION}'."),
        (scope[4] != "execute-api", f"Credential should be scoped to correct service: 'execute-api'. ({scope[4]})"),
        (at is None, "Date in X-Amz-Date is missing or not of the form 20261124T101010Z."),
        (claim["at"][:8] != scope[2], f"Date in Credential scope does not match YYYYMMDD from X-Amz-Date: {scope[2]}"),
        (
            any(name == "host" or name.startswith("x-amz-") for name in unsigned),
            "'Host' or 'X-Amz-*' headers must be signed: all that are sent.",
        ),
    ):
        if wrong:
            return message
    seconds = int(claim.get("seconds", MAX_SKEW.seconds))
    return _off(at or now, now, min(timedelta(seconds=seconds), LONGEST_PRESIGNED))


def _moment(text: str) -> datetime | None:
    try:
        return datetime.strptime(text, SIGV4_TIMESTAMP).replace(tzinfo=UTC)
    except ValueError:
        return None


def _off(at: datetime, now: datetime, valid_for: timedelta) -> str:
    """By how much a clock is off, in AWS's words and in plain ones."""
    if now - valid_for <= at <= now + MAX_SKEW:
        return ""
    how, period, sign, clock = "not yet current: {} is still later", MAX_SKEW, "+", "fast"
    if at < now:
        how, period, sign, clock = "expired: {} is now earlier", valid_for, "-", "slow, or the request is that old"
    limit = now + period if sign == "+" else now - period
    at_, limit_, now_ = (f"{each:{SIGV4_TIMESTAMP}}" for each in (at, limit, now))
    compared = f"{how.format(at_)} than {limit_} ({now_} {sign} {period / timedelta(minutes=1):g} min.)"
    return f"Signature {compared} The caller's clock is {abs(now - at) // timedelta(seconds=1)} s {clock}."
