"""What a restored copy may change: only what is missing, and only on demand. AWS's answers fit its own models."""

from typing import Any

import pytest
from botocore.stub import Stubber

from infra import restore
from tests.infra.conftest import Answers

TABLE = {
    "LogicalResourceId": "OrdersTable", "PhysicalResourceId": "orders", "ResourceType": "AWS::DynamoDB::Table",
    "LastUpdatedTimestamp": "2026-11-24T10:10:10Z", "ResourceStatus": "CREATE_COMPLETE",
}  # fmt: skip


COPY = {"TableName": "copy", "ConsistentRead": True}
RAN = [
    ("copy", {"1": "there", "2": "left"}, 0, "2 items in copy, 1 of them missing in orders, none written (--write does it)\n"),
    # A webhook made the third between the question and the write: the newer one stays.
    ("copy --write", {"1": "there", "2": "put", "3": "ConditionalCheckFailedException"}, 0,
     "3 items in copy, 2 of them missing in orders, 1 written\n"),
    ("copy --write", {"1": "AccessDeniedException"}, 1, "error: AWS refuses PutItem: not allowed\n"),
    ("orders --write", {}, 1, "error: orders is the stack's own table: name the restored copy\n"),
]  # fmt: skip


def plays(stub: Stubber, orders: dict[str, str]) -> None:
    """The copy, an order a page: whether it is there, left missing or put back, or why it cannot be."""
    start: dict[str, Any] = {}
    for order, became in orders.items():
        key = {"pk": {"S": f"pos#{order}"}, "sk": {"S": "ORDER"}}
        item, last = key | {"version": {"N": order}}, {} if order == max(orders) else {"LastEvaluatedKey": key}
        stub.add_response("scan", {"Items": [item], **last}, COPY | start)
        looked = {"TableName": "orders", "Key": key, "ConsistentRead": True, "ProjectionExpression": "pk"}
        stub.add_response("get_item", {"Item": {"pk": key["pk"]}} if became == "there" else {}, looked)
        put = {"TableName": "orders", "Item": item, "ConditionExpression": "attribute_not_exists(pk)"}
        if became == "put":
            stub.add_response("put_item", {}, put)
        elif became not in ("there", "left"):
            stub.add_client_error("put_item", became, "not allowed", expected_params=put)
        start = {"ExclusiveStartKey": key}


@pytest.mark.parametrize(("copy", "orders", "code", "says"), RAN)
def test_only_what_is_missing_is_put_back_and_only_on_demand(
    answers: Answers, capsys: pytest.CaptureFixture[str], copy: str, orders: dict[str, str], code: int, says: str
) -> None:
    answers("cloudformation").add_response("list_stack_resources", {"StackResourceSummaries": [TABLE]})
    plays(answers("dynamodb"), orders)
    assert restore.main(["test", "--from", *copy.split()]) == code
    assert "".join(capsys.readouterr()) == says
