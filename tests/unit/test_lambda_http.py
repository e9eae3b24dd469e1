"""The gateway's events in, responses out: the reading and writing that no single handler owns."""

import base64
import json
from collections.abc import Callable
from functools import partial
from typing import Any
from urllib.parse import urlencode

import pytest

import lambda_http as http
import read_voids
import receive_webhook
import submit_void
from answers import PROBLEMS
from lambda_http import BadRequest, GatewayEvent
from tests.fakes import scene as make
from tests.fakes.scene import Scene
from tests.unit.conftest import plain, said

# ---- reading ---------------------------------------------------------------------------------------------------------


def typed(value: str) -> dict[str, Any]:
    return make.gateway_event("", {"Content-Type": value})


def signed_by(arn: str | None) -> dict[str, Any]:
    return {"requestContext": {"identity": {"userArn": arn}}}


def media_type(event: GatewayEvent) -> str:
    kind, in_utf8 = http.content_type(event)
    return kind if in_utf8 else ""


CONTEXT = {"requestId": "chosen-by-a-client", "extendedRequestId": "from-the-gateway"}
X: Callable[[GatewayEvent], list[str]] = partial(http.headers, name="x")
TEN: Callable[[GatewayEvent], bytes] = partial(http.body, largest=10)
READ: dict[str, tuple[Callable[[Any], object], dict[str, Any], object]] = {
    "the name of a session is left out": (http.caller, signed_by("arn:aws:sts::1:assumed-role/shop/alice@example.com"), "arn:aws:sts::1:assumed-role/shop"),
    "a user has none": (http.caller, signed_by("arn:aws:iam::1:user/shop"), "arn:aws:iam::1:user/shop"),
    "nobody": (http.caller, signed_by(None), None),
    "no context: caller": (http.caller, {}, None), "no context: id": (http.request_id, {}, ""), "no headers": (X, {}, []), "no body": (TEN, {}, b""),
    "the id that a client cannot choose": (http.request_id, {"requestContext": CONTEXT}, "from-the-gateway"),
    "half a character": (TEN, {"body": "\ud800"}, b"\xed\xa0\x80"),
    "as large as allowed": (TEN, {"body": "ї" * 5}, "ї".encode() * 5),
    # UTF-8 has several names, other parameters say nothing, and another charset is no media type
    **{f"type {sent}": (media_type, typed(sent), "a/b") for sent in (
        "a/b; charset=utf-8", "a/b; charset=UTF8", 'a/b; charset="utf-8"', "a/b; charset=us-ascii", "A/b ; boundary=utf-16", "A/b ; q=1; charset=utf-8", "A/b ; ")},
    **{f"no type: {sent}": (media_type, typed(sent), "") for sent in ("a/b; charset=latin-1", "a/b; charset", 'a/b; charset="utf-16"')},
    "no type": (media_type, {}, ""), "two types": (media_type, {"multiValueHeaders": {"content-type": ["a/b", "a/b"]}}, ""),
    # a header without a value is none
    "one of two without values": (X, {"multiValueHeaders": {"X": None, "x": ["1"]}}, ["1"]),
    "no values": (X, {"multiValueHeaders": {"X": None}, "headers": {"x": "1", "X": None, "y": "2"}}, ["1"]),
    "single values only": (X, {"multiValueHeaders": None, "headers": {"X": "1"}}, ["1"]),
}  # fmt: skip


@pytest.mark.parametrize(("read", "event", "value"), READ.values(), ids=READ)
def test_an_event_is_read(read: Callable[[Any], object], event: dict[str, Any], value: object) -> None:
    assert read(event) == value


NO_UTF8, NO_BODY = "must be percent-encoded UTF-8", "The body cannot be decoded."
EMPTY_PATHS: list[dict[str, Any]] = [{}, {"pathParameters": None}, {"pathParameters": {}}]
NO_ORDER = "must be text of 1 to 32 characters, and not '.', '..' or '0'"
REFUSED: dict[str, tuple[Callable[[Any], object], dict[str, Any], str, str, object]] = {
    **{f"path {sent}": (http.order_id, {"pathParameters": {"order_id": sent}}, "invalid-request", "The path is wrong.", [{"pointer": "/order_id", "detail": NO_UTF8}])
       for sent in ("%ff", "%C3", "%ED%A0%80")},
    **{f"no order: {event}": (http.order_id, event, "invalid-request", "The path is wrong.", [{"pointer": "/order_id", "detail": NO_ORDER}])
       for event in EMPTY_PATHS},
    **{f"base64 {sent!r}": (TEN, {"body": sent, "isBase64Encoded": True}, "invalid-request", NO_BODY, None) for sent in ("YWJj\n", "YW Jj", "YWJ", "%%%")},
    "a byte too many": (TEN, {"body": "ї" * 5 + "a"}, "too-large", "The body may have at most 10 bytes.", None),
}  # fmt: skip


@pytest.mark.parametrize(("read", "event", "name", "detail", "errors"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_read_is_refused(
    read: Callable[[Any], object], event: dict[str, Any], name: str, detail: str, errors: object
) -> None:
    with pytest.raises(BadRequest) as raised:
        read(event)
    assert (raised.value.name, raised.value.detail, raised.value.errors) == (name, detail, errors)


# ---- answering -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PROBLEMS)
def test_every_problem_of_the_contract_is_a_problem_document(name: str) -> None:
    answer = said(http.problem(make.gateway_event(None, {}), name, "detail", order_id="ї"))
    assert list(answer.document) == ["type", "title", "status", "detail", "request_id", "order_id"]
    assert (answer.problem, answer.status, answer.document["title"]) == (name, *PROBLEMS[name])


def test_an_answer_is_complete_and_may_not_be_cached() -> None:
    fixed = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "X": "y"}
    assert http.respond(202, {"a": None}, {"X": "y"}) == {
        "statusCode": 202, "headers": {"Content-Type": "application/json", **fixed}, "body": '{"a":null}', "isBase64Encoded": False,
    }  # fmt: skip
    refused = http.problem({}, "not-sent", "d", extra={"X": "y"})
    assert (refused["statusCode"], refused["isBase64Encoded"]) == (503, False)
    assert refused["headers"] == {"Content-Type": "application/problem+json", **fixed}
    assert http.empty(200) == {
        "statusCode": 200, "headers": {"Cache-Control": "no-store"}, "body": "", "isBase64Encoded": False,
    }  # fmt: skip


# ---- where nobody knows what API Gateway hands to a function, the function is safe under each reading ---------------------

JSON, FORM = {"Content-Type": "application/json"}, {"Content-Type": "application/x-www-form-urlencoded"}
READINGS: dict[str, Callable[[bytes], dict[str, Any]]] = {
    "kept as they are": lambda body: {"body": base64.b64encode(body).decode(), "isBase64Encoded": True},
    "read as UTF-8, whatever they are": lambda body: {"body": body.decode(errors="replace"), "isBase64Encoded": False},
}


def is_refused(answer: dict[str, Any]) -> bool:
    return said(answer)[::3] == (400, "invalid-request")


@pytest.mark.parametrize("reading", READINGS.values(), ids=READINGS)
def test_bytes_that_are_not_utf_8_are_no_order_and_beside_what_was_signed_nobody_s_business(
    scene: Scene, reading: Callable[[bytes], dict[str, Any]]
) -> None:
    for end in (b"\xff", b"a\xc3", b"\xed\xa0\x80", b"caf\xe9"):
        body = b'{"order_id": "1' + end + b'", "order_currency": "UAH"}'
        assert is_refused(submit_void.handler(make.gateway_event("", JSON) | reading(body), None)), end
    for body in (b"data=\xff&signature=x", b"\xff\xfe", b"data=e30%3D&signature=%ff", b"\x00" * 9):
        answer = receive_webhook.handler(make.gateway_event("", FORM) | reading(body), None)
        assert answer["statusCode"] in (400, 401), body
    assert (scene.table.items, scene.provider.connections) == ({}, [])
    form = urlencode(dict(zip(("data", "signature"), make.signed(make.fields()), strict=True))).encode()
    answer = receive_webhook.handler(make.gateway_event("", FORM) | reading(form + b"&note=\xff"), None)
    assert (answer["statusCode"], scene.record().state) == (200, "voided")


PATHS: dict[str, str | None] = {
    # As recorded it comes encoded, but the documentation has a sentence that could mean otherwise. None: refused.
    **{order: order for order in ("a b", "100%", 'a"b', "é", "a/b")},
    **{"".join(f"%{byte:02X}" for byte in order.encode()): order for order in ("a b", "100%", 'a"b', "é", "a/b")},
    "a%252Fb": "a%2Fb",  # decoded once and not twice
    **dict.fromkeys(("", "%ff", "a%C3", "%EF%BF%BD", "%2E%2E", "..", "%2e", "0", "%30", "%0A", "x" * 33, "%ED%A0%80")),
}


@pytest.mark.parametrize(("given", "order"), PATHS.items(), ids=plain(PATHS))
def test_a_path_parameter_may_come_decoded_as_well(scene: Scene, given: str, order: str | None) -> None:
    answer = read_voids.handler(make.gateway_event(None, {}, pathParameters={"order_id": given}), None)
    if order is None:
        assert is_refused(answer)
    else:
        found = said(answer)
        assert (found.status, found.document["order_id"]) == (404, order)
        assert found.document["detail"] == "No void was requested or reported for this order."


def test_a_semicolon_in_a_query_and_a_replaced_method_may_be_read_either_way(scene: Scene) -> None:
    """A function is one route's: which method the event names decides nothing."""
    body = json.dumps({"order_id": "1", "order_currency": "uah"})
    for status, handler, event in (
        (200, read_voids.handler, make.gateway_event(None, {}, queryStringParameters={"limit": "1", "state": "review"})),
        (400, read_voids.handler, make.gateway_event(None, {}, queryStringParameters={"limit": "1;state=review"})),
        *((400, submit_void.handler, make.gateway_event(body, JSON, httpMethod=method)) for method in ("GET", "POST", "DELETE")),
        *((200, read_voids.handler, make.gateway_event(None, {}, httpMethod=method)) for method in ("GET", "POST", "DELETE")),
    ):  # fmt: skip
        assert handler(event, None)["statusCode"] == status
