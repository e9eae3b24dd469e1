"""Where nobody knows what API Gateway hands to a function, the function is safe under each reading.

The events go to the running functions directly, past the local gateway, which has one reading only.
"""

import base64
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, urlencode
from uuid import uuid4

import pytest

from local.service import Service
from tests.fakes import scene
from tests.integration.client import FORM, JSON, Client


@pytest.fixture
def client(service: Service) -> Client:
    return Client(service)


def document(answer: Any) -> Any:
    return json.loads(answer["body"]) if answer["body"] else None


def as_bytes(body: bytes) -> dict[str, Any]:
    """Kept as they are."""
    return {"body": base64.b64encode(body).decode(), "isBase64Encoded": True}


def as_text(body: bytes) -> dict[str, Any]:
    """Read as UTF-8, whatever they are."""
    return {"body": body.decode(errors="replace"), "isBase64Encoded": False}


def encoded(order: str) -> str:
    return "".join(f"%{byte:02X}" for byte in order.encode())


Reading = Callable[[bytes], dict[str, Any]]
READINGS = pytest.mark.parametrize("reading", [as_bytes, as_text])


def invoke(client: Client, function: str, headers: dict[str, str], body: dict[str, Any]) -> Any:
    return client.service.runtime.invoke(function, scene.gateway_event("", headers) | body)


@READINGS
@pytest.mark.parametrize("end", [b"\xff", b"a\xc3", b"\xed\xa0\x80", b"caf\xe9"])
def test_an_order_of_bytes_that_are_not_utf_8_is_refused_and_nothing_is_voided(
    client: Client, reading: Reading, end: bytes
) -> None:
    order = uuid4().hex[:8].encode() + end
    replaced = order.decode(errors="replace")
    client.sandbox("POST", "holds", {"order_id": replaced, "amount": 100, "currency": "UAH"})
    answer = invoke(client, "submit_void", JSON, reading(b'{"order_id": "' + order + b'", "order_currency": "UAH"}'))
    assert (answer["statusCode"], document(answer)["type"]) == (400, "urn:void-service:problem:invalid-request")
    assert client.ledger(quote(replaced))["voids_received"] == 0


@READINGS
def test_of_a_webhook_only_what_was_signed_counts(client: Client, reading: Reading) -> None:
    """Bytes that are not UTF-8 are refused where it matters; the other fields of the form are nobody's business."""
    for body in (b"data=\xff&signature=x", b"\xff\xfe", b"data=e30%3D&signature=%ff", b"\x00" * 9):
        assert invoke(client, "receive_webhook", FORM, reading(body))["statusCode"] in (400, 401), body
    order = uuid4().hex
    signed = client.sandbox("POST", "sign", {"data": dict(scene.fields(order_id=order, pos_id=scene.POS_ID))})
    answer = invoke(client, "receive_webhook", FORM, reading(urlencode(signed).encode() + b"&note=\xff"))
    assert (answer["statusCode"], client.read(order)["state"]) == (200, "voided")


def looked_up(client: Client, given: str) -> Any:
    event = scene.gateway_event(None, {}, pathParameters={"order_id": given})
    return client.service.runtime.invoke("read_voids", event)


@pytest.mark.parametrize(("given", "order"), [
    *((given, order) for order in ("a b", "100%", 'a"b', "é", "a/b") for given in (order, encoded(order))),
    ("a%252Fb", "a%2Fb"),  # decoded once and not twice
])  # fmt: skip
def test_a_path_parameter_may_come_decoded_as_well(client: Client, given: str, order: str) -> None:
    """As recorded it comes encoded; but the documentation has a sentence that could mean otherwise."""
    assert document(looked_up(client, given))["order_id"] == order


@pytest.mark.parametrize(
    "given", ["", "%ff", "a%C3", "%EF%BF%BD", "%2E%2E", "..", "%2e", "0", "%30", "%0A", "x" * 33, "%ED%A0%80"]
)
def test_what_cannot_be_an_order_is_refused_however_it_is_written(client: Client, given: str) -> None:
    answer = looked_up(client, given)
    assert (answer["statusCode"], document(answer)["type"]) == (400, "urn:void-service:problem:invalid-request")


def test_a_semicolon_in_a_query_and_a_replaced_method_may_be_read_either_way(client: Client) -> None:
    """A function is one route's: which method the event names decides nothing."""
    body = json.dumps({"order_id": uuid4().hex, "order_currency": "uah"})
    for status, function, event in (
        (200, "read_voids", scene.gateway_event(None, {}, queryStringParameters={"limit": "1", "state": "review"})),
        (400, "read_voids", scene.gateway_event(None, {}, queryStringParameters={"limit": "1;state=review"})),
        *((400, "submit_void", scene.gateway_event(body, JSON, httpMethod=method)) for method in ("GET", "POST", "DELETE")),
        *((200, "read_voids", scene.gateway_event(None, {}, httpMethod=method)) for method in ("GET", "POST", "DELETE")),
    ):  # fmt: skip
        assert client.service.runtime.invoke(function, event)["statusCode"] == status
