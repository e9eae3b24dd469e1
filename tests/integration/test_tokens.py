"""Callers by token: what forged tokens open (nothing), the local issuer, a client of another hand."""

import base64
import json
import time
from collections import Counter
from collections.abc import Iterator
from copy import replace
from functools import partial
from pathlib import Path
from typing import Any

import jwt
import pytest
from oauthlib.oauth2 import BackendApplicationClient, InvalidClientError, InvalidScopeError
from requests.auth import HTTPBasicAuth
from requests_oauthlib import OAuth2Session

from local.aws import ACCOUNT, role_credentials
from local.exchange import Answer, GatewayError, Request
from local.gateway.api import Api, read_api
from local.gateway.server import Gateway
from local.gateway.tokens import Readings
from local.issuer import AUDIENCE, CLIENTS, LIFETIME, Issuer
from local.processes import Children
from local.runtime import Runtime
from local.service import Service
from tests.integration.client import eventually
from tests.integration.forger import ISSUER, Forger, asked, trusting
from tests.integration.front_door import DEPLOYED, ROUTES, TOKEN_ROUTES, spoken


@pytest.fixture(scope="module")
def issuer() -> Issuer:
    return Issuer(ISSUER)


def test_ten_thousand_forged_tokens_open_nothing(issuer: Issuer) -> None:
    authorizer, fetched = trusting(issuer)
    forger, refused = Forger(issuer, seed=20261201), Counter[str]()
    for number in range(10_000):
        forge = forger.kinds[number % len(forger.kinds)]
        request = forge()
        with pytest.raises(GatewayError) as raised:
            authorizer.check(request, ("submit",), Readings())
        error = raised.value
        assert forger.genuine not in f"{error} {error.hint}"
        assert error.kind == ("ACCESS_DENIED" if forge == forger.out_of_scope else "UNAUTHORIZED"), forge
        refused[forge.__name__] += 1
        if number % 100 == 0:  # the door is no wall: the genuine one comes in all the while
            assert authorizer.check(asked(f"Bearer {forger.genuine}"), ("submit",), Readings())["client_id"] == "shop"
    assert len(refused) == len(forger.kinds)
    assert sum(fetched.values()) < 200, "a made-up key is no reason to fetch each time"


@pytest.fixture
def by_token(issuer: Issuer) -> Api:
    return replace(DEPLOYED, authorizers={"a1": trusting(issuer)[0]})


def test_forged_tokens_reach_no_function_over_the_socket(issuer: Issuer, by_token: Api) -> None:
    forger = Forger(issuer, seed=7)
    for forge in forger.kinds * 3:
        request = forge()
        headers = tuple(f"{name}: {value}" for name, value in request.headers if "\n" not in value)
        reply = spoken(by_token, f"POST {request.target}", headers)
        assert (reply.status in (401, 403), reply.events) == (True, []), (forge, reply.text)
        assert forger.genuine not in f"{reply.text} {reply.headers}"
    bearer = (f"Authorization: Bearer {forger.genuine}",)
    assert spoken(by_token, "POST /v1/oauth/voids", bearer).status == 200
    assert [spoken(by_token, f"{method} /v1{path}", bearer).status for method, path in ROUTES] == [403] * 4, (
        "no route of IAM"
    )
    assert spoken(by_token, "POST /v1/oauth/voids/1/decisions", bearer).status == 403, "no decision by token"


def test_both_readings_of_what_aws_does_not_document_are_played(issuer: Issuer, by_token: Api) -> None:
    for expired, status in (("UNAUTHORIZED", 401), ("EXPIRED_TOKEN", 403)):
        for place in ("claims", "jwt"):
            declared = replace(by_token, readings=Readings(expired, place))  # type: ignore[arg-type]
            late = issuer.token("shop", ("read",), exp=int(time.time()) - 1)
            assert spoken(declared, "GET /v1/oauth/voids", (f"Authorization: Bearer {late}",)).status == status
            token = issuer.token("reader", ("read",))
            context = spoken(declared, "GET /v1/oauth/voids/7", (f"Authorization: bearer  {token}",)).events[0][
                "requestContext"
            ]
            said = context["authorizer"] if place == "claims" else context["authorizer"]["jwt"]
            assert (said["claims"]["client_id"], said["claims"]["scope"], context["identity"]["userArn"]) == (
                "reader",
                "read",
                None,
            )
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
    assert len({jwt.get_unverified_header(each)["kid"] for each in tokens}) == 2, (
        "the old key has signed for long enough"
    )
    for token in tokens * 2:
        authorizer.check(asked(f"Bearer {token}"), ("submit",), Readings())
    assert sum(fetched.values()) == 4
    issuer.rotate()
    monkeypatch.setattr("local.gateway.tokens.KEPT", -1.0)
    with pytest.raises(GatewayError, match="Unauthorized"):
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
    reply = issuer.answer(
        "POST", "/oauth2/token", {} if authorization is None else {"Authorization": authorization}, body
    )
    assert reply is not None
    status, document, headers = reply
    if status == 200:
        assert (document["scope"], document["token_type"], document["expires_in"]) == (expected, "Bearer", LIFETIME)
        assert headers["Cache-Control"] == "no-store"
    else:
        assert (document, status) == ({"error": expected}, 401 if expected == "invalid_client" else 400)
        assert ("WWW-Authenticate" in headers) == (status == 401)


def test_what_is_not_the_issuers_is_left_to_others(issuer: Issuer) -> None:
    assert issuer.answer("GET", "/oauth2/token", {}, b"") is issuer.answer("POST", "/sandbox/holds", {}, b"") is None


# ---- the whole way, with a client of another hand --------------------------------------------------------------------


def template() -> dict[str, Any]:
    """The token routes and their authorizer, as the stack has them."""

    def of(kind: str, **properties: Any) -> dict[str, Any]:
        return {"Type": f"AWS::ApiGateway::{kind}", "Properties": {"RestApiId": {"Ref": "Rest"}} | properties}

    lambda_ = "arn:aws:apigateway:eu-central-1:lambda:path/2015-03-31/functions/arn:aws:lambda:eu-central-1"
    paths = {"/oauth/voids": "Voids", "/oauth/voids/{order_id}": "One"}
    issuers = [{"Issuer": {"Ref": "TokenIssuer"}, "Audiences": [AUDIENCE],
                "AdditionalClaims": [{"ClaimName": "client_id", "Format": "SINGLE_STRING", "Required": True}]}]  # fmt: skip
    methods = {
        f"Method{number}": of(
            "Method", ResourceId={"Ref": paths[declared.resource]}, HttpMethod=declared.method, AuthorizationType="JWT",
            AuthorizerId={"Ref": "Tokens"}, AuthorizationScopes=[*declared.scopes],
            Integration={"Type": "AWS_PROXY", "IntegrationHttpMethod": "POST",
                         "Uri": f"{lambda_}:{ACCOUNT}:function:{declared.scopes[0]}/invocations"},
        )
        for number, declared in enumerate(TOKEN_ROUTES)
    }  # fmt: skip
    resources = {
        "Rest": {"Type": "AWS::ApiGateway::RestApi", "Properties": {"Name": "by-token"}},
        "Oauth": of("Resource", ParentId={"Fn::GetAtt": ["Rest", "RootResourceId"]}, PathPart="oauth"),
        "Voids": of("Resource", ParentId={"Ref": "Oauth"}, PathPart="voids"),
        "One": of("Resource", ParentId={"Ref": "Voids"}, PathPart="{order_id}"),
        "Tokens": of("Authorizer", Name="tokens", Type="JWT", IdentitySource="method.request.header.Authorization",
                     JwtConfiguration={"DefaultAlgorithms": ["RS256"], "Issuers": issuers}),
        "Deployment": of("Deployment") | {"DependsOn": [*methods]},
        "Stage": of("Stage", StageName="v1", DeploymentId={"Ref": "Deployment"}),
    }  # fmt: skip
    outputs = {"Id": {"Value": {"Ref": "Rest"}}}
    return {"Parameters": {"TokenIssuer": {"Type": "String"}}, "Resources": resources | methods, "Outputs": outputs}


@pytest.fixture
def runtime(service: Service, tmp_path: Path) -> Iterator[Runtime]:
    """The functions as they would be deployed with these callers."""
    callers, sts, children = {"TOKEN_CALLERS": "shop,reader"}, service.client("sts"), Children()
    functions = {
        stem: replace(
            service.runtime.functions[stem], environment={**service.runtime.functions[stem].environment, **callers}
        )
        for stem in ("submit_void", "read_voids")
    }
    (tmp_path / "log").touch()
    runtime = Runtime(functions, service.aws_endpoint, partial(role_credentials, sts), children, tmp_path / "log")
    yield runtime
    runtime.stop()
    children.stop_all()
    assert ".ey" not in (tmp_path / "log").read_text(), "a token was logged"


@pytest.fixture
def bound() -> Iterator[Gateway]:
    gateway = Gateway(0)
    yield gateway
    gateway.stop()


@pytest.fixture
def issuer_at(bound: Gateway) -> Issuer:
    return Issuer(bound.url)


@pytest.fixture(params=["claims", "jwt"])
def gateway(
    service: Service, runtime: Runtime, bound: Gateway, issuer_at: Issuer, request: pytest.FixtureRequest
) -> Iterator[Gateway]:
    """Token routes before the functions, deployed into the engine and read back; under each reading of AWS."""
    gateway, issuer, cloudformation, declared = bound, issuer_at, service.client("cloudformation"), template()
    given = [{"ParameterKey": "TokenIssuer", "ParameterValue": gateway.url}]
    cloudformation.create_stack(StackName="by-token", TemplateBody=json.dumps(declared), Parameters=given)
    (stack,) = eventually(
        lambda: cloudformation.describe_stacks(StackName="by-token")["Stacks"],
        lambda stacks: not stacks[0]["StackStatus"].endswith("IN_PROGRESS"),
    )
    rest, functions = stack["Outputs"][0]["OutputValue"], {"submit": "submit_void", "read": "read_voids"}
    outputs, parameters = {"CallerPolicy": ""}, {"TokenIssuer": gateway.url}
    served = read_api(service.aws_endpoint, rest, functions, outputs, declared, parameters, {})

    def pages(request: Request) -> Answer | None:
        reply = issuer.answer(request.method, request.path, dict(request.headers), request.body)
        if reply is None:
            return None
        status, document, headers = reply
        return Answer(status, [("Content-Type", "application/json"), *headers.items()], json.dumps(document).encode())

    gateway.serve(replace(served, readings=Readings(claims_in=request.param)), runtime, pages)
    yield gateway
    cloudformation.delete_stack(StackName="by-token")


def session(
    gateway: Gateway, client: str, secret: str | None = None, scope: str | None = None, *, post: bool = False
) -> OAuth2Session:
    session = OAuth2Session(client=BackendApplicationClient(client, scope=scope))
    secret = secret or CLIENTS[client][0]
    how = {"client_secret": secret, "include_client_id": True} if post else {"auth": HTTPBasicAuth(client, secret)}
    session.fetch_token(f"{gateway.url}/oauth2/token", **how)
    return session


def test_a_client_of_another_hand_gets_a_token_and_voids(
    gateway: Gateway, issuer_at: Issuer, order: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")  # on loopback there is no TLS
    voids, wanted = f"{gateway.url}/v1/oauth/voids", {"order_id": order, "order_currency": "UAH"}
    with session(gateway, "reader", post=True) as reader, session(gateway, "shop") as shop:
        assert reader.post(voids, json=wanted).status_code == 403
        assert reader.get(f"{voids}/{order}").status_code == 404, "nothing was voided"
        shop.access_token, genuine = issuer_at.token("stranger", ("submit",)), shop.access_token
        assert shop.post(voids, json=wanted).status_code == 403, "no client of ours"
        shop.access_token = genuine
        voided = shop.post(voids, json=wanted)
        assert (voided.status_code, voided.json()["state"]) == (200, "voided")
        record = reader.get(f"{voids}/{order}").json()
        assert (record["order_id"], record["requested_by"]) == (order, f"{gateway.url}#shop")
        assert reader.get(voids, params={"state": "unsettled"}).status_code == 200
    for client, secret, scope, error in (
        ("shop", "another", None, InvalidClientError),
        ("reader", None, "submit", InvalidScopeError),
    ):
        with pytest.raises(error):
            session(gateway, client, secret, scope)
