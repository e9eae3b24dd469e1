"""An alarm means something to an operator: it is named by a heading of the runbook and rests on a metric that exists."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from infra.monitoring import NO_FIRST_OKS
from infra.synth import ROOT
from receive_webhook import WebhookOutcome
from tests.alarms.service import Service
from tests.infra.stack import Stack

RUNBOOK = (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")
FROM_LOG = {"AnswersLost", "CallersRefused"}
"""Counted by metric filters on the access log, which have no dimensions."""


@pytest.fixture
def prod(stacks: dict[str, Stack]) -> Stack:
    return stacks["prod"]


def heading(name: str) -> str:
    """Of an alarm on one function of several, without the function."""
    return re.sub(r" \(\w+\)$", "", name)


def filters(stack: Stack) -> dict[str, dict[str, Any]]:
    """Metric -> the filter on the access log that counts it."""
    return {each["MetricTransformations"][0]["MetricName"]: each for each in stack.all("Logs::MetricFilter")}


def test_alarms_and_the_alarm_headings_of_the_runbook_are_the_same(prod: Stack) -> None:
    (part,) = [each for each in re.split(r"^# ", RUNBOOK, flags=re.MULTILINE) if each.startswith("Alarms\n")]
    assert set(re.findall(r"^## (.+)$", part, flags=re.MULTILINE)) == {*map(heading, prod.alarms)}
    assert len(prod.alarms) >= 30
    for section in part.split("\n## ")[1:]:
        assert re.findall(r"^\*\*(\w+)\.\*\*", section, flags=re.MULTILINE) == ["Rings", "Means", "Look", "Do"], section


def test_every_alarm_leads_to_its_heading_and_reaches_every_topic(stack: Stack) -> None:
    topic = {"Ref": stack.name("SNS::Topic")}
    assert stack.outputs["AlarmTopic"] == topic
    for name, alarm in stack.alarms.items():
        assert alarm["AlarmDescription"] == f"docs/runbook.md#{heading(name).lower().replace(' ', '-')}"
        assert alarm["AlarmActions"] == alarm["OKActions"] == [topic, *stack.environment.alarm_topic_arns]


def test_the_first_ok_of_a_new_alarm_is_not_mailed(stacks: dict[str, Stack]) -> None:
    (mail,) = [each for each in stacks["every option"].all("SNS::Subscription") if each["Protocol"] == "email"]
    assert (mail["FilterPolicy"], mail["FilterPolicyScope"]) == (NO_FIRST_OKS, "MessageBody")
    assert json.dumps(NO_FIRST_OKS) in RUNBOOK, "for whoever subscribes another topic"
    for old, new, mailed in (
        ("INSUFFICIENT_DATA", "OK", False), ("INSUFFICIENT_DATA", "ALARM", True), ("OK", "ALARM", True), ("ALARM", "OK", True),
    ):  # fmt: skip
        said = {"OldStateValue": old, "NewStateValue": new}
        assert mailed is any(said[name] in each[name] for each in NO_FIRST_OKS["$or"] for name in each)


@pytest.mark.parametrize(("name", "account"), [("prod", {"Ref": "AWS::AccountId"}), ("every option", "123456789012")])
def test_alarms_of_this_account_may_publish_to_the_topic(stacks: dict[str, Stack], name: str, account: Any) -> None:
    # A topic's policy replaces the default one: with a Deny alone no alarm reaches anybody. As in AWS's "Setting up
    # Amazon SNS notifications".
    topic, policy = {"Ref": stacks[name].name("SNS::Topic")}, stacks[name].one("SNS::TopicPolicy")
    region = ":cloudwatch:eu-central-1:"
    written = [f"{region}{account}:alarm:*"] if isinstance(account, str) else [region, account, ":alarm:*"]
    alarms = {"Fn::Join": ["", ["arn:", {"Ref": "AWS::Partition"}, *written]]}
    only = {"StringEquals": {"aws:SourceAccount": account}, "ArnLike": {"aws:SourceArn": alarms}}
    assert [each for each in policy["PolicyDocument"]["Statement"] if each["Effect"] == "Allow"] == [{
        "Sid": "AlarmsOfThisAccountPublish", "Effect": "Allow", "Principal": {"Service": "cloudwatch.amazonaws.com"},
        "Action": "sns:Publish", "Resource": topic, "Condition": only,
    }]  # fmt: skip
    assert policy["Topics"] == [topic]


def test_with_a_key_of_its_own_the_key_too_lets_alarms_publish(stacks: dict[str, Stack]) -> None:
    """Without this right CloudWatch cannot write to an encrypted topic, and nobody learns of it."""
    allowed = stacks["every option"].one("KMS::Key")["KeyPolicy"]["Statement"]  # the topic's: test_storage.py
    (statement,) = [each for each in allowed if each["Principal"] == {"Service": "cloudwatch.amazonaws.com"}]
    assert statement["Effect"] == "Allow"
    assert {"kms:Decrypt", "kms:GenerateDataKey"} <= {each.removesuffix("*") for each in statement["Action"]}
    assert statement["Condition"] == {"StringEquals": {"aws:SourceAccount": "123456789012"}}


def test_every_business_metric_that_is_shown_is_emitted(prod: Stack) -> None:
    # What an alarm watches a story in tests/alarms makes the functions emit.
    source = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "functions").rglob("*.py"))
    dashboard = json.dumps(prod.one("CloudWatch::Dashboard")).replace("\\", "")
    shown = set(re.findall(r'"VoidService/prod","(\w+)"', dashboard))
    assert shown
    by_outcome = {f"Webhook{outcome.value.capitalize()}" for outcome in WebhookOutcome}
    assert sorted(shown - set(re.findall(r"\b[A-Z]\w+\b", source)) - FROM_LOG - by_outcome) == []


def test_only_accounts_of_callers_count_when_a_request_is_refused(stacks: dict[str, Stack]) -> None:
    pattern = filters(stacks["every option"])["CallersRefused"]["FilterPattern"]
    assert re.findall(r'\$\.account = "(\d+)"', pattern) == ["123456789012"]


@pytest.mark.parametrize("name", ["test", "prod", "local"])
def test_nothing_is_paid_for_that_nobody_reads(stacks: dict[str, Stack], name: str) -> None:
    stack = stacks[name]
    assert len(stack.of("CloudWatch::Dashboard")) == (name == "prod")
    assert not any(each.get("MetricsEnabled") for each in stack.one("ApiGateway::Stage")["MethodSettings"])
    assert not any("DefaultValue" in each["MetricTransformations"][0] for each in filters(stack).values())


def test_each_saved_query_finds_lines_of_a_recorded_log_that_have_its_fields(prod: Stack) -> None:
    service = Service(prod.template, 60)
    service.tell("""1 posts loses-answers; 1 void lost; 1.5 posts unreachable; 1.5 void refused; 2 posts refuses; 2 void refused; 2 queries strange; 3 webhook lost
        3 malformed; 4 webhook lost pos_id=11111111-0000-4000-8000-000000000000; 5 put_secret {}; 6 spoil refused; 9 put_secret; 11 table_refuses Timeout
        12 void lost; 14 table_refuses nothing; 15 release read_voids lacks-a-setting share=1; 15 read lost""")
    service.run()
    lines = [json.loads(line) for line in service.functions.log.splitlines() if '"level"' in line]
    selects: dict[str, Callable[[dict[str, Any]], bool]] = {
        "OneOrder": lambda line: line.get("order_id") in ("lost", "refused"),
        "Causes": lambda line: line.get("cause") is not None,
        "Errors": lambda line: line["level"] == "ERROR",
        "OneRequest": lambda line: line.get("request_id") is not None,
    }
    queries = {each["Name"].split("/")[1]: each["QueryString"] for each in prod.all("Logs::QueryDefinition")}
    assert queries.keys() == selects.keys()
    for name, query in queries.items():
        assert f"`{name}`" in RUNBOOK
        found = [line for line in lines if selects[name](line)]
        fields = set(re.findall(r"\w+", query.split("|")[0].removeprefix("fields @timestamp")))
        assert sorted(fields - {key for line in found for key in line}) == [], name
