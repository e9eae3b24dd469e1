"""What leaves by the bus: one event for each change into a settled state, with the fields of docs/events.md only."""

import json
import re
from collections.abc import Callable
from urllib.parse import unquote

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from infra import settled_event
from infra.environment import Environment
from infra.synth import ROOT
from local import outcomes
from payments.facts import FailureReason, State
from tests.fakes import pipe, scene
from tests.fakes.table import unzipped
from tests.infra.stack import Stack

SETTLED = (State.VOIDED, State.FAILED)


BLOCKS = re.findall(r"```json\n(.+?)```", (ROOT / "docs" / "events.md").read_text("utf-8"), re.DOTALL)
EXAMPLE, SCHEMA = map(json.loads, BLOCKS)
"""Of docs/events.md."""


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
    assert not pipe.matches(settled_event.FILTER, {"eventName": "REMOVE", "dynamodb": {}})


# ---- what it says ----------------------------------------------------------------------------------------------------


def test_schema_template_and_example_have_the_same_fields() -> None:
    fields = re.findall(r'^  "(\w+)": ', settled_event.TEMPLATE, re.MULTILINE)
    assert fields == SCHEMA["required"] == list(SCHEMA["properties"]) == list(EXAMPLE["detail"])
    assert (EXAMPLE["source"], EXAMPLE["detail-type"]) == (settled_event.SOURCE, settled_event.SETTLED)
    Draft202012Validator.check_schema(SCHEMA)
    Draft202012Validator(SCHEMA).validate(EXAMPLE["detail"])
    assert SCHEMA["properties"]["state"]["enum"] == list(SETTLED)
    assert SCHEMA["properties"]["reason"]["enum"] == ["", *FailureReason]


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
    Draft202012Validator(SCHEMA).validate(detail)
    assert unquote(detail["order_id"], errors="strict") == order_id
    assert (detail["state"], detail["reason"]) == (settled, "refused" if settled is State.FAILED else "")
    # By its alphabet and not by luck: nothing in it means anything to JSON or to the pipe.
    assert re.fullmatch(r"[A-Za-z0-9._~%-]+", detail["order_id"])
    assert (detail["order_id"] == order_id) is bool(re.fullmatch(r"[A-Za-z0-9._~-]+", order_id)), "plain ids stay"


def test_the_fake_pipe_breaks_on_what_a_real_one_would_break_on() -> None:
    # The order id itself instead of the quoted one: an order could then hold up the shard, or forge a field.
    careless = settled_event.TEMPLATE.replace("order_id_quoted", "pk")
    with pytest.raises(ValueError, match="Expecting|delimiter|escape"):
        pipe.filled(careless, pipe.record(State.UNKNOWN, State.VOIDED, order_id='a"b'))
    forged = outcomes.filled(careless, pipe.record(State.UNKNOWN, State.FAILED, order_id='1","state":"voided'))
    assert '#1","state":"voided"' in forged


def test_every_other_value_that_leaves_as_text_has_a_plain_alphabet_too() -> None:
    texts = {name: rule.get("pattern") for name, rule in SCHEMA["properties"].items() if rule.get("type") == "string"}
    assert texts == {
        "id": "^[A-Za-z0-9-]+$", "order_id": "^[A-Za-z0-9._~%-]+$", "attempt": "^[0-9]+$", "version": "^[0-9]+$",
        "settled_at": None, "order_currency": "^([A-Z]{3})?$",  # the former a date-time
    }  # fmt: skip


def test_an_order_without_a_currency_is_an_event_too() -> None:
    record = pipe.record(State.UNKNOWN, State.VOIDED)
    del record["dynamodb"]["NewImage"]["order_currency"]
    detail = pipe.filled(settled_event.TEMPLATE, record)
    Draft202012Validator(SCHEMA).validate(detail)
    assert detail["order_currency"] == ""


def test_nothing_personal_leaves() -> None:
    everything_known = pipe.record(State.UNKNOWN, State.VOIDED)
    told = json.dumps(pipe.filled(settled_event.TEMPLATE, everything_known))
    known = json.dumps(everything_known) + unzipped(pipe.image(pipe.order_in(State.VOIDED))["facts"]["B"])
    for private in ("role/shop", scene.POS_ID, "10101", "Reverse successful."):
        assert (private in known, private in told) == (True, False)


# ---- what is deployed ------------------------------------------------------------------------------------------------


def test_the_pipe_goes_from_the_stream_to_the_bus_with_this_filter_and_this_template(stacks: dict[str, Stack]) -> None:
    stack = stacks["test"]
    pipe, stream = stack.one("Pipes::Pipe"), {"Fn::GetAtt": ["OrdersTable", "StreamArn"]}
    bus = {"Fn::GetAtt": [stack.name("Events::EventBus"), "Arn"]}
    queue = {"Fn::GetAtt": [stack.name("SQS::Queue", "Events"), "Arn"]}
    assert (pipe["Source"], pipe["Target"], "Enrichment" in pipe) == (stream, bus, False)
    (selected,) = pipe["SourceParameters"]["FilterCriteria"]["Filters"]
    assert json.loads(selected["Pattern"]) == settled_event.FILTER
    reading = pipe["SourceParameters"]["DynamoDBStreamParameters"]
    assert (reading["DeadLetterConfig"], reading["StartingPosition"]) == ({"Arn": queue}, "TRIM_HORIZON")
    assert reading["MaximumRecordAgeInSeconds"] < 86_400, "or the stream forgets first, and the queue never hears of it"
    assert pipe["TargetParameters"] == {
        "InputTemplate": settled_event.TEMPLATE,
        "EventBridgeEventBusParameters": {"Source": "void-service", "DetailType": "$.dynamodb.NewImage.settles.S"},
    }
    role = stack.role_of("pipes")
    reading_it = dict.fromkeys(("dynamodb:DescribeStream", "dynamodb:GetRecords", "dynamodb:GetShardIterator"), stream)
    listing = {"dynamodb:ListStreams": "*"}  # it knows no narrower resource
    assert stack.rights(role) == reading_it | listing | {"events:PutEvents": bus, "sqs:SendMessage": queue}
    # Only a pipe of this account may take it.
    (trusted,) = stack.of("IAM::Role")[role]["AssumeRolePolicyDocument"]["Statement"]
    assert trusted["Condition"] == {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}
    # Under a key of one's own it may decrypt what the table holds, and no more.
    more = stacks["every option"].rights(stacks["every option"].role_of("pipes"))
    of_key = {action: resource for action, resource in more.items() if action.startswith("kms:")}
    assert of_key == {"kms:Decrypt": {"Fn::GetAtt": ["DataKey", "Arn"]}}


def test_a_table_that_was_brought_back_has_its_pipe_taken_off_and_put_onto_the_new_stream(
    stacks: dict[str, Stack], synthesised: Callable[[Environment], Stack]
) -> None:
    off, on = synthesised(Environment(name="test", settled_events=False)), stacks["every option"]
    for stack, sources in ((off, []), (on, [on.environment.table_stream_arn])):
        assert [each["Source"] for each in stack.all("Pipes::Pipe")] == sources
        # Nothing may stand on the old stream, for which CloudFormation would look in the table that is gone.
        assert "StreamArn" not in json.dumps(stack.template)
        assert ("Outcomes have stopped" in stack.alarms) is bool(sources)
        assert stack.of("Events::EventBus"), "who subscribes to the bus goes on doing so"


def test_an_endpoint_gets_each_event_with_the_header_from_the_merchants_own_secret(stacks: dict[str, Stack]) -> None:
    for name in ("test", "prod", "local"):  # and nothing is posted anywhere unless an environment says where
        assert not any(stacks[name].of(f"Events::{kind}") for kind in ("ApiDestination", "Connection", "Rule"))
    stack = stacks["every option"]
    destination = {"Fn::GetAtt": [stack.name("Events::ApiDestination"), "Arn"]}
    posted = stack.one("Events::ApiDestination")
    assert posted["InvocationEndpoint"] == stack.environment.outcome_url
    assert posted["HttpMethod"] == "POST"
    secret = stack.environment.outcome_secret_arn
    assert stack.one("Events::Connection")["AuthParameters"]["ApiKeyAuthParameters"] == {
        "ApiKeyName": "Authorization",
        # With the version in it: without another text CloudFormation would never read the secret again.
        "ApiKeyValue": f"{{{{resolve:secretsmanager:{secret}:SecretString:authorization::{'0a1b' * 8}}}}}",
    }
    rule = stack.one("Events::Rule")
    assert rule["EventPattern"] == {"source": ["void-service"], "detail-type": ["void.settled"]}
    (target,) = rule["Targets"]
    assert target["Arn"] == destination
    assert target["DeadLetterConfig"] == {"Arn": {"Fn::GetAtt": [stack.name("SQS::Queue", "Events"), "Arn"]}}
    assert target["RetryPolicy"] == {"MaximumEventAgeInSeconds": 86_400, "MaximumRetryAttempts": 185}
    assert stack.rights(stack.role_of("events")) == {"events:InvokeApiDestination": destination}
