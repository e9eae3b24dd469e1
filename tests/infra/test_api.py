"""The front door: which route leads where, what is logged, how fast, over which TLS, and when it is deployed anew."""

import json
from collections.abc import Callable
from copy import replace
from pathlib import Path
from typing import Any

import pytest

from infra.environment import CustomDomain, Environment, Throttle, TokenIssuer
from tests.infra.stack import CONTRACT, OPERATIONS, Stack

SIGNED = {
    "POST /voids": "SubmitVoid",
    "GET /voids": "ReadVoids",
    "GET /voids/{order_id}": "ReadVoids",
    "POST /voids/{order_id}/decisions": "Decide",
}
WEBHOOK = {"POST /webhooks/financial-line": "ReceiveWebhook"}
BY_TOKEN = {each.replace("/voids", "/oauth/voids"): name for each, name in SIGNED.items() if name != "Decide"}
DOMAIN = CustomDomain(name="voids.example.com", certificate_arn="arn:aws:acm:eu-central-1:123456789012:certificate/0a")
ISSUER = TokenIssuer(url="https://id.example.com/", audiences=("voids",), scopes={"submit": "s", "read": "r"})
PLAIN = Environment(name="test")
TOKENS = replace(PLAIN, token_issuers=(ISSUER,), token_callers=("shop",))
MOVING = replace(PLAIN, custom_domain=DOMAIN)


def api_of(environment: Environment) -> Stack:
    """The API alone, for settings that none of the environments has."""
    import aws_cdk as cdk
    from aws_cdk import aws_apigateway

    from infra.api import Api

    app = cdk.App(analytics_reporting=False)
    stack = cdk.Stack(app, "Stack", env=cdk.Environment(region=environment.region))
    api = Api(stack, "Api", environment, None, None)
    api.rest.root.add_method("GET", aws_apigateway.MockIntegration())
    cdk.CfnOutput(stack, "WebhookUrl", value=api.webhook_url)
    return Stack(app.synth().get_stack_by_name("Stack").template, environment, Path(app.outdir))


def test_each_route_reaches_its_function_by_its_proof(stack: Stack) -> None:
    routes, by_token = stack.routes(), BY_TOKEN if stack.environment.token_issuers else {}
    for proof, expected in {"AWS_IAM": SIGNED, "NONE": WEBHOOK, "JWT": by_token}.items():
        assert {route for route, method in routes.items() if method["AuthorizationType"] == proof} == {*expected}
        for route, function in expected.items():
            assert f'"Functions{function}' in json.dumps(routes[route]["Integration"]["Uri"])
            assert routes[route]["Integration"]["Type"] == "AWS_PROXY"
    permissions = stack.all("Lambda::Permission")
    assert {each["Principal"] for each in permissions} == {"apigateway.amazonaws.com"}
    ends = {each["SourceArn"]["Fn::Join"][1][-1] for each in permissions}
    # Only the API invokes a function, and only by its route.
    assert ends == {f"/{route.replace(' ', '').replace('{order_id}', '*')}" for route in routes}


def test_the_stack_has_exactly_the_routes_of_the_contract(stacks: dict[str, Stack]) -> None:
    deployed = {route: method["AuthorizationType"] for route, method in stacks["test"].routes().items()}
    assert deployed == {route: "AWS_IAM" if each["security"] else "NONE" for route, each in OPERATIONS.items()}
    stage = stacks["test"].one("ApiGateway::Stage")["StageName"]
    assert {server["url"].rsplit("/", 1)[1] for server in CONTRACT["servers"]} == {stage} == {"v1"}


def test_the_token_routes_have_an_authorizer_and_the_functions_their_callers(stacks: dict[str, Stack]) -> None:
    stack = stacks["every option"]
    routes, scopes = stack.routes(), {"POST": ["voids/submit"], "GET": ["voids/read"]}
    for route in BY_TOKEN:
        assert routes[route]["AuthorizerId"] == {"Ref": stack.name("ApiGateway::Authorizer")}
        assert routes[route]["AuthorizationScopes"] == scopes[route.split()[0]]
    claim = {"ClaimName": "client_id", "Format": "SINGLE_STRING", "Required": True}
    issuer = {"Issuer": "https://id.example.com/", "Audiences": ["voids"], "AdditionalClaims": [claim]}
    authorizer = stack.one("ApiGateway::Authorizer")
    assert authorizer["JwtConfiguration"] == {"DefaultAlgorithms": ["RS256"], "Issuers": [issuer]}
    assert stack.outputs["TokenApiUrl"] == "https://voids.example.com/v1/oauth"
    logged = [each for each in stack.access_log().values() if "authorizer" in each]
    assert logged == ["$context.authorizer.claims.client_id"]


def test_without_issuers_the_template_is_byte_for_byte_the_one_of_a_service_that_knows_no_tokens(
    stacks: dict[str, Stack], synthesised: Callable[[Environment], Stack], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("infra.api.Tokens", "infra.gateway_responses.BY_TOKEN", "infra.callers.BY_TOKEN"):
        monkeypatch.delattr(name)
    assert json.dumps(synthesised(PLAIN).template) == json.dumps(stacks["test"].template)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (PLAIN, replace(PLAIN, webhook_addresses=("192.0.2.2/32",))),
        (TOKENS, replace(TOKENS, token_issuers=(replace(ISSUER, audiences=("other",)),))),
        (MOVING, replace(MOVING, close_default_address=True)),
    ],
)
def test_what_counts_only_when_it_is_deployed_is_another_deployment(before: Environment, after: Environment) -> None:
    first, same, other = (api_of(each).name("ApiGateway::Deployment") for each in (before, before, after))
    assert first == same != other


@pytest.mark.parametrize("closed", [False, True])
def test_a_custom_domain_opens_beside_the_old_door_and_closes_it_in_a_second_step(closed: bool) -> None:
    stack = api_of(replace(MOVING, close_default_address=closed))
    assert stack.one("ApiGateway::DomainName")["SecurityPolicy"] == "TLS_1_2"
    assert stack.one("ApiGateway::BasePathMapping")["BasePath"] == "v1"
    assert stack.one("ApiGateway::RestApi")["DisableExecuteApiEndpoint"] is closed
    # While its DNS record is not there yet, the provider could not reach the domain.
    assert (stack.outputs["WebhookUrl"] == "https://voids.example.com/v1/webhooks/financial-line") is closed


def test_a_flood_of_webhooks_stops_no_merchant() -> None:
    merchant, webhook = (Throttle(requests_per_second=number, burst=number + 1) for number in (5, 7))
    stage = api_of(replace(PLAIN, merchant_throttle=merchant, webhook_throttle=webhook)).one("ApiGateway::Stage")
    limits = {each["ResourcePath"]: (each["ThrottlingRateLimit"], each["ThrottlingBurstLimit"]) for each in stage["MethodSettings"]}  # fmt: skip
    assert limits == {"/*": (5, 6), "/~1webhooks~1financial-line": (7, 8)}


def test_a_web_acl_stands_before_the_stage_where_one_is_configured(stacks: dict[str, Stack]) -> None:
    filtered = stacks["every option"].one("WAFv2::WebACLAssociation")
    assert filtered["WebACLArn"] == stacks["every option"].environment.web_acl_arn
    assert "/stages/" in json.dumps(filtered["ResourceArn"])
    assert not stacks["prod"].of("WAFv2::WebACLAssociation")


def test_the_outputs_say_where_and_what_to_do_next(stacks: dict[str, Stack]) -> None:
    stack, outputs = stacks["test"], stacks["test"].outputs
    address = f"https://{stack.name('ApiGateway::RestApi')}.execute-api.eu-central-1.AWS::URLSuffix/v1"
    assert text(outputs["ApiUrl"]) == address
    assert text(outputs["WebhookUrl"]) == f"{address}/webhooks/financial-line"
    assert stack.functions["submit_void"]["Environment"]["Variables"]["WEBHOOK_URL"] == outputs["WebhookUrl"]
    assert text(outputs["FillSecretCommand"]) == (
        "aws secretsmanager put-secret-value --region eu-central-1 --secret-id ProviderCredentials"
        " --secret-string file://financial-line.json"
    )
    for output, routes in (
        ("CallerPolicy", ["POST/voids", "GET/voids", "GET/voids/*"]),
        ("OperatorPolicy", ["GET/voids", "GET/voids/*", "POST/voids/*/decisions"]),
    ):
        (statement,) = json.loads(text(outputs[output]))["Statement"]
        assert statement["Action"] == "execute-api:Invoke"
        assert [arn.split("/v1/", 1)[1] for arn in statement["Resource"]] == routes
    assert {*outputs} == {
        "ApiUrl", "WebhookUrl", "SecretName", "FillSecretCommand", "CallerPolicy", "OperatorPolicy", "OutcomeBus",
        "AlarmTopic",
    }  # fmt: skip


def text(value: dict[str, Any]) -> str:
    """With the names of what is referred to in its places."""
    parts = value["Fn::Join"][1]
    return "".join(each if isinstance(each, str) else each.get("Ref") or each["Fn::GetAtt"][0] for each in parts)


def test_the_access_log_names_no_order_no_person_and_nothing_that_a_caller_may_choose(stacks: dict[str, Stack]) -> None:
    logged = stacks["test"].access_log()
    # An account is no person; `caller`, `user` and `userArn` may hold a session's name, which may be one.
    assert [each for each in logged.values() if "identity" in each] == ["$context.identity.accountId"]
    assert not {"$context.path", "$context.requestId"} & {*logged.values()}  # a client can set requestId
    assert (logged["request_id"], logged["tls"]) == ("$context.extendedRequestId", "$context.tlsVersion")


def test_the_api_is_regional_text_only_throttled_by_route_over_new_tls_and_never_logs_bodies(stack: Stack) -> None:
    api, stage = stack.one("ApiGateway::RestApi"), stack.one("ApiGateway::Stage")
    assert api["SecurityPolicy"] == "TLS_1_2", "AWS's default for a regional API is TLS_1_0"
    assert (api["EndpointConfiguration"], "BinaryMediaTypes" in api) == ({"Types": ["REGIONAL"]}, False)
    for traced in [each["SamplingRule"] for each in stack.of("XRay::SamplingRule").values()]:
        assert (traced["FixedRate"], traced["ReservoirSize"], traced["ServiceName"]) == (0.01, 0, f"{api['Name']}/v1")
    assert not stack.of("ApiGateway::Account"), "the account's log role is not each stack's to overwrite"
    settings = {(each["HttpMethod"], each["ResourcePath"]): each for each in stage["MethodSettings"]}
    assert {*settings} == {("*", "/*"), ("POST", "/~1webhooks~1financial-line")}
    for each in settings.values():
        assert (each["ThrottlingRateLimit"], each["ThrottlingBurstLimit"]) == (200, 400)
        assert (each["DataTraceEnabled"], each["LoggingLevel"]) == (False, "OFF")
