"""Each function may do exactly what it needs, knows exactly what it needs, and settling is never run twice at once.

A release reaches a tenth of the requests first, and goes back by itself when it does harm.
"""

import json
import re
from collections import Counter
from typing import Any

import pytest

from infra.environment import Environment
from infra.synth import ROOT
from infra.wrong_settings import MOST_SETTLE_WORKERS
from payments import settings
from tests.infra.stack import Stack, listed

PROVIDER, TOKENS = {"PROVIDER_URL", "PROVIDER_SCHEME"}, {"TOKEN_CALLERS", "TOKEN_CALLER_CLAIM"}
EVERY = {
    "AWS_CA_BUNDLE", "TABLE_NAME", "SECRET_ID", "POWERTOOLS_SERVICE_NAME", "POWERTOOLS_METRICS_NAMESPACE",
    "POWERTOOLS_LOG_LEVEL",
}  # fmt: skip
# Every function writes its own log and trace, and reads the secret.
ALWAYS = {
    "Logs::LogGroup": {"logs:CreateLogStream", "logs:PutLogEvents"},
    "SecretsManager::Secret": {"secretsmanager:GetSecretValue"},
    "*": {"xray:PutTraceSegments", "xray:PutTelemetryRecords"},  # X-Ray knows no narrower resource
}
QUEUE = {"SQS::Queue": {"sqs:SendMessage", "sqs:GetQueueAttributes", "sqs:GetQueueUrl"}}


# Seconds, memory, reserved with every option; variables of its own; what it may do with the table; the indexes it reads.
FUNCTIONS: dict[str, tuple[tuple[int, int, int | None], set[str], str, str]] = {
    "submit_void": ((20, 512, 50), PROVIDER | TOKENS | {"WEBHOOK_URL"}, "GetItem PutItem", ""),
    "read_voids": ((20, 512, 20), PROVIDER | TOKENS, "GetItem PutItem", "due review settled"),
    "receive_webhook": ((10, 512, 30), set(), "GetItem PutItem UpdateItem", ""),
    "settle_voids": ((55, 1769, 5), PROVIDER | {"SETTLE_WORKERS"}, "GetItem PutItem", "due"),
    "decide": ((20, 512, None), PROVIDER, "GetItem PutItem", ""),
}


def granted(stack: Stack, module: str) -> dict[str, set[str]]:
    """Resource (by its type and index) to the actions that the function may do with it."""
    grants: dict[str, set[str]] = {}
    for statement in stack.statements(stack.functions[module]["Role"]["Fn::GetAtt"][0]):
        assert statement["Effect"] == "Allow"
        for resource in listed(statement["Resource"]):
            grants.setdefault(described(stack, resource), set()).update(listed(statement["Action"]))
    return grants


def described(stack: Stack, resource: Any) -> str:
    match resource:
        case {"Fn::GetAtt": [name, _]}:
            return str(stack.resources[name]["Type"]).removeprefix("AWS::")
        case {"Fn::Join": [_, parts]}:
            return "".join(described(stack, part) for part in parts)
    return str(resource)


@pytest.mark.parametrize("module", FUNCTIONS)
def test_a_function_may_do_exactly_this_and_knows_exactly_this(stack: Stack, module: str) -> None:
    function, ((seconds, memory, reserved), own, actions, indexes) = stack.functions[module], FUNCTIONS[module]
    table = {"DynamoDB::Table": {f"dynamodb:{action}" for action in actions.split()}}
    queried = {f"DynamoDB::Table/index/{index}": {"dynamodb:Query"} for index in indexes.split()}
    grants = granted(stack, module)
    local, every = stack.environment.local, stack.environment.own_key
    assert bool(grants.pop("KMS::Key", set())) is every
    assert grants == ALWAYS | table | queried | (QUEUE if module == "settle_voids" else {})
    optional = (set() if local or every else TOKENS) | (set() if every else {"KEEP_SETTLED_DAYS"})
    trust = {"PROVIDER_CA_FILE"} if local and own >= PROVIDER else set()
    assert {*function["Environment"]["Variables"]} == (EVERY | {"KEEP_SETTLED_DAYS"} | own | trust) - optional
    limits = function["Timeout"], function["MemorySize"], function.get("ReservedConcurrentExecutions")
    assert limits == (seconds, memory, reserved if every else None)


def test_the_functions_have_roles_and_logs_of_their_own_and_one_asset(stack: Stack) -> None:
    functions = stack.functions
    assert {*functions} == {*FUNCTIONS} == {
        path.stem for path in (ROOT / "functions").glob("*.py") if "\ndef handler(" in path.read_text("utf-8")
    }  # fmt: skip
    roles = {function["Role"]["Fn::GetAtt"][0] for function in functions.values()}
    logs = {function["LoggingConfig"]["LogGroup"]["Ref"] for function in functions.values()}
    assert len(roles) == len(logs) == len(functions)
    assert all("ManagedPolicyArns" not in stack.resources[role]["Properties"] for role in roles)
    assert len({str(function["Code"]) for function in functions.values()}) == 1
    for function in functions.values():
        as_it_runs = (function["Runtime"], function["Architectures"], function["TracingConfig"])
        assert as_it_runs == ("python3.13", ["arm64"], {"Mode": "Active"})
    for name, function in stack.of("Lambda::Function").items():
        (needed,) = stack.resources[name]["DependsOn"]  # its rights, and nothing that it refers to anyway
        assert stack.of("IAM::Policy")[needed]["Roles"] == [{"Ref": function["Role"]["Fn::GetAtt"][0]}]


def test_what_an_environment_sets_the_functions_know(stacks: dict[str, Stack]) -> None:
    known = {name: each["Environment"]["Variables"] for name, each in stacks["every option"].functions.items()}
    assert {each["KEEP_SETTLED_DAYS"] for each in known.values()} == {"400"}
    for function in ("submit_void", "read_voids"):
        assert (known[function]["TOKEN_CALLERS"], known[function]["TOKEN_CALLER_CLAIM"]) == ("shop", "client_id")
    assert known["settle_voids"]["SETTLE_WORKERS"] == "32"
    same = {(each["AWS_CA_BUNDLE"], *(each[name] for name in sorted(each) if "POWERTOOLS" in name)) for each in known.values()}  # fmt: skip
    assert same == {("/var/task/trust/aws.pem", "INFO", "VoidService/prod", "void-service")}
    for workers in (1, MOST_SETTLE_WORKERS):
        given = str(Environment(name="prod", settle_workers=workers).settle_workers)
        assert settings.settle_workers({"SETTLE_WORKERS": given}) == workers
    assert settings.MOST_WORKERS == MOST_SETTLE_WORKERS


@pytest.mark.parametrize(("name", "days"), [("test", 90), ("prod", 400), ("every option", 90)])
def test_every_log_group_forgets_in_the_end(stacks: dict[str, Stack], name: str, days: int) -> None:
    assert [each["RetentionInDays"] for each in stacks[name].all("Logs::LogGroup")] == [days] * 6


def test_settling_runs_each_minute_and_is_never_retried(stack: Stack) -> None:
    schedule, asynchronous = stack.one("Scheduler::Schedule"), stack.one("Lambda::EventInvokeConfig")
    queue = {"Fn::GetAtt": [stack.name("SQS::Queue", "Functions"), "Arn"]}
    assert schedule["ScheduleExpression"] == "rate(1 minute)"
    assert schedule["Target"]["RetryPolicy"]["MaximumRetryAttempts"] == 0
    assert schedule["Target"]["DeadLetterConfig"] == {"Arn": queue}
    assert "SettleVoidsAliaslive" in schedule["Target"]["Arn"]["Ref"]
    # The schedule invokes asynchronously, and Lambda's own default is two retries.
    assert (asynchronous["MaximumRetryAttempts"], asynchronous["MaximumEventAgeInSeconds"]) == (0, 60)
    assert asynchronous["DestinationConfig"]["OnFailure"] == {"Destination": queue}


def test_the_local_engine_lacks_only_what_no_void_depends_on(stacks: dict[str, Stack]) -> None:
    # Pinned: a longer list means that less of the real stack is proved locally.
    types = {name: Counter(each["Type"].removeprefix("AWS::") for each in stack.resources.values()) for name, stack in stacks.items()}  # fmt: skip
    # How a release reaches callers is another in prod, its groups and the role that moves aliases, and it is looked at.
    releases = {"CodeDeploy::Application", "CodeDeploy::DeploymentGroup"}
    assert {*(types["prod"] - types["test"])} == releases | {"IAM::Role", "CloudWatch::Dashboard"}
    assert types["test"] - types["prod"] == Counter()
    assert types["test"] - types["local"] == {"Logs::QueryDefinition": 4, "CloudWatch::Alarm": 2, "XRay::SamplingRule": 1}  # fmt: skip
    by_token = {"ApiGateway::Authorizer", "ApiGateway::Method", "ApiGateway::Resource", "Lambda::Permission"}
    assert {*(types["local"] - types["test"])} == by_token


def test_local_addresses_are_parameters_so_that_the_template_can_be_cached(stacks: dict[str, Stack]) -> None:
    local = stacks["local"]
    variables = local.functions["submit_void"]["Environment"]["Variables"]
    assert variables["PROVIDER_URL"] == {"Ref": "ProviderUrl"}
    assert variables["PROVIDER_CA_FILE"] == {"Ref": "ProviderCaFile"}
    assert variables["WEBHOOK_URL"] == {"Fn::Join": ["", [{"Ref": "PublicUrl"}, "/v1/webhooks/financial-line"]]}
    assert {"ProviderUrl", "ProviderCaFile", "PublicUrl"} <= {*local.template["Parameters"]}
    for name in ("test", "prod"):
        assert {*stacks[name].template["Parameters"]} == {"BootstrapVersion"}
        given = stacks[name].functions["submit_void"]["Environment"]["Variables"]["PROVIDER_URL"]
        assert given == "https://api.finline.io"


# ---- releases --------------------------------------------------------------------------------------------------------


def test_whatever_calls_a_function_calls_its_alias(stack: Stack) -> None:
    aliases = stack.of("Lambda::Alias")
    assert [each["Name"] for each in aliases.values()] == ["live"] * 5 == ["live"] * len(stack.of("Lambda::Version"))
    assert {each["FunctionName"]["Ref"] for each in stack.all("Lambda::Permission")} <= {*aliases}
    assert stack.one("Scheduler::Schedule")["Target"]["Arn"]["Ref"] in aliases
    for method in stack.all("ApiGateway::Method"):
        assert any(f'"{alias}"' in json.dumps(method["Integration"]["Uri"]) for alias in aliases)


def test_prod_moves_a_tenth_for_a_quarter_of_an_hour_and_then_all(stack: Stack) -> None:
    groups = stack.of("CodeDeploy::DeploymentGroup")
    moved = {
        alias: each["UpdatePolicy"]["CodeDeployLambdaAliasUpdate"]["DeploymentGroupName"]["Ref"]
        for alias, each in stack.resources.items()
        if each["Type"] == "AWS::Lambda::Alias" and "UpdatePolicy" in each
    }
    # Not what runs seldom: a tenth of a run a minute, or of a decision a day, is too little for an alarm to see.
    functions = {"FunctionsSubmitVoid", "FunctionsReadVoids", "FunctionsReceiveWebhook"}
    expected = functions if stack.environment.name == "prod" else set()  # every option's too
    assert {re.sub("Aliaslive.*", "", alias) for alias in moved} == expected
    assert {*moved.values()} == {*groups}
    for group in groups.values():
        assert group["DeploymentConfigName"] == "CodeDeployDefault.LambdaCanary10Percent15Minutes"
        assert group["AutoRollbackConfiguration"]["Enabled"] is True
        assert "DEPLOYMENT_STOP_ON_ALARM" in group["AutoRollbackConfiguration"]["Events"]


def test_a_release_is_taken_back_by_what_it_can_cause_and_not_by_the_provider(stacks: dict[str, Stack]) -> None:
    alarms, causes = stacks["prod"].of("CloudWatch::Alarm"), {"Unexpected error", "Function errors", "API fails"}
    for group in stacks["prod"].all("CodeDeploy::DeploymentGroup"):
        assert group["AlarmConfiguration"]["Enabled"] is True
        names = {alarms[each["Name"]["Ref"]]["AlarmName"] for each in group["AlarmConfiguration"]["Alarms"]}
        assert {re.sub(r"^VoidService-prod | \(\w+\)$", "", name) for name in names} == causes
