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
from tests.integration.recorded import Vector, result_of, vectors, within

CREATE = {"ConditionExpression": "attribute_not_exists(pk)"}
ALL_OLD = {"ReturnValuesOnConditionCheckFailure": "ALL_OLD"}

type Item = dict[str, Any]
type Call = Callable[..., Any]


@pytest.fixture(scope="module")
def dynamodb(service: Service) -> Any:
    return service.client("dynamodb")


@pytest.fixture
def on_table(service: Service, dynamodb: Any) -> Call:
    """on_table("put_item", Item=…) on the deployed table -> the answer, or botocore's response if it was refused."""

    def call(operation: str, **arguments: Any) -> Any:
        try:
            return getattr(dynamodb, operation)(TableName=service.table_name, **arguments)
        except ClientError as error:
            return error.response

    return call


@pytest.fixture
def key() -> Item:
    return {"pk": {"S": f"contract#{uuid.uuid4()}"}, "sk": {"S": "ORDER"}}


def number(value: int) -> dict[str, str]:
    return {"N": str(value)}


def is_as_recorded(response: Any, name: str) -> bool:
    """By code and text, and by the status where that was recorded."""
    recorded = result_of(name)
    expected = recorded.get("Error") or {part: recorded[part] for part in ("Code", "Message")}
    status = response["ResponseMetadata"]["HTTPStatusCode"]
    return bool(response["Error"] == expected and recorded.get("http", status) == status)


# ---- conditional writes ----------------------------------------------------------------------------------------------


def test_a_failed_condition_returns_the_item_that_stood_against_it(on_table: Call, key: Item) -> None:
    item = {**key, "version": number(1)}
    change = {"Key": key, "UpdateExpression": "SET version = :next"}
    values = {"ExpressionAttributeValues": {":seen": number(7), ":next": number(8)}}
    seen = {"ConditionExpression": "version = :seen", **ALL_OLD}
    nothing = on_table("update_item", **change, **values, **seen)
    assert (is_as_recorded(nothing, "condition-failed-item"), "Item" in nothing) == (True, False)
    on_table("put_item", Item=item, **CREATE)
    for response in (
        on_table("put_item", Item=item, **CREATE, **ALL_OLD),
        on_table("update_item", **change, **values, **seen),
    ):
        assert (is_as_recorded(response, "condition-failed-item"), response["Item"]) == (True, item)


@pytest.mark.parametrize("operation", ["put_item", "update_item"])
def test_of_simultaneous_conditional_writes_exactly_one_wins(on_table: Call, operation: str) -> None:
    barrier, run = threading.Barrier(8), uuid.uuid4()
    once: Item = {
        "UpdateExpression": "SET version = if_not_exists(version, :zero) + :one",
        "ConditionExpression": "attribute_not_exists(version) OR version = :zero",
        "ExpressionAttributeValues": {":zero": number(0), ":one": number(1)},
    }

    def write(race: int) -> bool:
        item = {"pk": {"S": f"race#{run}#{race}"}, "sk": {"S": "ORDER"}}
        barrier.wait()
        said = on_table(operation, **({"Item": item} | CREATE if operation == "put_item" else {"Key": item} | once))
        return bool(said.get("Error", {}).get("Code") != "ConditionalCheckFailedException")

    with ThreadPoolExecutor(8) as pool:
        for race in range(20):
            assert sum(pool.map(write, [race] * 8)) == 1


def test_an_item_over_400_kb_is_refused(on_table: Call, key: Item) -> None:
    assert is_as_recorded(on_table("put_item", Item={**key, "text": {"S": "x" * 410_000}}), "item-too-large")
    assert "Error" not in on_table("put_item", Item={**key, "text": {"S": "x" * 390_000}})


# ---- indexes ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def due(on_table: Call) -> Item:
    """The query of a partition of its own with three items, due at 1, 2 and 3."""
    partition = f"contract-{uuid.uuid4()}"
    for at in (2, 1, 3):
        item = {"pk": {"S": f"{partition}#{at}"}, "sk": {"S": "ORDER"}}
        on_table("put_item", Item=item | {"due_pk": {"S": partition}, "due_at": number(at)})
    return {
        "IndexName": "due", "KeyConditionExpression": "due_pk = :pk AND due_at <= :now",
        "ExpressionAttributeValues": {":pk": {"S": partition}, ":now": number(2)},
    }  # fmt: skip


def test_what_a_query_of_an_index_may_not_ask_is_refused(on_table: Call, due: Item) -> None:
    assert is_as_recorded(on_table("query", **due, ConsistentRead=True), "query-consistent-gsi")
    start = on_table("query", **due, Limit=1)["LastEvaluatedKey"]
    for missing in start:
        rest = {name: value for name, value in start.items() if name != missing}
        assert is_as_recorded(on_table("query", **due, ExclusiveStartKey=rest), "start-key-missing-part"), missing
    for changed in ({"due_pk": {"S": "another"}}, {"due_at": number(5)}, {"due_at": {"N": "1" * 60}}):
        said = on_table("query", **due, ExclusiveStartKey=start | changed)
        # The engine says it in other words than AWS, so the code is all that may be relied on.
        assert said["Error"]["Code"] == result_of("start-key-other-partition")["Code"], changed


# ---- the stream ------------------------------------------------------------------------------------------------------


def changes(service: Service, key: Item) -> list[Any]:
    """What the stream says of an item."""
    streams, found = service.client("dynamodbstreams"), list[Any]()
    described = service.client("dynamodb").describe_table(TableName=service.table_name)
    stream = described["Table"]["LatestStreamArn"]
    for shard in streams.describe_stream(StreamArn=stream)["StreamDescription"]["Shards"]:
        start = {"StreamArn": stream, "ShardId": shard["ShardId"], "ShardIteratorType": "TRIM_HORIZON"}
        iterator, give_up = streams.get_shard_iterator(**start)["ShardIterator"], time.monotonic() + 10
        while iterator and time.monotonic() < give_up:
            page = streams.get_records(ShardIterator=iterator)
            found += page["Records"]
            iterator = page.get("NextShardIterator") if page["Records"] else None
    return [record for record in found if record["dynamodb"]["Keys"] == key]


def test_the_stream_tells_what_was_and_what_is(service: Service, on_table: Call, key: Item) -> None:
    one, two = {**key, "state": {"S": "submitting"}}, {**key, "state": {"S": "voided"}}
    for item in (one, one, two):
        on_table("put_item", Item=item)
    on_table("delete_item", Key=key)
    created = {"UpdateExpression": "SET version = :one", "ExpressionAttributeValues": {":one": number(1)}}
    on_table("update_item", Key=key, **created)
    assert result_of("stream-no-change-no-record")["records"] == 0
    seen = changes(service, key)
    images = [(each["dynamodb"].get("OldImage"), each["dynamodb"].get("NewImage")) for each in seen]
    assert images == [(None, one), (one, two), (two, None), (None, {**key, "version": number(1)})]
    names = ("stream-insert", "stream-modify", "stream-remove", "stream-update-creates")
    for change, recorded in zip(seen, map(result_of, names), strict=True):
        said = {name: recorded[name] for name in recorded.keys() & {"eventName", "eventSource", "eventVersion"}}
        assert within(said, change), recorded
        assert set(recorded.get("keys", ())) <= set(change), recorded
        assert not set(recorded.get("absent", ())) & {*change, *change["dynamodb"]}, recorded
    view = result_of("stream-insert")["dynamodb"]["StreamViewType"]
    assert {change["dynamodb"]["StreamViewType"] for change in seen} == {view}


@vectors("stream-filter-content-filter-type", "stream-filter-exists-filter-type", "stream-filter-exists-false-filter")
def test_the_filter_of_the_tests_passes_what_aws_passed(recorded: Vector) -> None:
    """The engine runs no pipe: tests/fakes/pipe.py stands for it."""
    request = recorded["request"]
    assert matches(request["pattern"], {"dynamodb": {"NewImage": request["NewImage"]}}) is recorded["result"]["passes"]


# ---- secrets ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def secrets(service: Service) -> Any:
    return service.client("secretsmanager")


def test_a_secret_that_is_not_there_is_not_found(secrets: Any) -> None:
    """A version that is not there has the same code in other words."""
    secret = secrets.create_secret(Name=f"contract-{uuid.uuid4()}", SecretString="one")["ARN"]
    for name, asked in {
        "secret-unknown": {"SecretId": "nobody"},
        "secret-missing-version": {"VersionId": str(uuid.UUID(int=0))},
        "secret-missing-stage": {"VersionStage": "AWSPREVIOUS"},
    }.items():
        with pytest.raises(ClientError) as refused:
            secrets.get_secret_value(**{"SecretId": secret} | asked)
        assert refused.value.response["Error"]["Code"] == result_of(name)["Code"]
        assert name != "secret-unknown" or is_as_recorded(refused.value.response, name)


def test_a_new_value_becomes_current_and_the_last_one_previous(secrets: Any) -> None:
    secret = secrets.create_secret(Name=f"contract-{uuid.uuid4()}")["ARN"]
    # AWS answers ResourceNotFoundException (secret-without-value): the unit tests of payments.secret have that.
    assert "SecretString" not in secrets.get_secret_value(SecretId=secret), "the engine still differs"
    recorded = result_of("secret-created-empty")["first put_secret_value"]
    put = [secrets.put_secret_value(SecretId=secret, SecretString=value) for value in ("one", "two", "three")]
    assert put[0]["VersionStages"] == recorded["VersionStages"]
    stages = ("AWSCURRENT", "AWSPREVIOUS")
    values = [secrets.get_secret_value(SecretId=secret, VersionStage=stage)["SecretString"] for stage in stages]
    assert values == ["three", "two"]


# ---- where the engine differs ----------------------------------------------------------------------------------------


def test_the_engine_still_takes_a_start_key_with_a_spare_attribute(on_table: Call, due: Item) -> None:
    """AWS refuses it (start-key-spare-attribute): payments.store asks for exactly the four."""
    start = on_table("query", **due, Limit=1)["LastEvaluatedKey"] | {"spare": {"S": "x"}}
    assert on_table("query", **due, ExclusiveStartKey=start)["Items"]


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
