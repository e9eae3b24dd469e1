"""The local gateway against recordings of API Gateway: the event that a function gets.

No service runs here: a stub stands where the functions are, and APIs are set up as those were that were recorded.
"""

from copy import replace
from typing import Any

import pytest

from local.gateway.api import Api
from tests.integration.front_door import GREEDY, api, route, spoken
from tests.integration.recorded import Vector, result_of, vector, vectors, within


def requested(declared: Api, recorded: Vector, prefix: str = "") -> Any:
    """The event of the recorded request."""
    said = recorded["request"]
    sent = ((name, value) for name, several in said.get("headers", {}).items() for value in listed(several))
    target = prefix + said["raw_path"] + (f"?{said['query']}" if "query" in said else "")
    headers, body = tuple(map(": ".join, sent)), said.get("body", "").encode()
    return spoken(declared, f"{said['method']} {target}", headers, body).events[-1]


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


@vectors(
    "event-trailing-slash-greedy", "event-double-slash-inside", "event-double-slash-before-stage",
    "event-double-slash-after-stage", "event-double-slash-fixed-resource", "event-path-keeps-encoding",
    "event-query-decoding", "event-query-repeated", "event-header-case-edge", "event-path-keeps-encoding-regional",
    "event-query-decoding-regional", "event-request-parameters-ignored", "event-single-parameter-keeps-encoding-1",
    "event-single-parameter-keeps-encoding-2", "event-single-parameter-keeps-encoding-3",
)  # fmt: skip
def test_the_recorded_request_makes_the_recorded_event(recorded: Vector) -> None:
    path = recorded["request"]["raw_path"].lstrip("/")
    declared, prefix = replace(GREEDY, stage=path.partition("/")[0]), ""
    if recorded["id"] == "event-request-parameters-ignored":  # a mapping of parameters changes nothing
        declared = api("test", route("ANY", "/{pathVariable}"))
    if recorded["id"].startswith("event-single-parameter"):
        declared, prefix = api("stage", route("GET", f"/{path.rpartition('/')[0]}/{{value}}")), "/stage"
    event = requested(declared, recorded, prefix)
    assert within(recorded["result"], event), event


def test_what_is_absent_is_null_and_the_context_has_these_members() -> None:
    event, expected = requested(GREEDY, vector("event-plain")), dict(result_of("event-plain"))
    identity, context = expected.pop("identity"), dict(expected.pop("requestContext"))
    assert sorted(event["requestContext"]) == context.pop("keys")
    assert within(expected | {"requestContext": context}, event), event
    caller = event["requestContext"]["identity"]
    assert sorted(caller) == identity["keys"]
    assert [name for name in sorted(caller) if caller[name] is None and name != "userAgent"] == identity["null"]


def test_headers_keep_their_case_but_for_three_and_hop_by_hop_headers_never_arrive() -> None:
    path, expected = (vector("event-headers-http2-regional")[part] for part in ("request", "result"))
    sent = (
        "user-agent: curl/8", "accept: */*", "content-type: text/plain", "cookie: session=abc123; theme=dark",
        "x-voker-probe: first", "x-voker-probe: second",
    )  # fmt: skip
    event = spoken(api("live", route("POST", "/{proxy+}")), f"POST {path['raw_path']}", sent, b"hello").events[-1]
    assert sorted(event["headers"]) == expected["header_names"]
    assert within({name: expected[name] for name in ("headers", "multiValueHeaders")}, event)
    assert event["headers"]["X-Forwarded-For"] == "127.0.0.1"
    recorded = result_of("event-headers-dropped-regional")
    values = {"Authorization": "Unauthorized", "Transfer-Encoding": "chunked", "Connection": "close", "Expect": "none"}
    names = [name for name in (*recorded["kept"], *recorded["dropped"]) if name not in ("Host", "Content-Length")]
    headers = tuple(f"{name}: {values.get(name, 'value')}" for name in names)
    reply = spoken(api("test", route("ANY", "/no-param")), "GET /test/no-param", headers, b"0\r\n\r\n")
    assert (reply.status, reply.events[-1]["body"]) == (recorded["status"], recorded["body"])
    assert sorted(reply.events[-1]["headers"]) == sorted([*recorded["kept"], *recorded["added"]])


TWO = api("stage", route("GET", "/x"), route("POST", "/x"), route("PUT", "/x"))
BYTES = result_of("event-invalid-utf8-text-conversion")
MADE_UP = "35.187.74.148"


@pytest.mark.parametrize(("line", "headers", "body", "expected"), [
    pytest.param("GET ?a=1;b=2&c=3%3B4", (), b"", {"queryStringParameters": {"a": "1", "b": "2", "c": "3;4"}}, id="event-query-reserved-characters"),
    pytest.param("GET ?A=1&a=2", ("X-A: 1", "x-a: 2"), b"",
                 {"headers": {"X-A": "1", "x-a": "2"}, "queryStringParameters": {"A": "1", "a": "2"}}, id="event-names-case-sensitive"),
    pytest.param("GET ", ("X-HTTP-Method-Override: POST",), b"", {"httpMethod": "POST", "requestContext": {"httpMethod": "POST"}}, id="event-method-override"),
    pytest.param("GET ", ('x-amzn-RequestId: mine"',), b"", {"requestContext": {"requestId": 'mine"'}}, id="event-request-id"),
    pytest.param("PUT ", ("Content-Type: image/png",), bytes.fromhex(BYTES["sent_hex"]), {"body": BYTES["received_text_starts"], "isBase64Encoded": False}, id="not UTF-8"),
    pytest.param("PUT ", ("Content-Type: text/plain",), b"text", result_of("event-text-body")["content_type_not_listed"], id="event-text-body"),
    pytest.param("GET ", ("Authorization: Bearer x",), b"", {"headers": {"Authorization": "Bearer x"}}, id="only a signature is for AWS"),
    pytest.param("GET ", (f"X-Forwarded-For: {MADE_UP}",), b"",
                 {"headers": {"X-Forwarded-For": f"{MADE_UP}, 127.0.0.1"}, "requestContext": {"identity": {"sourceIp": "127.0.0.1"}}}, id="a made-up address"),
])  # fmt: skip
def test_what_is_documented_of_the_event(line: str, headers: tuple[str, ...], body: bytes, expected: Any) -> None:
    event = spoken(TWO, line.replace(" ", " /stage/x"), headers, body).events[-1]
    assert within(expected, event), event
    assert "mine" not in event["requestContext"]["extendedRequestId"]
