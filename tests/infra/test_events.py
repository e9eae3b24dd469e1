"""What leaves by the bus: one event for each change into a settled state, with the fields of docs/events.md only."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from infra import settled_event
from infra.environment import Environment
from infra.synth import ROOT
from payments.facts import FailureReason, State
from tests.fakes import pipe, scene

Resources = dict[str, dict[str, Any]]
TABLE_ARN = "arn:aws:dynamodb:eu-central-1:123456789012:table/VoidService-test-OrdersTable-1"
SETTLED = (State.VOIDED, State.FAILED)


def of(template: dict[str, Any], kind: str) -> Resources:
    return {name: each for name, each in template["Resources"].items() if each["Type"] == kind}


def documented() -> tuple[dict[str, Any], dict[str, Any]]:
    """The example and the schema of docs/events.md."""
    example, schema = re.findall(r"```json\n(.+?)```", (ROOT / "docs" / "events.md").read_text("utf-8"), re.DOTALL)
    return json.loads(example), json.loads(schema)


# ---- which changes ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("old", [None, pipe.WEBHOOKS_ONLY, *State])
@pytest.mark.parametrize("new", [pipe.WEBHOOKS_ONLY, *State])
def test_a_write_leaves_if_it_settles_the_order_otherwise_than_before(old: pipe.Was, new: State | str) -> None:
    assert pipe.matches(settled_event.FILTER, pipe.record(old, new)) == (new in SETTLED and new is not old)


def test_the_heartbeat_takes_the_same_way() -> None:
    record = pipe.heartbeat()
    assert pipe.matches(settled_event.FILTER, record)
    detail = pipe.filled(settled_event.TEMPLATE, record)
    assert (detail["settled_at"], detail["order_id"], detail["state"]) == ("2026-11-18T11:06:40.000Z", "", "")


def test_what_is_removed_never_leaves() -> None:
    expired = pipe.record(State.FAILED, State.VOIDED) | {"eventName": "REMOVE"}
    del expired["dynamodb"]["NewImage"]
    assert not pipe.matches(settled_event.FILTER, expired)


# ---- what it says ----------------------------------------------------------------------------------------------------


def test_schema_template_and_example_have_the_same_fields() -> None:
    example, schema = documented()
    fields = re.findall(r'^  "(\w+)": ', settled_event.TEMPLATE, re.MULTILINE)
    assert fields == schema["required"] == list(schema["properties"]) == list(example["detail"])
    assert (example["source"], example["detail-type"]) == (settled_event.SOURCE, settled_event.SETTLED)
    Draft202012Validator.check_schema(schema)
    Draft202012Validator(schema).validate(example["detail"])


def test_the_schema_knows_every_state_and_reason_that_leaves() -> None:
    properties = documented()[1]["properties"]
    assert properties["state"]["enum"] == list(SETTLED)
    assert properties["reason"]["enum"] == ["", *FailureReason]


ALLOWED = st.text(st.characters(exclude_categories=("Cc", "Cs", "Cn")), min_size=1, max_size=32)


@settings(deadline=None)  # whoever shares the machine is no fault
@given(order_id=ALLOWED, settled=st.sampled_from(SETTLED))
@example(order_id="123", settled=State.VOIDED)
@example(order_id='a"b', settled=State.VOIDED)
@example(order_id="back\\slash", settled=State.FAILED)
@example(order_id="<$.eventID>", settled=State.FAILED)
@example(order_id='","state":"voided', settled=State.FAILED)
@example(order_id="a b/c%2Fd+e", settled=State.VOIDED)
@example(order_id="замовлення 🍵", settled=State.VOIDED)
@example(order_id="🍵" * 32, settled=State.VOIDED)
def test_every_order_becomes_an_event_that_is_json_although_a_pipe_escapes_nothing(
    order_id: str, settled: State
) -> None:
    record = pipe.record(State.UNKNOWN, settled, order_id=order_id)
    detail = pipe.filled(settled_event.TEMPLATE, record)
    Draft202012Validator(documented()[1]).validate(detail)
    assert unquote(detail["order_id"], errors="strict") == order_id
    assert detail["state"] == settled
    assert detail["reason"] == ("refused" if settled is State.FAILED else "")
    # By its alphabet and not by luck: nothing in it means anything to JSON or to the pipe.
    assert re.fullmatch(r"[A-Za-z0-9._~%-]+", detail["order_id"])


def test_a_plain_order_id_reads_as_it_is() -> None:
    plain = "Order-2026_11.24~7"
    detail = pipe.filled(settled_event.TEMPLATE, pipe.record(State.UNKNOWN, State.VOIDED, order_id=plain))
    assert detail["order_id"] == plain


def test_the_fake_pipe_breaks_on_what_a_real_one_would_break_on() -> None:
    # The order id itself instead of the quoted one: an order could then hold up the shard, or forge a field.
    careless = settled_event.TEMPLATE.replace("order_id_quoted", "order_id")
    with pytest.raises(ValueError, match="Expecting|delimiter|escape"):
        pipe.filled(careless, pipe.record(State.UNKNOWN, State.VOIDED, order_id='a"b'))
    forged = pipe.as_text(careless, pipe.record(State.UNKNOWN, State.FAILED, order_id='1","state":"voided'))
    assert '"order_id": "1","state":"voided"' in forged


def test_every_other_value_that_leaves_as_text_has_a_plain_alphabet_too() -> None:
    _, schema = documented()
    numbers, free = {"attempt", "version"}, {"id", "order_id", "settled_at"}
    for name, rule in schema["properties"].items():
        if rule.get("type") == "string" and name not in numbers | free:
            assert rule["pattern"] == "^([A-Z]{3})?$", name
    assert schema["properties"]["order_id"]["pattern"] == "^[A-Za-z0-9._~%-]+$"
    assert schema["properties"]["id"]["pattern"] == "^[A-Za-z0-9-]+$"


def test_an_order_without_a_currency_is_an_event_too() -> None:
    record = pipe.record(State.UNKNOWN, State.VOIDED)
    del record["dynamodb"]["NewImage"]["order_currency"]
    detail = pipe.filled(settled_event.TEMPLATE, record)
    Draft202012Validator(documented()[1]).validate(detail)
    assert detail["order_currency"] == ""


def test_nothing_personal_leaves() -> None:
    paths = set(re.findall(r"<\$\.dynamodb\.NewImage\.(\w+)\.", settled_event.TEMPLATE))
    assert paths == {
        "event_id", "order_id_quoted", "state", "reason", "attempt", "version", "settled_at", "review", "corrected",
        "order_currency", "settled_by",
    }  # fmt: skip
    everything_known = pipe.record(State.UNKNOWN, State.VOIDED)
    told = json.dumps(pipe.filled(settled_event.TEMPLATE, everything_known))
    for private in ("role/shop", scene.POS_ID, "10101", "Reverse successful."):
        assert private in json.dumps(everything_known)
        assert private not in told


# ---- what is deployed ------------------------------------------------------------------------------------------------


def test_the_pipe_goes_from_the_stream_to_the_bus_with_this_filter_and_this_template(
    of_type: Callable[[str], Resources],
) -> None:
    ((pipe, table, bus), queue) = (
        [
            *(
                next(iter(of_type(kind)))
                for kind in ("AWS::Pipes::Pipe", "AWS::DynamoDB::Table", "AWS::Events::EventBus")
            )
        ],
        next(name for name in of_type("AWS::SQS::Queue") if name.startswith("Events")),
    )
    assert of_type("AWS::DynamoDB::Table")[table]["Properties"]["StreamSpecification"] == {
        "StreamViewType": "NEW_AND_OLD_IMAGES"
    }
    properties = of_type("AWS::Pipes::Pipe")[pipe]["Properties"]
    assert properties["Source"] == {"Fn::GetAtt": [table, "StreamArn"]}
    assert properties["Target"] == {"Fn::GetAtt": [bus, "Arn"]}
    assert "Enrichment" not in properties
    patterns = [json.loads(each["Pattern"]) for each in properties["SourceParameters"]["FilterCriteria"]["Filters"]]
    assert patterns == [settled_event.FILTER]
    stream = properties["SourceParameters"]["DynamoDBStreamParameters"]
    assert stream["DeadLetterConfig"] == {"Arn": {"Fn::GetAtt": [queue, "Arn"]}}
    assert stream["StartingPosition"] == "TRIM_HORIZON"
    assert stream["MaximumRecordAgeInSeconds"] < 86_400, "or the stream forgets first, and the queue never hears of it"
    assert properties["TargetParameters"] == {
        "InputTemplate": settled_event.TEMPLATE,
        "EventBridgeEventBusParameters": {"Source": "void-service", "DetailType": "$.dynamodb.NewImage.settles.S"},
    }


@pytest.mark.parametrize(("on", "stream"), [(False, None), (True, f"{TABLE_ARN}/stream/2026-11-24T10:10:10.100")])
def test_a_table_that_was_brought_back_has_its_pipe_taken_off_and_put_onto_the_new_stream(
    synthesised: Callable[..., Path], on: bool, stream: str | None
) -> None:
    environment = Environment(name="test", settled_events=on, table_stream_arn=stream)
    (path,) = synthesised(environment).glob("*.template.json")
    template = json.loads(path.read_text("utf-8"))
    assert [each["Properties"]["Source"] for each in of(template, "AWS::Pipes::Pipe").values()] == [stream] * on
    # Nothing may stand on the old stream, for which CloudFormation would look in the table that is gone.
    assert "StreamArn" not in json.dumps(template)
    watched = {each["Properties"]["AlarmName"] for each in of(template, "AWS::CloudWatch::Alarm").values()}
    assert ("VoidService-test Outcomes have stopped" in watched) is on
    assert of(template, "AWS::Events::EventBus"), "who subscribes to the bus goes on doing so"


def rights(template: dict[str, Any], service: str) -> dict[str, Any]:
    """Action -> resource, of the one role that this service may take."""
    (role,) = [name for name, each in of(template, "AWS::IAM::Role").items() if service in json.dumps(each)]
    granted: dict[str, Any] = {}
    for policy in of(template, "AWS::IAM::Policy").values():
        if {"Ref": role} in policy["Properties"]["Roles"]:
            for statement in policy["Properties"]["PolicyDocument"]["Statement"]:
                assert statement["Effect"] == "Allow"
                actions = statement["Action"]
                granted |= dict.fromkeys([actions] if isinstance(actions, str) else actions, statement["Resource"])
    return granted


def test_the_pipe_may_read_the_stream_put_onto_the_bus_and_give_up_into_the_queue(template: dict[str, Any]) -> None:
    (table,), (bus,) = of(template, "AWS::DynamoDB::Table"), of(template, "AWS::Events::EventBus")
    (queue,) = [name for name in of(template, "AWS::SQS::Queue") if name.startswith("Events")]
    stream = {"Fn::GetAtt": [table, "StreamArn"]}
    assert rights(template, "pipes.amazonaws.com") == {
        "dynamodb:DescribeStream": stream,
        "dynamodb:GetRecords": stream,
        "dynamodb:GetShardIterator": stream,
        "dynamodb:ListStreams": "*",  # it knows no narrower resource
        "events:PutEvents": {"Fn::GetAtt": [bus, "Arn"]},
        "sqs:SendMessage": {"Fn::GetAtt": [queue, "Arn"]},
    }


def test_only_a_pipe_of_this_account_may_take_the_role(template: dict[str, Any]) -> None:
    (role,) = [each for each in of(template, "AWS::IAM::Role").values() if "pipes.amazonaws.com" in json.dumps(each)]
    (statement,) = role["Properties"]["AssumeRolePolicyDocument"]["Statement"]
    assert statement["Condition"] == {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}


def test_under_a_key_of_ones_own_the_pipe_may_decrypt_what_the_table_holds(everything: dict[str, Any]) -> None:
    (key,) = of(everything, "AWS::KMS::Key")
    assert rights(everything, "pipes.amazonaws.com")["kms:Decrypt"] == {"Fn::GetAtt": [key, "Arn"]}


@pytest.mark.parametrize("environment", ["test", "prod", "local"])
def test_nothing_is_posted_anywhere_unless_an_environment_says_where(
    templates: dict[str, Any], environment: str
) -> None:
    for kind in ("AWS::Events::ApiDestination", "AWS::Events::Connection", "AWS::Events::Rule"):
        assert not of(templates[environment], kind)


def test_an_endpoint_gets_each_event_with_the_header_from_the_merchants_own_secret(everything: dict[str, Any]) -> None:
    ((name, destination),) = of(everything, "AWS::Events::ApiDestination").items()
    assert destination["Properties"]["InvocationEndpoint"] == "https://shop.example.com/hooks/void-settled?from=voids"
    assert destination["Properties"]["HttpMethod"] == "POST"
    (connection,) = of(everything, "AWS::Events::Connection").values()
    secret = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:shop/void-settled-AbCdEf"
    assert connection["Properties"]["AuthParameters"]["ApiKeyAuthParameters"] == {
        "ApiKeyName": "Authorization",
        # With the version in it: without another text CloudFormation would never read the secret again.
        "ApiKeyValue": f"{{{{resolve:secretsmanager:{secret}:SecretString:authorization::{'0a1b' * 8}}}}}",
    }
    (rule,) = of(everything, "AWS::Events::Rule").values()
    assert rule["Properties"]["EventPattern"] == {"source": ["void-service"], "detail-type": ["void.settled"]}
    (target,) = rule["Properties"]["Targets"]
    (queue,) = [each for each in of(everything, "AWS::SQS::Queue") if each.startswith("Events")]
    assert target["DeadLetterConfig"] == {"Arn": {"Fn::GetAtt": [queue, "Arn"]}}
    assert target["RetryPolicy"] == {"MaximumEventAgeInSeconds": 86_400, "MaximumRetryAttempts": 185}
    arn = {"Fn::GetAtt": [name, "Arn"]}
    assert target["Arn"] == arn
    assert rights(everything, "events.amazonaws.com") == {"events:InvokeApiDestination": arn}
