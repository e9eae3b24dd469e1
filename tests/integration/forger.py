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
    return (
        base64.urlsafe_b64encode(part if isinstance(part, bytes) else json.dumps(part).encode()).rstrip(b"=").decode()
    )


class Forger:
    """Everything that somebody without the issuer's key, or with a token for something else, can make of a token."""

    def __init__(self, issuer: Issuer, seed: int) -> None:
        self.issuer, self.random = issuer, random.Random(seed)
        self.stranger = Issuer("https://stranger.example")
        self.genuine = issuer.token("shop", ("submit", "read"))
        self.head, self.claims = (self.part(each) for each in self.genuine.split(".")[:2])
        self.published = issuer._keys[0].private.public_key()
        self.kinds: list[Callable[[], Request]] = [
            self.unsigned, self.keyed_by_the_public_key, self.of_another_pool, self.with_the_strangers_address, self.expired, self.not_yet_valid,
            self.for_others, self.of_another_issuer, self.without_a_claim, self.out_of_scope, self.two, self.in_the_query, self.damaged,
        ]  # fmt: skip

    @staticmethod
    def part(text: str) -> Any:
        return json.loads(base64.urlsafe_b64decode(text + "=="))

    def signed(self, **changes: Any) -> Request:
        return self.by(self.issuer, changes, kid=self.head["kid"])

    def by(self, signer: Issuer, changes: Any, **header: Any) -> Request:
        claims = json.dumps(self.claims | changes).encode()
        return asked(f"Bearer {jwt.PyJWS().encode(claims, signer._keys[0].private, 'RS256', header)}")

    def unsigned(self) -> Request:
        head = self.head | {"alg": self.random.choice(["none", "None", "NONE", ""])}
        end = self.random.choice([".", ".AA", f".{self.genuine.rpartition('.')[2]}"])
        return asked(f"Bearer {encoded(head)}.{encoded(self.claims)}{end}")

    def keyed_by_the_public_key(self) -> Request:
        form = self.random.choice([Encoding.PEM, Encoding.DER])
        key = self.published.public_bytes(form, PublicFormat.SubjectPublicKeyInfo)
        digest = self.random.choice(["sha256", "sha512"])
        said = f"{encoded(self.head | {'alg': f'HS{digest[3:]}'})}.{encoded(self.claims)}"
        return asked(f"Bearer {said}.{encoded(hmac.new(key, said.encode(), getattr(hashlib, digest)).digest())}")

    def of_another_pool(self) -> Request:
        name = self.random.choice([self.stranger._keys[0].name, self.head["kid"], "", None, f"{self.random.random()}"])
        return self.by(self.stranger, {}, **({} if name is None else {"kid": name}))

    def with_the_strangers_address(self) -> Request:
        where: dict[str, Any] = self.random.choice(
            [
                {"jku": f"{self.stranger.url}/oauth2/jwks"},
                {"jwk": self.stranger._keys[0].public},
                {"x5u": self.stranger.url},
            ]
        )
        return self.by(
            self.stranger, {}, kid=self.random.choice([self.head["kid"], self.stranger._keys[0].name]), **where
        )

    def expired(self) -> Request:
        return self.signed(exp=int(time.time()) - self.random.choice([0, 1, 1, 60, 10**6]))

    def not_yet_valid(self) -> Request:
        return self.signed(
            **{self.random.choice(["nbf", "iat"]): int(time.time()) + self.random.choice([5, 60, 10**6])}
        )

    def for_others(self) -> Request:
        return self.signed(aud=self.random.choice(["another", "Void-Service", f"{AUDIENCE} ", [], ["a", "b"], None, 7]))

    def of_another_issuer(self) -> Request:
        iss = self.random.choice([f"{ISSUER}/", ISSUER.upper(), "https://stranger.example", None, [ISSUER], ""])
        return self.by(self.random.choice([self.issuer, self.stranger]), {"iss": iss}, kid=self.head["kid"])

    def without_a_claim(self) -> Request:
        bad: list[Any] = [[], {}, "soon", float("inf")]
        times = [{name: value} for name in ("exp", "nbf") for value in bad]
        missing: list[dict[str, Any]] = [{"exp": None}, {"client_id": None}, {"client_id": ["shop"]}, {"client_id": 7}]
        return self.signed(**self.random.choice([*missing, *times]))

    def out_of_scope(self) -> Request:
        return self.signed(
            scope=self.random.choice(["", "read", "submitted", "SUBMIT", "submit,read", "admin read", 7, {"submit": 1}])
        )

    def two(self) -> Request:
        sent = (f"Bearer {self.genuine}", self.random.choice([f"Bearer {self.genuine}", "Bearer x", ""]))
        return self.random.choice(
            [asked(*sent), asked(*sent[::-1]), asked(", ".join(sent)), asked(f"{sent[0]} {self.genuine}")]
        )

    def in_the_query(self) -> Request:
        name = self.random.choice(["access_token", "token", "Authorization", "authorization"])
        return asked(*self.random.choice([(), ("",), ("Bearer ",)]), target=f"/v1/oauth/voids?{name}={self.genuine}")

    def damaged(self) -> Request:
        place = self.random.randrange(len(self.genuine) - 2)
        other = self.random.choice([each for each in "AZaz09-_.=/" if each != self.genuine[place]])
        token = self.random.choice([self.genuine[:place], self.genuine[:place] + other + self.genuine[place + 1 :]])
        return asked(
            self.random.choice([f"Bearer {token}", f"Basic {self.genuine}", self.genuine, f"Bearer {token}\n"])
        )
