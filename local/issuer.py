"""The local run's own issuer of tokens: discovery, keys that rotate, `POST /oauth2/token` for client credentials.

The gateway trusts it by the stack's authorizer only and fetches its keys over HTTP. Its clients' secrets are public:
good for this machine and for nothing else.
"""

import base64
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, unquote_plus

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from jwt.algorithms import RSAAlgorithm

URL = "https://tokens.invalid"  # stands in tokens and template, which ask for https; served at the sandbox
AUDIENCE = "void-service"
CLIENTS = {"shop": ("shop-secret", ("submit", "read")), "reader": ("reader-secret", ("read",))}  # id -> secret, scopes
LIFETIME = 3600  # seconds of a token, and of a key: so the newest two keys verify every token that still lives
UNAUTHENTICATED = {"WWW-Authenticate": 'Basic realm="token"'}

type Reply = tuple[int, dict[str, Any], dict[str, str]]  # status, JSON document, headers besides Content-Type


class Denied(Exception):
    """An error of RFC 6749, 5.2; its text is the `error`."""


@dataclass(frozen=True)
class Key:
    name: str
    private: RSAPrivateKey
    made_at: float

    @property
    def public(self) -> dict[str, Any]:
        document: dict[str, Any] = RSAAlgorithm.to_jwk(self.private.public_key(), as_dict=True)
        return document | {"kid": self.name, "use": "sig", "alg": "RS256"}


class Issuer:
    """`url`: as it stands in `iss`; `at`: where it is served, if that is another address."""

    def __init__(self, url: str, at: str | None = None) -> None:
        self.url, self._at = url, at or url
        self._keys: list[Key] = []
        self.rotate()

    def rotate(self) -> None:
        """From now on another key signs; the one before is still published."""
        key = Key(secrets.token_hex(8), generate_private_key(65537, 2048), time.time())
        self._keys = [key, *self._keys[:1]]

    def answer(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Reply | None:
        """None for what is not the issuer's. `headers` are looked up without regard to case, as a server's are."""
        match method, path:
            case "GET", "/.well-known/openid-configuration":
                return 200, {
                    "issuer": self.url, "jwks_uri": f"{self._at}/oauth2/jwks",
                    "token_endpoint": f"{self._at}/oauth2/token", "grant_types_supported": ["client_credentials"],
                    "id_token_signing_alg_values_supported": ["RS256"],
                }, {}  # fmt: skip
            case "GET", "/oauth2/jwks":
                return 200, {"keys": [key.public for key in self._keys]}, {}
            case "POST", "/oauth2/token":
                try:
                    return 200, self._token(headers, body), {"Cache-Control": "no-store"}
                except Denied as denied:
                    status, more = (401, UNAUTHENTICATED) if str(denied) == "invalid_client" else (400, {})
                    return status, {"error": str(denied)}, more
        return None

    def token(self, client: str, scopes: tuple[str, ...], **changes: Any) -> str:
        """A signed token; `changes` replace claims."""
        if time.time() - self._keys[0].made_at > LIFETIME:
            self.rotate()
        now = int(time.time())
        claims = {
            "iss": self.url, "sub": client, "client_id": client, "aud": AUDIENCE, "scope": " ".join(scopes),
            "iat": now, "exp": now + LIFETIME, "jti": secrets.token_hex(8),
        }  # fmt: skip
        return jwt.encode(claims | changes, self._keys[0].private, "RS256", {"kid": self._keys[0].name})

    def _token(self, headers: Mapping[str, str], body: bytes) -> dict[str, Any]:
        try:
            pairs = parse_qsl(body.decode(), keep_blank_values=True, strict_parsing=bool(body))
        except ValueError:
            raise Denied("invalid_request") from None
        form = dict(pairs)
        client = _client(headers.get("Authorization"), form)
        if len(form) != len(pairs) or "grant_type" not in form:
            raise Denied("invalid_request")
        if form["grant_type"] != "client_credentials":
            raise Denied("unsupported_grant_type")
        may = CLIENTS[client][1]
        wanted = tuple(form.get("scope", "").split()) or may
        if not set(wanted) <= set(may):
            raise Denied("invalid_scope")
        token = self.token(client, wanted)
        return {"access_token": token, "token_type": "Bearer", "expires_in": LIFETIME, "scope": " ".join(wanted)}


def _client(authorization: str | None, form: Mapping[str, str]) -> str:
    """Who asks, by one of the two ways and not by both."""
    name, secret = form.get("client_id", ""), form.get("client_secret", "")
    if authorization is not None:
        if secret:
            raise Denied("invalid_request")
        scheme, _, encoded = authorization.partition(" ")
        try:
            pair = base64.b64decode(encoded if scheme.lower() == "basic" else "", validate=True).decode()
        except ValueError:
            raise Denied("invalid_client") from None
        name, _, secret = (unquote_plus(part) for part in pair.partition(":"))
    if name not in CLIENTS or CLIENTS[name][0] != secret:
        raise Denied("invalid_client")
    return name
