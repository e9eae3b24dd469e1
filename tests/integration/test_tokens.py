"""Callers by token: what forged tokens open (nothing), the local issuer, a client of another hand."""

import base64
import json
import time
from collections import Counter
from copy import replace
from typing import Any

import jwt
import pytest
from oauthlib.oauth2 import BackendApplicationClient, InvalidClientError, InvalidScopeError
from requests.auth import HTTPBasicAuth
from requests_oauthlib import OAuth2Session

from local.exchange import GatewayError
from local.gateway.api import Api
from local.gateway.tokens import Readings
from local.issuer import CLIENTS, LIFETIME, URL, Issuer
from local.service import Service
from tests.integration.forger import ISSUER, Forger, asked, trusting
from tests.integration.front_door import DEPLOYED, ROUTES, spoken


@pytest.fixture(scope="module")
def issuer() -> Issuer:
    return Issuer(ISSUER)


@pytest.mark.parametrize("many", [650, pytest.param(10_000, marks=pytest.mark.proof)])
def test_forged_tokens_open_nothing(issuer: Issuer, many: int) -> None:
    authorizer, fetched = trusting(issuer)
    forger, refused = Forger(issuer, seed=20261201), Counter[str]()
    for number in range(many):
        kind = [*forger.kinds][number % len(forger.kinds)]
        request = forger.kinds[kind]()
        with pytest.raises(GatewayError) as raised:
            authorizer.check(request, ("submit",), Readings())
        error = raised.value
        assert forger.genuine not in f"{error} {error.hint}"
        assert error.kind == ("ACCESS_DENIED" if kind == "out of scope" else "UNAUTHORIZED"), kind
        refused[kind] += 1
        if number % 100 == 0:  # the door is no wall: the genuine one comes in all the while
            assert authorizer.check(asked(f"Bearer {forger.genuine}"), ("submit",), Readings())["client_id"] == "shop"
    assert len(refused) == len(forger.kinds)
    assert sum(fetched.values()) < 200, "a made-up key is no reason to fetch each time"


@pytest.fixture
def by_token(issuer: Issuer) -> Api:
    return replace(DEPLOYED, authorizer=trusting(issuer)[0])


def test_forged_tokens_reach_no_function_over_the_socket(issuer: Issuer, by_token: Api) -> None:
    forger = Forger(issuer, seed=7)
    for kind, forge in [*forger.kinds.items()] * 3:
        request = forge()
        headers = tuple(f"{name}: {value}" for name, value in request.headers if "\n" not in value)
        reply = spoken(by_token, f"POST {request.target}", headers)
        assert (reply.status in (401, 403), reply.events) == (True, []), (kind, reply.text)
        assert forger.genuine not in f"{reply.text} {reply.headers}"
    bearer = (f"Authorization: Bearer {forger.genuine}",)
    assert spoken(by_token, "POST /v1/oauth/voids", bearer).status == 200
    assert [spoken(by_token, f"{method} /v1{path}", bearer).status for method, path in ROUTES] == [403] * 4  # of IAM
    assert spoken(by_token, "POST /v1/oauth/voids/1/decisions", bearer).status == 403, "no decision by token"


@pytest.mark.parametrize(("expired", "status"), [("UNAUTHORIZED", 401), ("EXPIRED_TOKEN", 403)])
@pytest.mark.parametrize("place", ["claims", "jwt"])
def test_both_readings_of_what_aws_does_not_document_are_played(
    issuer: Issuer, by_token: Api, expired: Any, status: int, place: Any
) -> None:
    declared = replace(by_token, readings=Readings(expired, place))
    late = issuer.token("shop", ("read",), exp=int(time.time()) - 1)
    assert spoken(declared, "GET /v1/oauth/voids", (f"Authorization: Bearer {late}",)).status == status
    bearer = (f"Authorization: bearer  {issuer.token('reader', ('read',))}",)
    context = spoken(declared, "GET /v1/oauth/voids/7", bearer).events[0]["requestContext"]
    said = context["authorizer"] if place == "claims" else context["authorizer"]["jwt"]
    assert (said["claims"]["client_id"], said["claims"]["scope"]) == ("reader", "read")
    assert context["identity"]["userArn"] is None
    assert all(isinstance(value, str) for value in said["claims"].values())


def test_a_key_is_fetched_when_it_is_new_and_the_one_before_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    issuer = Issuer(ISSUER)
    authorizer, fetched = trusting(issuer)
    tokens = [issuer.token("shop", ("submit",))]
    authorizer.check(asked(f"Bearer {tokens[0]}"), ("submit",), Readings())
    monkeypatch.setattr("local.gateway.tokens.NOT_AGAIN_FOR", -1.0)
    later = time.time() + LIFETIME + 1
    monkeypatch.setattr("local.issuer.time.time", lambda: later)
    tokens.append(issuer.token("shop", ("submit",), iat=0))
    assert len({jwt.get_unverified_header(each)["kid"] for each in tokens}) == 2, "a key signs for an hour"
    for token in tokens * 2:
        authorizer.check(asked(f"Bearer {token}"), ("submit",), Readings())
    assert sum(fetched.values()) == 4
    issuer.rotate()
    monkeypatch.setattr("local.gateway.tokens.KEPT", -1.0)
    with pytest.raises(GatewayError, match="PyJWKSetError"):
        authorizer.check(asked(f"Bearer {tokens[0]}"), ("submit",), Readings())


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


# ---- the whole way, with a client of another hand --------------------------------------------------------------------


def session(
    service: Service, client: str, secret: str = "", scope: str | None = None, *, post: bool = False
) -> OAuth2Session:
    session = OAuth2Session(client=BackendApplicationClient(client, scope=scope))
    secret = secret or CLIENTS[client][0]
    how = {"client_secret": secret, "include_client_id": True} if post else {"auth": HTTPBasicAuth(client, secret)}
    session.fetch_token(f"{service.sandbox_url}/oauth2/token", **how)
    return session


def test_a_client_of_another_hand_gets_a_token_and_voids(
    service: Service, order: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")  # on loopback there is no TLS
    voids, wanted = f"{service.url}/v1/oauth/voids", {"order_id": order, "order_currency": "UAH"}
    with session(service, "reader", post=True) as reader, session(service, "shop") as shop:
        assert reader.post(voids, json=wanted).status_code == 403
        assert reader.get(f"{voids}/{order}").status_code == 404, "nothing was voided"
        voided = shop.post(voids, json=wanted)
        assert (voided.status_code, voided.json()["state"]) == (200, "voided")
        record = reader.get(f"{voids}/{order}").json()
        assert (record["order_id"], record["requested_by"]) == (order, f"{URL}#shop")
        assert reader.get(voids, params={"state": "unsettled"}).status_code == 200
        assert not any(each.access_token.rpartition(".")[2] in service.logs() for each in (reader, shop))
    with pytest.raises(InvalidClientError):
        session(service, "shop", "another")
    with pytest.raises(InvalidScopeError):
        session(service, "reader", scope="submit")


@pytest.mark.parametrize("place", ["claims", "jwt"])
def test_the_functions_know_their_clients_wherever_the_claims_stand(
    service: Service, issuer: Issuer, by_token: Api, order: str, place: Any
) -> None:
    def functions(event: Any) -> Any:
        return service.runtime.invoke("submit_void" if event["httpMethod"] == "POST" else "read_voids", event)

    declared = replace(by_token, readings=Readings(claims_in=place))
    body = json.dumps({"order_id": order, "order_currency": "UAH"}).encode()
    for client, status in (("stranger", 403), ("shop", 200)):
        bearer = f"Authorization: Bearer {issuer.token(client, ('submit', 'read'))}"
        headers = (bearer, "Content-Type: application/json")
        assert spoken(declared, "POST /v1/oauth/voids", headers, body, returns=functions).status == status
    read = spoken(declared, f"GET /v1/oauth/voids/{order}", (bearer,), returns=functions)
    assert json.loads(read.text)["requested_by"] == f"{ISSUER}#shop"
