"""What an acceptance makes of an AWS account: rights, alarms, quotas, releases, rotations, events and figures.

Each answer is checked by botocore against AWS's own models. What is made is taken back, also when AWS refuses midway.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from local.sandbox.doors import Door, Exchange
from ops.acceptance.probes import account as account_probes
from ops.acceptance.probes import alarms, figures, outcomes, releases, rotation, scratch
from ops.acceptance.rows import Finding, Probe, Verdict
from ops.acceptance.run import PROBES, findings
from ops.acceptance.site import Site
from ops.acceptance.undo import MARK
from tests.fakes.account import ACCOUNT, REGION, SECRET, STACK, START, Account, deployed

CONFIRMED, CONTRADICTED, NOT_SEEN = Verdict.CONFIRMED, Verdict.CONTRADICTED, Verdict.NOT_SEEN
ALARM = f"{STACK} Void corrected"


class Api:
    """The service's API: reads answer 404, a void of an order that nobody has is refused for good."""

    def __init__(self) -> None:
        self.door = Door(0, self._answer)
        self.url = f"http://127.0.0.1:{self.door.port}/v1"
        self.submitted: list[dict[str, Any]] = []
        self.date = "Tue, 24 Nov 2026 10:00:30 GMT"
        self.state = "failed"

    def _answer(self, exchange: Exchange) -> None:
        if exchange.command == "POST":
            document = json.loads(exchange.body)
            self.submitted.append(document)
            return exchange.send(409, {"void": {"order_id": document["order_id"], "state": self.state}})
        if "limit=1" in exchange.path:
            return exchange.send(200, {"voids": []}, {"Date": self.date})
        return exchange.send(404, {"type": "urn:void-service:problem:not-found"})


@pytest.fixture
def api() -> Iterator[Api]:
    api = Api()
    yield api
    api.door.close()


@pytest.fixture
def site(account: Account, api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    site = deployed(account, tmp_path, api.url, holds=("order-1",))
    monkeypatch.setattr(site, "refuse_a_live_project", lambda: None)  # its own test is in test_acceptance_run
    return site


def probe_of(row: str) -> Probe:
    return next(probe for probe in PROBES if row in probe.rows)


def seen(site: Site, *rows: str) -> list[Finding]:
    """What is found about these rows; whatever was made is taken back by then."""
    found = {finding.row: finding for finding in findings(site, probe_of(rows[0]), rows)}
    assert site.state.made == []
    assert site.left_behind == []
    return [found[row] for row in rows]


# Missing rights and expired credentials, wherever they are met


@pytest.mark.parametrize(
    ("row", "service", "operation", "code"),
    [
        ("aws-iam", "dynamodb", "describe_table", "AccessDeniedException"),
        ("aws-alarm-delivers", "cloudwatch", "describe_alarms", "AccessDenied"),
        ("aws-alarm-reader", "sns", "list_subscriptions_by_topic", "AuthorizationError"),
        ("aws-quotas", "lambda", "get_account_settings", "AccessDeniedException"),
        ("aws-rotation", "secretsmanager", "list_secret_version_ids", "AccessDeniedException"),
        ("aws-release", "lambda", "get_alias", "AccessDeniedException"),
    ],
)
def test_a_missing_right_is_a_row(
    site: Site, account: Account, row: str, service: str, operation: str, code: str
) -> None:
    account.refuses(service, operation, code, f"User: arn:aws:iam::{ACCOUNT}:user/somebody is not authorized")
    (found,) = seen(site, row)
    assert found.verdict is NOT_SEEN
    assert found.why.startswith("a right is missing: AWS refused ")


@pytest.mark.parametrize("code", ["ExpiredToken", "ExpiredTokenException", "UnrecognizedClientException"])
def test_credentials_that_expire_stop_the_run(site: Site, account: Account, code: str) -> None:
    account.refuses("cloudwatch", "describe_alarms", code, "The security token included in the request is expired")
    with pytest.raises(Exception, match="log in again, then run the same command again"):
        seen(site, "aws-alarm-delivers")


# Rights


def decided(account: Account, decisions: dict[str, str]) -> None:
    """IAM decides: `allowed` for what a function must do, and as told."""
    account.says("dynamodb", "describe_table", {"Table": {"TableArn": f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/t"}})
    for stem, must in account_probes.MUST.items():
        for action, _ in must:
            one(account, [(action, decisions.get(f"{stem} {action}", "allowed"))])
        one(account, [("secretsmanager:GetSecretValue", "allowed")])
        never: tuple[str, ...] = account_probes.MUST_NOT_ON_TABLE
        never += () if stem == "receive_webhook" else account_probes.ONLY_WEBHOOKS_UPDATE
        for group in (never, account_probes.MUST_NOT_ON_SECRET):
            one(account, [(action, decisions.get(f"{stem} {action}", "implicitDeny")) for action in group])


def one(account: Account, results: list[tuple[str, str]]) -> None:
    found = [{"EvalActionName": action, "EvalDecision": decision} for action, decision in results]
    account.says("iam", "simulate_principal_policy", {"EvaluationResults": found})


@pytest.mark.parametrize(
    ("decisions", "verdict", "evidence"),
    [
        ({}, CONFIRMED, {"missing": [], "too_many": []}),
        ({"settle_voids dynamodb:PutItem": "implicitDeny"}, CONTRADICTED,
         {"missing": ["settle_voids dynamodb:PutItem"], "too_many": []}),
        ({"read_voids dynamodb:Scan": "allowed"}, CONTRADICTED,
         {"missing": [], "too_many": ["read_voids dynamodb:Scan"]}),
        ({"submit_void secretsmanager:PutSecretValue": "allowed"}, CONTRADICTED,
         {"missing": [], "too_many": ["submit_void secretsmanager:PutSecretValue"]}),
    ],
)  # fmt: skip
def test_what_each_role_may_do(
    site: Site, account: Account, decisions: dict[str, str], verdict: Verdict, evidence: dict[str, Any]
) -> None:
    decided(account, decisions)
    (found,) = seen(site, "aws-iam")
    assert (found.verdict, found.evidence) == (verdict, evidence)
    asked = account.asked("iam:SimulatePrincipalPolicy")
    assert f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/t/index/due" in [one["ResourceArns"][0] for one in asked]
    account.finished()


# Clock and quotas


@pytest.mark.parametrize(("date", "verdict"), [("10:00:30", CONFIRMED), ("10:00:40", CONTRADICTED), ("", NOT_SEEN)])
def test_the_clock(site: Site, api: Api, date: str, verdict: Verdict) -> None:
    api.date = f"Tue, 24 Nov 2026 {date} GMT" if date else "yesterday"
    assert seen(site, "aws-clock")[0].verdict is verdict


@pytest.mark.parametrize(
    ("concurrency", "rate", "role", "verdicts"),
    [
        (1000, 10_000, "arn:aws:iam::111122223333:role/logs", [CONFIRMED, CONFIRMED]),
        (10, 10_000, None, [CONTRADICTED, CONTRADICTED]),
        (1000, 100, "", [CONTRADICTED, CONTRADICTED]),
    ],
)
def test_the_quotas_of_a_new_account(
    site: Site, account: Account, concurrency: int, rate: float, role: str | None, verdicts: list[Verdict]
) -> None:
    account.says("lambda", "get_account_settings", {"AccountLimit": {"ConcurrentExecutions": concurrency}})
    settings: dict[str, Any] = {"throttleSettings": {"rateLimit": rate, "burstLimit": 5000}}
    account.says("apigateway", "get_account", settings | ({"cloudwatchRoleArn": role} if role is not None else {}))
    quota = {"QuotaName": "Table-level write throughput limit", "Value": 40_000.0}
    account.says("service-quotas", "list_service_quotas", {"Quotas": [{"QuotaName": "Other", "Value": 1.0}, quota]})
    quotas, role_row = seen(site, "aws-quotas", "aws-log-role")
    assert [quotas.verdict, role_row.verdict] == verdicts
    assert quotas.evidence["needed"] == {
        "lambda_concurrency": 67, "api_requests_a_second": 400, "table_write_units_a_second": 1400
    }  # fmt: skip


def test_a_quota_that_may_not_be_read_is_left_out(site: Site, account: Account) -> None:
    account.says("lambda", "get_account_settings", {"AccountLimit": {"ConcurrentExecutions": 1000}})
    account.says("apigateway", "get_account", {"throttleSettings": {"rateLimit": 10_000.0}})
    account.refuses("service-quotas", "list_service_quotas", "AccessDeniedException")
    found = seen(site, "aws-quotas")[0]
    assert found.verdict is CONFIRMED
    quotas = found.evidence["account"]
    assert isinstance(quotas, dict)
    assert quotas["table_write_units_a_second"] is None


# Alarms


def rung(account: Account, history: list[dict[str, Any]], before: str = "OK") -> None:
    account.says("cloudwatch", "describe_alarms", {"MetricAlarms": [{"AlarmName": ALARM, "StateValue": before}]})
    account.says("cloudwatch", "set_alarm_state")
    account.says("cloudwatch", "describe_alarm_history", {"AlarmHistoryItems": history})
    account.says("cloudwatch", "set_alarm_state")


def action(state: str, error: str | None = None) -> dict[str, Any]:
    """As CloudWatch writes what became of an action."""
    data = {"actionState": state, "stateUpdateTimestamp": 1, "notificationResource": "topic", "error": error}
    return {"AlarmName": ALARM, "HistoryItemType": "Action", "HistoryData": json.dumps(data), "Timestamp": START}


@pytest.mark.parametrize(
    ("item", "verdict"),
    [
        (action("Succeeded"), CONFIRMED),
        ({"HistorySummary": "Successfully executed action arn:aws:sns:x"}, CONFIRMED),
        (action("Failed", "CloudWatch Alarms is not authorized to perform: SNS:Publish on resource"), CONTRADICTED),
        ({"HistoryData": "no JSON"}, CONTRADICTED),
    ],
)
def test_an_alarm_is_rung_and_set_back(site: Site, account: Account, item: dict[str, Any], verdict: Verdict) -> None:
    rung(account, [item], before="INSUFFICIENT_DATA")
    (found,) = seen(site, "aws-alarm-delivers")
    assert found.verdict is verdict
    assert [one["StateValue"] for one in account.asked("cloudwatch:SetAlarmState")] == ["ALARM", "INSUFFICIENT_DATA"]


def test_an_alarm_whose_history_is_silent_is_not_seen(site: Site, account: Account) -> None:
    account.says("cloudwatch", "describe_alarms", {"MetricAlarms": [{"AlarmName": ALARM, "StateValue": "OK"}]})
    account.says("cloudwatch", "set_alarm_state")
    for _ in range(31):
        account.says("cloudwatch", "describe_alarm_history", {"AlarmHistoryItems": []})
    account.says("cloudwatch", "set_alarm_state")
    assert seen(site, "aws-alarm-delivers")[0].verdict is NOT_SEEN
    account.finished()


def test_an_alarm_of_another_version_is_said(site: Site, account: Account) -> None:
    account.says("cloudwatch", "describe_alarms", {"MetricAlarms": []})
    assert "is the stack another version?" in seen(site, "aws-alarm-delivers")[0].why


def test_an_alarm_is_set_back_although_its_history_is_refused(site: Site, account: Account) -> None:
    account.says("cloudwatch", "describe_alarms", {"MetricAlarms": [{"AlarmName": ALARM, "StateValue": "OK"}]})
    account.says("cloudwatch", "set_alarm_state")
    account.refuses("cloudwatch", "describe_alarm_history", "AccessDenied")
    account.says("cloudwatch", "set_alarm_state")
    assert seen(site, "aws-alarm-delivers")[0].verdict is NOT_SEEN
    account.finished()


@pytest.mark.parametrize(
    ("arns", "verdict"),
    [(["arn:aws:sns:x"], CONFIRMED), (["PendingConfirmation"], CONTRADICTED), ([], CONTRADICTED)],
)
def test_somebody_reads_the_alarms(site: Site, account: Account, arns: list[str], verdict: Verdict) -> None:
    subscriptions = [{"SubscriptionArn": arn, "Protocol": "email", "Endpoint": "a@b.example"} for arn in arns]
    account.says("sns", "list_subscriptions_by_topic", {"Subscriptions": subscriptions})
    (found,) = seen(site, "aws-alarm-reader")
    assert found.verdict is verdict
    assert "b.example" not in str(found.evidence)
    assert alarms.HEADING in ALARM


# The secret


def versions(**stages: str) -> dict[str, Any]:
    by_version: dict[str, list[str]] = {}
    for stage, version in stages.items():
        by_version.setdefault(version, []).append(stage.replace("KEPT", MARK))
    return {"Versions": [{"VersionId": name, "VersionStages": found} for name, found in by_version.items()]}


V0, V1, V2 = ("0" * 32, "1" * 32, "2" * 32)


def value(account: Account, *texts: str) -> None:
    for text in texts:
        account.says("secretsmanager", "get_secret_value", {"SecretString": text})


def listed(account: Account, *answers: dict[str, Any]) -> None:
    for answer in answers:
        account.says("secretsmanager", "list_secret_version_ids", answer)


def test_a_rotation_moves_both_stages_and_both_come_back(site: Site, account: Account) -> None:
    before = versions(AWSCURRENT=V1, AWSPREVIOUS=V0)
    listed(account, before)
    value(account, "the value")
    account.says("secretsmanager", "update_secret_version_stage")  # labels the previous one
    account.says("secretsmanager", "put_secret_value", {"VersionId": V2})
    listed(account, versions(AWSCURRENT=V2, AWSPREVIOUS=V1, KEPT=V0))
    value(account, "the value", "the value")
    listed(account, versions(AWSCURRENT=V2, AWSPREVIOUS=V1, KEPT=V0))
    account.says("secretsmanager", "update_secret_version_stage")
    listed(account, versions(AWSCURRENT=V1, AWSPREVIOUS=V2, KEPT=V0))
    account.says("secretsmanager", "update_secret_version_stage")
    account.says("secretsmanager", "update_secret_version_stage")
    listed(account, before)
    (found,) = seen(site, "aws-rotation")
    assert found.verdict is CONFIRMED
    assert "the value" not in str(found)
    moves = account.asked("secretsmanager:UpdateSecretVersionStage")
    assert [(one["VersionStage"], one.get("RemoveFromVersionId"), one.get("MoveToVersionId")) for one in moves] == [
        (MARK, None, V0), ("AWSCURRENT", V2, V1), ("AWSPREVIOUS", V2, V0), (MARK, V0, None),
    ]  # fmt: skip
    account.finished()


def test_a_secret_that_was_never_rotated_has_no_previous_again(site: Site, account: Account) -> None:
    before = versions(AWSCURRENT=V1)
    listed(account, before)
    value(account, "the value")
    account.says("secretsmanager", "put_secret_value", {"VersionId": V2})
    listed(account, versions(AWSCURRENT=V2, AWSPREVIOUS=V1))
    value(account, "the value", "the value")
    listed(account, versions(AWSCURRENT=V2, AWSPREVIOUS=V1))
    account.says("secretsmanager", "update_secret_version_stage")
    listed(account, versions(AWSCURRENT=V1, AWSPREVIOUS=V2))
    account.says("secretsmanager", "update_secret_version_stage")
    listed(account, before)
    assert seen(site, "aws-rotation")[0].verdict is CONFIRMED
    assert account.asked("secretsmanager:UpdateSecretVersionStage")[-1] == {
        "SecretId": SECRET, "VersionStage": "AWSPREVIOUS", "RemoveFromVersionId": V2
    }  # fmt: skip


def test_a_previous_stage_that_does_not_move_is_contradicted(site: Site, account: Account) -> None:
    before = versions(AWSCURRENT=V1)
    listed(account, before)
    value(account, "the value")
    account.says("secretsmanager", "put_secret_value", {"VersionId": V2})
    listed(account, versions(AWSCURRENT=V2))
    value(account, "the value")
    account.refuses("secretsmanager", "get_secret_value", "ResourceNotFoundException")
    listed(account, versions(AWSCURRENT=V2))
    account.says("secretsmanager", "update_secret_version_stage")
    listed(account, before)
    assert seen(site, "aws-rotation")[0].verdict is NOT_SEEN
    account.finished()


def test_a_secret_is_put_back_although_the_new_version_is_refused(site: Site, account: Account) -> None:
    listed(account, versions(AWSCURRENT=V1))
    value(account, "the value")
    account.refuses("secretsmanager", "put_secret_value", "AccessDeniedException")
    listed(account, versions(AWSCURRENT=V1))
    (found,) = seen(site, "aws-rotation")
    assert found.why.startswith("a right is missing")
    assert rotation.PREVIOUS == "AWSPREVIOUS"


# Releases


def configuration(description: str = "", status: str = "Successful") -> dict[str, Any]:
    log = {"LoggingConfig": {"LogGroup": "the-log"}}
    return {"Description": description, "LastUpdateStatus": status, "State": "Active", "Version": "5"} | log


def released(account: Account, served: bool, back: str) -> None:
    account.says("lambda", "get_alias", {"FunctionVersion": "4"})
    account.says("lambda", "get_function_configuration", configuration("what it was"))
    account.says("lambda", "update_function_configuration", configuration(MARK))
    account.says("lambda", "get_function", {"Configuration": configuration(MARK)})
    account.says("lambda", "publish_version", {"Version": "5"})
    account.says("lambda", "get_function_configuration", configuration(MARK))
    account.says("lambda", "update_alias")
    for _ in range(1 if served else 61):
        account.says("lambda", "get_function_configuration", configuration(MARK))
        name = "2026/11/24/[5]abc" if served else "2026/11/24/[4]abc"
        account.says("logs", "describe_log_streams", {"logStreams": [{"logStreamName": name}]})
    account.says("lambda", "update_alias")
    account.says("lambda", "get_alias", {"FunctionVersion": back})
    account.says("lambda", "update_alias")
    account.says("lambda", "get_function_configuration", configuration(MARK))
    account.says("lambda", "update_function_configuration", configuration("what it was"))
    account.says("lambda", "get_function", {"Configuration": configuration("what it was")})
    marked = [{"Version": "$LATEST", "Description": MARK}, {"Version": "4"}, {"Version": "5", "Description": MARK}]
    account.says("lambda", "list_versions_by_function", {"Versions": marked})
    account.says("lambda", "delete_function")


@pytest.mark.parametrize(
    ("served", "back", "verdicts"),
    [
        (True, "4", [CONFIRMED, CONFIRMED]),
        (False, "4", [CONTRADICTED, CONFIRMED]),
        (True, "5", [CONFIRMED, CONTRADICTED]),
    ],
)
def test_a_release_and_the_way_back(
    site: Site, account: Account, served: bool, back: str, verdicts: list[Verdict]
) -> None:
    released(account, served, back)
    assert [finding.verdict for finding in seen(site, "aws-release", "aws-way-back")] == verdicts
    weights = [one["RoutingConfig"]["AdditionalVersionWeights"] for one in account.asked("lambda:UpdateAlias")]
    assert weights == [{"5": releases.SHARE}, {}, {}]
    assert account.asked("lambda:DeleteFunction") == [{"FunctionName": f"{STACK}-read_voids", "Qualifier": "5"}]
    account.finished()


def test_a_release_under_way_is_left_alone(site: Site, account: Account) -> None:
    account.says("lambda", "get_alias", {"RoutingConfig": {"AdditionalVersionWeights": {"5": 0.1}}})
    assert "is under way" in seen(site, "aws-release")[0].why
    account.finished()


# Events


def listening(account: Account) -> None:
    account.says("sqs", "create_queue", {"QueueUrl": "https://sqs.example/q"})
    account.says("sqs", "get_queue_attributes", {"Attributes": {"QueueArn": "arn:aws:sqs:q"}})
    account.says("events", "put_rule", {"RuleArn": "arn:aws:events:rule"})
    account.says("sqs", "set_queue_attributes")
    account.says("events", "put_targets", {"FailedEntryCount": 0, "FailedEntries": []})


def unlistening(account: Account) -> None:
    account.says("events", "remove_targets", {"FailedEntryCount": 0, "FailedEntries": []})
    account.says("events", "delete_rule")
    account.says("sqs", "get_queue_url", {"QueueUrl": "https://sqs.example/q"})
    account.says("sqs", "delete_queue")


def message(order: str, version: int) -> dict[str, Any]:
    body = {"detail-type": "void.settled", "detail": {"order_id": order, "version": str(version)}}
    return {"ReceiptHandle": f"r{version}", "Body": json.dumps(body)}


@pytest.mark.parametrize("encoded", [True, False])
def test_an_order_with_odd_letters_leaves(
    site: Site, account: Account, monkeypatch: pytest.MonkeyPatch, encoded: bool
) -> None:
    from urllib.parse import quote

    order = 'acc-x"\\é'
    monkeypatch.setattr(site, "nobody", lambda letters="": order)
    listening(account)
    account.says("sqs", "receive_message", {"Messages": [message(quote(order, safe="") if encoded else order, 2)]})
    account.says("sqs", "delete_message")
    unlistening(account)
    assert seen(site, "aws-pipe-letters")[0].verdict is CONFIRMED
    policy = json.loads(account.asked("sqs:SetQueueAttributes")[0]["Attributes"]["Policy"])
    assert policy["Statement"][0]["Condition"] == {"ArnEquals": {"aws:SourceArn": "arn:aws:events:rule"}}
    account.finished()


def test_an_order_that_never_leaves_is_contradicted(site: Site, account: Account) -> None:
    listening(account)
    for _ in range(91):
        account.says("sqs", "receive_message", {})
    unlistening(account)
    account.says("sqs", "get_queue_attributes", {"Attributes": {"ApproximateNumberOfMessages": "1"}})
    (found,) = seen(site, "aws-pipe-letters")
    assert found.verdict is CONTRADICTED
    assert found.evidence["undelivered"] == 1
    account.finished()


@pytest.mark.parametrize(
    ("order_of_versions", "verdict"),
    [([2, 4, 6], CONFIRMED), ([2, 2, 4, 6], CONFIRMED), ([4, 2, 6], CONTRADICTED)],
)
def test_events_after_an_outage_of_the_bus(
    site: Site,
    account: Account,
    api: Api,
    monkeypatch: pytest.MonkeyPatch,
    order_of_versions: list[int],
    verdict: Verdict,
) -> None:
    order = site.nobody()
    monkeypatch.setattr(site, "nobody", lambda letters="": order)
    listening(account)
    account.says("iam", "put_role_policy")
    account.says("sqs", "receive_message", {})
    account.says("iam", "delete_role_policy")
    account.says("sqs", "receive_message", {"Messages": [message(order, one) for one in order_of_versions]})
    for _ in order_of_versions:
        account.says("sqs", "delete_message")
    unlistening(account)
    (found,) = seen(site, "aws-pipe-order")
    assert found.verdict is verdict
    assert len(api.submitted) == outcomes.ATTEMPTS
    policy = json.loads(account.asked("iam:PutRolePolicy")[0]["PolicyDocument"])
    assert policy["Statement"] == [{"Effect": "Deny", "Action": ["events:PutEvents"], "Resource": "*"}]
    account.finished()


def test_a_bus_that_stays_in_reach_is_said(site: Site, account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    order = site.nobody()
    monkeypatch.setattr(site, "nobody", lambda letters="": order)
    listening(account)
    account.says("iam", "put_role_policy")
    account.says("sqs", "receive_message", {"Messages": [message(order, 2)]})
    account.says("sqs", "delete_message")
    account.says("iam", "delete_role_policy")
    unlistening(account)
    assert "was not out of reach" in seen(site, "aws-pipe-order")[0].why
    account.finished()


def test_a_void_that_does_not_end_is_said_and_all_is_taken_back(site: Site, account: Account, api: Api) -> None:
    api.state = "unknown"
    listening(account)
    unlistening(account)
    (found,) = seen(site, "aws-pipe-letters")
    assert "did not end" in found.why
    account.finished()


# An API of a few minutes


class ScratchApi:
    """What API Gateway makes of the function's results, and of more than one request a second."""

    def __init__(self, member: int = 502, throttled: int = 429, retry: bool = True) -> None:
        self.member, self.throttled, self.retry, self.asked = member, throttled, retry, 0
        self.door = Door(0, self._answer)

    def _answer(self, exchange: Exchange) -> None:
        self.asked += 1
        if "case=number" in exchange.path:
            return exchange.send(200, "", {"X-Number": "7"})
        if "case=member" in exchange.path:
            return exchange.send(self.member, {"message": "Internal server error"})
        if self.asked > 4:
            headers = {"Content-Type": "application/problem+json"} | ({"Retry-After": "1"} if self.retry else {})
            return exchange.send(self.throttled, {"type": "urn:void-service:problem:throttled"}, headers)
        return exchange.send(200, "")


@contextmanager
def scratched(account: Account, monkeypatch: pytest.MonkeyPatch, **how: Any) -> Iterator[ScratchApi]:
    api = ScratchApi(**how)
    monkeypatch.setattr(scratch.Scratch, "origin", f"http://127.0.0.1:{api.door.port}")
    account.says("lambda", "create_function", {"FunctionArn": f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:f"})
    account.says("lambda", "get_function", {"Configuration": {"State": "Active"}})
    account.says("apigateway", "create_rest_api", {"id": "scratch123"})
    account.says("apigateway", "get_resources", {"items": [{"id": "root", "path": "/"}]})
    account.says("apigateway", "put_method")
    account.says("lambda", "add_permission", {"Statement": "{}"})
    account.says("apigateway", "put_integration")
    ours = {"responseType": "THROTTLED", "statusCode": "429", "defaultResponse": False,
            "responseTemplates": {"application/json": "{}"}}  # fmt: skip
    account.says("apigateway", "get_gateway_response", ours)
    account.says("apigateway", "put_gateway_response")
    account.says("apigateway", "create_deployment")
    account.says("apigateway", "update_stage")
    account.says("apigateway", "get_rest_apis", {"items": [{"id": "api1234567", "name": STACK},
                                                          {"id": "scratch123", "name": f"{STACK}-acceptance"}]})  # fmt: skip
    account.says("apigateway", "delete_rest_api")
    account.says("lambda", "delete_function")
    yield api
    api.door.close()


@pytest.mark.parametrize(
    ("how", "verdicts"),
    [
        ({}, [CONFIRMED, CONFIRMED]),
        ({"member": 200}, [CONTRADICTED, CONFIRMED]),
        ({"retry": False}, [CONFIRMED, CONTRADICTED]),
        ({"throttled": 200}, [CONFIRMED, NOT_SEEN]),
    ],
)
def test_an_api_of_a_few_minutes(
    site: Site, account: Account, monkeypatch: pytest.MonkeyPatch, how: dict[str, Any], verdicts: list[Verdict]
) -> None:
    with scratched(account, monkeypatch, **how):
        found = seen(site, "aws-function-result", "aws-throttle-answer")
    assert [finding.verdict for finding in found] == verdicts
    assert account.asked("apigateway:DeleteRestApi") == [{"restApiId": "scratch123"}]
    assert account.asked("apigateway:PutMethod")[0]["authorizationType"] == "AWS_IAM"
    assert account.asked("apigateway:PutGatewayResponse")[0]["responseType"] == "THROTTLED"
    account.finished()


def test_the_function_of_a_few_minutes_does_what_it_is_asked() -> None:
    namespace: dict[str, Any] = {}
    exec(scratch.CODE, namespace)  # noqa: S102 the code that is sent to Lambda
    handler = namespace["handler"]
    assert handler({"queryStringParameters": {"case": "number"}}, None)["headers"] == {"X-Number": 7}
    assert "unknown" in handler({"queryStringParameters": {"case": "member"}}, None)
    assert handler({"queryStringParameters": None}, None) == {"statusCode": 200, "body": ""}


# Figures

WARM = "REPORT RequestId: 1\tDuration: {} ms\tBilled Duration: 13 ms\tMemory Size: 512 MB\tMax Memory Used: 70 MB\t"
COLD = WARM + "Init Duration: 250.50 ms\t"


def test_report_lines_are_read() -> None:
    assert figures.parsed(WARM.format("12.34")) == figures.Report(12.34, None, 70)
    assert figures.parsed(COLD.format("20.00")) == figures.Report(20.0, 250.5, 70)
    assert figures.parsed("START RequestId: 1 Version: 5") is None
    assert figures.parsed('{"message": "REPORT Duration: 1 ms\tBilled"}') is None


@pytest.mark.parametrize(
    ("milliseconds", "count", "verdict"), [(10, 40, CONFIRMED), (400, 40, CONTRADICTED), (10, 29, NOT_SEEN)]
)
def test_times_beside_the_paper(site: Site, account: Account, milliseconds: int, count: int, verdict: Verdict) -> None:
    lines = [WARM.format(milliseconds)] * count + [COLD.format(milliseconds)] * 5
    for _ in site.functions:
        account.says("lambda", "get_function_configuration", configuration())
        account.says("logs", "filter_log_events", {"events": [{"message": line} for line in lines]})
    found = seen(site, *figures.PROBES[0].rows)
    assert found[0].verdict is verdict
    warm = found[0].evidence["warm"]
    assert isinstance(warm, dict)
    assert warm["count"] == count
    assert found[0].evidence["init"] == {"count": 5, "p50_ms": 250.5, "p99_ms": 250.5}
    account.finished()


@pytest.mark.parametrize(("units", "verdict"), [(3.0, CONFIRMED), (9.0, CONTRADICTED), (0.0, NOT_SEEN)])
def test_write_units_of_one_void(site: Site, account: Account, units: float, verdict: Verdict) -> None:
    site.state.note("order-1", sent="service", answer={}, sent_at=START.isoformat())
    account.says("dynamodb", "describe_table", {"Table": {"GlobalSecondaryIndexes": [{"IndexName": "due"}]}})
    for _ in range(2):
        account.says("cloudwatch", "get_metric_statistics", {"Datapoints": [{"Sum": units}, {"Sum": 0.0}]})
    (found,) = seen(site, "aws-write-units")
    assert found.verdict is verdict
    asked = account.asked("cloudwatch:GetMetricStatistics")
    assert asked[0]["StartTime"] == START.replace(second=0)
    assert asked[1]["Dimensions"][1] == {"Name": "GlobalSecondaryIndexName", "Value": "due"}


def test_write_units_without_a_void_are_not_seen(site: Site) -> None:
    assert "was not voided by the service yet" in seen(site, "aws-write-units")[0].why
