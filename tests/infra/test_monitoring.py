"""An alarm means something to a person: it is named by a heading of the runbook and rests on a metric that exists."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Resources = dict[str, dict[str, Any]]
ROOT = Path(__file__).parents[2]
PREFIX = "VoidService-test "
FROM_LOG = {"AnswersLost", "CallersRefused"}
"""Counted by metric filters on the access log, which have no dimensions."""


@pytest.fixture
def alarms(of_type: Callable[[str], Resources]) -> dict[str, dict[str, Any]]:
    every = [each["Properties"] for each in of_type("AWS::CloudWatch::Alarm").values()]
    return {each["AlarmName"].removeprefix(PREFIX): each for each in every}


@pytest.fixture
def runbook() -> str:
    return (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")


def metrics(alarm: dict[str, Any]) -> list[dict[str, Any]]:
    if "Metrics" not in alarm:
        return [alarm]
    return [each["MetricStat"]["Metric"] for each in alarm["Metrics"] if "MetricStat" in each]


def test_alarms_and_the_alarm_headings_of_the_runbook_are_the_same(
    alarms: dict[str, dict[str, Any]], runbook: str
) -> None:
    chapter = re.split(r"^# ", runbook, flags=re.MULTILINE)
    (part,) = [each for each in chapter if each.startswith("Alarms\n")]
    assert set(re.findall(r"^## (.+)$", part, flags=re.MULTILINE)) == {heading(name) for name in alarms}
    assert len(alarms) >= 30


def heading(name: str) -> str:
    """Of an alarm on one function of several, without the function."""
    return re.sub(r" \(\w+\)$", "", name)


def test_every_alarm_heading_says_how_soon_what_it_means_where_to_look_and_what_to_do(
    alarms: dict[str, dict[str, Any]], runbook: str
) -> None:
    for name in alarms:
        section = runbook.split(f"\n## {heading(name)}\n", 1)[1].split("\n## ", 1)[0]
        parts = re.findall(r"^\*\*(\w+)\.\*\*", section, flags=re.MULTILINE)
        assert parts == ["Rings", "Means", "Look", "Do"], name


def test_every_alarm_leads_to_its_heading_and_reaches_a_person(
    alarms: dict[str, dict[str, Any]], of_type: Callable[[str], Resources]
) -> None:
    (topic,) = of_type("AWS::SNS::Topic")
    for name, alarm in alarms.items():
        assert alarm["AlarmDescription"] == f"docs/runbook.md#{heading(name).lower().replace(' ', '-')}"
        assert alarm["AlarmActions"] == alarm["OKActions"] == [{"Ref": topic}]


def test_alarms_of_this_account_may_publish_to_the_topic(of_type: Callable[[str], Resources]) -> None:
    # A topic's policy replaces the default one: with a Deny alone no alarm reaches anybody.
    (topic,) = of_type("AWS::SNS::Topic")
    (policy,) = of_type("AWS::SNS::TopicPolicy").values()
    allowed = [each for each in policy["Properties"]["PolicyDocument"]["Statement"] if each["Effect"] == "Allow"]
    assert allowed == [publishing_of_alarms({"Ref": topic}, {"Ref": "AWS::AccountId"})]
    assert policy["Properties"]["Topics"] == [{"Ref": topic}]


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


def test_with_a_key_of_its_own_the_key_too_lets_alarms_publish(everything: dict[str, Any]) -> None:
    """Without this right CloudWatch cannot write to an encrypted topic, and nobody learns of it."""
    (name, topic), *_ = of("AWS::SNS::Topic", everything).items()
    (policy,) = of("AWS::SNS::TopicPolicy", everything).values()
    allowed = [each for each in policy["Properties"]["PolicyDocument"]["Statement"] if each["Effect"] == "Allow"]
    assert allowed == [publishing_of_alarms({"Ref": name}, "123456789012")]
    (key_name, key), *_ = of("AWS::KMS::Key", everything).items()
    assert topic["Properties"]["KmsMasterKeyId"] == {"Fn::GetAtt": [key_name, "Arn"]}
    (statement,) = [
        each
        for each in key["Properties"]["KeyPolicy"]["Statement"]
        if each["Principal"] == {"Service": "cloudwatch.amazonaws.com"}
    ]
    assert statement["Effect"] == "Allow"
    assert {"kms:Decrypt", "kms:GenerateDataKey"} <= {each.removesuffix("*") for each in statement["Action"]}
    assert statement["Condition"] == {"StringEquals": {"aws:SourceAccount": "123456789012"}}


def test_each_alarm_tells_the_topics_of_the_environment_too(everything: dict[str, Any]) -> None:
    (own,) = of("AWS::SNS::Topic", everything)
    for alarm in of("AWS::CloudWatch::Alarm", everything).values():
        actions = [{"Ref": own}, "arn:aws:sns:eu-central-1:123456789012:pager"]
        assert alarm["Properties"]["AlarmActions"] == alarm["Properties"]["OKActions"] == actions


def test_an_output_names_the_topic(template: dict[str, Any], of_type: Callable[[str], Resources]) -> None:
    (topic,) = of_type("AWS::SNS::Topic")
    assert template["Outputs"]["AlarmTopic"]["Value"] == {"Ref": topic}


def of(kind: str, template: dict[str, Any]) -> Resources:
    return {name: each for name, each in template["Resources"].items() if each["Type"] == kind}


def test_silence_of_the_heartbeat_is_an_alarm_and_silence_of_anything_else_is_not(
    alarms: dict[str, dict[str, Any]],
) -> None:
    breaching = {heading for heading, alarm in alarms.items() if alarm["TreatMissingData"] == "breaching"}
    assert breaching == {"Settling has stopped"}
    assert [each["MetricName"] for each in metrics(alarms["Settling has stopped"])] == ["SettleRun"]
    assert alarms["Settling has stopped"]["ComparisonOperator"] == "LessThanThreshold"


def test_webhooks_that_fall_silent_while_voids_go_out_are_an_alarm(alarms: dict[str, dict[str, Any]]) -> None:
    alarm = alarms["Webhooks silent"]
    assert {each["MetricName"] for each in metrics(alarm)} == {
        "VoidVoided",
        "WebhookApplied",
        "WebhookStored",
        "WebhookDuplicate",
    }


def test_every_business_metric_that_is_watched_is_emitted_by_a_function(
    alarms: dict[str, dict[str, Any]], of_type: Callable[[str], Resources]
) -> None:
    source = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "functions").rglob("*.py"))
    from_log = {
        each["Properties"]["MetricTransformations"][0]["MetricName"]
        for each in of_type("AWS::Logs::MetricFilter").values()
    }
    assert from_log == FROM_LOG
    (dashboard,) = of_type("AWS::CloudWatch::Dashboard").values()
    shown = set(re.findall(r'"VoidService/test","(\w+)"', json.dumps(dashboard).replace("\\", "")))
    watched = {
        each["MetricName"]
        for alarm in alarms.values()
        for each in metrics(alarm)
        if each.get("Namespace") == "VoidService/test"
    }
    assert len(watched) >= 8
    assert shown
    emitted = set(re.findall(r"\b[A-Z]\w+\b", source)) | from_log
    assert sorted((watched | shown) - emitted) == []


def test_business_metrics_have_the_dimension_that_the_functions_emit(alarms: dict[str, dict[str, Any]]) -> None:
    for alarm in alarms.values():
        for metric in metrics(alarm):
            if metric.get("Namespace") == "VoidService/test" and metric["MetricName"] not in FROM_LOG:
                assert metric["Dimensions"] == [{"Name": "service", "Value": "void-service"}]


def test_the_access_log_has_what_its_metric_filters_read(of_type: Callable[[str], Resources]) -> None:
    (stage,) = of_type("AWS::ApiGateway::Stage").values()
    log = stage["Properties"]["AccessLogSetting"]
    written = json.loads(log["Format"])
    filters = of_type("AWS::Logs::MetricFilter").values()
    assert {each["Properties"]["MetricTransformations"][0]["MetricName"] for each in filters} == FROM_LOG
    for each in filters:
        assert log["DestinationArn"] == {"Fn::GetAtt": [each["Properties"]["LogGroupName"]["Ref"], "Arn"]}
        assert set(re.findall(r"\$\.(\w+)", each["Properties"]["FilterPattern"])) <= set(written)


def test_the_same_alarms_watch_each_environment(templates: dict[str, dict[str, Any]]) -> None:
    watched = {
        name: {each["Properties"]["AlarmName"].split(" ", 1)[1] for each in of("AWS::CloudWatch::Alarm", each).values()}
        for name, each in templates.items()
    }
    assert watched["test"] == watched["prod"]
    assert watched["test"] - watched["local"] == {"Outcomes held up"}  # the engine has no pipe


def test_the_topic_and_the_queues_refuse_plain_http(of_type: Callable[[str], Resources]) -> None:
    for kind in ("AWS::SNS::TopicPolicy", "AWS::SQS::QueuePolicy"):
        policies = of_type(kind).values()
        assert policies
        for policy in policies:
            denied = [s for s in policy["Properties"]["PolicyDocument"]["Statement"] if s["Effect"] == "Deny"]
            assert denied[0]["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
