"""Callers by token: the routes that an issuer opens, what protects them, and that none is there without one."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from infra.environment import Environment, TokenIssuer

ISSUER = TokenIssuer(
    url="https://id.example.com/", audiences=("voids",), caller_claim="azp", scopes={"submit": "void", "read": "see"}
)


def of(template: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [each["Properties"] for each in template["Resources"].values() if each["Type"] == kind]


def test_the_three_merchant_routes_by_token_and_never_decisions(everything: dict[str, Any]) -> None:
    (authorizer,) = [n for n, e in everything["Resources"].items() if e["Type"] == "AWS::ApiGateway::Authorizer"]
    by_token = [each for each in of(everything, "AWS::ApiGateway::Method") if each["AuthorizationType"] == "JWT"]
    reached = sorted(
        (each["HttpMethod"], each["AuthorizationScopes"], json.dumps(each["Integration"]["Uri"])) for each in by_token
    )
    assert [(method, scopes) for method, scopes, _ in reached] == [
        ("GET", ["voids/read"]), ("GET", ["voids/read"]), ("POST", ["voids/submit"])
    ]  # fmt: skip
    assert ["FunctionsReadVoids" in uri or "FunctionsSubmitVoid" in uri for _, _, uri in reached] == [True] * 3
    assert {json.dumps(each["AuthorizerId"]) for each in by_token} == {json.dumps({"Ref": authorizer})}


def test_api_gateway_checks_issuer_audience_and_that_the_client_is_named(everything: dict[str, Any]) -> None:
    (authorizer,) = of(everything, "AWS::ApiGateway::Authorizer")
    assert (authorizer["Type"], authorizer["IdentitySource"]) == ("JWT", "method.request.header.Authorization")
    (issuer,) = authorizer["JwtConfiguration"]["Issuers"]
    assert authorizer["JwtConfiguration"]["DefaultAlgorithms"] == ["RS256"]
    assert (issuer["Issuer"], issuer["Audiences"]) == ("https://id.example.com/", ["voids"])
    (claim,) = issuer["AdditionalClaims"]
    assert (claim["ClaimName"], claim["Required"]) == ("azp", True)


def test_the_log_names_the_client_and_never_a_token(everything: dict[str, Any]) -> None:
    (stage,) = of(everything, "AWS::ApiGateway::Stage")
    logged = json.loads(stage["AccessLogSetting"]["Format"])
    assert logged["client"] == "$context.authorizer.claims.azp"
    assert not [each for each in logged.values() if "authorization" in each.lower()]
    # A bucket of their own would be another limit for the same functions: the stage's is each route's.
    assert {each["ResourcePath"] for each in stage["MethodSettings"]} == {"/*", "/~1webhooks~1financial-line"}


def test_whoever_deploys_reads_where_callers_with_a_token_go(everything: dict[str, Any]) -> None:
    assert everything["Outputs"]["TokenApiUrl"]["Value"] == "https://voids.example.com/v1/oauth"


@pytest.mark.parametrize("environment", ["test", "prod", "local"])
def test_without_an_issuer_nothing_of_it_is_there(templates: dict[str, Any], environment: str) -> None:
    template = templates[environment]
    assert not of(template, "AWS::ApiGateway::Authorizer")
    for word in ("oauth", "JWT", "TOKEN_", "TokenApiUrl", 'aws:PrincipalArn": "false', "WWW-Authenticate", "claims"):
        assert word not in json.dumps(template), word


def test_another_issuer_is_another_deployment(synthesised: Callable[..., Path]) -> None:
    # API Gateway applies an authorizer only when the API is deployed again.
    def deployment(*audiences: str) -> str:
        issuer = TokenIssuer(url=ISSUER.url, audiences=audiences, scopes=ISSUER.scopes)
        (path,) = synthesised(Environment(name="test", token_issuers=(issuer,), token_callers=("shop",))).glob(
            "*.template.json"
        )
        resources = json.loads(path.read_text("utf-8"))["Resources"]
        return next(name for name, each in resources.items() if each["Type"] == "AWS::ApiGateway::Deployment")

    assert deployment("voids") != deployment("voids", "more")
