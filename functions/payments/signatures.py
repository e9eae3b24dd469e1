"""The provider's signatures, both directions: requests that we sign, webhooks that we prove genuine.

Promises comparison in constant time over the bytes as received. Never decodes, parses or logs what it signs.
Source: docs.finline.io, api-usage/security and webhooks/structure. SHA-1 is the provider's choice.
"""

import base64
import hashlib
import hmac
from enum import StrEnum


class Scheme(StrEnum):
    """How a request carries its credentials in `X-API-AUTH`."""

    PLAIN = "CPAY"
    HMAC = "CPAY-HMAC"
    SHA1 = "CPAY-SHA1"


def authorise(scheme: Scheme, api_key: str, api_secret: str, body: bytes) -> str:
    """The value of `X-API-AUTH` for these exact body bytes; signatures are lower-case hex."""
    secret = api_secret.encode()
    match scheme:
        case Scheme.PLAIN:
            proof = api_secret
        case Scheme.HMAC:
            proof = hmac.new(secret, body, hashlib.sha1).hexdigest()
        case Scheme.SHA1:
            proof = hashlib.sha1(secret + body + secret).hexdigest()  # noqa: S324 the provider's algorithm
    return f"{scheme.value} {api_key}:{proof}"


def sign_webhook(api_secret: str, data: bytes) -> bytes:
    """base64url(SHA1(secret + data + secret)) over the raw digest: 28 characters with their padding."""
    secret = api_secret.encode()
    return base64.urlsafe_b64encode(hashlib.sha1(secret + data + secret).digest())  # noqa: S324


def is_genuine(api_secret: str, data: bytes, signature: bytes) -> bool:
    """True if `signature` proves `data`. Bytes, not text: comparing non-ASCII text raises instead of answering no."""
    return hmac.compare_digest(sign_webhook(api_secret, data), signature)
