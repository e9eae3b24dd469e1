"""What AWS answers to an acceptance, call by call: scripts for `Account.plays`."""

import json
from typing import Any

from acceptance.probes import account as account_probes
from acceptance.probes import changes
from acceptance.rows import FACTS
from acceptance.undo import MARK
from tests.fakes.account import ACCOUNT, REGION, STACK, Step

Steps = list[Step]
STREAM = "arn:aws:dynamodb:eu-central-1:1:table/t/stream/now"
ALARM = f"{STACK} {changes.HEADING}"
CONFIGURATION = {"Description": MARK, "LastUpdateStatus": "Successful", "State": "Active", "Version": "5"}
WAITS = {"function_active_v2": ("get_function", {"Configuration": CONFIGURATION}),
         "function_updated_v2": ("get_function", {"Configuration": CONFIGURATION}),
         "published_version_active": ("get_function_configuration", CONFIGURATION)}  # fmt: skip


def listed(name: str, **known: Any) -> Steps:
    """The calls that rows.toml lists, each with an answer that has what it keeps of it."""
    steps: Steps = []
    for service, operation, _, *kept in FACTS["calls"][name]:
        answer: Any = {}
        for key, path in (kept[0] if kept else {}).items():
            value = known.get(key)
            for part in reversed(path.split(".")):
                value = [value] if part == "0" else {part: value}
            answer |= value if known.get(key) is not None else {}
        steps.append((service, *WAITS.get(operation, (operation, answer))))
    return steps


def decided(**decisions: str) -> Steps:
    """IAM decides as it should, but for these: stem to an action that it decides the other way."""
    table = {"TableArn": f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/t"}
    steps: Steps = [("dynamodb", "describe_table", {"Table": table})]
    for stem, must in account_probes.MUST.items():
        groups = [(True, [right.partition("/")[0]]) for right in must] + [(True, ["secretsmanager:GetSecretValue"])]
        never = [one for one in account_probes.NEVER["table"] if "receive" not in stem or "UpdateItem" not in one]
        for allowed, actions in (*groups, (False, never), (False, account_probes.NEVER["secret"])):
            words = {one: "allowed" if (decisions.get(stem) == one) != allowed else "implicitDeny" for one in actions}
            results = [{"EvalActionName": one, "EvalDecision": word} for one, word in words.items()]
            steps.append(("iam", "simulate_principal_policy", {"EvaluationResults": results}))
    return steps


def quotas(concurrency: int, rate: float, role: str | None, quota: object = None) -> Steps:
    throttle = {"throttleSettings": {"rateLimit": rate, "burstLimit": 5000}}
    names = ("Other", "Table-level write throughput limit")
    return [
        ("lambda", "get_account_settings", {"AccountLimit": {"ConcurrentExecutions": concurrency}}),
        ("apigateway", "get_account", throttle | ({"cloudwatchRoleArn": role} if role is not None else {})),
        ("service-quotas", "list_service_quotas",
         quota or {"Quotas": [{"QuotaName": name, "Value": 40_000.0} for name in names]}),
    ]  # fmt: skip


def rung(*answers: object, before: str = "OK") -> Steps:
    history: Steps = [("cloudwatch", "describe_alarm_history", answer) for answer in answers]
    alarms = {"MetricAlarms": [{"AlarmName": ALARM, "StateValue": before}]}
    return [("cloudwatch", "describe_alarms", alarms), *listed("ring"), *history, *listed("undo-alarm")]


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


def released(served: bool, back: str) -> Steps:
    marked = [{"Version": "$LATEST", "Description": MARK}, {"Version": "4"}, {"Version": "5", "Description": MARK}]
    streams = {"logStreams": [{"logStreamName": f"2026/11/24/[{5 if served else 4}]abc"}]}
    configured: Step = ("lambda", "get_function_configuration", CONFIGURATION)
    return [
        ("lambda", "get_alias", {"FunctionVersion": "4"}),
        ("lambda", "get_function_configuration", CONFIGURATION | {"Description": "what it was"}),
        *listed("describe"), *listed("publish", after="5"), *listed("share"),
        *[("logs", "describe_log_streams", streams)] * (1 if served else 61),
        *listed("share"), ("lambda", "get_alias", {"FunctionVersion": back}), *listed("share"), configured,
        *listed("describe"), ("lambda", "list_versions_by_function", {"Versions": marked}),
        ("lambda", "delete_function", {}),
    ]  # fmt: skip


URL = "https://sqs.example/q"
LISTEN = listed("listen", url=URL, queue_arn="arn:aws:sqs:q", rule="arn:aws:events:rule")
UNLISTEN = [*listed("undo-rule"), *listed("undo-queue", url=URL)]
SILENCE: Step = ("sqs", "receive_message", {})


def arrived(order: str, *versions: int) -> Steps:
    bodies = [{"detail-type": "void.settled", "detail": {"order_id": order, "version": str(one)}} for one in versions]
    messages = [{"ReceiptHandle": f"r{number}", "Body": json.dumps(body)} for number, body in enumerate(bodies)]
    return [("sqs", "receive_message", {"Messages": messages}), *[("sqs", "delete_message", {})] * len(versions)]


def outage(early: Steps, late: Steps) -> Steps:
    return [*LISTEN, *listed("deny"), *early, *listed("undo-deny"), *late, *UNLISTEN]


APIS = {"items": [{"id": "api1234567", "name": STACK}, {"id": "scratch123", "name": f"{STACK}-acceptance"}]}
FUNCTION = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:f"
SCRATCH: Steps = [
    *listed("scratch", function=FUNCTION, api="scratch123", root="root", status="429"), *listed("throttle"),
    ("apigateway", "get_rest_apis", APIS), ("apigateway", "delete_rest_api", {}), *listed("undo-function"),
]  # fmt: skip
WARM = "REPORT RequestId: 1\tDuration: {} ms\tBilled Duration: 13 ms\tMemory Size: 512 MB\tMax Memory Used: 70 MB\t"
COLD = WARM + "Init Duration: 250.50 ms\t"


def timed(milliseconds: int, count: int) -> Steps:
    lines = [WARM.format(milliseconds)] * count + [COLD.format(milliseconds)] * 5
    events = {"events": [{"message": line} for line in lines]}
    return [("logs", "filter_log_events", events) for _ in account_probes.PAPER_MS]


def consumed(units: float) -> Steps:
    points: Steps = [("cloudwatch", "get_metric_statistics", {"Datapoints": [{"Sum": units}, {"Sum": 0.0}]})]
    return [("dynamodb", "describe_table", {"Table": {"GlobalSecondaryIndexes": [{"IndexName": "due"}]}}), *points * 2]


def piped(source: str, state: str = "RUNNING") -> Steps:
    return [
        ("pipes", "describe_pipe", {"Source": source, "CurrentState": state}),
        ("dynamodb", "describe_table", {"Table": {"LatestStreamArn": STREAM}}),
    ]
