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
    for kind in ("AWS::KMS::Key", "AWS::Logs::LogGroup"):
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
        "settled": ["settled_pk", "settled_at"],
    }
    types = {each["AttributeName"]: each["AttributeType"] for each in properties["AttributeDefinitions"]}
    assert types == {"pk": "S", "sk": "S", "due_pk": "S", "due_at": "N", "review_pk": "S", "review_at": "N"} | {
        "settled_pk": "S", "settled_at": "S"
    }  # fmt: skip
    projections = {index["IndexName"]: index["Projection"]["ProjectionType"] for index in indexes}
    # Who lists a day reads each void by its key; to copy them whole would double what a write costs.
    assert projections == {"due": "ALL", "review": "ALL", "settled": "KEYS_ONLY"}
    assert {"Key": "backup", "Value": "orders"} in properties["Tags"], "for the account's own backup plan"
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


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_nothing_that_is_kept_has_a_fixed_name_that_would_block_the_next_deployment(
    templates: dict[str, Any], everything: dict[str, Any], environment: str
) -> None:
    names = ("TableName", "Name", "LogGroupName", "AliasName", "FunctionName", "BackupVaultName")
    for template in (templates[environment], everything):
        for logical_id, each in template["Resources"].items():
            if each.get("DeletionPolicy", "Delete") != "Delete":
                # A version names its function by reference.
                fixed = {name for name in names if isinstance(each["Properties"].get(name), str)}
                assert fixed == set(), logical_id


@pytest.mark.parametrize("days", [None, 400])
def test_how_long_settled_orders_are_kept_every_function_knows_that_may_settle(
    templates: dict[str, Any], days: int | None, everything: dict[str, Any]
) -> None:
    template = everything if days else templates["prod"]
    functions = [each for each in template["Resources"].values() if each["Type"] == "AWS::Lambda::Function"]
    kept = {each["Properties"]["Environment"]["Variables"].get("KEEP_SETTLED_DAYS") for each in functions}
    assert (len(functions), kept) == (5, {str(days) if days else None})
