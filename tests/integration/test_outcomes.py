"""How the outcome leaves, as far as the local engine goes: the deployed stream and bus, and the filter over real records.

Between them a pipe is missing, which the engine does not run; the last test here fails when it does.
"""

import json
from typing import Any
from urllib.parse import quote, unquote
from uuid import uuid4

import pytest

from infra import settled_event
from local import aws
from local.service import Service
from tests.fakes import pipe
from tests.integration.client import Client, eventually


@pytest.fixture
def client(service: Service) -> Client:
    return Client(service)


def records(service: Service, table: str, partition: str) -> list[dict[str, Any]]:
    """What the table's stream has of one partition, oldest first."""
    streams = service.client("dynamodbstreams")
    (stream,) = streams.list_streams(TableName=table)["Streams"]
    described = streams.describe_stream(StreamArn=stream["StreamArn"])["StreamDescription"]
    assert described["StreamViewType"] == "NEW_AND_OLD_IMAGES"
    found: list[dict[str, Any]] = []
    for shard in described["Shards"]:
        iterator: str | None = streams.get_shard_iterator(
            StreamArn=stream["StreamArn"], ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
        )["ShardIterator"]
        while iterator:
            answer = streams.get_records(ShardIterator=iterator)
            found += answer["Records"]
            iterator = answer.get("NextShardIterator") if answer["Records"] else None
    mine = [each for each in found if each["dynamodb"]["Keys"]["pk"]["S"].endswith(partition)]
    read: list[dict[str, Any]] = json.loads(json.dumps(mine, default=str))
    return read


def leaving(service: Service, order_id: str) -> list[dict[str, Any]]:
    """The records that the pipe's filter lets through, by the engine's own matcher."""
    bus = service.client("events")
    envelope = {"source": "", "detail-type": "", "account": "", "region": "", "time": "", "resources": [], "id": ""}

    def selected(record: dict[str, Any]) -> bool:
        event = json.dumps(envelope | record)
        return bool(bus.test_event_pattern(EventPattern=json.dumps(settled_event.FILTER), Event=event)["Result"])

    return [each for each in records(service, service.table_name, f"#{order_id}") if selected(each)]


def told(service: Service, order_id: str) -> list[dict[str, Any]]:
    """What the merchant would be told of an order, oldest first."""
    return [pipe.filled(settled_event.TEMPLATE, each) for each in leaving(service, order_id)]


def test_a_void_leaves_once_with_what_the_record_says(service: Service, client: Client) -> None:
    order_id = client.hold(webhook="none")
    void = client.submit(order_id).json
    (event,) = told(service, order_id)
    assert len(records(service, service.table_name, f"#{order_id}")) == 2  # intent and outcome
    assert len(event.pop("id")) > 16
    assert event == {
        "order_id": order_id,
        "state": "voided",
        "reason": "",
        "attempt": "1",
        "version": str(void["version"]),
        "settled_at": void["settled_at"],
        "review": False,
        "corrected": False,
        "order_currency": "UAH",
        "by": "provider",
    }


@pytest.mark.parametrize("mode", ["before_answer", "twice", "success_then_failure"])
def test_webhooks_make_no_second_event(service: Service, client: Client, mode: str) -> None:
    order_id = client.hold(webhook=mode)
    client.submit(order_id)
    expected = 1 if mode == "before_answer" else 2
    eventually(lambda: client.ledger(order_id), lambda ledger: len(ledger["webhooks"]) == expected)
    assert [event["state"] for event in told(service, order_id)] == ["voided"]


def test_a_void_that_failed_and_the_next_attempt_are_two_events(service: Service, client: Client) -> None:
    order_id = client.hold(answer="http_400", webhook="none")
    for key in ("first", "first", "second"):  # the repeated one answers from the record
        client.submit(order_id, key)
    events = told(service, order_id)
    assert [(each["state"], each["reason"], each["attempt"]) for each in events] == [
        ("failed", "refused", "1"),
        ("voided", "", "2"),
    ]
    assert events[0]["id"] != events[1]["id"]
    assert int(events[0]["version"]) < int(events[1]["version"])


def test_a_correction_is_an_event_of_its_own(service: Service, client: Client) -> None:
    order_id = client.hold(answer="failure", webhook="failure_then_success")
    client.submit(order_id)
    eventually(lambda: client.read(order_id), lambda record: record["state"] == "voided")
    assert [(each["state"], each["corrected"]) for each in told(service, order_id)] == [
        ("failed", False),
        ("voided", True),
    ]


def test_a_void_that_only_the_provider_knew_of_is_attempt_0(service: Service, client: Client) -> None:
    order_id = client.hold(webhook="none")
    client.sandbox("POST", f"orders/{order_id}/void")
    operation = client.ledger(order_id)["operations"][1]
    assert client.webhook(**client.sandbox("POST", "sign", {"data": operation})).status == 200
    assert [(each["state"], each["attempt"]) for each in told(service, order_id)] == [("voided", "0")]


def test_so_is_one_of_an_order_that_had_only_webhooks_of_other_operations_until_then(
    service: Service, client: Client
) -> None:
    order_id = client.hold(webhook="none")
    client.sandbox("POST", f"orders/{order_id}/void")
    hold, void = client.ledger(order_id)["operations"]
    for operation in (hold, void):  # the item exists, and has no state, when the void's webhook comes
        assert client.webhook(**client.sandbox("POST", "sign", {"data": operation})).status == 200
    assert [each["eventName"] for each in records(service, service.table_name, f"#{order_id}")] == ["INSERT", "MODIFY"]
    assert [(each["state"], each["attempt"]) for each in told(service, order_id)] == [("voided", "0")]


def test_an_order_leaves_encoded_so_that_nothing_in_it_has_to_be_escaped(service: Service, client: Client) -> None:
    order_id = f'{uuid4().hex[:12]} "7/2" é\\ 🍵'
    client.sandbox("POST", "holds", {"order_id": order_id, "amount": 100, "currency": "UAH"})
    assert client.submit(order_id).status == 200
    (event,) = told(service, order_id)
    assert event["order_id"] == quote(order_id, safe="")
    assert client.read(unquote(event["order_id"], errors="strict"))["state"] == "voided"


def test_the_event_goes_over_the_deployed_bus_to_whoever_asked_for_it(service: Service) -> None:
    bus, sqs = service.client("events"), service.client("sqs")
    (name,) = [each["Name"] for each in bus.list_event_buses()["EventBuses"] if "VoidService" in each["Name"]]
    url, rule = sqs.create_queue(QueueName=f"outcomes-{uuid4().hex}")["QueueUrl"], f"voided-{uuid4().hex}"
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    pattern = {"source": [settled_event.SOURCE], "detail-type": [settled_event.SETTLED]}
    bus.put_rule(Name=rule, EventBusName=name, EventPattern=json.dumps(pattern | {"detail": {"state": ["voided"]}}))
    bus.put_targets(Rule=rule, EventBusName=name, Targets=[{"Id": "queue", "Arn": arn}])
    try:
        for state in ("failed", "voided"):
            entry = {"EventBusName": name, "Source": settled_event.SOURCE, "DetailType": settled_event.SETTLED}
            answer = bus.put_events(Entries=[entry | {"Detail": json.dumps({"state": state})}])
            assert answer["FailedEntryCount"] == 0
        messages = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=5)["Messages"]
        assert [json.loads(each["Body"])["detail"] for each in messages] == [{"state": "voided"}]
    finally:
        bus.remove_targets(Rule=rule, EventBusName=name, Ids=["queue"])
        bus.delete_rule(Name=rule, EventBusName=name)
        sqs.delete_queue(QueueUrl=url)


def test_the_engines_pipes_still_neither_filter_nor_fill_in_templates_nor_reach_a_bus(service: Service) -> None:
    """When this fails, deploy AWS::Pipes::Pipe locally (`local.aws.refused_by_the_engine`) and let the tests above wait for the bus."""
    name = f"pipe-{uuid4().hex}"
    dynamodb, sns, sqs, pipes, bus = (service.client(each) for each in ("dynamodb", "sns", "sqs", "pipes", "events"))
    stream = dynamodb.create_table(
        TableName=name,
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
    )["TableDescription"]["LatestStreamArn"]
    queue, topic = f"arn:aws:sqs:{service.region}:{aws.ACCOUNT}:{name}", sns.create_topic(Name=name)["TopicArn"]
    anyone = {"Effect": "Allow", "Principal": "*", "Action": "sqs:SendMessage", "Resource": queue}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [anyone]})
    url = sqs.create_queue(QueueName=name, Attributes={"Policy": policy})["QueueUrl"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue, Attributes={"RawMessageDelivery": "true"})
    own_bus = bus.create_event_bus(Name=name)["EventBusArn"]
    bus.put_rule(Name=name, EventBusName=name, EventPattern=json.dumps({"source": [{"prefix": ""}]}))
    bus.put_targets(Rule=name, EventBusName=name, Targets=[{"Id": "queue", "Arn": queue}])
    targets = {f"{name}-bus": own_bus, f"{name}-topic": topic}  # in this order: the bus had its turn before the topic
    for made, target in targets.items():
        pipes.create_pipe(
            Name=made,
            RoleArn=f"arn:aws:iam::{aws.ACCOUNT}:role/pipe",
            Source=stream,
            SourceParameters={
                "DynamoDBStreamParameters": {"StartingPosition": "TRIM_HORIZON"},
                "FilterCriteria": {"Filters": [{"Pattern": json.dumps({"eventName": ["REMOVE"]})}]},
            },
            Target=target,
            TargetParameters={"InputTemplate": '{"id": "<$.eventID>"}'},
        )
    try:
        dynamodb.put_item(TableName=name, Item={"pk": {"S": "1"}})

        def received() -> list[Any]:
            messages: list[Any] = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=1).get("Messages", [])
            return messages

        (message,) = eventually(received, bool, seconds=20)
        assert json.loads(message["Body"])["eventName"] == "INSERT"
        assert received() == []
    finally:
        for made in targets:
            pipes.delete_pipe(Name=made)
        dynamodb.delete_table(TableName=name)
