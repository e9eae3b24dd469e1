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
    assert set(re.findall(r"^## (.+)$", part, flags=re.MULTILINE)) == set(alarms)
    assert len(alarms) >= 8


def test_every_alarm_heading_says_what_it_means_where_to_look_and_what_to_do(
    alarms: dict[str, dict[str, Any]], runbook: str
) -> None:
    for heading in alarms:
        section = runbook.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
        for part in ("**Means.**", "**Look.**", "**Do.**"):
            assert part in section, heading


def test_every_alarm_leads_to_its_heading_and_reaches_a_person(
    alarms: dict[str, dict[str, Any]], of_type: Callable[[str], Resources]
) -> None:
    (topic,) = of_type("AWS::SNS::Topic")
    for heading, alarm in alarms.items():
        assert alarm["AlarmDescription"] == f"docs/runbook.md#{heading.lower().replace(' ', '-')}"
        assert alarm["AlarmActions"] == alarm["OKActions"] == [{"Ref": topic}]


def test_silence_of_the_heartbeat_is_an_alarm_and_silence_of_anything_else_is_not(
    alarms: dict[str, dict[str, Any]],
) -> None:
    breaching = {heading for heading, alarm in alarms.items() if alarm["TreatMissingData"] == "breaching"}
    assert breaching == {"Settling has stopped"}
    assert alarms["Settling has stopped"]["MetricName"] == "SettleRun"
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
    assert [name for name in sorted(watched | shown) if f'"{name}"' not in source] == []


def test_business_metrics_have_the_dimension_that_the_functions_emit(alarms: dict[str, dict[str, Any]]) -> None:
    for alarm in alarms.values():
        for metric in metrics(alarm):
            if metric.get("Namespace") == "VoidService/test":
                assert metric["Dimensions"] == [{"Name": "service", "Value": "void-service"}]


def test_the_topic_and_the_queues_refuse_plain_http(of_type: Callable[[str], Resources]) -> None:
    for kind in ("AWS::SNS::TopicPolicy", "AWS::SQS::QueuePolicy"):
        policies = of_type(kind).values()
        assert policies
        for policy in policies:
            denied = [s for s in policy["Properties"]["PolicyDocument"]["Statement"] if s["Effect"] == "Deny"]
            assert denied[0]["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
