"""Each function may do exactly what it needs, knows exactly what it needs, and settling is never run twice at once."""

from collections import Counter
from typing import Any

import pytest

from infra.environment import Environment
from infra.environments import NOT_DEPLOYED_LOCALLY
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
    "submit_void": ((20, 1024, 50), PROVIDER | TOKENS | {"WEBHOOK_URL"}, "GetItem PutItem", ""),
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
        assert (function["Runtime"], function["Architectures"]) == ("python3.13", ["arm64"])
        assert function["TracingConfig"] == {"Mode": "Active"}
    for name, function in stack.of("Lambda::Function").items():
        (needed,) = stack.resources[name]["DependsOn"]  # its rights, and nothing that it refers to anyway
        assert stack.of("IAM::Policy")[needed]["Roles"] == [{"Ref": function["Role"]["Fn::GetAtt"][0]}]


def test_nobody_is_allowed_everything_scans_or_deletes(stack: Stack) -> None:
    actions = {action for statement in stack.statements() for action in listed(statement["Action"])}
    suspect = {each for each in actions if any(word in each for word in ("*", "Scan", "Delete", "Batch"))}
    assert suspect <= {"kms:GenerateDataKey*"}


def test_what_an_environment_sets_the_functions_know(stacks: dict[str, Stack]) -> None:
    def variable(name: str, function: str, variable: str) -> Any:
        return stacks[name].functions[function]["Environment"]["Variables"].get(variable)

    for function in FUNCTIONS:
        assert variable("every option", function, "KEEP_SETTLED_DAYS") == "400"
    for function in ("submit_void", "read_voids"):
        assert variable("every option", function, "TOKEN_CALLERS") == "shop"
        assert variable("every option", function, "TOKEN_CALLER_CLAIM") == "client_id"
    assert [variable(name, "settle_voids", "SETTLE_WORKERS") for name in ("test", "every option")] == ["8", "32"]
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
    assert asynchronous["MaximumRetryAttempts"] == 0
    assert asynchronous["DestinationConfig"]["OnFailure"] == {"Destination": queue}


def test_the_local_engine_lacks_only_what_no_void_depends_on(stacks: dict[str, Stack]) -> None:
    # Pinned: a longer list means that less of the real stack is proved locally.
    assert {"AWS::Logs::QueryDefinition"} == NOT_DEPLOYED_LOCALLY
    types = {name: Counter(each["Type"].removeprefix("AWS::") for each in stack.resources.values()) for name, stack in stacks.items()}  # fmt: skip
    # How a release reaches callers is another in prod, its groups and the role that moves aliases, and it is looked at.
    releases = {"CodeDeploy::Application", "CodeDeploy::DeploymentGroup"}
    assert {*(types["prod"] - types["test"])} == releases | {"IAM::Role", "CloudWatch::Dashboard"}
    assert types["test"] - types["prod"] == Counter()
    assert types["test"] - types["local"] == {"Logs::QueryDefinition": 4, "CloudWatch::Alarm": 2}  # the pipe's
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
