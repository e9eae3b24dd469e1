"""What leaves by the bus: one event for each change into a settled state, with the fields of docs/events.md only."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from infra import outcome_event
from infra.environment import Environment
from infra.synth import ROOT
from payments.operations import Reason, State
from tests.fakes import outcomes, scene

Resources = dict[str, dict[str, Any]]
SETTLED = (State.VOIDED, State.FAILED)


def of(template: dict[str, Any], kind: str) -> Resources:
    return {name: each for name, each in template["Resources"].items() if each["Type"] == kind}


def documented() -> tuple[dict[str, Any], dict[str, Any]]:
    """The example and the schema of docs/events.md."""
    example, schema = re.findall(r"```json\n(.+?)```", (ROOT / "docs" / "events.md").read_text("utf-8"), re.DOTALL)
    return json.loads(example), json.loads(schema)


# ---- which changes ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (old, new) for old in (None, *State) for new in State if old is not State.VOIDED or new is old
    ],  # it never changes
)
def test_a_change_leaves_if_it_settles_and_is_another_state(old: State | None, new: State) -> None:
    selected = [outcomes.matches(each, outcomes.record(old, new)) for each in outcome_event.FILTERS]
    assert sum(selected) == (new in SETTLED and new is not old), "by one filter, so that they stay readable"


def test_what_is_no_void_record_never_leaves() -> None:
    for sk in ("EVENT#0a1b", "VOIDED"):
        record = outcomes.record(None, State.VOIDED)
        record["dynamodb"]["Keys"]["sk"]["S"] = sk
        assert not any(outcomes.matches(each, record) for each in outcome_event.FILTERS)
    expired = outcomes.record(State.FAILED, State.VOIDED) | {"eventName": "REMOVE"}
    del expired["dynamodb"]["NewImage"]
    assert not any(outcomes.matches(each, expired) for each in outcome_event.FILTERS)


# ---- what it says ----------------------------------------------------------------------------------------------------


def test_schema_template_and_example_have_the_same_fields() -> None:
    example, schema = documented()
    fields = re.findall(r'^  "(\w+)": ', outcome_event.TEMPLATE, re.MULTILINE)
    assert fields == schema["required"] == list(schema["properties"]) == list(example["detail"])
    assert (example["source"], example["detail-type"]) == (outcome_event.SOURCE, outcome_event.DETAIL_TYPE)
    Draft202012Validator.check_schema(schema)
    Draft202012Validator(schema).validate(example["detail"])


def test_the_schema_knows_every_state_and_reason_that_leaves() -> None:
    properties = documented()[1]["properties"]
    assert properties["state"]["enum"] == list(SETTLED)
    assert properties["reason"]["enum"] == ["", *Reason]


@pytest.mark.parametrize("order_id", ["123", 'a"b', "back\\slash", "<$.eventID>", '","state":"voided', "замовлення 🍵"])
@pytest.mark.parametrize("settled", SETTLED)
def test_a_record_becomes_an_event_that_keeps_to_the_schema(order_id: str, settled: State) -> None:
    detail = outcomes.filled(outcome_event.TEMPLATE, outcomes.record(State.UNKNOWN, settled, order_id=order_id))
    Draft202012Validator(documented()[1]).validate(detail)
    assert (detail["order_id"], detail["state"]) == (order_id, settled)
    assert detail["reason"] == ("refused" if settled is State.FAILED else "")


def test_nothing_personal_leaves() -> None:
    paths = set(re.findall(r"<\$\.dynamodb\.NewImage\.(\w+)\.", outcome_event.TEMPLATE))
    assert paths == {
        "write_id", "order_id", "state", "reason", "attempt", "version", "settled_at", "review", "corrected",
        "order_currency",
    }  # fmt: skip
    everything_known = outcomes.record(State.UNKNOWN, State.VOIDED)
    assert not paths & {"comment", "requested_by", "provider", "provider_message", "history", "idempotency", "pk"}
    told = json.dumps(outcomes.filled(outcome_event.TEMPLATE, everything_known))
    for private in (outcomes.CALLER, scene.POS_ID, "10101", "Reverse successful."):
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
        next(name for name in of_type("AWS::SQS::Queue") if name.startswith("Outcomes")),
    )
    assert of_type("AWS::DynamoDB::Table")[table]["Properties"]["StreamSpecification"] == {
        "StreamViewType": "NEW_AND_OLD_IMAGES"
    }
    properties = of_type("AWS::Pipes::Pipe")[pipe]["Properties"]
    assert properties["Source"] == {"Fn::GetAtt": [table, "StreamArn"]}
    assert properties["Target"] == {"Fn::GetAtt": [bus, "Arn"]}
    assert "Enrichment" not in properties
    patterns = [json.loads(each["Pattern"]) for each in properties["SourceParameters"]["FilterCriteria"]["Filters"]]
    assert patterns == list(outcome_event.FILTERS)
    stream = properties["SourceParameters"]["DynamoDBStreamParameters"]
    assert stream["DeadLetterConfig"] == {"Arn": {"Fn::GetAtt": [queue, "Arn"]}}
    assert stream["StartingPosition"] == "TRIM_HORIZON"
    assert stream["MaximumRecordAgeInSeconds"] < 86_400, "or the stream forgets first, and the queue never hears of it"
    assert properties["TargetParameters"] == {
        "InputTemplate": outcome_event.TEMPLATE,
        "EventBridgeEventBusParameters": {"Source": "void-service", "DetailType": "void.settled"},
    }


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
    (queue,) = [name for name in of(template, "AWS::SQS::Queue") if name.startswith("Outcomes")]
    stream = {"Fn::GetAtt": [table, "StreamArn"]}
    assert rights(template, "pipes.amazonaws.com") == {
        "dynamodb:DescribeStream": stream,
        "dynamodb:GetRecords": stream,
        "dynamodb:GetShardIterator": stream,
        "dynamodb:ListStreams": stream,
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
        "ApiKeyValue": f"{{{{resolve:secretsmanager:{secret}:SecretString:authorization::}}}}",
    }
    (rule,) = of(everything, "AWS::Events::Rule").values()
    assert rule["Properties"]["EventPattern"] == {"source": ["void-service"], "detail-type": ["void.settled"]}
    (target,) = rule["Properties"]["Targets"]
    (queue,) = [each for each in of(everything, "AWS::SQS::Queue") if each.startswith("Outcomes")]
    assert target["DeadLetterConfig"] == {"Arn": {"Fn::GetAtt": [queue, "Arn"]}}
    assert target["RetryPolicy"] == {"MaximumEventAgeInSeconds": 86_400, "MaximumRetryAttempts": 185}
    arn = {"Fn::GetAtt": [name, "Arn"]}
    assert target["Arn"] == arn
    assert rights(everything, "events.amazonaws.com") == {"events:InvokeApiDestination": arn}
