"""How an outcome leaves on this machine: the deployed stream, the template's own pipe by local/outcomes.py, the bus.

The engine does not run the pipe; the last test here fails when it does.
"""

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from urllib.parse import quote, unquote
from uuid import uuid4

import pytest

from infra import settled_event
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


@contextmanager
def queue(service: Service, bus: str, pattern: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Address and ARN of a queue that gets what comes over a bus, and what a topic sends it."""
    name = f"outcomes-{uuid4().hex}"
    arn, events, sqs = (
        f"arn:aws:sqs:{service.region}:{aws.ACCOUNT}:{name}",
        service.client("events"),
        service.client("sqs"),
    )
    anyone = {"Effect": "Allow", "Principal": "*", "Action": "sqs:SendMessage", "Resource": arn}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [anyone]})
    url = sqs.create_queue(QueueName=name, Attributes={"Policy": policy})["QueueUrl"]
    events.put_rule(Name=name, EventBusName=bus, EventPattern=json.dumps(pattern))
    events.put_targets(Rule=name, EventBusName=bus, Targets=[{"Id": "queue", "Arn": arn}])
    yield url, arn
    events.remove_targets(Rule=name, EventBusName=bus, Ids=["queue"])
    events.delete_rule(Name=name, EventBusName=bus)
    sqs.delete_queue(QueueUrl=url)


def received(service: Service, url: str, seconds: int) -> list[Any]:
    sqs = service.client("sqs")
    found = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=seconds).get("Messages", [])
    return [json.loads(each["Body"]) for each in found]


def test_the_event_goes_over_the_deployed_bus_to_whoever_asked_for_it(service: Service) -> None:
    bus = service.client("events")
    (name,) = [each["Name"] for each in bus.list_event_buses()["EventBuses"] if "VoidService" in each["Name"]]
    pattern = {"source": [settled_event.SOURCE], "detail-type": [settled_event.SETTLED]}
    with queue(service, name, pattern | {"detail": {"state": ["voided"]}}) as (url, _):
        for state in ("failed", "voided"):
            entry = {"EventBusName": name, "Source": settled_event.SOURCE, "DetailType": settled_event.SETTLED}
            assert bus.put_events(Entries=[entry | {"Detail": json.dumps({"state": state})}])["FailedEntryCount"] == 0
        assert [each["detail"] for each in received(service, url, 5)] == [{"state": "voided"}]


def test_the_engines_pipes_still_neither_filter_nor_fill_in_templates_nor_reach_a_bus(service: Service) -> None:
    """When this fails, deploy AWS::Pipes::Pipe locally (`local.aws.refused_by_the_engine`): local/outcomes.py can go."""
    name = f"pipe-{uuid4().hex}"
    dynamodb, sns, pipes, bus = (service.client(each) for each in ("dynamodb", "sns", "pipes", "events"))
    stream = dynamodb.create_table(
        TableName=name, AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}], BillingMode="PAY_PER_REQUEST",
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
    )["TableDescription"]["LatestStreamArn"]  # fmt: skip
    topic, own_bus = sns.create_topic(Name=name)["TopicArn"], bus.create_event_bus(Name=name)["EventBusArn"]
    filtered = {"Filters": [{"Pattern": json.dumps({"eventName": ["REMOVE"]})}]}
    source = {"DynamoDBStreamParameters": {"StartingPosition": "TRIM_HORIZON"}, "FilterCriteria": filtered}
    more = {"SourceParameters": source, "TargetParameters": {"InputTemplate": '{"id": "<$.eventID>"}'}}
    with queue(service, name, {"source": [{"prefix": ""}]}) as (url, arn), ExitStack() as made:
        made.callback(dynamodb.delete_table, TableName=name)
        sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes={"RawMessageDelivery": "true"})
        for kind, target in (("bus", own_bus), ("topic", topic)):  # the bus had its turn before the topic
            role = f"arn:aws:iam::{aws.ACCOUNT}:role/pipe"
            pipes.create_pipe(Name=f"{name}-{kind}", RoleArn=role, Source=stream, Target=target, **more)
            made.callback(pipes.delete_pipe, Name=f"{name}-{kind}")
        dynamodb.put_item(TableName=name, Item={"pk": {"S": "1"}})
        (message,) = eventually(lambda: received(service, url, 1), bool, seconds=20)
        assert message["eventName"] == "INSERT"
        assert received(service, url, 1) == []
