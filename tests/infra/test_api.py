"""The front door: which route leads where, what is logged, how fast, over which TLS, and when it is deployed anew."""

import json
from collections.abc import Callable
from copy import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from infra.environment import CustomDomain, Environment, TokenIssuer
from infra.synth import synthesis_environment
from tests.infra.stack import Stack

SIGNED = {
    "POST /voids": "SubmitVoid",
    "GET /voids": "ReadVoids",
    "GET /voids/{order_id}": "ReadVoids",
    "POST /voids/{order_id}/decisions": "Decide",
}
WEBHOOK = {"POST /webhooks/financial-line": "ReceiveWebhook"}
BY_TOKEN = {
    "POST /oauth/voids": "SubmitVoid",
    "GET /oauth/voids": "ReadVoids",
    "GET /oauth/voids/{order_id}": "ReadVoids",
}
ISSUER = TokenIssuer(url="https://id.example.com/", audiences=("voids",), scopes={"submit": "s", "read": "r"})
TOKENS = Environment(name="test", token_issuers=(ISSUER,), token_callers=("shop",))
DOMAIN = CustomDomain(name="voids.example.com", certificate_arn="arn:aws:acm:eu-central-1:123456789012:certificate/0a")


@pytest.fixture
def api_of(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[Environment], Stack]:
    """The API alone, for settings that none of the environments has."""
    for name, value in synthesis_environment("test", tmp_path).items():
        if name.startswith("JSII_"):
            monkeypatch.setenv(name, value)
    import aws_cdk as cdk
    from aws_cdk import aws_apigateway

    from infra.api import Api

    def synthesise(environment: Environment) -> Stack:
        app = cdk.App(analytics_reporting=False)
        stack = cdk.Stack(app, "Stack", env=cdk.Environment(region=environment.region))
        api = Api(stack, "Api", environment, public_url=None)
        api.rest.root.add_method("GET", aws_apigateway.MockIntegration())
        cdk.CfnOutput(stack, "WebhookUrl", value=api.webhook_url)
        return Stack(app.synth().get_stack_by_name("Stack").template)

    return synthesise


@pytest.mark.parametrize(
    ("name", "more"), [("test", {}), ("prod", {}), ("local", BY_TOKEN), ("every option", BY_TOKEN)]
)
def test_each_route_reaches_its_function_by_its_proof(
    stacks: dict[str, Stack], name: str, more: dict[str, str]
) -> None:
    stack, proofs = stacks[name], {"AWS_IAM": SIGNED, "NONE": WEBHOOK, "JWT": more}
    routes = stack.routes()
    for proof, expected in proofs.items():
        assert {route for route, method in routes.items() if method["AuthorizationType"] == proof} == {*expected}
        for route, function in expected.items():
            assert f'"Functions{function}' in json.dumps(routes[route]["Integration"]["Uri"])
            assert routes[route]["Integration"]["Type"] == "AWS_PROXY"
    permissions = stack.all("Lambda::Permission")
    assert {each["Principal"] for each in permissions} == {"apigateway.amazonaws.com"}
    ends = {each["SourceArn"]["Fn::Join"][1][-1] for each in permissions}
    # Only the API invokes a function, and only by its route.
    assert ends == {f"/{route.replace(' ', '').replace('{order_id}', '*')}" for route in routes}


def test_the_token_routes_have_an_authorizer_and_the_functions_their_callers(stacks: dict[str, Stack]) -> None:
    stack = stacks["every option"]
    routes = stack.routes()
    scopes = {"POST": ["voids/submit"], "GET": ["voids/read"]}
    for route in BY_TOKEN:
        assert routes[route]["AuthorizerId"] == {"Ref": stack.name("ApiGateway::Authorizer")}
        assert routes[route]["AuthorizationScopes"] == scopes[route.split()[0]]
    claim = {"ClaimName": "client_id", "Format": "SINGLE_STRING", "Required": True}
    issuer = {"Issuer": "https://id.example.com/", "Audiences": ["voids"], "AdditionalClaims": [claim]}
    authorizer = stack.one("ApiGateway::Authorizer")
    assert authorizer["JwtConfiguration"] == {"DefaultAlgorithms": ["RS256"], "Issuers": [issuer]}
    assert stack.outputs["TokenApiUrl"] == "https://voids.example.com/v1/oauth"
    log = json.loads(stack.one("ApiGateway::Stage")["AccessLogSetting"]["Format"])
    assert [each for each in log.values() if "authorizer" in each] == ["$context.authorizer.claims.client_id"]


@pytest.mark.parametrize("name", ["test", "prod"])
def test_without_issuers_nothing_of_tokens_is_there(stacks: dict[str, Stack], name: str) -> None:
    text = json.dumps(stacks[name].template)
    assert not any(word in text for word in ("oauth", "JWT", "TOKEN_CALLER", 'Authorizer"', "WWW-Authenticate"))


def test_without_issuers_the_template_is_byte_for_byte_the_one_of_a_service_that_knows_no_tokens(
    synthesised: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def text(environment: Environment) -> str:
        (template,) = synthesised(environment).glob("*.template.json")
        return template.read_text("utf-8")

    without = Environment(name="test", token_issuers=(), token_callers=())
    before = text(without)
    assert text(replace(without, token_issuers=(ISSUER,), token_callers=("shop",))) != before
    monkeypatch.setattr("infra.api.tokens", SimpleNamespace(caller_in_log=lambda _: {}))
    for name in ("infra.gateway_responses.BY_TOKEN", "infra.callers.BY_TOKEN"):
        monkeypatch.delattr(name)
    assert text(without) == before


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (Environment(name="test"), Environment(name="test", webhook_addresses=("192.0.2.2/32",))),
        (TOKENS, replace(TOKENS, token_issuers=(replace(ISSUER, audiences=("other",)),))),
        (Environment(name="test", custom_domain=DOMAIN),
         Environment(name="test", custom_domain=DOMAIN, close_default_address=True)),
    ],
)  # fmt: skip
def test_what_counts_only_when_it_is_deployed_is_another_deployment(
    api_of: Callable[[Environment], Stack], before: Environment, after: Environment
) -> None:
    first, same, other = (api_of(each).name("ApiGateway::Deployment") for each in (before, before, after))
    assert first == same != other


@pytest.mark.parametrize("closed", [False, True])
def test_a_custom_domain_opens_beside_the_old_door_and_closes_it_in_a_second_step(
    api_of: Callable[[Environment], Stack], closed: bool
) -> None:
    stack = api_of(Environment(name="test", custom_domain=DOMAIN, close_default_address=closed))
    assert stack.one("ApiGateway::DomainName")["SecurityPolicy"] == "TLS_1_2"
    assert stack.one("ApiGateway::BasePathMapping")["BasePath"] == "v1"
    assert stack.one("ApiGateway::RestApi")["DisableExecuteApiEndpoint"] is closed
    # While its DNS record is not there yet, the provider could not reach the domain.
    assert (stack.outputs["WebhookUrl"] == "https://voids.example.com/v1/webhooks/financial-line") is closed


def test_a_web_acl_stands_before_the_stage_where_one_is_configured(stacks: dict[str, Stack]) -> None:
    filtered = stacks["every option"].one("WAFv2::WebACLAssociation")
    assert filtered["WebACLArn"] == "arn:aws:wafv2:eu-central-1:123456789012:regional/webacl/front/0a-1b"
    assert "/stages/" in json.dumps(filtered["ResourceArn"])
    assert not stacks["prod"].of("WAFv2::WebACLAssociation")


def test_the_outputs_say_where_and_what_to_do_next(stacks: dict[str, Stack]) -> None:
    stack = stacks["test"]
    rest = {"Ref": stack.name("ApiGateway::RestApi")}
    address = ["https://", rest, ".execute-api.eu-central-1.", {"Ref": "AWS::URLSuffix"}]
    assert stack.outputs["ApiUrl"] == {"Fn::Join": ["", [*address, "/v1"]]}
    assert stack.outputs["WebhookUrl"] == {"Fn::Join": ["", [*address, "/v1/webhooks/financial-line"]]}
    assert stack.functions["submit_void"]["Environment"]["Variables"]["WEBHOOK_URL"] == stack.outputs["WebhookUrl"]
    assert text(stack.outputs["FillSecretCommand"]) == (
        "aws secretsmanager put-secret-value --region eu-central-1 --secret-id ProviderCredentials"
        " --secret-string file://financial-line.json"
    )
    for output, routes in (
        ("CallerPolicy", ["POST/voids", "GET/voids", "GET/voids/*"]),
        ("OperatorPolicy", ["GET/voids", "GET/voids/*", "POST/voids/*/decisions"]),
    ):
        (statement,) = json.loads(text(stack.outputs[output]))["Statement"]
        assert statement["Action"] == "execute-api:Invoke"
        assert [arn.split("/v1/", 1)[1] for arn in statement["Resource"]] == routes
    assert {*stack.outputs} == {
        "ApiUrl", "WebhookUrl", "SecretName", "FillSecretCommand", "CallerPolicy", "OperatorPolicy", "OutcomeBus",
        "AlarmTopic",
    }  # fmt: skip


def text(value: dict[str, Any]) -> str:
    """With the names of what is referred to in its places."""
    parts = value["Fn::Join"][1]
    return "".join(each if isinstance(each, str) else each.get("Ref") or each["Fn::GetAtt"][0] for each in parts)


def test_the_access_log_names_no_order_no_person_and_nothing_that_a_caller_may_choose(
    stacks: dict[str, Stack],
) -> None:
    logged = json.loads(stacks["test"].one("ApiGateway::Stage")["AccessLogSetting"]["Format"])
    # An account is no person; `caller`, `user` and `userArn` may hold a session's name, which may be one.
    assert [each for each in logged.values() if "identity" in each] == ["$context.identity.accountId"]
    assert not {"$context.path", "$context.requestId"} & {*logged.values()}  # a client can set requestId
    assert logged["request_id"] == "$context.extendedRequestId"
    assert "$context.tlsVersion" in logged.values()


@pytest.mark.parametrize("name", ["test", "prod", "local", "every option"])
def test_the_api_is_regional_text_only_throttled_by_route_over_new_tls_and_never_logs_bodies(
    stacks: dict[str, Stack], name: str
) -> None:
    stack = stacks[name]
    api, stage = stack.one("ApiGateway::RestApi"), stack.one("ApiGateway::Stage")
    assert api["SecurityPolicy"] == "TLS_1_2", "AWS's default for a regional API is TLS_1_0"
    assert api["EndpointConfiguration"] == {"Types": ["REGIONAL"]}
    assert "BinaryMediaTypes" not in api
    assert not stack.of("ApiGateway::Account"), "the account's log role is not each stack's to overwrite"
    assert stage["StageName"] == "v1"
    settings = {(each["HttpMethod"], each["ResourcePath"]): each for each in stage["MethodSettings"]}
    assert {*settings} == {("*", "/*"), ("POST", "/~1webhooks~1financial-line")}
    for each in settings.values():
        assert (each["ThrottlingRateLimit"], each["ThrottlingBurstLimit"]) == (200, 400)
        assert (each["DataTraceEnabled"], each["LoggingLevel"]) == (False, "OFF")
