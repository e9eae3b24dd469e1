"""An alarm means something to an operator: it is named by a heading of the runbook and rests on a metric that exists."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from infra.environment import Environment
from infra.monitoring import LONGEST_PATTERN, NO_FIRST_OKS
from infra.synth import ROOT
from receive_webhook import WebhookOutcome
from tests.alarms.service import Service

Resources = dict[str, dict[str, Any]]
RUNBOOK = (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")
FROM_LOG = {"AnswersLost", "CallersRefused"}
"""Counted by metric filters on the access log, which have no dimensions."""
BREACHES_WHEN_MISSING = {"Settling has stopped": "SettleRun", "Outcomes have stopped": "Invocations"}


def of(kind: str, template: dict[str, Any]) -> Resources:
    """The properties of the resources of a type, by their logical ids."""
    return {name: each["Properties"] for name, each in template["Resources"].items() if each["Type"] == kind}


@pytest.fixture
def prod(templates: dict[str, dict[str, Any]]) -> dict[str, Any]:
    return templates["prod"]


@pytest.fixture
def alarms(prod: dict[str, Any]) -> Resources:
    return {each["AlarmName"].split(" ", 1)[1]: each for each in of("AWS::CloudWatch::Alarm", prod).values()}


def metrics(alarm: dict[str, Any]) -> list[dict[str, Any]]:
    if "Metrics" not in alarm:
        return [alarm]
    return [each["MetricStat"]["Metric"] for each in alarm["Metrics"] if "MetricStat" in each]


def heading(name: str) -> str:
    """Of an alarm on one function of several, without the function."""
    return re.sub(r" \(\w+\)$", "", name)


def test_alarms_and_the_alarm_headings_of_the_runbook_are_the_same(alarms: Resources) -> None:
    (part,) = [each for each in re.split(r"^# ", RUNBOOK, flags=re.MULTILINE) if each.startswith("Alarms\n")]
    assert set(re.findall(r"^## (.+)$", part, flags=re.MULTILINE)) == {heading(name) for name in alarms}
    assert len(alarms) >= 30
    for section in part.split("\n## ")[1:]:
        assert re.findall(r"^\*\*(\w+)\.\*\*", section, flags=re.MULTILINE) == ["Rings", "Means", "Look", "Do"], section


def test_every_alarm_leads_to_its_heading_and_reaches_every_topic(
    templates: dict[str, Any], everything: dict[str, Any]
) -> None:
    for template, more in (
        (everything, ["arn:aws:sns:eu-central-1:123456789012:pager"]),
        *((t, []) for t in templates.values()),
    ):
        (topic,) = of("AWS::SNS::Topic", template)
        assert template["Outputs"]["AlarmTopic"]["Value"] == {"Ref": topic}
        for alarm in of("AWS::CloudWatch::Alarm", template).values():
            name = heading(alarm["AlarmName"].split(" ", 1)[1])
            assert alarm["AlarmDescription"] == f"docs/runbook.md#{name.lower().replace(' ', '-')}"
            assert alarm["AlarmActions"] == alarm["OKActions"] == [{"Ref": topic}, *more]


def test_the_first_ok_of_a_new_alarm_is_not_mailed(everything: dict[str, Any]) -> None:
    (mail,) = [each for each in of("AWS::SNS::Subscription", everything).values() if each["Protocol"] == "email"]
    assert (mail["FilterPolicy"], mail["FilterPolicyScope"]) == (NO_FIRST_OKS, "MessageBody")
    assert json.dumps(NO_FIRST_OKS) in RUNBOOK, "for whoever subscribes another topic"
    for old, new, mailed in (
        ("INSUFFICIENT_DATA", "OK", False), ("INSUFFICIENT_DATA", "ALARM", True), ("OK", "ALARM", True), ("ALARM", "OK", True),
    ):  # fmt: skip
        said = {"OldStateValue": old, "NewStateValue": new}
        assert mailed is any(said[name] in each[name] for each in NO_FIRST_OKS["$or"] for name in each)


def publishing_of_alarms(topic: dict[str, str], account: str | dict[str, str]) -> dict[str, Any]:
    """As in AWS's "Setting up Amazon SNS notifications"."""
    parts = ["arn:", {"Ref": "AWS::Partition"}, ":cloudwatch:eu-central-1:", account, ":alarm:*"]
    if isinstance(account, str):
        parts[2:] = [f":cloudwatch:eu-central-1:{account}:alarm:*"]
    return {
        "Sid": "AlarmsOfThisAccountPublish",
        "Effect": "Allow",
        "Principal": {"Service": "cloudwatch.amazonaws.com"},
        "Action": "sns:Publish",
        "Resource": topic,
        "Condition": {
            "StringEquals": {"aws:SourceAccount": account},
            "ArnLike": {"aws:SourceArn": {"Fn::Join": ["", parts]}},
        },
    }


def test_alarms_of_this_account_may_publish_to_the_topic(prod: dict[str, Any], everything: dict[str, Any]) -> None:
    # A topic's policy replaces the default one: with a Deny alone no alarm reaches anybody.
    for template, account in ((prod, {"Ref": "AWS::AccountId"}), (everything, "123456789012")):
        (topic,) = of("AWS::SNS::Topic", template)
        (policy,) = of("AWS::SNS::TopicPolicy", template).values()
        allowed = [each for each in policy["PolicyDocument"]["Statement"] if each["Effect"] == "Allow"]
        assert allowed == [publishing_of_alarms({"Ref": topic}, account)]
        assert policy["Topics"] == [{"Ref": topic}]


def test_with_a_key_of_its_own_the_key_too_lets_alarms_publish(everything: dict[str, Any]) -> None:
    """Without this right CloudWatch cannot write to an encrypted topic, and nobody learns of it."""
    (topic,) = of("AWS::SNS::Topic", everything).values()
    ((name, key),) = of("AWS::KMS::Key", everything).items()
    assert topic["KmsMasterKeyId"] == {"Fn::GetAtt": [name, "Arn"]}
    (statement,) = [
        each for each in key["KeyPolicy"]["Statement"] if each["Principal"] == {"Service": "cloudwatch.amazonaws.com"}
    ]
    assert statement["Effect"] == "Allow"
    assert {"kms:Decrypt", "kms:GenerateDataKey"} <= {each.removesuffix("*") for each in statement["Action"]}
    assert statement["Condition"] == {"StringEquals": {"aws:SourceAccount": "123456789012"}}


def test_only_silence_of_the_heartbeats_is_an_alarm(alarms: Resources) -> None:
    for name, alarm in alarms.items():
        assert (alarm["TreatMissingData"] == "breaching") is (name in BREACHES_WHEN_MISSING), name
    for name, metric in BREACHES_WHEN_MISSING.items():
        assert [each["MetricName"] for each in metrics(alarms[name])] == [metric]
        assert alarms[name]["ComparisonOperator"] == "LessThanThreshold"


def test_every_business_metric_that_is_watched_or_shown_is_emitted(prod: dict[str, Any], alarms: Resources) -> None:
    source = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "functions").rglob("*.py"))
    (dashboard,) = of("AWS::CloudWatch::Dashboard", prod).values()
    shown = set(re.findall(r'"VoidService/prod","(\w+)"', json.dumps(dashboard).replace("\\", "")))
    watched = [each for alarm in alarms.values() for each in metrics(alarm) if each["Namespace"] == "VoidService/prod"]
    assert shown
    assert len(watched) >= 20
    known = {each["MetricName"] for each in watched} | shown
    by_outcome = {f"Webhook{outcome.value.capitalize()}" for outcome in WebhookOutcome}
    assert sorted(known - set(re.findall(r"\b[A-Z]\w+\b", source)) - FROM_LOG - by_outcome) == []
    for metric in watched:
        of_a_function = metric["MetricName"] not in FROM_LOG
        assert metric.get("Dimensions", []) == ([{"Name": "service", "Value": "void-service"}] if of_a_function else [])


def test_the_access_log_has_what_its_metric_filters_read(prod: dict[str, Any]) -> None:
    (stage,) = of("AWS::ApiGateway::Stage", prod).values()
    log = stage["AccessLogSetting"]
    filters = of("AWS::Logs::MetricFilter", prod).values()
    assert {each["MetricTransformations"][0]["MetricName"] for each in filters} == FROM_LOG
    for each in filters:
        assert log["DestinationArn"] == {"Fn::GetAtt": [each["LogGroupName"]["Ref"], "Arn"]}
        assert set(re.findall(r"\$\.(\w+)", json.dumps(each["FilterPattern"]))) <= set(json.loads(log["Format"]))


def test_only_accounts_of_callers_count_when_a_request_is_refused(
    everything: dict[str, Any], every_option: Environment
) -> None:
    patterns = {
        each["MetricTransformations"][0]["MetricName"]: each["FilterPattern"]
        for each in of("AWS::Logs::MetricFilter", everything).values()
    }
    named = re.findall(r'\$\.account = "(\d+)"', patterns["CallersRefused"])
    assert named == sorted({caller.split(":")[4] if ":" in caller else caller for caller in every_option.callers})
    assert len(patterns["CallersRefused"]) <= LONGEST_PATTERN


def test_nothing_is_paid_for_that_nobody_reads(templates: dict[str, Any]) -> None:
    for name, template in templates.items():
        assert len(of("AWS::CloudWatch::Dashboard", template)) == (name == "prod")
        (stage,) = of("AWS::ApiGateway::Stage", template).values()
        assert not any(each.get("MetricsEnabled") for each in stage["MethodSettings"])
        assert not any(
            "DefaultValue" in each["MetricTransformations"][0]
            for each in of("AWS::Logs::MetricFilter", template).values()
        )


def test_each_saved_query_finds_lines_of_a_recorded_log_that_have_its_fields(prod: dict[str, Any]) -> None:
    service = Service(prod, 60)
    service.tell("""1 posts loses-answers; 1 void lost; 1.5 posts unreachable; 1.5 void refused; 2 posts refuses; 2 void refused; 2 queries strange; 3 webhook lost
        3 malformed; 4 webhook lost pos_id=11111111-0000-4000-8000-000000000000; 5 put_secret {}; 6 spoil refused; 9 put_secret; 11 table_refuses Timeout
        12 void lost; 14 table_refuses nothing; 15 release read_voids lacks-a-setting share=1; 15 read lost""")
    service.run()
    lines = [json.loads(line) for line in service.functions.log.splitlines() if '"level"' in line]
    filters: dict[str, Callable[[dict[str, Any]], bool]] = {
        "OneOrder": lambda line: line.get("order_id") in ("lost", "refused"),
        "Causes": lambda line: line.get("cause") is not None,
        "Errors": lambda line: line["level"] == "ERROR",
        "OneRequest": lambda line: line.get("request_id") is not None,
    }
    queries = {
        each["Name"].split("/")[1]: each["QueryString"] for each in of("AWS::Logs::QueryDefinition", prod).values()
    }
    assert queries.keys() == filters.keys()
    for name, query in queries.items():
        assert f"`{name}`" in RUNBOOK
        found = [line for line in lines if filters[name](line)]
        fields = set(re.findall(r"\w+", query.split("|")[0].removeprefix("fields @timestamp")))
        assert sorted(fields - {key for line in found for key in line}) == [], name


def test_the_same_alarms_watch_each_environment(templates: dict[str, dict[str, Any]]) -> None:
    watched = {
        name: {each["AlarmName"].split(" ", 1)[1] for each in of("AWS::CloudWatch::Alarm", template).values()}
        for name, template in templates.items()
    }
    assert watched["test"] == watched["prod"]
    assert watched["test"] - watched["local"] == {"Outcomes held up", "Outcomes have stopped"}  # the engine has no pipe


def test_the_topic_and_the_queues_refuse_plain_http(prod: dict[str, Any]) -> None:
    for kind in ("AWS::SNS::TopicPolicy", "AWS::SQS::QueuePolicy"):
        for policy in of(kind, prod).values():
            denied = [each for each in policy["PolicyDocument"]["Statement"] if each["Effect"] == "Deny"]
            assert denied[0]["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
