"""Whom an alarm tells: the stack's own topic, and what an environment names besides."""

from typing import Any


def alarms(template: dict[str, Any]) -> list[dict[str, Any]]:
    return [each["Properties"] for each in template["Resources"].values() if each["Type"] == "AWS::CloudWatch::Alarm"]


def test_each_alarm_also_tells_the_topics_that_an_environment_names(everything: dict[str, Any]) -> None:
    (own,) = [name for name, each in everything["Resources"].items() if each["Type"] == "AWS::SNS::Topic"]
    assert alarms(everything)
    for alarm in alarms(everything):
        told = [{"Ref": own}, "arn:aws:sns:eu-central-1:123456789012:pager"]
        assert alarm["AlarmActions"] == alarm["OKActions"] == told


def test_the_operator_is_told_the_topic(templates: dict[str, Any]) -> None:
    for template in templates.values():
        (own,) = [name for name, each in template["Resources"].items() if each["Type"] == "AWS::SNS::Topic"]
        assert template["Outputs"]["AlarmTopic"]["Value"] == {"Ref": own}
