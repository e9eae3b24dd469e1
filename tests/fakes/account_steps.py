"""What AWS answers to an acceptance, call by call: scripts for `Account.plays`."""

import json
from typing import Any

from acceptance.calls import MARK
from acceptance.probes import account as account_probes
from acceptance.probes import changes, figures
from tests.fakes.account import ACCOUNT, REGION, STACK, Step

Steps = list[Step]
STREAM = "arn:aws:dynamodb:eu-central-1:1:table/t/stream/now"
ALARM = f"{STACK} {changes.HEADING}"


def decided(**decisions: str) -> Steps:
    """IAM decides as it should, but for these: stem to an action that it decides the other way."""
    table = {"TableArn": f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/t"}
    steps: Steps = [("dynamodb", "describe_table", {"Table": table})]
    for stem, must in account_probes.MUST.items():
        groups = [(True, [right.partition("/")[0]]) for right in must] + [(True, ["secretsmanager:GetSecretValue"])]
        never = [one for one in account_probes.NEVER["table"] if "receive" not in stem or "UpdateItem" not in one]
        for allowed, actions in (*groups, (False, never), (False, account_probes.NEVER["secret"])):
            results = [
                {"EvalActionName": one, "EvalDecision": "allowed" if (decisions.get(stem) == one) != allowed else "implicitDeny"}
                for one in actions
            ]  # fmt: skip
            steps.append(("iam", "simulate_principal_policy", {"EvaluationResults": results}))
    return steps


def quotas(concurrency: int, rate: float, role: str | None, quota: object = None) -> Steps:
    throttle = {"throttleSettings": {"rateLimit": rate, "burstLimit": 5000}}
    listed = {
        "Quotas": [{"QuotaName": name, "Value": 40_000.0} for name in ("Other", "Table-level write throughput limit")]
    }
    return [
        ("lambda", "get_account_settings", {"AccountLimit": {"ConcurrentExecutions": concurrency}}),
        ("apigateway", "get_account", throttle | ({"cloudwatchRoleArn": role} if role is not None else {})),
        ("service-quotas", "list_service_quotas", quota or listed),
    ]  # fmt: skip


def rung(*answers: object, before: str = "OK") -> Steps:
    alarms = {"MetricAlarms": [{"AlarmName": ALARM, "StateValue": before}]}
    rings: Step = ("cloudwatch", "set_alarm_state", {})
    history: Steps = [("cloudwatch", "describe_alarm_history", answer) for answer in answers]
    return [("cloudwatch", "describe_alarms", alarms), rings, *history, rings]


def history(summary: str = "x", data: str = "{}", **of_data: str) -> dict[str, Any]:
    """As CloudWatch writes what became of an action."""
    data = json.dumps(of_data) if of_data else data
    return {"AlarmHistoryItems": [{"AlarmName": ALARM, "HistorySummary": summary, "HistoryData": data}]}


def subscribed(*arns: str) -> Steps:
    found = [{"SubscriptionArn": arn, "Protocol": "email", "Endpoint": "a@b.example"} for arn in arns]
    return [("sns", "list_subscriptions_by_topic", {"Subscriptions": found})]


V0, V1, V2 = ("0" * 32, "1" * 32, "2" * 32)
MOVE: Step = ("secretsmanager", "update_secret_version_stage", {})
PUT: Step = ("secretsmanager", "put_secret_value", {"VersionId": V2})
VALUE: Step = ("secretsmanager", "get_secret_value", {"SecretString": "the value"})


def staged(current: str, previous: str = "", kept: str = "") -> Step:
    by_version: dict[str, list[str]] = {}
    for stage, version in (("AWSCURRENT", current), ("AWSPREVIOUS", previous), (MARK, kept)):
        by_version.setdefault(version, []).append(stage)
    found = [{"VersionId": name, "VersionStages": stages} for name, stages in by_version.items() if name]
    return ("secretsmanager", "list_secret_version_ids", {"Versions": found})


def configuration(description: str = MARK) -> dict[str, Any]:
    log = {"LoggingConfig": {"LogGroup": "the-log"}}
    return {"Description": description, "LastUpdateStatus": "Successful", "State": "Active", "Version": "5"} | log


def released(served: bool, back: str) -> Steps:
    marked = [{"Version": "$LATEST", "Description": MARK}, {"Version": "4"}, {"Version": "5", "Description": MARK}]
    name = f"2026/11/24/[{5 if served else 4}]abc"
    streams: Steps = [("logs", "describe_log_streams", {"logStreams": [{"logStreamName": name}]})]
    return [
        ("lambda", "get_alias", {"FunctionVersion": "4"}),
        ("lambda", "get_function_configuration", configuration("what it was")),
        ("lambda", "update_function_configuration", configuration()),
        ("lambda", "get_function", {"Configuration": configuration()}),
        ("lambda", "publish_version", {"Version": "5"}),
        ("lambda", "get_function_configuration", configuration()),
        ("lambda", "update_alias", {}),
        ("lambda", "get_function_configuration", configuration()),
        *streams * (1 if served else 61),
        ("lambda", "update_alias", {}),
        ("lambda", "get_alias", {"FunctionVersion": back}),
        ("lambda", "update_alias", {}),
        ("lambda", "get_function_configuration", configuration()),
        ("lambda", "update_function_configuration", configuration("what it was")),
        ("lambda", "get_function", {"Configuration": configuration("what it was")}),
        ("lambda", "list_versions_by_function", {"Versions": marked}),
        ("lambda", "delete_function", {}),
    ]  # fmt: skip


LISTEN: Steps = [
    ("sqs", "create_queue", {"QueueUrl": "https://sqs.example/q"}),
    ("sqs", "get_queue_attributes", {"Attributes": {"QueueArn": "arn:aws:sqs:q"}}),
    ("events", "put_rule", {"RuleArn": "arn:aws:events:rule"}),
    ("sqs", "set_queue_attributes", {}),
    ("events", "put_targets", {"FailedEntryCount": 0, "FailedEntries": []}),
]  # fmt: skip
UNLISTEN: Steps = [
    ("events", "remove_targets", {"FailedEntryCount": 0, "FailedEntries": []}),
    ("events", "delete_rule", {}),
    ("sqs", "get_queue_url", {"QueueUrl": "https://sqs.example/q"}),
    ("sqs", "delete_queue", {}),
]  # fmt: skip
SILENCE: Step = ("sqs", "receive_message", {})


def arrived(order: str, *versions: int) -> Steps:
    bodies = [{"detail-type": "void.settled", "detail": {"order_id": order, "version": str(one)}} for one in versions]
    messages = [{"ReceiptHandle": f"r{number}", "Body": json.dumps(body)} for number, body in enumerate(bodies)]
    deleted: Steps = [("sqs", "delete_message", {}) for _ in versions]
    return [("sqs", "receive_message", {"Messages": messages}), *deleted]


def outage(early: Steps, late: Steps) -> Steps:
    put: Steps = [("iam", "put_role_policy", {})]
    gone: Steps = [("iam", "delete_role_policy", {})]
    return [*LISTEN, *put, *early, *gone, *late, *UNLISTEN]


SCRATCH: Steps = [
    ("lambda", "create_function", {"FunctionArn": f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:f"}),
    ("lambda", "get_function", {"Configuration": {"State": "Active"}}),
    ("apigateway", "create_rest_api", {"id": "scratch123"}),
    ("apigateway", "get_resources", {"items": [{"id": "root", "path": "/"}]}),
    ("apigateway", "put_method", {}),
    ("lambda", "add_permission", {"Statement": "{}"}),
    ("apigateway", "put_integration", {}),
    ("apigateway", "get_gateway_response", {"responseType": "THROTTLED", "statusCode": "429", "defaultResponse": False}),
    ("apigateway", "put_gateway_response", {}),
    ("apigateway", "create_deployment", {}),
    ("apigateway", "update_stage", {}),
    ("apigateway", "get_rest_apis",
     {"items": [{"id": "api1234567", "name": STACK}, {"id": "scratch123", "name": f"{STACK}-acceptance"}]}),
    ("apigateway", "delete_rest_api", {}),
    ("lambda", "delete_function", {}),
]  # fmt: skip
WARM = "REPORT RequestId: 1\tDuration: {} ms\tBilled Duration: 13 ms\tMemory Size: 512 MB\tMax Memory Used: 70 MB\t"
COLD = WARM + "Init Duration: 250.50 ms\t"


def timed(milliseconds: int, count: int) -> Steps:
    lines = [WARM.format(milliseconds)] * count + [COLD.format(milliseconds)] * 5
    events = {"events": [{"message": line} for line in lines]}
    both: Steps = [("lambda", "get_function_configuration", configuration()), ("logs", "filter_log_events", events)]
    return both * len(figures.PAPER_MS)


def consumed(units: float) -> Steps:
    points: Steps = [("cloudwatch", "get_metric_statistics", {"Datapoints": [{"Sum": units}, {"Sum": 0.0}]})]
    return [("dynamodb", "describe_table", {"Table": {"GlobalSecondaryIndexes": [{"IndexName": "due"}]}}), *points * 2]


def piped(source: str, state: str = "RUNNING") -> Steps:
    table = {"Table": {"LatestStreamArn": STREAM}}
    return [
        ("pipes", "describe_pipe", {"Source": source, "CurrentState": state}),
        ("dynamodb", "describe_table", table),
    ]
