"""The meter of the cost table, before the real engine: what it counts is what was stored."""

import uuid
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from local.service import Service
from proof.benchmarks.meter import Meter


@pytest.fixture
def meter(service: Service) -> Iterator[Meter]:
    with Meter(service.aws_endpoint, service.client("dynamodb")).running() as meter:
        yield meter


@pytest.fixture
def table(service: Service, meter: Meter) -> Any:
    """The deployed table, through the meter."""
    client: Any = boto3.client(
        "dynamodb",
        endpoint_url=meter.url,
        region_name=service.region,
        aws_access_key_id=service.admin_credentials[0],
        aws_secret_access_key=service.admin_credentials[1],
        config=Config(retries={"total_max_attempts": 1}),
    )
    return client


def item(length: int, **more: Any) -> dict[str, Any]:
    return {"pk": {"S": f"meter#{uuid.uuid4()}"}, "sk": {"S": "VOID"}, "text": {"S": "x" * length}, **more}


def due(item: dict[str, Any], at: int) -> dict[str, Any]:
    return {**item, "due_pk": {"S": "METER"}, "due_at": {"N": str(at)}}


def test_a_write_costs_its_size_and_its_indexes(service: Service, meter: Meter, table: Any) -> None:
    new = item(1_500)
    table.put_item(TableName=service.table_name, Item=due(new, 1))
    assert meter.take().writes == {"table": 2, "due": 2}
    table.put_item(TableName=service.table_name, Item=due(new, 2))
    assert meter.take().writes == {"table": 2, "due": 4}
    table.put_item(TableName=service.table_name, Item=new)
    assert meter.take().writes == {"table": 2, "due": 2}
    table.update_item(
        TableName=service.table_name, Key={name: new[name] for name in ("pk", "sk")},
        UpdateExpression="SET more = :more", ExpressionAttributeValues={":more": {"S": "y" * 1_000}},
    )  # fmt: skip
    assert meter.take().writes == {"table": 3}


def test_a_refused_write_costs_what_is_there(service: Service, meter: Meter, table: Any) -> None:
    new = item(2_500)
    table.put_item(TableName=service.table_name, Item=new)
    meter.take()
    with pytest.raises(ClientError, match="ConditionalCheckFailed"):
        table.put_item(
            TableName=service.table_name, Item={**new, "text": {"S": ""}},
            ConditionExpression="attribute_not_exists(pk)",
        )  # fmt: skip
    assert meter.take().writes == {"table": 3}


def test_a_read_costs_what_it_found(service: Service, meter: Meter, table: Any) -> None:
    new = item(5_000)
    table.put_item(TableName=service.table_name, Item=new)
    meter.take()
    where = {name: new[name] for name in ("pk", "sk")}
    table.get_item(TableName=service.table_name, Key=where, ConsistentRead=True)
    table.get_item(TableName=service.table_name, Key=where)
    used = meter.take()
    assert used.reads == 2 + 1
    assert used.calls == {"GetItem": 2}
    assert "x" * 5_000 in used.answers["GetItem"]
