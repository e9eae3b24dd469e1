"""Who signed a request to the local gateway: botocore signs what was received once more, and the two must agree.

Signature Version 4 for `execute-api`, in a header or in the query, within five minutes. Accepts the keys of `SIGNERS`
only and never says what the right signature would have been, but what helps to find the mistake.
"""

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import parse_qsl, quote, unquote_to_bytes

from botocore.auth import SIGV4_TIMESTAMP, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.compat import HTTPHeaders
from botocore.credentials import Credentials

from local.aws import ACCOUNT, REGION
from local.exchange import GatewayError, Headers

ALGORITHM = "AWS4-HMAC-SHA256"
CREDENTIAL = re.compile(r"([^/,\s]+)/(\d{8})/([^/,\s]+)/([^/,\s]+)/aws4_request")
MAX_SKEW = 300  # seconds, as API Gateway: an older signature is a replay or a wrong clock
LONGEST_PRESIGNED = 604_800


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


def verify(method: str, target: str, headers: Headers, body: bytes) -> Signer:
    """Who signed. Raises GatewayError unless the request carries a valid, recent signature of a local key."""
    received: dict[str, str] = {}
    for name, value in headers:
        before = f"{received[name.lower()]}," if name.lower() in received else ""
        received[name.lower()] = before + " ".join(value.split())
    claim = _claim(received, target.partition("?")[2])
    if (scope := CREDENTIAL.fullmatch(claim.get("Credential", ""))) is None or "Signature" not in claim:
        bearer = received.get("authorization", "").lower().startswith("bearer ")
        token = "A token goes to /v1/oauth/voids (make run AUTH=token): this route takes signatures."
        raise _wrong(
            token if bearer else "The parts Credential, SignedHeaders and Signature of AWS4-HMAC-SHA256 are needed."
        )
    # A token belongs to a temporary key, and no key here is one.
    if scope[1] not in SIGNERS or "Security-Token" in claim:
        raise GatewayError("ACCESS_DENIED", f"Access key {scope[1][:64]} is not known here, or came with a token.")
    signed = {name: received.get(name, "") for name in claim.get("SignedHeaders", "").split(";")}
    _check(claim, scope, {"host", *received} - signed.keys())
    signer, again = SIGNERS[scope[1]], AWSRequest(method, _address(target), signed, body)
    again.context["timestamp"] = claim["Date"]
    # The body that arrived counts, whatever X-Amz-Content-SHA256 claims: execute-api has no unsigned payloads.
    digest = hashlib.sha256(body).hexdigest()
    expected = _Again(signer).signed(again) if received.get("x-amz-content-sha256", digest) == digest else ""
    if not hmac.compare_digest(expected.encode(), claim["Signature"].encode()):
        raise _wrong(
            "The signature does not match the request: look at the secret key, and at what was changed after signing."
        )
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
    authorization = received.get("authorization")
    if authorization is not None:
        _, _, parts = authorization.partition(f"{ALGORITHM} ")
        claim = {name: value for name, _, value in (part.strip().partition("=") for part in parts.split(","))}
        beside = {"Date": received.get("x-amz-date", ""), "Expires": str(MAX_SKEW)}
        return claim | beside | ({"Security-Token": ""} if "x-amz-security-token" in received else {})
    claim = {name.removeprefix("X-Amz-"): value for name, value in parse_qsl(query) if name.startswith("X-Amz-")}
    if "Signature" not in claim:
        raise GatewayError("MISSING_AUTHENTICATION_TOKEN")
    return claim


def _check(claim: Mapping[str, str], scope: re.Match[str], unsigned: set[str]) -> None:
    """What may be wrong besides the signature itself."""
    _, day, region, service = scope.groups()
    if (region, service) != (REGION, "execute-api"):
        raise _wrong(f"Signed for '{service}' in '{region}'. Expected: 'execute-api' in '{REGION}'.")
    if any(name == "host" or name.startswith("x-amz-") for name in unsigned):
        raise _wrong("'Host' and 'X-Amz-*' headers must be signed: all that are sent.")
    valid_for, date = claim.get("Expires", ""), claim.get("Date", "")
    try:
        late = (datetime.now(UTC) - datetime.strptime(date, SIGV4_TIMESTAMP).replace(tzinfo=UTC)).total_seconds()
    except ValueError:
        raise _wrong("X-Amz-Date is missing or not of the form 20261124T101010Z.") from None
    if date[:8] != day or not re.fullmatch("[0-9]{1,6}", valid_for):
        raise _wrong("The dates of Credential and X-Amz-Date differ, or X-Amz-Expires is no number of seconds.")
    if not -MAX_SKEW <= late <= min(int(valid_for), LONGEST_PRESIGNED):
        clock = "slow, or the request is that old" if late > 0 else "fast"
        raise _wrong(f"Signature expired or not yet current. The caller's clock is {abs(late):.0f} s {clock}.")


def _wrong(hint: str) -> GatewayError:
    return GatewayError("INVALID_SIGNATURE", hint)
