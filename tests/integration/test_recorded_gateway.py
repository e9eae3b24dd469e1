"""The local gateway against recordings of API Gateway: the event of a function, what a caller gets, who may do what.

No service runs here: a stub stands where the functions are, and APIs are set up as those were that were recorded. What a
recording says and no caller would notice, since the stack's own gateway responses stand in its place, is not held.
"""

import json
import re
from copy import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from local.aws import ACCOUNT, REGION
from local.exchange import GatewayError, Request
from local.gateway.api import Api, effects, holds
from local.gateway.proxy import USUAL, gateway_response
from local.gateway.server import MAX_BODY, MAX_HEAD, Gateway
from local.merchant import Caller
from local.service import Service
from local.signature import MERCHANT, OPERATOR, Signer
from tests.integration.front_door import GREEDY, OURS, RAISES, Reply, api, route, spoken
from tests.integration.recorded import BY_ID, TOPICS, Vector, result_of, vector, vectors, within

TESTS = Path(__file__).parents[1]
SIGNED = api("stage", route("GET", "/x", "AWS_IAM"))
get_x = partial(spoken, GREEDY, "GET /stage/x")


def test_every_recording_is_tested_or_has_its_reason_and_not_both() -> None:
    reasons = json.loads((TESTS / "vectors" / "aws-not-followed.json").read_text(encoding="utf-8"))
    elsewhere = {each["id"] for topic in reasons["topics_elsewhere"] for each in TOPICS[topic]}
    excused = {name for each in reasons["not_followed"] if each["why"] for name in each["recordings"]}
    files = (file.read_text(encoding="utf-8") for file in TESTS.rglob("test_*.py"))
    named = {name for text in files for name in re.findall(r'"([a-z0-9-]+)"', text)} & set(BY_ID)
    assert set(BY_ID) - elsewhere == (named - elsewhere) | excused
    assert not named & excused
    assert all((TESTS / each["file"]).exists() and each["why"] for each in reasons["topics_elsewhere"].values())


# ---- the event of a function -----------------------------------------------------------------------------------------


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


def test_what_is_absent_is_null_and_the_context_says_nothing_else() -> None:
    event, expected = requested(GREEDY, vector("event-plain")), dict(result_of("event-plain"))
    identity, context = expected.pop("identity"), dict(expected.pop("requestContext"))
    assert {*event["requestContext"]} <= {*context.pop("keys")}  # less than AWS says: the rest nobody reads here
    assert within(expected | {"requestContext": context}, event), event
    caller = event["requestContext"]["identity"]
    assert {*caller} <= {*identity["keys"]}
    assert {name for name in caller if caller[name] is None and name != "userAgent"} == {*identity["null"]} & {*caller}


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


BYTES, MADE_UP = result_of("event-invalid-utf8-text-conversion"), "35.187.74.148"
TRACE = "Root=1-5e6722a7-cc2a0000000000000000000a;Parent=0123456789abcdef;Sampled=1"


@pytest.mark.parametrize(("line", "header", "body", "expected"), [
    pytest.param("GET ?a=1;b=2&c=3%3B4", "", b"", {"queryStringParameters": {"a": "1", "b": "2", "c": "3;4"}}, id="event-query-reserved-characters"),
    pytest.param("GET ?A=1&a=2", "", b"", {"queryStringParameters": {"A": "1", "a": "2"}}, id="event-names-case-sensitive"),
    pytest.param("GET ", "X-HTTP-Method-Override: POST", b"", {"httpMethod": "POST", "requestContext": {"httpMethod": "POST"}}, id="event-method-override"),
    pytest.param("GET ", 'x-amzn-RequestId: mine"', b"", {"requestContext": {"requestId": 'mine"'}}, id="event-request-id"),
    pytest.param("GET ", f"X-Amzn-Trace-Id: {TRACE}", b"", {"headers": {"X-Amzn-Trace-Id": TRACE}}, id="response-trace-id"),
    pytest.param("PUT ", "Content-Type: image/png", bytes.fromhex(BYTES["sent_hex"]), {"body": BYTES["received_text_starts"], "isBase64Encoded": False}, id="not UTF-8"),
    pytest.param("PUT ", "Content-Type: text/plain", b"text", result_of("event-text-body")["content_type_not_listed"], id="event-text-body"),
    pytest.param("GET ", "Authorization: Bearer x", b"", {"headers": {"Authorization": "Bearer x"}}, id="only a signature is for AWS"),
    pytest.param("GET ", f"X-Forwarded-For: {MADE_UP}", b"",
                 {"headers": {"X-Forwarded-For": f"{MADE_UP}, 127.0.0.1"}, "requestContext": {"identity": {"sourceIp": "127.0.0.1"}}}, id="a made-up address"),
])  # fmt: skip
def test_what_is_documented_of_the_event(line: str, header: str, body: bytes, expected: Any) -> None:
    reply = spoken(GREEDY, line.replace(" ", " /stage/x"), (header,) if header else (), body)
    assert within(expected, reply.events[-1]), reply.events
    assert "mine" not in reply.events[-1]["requestContext"]["extendedRequestId"]
    assert reply.header("X-Amzn-Trace-Id") == reply.events[-1]["headers"]["X-Amzn-Trace-Id"]


# ---- the answer of a function ----------------------------------------------------------------------------------------


@vectors("response-unknown-member", "response-multi-not-a-list", "response-status-word", "response-plain-text",
         "response-function-raises")  # fmt: skip
def test_what_aws_refuses_of_a_function_is_a_502_here(recorded: Vector) -> None:
    result = RAISES if recorded["id"] == "response-function-raises" else recorded["request"]["function_returns"]
    assert get_x(returns=OURS | result if isinstance(result, dict) else result).status == recorded["result"]["status"]


@pytest.mark.parametrize("change", [
    {"headers": {"x": 1}}, {"headers": {"x": None}}, {"headers": {"x": "a\r\nSet-Cookie: b"}}, {"headers": None},
    {"multiValueHeaders": {}}, {"body": None}, {"statusCode": 99}, {"statusCode": 700}, {"statusCode": "201"},
    {"isBase64Encoded": True}, *({name: ...} for name in OURS),
])  # fmt: skip
def test_a_result_of_another_form_than_ours_is_a_defect(change: dict[str, Any]) -> None:
    """AWS takes some of these and changes others on their way out, so that a caller would not get what is returned."""
    assert get_x(returns={name: value for name, value in (OURS | change).items() if value is not ...}).status == 502


def test_an_answer_has_the_recorded_headers_and_no_others() -> None:
    reply = get_x(returns=OURS | {"headers": {"Content-Type": "a/b"}, "body": "é"})
    failed, of_error = get_x(returns=RAISES), result_of("error-integration-500-headers")
    for each, expected in ((reply, result_of("response-default-headers-regional")), (failed, of_error)):
        assert sorted(name for name, _ in each.headers) == sorted(expected["header_names"])
    assert failed.header("x-amzn-errortype") == of_error["x-amzn-ErrorType"]
    assert (reply.header("content-type"), reply.text) == ("a/b", "é")


# ---- the gateway's own answers ---------------------------------------------------------------------------------------


def signed(
    declared: Api = SIGNED, secret: str = "local-secret", who: str = "local", line: str = "GET /stage/x"
) -> Reply:
    method, path = line.split()
    headers = Caller("http://local", REGION, who, secret).signed(method, path)
    return spoken(declared, line, tuple(map(": ".join, headers.items())), host="local")


def test_a_signature_never_reaches_a_function() -> None:
    assert result_of("event-authorization-of-iam-dropped")["headers"]["Authorization"].startswith("absent")
    for authorization in ("AWS_IAM", "NONE"):
        event = signed(replace(SIGNED, routes=[route("GET", "/x", authorization)])).events[-1]
        assert "Authorization" not in {**event["headers"], **event["multiValueHeaders"]}, authorization


DENY_X = [{"Effect": "Deny", "Principal": {"AWS": "*"}, "Resource": "execute-api:/stage/GET/x"}]
ALLOW_Y = [{"Effect": "Allow", "Principal": {"AWS": "*"}, "Resource": "execute-api:/stage/GET/y"}]
DEV = api("dev", route("GET", "/existing"))


@pytest.mark.parametrize(("name", "ask"), [
    ("error-no-such-route", lambda: spoken(DEV, "GET /dev/random-non-existing")), ("error-wrong-method", lambda: spoken(DEV, "POST /dev/existing")),
    ("error-unsigned", lambda: spoken(SIGNED, "GET /stage/x")), ("error-wrong-signature", lambda: signed(secret="another")),
    ("error-unknown-key", lambda: signed(who="AKIDEXAMPLE")), ("error-policy-explicit-deny", lambda: signed(replace(SIGNED, policy=DENY_X))),
    ("error-policy-no-allow", lambda: spoken(replace(GREEDY, policy=ALLOW_Y), "GET /stage/x")),
    ("error-integration-timeout", lambda: get_x(returns=TimeoutError())),
])  # fmt: skip
def test_each_refusal_has_the_recorded_status_and_type(name: str, ask: Any) -> None:
    reply, recorded = ask(), result_of(name)
    assert (reply.status, reply.events == []) == (recorded["status"], reply.status != 504)
    assert recorded.get("x-amzn-ErrorType") in (None, reply.header("x-amzn-errortype"))
    assert signed().status == 200


def test_the_documented_limits() -> None:
    limits, recorded = result_of("error-limits"), result_of("error-body-too-large")
    assert (limits["payload_bytes"], limits["request_line_and_headers_bytes"]) == (MAX_BODY, MAX_HEAD)
    assert GREEDY.routes[0].timeout * 1000 <= limits["integration_timeout_ms"][1]
    assert "no effect" in result_of("error-body-too-large-not-customisable")["REQUEST_TOO_LARGE"]
    large = b"x" * (MAX_BODY + 1)
    for headers, body in (((), large), (("Transfer-Encoding: chunked",), b"a00001\r\n%s\r\n0\r\n\r\n" % large)):
        reply = spoken(SIGNED, "POST /stage/x", headers, body)
        assert (reply.status, reply.text) == (recorded["status"], recorded["body_text"])
        assert (reply.header("Content-Type"), reply.events) == ("text/plain", [])
    assert spoken(GREEDY, "POST /stage/x", (), b"x" * MAX_BODY).status == 200
    assert [get_x((f"x: {'v' * length}",)).status for length in (MAX_HEAD - 100, MAX_HEAD)] == [200, 431]
    assert spoken(GREEDY, f"GET /stage/{'x' * MAX_HEAD}").status == 431


def test_what_comes_too_fast_is_a_429() -> None:
    """More than the burst at once; a route has a bucket of its own."""
    gateway, slow = Gateway(0), route("GET", "/x", rate=0.001, burst=2)
    gateway.serve(api("stage", slow, replace(slow, method="POST")), lambda *_: OURS)
    calls = [Request(method, "/stage/x", (), b"", "127.0.0.1") for method in ("GET", "GET", "GET", "POST")]
    answers = [gateway.answer(call) for call in calls]
    gateway.stop()
    assert [answer.status for answer in answers] == [200, 200, 429, 200]
    assert ("x-amzn-ErrorType", "TooManyRequestsException") in answers[2].headers


def test_what_is_said_of_a_refusal_is_nothing_that_a_terminal_would_act_upon() -> None:
    gateway, said = Gateway(0), list[str]()
    gateway.serve(api("stage", route("ANY", "/{proxy+}", "AWS_IAM")), lambda *_: OURS, say=said.append)
    gateway.answer(Request("GET", "/stage/\x1b[2J", [("Authorization", "Bearer \x1b")], b"", "127.0.0.1"))
    gateway.stop()
    assert said[0].startswith("GET /stage/?[2J was refused: A token goes to")


def test_what_happens_here_has_awss_own_status_and_type() -> None:
    statuses, names = result_of("gateway-responses-default")["status"], result_of("error-type-names")
    assert within({kind: status for kind, (status, _) in USUAL.items() if kind != "DEFAULT_5XX"}, statuses)
    assert within(
        {kind: names[kind] for kind in USUAL if kind in names}, {kind: name for kind, (_, name) in USUAL.items()}
    )


def text(content: str, status: int | None = None) -> dict[str, Any]:
    return {"responseTemplates": {"application/json": content}} | ({"statusCode": f"{status}"} if status else {})


FIVE = {"DEFAULT_5XX": text("default", 599) | {"responseParameters": {"gatewayresponse.header.x": "'y'"}}}
IDS = text("$context.requestId|$context.nothing|$context.extendedRequestId")


@pytest.mark.parametrize(("put", "kind", "status", "body"), [
    *((FIVE, kind, 599, "default") for kind in result_of("gateway-responses-fallback")["inherit status, template and headers of DEFAULT_5XX"] if kind in USUAL),
    (FIVE, "INVALID_SIGNATURE", 403, "{}"),  # a default for 5XX says nothing of a 403
    # What a response leaves out is the type's own.
    ({"EXPIRED_TOKEN": text("text"), "DEFAULT_4XX": text("", 411)}, "EXPIRED_TOKEN", int(result_of("gateway-responses-partial-put")["statusCode"]), "text"),
    ({"DEFAULT_4XX": text("a", 400)}, "MISSING_AUTHENTICATION_TOKEN", 400, "a"), ({"DEFAULT_4XX": text("text")}, "UNAUTHORIZED", 401, "text"),
    ({"DEFAULT_4XX": IDS}, "THROTTLED", 429, 'a"b||own'),  # nothing is escaped
])  # fmt: skip
def test_what_a_stack_puts_counts(put: Any, kind: str, status: int, body: str) -> None:
    assert "no escaping function" in result_of("gateway-responses-template-language")["rule"]
    assert result_of("gateway-responses-default-status-change")["rule"].startswith("a status set on DEFAULT_4XX")
    request = Request("GET", "/stage/x", [("x-amzn-RequestId", 'a"b')], b"", "::1", "own")
    answer = gateway_response(replace(GREEDY, responses=put), GatewayError(kind), request)
    assert (answer.status, answer.body.decode()) == (status, body)
    assert (("x", "y") in answer.headers) == (status == 599)


# ---- who may do what -------------------------------------------------------------------------------------------------

ROLE, ROOT = MERCHANT.principal, f"arn:aws:iam::{ACCOUNT}:root"
NOBODY = {"aws:SourceIp": "127.0.0.1", "aws:PrincipalArn": None}
FACTS = NOBODY | {"aws:PrincipalArn": ROLE}
ROUTES = (("POST", "/voids"), ("GET", "/voids"), ("GET", "/voids/1"), ("POST", "/voids/1/decisions"))


@pytest.mark.parametrize(("operator", "key", "wanted", "by_a_role", "by_nobody"), [
    ("ArnLike", "aws:PrincipalArn", [f"arn:aws:iam::{ACCOUNT}:*"], True, False),
    ("ArnLike", "aws:PrincipalArn", ["arn:aws:iam::111111111111:*", ROLE], True, False),
    ("ArnLike", "aws:PrincipalArn", ["arn:aws:*:role/local-merchant"], False, False),  # a star ends at a colon
    ("ArnNotLike", "aws:PrincipalArn", [ROLE], False, True),  # negated: true without its key
    ("ArnNotLike", "aws:PrincipalArn", ["arn:aws:iam::111111111111:*"], True, True),
    ("Null", "aws:PrincipalArn", ["false"], True, False), ("Null", "aws:PrincipalArn", ["true"], False, True),
    ("IpAddress", "aws:SourceIp", ["127.0.0.0/8"], True, True), ("IpAddress", "aws:SourceIp", ["35.187.74.148/32"], False, False),
    *((operator, key, ["x"], ValueError, ValueError) for operator, key in (("StringEquals", "aws:SourceVpc"), ("ArnLike", "aws:SourceArn"), ("NotIpAddress", "aws:SourceIp"), ("Null", "aws:X"))),
])  # fmt: skip
def test_a_condition_holds_as_in_aws_and_an_unknown_one_never(
    operator: str, key: str, wanted: list[Any], by_a_role: Any, by_nobody: Any
) -> None:
    for facts, expected in ((FACTS, by_a_role), (NOBODY, by_nobody)):
        if expected is ValueError:
            with pytest.raises(ValueError, match="does not know the condition"):
                holds(operator, key, wanted, facts)
        else:
            assert holds(operator, key, wanted, facts) == expected


@pytest.mark.parametrize(("effect", "principal", "expected"), [
    ("Allow", ROOT, set()), ("Allow", ACCOUNT, set()), ("Allow", ROLE, {"Allow"}), ("Deny", ROOT, {"Deny"}),
    ("Deny", "arn:aws:iam::111111111111:root", set()), ("Allow", "*", {"Allow"}),
])  # fmt: skip
def test_an_account_that_is_allowed_only_delegates(effect: str, principal: str, expected: set[str]) -> None:
    statement = {"Effect": effect, "Principal": {"AWS": principal}, "Resource": "execute-api:/v1/GET/voids"}
    assert effects([statement], "v1/GET/voids", FACTS) == expected
    assert effects([statement], "v1/GET/voids", NOBODY) == (expected if principal == "*" else set())


@pytest.mark.parametrize(("own", "of_the_api", "row"), [
    ("Allow", "", "identity allow + policy silent"), ("", "Allow", "identity silent + policy allow"), ("", "", "both silent"),
    ("Deny", "Allow", "any deny"), ("Allow", "Deny", "any deny"),
])  # fmt: skip
def test_one_allow_is_enough_and_any_deny_wins(own: str, of_the_api: str, row: str) -> None:
    def statements(effect: str) -> Any:
        return [{"Effect": effect, "Principal": {"AWS": "*"}, "Resource": "*"}] if effect else []

    declared = replace(SIGNED, policy=statements(of_the_api), own_policies={MERCHANT.role: statements(own)})
    assert (signed(declared).status == 200) == (result_of("error-policy-table")[row] == "allowed")


@pytest.mark.parametrize(("who", "statuses"), [(MERCHANT, (200, 200, 200, 403)), (OPERATOR, (403, 200, 200, 200))])
def test_the_merchant_submits_and_the_operator_decides(
    service: Service, who: Signer, statuses: tuple[int, ...]
) -> None:
    for (method, path), status in zip(ROUTES, statuses, strict=True):
        reply = signed(service.api, who.secret_key, who.access_key, f"{method} /v1{path}")
        assert (reply.status, len(reply.events)) == (status, int(status == 200)), (path, reply.text)
        if status == 200:
            identity = reply.events[0]["requestContext"]["identity"]
            assert identity["userArn"] == f"arn:aws:sts::{ACCOUNT}:assumed-role/{who.role}/{who.access_key}"
