"""What the service relies on in the table and secret engines; an upgrade or another engine shows here what changed.

Also holds what the local deployment works around: a test that fails here is a workaround that can go.
"""

import json
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local import aws
from local.assembly import assembly, template
from local.service import Service


@pytest.fixture(scope="module")
def dynamodb(service: Service) -> Any:
    return service.client("dynamodb")


@pytest.fixture
def key() -> dict[str, Any]:
    return {"pk": {"S": f"contract#{uuid.uuid4()}"}, "sk": {"S": "VOID"}}


def test_a_refused_condition_returns_the_item_that_stood_against_it(
    service: Service, dynamodb: Any, key: dict[str, Any]
) -> None:
    item = {**key, "version": {"N": "1"}}
    put = {"TableName": service.table_name, "ReturnValuesOnConditionCheckFailure": "ALL_OLD"}
    dynamodb.put_item(Item=item, ConditionExpression="attribute_not_exists(pk)", **put)
    with pytest.raises(ClientError) as refused:
        dynamodb.put_item(Item=item, ConditionExpression="attribute_not_exists(pk)", **put)
    assert refused.value.response["Error"]["Code"] == "ConditionalCheckFailedException"
    assert dict(refused.value.response)["Item"] == item


def test_a_cancelled_transaction_names_its_reasons_and_writes_nothing(
    service: Service, dynamodb: Any, key: dict[str, Any]
) -> None:
    dynamodb.put_item(TableName=service.table_name, Item=key)
    new = {**key, "sk": {"S": "EVENT#1"}}
    put = {"TableName": service.table_name, "ConditionExpression": "attribute_not_exists(pk)"}
    with pytest.raises(ClientError) as cancelled:
        dynamodb.transact_write_items(
            TransactItems=[
                {"Put": {**put, "Item": new}},
                {"Put": {**put, "Item": key, "ReturnValuesOnConditionCheckFailure": "ALL_OLD"}},
            ]
        )
    reasons = cancelled.value.response["CancellationReasons"]
    assert [reason["Code"] for reason in reasons] == ["None", "ConditionalCheckFailed"]
    assert reasons[1]["Item"] == key
    assert "Item" not in dynamodb.get_item(TableName=service.table_name, Key=new)


@pytest.mark.parametrize("operation", ["put", "update"])
def test_of_simultaneous_conditional_writes_exactly_one_wins(service: Service, dynamodb: Any, operation: str) -> None:
    barrier = threading.Barrier(8)

    def write(race: int) -> bool:
        item = {"pk": {"S": f"race#{run}#{race}"}, "sk": {"S": "VOID"}}
        barrier.wait()
        try:
            if operation == "put":
                dynamodb.put_item(
                    TableName=service.table_name, Item=item, ConditionExpression="attribute_not_exists(pk)"
                )
            else:
                dynamodb.update_item(
                    TableName=service.table_name,
                    Key=item,
                    UpdateExpression="SET version = if_not_exists(version, :zero) + :one",
                    ConditionExpression="attribute_not_exists(version) OR version = :zero",
                    ExpressionAttributeValues={":zero": {"N": "0"}, ":one": {"N": "1"}},
                )
        except dynamodb.exceptions.ConditionalCheckFailedException:
            return False
        return True

    run = uuid.uuid4()
    with ThreadPoolExecutor(8) as pool:
        for race in range(20):
            assert sum(pool.map(write, [race] * 8)) == 1


def test_an_index_holds_only_items_with_its_attributes(service: Service, dynamodb: Any, key: dict[str, Any]) -> None:
    partition = f"contract-{uuid.uuid4()}"
    due = {**key, "due_pk": {"S": partition}, "due_at": {"N": "5"}}

    def listed() -> list[Any]:
        answer = dynamodb.query(
            TableName=service.table_name,
            IndexName="due",
            KeyConditionExpression="due_pk = :pk AND due_at <= :now",
            ExpressionAttributeValues={":pk": {"S": partition}, ":now": {"N": "5"}},
        )
        found: list[Any] = answer["Items"]
        return found

    dynamodb.put_item(TableName=service.table_name, Item=due)
    assert listed() == [due]
    dynamodb.update_item(TableName=service.table_name, Key=key, UpdateExpression="REMOVE due_pk, due_at")
    assert listed() == []


def test_a_new_value_makes_the_last_one_previous(service: Service) -> None:
    secrets = service.client("secretsmanager")
    name = secrets.create_secret(Name=f"contract-{uuid.uuid4()}")["ARN"]
    # AWS has no current version yet (ResourceNotFoundException); the engine answers without a value: both mean none.
    assert "SecretString" not in secrets.get_secret_value(SecretId=name)
    for value in ("one", "two", "three"):
        secrets.put_secret_value(SecretId=name, SecretString=value)
    stages = ("AWSCURRENT", "AWSPREVIOUS")
    assert [secrets.get_secret_value(SecretId=name, VersionStage=stage)["SecretString"] for stage in stages] == [
        "three",
        "two",
    ]


def test_the_engine_still_resolves_ref_of_a_secret_to_its_name(service: Service) -> None:
    """When this fails, secret_references_as_arns can go."""
    cloudformation = service.client("cloudformation")
    body = {
        "Resources": {"Secret": {"Type": "AWS::SecretsManager::Secret", "Properties": {}}},
        "Outputs": {"Ref": {"Value": {"Ref": "Secret"}}, "Id": {"Value": {"Fn::GetAtt": ["Secret", "Id"]}}},
    }
    cloudformation.create_stack(StackName="secret-reference", TemplateBody=json.dumps(body))
    cloudformation.get_waiter("stack_create_complete").wait(StackName="secret-reference", WaiterConfig={"Delay": 1})
    outputs = cloudformation.describe_stacks(StackName="secret-reference")["Stacks"][0]["Outputs"]
    values = {output["OutputKey"]: output["OutputValue"] for output in outputs}
    assert values["Id"].startswith("arn:aws:secretsmanager:")
    assert not values["Ref"].startswith("arn:")


def test_only_alarms_are_left_out_locally() -> None:
    declared = template(assembly(print))
    left_out = {declared["Resources"][name]["Type"] for name in aws.refused_by_the_engine(declared)}
    assert left_out <= {"AWS::CloudWatch::Alarm"}
