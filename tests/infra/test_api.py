"""The front door: who gets in where, what is logged, and that even the gateway's own refusals are problem documents."""

import json
from collections.abc import Callable
from copy import replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest

from infra import callers
from infra.environment import CustomDomain, Environment, TokenIssuer
from infra.synth import synthesis_environment

Resources = dict[str, dict[str, Any]]
WEBHOOK = "execute-api:/v1/POST/webhooks/financial-line"


def routes(template: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    resources = template["Resources"]

    def path(identifier: Any) -> str:
        if "Fn::GetAtt" in identifier:
            return ""
        properties = resources[identifier["Ref"]]["Properties"]
        return f"{path(properties['ParentId'])}/{properties['PathPart']}"

    return {
        (resource["Properties"]["HttpMethod"], path(resource["Properties"]["ResourceId"])): resource["Properties"]
        for resource in resources.values()
        if resource["Type"] == "AWS::ApiGateway::Method"
    }


@pytest.fixture
def api_of(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[Environment], Resources]:
    """The resources of the API alone, for settings that none of the environments has."""
    for name, value in synthesis_environment("test", tmp_path).items():
        if name.startswith("JSII_"):
            monkeypatch.setenv(name, value)
    import aws_cdk as cdk
    from aws_cdk import aws_apigateway, aws_ssm

    from infra.api import Api

    def resources(environment: Environment) -> Resources:
        app = cdk.App(analytics_reporting=False)
        stack = cdk.Stack(app, "Stack", env=cdk.Environment(region=environment.region))
        api = Api(stack, "Api", environment, public_url=None)
        api.rest.root.add_method("GET", aws_apigateway.MockIntegration())
        aws_ssm.StringParameter(stack, "WebhookUrl", string_value=api.webhook_url)
        found: Resources = app.synth().get_stack_by_name("Stack").template["Resources"]
        return found

    return resources


@pytest.fixture
def policy(of_type: Callable[[str], Resources]) -> dict[str, dict[str, Any]]:
    (api,) = of_type("AWS::ApiGateway::RestApi").values()
    return {statement["Sid"]: statement for statement in api["Properties"]["Policy"]["Statement"]}


@pytest.mark.parametrize("environment", ["test", "prod", "local"])
def test_the_routes_and_who_must_sign_them(templates: dict[str, Any], environment: str) -> None:
    by_token = {("POST", "/oauth/voids"), ("GET", "/oauth/voids"), ("GET", "/oauth/voids/{order_id}")}
    found = {route: method["AuthorizationType"] for route, method in routes(templates[environment]).items()}
    assert {route for route, kind in found.items() if kind == "JWT"} == (by_token if environment == "local" else set())
    assert {route: kind for route, kind in found.items() if kind != "JWT"} == {
        ("POST", "/voids"): "AWS_IAM",
        ("GET", "/voids"): "AWS_IAM",
        ("GET", "/voids/{order_id}"): "AWS_IAM",
        ("POST", "/voids/{order_id}/decisions"): "AWS_IAM",
        ("POST", "/webhooks/financial-line"): "NONE",
    }


def test_each_route_reaches_its_function(template: dict[str, Any]) -> None:
    reached = {route: json.dumps(method["Integration"]["Uri"]) for route, method in routes(template).items()}
    for route, function in (
        (("POST", "/voids"), "SubmitVoid"),
        (("GET", "/voids"), "ReadVoids"),
        (("GET", "/voids/{order_id}"), "ReadVoids"),
        (("POST", "/voids/{order_id}/decisions"), "Decide"),
        (("POST", "/webhooks/financial-line"), "ReceiveWebhook"),
    ):
        assert f'"Functions{function}' in reached[route]
    assert {method["Integration"]["Type"] for method in routes(template).values()} == {"AWS_PROXY"}


def test_only_the_api_may_invoke_a_function_and_only_by_its_route(of_type: Callable[[str], Resources]) -> None:
    permissions = [each["Properties"] for each in of_type("AWS::Lambda::Permission").values()]
    assert {each["Principal"] for each in permissions} == {"apigateway.amazonaws.com"}
    ends = {json.dumps(each["SourceArn"]["Fn::Join"][1][-1]).strip('"') for each in permissions}
    assert ends == {
        "/POST/voids", "/GET/voids", "/GET/voids/*", "/POST/voids/*/decisions", "/POST/webhooks/financial-line"
    }  # fmt: skip


def test_anyone_at_the_providers_addresses_may_call_the_webhook_and_only_that(policy: dict[str, Any]) -> None:
    statement = policy["ProviderSendsWebhooks"]
    assert statement["Effect"] == "Allow"
    assert statement["Principal"] == {"AWS": "*"}
    assert statement["Resource"] == WEBHOOK
    assert statement["Condition"] == {"IpAddress": {"aws:SourceIp": ["35.187.74.148/32"]}}
    anyone = [sid for sid, each in policy.items() if each["Principal"] == {"AWS": "*"} and each["Effect"] == "Allow"]
    assert anyone == ["ProviderSendsWebhooks"]


MERCHANT_ROLE, OPERATOR_ROLE = "arn:aws:iam::111122223333:role/shop", "arn:aws:iam::111122223333:role/desk"
STRANGERS = ("arn:aws:iam::111122223333:role/other", "arn:aws:iam::999999999999:role/shop")


def lets_in(environment: Environment, principal: str | None, request: str, identity: bool = True) -> bool:
    """Whether API Gateway lets this principal in, as AWS documents it; `identity`: its own policy allows everything.

    A Deny wins. In the same account the policy of either side is enough, an account root only delegates to its own.
    """
    statements = callers.written(environment, "aws", "111122223333")["Statement"]
    matching = [each for each in statements if holds(each, principal) and covers(each, request)]
    if any(each["Effect"] == "Deny" for each in matching):
        return False
    allowed = any(each["Effect"] == "Allow" for each in matching)
    return allowed or (identity and principal is not None and ":111122223333:" in principal)


def covers(statement: dict[str, Any], request: str) -> bool:
    return any(fnmatchcase(f"execute-api:/v1/{request}", resource) for resource in statement["Resource"])


def holds(statement: dict[str, Any], principal: str | None) -> bool:
    for operator, condition in statement.get("Condition", {}).items():
        ((key, values),) = condition.items()
        if operator == "IpAddress":
            return False
        assert key == "aws:PrincipalArn"
        found = principal is not None and any(fnmatchcase(principal, each) for each in values)
        right = {"ArnLike": found, "ArnNotLike": not found, "Null": (principal is None) is (values == "true")}[operator]
        if not right:
            return False
    who = statement["Principal"]["AWS"]
    accounts = [each.split(":")[4] for each in ([who] if isinstance(who, str) else who) if each != "*"]
    return who == "*" or (principal is not None and principal.split(":")[4] in accounts)


BOTH = Environment(name="test", callers=(MERCHANT_ROLE,), operators=(OPERATOR_ROLE,))
ISSUER = TokenIssuer(url="https://id.example.com/", audiences=("voids",), scopes={"submit": "s", "read": "r"})
TOKENS = replace(BOTH, token_issuers=(ISSUER,), token_callers=("shop",))
READS = ("GET/voids", "GET/voids/123")
SUBMITS = ("POST/voids", "POST//voids", "POST/voids/")
DECIDES = ("POST/voids/123/decisions", "POST//voids/123/decisions", "POST/voids//123//decisions")
CASES = [
    *((BOTH, MERCHANT_ROLE, route, True) for route in ("POST/voids", *READS)),
    *((BOTH, MERCHANT_ROLE, route, False) for route in DECIDES),
    *((BOTH, OPERATOR_ROLE, route, True) for route in (DECIDES[0], *READS)),
    *((BOTH, OPERATOR_ROLE, route, False) for route in SUBMITS),
    *((BOTH, stranger, route, False) for stranger in STRANGERS for route in (*SUBMITS, *READS, *DECIDES)),
    *((Environment(name="test"), MERCHANT_ROLE, route, route not in DECIDES) for route in ("POST/voids", *READS, *DECIDES)),
    *((TOKENS, None, route, True) for route in ("POST/oauth/voids", "GET/oauth/voids", "GET/oauth/voids/1")),
    *((TOKENS, None, f"POST/oauth/voids/1/{route}", False) for route in ("decisions", "x")),
    *((TOKENS, stranger, "POST/voids", False) for stranger in STRANGERS),
]  # fmt: skip


@pytest.mark.parametrize(("environment", "principal", "request_", "opened"), CASES)
def test_who_comes_in_where(environment: Environment, principal: str | None, request_: str, opened: bool) -> None:
    # Whatever a role's own policy in this account allows: the resource policy denies the rest.
    assert lets_in(environment, principal, request_) is opened


def test_a_policy_that_api_gateway_would_refuse_for_its_length_fails_by_the_settings_names() -> None:
    def of(number: int) -> Environment:
        names = tuple(f"arn:aws:iam::{n:012}:role/{'r' * 22}" for n in range(number))
        return Environment(name="prod", callers=names)

    assert callers.resource_policy(of(40), "aws", "111122223333")
    with pytest.raises(ValueError, match=r"^prod\.callers and operators: expected a policy of at most 8192 characters"):
        callers.resource_policy(of(100), "aws", "111122223333")


def test_a_role_that_was_made_again_is_still_the_caller() -> None:
    # A role that is a principal itself becomes its id; as a condition it stays a name.
    (allowed,) = [
        each for each in callers.written(BOTH, "aws", "1" * 12)["Statement"] if each["Sid"] == "CallersUseVoids"
    ]
    assert allowed["Principal"] == {"AWS": ["arn:aws:iam::111122223333:root"]}
    assert allowed["Condition"] == {"ArnLike": {"aws:PrincipalArn": [MERCHANT_ROLE]}}


def test_locally_webhooks_come_from_loopback(templates: dict[str, Any]) -> None:
    (api,) = [r for r in templates["local"]["Resources"].values() if r["Type"] == "AWS::ApiGateway::RestApi"]
    sources = [
        statement["Condition"]["IpAddress"]["aws:SourceIp"]
        for statement in api["Properties"]["Policy"]["Statement"]
        if statement["Sid"] == "ProviderSendsWebhooks"
    ]
    assert sources == [["127.0.0.1/32"]]


def test_another_policy_is_another_deployment(api_of: Callable[[Environment], Resources]) -> None:
    # API Gateway applies a changed policy only when the API is deployed again.
    def deployment(addresses: tuple[str, ...]) -> str:
        resources = api_of(Environment(name="test", webhook_addresses=addresses))
        return next(name for name, each in resources.items() if each["Type"] == "AWS::ApiGateway::Deployment")

    assert deployment(("192.0.2.1/32",)) == deployment(("192.0.2.1/32",)) != deployment(("192.0.2.2/32",))


DOMAIN = CustomDomain(
    name="voids.example.com", certificate_arn="arn:aws:acm:eu-central-1:123456789012:certificate/0a-1b"
)


def test_a_custom_domain_opens_beside_the_old_door_and_closes_it_in_a_second_step(
    api_of: Callable[[Environment], Resources],
) -> None:
    deployments = set()
    for closed in (False, True):
        resources = api_of(Environment(name="test", custom_domain=DOMAIN, close_default_address=closed))
        by_type = {each["Type"]: each["Properties"] for each in resources.values()}
        assert by_type["AWS::ApiGateway::DomainName"]["SecurityPolicy"] == "TLS_1_2"
        assert by_type["AWS::ApiGateway::RestApi"]["DisableExecuteApiEndpoint"] is closed
        assert by_type["AWS::ApiGateway::BasePathMapping"]["BasePath"] == "v1"
        # While its DNS record is not there yet, the provider could not reach the domain.
        assert ("https://voids.example.com/v1/" in json.dumps(by_type["AWS::SSM::Parameter"]["Value"])) is closed
        deployments |= {name for name, each in resources.items() if each["Type"] == "AWS::ApiGateway::Deployment"}
    assert len(deployments) == 2, "the door is closed by a deployment only"


def test_token_routes_stand_beside_the_signed_ones_with_an_authorizer_of_their_own(everything: dict[str, Any]) -> None:
    by_token = {route: method for route, method in routes(everything).items() if route[1].startswith("/oauth")}
    assert {route: method["AuthorizationScopes"] for route, method in by_token.items()} == {
        ("POST", "/oauth/voids"): ["voids/submit"],
        ("GET", "/oauth/voids"): ["voids/read"],
        ("GET", "/oauth/voids/{order_id}"): ["voids/read"],
    }
    assert {method["AuthorizationType"] for method in by_token.values()} == {"JWT"}
    (authorizer,) = [each for each in everything["Resources"].values() if each["Type"] == "AWS::ApiGateway::Authorizer"]
    assert authorizer["Properties"]["JwtConfiguration"] == {
        "DefaultAlgorithms": ["RS256"],
        "Issuers": [{"Issuer": "https://id.example.com/", "Audiences": ["voids"], "AdditionalClaims": [
            {"ClaimName": "client_id", "Format": "SINGLE_STRING", "Required": True}]}],
    }  # fmt: skip
    assert "/oauth" in json.dumps(everything["Outputs"]["TokenApiUrl"])
    variables = [each["Properties"]["Environment"]["Variables"] for each in everything["Resources"].values()
                 if each["Type"] == "AWS::Lambda::Function"]  # fmt: skip
    known = [(each["TOKEN_CALLERS"], each["TOKEN_CALLER_CLAIM"]) for each in variables if "TOKEN_CALLERS" in each]
    assert known == [("shop", "client_id")] * 2


@pytest.mark.parametrize("environment", ["test", "prod"])
def test_without_issuers_nothing_of_tokens_is_there(templates: dict[str, Any], environment: str) -> None:
    text = json.dumps(templates[environment])
    assert not any(word in text for word in ("oauth", "JWT", "TOKEN_", 'Authorizer"', "WWW-Authenticate"))


def test_other_tokens_are_another_deployment(api_of: Callable[[Environment], Resources]) -> None:
    found = [
        next(name for name, each in api_of(environment).items() if each["Type"] == "AWS::ApiGateway::Deployment")
        for environment in (TOKENS, TOKENS, replace(TOKENS, token_issuers=(replace(ISSUER, audiences=("other",)),)))
    ]
    assert found[0] == found[1] != found[2]


def test_a_web_acl_stands_before_the_stage_where_one_is_configured(
    api_of: Callable[[Environment], Resources], template: dict[str, Any]
) -> None:
    arn = "arn:aws:wafv2:eu-central-1:123456789012:regional/webacl/front/0a-1b"
    (filtered,) = [
        each["Properties"]
        for each in api_of(Environment(name="prod", web_acl_arn=arn)).values()
        if each["Type"] == "AWS::WAFv2::WebACLAssociation"
    ]
    assert filtered["WebACLArn"] == arn
    assert "/stages/" in json.dumps(filtered["ResourceArn"])
    assert "AWS::WAFv2::WebACLAssociation" not in {each["Type"] for each in template["Resources"].values()}


def test_the_webhook_url_is_the_stacks_own_route(template: dict[str, Any]) -> None:
    (rest,) = [name for name, each in template["Resources"].items() if each["Type"] == "AWS::ApiGateway::RestApi"]
    (submit,) = [
        each["Properties"]["Environment"]["Variables"]
        for each in template["Resources"].values()
        if each["Type"] == "AWS::Lambda::Function" and each["Properties"]["Handler"] == "submit_void.handler"
    ]
    address = ["https://", {"Ref": rest}, ".execute-api.eu-central-1.", {"Ref": "AWS::URLSuffix"}]
    assert submit["WEBHOOK_URL"] == {"Fn::Join": ["", [*address, "/v1/webhooks/financial-line"]]}
    assert template["Outputs"]["WebhookUrl"]["Value"] == submit["WEBHOOK_URL"]
    assert template["Outputs"]["ApiUrl"]["Value"] == {"Fn::Join": ["", [*address, "/v1"]]}


def test_the_operator_is_told_what_to_do_next(template: dict[str, Any]) -> None:
    assert set(template["Outputs"]) == {
        "ApiUrl", "WebhookUrl", "SecretName", "FillSecretCommand", "CallerPolicy", "OperatorPolicy", "OutcomeBus",
        "AlarmTopic",
    }  # fmt: skip
    command = "".join(
        part if isinstance(part, str) else "<arn>"
        for part in template["Outputs"]["FillSecretCommand"]["Value"]["Fn::Join"][1]
    )
    assert command == (
        "aws secretsmanager put-secret-value --region eu-central-1 --secret-id <arn>"
        " --secret-string file://financial-line.json"
    )
    for output, routes in (
        ("CallerPolicy", ["v1/POST/voids", "v1/GET/voids", "v1/GET/voids/*"]),
        ("OperatorPolicy", ["v1/GET/voids", "v1/GET/voids/*", "v1/POST/voids/*/decisions"]),
    ):
        parts = template["Outputs"][output]["Value"]["Fn::Join"][1]
        (statement,) = json.loads("".join(part if isinstance(part, str) else part["Ref"] for part in parts))[
            "Statement"
        ]
        assert statement["Action"] == "execute-api:Invoke"
        assert [arn.split("/", 1)[1] for arn in statement["Resource"]] == routes


def test_the_access_log_names_no_person_and_no_order(of_type: Callable[[str], Resources]) -> None:
    (stage,) = of_type("AWS::ApiGateway::Stage").values()
    logged = set(json.loads(stage["Properties"]["AccessLogSetting"]["Format"]).values())
    # An account is no person; `caller`, `user` and `userArn` may hold a session's name, which may be one.
    assert [each for each in logged if "identity" in each or "authorizer" in each] == ["$context.identity.accountId"]
    assert "$context.path" not in logged  # it holds the order
    assert "$context.tlsVersion" in logged


def test_nothing_that_a_caller_may_choose_is_in_the_access_log(of_type: Callable[[str], Resources]) -> None:
    # AWS documents that a client can set requestId, and recommends the extended one.
    (stage,) = of_type("AWS::ApiGateway::Stage").values()
    logged = json.loads(stage["Properties"]["AccessLogSetting"]["Format"])
    assert logged["request_id"] == "$context.extendedRequestId"
    assert "$context.requestId" not in logged.values()


@pytest.mark.parametrize("environment", ["test", "prod", "local"])
def test_the_api_itself_refuses_tls_older_than_1_2(templates: dict[str, Any], environment: str) -> None:
    # AWS's default for a regional API is TLS_1_0.
    (api,) = [
        each for each in templates[environment]["Resources"].values() if each["Type"] == "AWS::ApiGateway::RestApi"
    ]
    assert api["Properties"]["SecurityPolicy"] == "TLS_1_2"


def test_the_stage_is_v1_throttled_per_route_and_never_logs_bodies(of_type: Callable[[str], Resources]) -> None:
    (stage,) = of_type("AWS::ApiGateway::Stage").values()
    settings = {(each["HttpMethod"], each["ResourcePath"]): each for each in stage["Properties"]["MethodSettings"]}
    assert stage["Properties"]["StageName"] == "v1"
    assert set(settings) == {("*", "/*"), ("POST", "/~1webhooks~1financial-line")}
    for each in settings.values():
        assert (each["ThrottlingRateLimit"], each["ThrottlingBurstLimit"]) == (200, 400)
        assert each["DataTraceEnabled"] is False
        assert each["LoggingLevel"] == "OFF"


def test_the_api_is_regional_text_only_and_leaves_the_accounts_log_role_alone(
    of_type: Callable[[str], Resources],
) -> None:
    (api,) = of_type("AWS::ApiGateway::RestApi").values()
    assert api["Properties"]["EndpointConfiguration"] == {"Types": ["REGIONAL"]}
    assert "BinaryMediaTypes" not in api["Properties"]
    assert of_type("AWS::ApiGateway::Account") == {}
