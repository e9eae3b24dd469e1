"""Callers by token: what opens nothing, the local issuer, a client of another hand."""

import base64
import json
import time
from collections import Counter
from collections.abc import Callable
from copy import replace
from typing import Any

import jwt
import pytest

from local.gateway import tokens
from local.gateway.api import Api
from local.issuer import AUDIENCE, LIFETIME, URL, Issuer
from local.service import Service
from tests.integration.client import TokenClient, token_of
from tests.integration.front_door import spoken

ISSUER = "https://tokens.example"


@pytest.fixture(scope="module")
def issuer() -> Issuer:
    return Issuer(ISSUER)


@pytest.fixture
def fetched(issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often something of the issuer was fetched."""
    fetched: Counter[str] = Counter()

    def fetch(url: str) -> Any:
        fetched[url] += 1
        reply = issuer.answer("GET", url.removeprefix(issuer.url), {}, b"")
        assert reply is not None, url
        return reply[1]

    monkeypatch.setattr(tokens, "fetched", fetch)
    return fetched


@pytest.fixture
def by_token(service: Service, fetched: Counter[str]) -> Api:
    trusted = tokens.TrustedIssuer(ISSUER, [AUDIENCE], tokens.Keys(ISSUER), ("client_id",))
    return replace(service.api, authorizer=tokens.Authorizer({ISSUER: trusted}, ["RS256"]))


def bearer(token: str) -> tuple[str]:
    return (f"Authorization: Bearer {token}",)


def again(issuer: Issuer, key: object, without: str = "", **header: Any) -> str:
    """A genuine token's claims under another head, signed with another key."""
    known = issuer.token("shop", ("submit",))
    claims, head = jwt.decode(known, options={"verify_signature": False}), jwt.get_unverified_header(known) | header
    claims.pop(without, None)
    return jwt.encode(claims, key, head["alg"], head)  # type: ignore[arg-type]


STRANGER = Issuer(ISSUER)
SECRET = "a-secret-that-everybody-may-know-of-32-bytes"


OTHERWISE: tuple[dict[str, Any], ...] = (
    {"exp": 1}, {"exp": None}, {"exp": "soon"}, {"exp": []}, {"nbf": float("inf")}, {"nbf": 9**10}, {"aud": "another"}, {"aud": None},
    {"iss": f"{ISSUER}/"}, {"client_id": None}, {"client_id": ["shop"]}, {"scope": "read"}, {"scope": 7},
)  # fmt: skip


@pytest.mark.parametrize("forged", [
    *(pytest.param(lambda at, c=changes: at.token("shop", ("submit",), **c), id=f"{changes}") for changes in OTHERWISE),
    *(pytest.param(lambda at, n=name: again(at, at._keys[0].private, n), id=f"without {name}") for name in ("exp", "iss", "aud", "client_id", "scope")),
    pytest.param(lambda at: again(at, None, alg="none"), id="unsigned"),
    pytest.param(lambda at: again(at, SECRET, alg="HS256"), id="with a key that two share"),
    pytest.param(lambda at: again(at, STRANGER._keys[0].private), id="signed by a stranger"),
    pytest.param(lambda at: again(at, STRANGER._keys[0].private, kid="another"), id="with a key of nobody"),
    pytest.param(lambda at: again(at, STRANGER._keys[0].private, jwk=STRANGER._keys[0].public), id="with a key of its own"),
    pytest.param(lambda at: at.token("shop", ("submit",))[:-9], id="cut"), pytest.param(lambda at: "x", id="none at all"),
])  # fmt: skip
def test_a_forged_token_opens_nothing(issuer: Issuer, by_token: Api, forged: Callable[[Issuer], str]) -> None:
    reply = spoken(by_token, "POST /v1/oauth/voids", bearer(token := forged(issuer)))
    assert (reply.status in (401, 403), reply.events) == (True, [])
    assert token == "x" or token not in f"{reply.text} {reply.headers}"


def test_a_genuine_token_opens_what_its_scope_names_by_one_header(issuer: Issuer, by_token: Api) -> None:
    genuine = bearer(issuer.token("shop", ("submit",)))
    assert spoken(by_token, "POST /v1/oauth/voids", genuine).status == 200
    for headers in (genuine * 2, (), (genuine[0].replace("Bearer", "Basic"),)):
        assert spoken(by_token, "POST /v1/oauth/voids", headers).status == 401
    assert (
        spoken(by_token, f"POST /v1/oauth/voids?access_token={genuine[0]}".replace("Authorization: Bearer ", "")).status
        == 401
    )
    for route in ("POST /v1/voids", "GET /v1/voids", "GET /v1/voids/1", "POST /v1/voids/1/decisions"):
        assert spoken(by_token, route, genuine).status == 403, "only a signature opens it"
    assert spoken(by_token, "POST /v1/oauth/voids/1/decisions", genuine).status == 403, "no decision by token"


def test_a_key_is_fetched_when_it_is_new_and_the_one_before_stays(
    by_token: Api, issuer: Issuer, fetched: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = [issuer.token("shop", ("submit",))]
    later = time.time() + LIFETIME + 1
    monkeypatch.setattr("local.issuer.time.time", lambda: later)
    made.append(issuer.token("shop", ("submit",), iat=0))
    assert len({jwt.get_unverified_header(each)["kid"] for each in made}) == 2, "a key signs for an hour"
    for token in made * 2:
        assert spoken(by_token, "POST /v1/oauth/voids", bearer(token)).status == 200
    assert sum(fetched.values()) == 2


BASIC = "Basic " + base64.b64encode(b"shop:shop-secret").decode()
GRANT = b"grant_type=client_credentials"


@pytest.mark.parametrize(("authorization", "body", "expected"), [
    (BASIC, GRANT, "submit read"), (BASIC, GRANT + b"&scope=read", "read"), (None, GRANT + b"&client_id=reader&client_secret=reader-secret", "read"),
    ("Basic " + base64.b64encode(b"shop:another").decode(), GRANT, "invalid_client"), ("Basic !", GRANT, "invalid_client"),
    ("Bearer x", GRANT, "invalid_client"), (None, GRANT, "invalid_client"), (None, GRANT + b"&client_id=reader&client_secret=shop-secret", "invalid_client"),
    (BASIC, GRANT + b"&client_id=shop&client_secret=shop-secret", "invalid_request"), (BASIC, GRANT + b"&" + GRANT, "invalid_request"),
    (BASIC, b"\xff", "invalid_request"), (BASIC, b"", "invalid_request"), (BASIC, b"scope=read", "invalid_request"),
    (BASIC, b"grant_type=password", "unsupported_grant_type"), (BASIC, GRANT + b"&scope=admin", "invalid_scope"),
])  # fmt: skip
def test_the_token_endpoint_answers_as_rfc_6749_says(
    issuer: Issuer, authorization: str | None, body: bytes, expected: str
) -> None:
    sent = {} if authorization is None else {"Authorization": authorization}
    status, document, headers = issuer.answer("POST", "/oauth2/token", sent, body) or (0, {}, {})
    if status == 200:
        assert (document["scope"], document["token_type"], document["expires_in"]) == (expected, "Bearer", LIFETIME)
        assert headers["Cache-Control"] == "no-store"
    else:
        assert (document, status) == ({"error": expected}, 401 if expected == "invalid_client" else 400)
        assert ("WWW-Authenticate" in headers) == (status == 401)


def test_what_is_not_the_issuers_is_left_to_others(issuer: Issuer) -> None:
    assert issuer.answer("GET", "/oauth2/token", {}, b"") is issuer.answer("POST", "/sandbox/holds", {}, b"") is None


# ---- the whole way ---------------------------------------------------------------------------------------------------


def test_a_client_of_another_hand_gets_a_token_and_voids(
    service: Service, order: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")  # on loopback there is no TLS
    reader, shop = (TokenClient(service, token_of(service, client)) for client in ("reader", "shop"))
    assert reader.submit(order).status == 403
    assert reader.call("GET", f"voids/{order}").status == 404, "nothing was voided"
    assert shop.submit(order).json["state"] == "voided"
    assert reader.read(order)["requested_by"] == f"{URL}#shop"
    assert not any(each.token.rpartition(".")[2] in service.logs() for each in (reader, shop))


@pytest.mark.parametrize(
    ("place", "expired", "status"), [("claims", "UNAUTHORIZED", 401), ("jwt", "EXPIRED_TOKEN", 403)]
)
def test_both_readings_of_what_aws_does_not_document_are_played_and_the_functions_know_their_clients_in_each(
    service: Service, issuer: Issuer, by_token: Api, order: str, place: Any, expired: Any, status: int
) -> None:
    def functions(event: Any) -> Any:
        return service.runtime.invoke("submit_void" if event["httpMethod"] == "POST" else "read_voids", event)

    assert by_token.authorizer is not None
    declared = replace(by_token, authorizer=replace(by_token.authorizer, expired=expired, claims_in=place))
    late = issuer.token("shop", ("read",), exp=int(time.time()) - 1)
    assert spoken(declared, "GET /v1/oauth/voids", bearer(late)).status == status
    body = json.dumps({"order_id": order, "order_currency": "UAH"}).encode()
    for client, answered in (("stranger", 403), ("shop", 200)):
        proof = bearer(issuer.token(client, ("submit", "read")))
        headers = (*proof, "Content-Type: application/json")
        assert spoken(declared, "POST /v1/oauth/voids", headers, body, returns=functions).status == answered
    read = spoken(declared, f"GET /v1/oauth/voids/{order}", (proof[0].replace("Bearer", "bearer "),), returns=functions)
    assert json.loads(read.text)["requested_by"] == f"{ISSUER}#shop"
    context = read.events[0]["requestContext"]
    assert all(
        isinstance(value, str)
        for value in (context["authorizer"].get("jwt") or context["authorizer"])["claims"].values()
    )
    assert context["identity"]["userArn"] is None
