"""Each function may do exactly what it needs, knows exactly what it needs, and settling is never run twice at once."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from infra.environment import Environment
from infra.environments import NOT_DEPLOYED_LOCALLY
from infra.wrong_settings import MOST_SETTLE_WORKERS
from payments import settings

Resources = dict[str, dict[str, Any]]
FUNCTIONS = Path(__file__).parents[2] / "functions"
PROVIDER = {"PROVIDER_URL", "PROVIDER_SCHEME"}
EVERY = {
    "AWS_CA_BUNDLE",
    "TABLE_NAME",
    "SECRET_ID",
    "POWERTOOLS_SERVICE_NAME",
    "POWERTOOLS_METRICS_NAMESPACE",
    "POWERTOOLS_LOG_LEVEL",
}


def functions(template: dict[str, Any]) -> Resources:
    return {
        resource["Properties"]["Handler"].removesuffix(".handler"): resource["Properties"]
        for resource in template["Resources"].values()
        if resource["Type"] == "AWS::Lambda::Function"
    }


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def statements(template: dict[str, Any], role: str) -> list[dict[str, Any]]:
    return [
        statement
        for resource in template["Resources"].values()
        if resource["Type"] == "AWS::IAM::Policy" and {"Ref": role} in resource["Properties"]["Roles"]
        for statement in resource["Properties"]["PolicyDocument"]["Statement"]
    ]


def granted(template: dict[str, Any], module: str) -> dict[str, set[str]]:
    """Resource (by its type and index) to the actions that the function may do with it."""
    role = functions(template)[module]["Role"]["Fn::GetAtt"][0]
    grants: dict[str, set[str]] = {}
    for statement in statements(template, role):
        assert statement["Effect"] == "Allow"
        for resource in listed(statement["Resource"]):
            grants.setdefault(described(template, resource), set()).update(listed(statement["Action"]))
    return grants


def described(template: dict[str, Any], resource: Any) -> str:
    if isinstance(resource, str):
        return resource
    if "Fn::GetAtt" in resource:
        return str(template["Resources"][resource["Fn::GetAtt"][0]]["Type"])
    separator, parts = resource["Fn::Join"]
    return str(separator).join(part if isinstance(part, str) else described(template, part) for part in parts)


TABLE = "AWS::DynamoDB::Table"
# Every function writes its own log and trace, and reads the secret.
ALWAYS = {
    "AWS::Logs::LogGroup": {"logs:CreateLogStream", "logs:PutLogEvents"},
    "AWS::SecretsManager::Secret": {"secretsmanager:GetSecretValue"},
    "*": {"xray:PutTraceSegments", "xray:PutTelemetryRecords"},  # X-Ray knows no narrower resource
}


@pytest.mark.parametrize(
    ("module", "grants"),
    [
        ("submit_void", {TABLE: {"dynamodb:GetItem", "dynamodb:PutItem"}}),
        (
            "read_voids",
            {
                TABLE: {"dynamodb:GetItem", "dynamodb:PutItem"},
                f"{TABLE}/index/due": {"dynamodb:Query"},
                f"{TABLE}/index/review": {"dynamodb:Query"},
                f"{TABLE}/index/settled": {"dynamodb:Query"},
            },
        ),
        ("decide", {TABLE: {"dynamodb:GetItem", "dynamodb:PutItem"}}),
        ("receive_webhook", {TABLE: {"dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem"}}),
        (
            "settle_voids",
            {
                TABLE: {"dynamodb:GetItem", "dynamodb:PutItem"},
                f"{TABLE}/index/due": {"dynamodb:Query"},
                "AWS::SQS::Queue": {"sqs:SendMessage", "sqs:GetQueueAttributes", "sqs:GetQueueUrl"},
            },
        ),
    ],
)
@pytest.mark.parametrize("environment", ["test", "prod", "local"])
def test_a_function_may_do_exactly_this(
    templates: dict[str, Any], environment: str, module: str, grants: dict[str, set[str]]
) -> None:
    assert granted(templates[environment], module) == ALWAYS | grants


def test_each_function_has_its_own_role_and_no_managed_policy(template: dict[str, Any]) -> None:
    roles = [function["Role"]["Fn::GetAtt"][0] for function in functions(template).values()]
    assert len(set(roles)) == 5
    assert all("ManagedPolicyArns" not in template["Resources"][role]["Properties"] for role in roles)


@pytest.mark.parametrize("environment", ["test", "prod", "local"])
def test_nobody_is_allowed_everything_scans_or_deletes(templates: dict[str, Any], environment: str) -> None:
    for resource in templates[environment]["Resources"].values():
        if resource["Type"] == "AWS::IAM::Policy":
            for statement in resource["Properties"]["PolicyDocument"]["Statement"]:
                for action in listed(statement["Action"]):
                    assert not any(word in action for word in ("*", "Scan", "Delete", "Batch")), action


@pytest.mark.parametrize(
    ("module", "variables"),
    [
        ("submit_void", EVERY | PROVIDER | {"WEBHOOK_URL"}),
        ("read_voids", EVERY | PROVIDER),
        ("receive_webhook", EVERY),
        ("settle_voids", EVERY | PROVIDER | {"SETTLE_WORKERS"}),
        ("decide", EVERY | PROVIDER),
    ],
)
def test_a_function_knows_exactly_what_it_needs(templates: dict[str, Any], module: str, variables: set[str]) -> None:
    for environment in ("test", "prod"):
        assert set(functions(templates[environment])[module]["Environment"]["Variables"]) == variables
    trust = {"PROVIDER_CA_FILE"} if variables >= PROVIDER else set()
    if module in ("submit_void", "read_voids"):
        trust |= {"TOKEN_CALLERS", "TOKEN_CALLER_CLAIM"}  # whose issuer the local run plays
    assert set(functions(templates["local"])[module]["Environment"]["Variables"]) == variables | trust


@pytest.mark.parametrize(
    ("module", "seconds", "memory"),
    [
        ("submit_void", 20, 1024),
        ("read_voids", 20, 512),
        ("receive_webhook", 10, 512),
        ("settle_voids", 55, 1769),
        ("decide", 20, 512),
    ],
)
def test_a_function_runs_on_arm64_and_python_3_13_for_so_long(
    template: dict[str, Any], module: str, seconds: int, memory: int
) -> None:
    function = functions(template)[module]
    assert (function["Timeout"], function["MemorySize"]) == (seconds, memory)
    assert (function["Runtime"], function["Architectures"]) == ("python3.13", ["arm64"])
    assert function["TracingConfig"] == {"Mode": "Active"}
    assert (FUNCTIONS / f"{module}.py").is_file()


def test_the_number_of_settle_workers_is_the_environments(template: dict[str, Any], everything: dict[str, Any]) -> None:
    given = [
        functions(each)["settle_voids"]["Environment"]["Variables"]["SETTLE_WORKERS"] for each in (template, everything)
    ]
    assert given == ["8", "32"]


@pytest.mark.parametrize("workers", [1, MOST_SETTLE_WORKERS])
def test_what_may_be_set_the_function_accepts(workers: int) -> None:
    environment = Environment(name="prod", settle_workers=workers)
    assert settings.settle_workers({"SETTLE_WORKERS": str(environment.settle_workers)}) == workers
    assert settings.MOST_WORKERS == MOST_SETTLE_WORKERS


def test_concurrency_is_reserved_where_it_is_set_and_nowhere_else(
    templates: dict[str, Any], everything: dict[str, Any]
) -> None:
    reserved = {name: each.get("ReservedConcurrentExecutions") for name, each in functions(everything).items()}
    assert reserved == {"submit_void": 50, "read_voids": 20, "receive_webhook": 30, "settle_voids": 5, "decide": None}
    for environment in ("test", "prod", "local"):
        for each in functions(templates[environment]).values():
            assert "ReservedConcurrentExecutions" not in each


@pytest.mark.parametrize("environment", ["test", "prod"])
def test_what_must_exist_before_a_function_is_its_rights_and_nothing_that_it_refers_to(
    templates: dict[str, Any], environment: str
) -> None:
    for each in templates[environment]["Resources"].values():
        if each["Type"] == "AWS::Lambda::Function":
            (needed,) = each["DependsOn"]
            policy = templates[environment]["Resources"][needed]
            assert policy["Type"] == "AWS::IAM::Policy"
            assert policy["Properties"]["Roles"] == [{"Ref": each["Properties"]["Role"]["Fn::GetAtt"][0]}]


def test_all_functions_share_one_asset_and_none_a_log_group(template: dict[str, Any]) -> None:
    every = functions(template).values()
    assert len({str(function["Code"]) for function in every}) == 1
    assert len({str(function["LoggingConfig"]["LogGroup"]) for function in every}) == 5


@pytest.mark.parametrize(("environment", "days"), [("test", 90), ("prod", 400)])
def test_every_log_group_forgets_in_the_end(templates: dict[str, Any], environment: str, days: int) -> None:
    groups = [each for each in templates[environment]["Resources"].values() if each["Type"] == "AWS::Logs::LogGroup"]
    assert len(groups) == 6
    assert {group["Properties"]["RetentionInDays"] for group in groups} == {days}


def test_settling_runs_each_minute_and_is_never_retried(of_type: Callable[[str], Resources]) -> None:
    (schedule,) = of_type("AWS::Scheduler::Schedule").values()
    (queue,) = [name for name in of_type("AWS::SQS::Queue") if name.startswith("Functions")]
    target = schedule["Properties"]["Target"]
    assert schedule["Properties"]["ScheduleExpression"] == "rate(1 minute)"
    assert target["RetryPolicy"]["MaximumRetryAttempts"] == 0
    assert target["DeadLetterConfig"] == {"Arn": {"Fn::GetAtt": [queue, "Arn"]}}
    assert "SettleVoidsAliaslive" in target["Arn"]["Ref"]


def test_lambda_does_not_retry_settling_either(of_type: Callable[[str], Resources]) -> None:
    # The schedule invokes asynchronously, and Lambda's own default is two retries.
    (invocation,) = of_type("AWS::Lambda::EventInvokeConfig").values()
    (queue,) = [name for name in of_type("AWS::SQS::Queue") if name.startswith("Functions")]
    assert invocation["Properties"]["MaximumRetryAttempts"] == 0
    assert invocation["Properties"]["DestinationConfig"]["OnFailure"] == {"Destination": {"Fn::GetAtt": [queue, "Arn"]}}


def test_the_local_engine_lacks_only_what_no_void_depends_on(templates: dict[str, Any]) -> None:
    # Pinned: a longer list means that less of the real stack is proved locally.
    assert {"AWS::Logs::QueryDefinition"} == NOT_DEPLOYED_LOCALLY
    types = {
        name: sorted(resource["Type"] for resource in template["Resources"].values())
        for name, template in templates.items()
    }
    releases = {"AWS::CodeDeploy::Application", "AWS::CodeDeploy::DeploymentGroup"}
    added = list((Counter(types["prod"]) - Counter(types["test"])).elements())
    # How a release reaches callers is another in prod, its groups and the role that moves the aliases, and it is looked at.
    assert {*added} - {"AWS::IAM::Role", "AWS::CloudWatch::Dashboard"} == releases
    assert Counter(types["test"]) - Counter(types["prod"]) == Counter()
    lacking = Counter(types["test"]) - Counter(types["local"])
    assert lacking == {"AWS::Logs::QueryDefinition": 4, "AWS::CloudWatch::Alarm": 2}  # the pipe's
    more = Counter(types["local"]) - Counter(types["test"])  # the routes by token, which each environment may have
    assert set(more) <= {f"AWS::ApiGateway::{kind}" for kind in ("Authorizer", "Method", "Resource")} | {
        "AWS::Lambda::Permission"
    }


def test_local_addresses_are_parameters_so_that_the_template_can_be_cached(templates: dict[str, Any]) -> None:
    assert {"ProviderUrl", "ProviderCaFile", "PublicUrl"} <= set(templates["local"]["Parameters"])
    variables = functions(templates["local"])["submit_void"]["Environment"]["Variables"]
    assert variables["PROVIDER_URL"] == {"Ref": "ProviderUrl"}
    assert variables["PROVIDER_CA_FILE"] == {"Ref": "ProviderCaFile"}
    assert variables["WEBHOOK_URL"] == {"Fn::Join": ["", [{"Ref": "PublicUrl"}, "/v1/webhooks/financial-line"]]}
    for name in ("test", "prod"):
        assert set(templates[name]["Parameters"]) == {"BootstrapVersion"}
        assert functions(templates[name])["submit_void"]["Environment"]["Variables"]["PROVIDER_URL"] == (
            "https://api.finline.io"
        )
