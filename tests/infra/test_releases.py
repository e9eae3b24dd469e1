"""A release reaches a tenth of the requests first, and goes back by itself when it does harm."""

import json
import re

import pytest

from tests.infra.stack import Stack


@pytest.mark.parametrize("name", ["test", "prod", "local", "every option"])
def test_whatever_calls_a_function_calls_its_alias(stacks: dict[str, Stack], name: str) -> None:
    stack = stacks[name]
    aliases = stack.of("Lambda::Alias")
    assert [each["Name"] for each in aliases.values()] == ["live"] * 5 == ["live"] * len(stack.of("Lambda::Version"))
    assert {each["FunctionName"]["Ref"] for each in stack.all("Lambda::Permission")} <= {*aliases}
    assert stack.one("Scheduler::Schedule")["Target"]["Arn"]["Ref"] in aliases
    for method in stack.all("ApiGateway::Method"):
        assert any(f'"{alias}"' in json.dumps(method["Integration"]["Uri"]) for alias in aliases)


@pytest.mark.parametrize(("name", "canary"), [("test", False), ("local", False), ("prod", True)])
def test_prod_moves_a_tenth_for_a_quarter_of_an_hour_and_then_all(
    stacks: dict[str, Stack], name: str, canary: bool
) -> None:
    stack = stacks[name]
    groups = stack.of("CodeDeploy::DeploymentGroup")
    moved = {
        alias: each["UpdatePolicy"]["CodeDeployLambdaAliasUpdate"]["DeploymentGroupName"]["Ref"]
        for alias, each in stack.resources.items()
        if each["Type"] == "AWS::Lambda::Alias" and "UpdatePolicy" in each
    }
    # Not what runs seldom: a tenth of a run a minute, or of a decision a day, is too little for an alarm to see.
    functions = {"FunctionsSubmitVoid", "FunctionsReadVoids", "FunctionsReceiveWebhook"} if canary else set()
    assert {re.sub("Aliaslive.*", "", alias) for alias in moved} == functions
    assert {*moved.values()} == {*groups}
    for group in groups.values():
        assert group["DeploymentConfigName"] == "CodeDeployDefault.LambdaCanary10Percent15Minutes"
        assert group["AutoRollbackConfiguration"]["Enabled"] is True
        assert "DEPLOYMENT_STOP_ON_ALARM" in group["AutoRollbackConfiguration"]["Events"]


def test_a_release_is_taken_back_by_what_it_can_cause_and_not_by_the_provider(stacks: dict[str, Stack]) -> None:
    alarms = stacks["prod"].of("CloudWatch::Alarm")
    for group in stacks["prod"].all("CodeDeploy::DeploymentGroup"):
        assert group["AlarmConfiguration"]["Enabled"] is True
        names = {alarms[each["Name"]["Ref"]]["AlarmName"] for each in group["AlarmConfiguration"]["Alarms"]}
        assert {re.sub(r"^VoidService-prod | \(\w+\)$", "", name) for name in names} == {
            "Unexpected error", "Function errors", "API fails"
        }  # fmt: skip
