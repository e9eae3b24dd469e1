"""Forged tokens, by a seed: what somebody without the issuer's key, or with a token for something else, can make.

Made by hand where no library would make them.
"""

import base64
import hashlib
import hmac
import json
import random
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import jwt
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from local.exchange import Request
from local.gateway.tokens import Authorizer, Keys, TrustedIssuer
from local.issuer import AUDIENCE, Issuer

ISSUER = "https://tokens.example"
NO_TIMES: tuple[Any, ...] = ([], {}, "soon", float("inf"))


def trusting(issuer: Issuer) -> tuple[Authorizer, Counter[str]]:
    """What checks this issuer's tokens, and how often it fetched."""
    fetched: Counter[str] = Counter()

    def fetch(url: str) -> Any:
        fetched[url] += 1
        reply = issuer.answer("GET", url.removeprefix(issuer.url), {}, b"")
        assert reply is not None, url
        return reply[1]

    trusted = TrustedIssuer(issuer.url, [AUDIENCE], Keys(issuer.url, fetch), ("client_id",))
    return Authorizer({issuer.url: trusted}, ["RS256"]), fetched


def asked(*authorizations: str, target: str = "/v1/oauth/voids") -> Request:
    return Request("POST", target, [("Authorization", each) for each in authorizations], b"", "127.0.0.1")


def encoded(part: Any) -> str:
    data = part if isinstance(part, bytes) else json.dumps(part).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Forger:
    def __init__(self, issuer: Issuer, seed: int) -> None:
        self.issuer, self.stranger, self.random = issuer, Issuer("https://stranger.example"), random.Random(seed)
        self.genuine = issuer.token("shop", ("submit", "read"))
        parts = (base64.urlsafe_b64decode(f"{part}==") for part in self.genuine.split(".")[:2])
        self.head, self.claims = map(json.loads, parts)
        (own, *_), (strange, *_) = issuer._keys, self.stranger._keys
        self.published, known, url = own.private.public_key(), self.head["kid"], self.stranger.url
        self.kinds: dict[str, Callable[[], Request]] = {
            "unsigned": self.unsigned,
            "keyed by the public key": self.keyed_by_the_public_key,
            "of another pool": lambda: self.by(self.stranger, {}, kid=self.one(strange.name, known, "", ..., f"{self.random.random()}")),
            "with the stranger's address": lambda: self.by(
                self.stranger, {}, kid=self.one(known, strange.name),
                **self.one({"jku": f"{url}/oauth2/jwks"}, {"jwk": strange.public}, {"x5u": url}),
            ),
            "expired": lambda: self.signed(exp=int(time.time()) - self.one(0, 1, 1, 60, 10**6)),
            "not yet valid": lambda: self.signed(**{self.one("nbf", "iat"): int(time.time()) + self.one(5, 60, 10**6)}),
            "for others": lambda: self.signed(aud=self.one("another", "Void-Service", f"{AUDIENCE} ", [], ["a", "b"], None, 7)),
            "of another issuer": lambda: self.by(
                self.one(issuer, self.stranger), {"iss": self.one(f"{ISSUER}/", ISSUER.upper(), url, None, [ISSUER], "")}, kid=known
            ),
            "without a claim": lambda: self.signed(**self.one(
                {"exp": None}, {"client_id": None}, {"client_id": ["shop"]}, {"client_id": 7},
                *({name: value} for name in ("exp", "nbf") for value in NO_TIMES),
            )),
            "out of scope": lambda: self.signed(
                scope=self.one("", "read", "submitted", "SUBMIT", "submit,read", "admin read", 7, {"submit": 1})
            ),
            "two": self.two,
            "in the query": lambda: asked(
                *self.one((), ("",), ("Bearer ",)),
                target=f"/v1/oauth/voids?{self.one('access_token', 'token', 'Authorization', 'authorization')}={self.genuine}",
            ),
            "damaged": self.damaged,
        }  # fmt: skip

    def one(self, *choices: Any) -> Any:
        return self.random.choice(choices)

    def signed(self, **changes: Any) -> Request:
        return self.by(self.issuer, changes, kid=self.head["kid"])

    def by(self, signer: Issuer, changes: Any, **header: Any) -> Request:
        claims = json.dumps(self.claims | changes).encode()
        said = {name: value for name, value in header.items() if value is not ...}
        return asked(f"Bearer {jwt.PyJWS().encode(claims, signer._keys[0].private, 'RS256', said)}")

    def unsigned(self) -> Request:
        head = self.head | {"alg": self.one("none", "None", "NONE", "")}
        end = self.one(".", ".AA", f".{self.genuine.rpartition('.')[2]}")
        return asked(f"Bearer {encoded(head)}.{encoded(self.claims)}{end}")

    def keyed_by_the_public_key(self) -> Request:
        form, digest = self.one(Encoding.PEM, Encoding.DER), self.one("sha256", "sha512")
        key = self.published.public_bytes(form, PublicFormat.SubjectPublicKeyInfo)
        said = f"{encoded(self.head | {'alg': f'HS{digest[3:]}'})}.{encoded(self.claims)}"
        return asked(f"Bearer {said}.{encoded(hmac.new(key, said.encode(), getattr(hashlib, digest)).digest())}")

    def two(self) -> Request:
        sent = (f"Bearer {self.genuine}", self.one(f"Bearer {self.genuine}", "Bearer x", ""))
        return asked(*self.one(sent, sent[::-1], (", ".join(sent),), (f"{sent[0]} {self.genuine}",)))

    def damaged(self) -> Request:
        place = self.random.randrange(len(self.genuine) - 2)
        other = self.one(*(each for each in "AZaz09-_.=/" if each != self.genuine[place]))
        token = self.one(self.genuine[:place], self.genuine[:place] + other + self.genuine[place + 1 :])
        return asked(self.one(f"Bearer {token}", f"Basic {self.genuine}", self.genuine, f"Bearer {token}\n"))
