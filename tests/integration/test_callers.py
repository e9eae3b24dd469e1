"""Who may do what at the local gateway: the merchant, the operator, callers by token; and what forged tokens open: nothing.

The tokens are the local issuer's, or made by hand where no library would make them.
"""

import base64
import json
import time
from collections import Counter
from collections.abc import Iterator
from copy import replace
from typing import Any

import jwt
import pytest
from oauthlib.oauth2 import BackendApplicationClient, InvalidClientError, InvalidScopeError
from requests.auth import HTTPBasicAuth
from requests_oauthlib import OAuth2Session

from local.aws import ACCOUNT
from local.gateway import Answer, Gateway, Request, read_api
from local.gateway.api import Api
from local.gateway.policy import effects, holds
from local.gateway.tokens import Readings
from local.issuer import AUDIENCE, CLIENTS, LIFETIME, Issuer
from local.merchant import Caller
from local.refusal import GatewayError
from local.service import Service
from local.signature import MERCHANT, OPERATOR, Signer
from tests.integration.forger import ISSUER, Forger, asked, trusting
from tests.integration.front_door import api, route, spoken

# ---- policies --------------------------------------------------------------------------------------------------------

ROOT, ROLES = (
    f"arn:aws:iam::{ACCOUNT}:root",
    {each: f"arn:aws:iam::{ACCOUNT}:role/{each.role}" for each in (MERCHANT, OPERATOR)},
)
ROLE = ROLES[MERCHANT]
HERE = {"aws:sourceip": "127.0.0.1", "aws:principalarn": ROLE, "aws:principalaccount": ACCOUNT}
NOBODY = HERE | {"aws:principalarn": None, "aws:principalaccount": None}


@pytest.mark.parametrize(("operator", "key", "wanted", "by_a_role", "by_nobody"), [
    ("ArnLike", "aws:PrincipalArn", [f"arn:aws:iam::{ACCOUNT}:*"], True, False),
    ("ArnLike", "aws:PrincipalArn", ["arn:aws:iam::111111111111:*", ROLE], True, False),
    ("ArnLike", "aws:PrincipalArn", ["arn:aws:*:role/local-merchant"], False, False),  # a star ends at a colon
    ("ArnNotLike", "aws:PrincipalArn", [ROLE], False, True),  # negated: true without its key
    ("ArnNotLike", "aws:PrincipalArn", ["arn:aws:iam::111111111111:*"], True, True),
    ("Null", "aws:PrincipalArn", ["false"], True, False), ("Null", "aws:PrincipalArn", [True], False, True),
    ("StringEquals", "aws:PrincipalAccount", [ACCOUNT], True, False), ("StringNotEquals", "aws:PrincipalAccount", [ACCOUNT], False, True),
    ("IpAddress", "aws:SourceIp", ["127.0.0.0/8"], True, True), ("NotIpAddress", "aws:SourceIp", ["35.187.74.148/32"], True, True),
    ("StringEquals", "aws:SourceVpc", ["x"], ValueError, ValueError), ("BinaryEquals", "aws:SourceIp", ["x"], ValueError, ValueError),
])  # fmt: skip
def test_a_condition_holds_as_in_aws_and_an_unknown_one_never(
    operator: str, key: str, wanted: list[Any], by_a_role: Any, by_nobody: Any
) -> None:
    for facts, expected in ((HERE, by_a_role), (NOBODY, by_nobody)):
        if expected is ValueError:
            with pytest.raises(ValueError, match="does not know the condition"):
                holds(operator, key, wanted, facts)
        else:
            assert holds(operator, key, wanted, facts) == expected


@pytest.mark.parametrize(("effect", "principal", "expected"), [
    ("Allow", ROOT, set()), ("Allow", ACCOUNT, set()), ("Allow", ROLE, {"Allow"}), ("Deny", ROOT, {"Deny"}),
    ("Deny", "arn:aws:iam::111111111111:root", set()), ("Allow", "*", {"Allow"}),
])  # fmt: skip
def test_an_account_that_is_allowed_only_delegates(effect: str, principal: str, expected: set[str]) -> None:
    statement = {"Effect": effect, "Principal": {"AWS": principal}, "Resource": "execute-api:/v1/GET/voids"}
    assert effects([statement], "v1/GET/voids", HERE) == expected
    assert effects([statement], "v1/GET/voids", NOBODY) == (expected if principal == "*" else set())


def statement(effect: str, principal: str, routes: tuple[str, ...], **condition: Any) -> dict[str, Any]:
    resources = [f"execute-api:/v1/{each}" for each in routes]
    return {"Effect": effect, "Principal": {"AWS": principal}, "Resource": resources, "Condition": condition}


SUBMIT, READ, DECIDE = ("POST/voids",), ("GET/voids", "GET/voids/*"), ("POST/voids/*/decisions",)
OWN = {MERCHANT.role: SUBMIT + READ, OPERATOR.role: READ + DECIDE}
POLICY = [
    statement("Allow", ROOT, SUBMIT + READ, ArnLike={"aws:PrincipalArn": [ROLE]}),
    statement("Allow", ROOT, READ + DECIDE, ArnLike={"aws:PrincipalArn": [ROLES[OPERATOR]]}),
    statement("Allow", "*", ("POST/oauth/voids", "GET/oauth/voids", "GET/oauth/voids/*")),
    statement("Deny", "*", ("*voids*",), ArnNotLike={"aws:PrincipalArn": [*ROLES.values()]}, Null={"aws:PrincipalArn": "false"}),
    statement("Deny", "*", ("POST/*voids*/?*",), ArnNotLike={"aws:PrincipalArn": [ROLES[OPERATOR]]}),
]  # fmt: skip
ROUTES = [("POST", "/voids"), ("GET", "/voids"), ("GET", "/voids/{order_id}"), ("POST", "/voids/{order_id}/decisions")]
IAM_ROUTES = [route(method, resource, "AWS_IAM") for method, resource in ROUTES]
TOKEN_ROUTES = [
    route(method, f"/oauth{resource}", "JWT", scopes=("submit",) if method == "POST" else ("read",), authorizer="a1")
    for method, resource in ROUTES[:3]
]
DEPLOYED = api(
    "v1",
    *IAM_ROUTES,
    *TOKEN_ROUTES,
    policy=POLICY,
    own_policies={
        role: [{"Effect": "Allow", "Resource": [f"arn:aws:execute-api:eu-central-1:{ACCOUNT}:a1b2c3/v1/{one}" for one in routes]}]
        for role, routes in OWN.items()
    },
)  # fmt: skip


@pytest.mark.parametrize(("who", "statuses"), [(MERCHANT, (200, 200, 200, 403)), (OPERATOR, (403, 200, 200, 200))])
def test_the_merchant_submits_and_the_operator_decides(who: Signer, statuses: tuple[int, ...]) -> None:
    for (method, resource), status in zip(ROUTES, statuses, strict=True):
        path = f"/v1{resource.replace('{order_id}', '1')}"
        headers = Caller("http://local", "eu-central-1", who.access_key, who.secret_key).signed(method, path)
        reply = spoken(DEPLOYED, f"{method} {path}", tuple(map(": ".join, headers.items())), host="local")
        assert (reply.status, len(reply.events)) == (status, int(status == 200)), (path, reply.text)
        if status == 200:
            identity = reply.events[0]["requestContext"]["identity"]
            assert identity["userArn"] == f"arn:aws:sts::{ACCOUNT}:assumed-role/{who.role}/{who.access_key}"
            assert identity["accessKey"] == who.access_key


# ---- tokens ----------------------------------------------------------------------------------------------------------


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


@pytest.fixture
def gateway(service: Service) -> Iterator[Gateway]:
    """Token routes before the running functions, read back from the engine as a deployment would be."""
    gateway = Gateway(0)
    issuer, functions = Issuer(gateway.url), {"submit": "submit_void", "read": "read_voids"}
    apis = service.client("apigateway")
    rest = apis.create_rest_api(name="tokens")["id"]
    resources = {"/": apis.get_resources(restApiId=rest)["items"][0]["id"]}
    for path in ("/oauth", "/oauth/voids", "/oauth/voids/{order_id}"):
        before, _, last = path.rpartition("/")
        resources[path] = apis.create_resource(restApiId=rest, parentId=resources[before or "/"], pathPart=last)["id"]
    authorizer = apis.create_authorizer(restApiId=rest, name="tokens", type="JWT")["id"]
    for declared in TOKEN_ROUTES:
        place = {"restApiId": rest, "resourceId": resources[declared.resource], "httpMethod": declared.method}
        apis.put_method(
            **place, authorizationType="JWT", authorizerId=authorizer, authorizationScopes=[*declared.scopes]
        )
        uri = f"arn:aws:apigateway:eu-central-1:lambda:path/2015-03-31/functions/arn:aws:lambda:eu-central-1:{ACCOUNT}:function:{declared.scopes[0]}/invocations"
        apis.put_integration(**place, type="AWS_PROXY", integrationHttpMethod="POST", uri=uri)
    apis.create_stage(restApiId=rest, stageName="v1", deploymentId=apis.create_deployment(restApiId=rest)["id"])
    configuration = {
        "DefaultAlgorithms": ["RS256"],
        "Issuers": [{"Issuer": {"Ref": "TokenIssuer"}, "Audiences": [AUDIENCE]}],
    }
    properties = {"Name": "tokens", "Type": "JWT", "JwtConfiguration": configuration}
    template = {"Resources": {"Tokens": {"Type": "AWS::ApiGateway::Authorizer", "Properties": properties}}}
    served = read_api(
        service.aws_endpoint, rest, functions, {"CallerPolicy": ""}, template, {"TokenIssuer": gateway.url}
    )

    def pages(request: Request) -> Answer | None:
        reply = issuer.answer(request.method, request.path, dict(request.headers), request.body)
        return reply and Answer(
            reply[0], [("Content-Type", "application/json"), *reply[2].items()], json.dumps(reply[1]).encode()
        )

    gateway.serve(served, service.runtime, pages)
    yield gateway
    gateway.stop()
    apis.delete_rest_api(restApiId=rest)


def session(
    gateway: Gateway, client: str, secret: str | None = None, scope: str | None = None, *, post: bool = False
) -> OAuth2Session:
    session = OAuth2Session(client=BackendApplicationClient(client, scope=scope))
    secret = secret or CLIENTS[client][0]
    how = {"client_secret": secret, "include_client_id": True} if post else {"auth": HTTPBasicAuth(client, secret)}
    session.fetch_token(f"{gateway.url}/oauth2/token", **how)
    return session


def test_a_client_of_another_hand_gets_a_token_and_voids(
    gateway: Gateway, order: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")  # on loopback there is no TLS
    voids, wanted = f"{gateway.url}/v1/oauth/voids", {"order_id": order, "order_currency": "UAH"}
    with session(gateway, "reader", post=True) as reader, session(gateway, "shop") as shop:
        assert reader.post(voids, json=wanted).status_code == 403
        assert reader.get(f"{voids}/{order}").status_code == 404, "nothing was voided"
        voided = shop.post(voids, json=wanted)
        assert (voided.status_code, voided.json()["state"]) == (200, "voided")
        assert reader.get(f"{voids}/{order}").json()["order_id"] == order
        assert reader.get(voids, params={"state": "unsettled"}).status_code == 200
    for client, secret, scope, error in (
        ("shop", "another", None, InvalidClientError),
        ("reader", None, "submit", InvalidScopeError),
    ):
        with pytest.raises(error):
            session(gateway, client, secret, scope)
