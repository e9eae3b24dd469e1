"""The table and the secret outlive mistakes, keep their names, and no secret's value is ever in a template."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from infra.stack_policy import KEPT, stack_policy

Resources = dict[str, dict[str, Any]]
ENVIRONMENTS = ("test", "prod", "local")


@pytest.fixture
def table(of_type: Callable[[str], Resources]) -> dict[str, Any]:
    (table,) = of_type("AWS::DynamoDB::Table").values()
    return table


def names_of(template: dict[str, Any], kind: str) -> list[str]:
    return [name for name, each in template["Resources"].items() if each["Type"] == kind]


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_another_name_would_be_another_empty_table_and_another_empty_secret(
    templates: dict[str, Any], environment: str
) -> None:
    # From the first real deployment on these names are never changed: CloudFormation would make a new table beside the
    # old one, and orders that were voided would be voided again.
    assert names_of(templates[environment], "AWS::DynamoDB::Table") == ["OrdersTable"]
    assert names_of(templates[environment], "AWS::SecretsManager::Secret") == ["ProviderCredentials"]


def test_what_an_option_makes_and_others_rely_on_keeps_its_name_too(everything: dict[str, Any]) -> None:
    assert names_of(everything, "AWS::KMS::Key") == ["DataKey"]
    assert names_of(everything, "AWS::EC2::EIP") == ["EgressAddress1", "EgressAddress2"]
    assert names_of(everything, "AWS::Backup::BackupVault") == ["BackupVault"]


def test_cloudformation_may_change_what_holds_data_and_never_replace_or_delete_it(everything: dict[str, Any]) -> None:
    allowed, denied = stack_policy()["Statement"]
    assert allowed == {"Effect": "Allow", "Action": "Update:*", "Principal": "*", "Resource": "*"}
    assert (denied["Effect"], denied["Principal"], denied["Resource"]) == ("Deny", "*", "*")
    assert denied["Action"] == ["Update:Replace", "Update:Delete"]
    assert denied["Condition"] == {"StringEquals": {"ResourceType": list(KEPT)}}
    assert set(KEPT) == {"AWS::DynamoDB::Table", "AWS::SecretsManager::Secret", "AWS::KMS::Key"}
    assert all(names_of(everything, kind) for kind in KEPT), "a type that nothing has protects nothing"


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_the_table_outlives_the_stack_and_also_a_first_deployment_that_fails(
    templates: dict[str, Any], environment: str
) -> None:
    # RetainExceptOnCreate would have CloudFormation delete it then; its deletion protection refuses that.
    table = templates[environment]["Resources"]["OrdersTable"]
    assert table["DeletionPolicy"] == table["UpdateReplacePolicy"] == "Retain"
    assert table["Properties"]["DeletionProtectionEnabled"] is True


@pytest.mark.parametrize("environment", ENVIRONMENTS)
@pytest.mark.parametrize("kind", ["AWS::SecretsManager::Secret", "AWS::Logs::LogGroup", "AWS::Lambda::Version"])
def test_what_outlives_the_stack_is_not_left_behind_by_a_deployment_that_fails(
    templates: dict[str, Any], environment: str, kind: str
) -> None:
    kept = [each for each in templates[environment]["Resources"].values() if each["Type"] == kind]
    assert kept
    for each in kept:
        assert (each["DeletionPolicy"], each["UpdateReplacePolicy"]) == ("RetainExceptOnCreate", "Retain")


def test_so_is_what_options_make(everything: dict[str, Any]) -> None:
    for kind in ("AWS::KMS::Key", "AWS::EC2::EIP", "AWS::Backup::BackupVault", "AWS::Logs::LogGroup"):
        for name in names_of(everything, kind):
            each = everything["Resources"][name]
            assert (each["DeletionPolicy"], each["UpdateReplacePolicy"]) == ("RetainExceptOnCreate", "Retain"), name


def test_the_table_can_be_restored_and_not_be_deleted(table: dict[str, Any]) -> None:
    properties = table["Properties"]
    assert properties["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert properties["DeletionProtectionEnabled"] is True
    assert properties["BillingMode"] == "PAY_PER_REQUEST"


def test_the_table_has_the_keys_and_indexes_that_the_functions_use(table: dict[str, Any]) -> None:
    properties = table["Properties"]
    # A local index could never be taken away again, and would double what each write costs.
    assert "LocalSecondaryIndexes" not in properties
    indexes = properties["GlobalSecondaryIndexes"]
    keys = {"": properties["KeySchema"]} | {index["IndexName"]: index["KeySchema"] for index in indexes}
    assert {name: [key["AttributeName"] for key in schema] for name, schema in keys.items()} == {
        "": ["pk", "sk"],
        "due": ["due_pk", "due_at"],
        "review": ["review_pk", "review_at"],
    }
    types = {each["AttributeName"]: each["AttributeType"] for each in properties["AttributeDefinitions"]}
    assert types == {"pk": "S", "sk": "S", "due_pk": "S", "due_at": "N", "review_pk": "S", "review_at": "N"}
    assert all(index["Projection"] == {"ProjectionType": "ALL"} for index in indexes)
    assert properties["TimeToLiveSpecification"] == {"AttributeName": "expires_at", "Enabled": True}
    assert properties["StreamSpecification"] == {"StreamViewType": "NEW_AND_OLD_IMAGES"}


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_the_secret_is_created_without_a_value(templates: dict[str, Any], environment: str) -> None:
    secrets = [
        resource["Properties"]
        for resource in templates[environment]["Resources"].values()
        if resource["Type"] == "AWS::SecretsManager::Secret"
    ]
    assert len(secrets) == 1
    assert "SecretString" not in secrets[0]
    assert "GenerateSecretString" not in secrets[0]
    # The only thing that CloudFormation could read a secret's value with.
    assert "resolve:secretsmanager" not in json.dumps(templates[environment])


# ---- backups ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_no_copy_is_made_unless_an_environment_says_so(templates: dict[str, Any], environment: str) -> None:
    assert not any(each["Type"].startswith("AWS::Backup::") for each in templates[environment]["Resources"].values())


def test_a_daily_copy_of_the_table_lies_in_a_vault_that_nobody_may_empty(everything: dict[str, Any]) -> None:
    vault = everything["Resources"]["BackupVault"]["Properties"]
    (denied,) = vault["AccessPolicy"]["Statement"]
    assert (denied["Effect"], denied["Principal"]) == ("Deny", {"AWS": "*"})
    assert "backup:DeleteRecoveryPoint" in denied["Action"]
    assert vault["EncryptionKeyArn"] == {"Fn::GetAtt": ["DataKey", "Arn"]}
    (plan,) = names_of(everything, "AWS::Backup::BackupPlan")
    (rule,) = everything["Resources"][plan]["Properties"]["BackupPlan"]["BackupPlanRule"]
    assert rule["Lifecycle"] == {"DeleteAfterDays": 35}
    assert rule["ScheduleExpression"] == "cron(0 3 * * ? *)"
    (selection,) = names_of(everything, "AWS::Backup::BackupSelection")
    chosen = everything["Resources"][selection]["Properties"]["BackupSelection"]["Resources"]
    assert json.dumps(chosen).count('{"Ref": "OrdersTable"}') + json.dumps(chosen).count('"OrdersTable"') >= 1
