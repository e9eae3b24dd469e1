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

from acceptance.probes import account as of_account
from acceptance.probes import changes
from acceptance.rows import FACTS, Finding, Verdict
from acceptance.run import PROBES, findings
from acceptance.site import Site
from acceptance.undo import MARK
from local.sandbox.doors import Exchange
from tests.fakes import account_steps as aws
from tests.fakes.account import SECRET, START, Account, Step, an_api, deployed, reply
from tests.fakes.account_steps import LISTEN, MOVE, SILENCE, UNLISTEN, V0, V1, V2, VALUE, Steps, staged

YES, NO, OPEN = Verdict.CONFIRMED, Verdict.CONTRADICTED, Verdict.NOT_SEEN
ORDER = "acc-1"


class Api:
    """The service's API and, at its root, the one of a few minutes; its attributes say what either does badly."""

    def __init__(self) -> None:
        self.submitted: list[str] = []
        self.date, self.state = "Tue, 24 Nov 2026 10:00:30 GMT", "failed"
        self.member, self.throttled, self.retry, self.asked = 502, 429, {"Retry-After": "1"}, 0

    def answer(self, exchange: Exchange) -> None:
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
        problem = {"Content-Type": "application/problem+json"} | self.retry
        status = 200 if self.asked <= 4 else self.throttled
        return reply(exchange, status, {"type": "urn:void-service:problem:throttled"}, problem)


@pytest.fixture
def api() -> Api:
    return Api()


@pytest.fixture
def site(account: Account, api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    with an_api(api.answer) as url:
        site = deployed(account, tmp_path, url, holds=("order-1",))
        monkeypatch.setattr(site, "refuse_a_live_project", lambda: None)  # its own test is in test_acceptance_run
        monkeypatch.setattr(site, "nobody", lambda letters="": ORDER + letters)
        monkeypatch.setattr(changes, "origin", lambda *_: url.removesuffix("/v1"))
        yield site


def seen(site: Site, account: Account, steps: Steps, *rows: str) -> list[Finding]:
    """What is found about these rows while AWS answers so; whatever was made is taken back by then."""
    account.plays(*steps)
    probe = next(probe for probe in PROBES if rows[0] in probe.rows)
    found = {finding.row: finding for finding in findings(site, probe, rows)}
    account.finished()
    assert (site.state.made, site.left_behind) == ([], [])
    return [found[row] for row in rows]


ODD = ORDER + changes.LETTERS
MISSING = "a right is missing: AWS refused "
LOGS = "arn:aws:iam::1:role/logs"
RUNG = aws.rung(aws.history(actionState="Succeeded"), before="INSUFFICIENT_DATA")
HEARD = [*LISTEN, *aws.arrived(quote(ODD, safe=""), 2), *UNLISTEN]
IN_ORDER = aws.outage([SILENCE], aws.arrived(ORDER, 2, 4, 6))
UNDELIVERED: Step = ("sqs", "get_queue_attributes", {"Attributes": {"ApproximateNumberOfMessages": "1"}})
ROTATED = [staged(V1, V0), VALUE, MOVE, aws.PUT, staged(V2, V1, V0), VALUE, VALUE, staged(V2, V1, V0), MOVE,
           staged(V1, V2, V0), MOVE, staged(V1, V0, V0), MOVE, staged(V1, V0)]  # fmt: skip
FIRST = [staged(V1), VALUE, aws.PUT, staged(V2, V1), VALUE, VALUE, staged(V2, V1), MOVE, staged(V1, V2), MOVE, staged(V1),
         staged(V1)]  # fmt: skip
UNMOVED = [staged(V1), VALUE, aws.PUT, staged(V2), VALUE,
           ("secretsmanager", "get_secret_value", "ResourceNotFoundException"), staged(V2), MOVE, *[staged(V1)] * 2]  # fmt: skip
UNPUT = [staged(V1), VALUE, ("secretsmanager", "put_secret_value", "AccessDeniedException"), *[staged(V1)] * 3]
# Row, what AWS answers, the verdicts of it and of the rows after it, what `why` or the evidence says, and what the API does.
CASES: list[tuple[str, Steps, list[Verdict], str, dict[str, Any]]] = [
    ("aws-iam", [("dynamodb", "describe_table", "AccessDeniedException")], [OPEN], MISSING, {}),
    ("aws-alarm-delivers", [("cloudwatch", "describe_alarms", "AccessDenied")], [OPEN], MISSING, {}),
    ("aws-alarm-reader", [("sns", "list_subscriptions_by_topic", "AuthorizationError")], [OPEN], MISSING, {}),
    ("aws-quotas", [("lambda", "get_account_settings", "AccessDeniedException")], [OPEN], MISSING, {}),
    ("aws-rotation", [("secretsmanager", "list_secret_version_ids", "AccessDeniedException")], [OPEN], MISSING, {}),
    ("aws-release", [("lambda", "get_alias", "AccessDeniedException")], [OPEN], MISSING, {}),
    ("aws-iam", aws.decided(), [YES], "'missing': [], 'too_many': []", {}),
    ("aws-iam", aws.decided(settle_voids="dynamodb:PutItem"), [NO], "'missing': ['settle_voids dynamodb:PutItem']", {}),
    ("aws-iam", aws.decided(read_voids="dynamodb:Scan"), [NO], "'too_many': ['read_voids dynamodb:Scan']", {}),
    ("aws-iam", aws.decided(submit_void="secretsmanager:PutSecretValue"), [NO], "'too_many': ['submit_void secre", {}),
    ("aws-clock", [], [YES], "", {}),
    ("aws-clock", [], [NO], "10.0", {"date": "Tue, 24 Nov 2026 10:00:40 GMT"}),
    ("aws-clock", [], [OPEN], "no Date", {"date": "yesterday"}),
    ("aws-quotas", aws.quotas(1000, 10_000, LOGS), [YES, YES], "'table_write_units_a_second': 1400", {}),
    ("aws-quotas", aws.quotas(10, 10_000, None), [NO, NO], "'short': ['lambda_concurrency']", {}),
    ("aws-quotas", aws.quotas(1000, 100, ""), [NO, NO], "'short': ['api_requests_a_second']", {}),
    ("aws-quotas", aws.quotas(1000, 10_000, None, "AccessDeniedException"), [YES], "write_units_a_second': None", {}),
    ("aws-alarm-delivers", RUNG, [YES], "", {}),
    ("aws-alarm-delivers", aws.rung(aws.history("Successfully executed action arn:aws:sns:x")), [YES], "", {}),
    ("aws-alarm-delivers", aws.rung(aws.history(actionState="Failed", error="no: SNS:Publish")), [NO], "SNS:Pub", {}),
    ("aws-alarm-delivers", aws.rung(aws.history(data="no JSON")), [NO], "", {}),
    ("aws-alarm-delivers", aws.rung(*[{"AlarmHistoryItems": []}] * 31), [OPEN], "names no action yet", {}),
    ("aws-alarm-delivers", aws.rung("AccessDenied"), [OPEN], MISSING, {}),
    ("aws-alarm-delivers", [("cloudwatch", "describe_alarms", {"MetricAlarms": []})], [OPEN], "another version?", {}),
    ("aws-alarm-reader", aws.subscribed("arn:aws:sns:x"), [YES], "", {}),
    ("aws-alarm-reader", aws.subscribed("PendingConfirmation"), [NO], "'waiting': 1", {}),
    ("aws-alarm-reader", aws.subscribed(), [NO], "'waiting': 0", {}),
    ("aws-pipe-stream", aws.piped(aws.STREAM), [YES], "", {}),
    ("aws-pipe-stream", aws.piped(aws.STREAM + "-before"), [NO], "'same_stream': False", {}),
    ("aws-pipe-stream", aws.piped(aws.STREAM, "STOPPED"), [NO], "STOPPED", {}),
    ("aws-rotation", ROTATED, [YES], "", {}),
    ("aws-rotation", FIRST, [YES], "", {}),  # never rotated: no previous one, and none again
    ("aws-rotation", UNMOVED, [OPEN], "AWS refused GetSecretValue", {}),  # the previous stage did not move
    ("aws-rotation", UNPUT, [OPEN], MISSING, {}),  # and the other stages come back all the same
    ("aws-release", aws.released(served=True, back="4"), [YES, YES], "", {}),
    ("aws-release", aws.released(served=False, back="4"), [NO, YES], "'new_version_served': False", {}),
    ("aws-release", aws.released(served=True, back="5"), [YES, NO], "", {}),
    ("aws-release", [("lambda", "get_alias", {"RoutingConfig": {"AdditionalVersionWeights": {"5": 0.1}}})], [OPEN],
     "is under way", {}),
    ("aws-pipe-letters", HEARD, [YES], "", {}),
    ("aws-pipe-letters", [*LISTEN, *aws.arrived(ODD, 2), *UNLISTEN], [YES], "", {}),
    ("aws-pipe-letters", [*LISTEN, *[SILENCE] * 91, *UNLISTEN, UNDELIVERED], [NO], "'undelivered': 1", {}),
    ("aws-pipe-letters", [*LISTEN, *UNLISTEN], [OPEN], "did not end", {"state": "unknown"}),
    ("aws-pipe-order", IN_ORDER, [YES], "[2, 4, 6]", {}),
    ("aws-pipe-order", aws.outage([SILENCE], aws.arrived(ORDER, 2, 2, 4, 6)), [YES], "", {}),
    ("aws-pipe-order", aws.outage([SILENCE], aws.arrived(ORDER, 4, 2, 6)), [NO], "[4, 2, 6]", {}),
    ("aws-pipe-order", aws.outage(aws.arrived(ORDER, 2), []), [OPEN], "was not out of reach", {}),
    ("aws-pipe-order", [*aws.outage([SILENCE], [*aws.arrived(ORDER, 2), *[SILENCE] * 180]), UNDELIVERED], [OPEN],
     "1 of 3 events came", {}),
    ("aws-function-result", aws.SCRATCH, [YES, YES], "", {}),
    ("aws-function-result", aws.SCRATCH, [NO, YES], "", {"member": 200}),
    ("aws-function-result", aws.SCRATCH, [YES, NO], "", {"retry": {}}),
    ("aws-function-result", aws.SCRATCH, [YES, OPEN], "none of fifty requests was throttled", {"throttled": 200}),
    ("aws-times-submit-void", aws.timed(10, 40), [YES], "'init': {'count': 5, 'p50_ms': 250.5, 'p99_ms': 250.5}", {}),
    ("aws-times-submit-void", aws.timed(400, 40), [NO], "'warm': {'count': 40", {}),
    ("aws-times-submit-void", aws.timed(10, 29), [OPEN], "29 warm requests", {}),
    ("aws-write-units", [], [OPEN], "was not voided by the service yet", {}),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=[f"{number}-{case[0]}" for number, case in enumerate(CASES)])
def test_what_is_found(site: Site, account: Account, api: Api, case: Any) -> None:
    row, steps, verdicts, says, does = case
    vars(api).update(does)
    rows = next(probe.rows for probe in PROBES if row in probe.rows)
    found = seen(site, account, steps, *rows[: len(verdicts)])
    assert [one.verdict for one in found] == verdicts, found
    told = " ".join(f"{one.why} {dict(one.evidence)}" for one in found)
    assert says in told
    assert [hidden for hidden in ("the value", "b.example") if hidden in told] == []


# What is asked of AWS on the way: row, script, call, members, their values.
DENY = '{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":["events:PutEvents"],"Resource":"*"}]}'
WEIGHTS = [{"AdditionalVersionWeights": one} for one in ({"5": changes.SHARE}, {}, {})]
STAGE = ["SecretId", "VersionStage", "RemoveFromVersionId", "MoveToVersionId"]
MOVES = [
    (SECRET, MARK, None, V0),
    (SECRET, "AWSCURRENT", V2, V1),
    (SECRET, "AWSPREVIOUS", V2, V0),
    (SECRET, MARK, V0, None),
]
ASKED: list[tuple[str, Steps, str, list[str], list[Any]]] = [
    ("aws-alarm-delivers", RUNG, "cloudwatch:SetAlarmState", ["StateValue"], ["ALARM", "INSUFFICIENT_DATA"]),
    ("aws-release", aws.released(served=True, back="4"), "lambda:UpdateAlias", ["RoutingConfig"], WEIGHTS),
    ("aws-release", aws.released(served=True, back="4"), "lambda:DeleteFunction", ["Qualifier"], ["5"]),
    ("aws-function-result", aws.SCRATCH, "apigateway:DeleteRestApi", ["restApiId"], ["scratch123"]),
    ("aws-function-result", aws.SCRATCH, "apigateway:PutMethod", ["authorizationType"], ["AWS_IAM"]),
    ("aws-function-result", aws.SCRATCH, "apigateway:PutGatewayResponse", ["responseType"], ["THROTTLED"]),
    ("aws-pipe-order", IN_ORDER, "iam:PutRolePolicy", ["PolicyDocument"], [DENY]),
    ("aws-rotation", ROTATED, "secretsmanager:UpdateSecretVersionStage", STAGE, MOVES),  # there and back, in this order
]  # fmt: skip


@pytest.mark.parametrize("case", ASKED, ids=[f"{case[2]}-{case[3][0]}" for case in ASKED])
def test_what_is_asked(site: Site, account: Account, case: Any) -> None:
    row, steps, call, members, values = case
    seen(site, account, steps, row)
    asked = [tuple(one.get(member) for member in members) for one in account.asked(call)]
    assert asked == [value if isinstance(value, tuple) else (value,) for value in values]


def test_only_the_rule_of_the_bus_may_write_to_the_queue(site: Site, account: Account, api: Api) -> None:
    seen(site, account, HEARD, "aws-pipe-letters")
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
    assert seen(site, account, aws.consumed(units), "aws-write-units")[0].verdict is verdict
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
    (aws.WARM.format("12.34"), ("12.34", "70", None)), (aws.COLD.format("20.00"), ("20.00", "70", "250.50")),
    ("START RequestId: 1 Version: 5", None), ('{"message": "REPORT Duration: 1 ms\tBilled"}', None),
])  # fmt: skip
def test_report_lines_are_read(line: str, report: tuple[object, ...] | None) -> None:
    found = of_account.REPORT.match(line)
    assert (found and found.groups()) == report
