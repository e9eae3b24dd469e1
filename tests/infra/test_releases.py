"""A release reaches a tenth of the requests first, and goes back by itself when it does harm."""

import json
import re
from typing import Any

import pytest

Resources = dict[str, dict[str, Any]]


def of(template: dict[str, Any], kind: str) -> Resources:
    return {name: each for name, each in template["Resources"].items() if each["Type"] == kind}


@pytest.mark.parametrize("environment", ["test", "prod", "local"])
def test_whatever_calls_a_function_calls_its_alias(templates: dict[str, Any], environment: str) -> None:
    template = templates[environment]
    aliases = of(template, "AWS::Lambda::Alias")
    assert [each["Properties"]["Name"] for each in aliases.values()] == ["live"] * 5
    for permission in of(template, "AWS::Lambda::Permission").values():
        assert permission["Properties"]["FunctionName"]["Ref"] in aliases
    (schedule,) = of(template, "AWS::Scheduler::Schedule").values()
    assert schedule["Properties"]["Target"]["Arn"]["Ref"] in aliases
    for method in of(template, "AWS::ApiGateway::Method").values():
        assert any(f'"{alias}"' in json.dumps(method["Properties"]["Integration"]["Uri"]) for alias in aliases)


def test_prod_moves_a_tenth_for_a_quarter_of_an_hour_and_then_all(templates: dict[str, Any]) -> None:
    groups = of(templates["prod"], "AWS::CodeDeploy::DeploymentGroup")
    moved = {
        name: each["UpdatePolicy"]["CodeDeployLambdaAliasUpdate"]
        for name, each in of(templates["prod"], "AWS::Lambda::Alias").items()
        if "UpdatePolicy" in each
    }
    assert {each["DeploymentGroupName"]["Ref"] for each in moved.values()} == set(groups)
    assert {re.sub("Aliaslive.*", "", name) for name in moved} == {
        "FunctionsSubmitVoid", "FunctionsReadVoids", "FunctionsReceiveWebhook"
    }  # fmt: skip
    for group in groups.values():
        properties = group["Properties"]
        assert properties["DeploymentConfigName"] == "CodeDeployDefault.LambdaCanary10Percent15Minutes"
        assert "DEPLOYMENT_STOP_ON_ALARM" in properties["AutoRollbackConfiguration"]["Events"]
        assert properties["AutoRollbackConfiguration"]["Enabled"] is True
    for other in ("test", "local"):
        assert not any("UpdatePolicy" in each for each in of_aliases(templates[other]))


def of_aliases(template: dict[str, Any]) -> list[dict[str, Any]]:
    return list(of(template, "AWS::Lambda::Alias").values())


def test_a_release_is_taken_back_by_what_it_can_cause_and_not_by_the_provider(templates: dict[str, Any]) -> None:
    alarms = of(templates["prod"], "AWS::CloudWatch::Alarm")
    for group in of(templates["prod"], "AWS::CodeDeploy::DeploymentGroup").values():
        watched = {each["Name"]["Ref"] for each in group["Properties"]["AlarmConfiguration"]["Alarms"]}
        assert group["Properties"]["AlarmConfiguration"]["Enabled"] is True
        names = {alarms[each]["Properties"]["AlarmName"].removeprefix("VoidService-prod ") for each in watched}
        assert {re.sub(r" \(\w+\)$", "", name) for name in names} == {
            "Unexpected error",
            "Function errors",
            "API fails",
        }


@pytest.mark.parametrize("function", ["SettleVoids", "Decide"])
def test_what_runs_seldom_moves_at_once(templates: dict[str, Any], function: str) -> None:
    # A tenth of a run a minute, or of a decision a day, is too little for an alarm to see.
    (alias,) = [each for name, each in of(templates["prod"], "AWS::Lambda::Alias").items() if function in name]
    assert "UpdatePolicy" not in alias


@pytest.mark.parametrize("environment", ["test", "prod", "local"])
def test_the_version_before_is_there_to_go_back_to(templates: dict[str, Any], environment: str) -> None:
    versions = of(templates[environment], "AWS::Lambda::Version").values()
    assert len(versions) == 5
    for version in versions:
        # The next release drops it from the template. One that a failed deployment made is deleted: Lambda makes no
        # second version of the same code, so the same release could not be tried again.
        assert version["DeletionPolicy"] == "RetainExceptOnCreate"


def test_a_key_of_ones_own_covers_table_secret_variables_logs_and_topic(everything: dict[str, Any]) -> None:
    (key,) = of(everything, "AWS::KMS::Key")
    arn = {"Fn::GetAtt": [key, "Arn"]}
    resource = everything["Resources"][key]
    assert resource["DeletionPolicy"] == "RetainExceptOnCreate"
    assert resource["Properties"]["EnableKeyRotation"] is True
    (table,) = of(everything, "AWS::DynamoDB::Table").values()
    assert table["Properties"]["SSESpecification"] == {
        "KMSMasterKeyId": arn, "SSEEnabled": True, "SSEType": "KMS"
    }  # fmt: skip
    (secret,) = of(everything, "AWS::SecretsManager::Secret").values()
    assert secret["Properties"]["KmsKeyId"] == arn
    assert [each["Properties"]["KmsKeyId"] for each in of(everything, "AWS::Logs::LogGroup").values()] == [arn] * 6
    assert [each["Properties"]["KmsKeyArn"] for each in of(everything, "AWS::Lambda::Function").values()] == [arn] * 5
    (topic,) = of(everything, "AWS::SNS::Topic").values()
    assert topic["Properties"]["KmsMasterKeyId"] == arn


def test_a_function_may_use_the_key_only_through_the_services_that_hold_the_data(everything: dict[str, Any]) -> None:
    grants = [
        statement
        for policy in of(everything, "AWS::IAM::Policy").values()
        for statement in policy["Properties"]["PolicyDocument"]["Statement"]
        if "kms:Encrypt" in statement["Action"]  # the pipe, which may only decrypt: test_outcomes.py
    ]
    assert len(grants) == 5
    for grant in grants:
        services = [f"{each}.eu-central-1.amazonaws.com" for each in ("dynamodb", "lambda", "secretsmanager")]
        assert grant["Condition"] == {"StringEquals": {"kms:ViaService": services}}
