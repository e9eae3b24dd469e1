"""Where nobody knows what API Gateway hands to a function, the function is safe under each reading."""

import base64
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import pytest

import read_voids
import receive_webhook
import submit_void
from tests.fakes import scene as make
from tests.fakes.scene import Scene

JSON, FORM = {"Content-Type": "application/json"}, {"Content-Type": "application/x-www-form-urlencoded"}
READINGS: dict[str, Callable[[bytes], dict[str, Any]]] = {
    "kept as they are": lambda body: {"body": base64.b64encode(body).decode(), "isBase64Encoded": True},
    "read as UTF-8, whatever they are": lambda body: {"body": body.decode(errors="replace"), "isBase64Encoded": False},
}


def is_refused(answer: dict[str, Any]) -> bool:
    return bool(answer["statusCode"] == 400 and json.loads(answer["body"])["type"].endswith(":invalid-request"))


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


@pytest.mark.parametrize(("given", "order"), PATHS.items())
def test_a_path_parameter_may_come_decoded_as_well(scene: Scene, given: str, order: str | None) -> None:
    answer = read_voids.handler(make.gateway_event(None, {}, pathParameters={"order_id": given}), None)
    if order is None:
        assert is_refused(answer)
    else:
        assert (answer["statusCode"], json.loads(answer["body"])["order_id"]) == (404, order)


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
