"""What a restored copy may change: only what is missing, and only on demand. AWS's answers fit its own models."""

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from infra import restore
from infra.account import Account, Refused
from infra.environments import ENVIRONMENTS


def item(order: str, version: int) -> dict[str, Any]:
    return {"pk": {"S": f"pos#{order}"}, "sk": {"S": "ORDER"}, "version": {"N": str(version)}}


def key(order: str) -> dict[str, Any]:
    return {"pk": {"S": f"pos#{order}"}, "sk": {"S": "ORDER"}}


@pytest.fixture
def dynamodb(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stubber]:
    session = boto3.Session(aws_access_key_id="fake", aws_secret_access_key="fake", region_name="eu-central-1")
    with Stubber(session.client("dynamodb")) as stub, Stubber(session.client("cloudformation")) as stack:
        table = {
            "LogicalResourceId": "OrdersTable", "PhysicalResourceId": "orders", "ResourceType": "AWS::DynamoDB::Table",
            "LastUpdatedTimestamp": "2026-11-24T10:10:10Z", "ResourceStatus": "CREATE_COMPLETE",
        }  # fmt: skip
        stack.add_response("list_stack_resources", {"StackResourceSummaries": [table]})
        clients = {"dynamodb": stub.client, "cloudformation": stack.client}
        monkeypatch.setattr(Account, "_client", lambda _self, service: clients[service])
        yield stub
        stub.assert_no_pending_responses()


def holds(stub: Stubber, *items: dict[str, Any], after: str | None = None, more: bool = False) -> None:
    """One page of the copy: the one after an order, or the first."""
    last = {"LastEvaluatedKey": {name: items[-1][name] for name in ("pk", "sk")}} if more else {}
    start = {"ExclusiveStartKey": key(after)} if after is not None else {}
    stub.add_response("scan", {"Items": list(items), **last}, {"TableName": "copy", "ConsistentRead": True, **start})


def asked(stub: Stubber, order: str, *, there: bool) -> None:
    expected = {"TableName": "orders", "Key": key(order), "ConsistentRead": True, "ProjectionExpression": "pk"}
    stub.add_response("get_item", {"Item": {"pk": key(order)["pk"]}} if there else {}, expected)


def put(order: str, version: int) -> dict[str, Any]:
    return {"TableName": "orders", "Item": item(order, version), "ConditionExpression": "attribute_not_exists(pk)"}


def account() -> Account:
    return Account(ENVIRONMENTS["test"])


def test_a_rehearsal_counts_and_writes_nothing(dynamodb: Stubber) -> None:
    holds(dynamodb, item("1", 3), more=True)
    asked(dynamodb, "1", there=True)
    holds(dynamodb, item("2", 1), after="1")
    asked(dynamodb, "2", there=False)
    told = restore.restore(account(), "copy", write=False)
    assert told == "2 items in copy, 1 of them missing in orders, none written (--write does it)"


def test_what_is_missing_is_put_back_on_the_condition_that_it_still_is(dynamodb: Stubber) -> None:
    holds(dynamodb, item("1", 3), item("2", 1), item("3", 7))
    asked(dynamodb, "1", there=True)
    asked(dynamodb, "2", there=False)
    dynamodb.add_response("put_item", {}, put("2", 1))
    asked(dynamodb, "3", there=False)
    # A webhook made it between the question and the write: the newer one stays.
    dynamodb.add_client_error("put_item", "ConditionalCheckFailedException", expected_params=put("3", 7))
    told = restore.restore(account(), "copy", write=True)
    assert told == "3 items in copy, 2 of them missing in orders, 1 written"


def test_another_error_of_a_write_is_not_taken_for_an_item_that_is_there(dynamodb: Stubber) -> None:
    holds(dynamodb, item("1", 3))
    asked(dynamodb, "1", there=False)
    dynamodb.add_client_error("put_item", "AccessDeniedException", "not allowed", expected_params=put("1", 3))
    with pytest.raises(Refused, match="AWS refuses PutItem: not allowed"):
        restore.restore(account(), "copy", write=True)


def test_the_stacks_own_table_is_no_copy(dynamodb: Stubber) -> None:
    with pytest.raises(Refused, match="the stack's own table"):
        restore.restore(account(), "orders", write=True)
