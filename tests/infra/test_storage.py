"""The table and the secret outlive mistakes, and no secret's value is ever in a template."""

import json
from collections.abc import Callable
from typing import Any

import pytest

Resources = dict[str, dict[str, Any]]
ENVIRONMENTS = ("test", "prod", "local")


@pytest.fixture
def table(of_type: Callable[[str], Resources]) -> dict[str, Any]:
    (table,) = of_type("AWS::DynamoDB::Table").values()
    return table


@pytest.mark.parametrize("environment", ENVIRONMENTS)
@pytest.mark.parametrize("kind", ["AWS::DynamoDB::Table", "AWS::SecretsManager::Secret", "AWS::Logs::LogGroup"])
def test_what_holds_data_outlives_the_stack(templates: dict[str, Any], environment: str, kind: str) -> None:
    holders = [each for each in templates[environment]["Resources"].values() if each["Type"] == kind]
    assert holders
    for holder in holders:
        assert holder["DeletionPolicy"] == holder["UpdateReplacePolicy"] == "Retain"


def test_the_table_can_be_restored_and_not_be_deleted(table: dict[str, Any]) -> None:
    properties = table["Properties"]
    assert properties["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert properties["DeletionProtectionEnabled"] is True
    assert properties["BillingMode"] == "PAY_PER_REQUEST"


def test_the_table_has_the_keys_and_indexes_that_the_functions_use(table: dict[str, Any]) -> None:
    properties = table["Properties"]
    indexes = properties["GlobalSecondaryIndexes"] + properties["LocalSecondaryIndexes"]
    keys = {"": properties["KeySchema"]} | {index["IndexName"]: index["KeySchema"] for index in indexes}
    assert {name: [key["AttributeName"] for key in schema] for name, schema in keys.items()} == {
        "": ["pk", "sk"],
        "due": ["due_pk", "due_at"],
        "review": ["review_pk", "review_at"],
        "timeline": ["pk", "at"],
    }
    types = {each["AttributeName"]: each["AttributeType"] for each in properties["AttributeDefinitions"]}
    assert types == {
        "pk": "S", "sk": "S", "at": "S", "due_pk": "S", "due_at": "N", "review_pk": "S", "review_at": "N"
    }  # fmt: skip
    assert all(index["Projection"] == {"ProjectionType": "ALL"} for index in indexes)
    assert properties["TimeToLiveSpecification"] == {"AttributeName": "expires_at", "Enabled": True}


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
