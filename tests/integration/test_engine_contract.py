"""What the service relies on in the table and secret engines; an upgrade or another engine shows here what changed.

The shapes are those that others recorded of AWS. Also holds where the engine answers otherwise, and what the local
deployment works around: a test that fails here is a difference or a workaround that can go.
"""

import json
import threading
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local import aws
from local.assembly import assembly, template
from local.service import Service
from tests.fakes.pipe import matches
from tests.integration.recorded import Vector, vector, vectors

CREATE = "attribute_not_exists(pk)"
ALL_OLD = {"ReturnValuesOnConditionCheckFailure": "ALL_OLD"}


@pytest.fixture(scope="module")
def dynamodb(service: Service) -> Any:
    return service.client("dynamodb")


@pytest.fixture(scope="module")
def secrets(service: Service) -> Any:
    return service.client("secretsmanager")


@pytest.fixture(scope="module")
def table(service: Service) -> str:
    return service.table_name


@pytest.fixture
def key() -> dict[str, Any]:
    return {"pk": {"S": f"contract#{uuid.uuid4()}"}, "sk": {"S": "ORDER"}}


def refused(call: Callable[[], object]) -> Any:
    """botocore's response to a call that must fail."""
    with pytest.raises(ClientError) as error:
        call()
    return error.value.response


# ---- conditional writes ----------------------------------------------------------------------------------------------


def test_a_failed_condition_returns_the_item_that_stood_against_it(
    dynamodb: Any, table: str, key: dict[str, Any]
) -> None:
    recorded = vector("condition-failed-item")["result"]
    item = {**key, "version": {"N": "1"}}
    put = {"TableName": table, "Item": item, "ConditionExpression": CREATE, **ALL_OLD}
    dynamodb.put_item(**put)
    update = {
        "TableName": table,
        "Key": key,
        "UpdateExpression": "SET version = :next",
        "ConditionExpression": "version = :seen",
        "ExpressionAttributeValues": {":seen": {"N": "7"}, ":next": {"N": "8"}},
        **ALL_OLD,
    }
    for response in (refused(lambda: dynamodb.put_item(**put)), refused(lambda: dynamodb.update_item(**update))):
        assert response["Error"] == recorded["Error"]
        assert response["ResponseMetadata"]["HTTPStatusCode"] == recorded["http"]
        assert response["Item"] == item


def test_a_failed_condition_on_nothing_returns_no_item(dynamodb: Any, table: str, key: dict[str, Any]) -> None:
    update = {"Key": key, "UpdateExpression": "SET version = :one", "ConditionExpression": "attribute_exists(pk)"}
    values = {"ExpressionAttributeValues": {":one": {"N": "1"}}}
    assert "Item" not in refused(lambda: dynamodb.update_item(TableName=table, **update, **values, **ALL_OLD))


@pytest.mark.parametrize("operation", ["put", "update"])
def test_of_simultaneous_conditional_writes_exactly_one_wins(dynamodb: Any, table: str, operation: str) -> None:
    barrier = threading.Barrier(8)

    def write(race: int) -> bool:
        item = {"pk": {"S": f"race#{run}#{race}"}, "sk": {"S": "ORDER"}}
        barrier.wait()
        try:
            if operation == "put":
                dynamodb.put_item(TableName=table, Item=item, ConditionExpression=CREATE)
            else:
                dynamodb.update_item(
                    TableName=table,
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


def test_an_item_over_400_kb_is_refused(dynamodb: Any, table: str, key: dict[str, Any]) -> None:
    recorded = vector("item-too-large")["result"]
    error = refused(lambda: dynamodb.put_item(TableName=table, Item={**key, "text": {"S": "x" * 410_000}}))["Error"]
    assert (error["Code"], error["Message"]) == (recorded["Code"], recorded["Message"])
    dynamodb.put_item(TableName=table, Item={**key, "text": {"S": "x" * 390_000}})


# ---- indexes ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def due(dynamodb: Any, table: str) -> dict[str, Any]:
    """The query of a partition of its own with three items, due at 1, 2 and 3."""
    partition = f"contract-{uuid.uuid4()}"
    for at in (2, 1, 3):
        item = {
            "pk": {"S": f"{partition}#{at}"},
            "sk": {"S": "ORDER"},
            "due_pk": {"S": partition},
            "due_at": number(at),
        }
        dynamodb.put_item(TableName=table, Item=item)
    return {
        "TableName": table,
        "IndexName": "due",
        "KeyConditionExpression": "due_pk = :pk AND due_at <= :now",
        "ExpressionAttributeValues": {":pk": {"S": partition}, ":now": number(2)},
    }


def number(value: int) -> dict[str, str]:
    return {"N": str(value)}


def test_an_index_holds_only_items_with_its_attributes(
    dynamodb: Any, table: str, key: dict[str, Any], due: dict[str, Any]
) -> None:
    assert [item["due_at"]["N"] for item in dynamodb.query(**due)["Items"]] == ["1", "2"]
    partition = due["ExpressionAttributeValues"][":pk"]
    dynamodb.put_item(TableName=table, Item={**key, "due_pk": partition, "due_at": number(0)})
    assert len(dynamodb.query(**due)["Items"]) == 3
    dynamodb.put_item(TableName=table, Item=key)  # the whole item again, without them
    assert len(dynamodb.query(**due)["Items"]) == 2


def test_a_query_goes_on_after_its_start_key(dynamodb: Any, due: dict[str, Any]) -> None:
    first = dynamodb.query(**due, Limit=1)
    assert set(first["LastEvaluatedKey"]) == {"pk", "sk", "due_pk", "due_at"}
    second = dynamodb.query(**due, Limit=1, ExclusiveStartKey=first["LastEvaluatedKey"])
    assert [item["due_at"]["N"] for item in first["Items"] + second["Items"]] == ["1", "2"]


def test_a_global_index_cannot_be_read_consistently(dynamodb: Any, due: dict[str, Any]) -> None:
    recorded = vector("query-consistent-gsi")["result"]
    response = refused(lambda: dynamodb.query(**due, ConsistentRead=True))
    assert response["Error"] == {name: recorded[name] for name in ("Code", "Message")}
    assert response["ResponseMetadata"]["HTTPStatusCode"] == recorded["http"]


@pytest.mark.parametrize("missing", ["pk", "sk", "due_pk", "due_at"])
def test_a_start_key_without_one_of_its_parts_is_refused(dynamodb: Any, due: dict[str, Any], missing: str) -> None:
    recorded = vector("start-key-missing-part")["result"]
    start = dynamodb.query(**due, Limit=1)["LastEvaluatedKey"]
    start.pop(missing)
    response = refused(lambda: dynamodb.query(**due, ExclusiveStartKey=start))
    assert response["Error"] == recorded


@pytest.mark.parametrize("changed", [{"due_pk": {"S": "another"}}, {"due_at": {"N": "5"}}, {"due_at": {"N": "1" * 60}}])
def test_a_start_key_of_elsewhere_is_refused(dynamodb: Any, due: dict[str, Any], changed: dict[str, Any]) -> None:
    """The engine says it in other words than AWS, so the code is all that may be relied on."""
    recorded = vector("start-key-other-partition")["result"]
    start = dynamodb.query(**due, Limit=1)["LastEvaluatedKey"]
    assert (
        refused(lambda: dynamodb.query(**due, ExclusiveStartKey=start | changed))["Error"]["Code"] == recorded["Code"]
    )


# ---- the stream ------------------------------------------------------------------------------------------------------


@pytest.fixture
def changes(service: Service, dynamodb: Any, table: str) -> Callable[[dict[str, Any]], list[Any]]:
    """What the stream says of an item."""
    streams = service.client("dynamodbstreams")
    stream = dynamodb.describe_table(TableName=table)["Table"]["LatestStreamArn"]

    def of(key: dict[str, Any]) -> list[Any]:
        found: list[Any] = []
        for shard in streams.describe_stream(StreamArn=stream)["StreamDescription"]["Shards"]:
            start = {"StreamArn": stream, "ShardId": shard["ShardId"], "ShardIteratorType": "TRIM_HORIZON"}
            iterator, give_up = streams.get_shard_iterator(**start)["ShardIterator"], time.monotonic() + 10
            while iterator and time.monotonic() < give_up:
                page = streams.get_records(ShardIterator=iterator)
                found += page["Records"]
                iterator = page.get("NextShardIterator") if page["Records"] else None
        return [record for record in found if record["dynamodb"]["Keys"] == key]

    return of


def test_the_stream_tells_what_was_and_what_is(
    dynamodb: Any, table: str, key: dict[str, Any], changes: Callable[[dict[str, Any]], list[Any]]
) -> None:
    one, two = {**key, "state": {"S": "submitting"}}, {**key, "state": {"S": "voided"}}
    for item in (one, one, two):
        dynamodb.put_item(TableName=table, Item=item)
    dynamodb.delete_item(TableName=table, Key=key)
    assert vector("stream-no-change-no-record")["result"]["records"] == 0
    insert, modify, remove = changes(key)

    recorded = vector("stream-insert")["result"]
    assert set(recorded["keys"]) <= set(insert)
    assert {name: insert[name] for name in ("eventName", "eventSource", "eventVersion")} == {
        name: recorded[name] for name in ("eventName", "eventSource", "eventVersion")
    }
    assert insert["dynamodb"]["StreamViewType"] == recorded["dynamodb"]["StreamViewType"]
    assert insert["dynamodb"]["NewImage"] == one
    assert not set(recorded["absent"]) & {*insert, *insert["dynamodb"]}

    assert modify["eventName"] == vector("stream-modify")["result"]["eventName"]
    assert (modify["dynamodb"]["OldImage"], modify["dynamodb"]["NewImage"]) == (one, two)

    recorded = vector("stream-remove")["result"]
    assert remove["eventName"] == recorded["eventName"]
    assert remove["dynamodb"]["OldImage"] == two
    assert not set(recorded["absent"]) & {*remove, *remove["dynamodb"]}


def test_an_update_that_creates_is_an_insert(
    dynamodb: Any, table: str, key: dict[str, Any], changes: Callable[[dict[str, Any]], list[Any]]
) -> None:
    values = {":one": {"N": "1"}}
    dynamodb.update_item(
        TableName=table, Key=key, UpdateExpression="SET version = :one", ExpressionAttributeValues=values
    )
    assert [change["eventName"] for change in changes(key)] == [vector("stream-update-creates")["result"]["eventName"]]


@vectors("stream-filter-content-filter-type", "stream-filter-exists-filter-type", "stream-filter-exists-false-filter")
def test_the_filter_of_the_tests_passes_what_aws_passed(recorded: Vector) -> None:
    """The engine runs no pipe: tests/fakes/pipe.py stands for it."""
    request = recorded["request"]
    assert matches(request["pattern"], {"dynamodb": {"NewImage": request["NewImage"]}}) is recorded["result"]["passes"]


# ---- secrets ---------------------------------------------------------------------------------------------------------


def test_an_unknown_secret_is_not_found(secrets: Any) -> None:
    recorded = vector("secret-unknown")["result"]
    response = refused(lambda: secrets.get_secret_value(SecretId="nobody"))
    assert response["Error"] == {name: recorded[name] for name in ("Code", "Message")}
    assert response["ResponseMetadata"]["HTTPStatusCode"] == recorded["http"]


def test_a_version_that_is_not_there_has_the_same_code(secrets: Any) -> None:
    recorded = vector("secret-missing-version")["result"]
    name = secrets.create_secret(Name=f"contract-{uuid.uuid4()}", SecretString="one")["ARN"]
    response = refused(lambda: secrets.get_secret_value(SecretId=name, VersionId=str(uuid.UUID(int=0))))
    assert response["Error"]["Code"] == recorded["Code"]


def test_a_stage_that_no_version_has_is_not_found(secrets: Any) -> None:
    recorded = vector("secret-missing-stage")["result"]
    name = secrets.create_secret(Name=f"contract-{uuid.uuid4()}", SecretString="one")["ARN"]
    response = refused(lambda: secrets.get_secret_value(SecretId=name, VersionStage="AWSPREVIOUS"))
    assert response["Error"]["Code"] == recorded["Code"]


def test_a_new_value_becomes_current_and_the_last_one_previous(secrets: Any) -> None:
    recorded = vector("secret-created-empty")["result"]
    name = secrets.create_secret(Name=f"contract-{uuid.uuid4()}")["ARN"]
    first = secrets.put_secret_value(SecretId=name, SecretString="one")
    assert first["VersionStages"] == recorded["first put_secret_value"]["VersionStages"]
    for value in ("two", "three"):
        secrets.put_secret_value(SecretId=name, SecretString=value)
    stages = ("AWSCURRENT", "AWSPREVIOUS")
    assert [secrets.get_secret_value(SecretId=name, VersionStage=stage)["SecretString"] for stage in stages] == [
        "three",
        "two",
    ]


# ---- where the engine differs ----------------------------------------------------------------------------------------


def test_the_engine_still_answers_a_secret_without_a_value(secrets: Any) -> None:
    """AWS answers ResourceNotFoundException (secret-without-value): the unit tests of payments.secret have that."""
    name = secrets.create_secret(Name=f"contract-{uuid.uuid4()}")["ARN"]
    assert "SecretString" not in secrets.get_secret_value(SecretId=name)


def test_the_engine_still_takes_a_start_key_with_a_spare_attribute(dynamodb: Any, due: dict[str, Any]) -> None:
    """AWS refuses it (start-key-spare-attribute): payments.store asks for exactly the four."""
    start = dynamodb.query(**due, Limit=1)["LastEvaluatedKey"] | {"spare": {"S": "x"}}
    assert dynamodb.query(**due, ExclusiveStartKey=start)["Items"]


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


def test_only_alarms_and_the_pipe_are_left_out_locally() -> None:
    declared = template(assembly(print))
    left_out = {declared["Resources"][name]["Type"] for name in aws.refused_by_the_engine(declared)}
    assert left_out <= {"AWS::CloudWatch::Alarm", "AWS::Pipes::Pipe"}
