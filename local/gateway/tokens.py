"""Callers by token: what API Gateway's JWT authorizer checks, with PyJWT. Never says or keeps a token.

Where AWS is not documented, the authorizer can play both: how an expired token is refused, where the claims stand.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import jwt
import urllib3

from local.exchange import GatewayError, Request

BEARER = re.compile(r"bearer +([\w-]+\.[\w-]+\.[\w-]+)", re.IGNORECASE | re.ASCII)


class Keys:
    """The public keys of an issuer, by its discovery document; fetched again for one that is not known."""

    def __init__(self, address: str) -> None:
        self._address = address.rstrip("/")
        self._keys: dict[object, jwt.PyJWK] = {}

    def get(self, name: object) -> jwt.PyJWK:
        """Raises jwt.PyJWKSetError for a key that the issuer does not publish."""
        if name not in self._keys:
            published = fetched(fetched(f"{self._address}/.well-known/openid-configuration")["jwks_uri"])
            self._keys = {key.key_id: key for key in jwt.PyJWKSet.from_dict(published).keys if key.key_id}
        if name not in self._keys:
            raise jwt.PyJWKSetError("unknown key")
        return self._keys[name]


def fetched(url: str) -> Any:
    try:
        return urllib3.request("GET", url, timeout=5, retries=False).json()
    except (urllib3.exceptions.HTTPError, ValueError):
        raise GatewayError("AUTHORIZER_FAILURE") from None


@dataclass(frozen=True)
class TrustedIssuer:
    url: str  # as it stands in `iss`
    audiences: list[str]
    keys: Keys
    claims: tuple[str, ...] = ()  # each must be there, and a text


@dataclass(frozen=True)
class Authorizer:
    issuers: Mapping[str, TrustedIssuer]
    algorithms: list[str]
    expired: Literal["UNAUTHORIZED", "EXPIRED_TOKEN"] = "UNAUTHORIZED"
    """The response type of a token that was one: 401 as for no token, or 403 as for old credentials."""
    claims_in: Literal["claims", "jwt"] = "claims"
    """`authorizer.claims`, as with a user pool's authorizer, or `authorizer.jwt.claims`, as in an HTTP API."""

    def check(self, request: Request, scopes: tuple[str, ...]) -> dict[str, Any]:
        """What the event says of the token: every claim as text. Raises GatewayError: 401, or 403 for its scopes."""
        sent = [value for name, value in request.headers if name.lower() == "authorization"]
        found = BEARER.fullmatch(sent[0]) if len(sent) == 1 else None
        if found is None:
            raise _refused("UNAUTHORIZED", "no single bearer token")
        try:
            claims = self._claims(found[1])
        except jwt.ExpiredSignatureError:
            raise _refused(self.expired, "the token has expired") from None
        except jwt.PyJWTError as wrong:
            raise _refused("UNAUTHORIZED", type(wrong).__name__) from None  # its text may quote the token
        held = claims.get("scope", claims.get("scp"))
        has = held.split() if isinstance(held, str) else held if isinstance(held, list) else []
        if scopes and not any(scope in has for scope in scopes):
            raise _refused("ACCESS_DENIED", f"the token needs one of the scopes {', '.join(scopes)}")
        said = {name: value if isinstance(value, str) else json.dumps(value) for name, value in claims.items()}
        return {"claims": said} if self.claims_in == "claims" else {"jwt": {"claims": said, "scopes": None}}

    def _claims(self, token: str) -> dict[str, Any]:
        said = jwt.decode_complete(token, options={"verify_signature": False})
        trusted = self.issuers.get(str(said["payload"].get("iss")))
        if trusted is None:
            raise jwt.InvalidIssuerError
        key, must = trusted.keys.get(said["header"].get("kid")), jwt.types.Options(require=["exp", "iss", "aud"])
        claims: dict[str, Any] = jwt.decode(token, key, self.algorithms, must, audience=trusted.audiences)
        if not all(isinstance(claims.get(name), str) for name in trusted.claims):
            raise jwt.InvalidTokenError
        return claims


def _refused(kind: str, why: str) -> GatewayError:
    return GatewayError(kind, f"Bearer token: {why}.")


def read_authorizer(template: Mapping[str, Any], discovery: Mapping[str, str]) -> Authorizer | None:
    """The stack's. The engine keeps the name only, so the rest is the template's.

    `discovery`: an issuer that is served elsewhere -> the address of its discovery document.
    """
    for each in template["Resources"].values():
        if each["Type"] == "AWS::ApiGateway::Authorizer":
            declared = each["Properties"]["JwtConfiguration"]
            issuers = {one["Issuer"]: _issuer(one, discovery) for one in declared["Issuers"]}
            return Authorizer(issuers, declared["DefaultAlgorithms"])
    return None


def _issuer(declared: Mapping[str, Any], discovery: Mapping[str, str]) -> TrustedIssuer:
    url, claims = declared["Issuer"], tuple(each["ClaimName"] for each in declared["AdditionalClaims"])
    return TrustedIssuer(url, declared["Audiences"], Keys(discovery.get(url, url)), claims)
