"""A release reaches a tenth of the requests first, and goes back by itself when it does harm."""

import json
import re

from tests.infra.stack import Stack


def test_whatever_calls_a_function_calls_its_alias(stack: Stack) -> None:
    aliases = stack.of("Lambda::Alias")
    assert [each["Name"] for each in aliases.values()] == ["live"] * 5 == ["live"] * len(stack.of("Lambda::Version"))
    assert {each["FunctionName"]["Ref"] for each in stack.all("Lambda::Permission")} <= {*aliases}
    assert stack.one("Scheduler::Schedule")["Target"]["Arn"]["Ref"] in aliases
    for method in stack.all("ApiGateway::Method"):
        assert any(f'"{alias}"' in json.dumps(method["Integration"]["Uri"]) for alias in aliases)


def test_prod_moves_a_tenth_for_a_quarter_of_an_hour_and_then_all(stack: Stack) -> None:
    groups = stack.of("CodeDeploy::DeploymentGroup")
    moved = {
        alias: each["UpdatePolicy"]["CodeDeployLambdaAliasUpdate"]["DeploymentGroupName"]["Ref"]
        for alias, each in stack.resources.items()
        if each["Type"] == "AWS::Lambda::Alias" and "UpdatePolicy" in each
    }
    # Not what runs seldom: a tenth of a run a minute, or of a decision a day, is too little for an alarm to see.
    functions = {"FunctionsSubmitVoid", "FunctionsReadVoids", "FunctionsReceiveWebhook"}
    expected = functions if stack.environment.name == "prod" else set()  # every option's too
    assert {re.sub("Aliaslive.*", "", alias) for alias in moved} == expected
    assert {*moved.values()} == {*groups}
    for group in groups.values():
        assert group["DeploymentConfigName"] == "CodeDeployDefault.LambdaCanary10Percent15Minutes"
        assert group["AutoRollbackConfiguration"]["Enabled"] is True
        assert "DEPLOYMENT_STOP_ON_ALARM" in group["AutoRollbackConfiguration"]["Events"]


def test_a_release_is_taken_back_by_what_it_can_cause_and_not_by_the_provider(stacks: dict[str, Stack]) -> None:
    alarms, causes = stacks["prod"].of("CloudWatch::Alarm"), {"Unexpected error", "Function errors", "API fails"}
    for group in stacks["prod"].all("CodeDeploy::DeploymentGroup"):
        assert group["AlarmConfiguration"]["Enabled"] is True
        names = {alarms[each["Name"]["Ref"]]["AlarmName"] for each in group["AlarmConfiguration"]["Alarms"]}
        assert {re.sub(r"^VoidService-prod | \(\w+\)$", "", name) for name in names} == causes
