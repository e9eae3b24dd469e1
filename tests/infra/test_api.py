"""The front door: who gets in where, what is logged, and that even the gateway's own refusals are problem documents."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from infra.environment import CustomDomain, Environment
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


def deployment_of(resources: Resources) -> str:
    return next(name for name, each in resources.items() if each["Type"] == "AWS::ApiGateway::Deployment")


@pytest.fixture
def policy(of_type: Callable[[str], Resources]) -> dict[str, dict[str, Any]]:
    (api,) = of_type("AWS::ApiGateway::RestApi").values()
    return {statement["Sid"]: statement for statement in api["Properties"]["Policy"]["Statement"]}


@pytest.mark.parametrize("environment", ["test", "prod", "local"])
def test_the_routes_and_who_must_sign_them(templates: dict[str, Any], environment: str) -> None:
    assert {route: method["AuthorizationType"] for route, method in routes(templates[environment]).items()} == {
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
        return deployment_of(api_of(Environment(name="test", webhook_addresses=addresses)))

    assert deployment(("192.0.2.1/32",)) == deployment(("192.0.2.1/32",)) != deployment(("192.0.2.2/32",))


def test_a_custom_domain_keeps_the_paths_refuses_old_tls_and_closes_the_other_door_in_a_second_step(
    api_of: Callable[[Environment], Resources],
) -> None:
    domain = CustomDomain(
        name="voids.example.com", certificate_arn="arn:aws:acm:eu-central-1:123456789012:certificate/0a-1b"
    )
    first, resources = (
        api_of(Environment(name="test", custom_domain=domain, close_default_address=closed)) for closed in (False, True)
    )
    opened = {each["Type"]: each["Properties"] for each in first.values()}
    assert opened["AWS::ApiGateway::DomainName"] == {**opened["AWS::ApiGateway::DomainName"], "DomainName": domain.name}
    assert opened["AWS::ApiGateway::RestApi"]["DisableExecuteApiEndpoint"] is False, "no call is lost meanwhile"
    # It counts only once it is deployed.
    assert deployment_of(first) != deployment_of(resources)
    by_type = {each["Type"]: each["Properties"] for each in resources.values()}
    assert by_type["AWS::ApiGateway::DomainName"]["SecurityPolicy"] == "TLS_1_2"
    assert by_type["AWS::ApiGateway::RestApi"]["DisableExecuteApiEndpoint"] is True
    assert by_type["AWS::ApiGateway::BasePathMapping"]["BasePath"] == "v1"
    assert by_type["AWS::SSM::Parameter"]["Value"] == "https://voids.example.com/v1/webhooks/financial-line"


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


def test_the_operator_reads_what_to_do_next(template: dict[str, Any]) -> None:
    assert set(template["Outputs"]) == {
        "ApiUrl", "WebhookUrl", "SecretName", "FillSecretCommand", "CallerPolicy", "OperatorPolicy", "OutcomeBus", "AlarmTopic"
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
        policy = json.loads("".join(part if isinstance(part, str) else part["Ref"] for part in parts))
        (statement,) = policy["Statement"]
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
