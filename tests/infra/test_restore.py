"""What a restored copy may change: only what is missing, and only on demand. AWS's answers fit its own models."""

from typing import Any

import pytest
from botocore.stub import Stubber

from infra import restore
from infra.account import Account, Refused
from infra.environments import ENVIRONMENTS
from tests.infra.conftest import Answers

TABLE = {
    "LogicalResourceId": "OrdersTable", "PhysicalResourceId": "orders", "ResourceType": "AWS::DynamoDB::Table",
    "LastUpdatedTimestamp": "2026-11-24T10:10:10Z", "ResourceStatus": "CREATE_COMPLETE",
}  # fmt: skip


def key(order: str) -> dict[str, Any]:
    return {"pk": {"S": f"pos#{order}"}, "sk": {"S": "ORDER"}}


def item(order: str) -> dict[str, Any]:
    return key(order) | {"version": {"N": order}}


@pytest.fixture
def dynamodb(answers: Answers) -> Stubber:
    answers("cloudformation").add_response("list_stack_resources", {"StackResourceSummaries": [TABLE]})
    return answers("dynamodb")


def page(stub: Stubber, *orders: str, after: str | None = None, more: bool = False) -> None:
    """One page of the copy: the one after an order, or the first."""
    last = {"LastEvaluatedKey": key(orders[-1])} if more else {}
    start = {"ExclusiveStartKey": key(after)} if after is not None else {}
    expected = {"TableName": "copy", "ConsistentRead": True, **start}
    stub.add_response("scan", {"Items": [*map(item, orders)], **last}, expected)


def asked(stub: Stubber, order: str, *, there: bool) -> None:
    expected = {"TableName": "orders", "Key": key(order), "ConsistentRead": True, "ProjectionExpression": "pk"}
    stub.add_response("get_item", {"Item": {"pk": key(order)["pk"]}} if there else {}, expected)


def put(order: str) -> dict[str, Any]:
    return {"TableName": "orders", "Item": item(order), "ConditionExpression": "attribute_not_exists(pk)"}


def restored(*, write: bool, copy: str = "copy") -> str:
    return restore.restore(Account(ENVIRONMENTS["test"]), copy, write=write)


def test_a_rehearsal_counts_page_by_page_and_writes_nothing(dynamodb: Stubber) -> None:
    page(dynamodb, "1", more=True)
    asked(dynamodb, "1", there=True)
    page(dynamodb, "2", after="1")
    asked(dynamodb, "2", there=False)
    assert restored(write=False) == "2 items in copy, 1 of them missing in orders, none written (--write does it)"


def test_what_is_missing_is_put_back_on_the_condition_that_it_still_is(dynamodb: Stubber) -> None:
    page(dynamodb, "1", "2", "3")
    asked(dynamodb, "1", there=True)
    asked(dynamodb, "2", there=False)
    dynamodb.add_response("put_item", {}, put("2"))
    asked(dynamodb, "3", there=False)
    # A webhook made it between the question and the write: the newer one stays.
    dynamodb.add_client_error("put_item", "ConditionalCheckFailedException", expected_params=put("3"))
    assert restored(write=True) == "3 items in copy, 2 of them missing in orders, 1 written"


def test_another_error_of_a_write_is_not_taken_for_an_item_that_is_there(dynamodb: Stubber) -> None:
    page(dynamodb, "1")
    asked(dynamodb, "1", there=False)
    dynamodb.add_client_error("put_item", "AccessDeniedException", "not allowed", expected_params=put("1"))
    with pytest.raises(Refused, match="AWS refuses PutItem: not allowed"):
        restored(write=True)


def test_the_stacks_own_table_is_no_copy(dynamodb: Stubber) -> None:
    with pytest.raises(Refused, match="the stack's own table"):
        restored(write=True, copy="orders")
