"""The table and the secret outlive mistakes, keep their names, and no secret's value is ever in a template."""

import json

from infra.deploy import KEPT, STACK_POLICY
from tests.infra.stack import Stack


def test_what_is_kept_has_its_name_within_the_stack_for_ever(stack: Stack) -> None:
    # From the first real deployment on these names are never changed: CloudFormation would make a new table beside the
    # old one, and orders that were voided would be voided again.
    names = stack.name("DynamoDB::Table"), stack.name("SecretsManager::Secret")
    assert names == ("OrdersTable", "ProviderCredentials")
    assert [*stack.of("KMS::Key")] in ([], ["DataKey"])


def test_what_is_kept_blocks_neither_a_first_deployment_that_fails_nor_the_next_one(stack: Stack) -> None:
    kept = {name: each for name, each in stack.resources.items() if each.get("DeletionPolicy", "Delete") != "Delete"}
    kinds = {"DynamoDB::Table", "SecretsManager::Secret", "Logs::LogGroup", "Lambda::Version"}
    kinds |= {"KMS::Key"} if stack.of("KMS::Key") else set()
    assert {each["Type"].removeprefix("AWS::") for each in kept.values()} == kinds
    for name, each in kept.items():
        # The table alone is left by a failed first deployment: its own deletion protection would refuse its deletion.
        policy = "Retain" if name == "OrdersTable" else "RetainExceptOnCreate"
        assert (each["DeletionPolicy"], each["UpdateReplacePolicy"]) == (policy, "Retain"), name
        # A fixed name would be taken already. A version names its function by reference.
        assert not [part for part, value in each["Properties"].items() if part.endswith("Name") and value == str(value)]
        assert "Name" not in each["Properties"], name
    for kind in kinds:
        assert len(stack.of(kind)) == sum(each["Type"] == f"AWS::{kind}" for each in kept.values())


def test_cloudformation_may_change_what_holds_data_and_never_replace_or_delete_it(stacks: dict[str, Stack]) -> None:
    every, only = {"Principal": "*", "Resource": "*"}, {"StringEquals": {"ResourceType": [*KEPT]}}
    assert STACK_POLICY["Statement"] == [
        every | {"Effect": "Allow", "Action": "Update:*"},
        every | {"Effect": "Deny", "Action": ["Update:Replace", "Update:Delete"], "Condition": only},
    ]
    assert set(KEPT) == {"AWS::DynamoDB::Table", "AWS::SecretsManager::Secret", "AWS::KMS::Key"}
    assert {*KEPT} <= {each["Type"] for each in stacks["every option"].resources.values()}


def test_the_table_can_be_restored_and_not_be_deleted_and_has_the_keys_that_the_functions_use(stack: Stack) -> None:
    table = stack.one("DynamoDB::Table")
    assert table["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert table["DeletionProtectionEnabled"] is True
    assert table["BillingMode"] == "PAY_PER_REQUEST"
    assert table["TimeToLiveSpecification"] == {"AttributeName": "expires_at", "Enabled": True}
    assert table["StreamSpecification"] == {"StreamViewType": "NEW_AND_OLD_IMAGES"}
    assert {"Key": "backup", "Value": "orders"} in table["Tags"], "for the account's own backup plan"
    # A local index could never be taken away again, and would double what each write costs.
    assert "LocalSecondaryIndexes" not in table
    types = {each["AttributeName"]: each["AttributeType"] for each in table["AttributeDefinitions"]}
    keys = {}
    for index in (table, *table["GlobalSecondaryIndexes"]):
        names = [key["AttributeName"] for key in index["KeySchema"]]
        copied = index.get("Projection", {}).get("ProjectionType")
        keys[index.get("IndexName", "")] = " ".join(f"{name}:{types.pop(name)}" for name in names), copied
    assert (keys, types) == ({
        "": ("pk:S sk:S", None),
        "due": ("due_pk:S due_at:N", "ALL"),
        "review": ("review_pk:S review_at:N", "ALL"),
        # Who lists a day reads each void by its key; to copy them whole would double what a write costs.
        "settled": ("settled_pk:S settled_at:S", "KEYS_ONLY"),
    }, {})  # fmt: skip


def test_the_secret_is_created_without_a_value(stack: Stack) -> None:
    secret = stack.one("SecretsManager::Secret")
    assert not {"SecretString", "GenerateSecretString"} & {*secret}
    # The only thing that CloudFormation could read a secret's value with; the merchant's own, of the posts, is the one.
    assert json.dumps(stack.template).count("resolve:secretsmanager") == len(stack.of("Events::Connection"))


def test_a_key_of_ones_own_covers_table_secret_variables_logs_and_topic(stacks: dict[str, Stack]) -> None:
    stack = stacks["every option"]
    arn = {"Fn::GetAtt": ["DataKey", "Arn"]}
    assert stack.one("KMS::Key")["EnableKeyRotation"] is True
    specification = {"KMSMasterKeyId": arn, "SSEEnabled": True, "SSEType": "KMS"}
    assert stack.one("DynamoDB::Table")["SSESpecification"] == specification
    assert stack.one("SecretsManager::Secret")["KmsKeyId"] == arn
    assert stack.one("SNS::Topic")["KmsMasterKeyId"] == arn
    assert [each["KmsKeyId"] for each in stack.all("Logs::LogGroup")] == [arn] * 6
    assert [each["KmsKeyArn"] for each in stack.functions.values()] == [arn] * 5
    # Only through the services that hold the data; the pipe may decrypt and no more: test_events.py.
    via = [f"{each}.eu-central-1.amazonaws.com" for each in ("dynamodb", "lambda", "secretsmanager")]
    grants = [each for each in stack.statements() if "kms:Encrypt" in each["Action"]]
    assert [each["Condition"] for each in grants] == [{"StringEquals": {"kms:ViaService": via}}] * 5
