"""What an acceptance makes of an AWS account: rights, alarms, quotas, releases, rotations, events and figures.

A table of scripts: what AWS answers call by call, and what is found. Each answer is checked by botocore against AWS's own
models. What is made is taken back, also when AWS refuses midway.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from acceptance.calls import MARK
from acceptance.probes import changes, figures, scratch
from acceptance.rows import FACTS, Finding, Verdict
from acceptance.run import PROBES, findings
from acceptance.site import Site
from local.sandbox.doors import Door, Exchange
from tests.fakes.account import SECRET, START, Account, Step, deployed, reply
from tests.fakes.account_steps import (
    COLD,
    LISTEN,
    MOVE,
    PUT,
    SCRATCH,
    SILENCE,
    STREAM,
    UNLISTEN,
    V0,
    V1,
    V2,
    VALUE,
    WARM,
    Steps,
    arrived,
    consumed,
    decided,
    history,
    outage,
    piped,
    quotas,
    released,
    rung,
    staged,
    subscribed,
    timed,
)  # fmt: skip

YES, NO, OPEN = Verdict.CONFIRMED, Verdict.CONTRADICTED, Verdict.NOT_SEEN
ORDER = "acc-1"


class Api:
    """The service's API and, at its root, the one of a few minutes; its attributes say what either does badly."""

    def __init__(self) -> None:
        self.door = Door(0, self._answer)
        self.url = f"http://127.0.0.1:{self.door.port}"
        self.submitted: list[str] = []
        self.date, self.state = "Tue, 24 Nov 2026 10:00:30 GMT", "failed"
        self.member, self.throttled, self.retry, self.asked = 502, 429, {"Retry-After": "1"}, 0

    def _answer(self, exchange: Exchange) -> None:
        if exchange.command == "POST":
            self.submitted.append(json.loads(exchange.body)["order_id"])
            return reply(exchange, 409, {"void": {"order_id": self.submitted[-1], "state": self.state}})
        if "limit=1" in exchange.path:
            return reply(exchange, 200, {"voids": []}, {"Date": self.date})
        if "/voids/" in exchange.path:
            return reply(exchange, 404, {"type": "urn:void-service:problem:not-found"})
        self.asked += 1
        if "case=number" in exchange.path:
            return reply(exchange, 200, "", {"X-Number": "7"})
        if "case=member" in exchange.path:
            return reply(exchange, self.member, {"message": "Internal server error"})
        if self.asked <= 4:
            return reply(exchange, 200, "")
        problem = {"Content-Type": "application/problem+json"} | self.retry
        return reply(exchange, self.throttled, {"type": "urn:void-service:problem:throttled"}, problem)


@pytest.fixture
def api() -> Iterator[Api]:
    api = Api()
    yield api
    api.door.close()


@pytest.fixture
def site(account: Account, api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    site = deployed(account, tmp_path, f"{api.url}/v1", holds=("order-1",))
    monkeypatch.setattr(site, "refuse_a_live_project", lambda: None)  # its own test is in test_acceptance_run
    monkeypatch.setattr(site, "nobody", lambda letters="": ORDER + letters)
    monkeypatch.setattr(scratch, "origin", lambda *_: api.url)
    return site


def seen(site: Site, account: Account, steps: Steps, *rows: str) -> list[Finding]:
    """What is found about these rows while AWS answers so; whatever was made is taken back by then."""
    account.plays(steps)
    probe = next(probe for probe in PROBES if rows[0] in probe.rows)
    found = {finding.row: finding for finding in findings(site, probe, rows)}
    account.finished()
    assert (site.state.made, site.left_behind) == ([], [])
    return [found[row] for row in rows]


# ---- what is found ---------------------------------------------------------------------------------------------------

UNDELIVERED: Step = ("sqs", "get_queue_attributes", {"Attributes": {"ApproximateNumberOfMessages": "1"}})
ODD = ORDER + scratch.LETTERS
SUBMIT, SETTLE = "submit_void", "settle_voids"
# Row, what AWS answers, the verdicts of it and of the rows after it, what `why` or the evidence says, and what the API does.
CASES: list[tuple[str, Steps, list[Verdict], str, dict[str, Any]]] = [
    ("aws-iam", [("dynamodb", "describe_table", "AccessDeniedException")], [OPEN], "a right is missing: AWS refused ", {}),
    ("aws-alarm-delivers", [("cloudwatch", "describe_alarms", "AccessDenied")], [OPEN], "a right is missing", {}),
    ("aws-alarm-reader", [("sns", "list_subscriptions_by_topic", "AuthorizationError")], [OPEN], "a right is missing", {}),
    ("aws-quotas", [("lambda", "get_account_settings", "AccessDeniedException")], [OPEN], "a right is missing", {}),
    ("aws-rotation", [("secretsmanager", "list_secret_version_ids", "AccessDeniedException")], [OPEN], "a right is", {}),
    ("aws-release", [("lambda", "get_alias", "AccessDeniedException")], [OPEN], "a right is missing", {}),
    ("aws-iam", decided(), [YES], "'missing': [], 'too_many': []", {}),
    ("aws-iam", decided(settle_voids="dynamodb:PutItem"), [NO], "'missing': ['settle_voids dynamodb:PutItem']", {}),
    ("aws-iam", decided(read_voids="dynamodb:Scan"), [NO], "'too_many': ['read_voids dynamodb:Scan']", {}),
    ("aws-iam", decided(submit_void="secretsmanager:PutSecretValue"), [NO], "'too_many': ['submit_void secretsm", {}),
    ("aws-clock", [], [YES], "", {}),
    ("aws-clock", [], [NO], "10.0", {"date": "Tue, 24 Nov 2026 10:00:40 GMT"}),
    ("aws-clock", [], [OPEN], "no Date", {"date": "yesterday"}),
    ("aws-quotas", quotas(1000, 10_000, "arn:aws:iam::1:role/logs"), [YES, YES], "'table_write_units_a_second': 1400", {}),
    ("aws-quotas", quotas(10, 10_000, None), [NO, NO], "'short': ['lambda_concurrency']", {}),
    ("aws-quotas", quotas(1000, 100, ""), [NO, NO], "'short': ['api_requests_a_second']", {}),
    ("aws-quotas", quotas(1000, 10_000, None, "AccessDeniedException"), [YES], "'table_write_units_a_second': None", {}),
    ("aws-alarm-delivers", rung(history(actionState="Succeeded"), before="INSUFFICIENT_DATA"), [YES], "", {}),
    ("aws-alarm-delivers", rung(history("Successfully executed action arn:aws:sns:x")), [YES], "", {}),
    ("aws-alarm-delivers", rung(history(actionState="Failed", error="not authorized: SNS:Publish")), [NO], "SNS:Pub", {}),
    ("aws-alarm-delivers", rung(history(data="no JSON")), [NO], "", {}),
    ("aws-alarm-delivers", rung(*[{"AlarmHistoryItems": []}] * 31), [OPEN], "names no action yet", {}),
    ("aws-alarm-delivers", rung("AccessDenied"), [OPEN], "a right is missing", {}),
    ("aws-alarm-delivers", [("cloudwatch", "describe_alarms", {"MetricAlarms": []})], [OPEN], "another version?", {}),
    ("aws-alarm-reader", subscribed("arn:aws:sns:x"), [YES], "", {}),
    ("aws-alarm-reader", subscribed("PendingConfirmation"), [NO], "'waiting': 1", {}),
    ("aws-alarm-reader", subscribed(), [NO], "'waiting': 0", {}),
    ("aws-pipe-stream", piped(STREAM), [YES], "", {}),
    ("aws-pipe-stream", piped(STREAM + "-before"), [NO], "'same_stream': False", {}),
    ("aws-pipe-stream", piped(STREAM, "STOPPED"), [NO], "STOPPED", {}),
    ("aws-rotation", [
        staged(V1, V0), VALUE, MOVE, PUT, staged(V2, V1, V0), VALUE, VALUE, staged(V2, V1, V0), MOVE, staged(V1, V2, V0),
        MOVE, staged(V1, V0, V0), MOVE, staged(V1, V0)], [YES], "", {}),
    ("aws-rotation", [  # never rotated: no previous one, and none again
        staged(V1), VALUE, PUT, staged(V2, V1), VALUE, VALUE, staged(V2, V1), MOVE, staged(V1, V2), MOVE, staged(V1), staged(V1)],
        [YES], "", {}),
    ("aws-rotation", [  # the previous stage did not move
        staged(V1), VALUE, PUT, staged(V2), VALUE, ("secretsmanager", "get_secret_value", "ResourceNotFoundException"),
        staged(V2), MOVE, staged(V1), staged(V1)], [OPEN], "AWS refused GetSecretValue", {}),
    ("aws-rotation", [  # refused, and the other stages come back all the same
        staged(V1), VALUE, ("secretsmanager", "put_secret_value", "AccessDeniedException"), *[staged(V1)] * 3],
        [OPEN], "a right is missing", {}),
    ("aws-release", released(served=True, back="4"), [YES, YES], "", {}),
    ("aws-release", released(served=False, back="4"), [NO, YES], "'new_version_served': False", {}),
    ("aws-release", released(served=True, back="5"), [YES, NO], "", {}),
    ("aws-release", [("lambda", "get_alias", {"RoutingConfig": {"AdditionalVersionWeights": {"5": 0.1}}})], [OPEN],
     "is under way", {}),
    ("aws-pipe-letters", [*LISTEN, *arrived(quote(ODD, safe=""), 2), *UNLISTEN], [YES], "", {}),
    ("aws-pipe-letters", [*LISTEN, *arrived(ODD, 2), *UNLISTEN], [YES], "", {}),
    ("aws-pipe-letters", [*LISTEN, *[SILENCE] * 91, *UNLISTEN, UNDELIVERED], [NO], "'undelivered': 1", {}),
    ("aws-pipe-letters", [*LISTEN, *UNLISTEN], [OPEN], "did not end", {"state": "unknown"}),
    ("aws-pipe-order", outage([SILENCE], arrived(ORDER, 2, 4, 6)), [YES], "[2, 4, 6]", {}),
    ("aws-pipe-order", outage([SILENCE], arrived(ORDER, 2, 2, 4, 6)), [YES], "", {}),
    ("aws-pipe-order", outage([SILENCE], arrived(ORDER, 4, 2, 6)), [NO], "[4, 2, 6]", {}),
    ("aws-pipe-order", outage(arrived(ORDER, 2), []), [OPEN], "was not out of reach", {}),
    ("aws-function-result", SCRATCH, [YES, YES], "", {}),
    ("aws-function-result", SCRATCH, [NO, YES], "", {"member": 200}),
    ("aws-function-result", SCRATCH, [YES, NO], "", {"retry": {}}),
    ("aws-function-result", SCRATCH, [YES, OPEN], "none of fifty requests was throttled", {"throttled": 200}),
    ("aws-times-submit-void", timed(10, 40), [YES], "'init': {'count': 5, 'p50_ms': 250.5, 'p99_ms': 250.5}", {}),
    ("aws-times-submit-void", timed(400, 40), [NO], "'warm': {'count': 40", {}),
    ("aws-times-submit-void", timed(10, 29), [OPEN], "29 warm requests", {}),
    ("aws-write-units", [], [OPEN], "was not voided by the service yet", {}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("row", "steps", "verdicts", "says", "does"),
    CASES,
    ids=[f"{number}-{case[0]}" for number, case in enumerate(CASES)],
)
def test_what_is_found(
    site: Site,
    account: Account,
    api: Api,
    row: str,
    steps: Steps,
    verdicts: list[Verdict],
    says: str,
    does: dict[str, Any],
) -> None:
    vars(api).update(does)
    rows = next(probe.rows for probe in PROBES if row in probe.rows)
    found = seen(site, account, steps, *rows[: len(verdicts)])
    assert [one.verdict for one in found] == verdicts, found
    told = " ".join(f"{one.why} {dict(one.evidence)}" for one in found)
    assert says in told
    assert "the value" not in told
    assert "b.example" not in told


# What is asked of AWS on the way: row, script, call, member, its values.
DENY = {"Effect": "Deny", "Action": ["events:PutEvents"], "Resource": "*"}
ASKED: list[tuple[str, Steps, str, str, list[Any]]] = [
    ("aws-alarm-delivers", rung(history(actionState="Succeeded"), before="INSUFFICIENT_DATA"),
     "cloudwatch:SetAlarmState", "StateValue", ["ALARM", "INSUFFICIENT_DATA"]),
    ("aws-release", released(served=True, back="4"), "lambda:UpdateAlias", "RoutingConfig",
     [{"AdditionalVersionWeights": one} for one in ({"5": changes.SHARE}, {}, {})]),
    ("aws-release", released(served=True, back="4"), "lambda:DeleteFunction", "Qualifier", ["5"]),
    ("aws-function-result", SCRATCH, "apigateway:DeleteRestApi", "restApiId", ["scratch123"]),
    ("aws-function-result", SCRATCH, "apigateway:PutMethod", "authorizationType", ["AWS_IAM"]),
    ("aws-function-result", SCRATCH, "apigateway:PutGatewayResponse", "responseType", ["THROTTLED"]),
    ("aws-pipe-order", outage([SILENCE], arrived(ORDER, 2, 4, 6)), "iam:PutRolePolicy", "PolicyDocument",
     [json.dumps({"Version": "2012-10-17", "Statement": [DENY]}, separators=(",", ":"))]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("row", "steps", "call", "member", "values"), ASKED, ids=[f"{one[2]}-{one[3]}" for one in ASKED]
)
def test_what_is_asked(
    site: Site, account: Account, row: str, steps: Steps, call: str, member: str, values: list[Any]
) -> None:
    seen(site, account, steps, row)
    assert [one[member] for one in account.asked(call)] == values


def test_the_rotation_moves_the_stages_and_back_in_this_order(site: Site, account: Account) -> None:
    seen(
        site, account, next(case[1] for case in CASES if case[0] == "aws-rotation" and case[2] == [YES]), "aws-rotation"
    )
    moves = account.asked("secretsmanager:UpdateSecretVersionStage")
    assert {one["SecretId"] for one in moves} == {SECRET}
    assert [(one["VersionStage"], one.get("RemoveFromVersionId"), one.get("MoveToVersionId")) for one in moves] == [
        (MARK, None, V0), ("AWSCURRENT", V2, V1), ("AWSPREVIOUS", V2, V0), (MARK, V0, None),
    ]  # fmt: skip


def test_only_the_rule_of_the_bus_may_write_to_the_queue(site: Site, account: Account, api: Api) -> None:
    seen(site, account, [*LISTEN, *arrived(ODD, 2), *UNLISTEN], "aws-pipe-letters")
    policy = json.loads(account.asked("sqs:SetQueueAttributes")[0]["Attributes"]["Policy"])
    assert policy["Statement"][0]["Condition"] == {"ArnEquals": {"aws:SourceArn": "arn:aws:events:rule"}}
    assert api.submitted == [ODD]


@pytest.mark.parametrize("code", ["ExpiredToken", "ExpiredTokenException", "UnrecognizedClientException"])
def test_credentials_that_expire_stop_the_run(site: Site, account: Account, code: str) -> None:
    with pytest.raises(Exception, match="log in again, then run the same command again"):
        seen(site, account, [("cloudwatch", "describe_alarms", code)], "aws-alarm-delivers")


@pytest.mark.parametrize(("units", "verdict"), [(3.0, YES), (9.0, NO), (0.0, OPEN)])
def test_write_units_of_one_void(site: Site, account: Account, units: float, verdict: Verdict) -> None:
    site.state.note("order-1", sent="service", answer={}, sent_at=START.isoformat())
    assert seen(site, account, consumed(units), "aws-write-units")[0].verdict is verdict
    asked = account.asked("cloudwatch:GetMetricStatistics")
    assert asked[0]["StartTime"] == START.replace(second=0)
    assert asked[1]["Dimensions"][1] == {"Name": "GlobalSecondaryIndexName", "Value": "due"}


def test_the_function_of_a_few_minutes_does_what_it_is_asked() -> None:
    namespace: dict[str, Any] = {}
    exec(FACTS["scratch"]["code"], namespace)  # noqa: S102 the code that is sent to Lambda
    handler = namespace["handler"]
    assert handler({"queryStringParameters": {"case": "number"}}, None)["headers"] == {"X-Number": 7}
    assert "unknown" in handler({"queryStringParameters": {"case": "member"}}, None)
    assert handler({"queryStringParameters": None}, None) == {"statusCode": 200, "body": ""}


@pytest.mark.parametrize(("line", "report"), [
    (WARM.format("12.34"), ("12.34", "70", None)), (COLD.format("20.00"), ("20.00", "70", "250.50")),
    ("START RequestId: 1 Version: 5", None), ('{"message": "REPORT Duration: 1 ms\tBilled"}', None),
])  # fmt: skip
def test_report_lines_are_read(line: str, report: tuple[object, ...] | None) -> None:
    found = figures.REPORT.match(line)
    assert (found and found.groups()) == report
