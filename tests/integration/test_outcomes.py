"""How an outcome leaves on this machine: the deployed stream, and the template's own pipe by local/outcomes.py.

The engine does not run the pipe; the last test here fails when it does.
"""

import json
from typing import Any
from urllib.parse import quote, unquote
from uuid import uuid4

import pytest

from local import aws
from local.merchant import send
from local.service import Service
from tests.integration.client import Client, eventually


def events_of(client: Client, order_id: str) -> list[dict[str, Any]]:
    """All that has left of an order, oldest first: what is voided now leaves after it."""
    client.submit(last := client.hold(webhook="none"))

    def details() -> list[dict[str, Any]]:
        shown = send("GET", f"{client.service.url}/console/events.json").json["events"]
        return [each["event"]["detail"] for each in shown]

    left = eventually(details, lambda left: any(each["order_id"] == last for each in left))
    return [each for each in left if unquote(each["order_id"], errors="strict") == order_id]


def do(client: Client, order_id: str, step: str) -> None:
    """`submit`, with a key; `webhooks` have come, so many; the `portal` voids; a row of the order `announced`."""
    what, _, more = step.partition(":")
    match what:
        case "submit":
            client.submit(order_id, more or None)
        case "webhooks":
            eventually(lambda: client.ledger(order_id), lambda ledger: len(ledger["webhooks"]) == int(more))
        case "portal":
            client.sandbox("POST", f"orders/{order_id}/void")
        case "announced":
            row = client.ledger(order_id)["operations"][int(more)]
            assert client.webhook(**client.sandbox("POST", "sign", {"data": row})).status == 200


@pytest.mark.parametrize(("faults", "steps", "leaves"), [
    pytest.param({"webhook": "before_answer"}, "submit webhooks:1", ["voided 1"], id="the webhook comes first"),
    pytest.param({"webhook": "twice"}, "submit webhooks:2", ["voided 1"], id="two webhooks"),
    pytest.param({"webhook": "success_then_failure"}, "submit webhooks:2", ["voided 1"], id="a webhook that contradicts"),
    pytest.param({"answer": "pending", "webhook": "none"}, "submit", [], id="an open void"),
    pytest.param({"answer": "http_400", "webhook": "none"}, "submit:first submit:first submit:second",
                 ["failed refused 1", "voided 2"], id="a failure, and the next attempt"),
    pytest.param({"answer": "failure", "webhook": "failure_then_success"}, "submit webhooks:2",
                 ["failed refused 1", "voided 1 corrected"], id="a correction"),
    pytest.param({"webhook": "none"}, "portal announced:1", ["voided 0"], id="only the provider knew of it"),
    # The item is there, and has no state, when the void's webhook comes.
    pytest.param({"webhook": "none"}, "portal announced:0 announced:1", ["voided 0"], id="the hold was announced before"),
])  # fmt: skip
def test_each_change_into_a_settled_state_leaves_once(
    client: Client, faults: dict[str, str], steps: str, leaves: list[str]
) -> None:
    order_id = client.hold(**faults)
    for step in steps.split():
        do(client, order_id, step)
    events = events_of(client, order_id)
    told = [(each["state"], each["reason"], each["attempt"], "corrected" * each["corrected"]) for each in events]
    assert [" ".join(filter(None, each)) for each in told] == leaves
    assert len({each["id"] for each in events}) == len(events)
    assert (versions := [int(each["version"]) for each in events]) == sorted(set(versions))


def test_an_event_says_what_the_record_says_and_an_order_leaves_encoded(client: Client) -> None:
    order_id = f'{uuid4().hex[:12]} "7/2" é\\ 🍵'  # so that nothing in it has to be escaped
    client.sandbox("POST", "holds", {"order_id": order_id, "amount": 100, "currency": "UAH"})
    void = client.submit(order_id).json
    (event,) = events_of(client, order_id)
    assert len(event.pop("id")) > 16
    assert event == {
        "order_id": quote(order_id, safe=""), "state": "voided", "reason": "", "attempt": "1", "by": "provider",
        "version": str(void["version"]), "settled_at": void["settled_at"], "review": False, "corrected": False,
        "order_currency": "UAH",
    }  # fmt: skip
    elsewhere = {"Origin": "https://elsewhere.invalid"}
    assert send("GET", f"{client.service.url}/console/events.json", headers=elsewhere).status == 403


def test_the_engines_pipes_still_do_not_filter(service: Service) -> None:
    """When this fails, deploy AWS::Pipes::Pipe locally (`local.aws.refused_by_the_engine`): local/outcomes.py can go."""
    name = f"pipe-{uuid4().hex}"
    dynamodb, sns, sqs, pipes = (service.client(each) for each in ("dynamodb", "sns", "sqs", "pipes"))
    stream = dynamodb.create_table(
        TableName=name, AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}], BillingMode="PAY_PER_REQUEST",
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
    )["TableDescription"]["LatestStreamArn"]  # fmt: skip
    topic, queue = sns.create_topic(Name=name)["TopicArn"], f"arn:aws:sqs:{service.region}:{aws.ACCOUNT}:{name}"
    anyone = {"Effect": "Allow", "Principal": "*", "Action": "sqs:SendMessage", "Resource": queue}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [anyone]})
    url = sqs.create_queue(QueueName=name, Attributes={"Policy": policy})["QueueUrl"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue, Attributes={"RawMessageDelivery": "true"})
    source = {
        "DynamoDBStreamParameters": {"StartingPosition": "TRIM_HORIZON"},
        "FilterCriteria": {"Filters": [{"Pattern": json.dumps({"eventName": ["REMOVE"]})}]},
    }
    role = f"arn:aws:iam::{aws.ACCOUNT}:role/pipe"
    pipes.create_pipe(Name=name, RoleArn=role, Source=stream, Target=topic, SourceParameters=source)
    dynamodb.put_item(TableName=name, Item={"pk": {"S": "1"}})
    (message,) = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=20)["Messages"]
    assert json.loads(message["Body"])["eventName"] == "INSERT"
    pipes.delete_pipe(Name=name)
    dynamodb.delete_table(TableName=name)
