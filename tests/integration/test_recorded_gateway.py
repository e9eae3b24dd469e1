"""The local gateway against recordings of API Gateway: the event that a function gets, the answer that a caller gets.

No service runs here: a stub stands where the functions are, and APIs are set up as those were that were recorded.
"""

import http.client
import json
import socket
from collections.abc import Mapping
from copy import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from local.aws import ACCOUNT, REGION
from local.gateway import Gateway
from local.gateway.answer import MAX_BODY, MAX_HEAD, RESPONSE_TYPES, gateway_response
from local.gateway.api import Api, Route
from local.gateway.exchange import Answer, Request
from local.gateway.policy import allowed, effects, holds
from local.merchant import Caller
from local.refusal import GatewayError
from local.runtime import FunctionFailed
from local.signature import ACCESS_KEY, MERCHANT, SECRET_KEY
from tests.integration.recorded import Vector, vector, vectors

HOST = "a1b2c3.execute-api.eu-central-1.amazonaws.com"
OURS = {"statusCode": 200, "headers": {}, "body": "", "isBase64Encoded": False}
"""The form in which the functions answer."""


class Functions:
    """Stands where the functions are: keeps the events, answers what it is told."""

    def __init__(self, result: Any) -> None:
        self.events: list[Any] = []
        self.result = result

    def invoke(self, stem: str, event: Any, limit: float) -> Any:
        self.events.append(event)
        if isinstance(self.result, Exception):
            raise self.result
        return self.result


class Reply:
    """An answer as it stood on the wire, and what reached a function."""

    def __init__(self, answer: http.client.HTTPResponse, events: list[Any]) -> None:
        self.status, self.headers, self.text = answer.status, answer.getheaders(), answer.read().decode("utf-8")
        self.events = events

    @property
    def event(self) -> Any:
        return self.events[-1]

    def header(self, wanted: str) -> str:
        (value,) = [value for name, value in self.headers if name.lower() == wanted.lower()]
        return value


def route(method: str, resource: str, authorization: str = "NONE", **more: Any) -> Route:
    return Route(method, resource, "abc123", authorization, "stub", timeout=29, rate=-1, burst=1, **more)


def api(stage: str, *routes: Route, **more: Any) -> Api:
    return Api("a1b2c3", stage, list(routes), **more)


def spoken(
    declared: Api,
    line: str,
    headers: list[str] | None = None,
    body: bytes = b"",
    *,
    returns: Any = OURS,
    host: str = HOST,
) -> Reply:
    """One request in these very bytes."""
    functions, gateway = Functions(returns), Gateway(0)
    gateway.serve(declared, functions)
    try:
        with socket.create_connection(("127.0.0.1", int(gateway.url.rpartition(":")[2])), timeout=10) as connection:
            length = (
                [f"Content-Length: {len(body)}"] if body and "Transfer-Encoding: chunked" not in (headers or []) else []
            )
            head = "\r\n".join([f"{line} HTTP/1.1", f"Host: {host}", *(headers or []), *length])
            connection.sendall(f"{head}\r\n\r\n".encode("latin-1") + body)
            answer = http.client.HTTPResponse(connection, method=line.partition(" ")[0])
            answer.begin()
            return Reply(answer, functions.events)
    finally:
        gateway.stop()


GREEDY = api("stage", route("ANY", "/{proxy+}"), route("ANY", "/hardcoded"))
ALLOW_ALL = [{"Effect": "Allow", "Action": "execute-api:Invoke", "Resource": "*"}]
SIGNED = api("stage", route("GET", "/x", "AWS_IAM"), own_policies={MERCHANT.role: ALLOW_ALL})


def requested(declared: Api, recorded: Vector, prefix: str = "") -> Reply:
    """The recorded request, as it came over the wire."""
    said = recorded["request"]
    headers = [
        f"{name}: {value}"
        for name, values in said.get("headers", {}).items()
        for value in (values if isinstance(values, list) else [values])
    ]
    target = prefix + said["raw_path"] + (f"?{said['query']}" if "query" in said else "")
    return spoken(declared, f"{said['method']} {target}", headers, said.get("body", "").encode())


def holds_in(expected: Any, actual: Any) -> bool:
    """Is everything that was recorded there? What a recording leaves out may be anything."""
    if isinstance(expected, dict):
        return isinstance(actual, dict) and all(
            name in actual and holds_in(value, actual[name]) for name, value in expected.items()
        )
    return bool(expected == actual)


# ---- the event -------------------------------------------------------------------------------------------------------


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
    event = requested(declared, recorded, prefix).event
    assert holds_in(recorded["result"], event), event


def test_what_is_absent_is_null_and_the_context_has_these_members() -> None:
    recorded = vector("event-plain")
    event, expected = requested(GREEDY, recorded).event, dict(recorded["result"])
    identity, context = expected.pop("identity"), dict(expected.pop("requestContext"))
    assert sorted(event["requestContext"]) == context.pop("keys")
    assert holds_in(expected | {"requestContext": context}, event), event
    caller = event["requestContext"]["identity"]
    assert sorted(caller) == identity["keys"]
    assert [name for name in sorted(caller) if caller[name] is None and name != "userAgent"] == identity["null"]


def test_headers_keep_their_case_but_for_three_and_those_that_the_gateway_adds() -> None:
    recorded = vector("event-headers-http2-regional")
    sent = ["user-agent: curl/8", "accept: */*", "content-type: text/plain", "cookie: session=abc123; theme=dark",
            "x-voker-probe: first", "x-voker-probe: second"]  # fmt: skip
    declared, expected = api("live", route("POST", "/{proxy+}")), recorded["result"]
    event = spoken(declared, f"POST {recorded['request']['raw_path']}", sent, b"hello").event
    assert sorted(event["headers"]) == expected["header_names"]
    assert holds_in({name: expected[name] for name in ("headers", "multiValueHeaders")}, event)
    assert event["headers"]["X-Forwarded-For"] == "127.0.0.1"


def test_hop_by_hop_headers_never_arrive() -> None:
    recorded = vector("event-headers-dropped-regional")["result"]
    values = {"Authorization": "Unauthorized", "Transfer-Encoding": "chunked", "Connection": "close", "Expect": "none"}
    names = [name for name in (*recorded["kept"], *recorded["dropped"]) if name not in ("Host", "Content-Length")]
    lines = [f"{name}: {values.get(name, 'value')}" for name in names]
    reply = spoken(api("test", route("ANY", "/no-param")), "GET /test/no-param", lines, b"0\r\n\r\n")
    assert (reply.status, reply.event["body"]) == (recorded["status"], recorded["body"])
    assert sorted(reply.event["headers"]) == sorted([*recorded["kept"], *recorded["added"]])


TWO = api("stage", route("GET", "/x"), route("POST", "/x"), route("PUT", "/x"))
BYTES = vector("event-invalid-utf8-text-conversion")["result"]


@pytest.mark.parametrize(("line", "header", "body", "expected"), [
    pytest.param("GET /stage/x?a=1;b=2&c=3%3B4", "A: b", b"",
                 {"queryStringParameters": {"a": "1", "b": "2", "c": "3;4"}}, id="event-query-reserved-characters"),
    pytest.param("GET /stage/x?A=1&a=2", "X-A: 1\r\nx-a: 2", b"",
                 {"headers": {"X-A": "1", "x-a": "2"}, "queryStringParameters": {"A": "1", "a": "2"}},
                 id="event-names-case-sensitive"),
    pytest.param("GET /stage/x", "X-HTTP-Method-Override: POST", b"",
                 {"httpMethod": "POST", "requestContext": {"httpMethod": "POST"}}, id="event-method-override"),
    pytest.param("GET /stage/x", 'x-amzn-RequestId: mine"', b"", {"requestContext": {"requestId": 'mine"'}},
                 id="event-request-id"),
    pytest.param("PUT /stage/x", "Content-Type: image/png", bytes.fromhex(BYTES["sent_hex"]),
                 {"body": BYTES["received_text_starts"], "isBase64Encoded": False}, id="text, whatever it is"),
    pytest.param("PUT /stage/x", "Content-Type: text/plain", b"text",
                 vector("event-text-body")["result"]["content_type_not_listed"], id="event-text-body"),
    pytest.param("GET /stage/x", "Authorization: Bearer x", b"", {"headers": {"Authorization": "Bearer x"}},
                 id="only a signature is for AWS"),
    pytest.param("GET /stage/x", "X-Forwarded-For: 35.187.74.148", b"",
                 {"headers": {"X-Forwarded-For": "35.187.74.148, 127.0.0.1"}, "requestContext": {"identity": {"sourceIp": "127.0.0.1"}}},
                 id="an address that the client made up"),
])  # fmt: skip
def test_what_is_documented_of_the_event(line: str, header: str, body: bytes, expected: Any) -> None:
    event = spoken(TWO, line, [header], body).event
    assert holds_in(expected, event), event
    assert "mine" not in event["requestContext"]["extendedRequestId"]


def test_a_signature_never_reaches_a_function() -> None:
    assert vector("event-authorization-of-iam-dropped")["result"]["headers"]["Authorization"].startswith("absent")
    for authorization in ("AWS_IAM", "NONE"):
        event = signed(replace(SIGNED, routes=[route("GET", "/x", authorization)])).event
        assert "Authorization" not in {**event["headers"], **event["multiValueHeaders"]}, authorization


# ---- the answer of a function ----------------------------------------------------------------------------------------


@vectors("response-unknown-member", "response-multi-not-a-list", "response-status-word", "response-plain-text",
         "response-function-raises")  # fmt: skip
def test_what_aws_refuses_of_a_function_is_a_502_here(recorded: Vector) -> None:
    result = recorded["request"]["function_returns"]
    raised = FunctionFailed("ValueError", "a secret of the function")
    reply = spoken(GREEDY, "GET /stage/x", returns=OURS | result if isinstance(result, dict) else result)
    if recorded["id"] == "response-function-raises":
        reply = spoken(GREEDY, "GET /stage/x", returns=raised)
    assert (reply.status, json.loads(reply.text)) == (
        recorded["result"]["status"],
        {"message": "Internal server error"},
    )


@pytest.mark.parametrize(
    "change",
    [
        {"headers": {"x": 1}}, {"headers": {"x": None}}, {"headers": {"x": True}}, {"headers": None}, {"headers": []},
        {"headers": {"x": "a\r\nSet-Cookie: b"}}, {"headers": {"Date": "a"}}, {"headers": {"WWW-Authenticate": "a"}},
        {"headers": {"content-length": "7"}}, {"multiValueHeaders": {}}, {"body": {"a": 1}}, {"body": None},
        {"statusCode": 99}, {"statusCode": 700}, {"statusCode": True}, {"statusCode": 200.5}, {"statusCode": "201"},
        {"isBase64Encoded": "no"}, {"isBase64Encoded": True}, *({name: ...} for name in OURS),
    ],
)  # fmt: skip
def test_a_result_of_another_form_than_ours_is_a_defect(change: dict[str, Any]) -> None:
    """AWS takes some of these and changes others on their way out, so that a caller would not get what is returned."""
    result = {name: value for name, value in (OURS | change).items() if value is not ...}
    assert spoken(GREEDY, "GET /stage/x", returns=result).status == 502


def test_an_answer_has_the_recorded_headers_and_no_others() -> None:
    recorded = vector("response-default-headers-regional")["result"]
    reply = spoken(GREEDY, "GET /stage/x")
    assert sorted(name for name, _ in reply.headers) == sorted(recorded["header_names"])
    assert reply.header("content-type") == recorded["Content-Type"]
    reply = spoken(
        GREEDY, "GET /stage/x", returns=OURS | {"headers": {"content-type": "a/b", "X-Own": "1"}, "body": "é"}
    )
    assert (reply.header("content-type"), reply.header("x-own"), reply.text) == ("a/b", "1", "é")


def test_a_trace_is_given_back_and_completed() -> None:
    assert vector("response-trace-id")["result"]["request with Root;Parent;Sampled"] == "given back as sent"
    full, root = "Root=1-5e6722a7-cc2a0000000000000000000a;Parent=0123456789abcdef;Sampled=1", "Root=1-5e6722a7-a"
    given = [spoken(GREEDY, "GET /stage/x", [f"X-Amzn-Trace-Id: {sent}"]) for sent in (full, root)]
    assert given[0].header("x-amzn-trace-id") == full
    assert given[1].header("x-amzn-trace-id").startswith(f"{root};Parent=")
    assert given[1].event["headers"]["X-Amzn-Trace-Id"] == root


# ---- the gateway's own answers ---------------------------------------------------------------------------------------


def signed(declared: Api = SIGNED, key: str = ACCESS_KEY, secret: str = SECRET_KEY, region: str = REGION) -> Reply:
    headers = Caller("http://local", region, key, secret).signed("GET", "/stage/x")
    return spoken(declared, "GET /stage/x", [f"{name}: {value}" for name, value in headers.items()], host="local")


def assert_recorded(reply: Reply, recorded: Mapping[str, Any]) -> None:
    assert reply.status == recorded["status"]
    if "x-amzn-ErrorType" in recorded:
        assert reply.header("x-amzn-errortype") == recorded["x-amzn-ErrorType"]
    said = json.loads(reply.text)
    assert said == recorded.get("body", said)
    text = said.get(recorded.get("json_member", "message")) or said["Message"]
    assert text == recorded.get("message", text) or "complains" in recorded["message"]
    assert text.startswith(recorded.get("message_starts", ""))
    assert text.endswith(recorded.get("message_ends", ""))
    assert reply.events == [] or isinstance(recorded.get("response_type"), str) or reply.status >= 500


DENY_X = [{"Effect": "Deny", "Principal": "*", "Resource": "execute-api:/stage/GET/x"}]
ALLOW_Y = [{"Effect": "Allow", "Principal": "*", "Resource": "execute-api:/stage/GET/y"}]
BEARER = ["Authorization: Bearer my-token"]


def test_each_refusal_is_in_the_recorded_words() -> None:
    dev = api("dev", route("GET", "/existing"))
    other = vector("error-no-such-route-with-other-authorization")["result"]
    for recorded, reply in (
        (vector("error-no-such-route")["result"], spoken(dev, "GET /dev/random-non-existing")),
        (vector("error-wrong-method")["result"], spoken(dev, "POST /dev/existing")),
        (other, spoken(SIGNED, "GET /stage/unrouted", BEARER)),
        (other, spoken(SIGNED, "GET /stage/x", BEARER)),
        (vector("error-unsigned")["result"], spoken(SIGNED, "GET /stage/x")),
        (vector("error-wrong-signature")["result"], signed(secret="another")),
        (vector("error-unknown-key")["result"], signed(key="AKIDEXAMPLE")),
        (vector("error-policy-explicit-deny")["result"], signed(replace(SIGNED, policy=DENY_X))),
        (vector("error-integration-timeout")["result"], spoken(GREEDY, "GET /stage/x", returns=TimeoutError())),
        (vector("error-policy-no-allow")["result"], spoken(replace(TWO, policy=ALLOW_Y), "GET /stage/x")),
    ):
        assert_recorded(reply, recorded)
        assert "my-token" not in reply.text
        if recorded is other:
            assert all(name in reply.text for name in ("Credential", "Signature", "SignedHeaders"))
    form = vector("error-policy-no-allow")["result"]["message_form"].format_map({
        "region": REGION, "last four digits": ACCOUNT[-4:], "api": "a1b2c3", "stage": "stage", "method": "GET", "path": "x",
    })  # fmt: skip
    assert json.loads(reply.text) == {"Message": form}
    assert signed().status == 200


@pytest.mark.parametrize(("minutes", "words", "clock"), [
    (-6, ("Signature expired: ", " is now earlier than ", " - 5 min.)"), "The caller's clock is 36"),
    (6, ("Signature not yet current: ", " is still later than ", " + 5 min.)"), "The caller's clock is 3"),
])  # fmt: skip
def test_a_clock_that_is_off_is_told_by_how_much(
    monkeypatch: pytest.MonkeyPatch, minutes: int, words: tuple[str, ...], clock: str
) -> None:
    then = datetime.now(UTC) + timedelta(minutes=minutes)
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda *_: then.replace(tzinfo=None))
    reply = signed()
    assert_recorded(reply, vector("error-signature-expired")["result"])
    message = json.loads(reply.text)["message"]
    assert all(part in message for part in (*words, clock))
    assert reply.header("x-local-hint") == message


def test_one_allow_is_enough_and_any_deny_wins() -> None:
    table, allow, deny = vector("error-policy-table")["result"], {"Allow"}, {"Deny"}
    for own, of_the_api, row in (
        (allow, set(), "identity allow + policy silent"), (set(), allow, "identity silent + policy allow"),
        (set(), set(), "both silent"), (deny, allow, "any deny"), (allow, deny, "any deny"), (allow, deny | allow, "any deny"),
    ):  # fmt: skip
        assert ("allowed" if allowed(own, of_the_api, anonymous=False) else "denied") == table[row]
    assert allowed(set(), allow, anonymous=True)
    assert not allowed(set(), set(), anonymous=True)


ROOT, ROLE = f"arn:aws:iam::{ACCOUNT}:root", f"arn:aws:iam::{ACCOUNT}:role/local-merchant"
HERE = {"aws:sourceip": "127.0.0.1", "aws:principalarn": ROLE, "aws:principalaccount": ACCOUNT}
NOBODY = HERE | {"aws:principalarn": None, "aws:principalaccount": None}


@pytest.mark.parametrize(("operator", "key", "wanted", "signed_by_a_role", "by_nobody"), [
    ("ArnLike", "aws:PrincipalArn", [f"arn:aws:iam::{ACCOUNT}:*"], True, False),
    ("ArnLike", "aws:PrincipalArn", ["arn:aws:iam::111111111111:*", ROLE], True, False),
    ("ArnLike", "aws:PrincipalArn", ["arn:aws:*:role/local-merchant"], False, False),  # a star ends at a colon
    ("ArnNotLike", "aws:PrincipalArn", [ROLE], False, True),  # negated: true without its key
    ("ArnNotLike", "aws:PrincipalArn", ["arn:aws:iam::111111111111:*"], True, True),
    ("Null", "aws:PrincipalArn", ["false"], True, False),
    ("Null", "aws:PrincipalArn", [True], False, True),
    ("StringEquals", "aws:PrincipalAccount", [ACCOUNT], True, False),
    ("StringNotEquals", "aws:PrincipalAccount", [ACCOUNT], False, True),
    ("IpAddress", "aws:SourceIp", ["127.0.0.0/8"], True, True),
    ("NotIpAddress", "aws:SourceIp", ["35.187.74.148/32"], True, True),
])  # fmt: skip
def test_a_condition_holds_as_in_aws(
    operator: str, key: str, wanted: list[Any], signed_by_a_role: bool, by_nobody: bool
) -> None:
    assert (holds(operator, key, wanted, HERE), holds(operator, key, wanted, NOBODY)) == (signed_by_a_role, by_nobody)


def test_a_condition_that_is_not_known_never_passes() -> None:
    for operator, key in (("StringEquals", "aws:SourceVpc"), ("BinaryEquals", "aws:SourceIp")):
        with pytest.raises(ValueError, match="does not know the condition"):
            holds(operator, key, ["x"], HERE)


def test_an_account_that_is_allowed_only_delegates_and_one_that_is_denied_is() -> None:
    for effect, principal, expected in (
        ("Allow", ROOT, set()), ("Allow", ACCOUNT, set()), ("Allow", ROLE, {"Allow"}), ("Deny", ROOT, {"Deny"}),
        ("Deny", "arn:aws:iam::111111111111:root", set()), ("Allow", "*", {"Allow"}),
    ):  # fmt: skip
        statement = {"Effect": effect, "Principal": {"AWS": principal}, "Resource": "execute-api:/v1/GET/voids"}
        assert effects([statement], "v1/GET/voids", HERE) == expected, (effect, principal)
        assert effects([statement], "v1/GET/voids", NOBODY) == (expected if principal == "*" else set())


PUT_ALL = {kind: {"responseTemplates": {"application/json": '{"ours":true}'}, "responseParameters": {}} for kind in RESPONSE_TYPES}  # fmt: skip


def test_the_documented_limits() -> None:
    limits, recorded = vector("error-limits")["result"], vector("error-body-too-large")["result"]
    assert (limits["payload_bytes"], limits["request_line_and_headers_bytes"]) == (MAX_BODY, MAX_HEAD)
    assert GREEDY.routes[0].timeout * 1000 <= limits["integration_timeout_ms"][1]
    assert "no effect" in vector("error-body-too-large-not-customisable")["result"]["REQUEST_TOO_LARGE"]
    for declared in (SIGNED, replace(GREEDY, responses=PUT_ALL)):
        reply = spoken(declared, "POST /stage/x", [], b"x" * (MAX_BODY + 1))
        assert (reply.status, reply.text) == (recorded["status"], recorded["body_text"])
        assert (reply.header("Content-Type"), reply.events) == ("text/plain", [])
    assert spoken(GREEDY, "POST /stage/x", [], b"x" * MAX_BODY).status == 200
    assert spoken(GREEDY, "GET /stage/x", [f"x: {'v' * (MAX_HEAD - 100)}"]).status == 200
    assert spoken(GREEDY, "GET /stage/x", [f"x: {'v' * MAX_HEAD}"]).status == 431
    assert spoken(GREEDY, f"GET /stage/{'x' * MAX_HEAD}").status == 431


def test_the_gateways_own_answer_has_the_recorded_headers_and_no_others() -> None:
    recorded = vector("error-integration-500-headers")["result"]
    reply = spoken(GREEDY, "GET /stage/x", returns=FunctionFailed("ValueError", "x"))
    assert sorted(name for name, _ in reply.headers) == sorted(recorded["header_names"])
    assert (reply.header("x-amzn-errortype"), json.loads(reply.text)) == (
        recorded["x-amzn-ErrorType"],
        recorded["body"],
    )


MISSING = "Missing Authentication Token"
PLAIN = {"message": MISSING}


def response(
    kind: str, put: Mapping[str, Any], status: int | None = None, headers: tuple[tuple[str, str], ...] = ()
) -> Answer:
    declared = replace(GREEDY, responses=put)
    return gateway_response(
        declared, GatewayError(kind, MISSING, status=status), Request("GET", "/stage/x", headers, b"", "::1")
    )


def test_without_a_response_of_the_stack_each_type_has_its_own_status_and_the_plain_template() -> None:
    recorded = vector("gateway-responses-default")["result"]
    assert {kind: status for kind, (status, _) in RESPONSE_TYPES.items()} == recorded["status"]
    assert holds_in(vector("error-type-names")["result"], {kind: error for kind, (_, error) in RESPONSE_TYPES.items()})
    for kind, status in recorded["status"].items():
        answer = response(kind, {})
        assert (answer.status, json.loads(answer.body)) == (status or 403, PLAIN)
        assert ("x-amzn-ErrorType", RESPONSE_TYPES[kind][1]) in answer.headers


def text(content: str) -> dict[str, Any]:
    return {"responseTemplates": {"application/json": content}}


FIVE = {"DEFAULT_5XX": text("default") | {"statusCode": "599", "responseParameters": {"gatewayresponse.header.x": "'y'"}},
        "AUTHORIZER_FAILURE": {"responseParameters": {"gatewayresponse.header.own": "'z'"}}}  # fmt: skip
FOUR = {"WAF_FILTERED": text("text"), "DEFAULT_4XX": {"statusCode": "411"}}
STATUSES: dict[str, Any] = {"DEFAULT_4XX": {"statusCode": "400"}, "DEFAULT_5XX": {"statusCode": "500"}}
INHERITED = vector("gateway-responses-fallback")["result"]["inherit status, template and headers of DEFAULT_5XX"]
PARTIAL = int(vector("gateway-responses-partial-put")["result"]["statusCode"])
IDS = "$context.requestId|$context.nothing|$context.path"


@pytest.mark.parametrize(("put", "kind", "own_status", "status", "body", "header"), [
    *((FIVE, kind, None, 599, "default", ("x", "y")) for kind in INHERITED),
    (FIVE, "AUTHORIZER_FAILURE", None, 500, PLAIN, ("own", "z")),
    (FIVE, "INVALID_SIGNATURE", None, 403, PLAIN, None),  # a default for 5XX says nothing of a 403
    (FOUR, "WAF_FILTERED", None, PARTIAL, "text", None),  # what a response leaves out is the type's own
    (FOUR, "INVALID_SIGNATURE", None, 411, PLAIN, None),
    (STATUSES, "MISSING_AUTHENTICATION_TOKEN", None, 400, PLAIN, None),
    (STATUSES, "DEFAULT_5XX", 502, 500, PLAIN, None),  # "gateway-responses-default-status-change"
    ({"DEFAULT_4XX": text("text")}, "MISSING_AUTHENTICATION_TOKEN", None, 403, "text", None),
    ({"DEFAULT_4XX": text(IDS)}, "THROTTLED", None, 429, 'a"b||/stage/x', None),  # "gateway-responses-template-language"
])  # fmt: skip
def test_what_a_stack_puts_counts(
    put: Any, kind: str, own_status: int | None, status: int, body: Any, header: Any
) -> None:
    assert "no escaping function" in vector("gateway-responses-template-language")["result"]["rule"]
    assert vector("gateway-responses-default-status-change")["result"]["rule"].startswith("a status set on DEFAULT_4XX")
    answer = response(kind, put, own_status, (("x-amzn-RequestId", 'a"b'),))
    assert (answer.status, answer.body.decode() if isinstance(body, str) else json.loads(answer.body)) == (status, body)
    assert header in answer.headers if header else ("x", "y") not in answer.headers


def test_a_template_and_headers_are_filled_by_plain_substitution() -> None:
    recorded = vector("gateway-responses-applied")
    put = {
        "DEFAULT_4XX": text('{"custom": true, "message":$context.error.messageString}')
        | {
            "statusCode": "411",
            "responseParameters": {
                "gatewayresponse.header.x-response-claudia": "'yes'",
                "gatewayresponse.header.x-name": "method.request.header.name",
                "gatewayresponse.header.Access-Control-Allow-Origin": "'a.b.c'",
            },
        }
    }
    answer, expected = response("MISSING_AUTHENTICATION_TOKEN", put, None, (("name", "tom"),)), recorded["result"]
    assert (answer.status, json.loads(answer.body)) == (expected["status"], expected["body"])
    assert holds_in(expected["headers"], {name.lower(): value for name, value in answer.headers})
