"""The local gateway against recordings of API Gateway: the event that a function gets, the answer that a caller gets.

No service runs here: a stub stands where the functions are, and APIs are set up as those were that were recorded.
"""

import http.client
import json
import socket
from collections.abc import Callable, Iterator, Mapping
from copy import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from local.aws import ACCOUNT, REGION
from local.gateway import Answer, Gateway, Request
from local.gateway.answer import MAX_BODY, MAX_HEAD, RESPONSE_TYPES, gateway_response
from local.gateway.api import Api, Route
from local.gateway.exchange import GatewayError
from local.gateway.policy import allowed
from local.merchant import Caller
from local.runtime import FunctionFailed
from local.signature import ACCESS_KEY, SECRET_KEY
from tests.integration.recorded import Vector, vector, vectors

Headers = list[tuple[str, str]]


class Functions:
    """Stands where the functions are: keeps the events, answers what it is told."""

    def __init__(self) -> None:
        self.events: list[Any] = []
        self.result: Any = {}

    def invoke(self, stem: str, event: Any, limit: float) -> Any:
        self.events.append(event)
        if isinstance(self.result, Exception):
            raise self.result
        return self.result


def route(method: str, resource: str, authorization: str = "NONE") -> Route:
    return Route(method, resource, "abc123", authorization, "stub", timeout=29, rate=-1, burst=1)


def api(stage: str, *routes: Route, **more: Any) -> Api:
    return Api("a1b2c3", stage, list(routes), **more)


GREEDY = api("stage", route("ANY", "/{proxy+}"), route("ANY", "/hardcoded"))


@pytest.fixture
def functions() -> Functions:
    return Functions()


@pytest.fixture
def answered(functions: Functions) -> Iterator[Callable[[Api, Request], Answer]]:
    gateways = []

    def answer(declared: Api, request: Request) -> Answer:
        gateways.append(gateway := Gateway(0))
        gateway.serve(declared, functions)
        return gateway.answer(request)

    yield answer
    for gateway in gateways:
        gateway.stop()


@pytest.fixture
def event_of(answered: Callable[[Api, Request], Answer], functions: Functions) -> Callable[[Api, Request], Any]:
    def event(declared: Api, request: Request) -> Any:
        answered(declared, request)
        return functions.events[-1]

    return event


def requested(recorded: Vector) -> Request:
    """The recorded request, as it came over the wire."""
    said = recorded["request"]
    headers: Headers = [("Host", "a1b2c3.execute-api.eu-central-1.amazonaws.com")]
    for name, values in said.get("headers", {}).items():
        headers += [(name, value) for value in (values if isinstance(values, list) else [values])]
    target = said["raw_path"] + (f"?{said['query']}" if "query" in said else "")
    return Request(said["method"], target, headers, said.get("body", "").encode(), "127.0.0.1")


def holds(expected: Any, actual: Any) -> bool:
    """Is everything that was recorded there? What a recording leaves out may be anything."""
    if isinstance(expected, dict):
        return isinstance(actual, dict) and all(
            name in actual and holds(value, actual[name]) for name, value in expected.items()
        )
    return bool(expected == actual)


# ---- the event -------------------------------------------------------------------------------------------------------


@vectors(
    "event-trailing-slash-greedy",
    "event-double-slash-inside",
    "event-double-slash-before-stage",
    "event-double-slash-after-stage",
    "event-double-slash-fixed-resource",
    "event-path-keeps-encoding",
    "event-query-decoding",
    "event-query-repeated",
    "event-header-case-edge",
)
def test_the_recorded_request_makes_the_recorded_event(
    event_of: Callable[[Api, Request], Any], recorded: Vector
) -> None:
    event = event_of(GREEDY, requested(recorded))
    assert holds(recorded["result"], event), event


@vectors("event-path-keeps-encoding-regional", "event-query-decoding-regional")
def test_a_regional_endpoint_makes_the_same_event(event_of: Callable[[Api, Request], Any], recorded: Vector) -> None:
    event = event_of(api("live", route("POST", "/{proxy+}")), requested(recorded))
    assert holds(recorded["result"], event), event


def test_what_is_absent_is_null_and_the_context_has_these_members(event_of: Callable[[Api, Request], Any]) -> None:
    recorded = vector("event-plain")
    event, expected = event_of(GREEDY, requested(recorded)), dict(recorded["result"])
    identity, context = expected.pop("identity"), dict(expected.pop("requestContext"))
    assert sorted(event["requestContext"]) == context.pop("keys")
    assert holds(expected | {"requestContext": context}, event), event
    caller = event["requestContext"]["identity"]
    assert sorted(caller) == identity["keys"]
    assert [name for name in sorted(caller) if caller[name] is None and name != "userAgent"] == identity["null"]


@vectors(
    "event-single-parameter-keeps-encoding-1",
    "event-single-parameter-keeps-encoding-2",
    "event-single-parameter-keeps-encoding-3",
)
def test_a_single_path_parameter_stays_encoded(event_of: Callable[[Api, Request], Any], recorded: Vector) -> None:
    resource = recorded["request"]["raw_path"].rpartition("/")[0] + "/{value}"
    request = requested(recorded)
    event = event_of(api("stage", route("GET", resource)), replace(request, target=f"/stage{request.target}"))
    assert holds(recorded["result"], event), event


def test_headers_keep_their_case_but_for_three_and_those_that_the_gateway_adds(
    event_of: Callable[[Api, Request], Any],
) -> None:
    recorded = vector("event-headers-http2-regional")
    sent: Headers = [
        ("host", "a1b2c3.execute-api.eu-central-1.amazonaws.com"),
        ("user-agent", "curl/8"),
        ("accept", "*/*"),
        ("content-type", "text/plain"),
        ("cookie", "session=abc123; theme=dark"),
        ("x-voker-probe", "first"),
        ("x-voker-probe", "second"),
        ("content-length", "5"),
    ]
    request = Request("POST", recorded["request"]["raw_path"], sent, b"hello", "203.0.113.7")
    event, expected = event_of(api("live", route("POST", "/{proxy+}")), request), recorded["result"]
    assert sorted(event["headers"]) == expected["header_names"]
    assert holds({name: expected[name] for name in ("headers", "multiValueHeaders")}, event)
    assert event["headers"]["X-Forwarded-For"] == "203.0.113.7"


def test_hop_by_hop_headers_never_arrive(functions: Functions) -> None:
    recorded = vector("event-headers-dropped-regional")["result"]
    values = {"Authorization": "Unauthorized", "Transfer-Encoding": "chunked", "Connection": "close", "Expect": "none"}
    names = [name for name in (*recorded["kept"], *recorded["dropped"]) if name not in ("Host", "Content-Length")]
    lines = [f"{name}: {values.get(name, 'value')}" for name in names]
    reply = spoken(api("test", route("ANY", "/no-param")), functions, "GET /test/no-param", lines, b"0\r\n\r\n")
    assert reply.status == recorded["status"]
    (event,) = functions.events
    assert event["body"] is recorded["body"] is None
    assert sorted(event["headers"]) == sorted([*recorded["kept"], *recorded["added"]])


def test_a_mapping_of_parameters_changes_nothing(event_of: Callable[[Api, Request], Any]) -> None:
    recorded = vector("event-request-parameters-ignored")
    event = event_of(api("test", route("ANY", "/{pathVariable}")), requested(recorded))
    assert holds(recorded["result"], event), event


def test_a_signature_never_reaches_a_function(event_of: Callable[[Api, Request], Any]) -> None:
    assert vector("event-authorization-of-iam-dropped")["result"]["headers"]["Authorization"].startswith("absent")
    here = Caller("http://local", REGION, ACCESS_KEY, SECRET_KEY)
    signed = [*here.signed("GET", "/stage/x").items(), ("Host", "local")]
    for authorization in ("AWS_IAM", "NONE"):
        declared = api("stage", route("GET", "/x", authorization), policy=[], caller_policy=ALLOW_ALL)
        event = event_of(declared, Request("GET", "/stage/x", signed, b"", "127.0.0.1"))
        assert "Authorization" not in event["headers"], authorization
        assert "Authorization" not in event["multiValueHeaders"]
    bearer: Headers = [("Authorization", "Bearer x")]
    event = event_of(api("stage", route("GET", "/x")), Request("GET", "/stage/x", bearer, b"", "127.0.0.1"))
    assert event["headers"]["Authorization"] == "Bearer x"


def test_bytes_that_are_not_utf_8_become_replacement_characters(event_of: Callable[[Api, Request], Any]) -> None:
    recorded = vector("event-invalid-utf8-text-conversion")["result"]
    sent = bytes.fromhex(recorded["sent_hex"])
    event = event_of(GREEDY, Request("PUT", "/stage/x", [("Content-Type", "image/png")], sent, "127.0.0.1"))
    assert event["body"] == recorded["received_text_starts"]
    # Of the two halves of this recording, ours is the one without a listed media type.
    assert vector("event-text-body")["result"]["content_type_not_listed"] == {"isBase64Encoded": False, "body": "text"}
    assert event["isBase64Encoded"] is False


def test_a_semicolon_separates_a_query(event_of: Callable[[Api, Request], Any]) -> None:
    assert vector("event-query-reserved-characters")["result"]["; in a query"] == "splits the data"
    event = event_of(GREEDY, Request("GET", "/stage/x?a=1;b=2&c=3%3B4", [], b"", "127.0.0.1"))
    assert event["queryStringParameters"] == {"a": "1", "b": "2", "c": "3;4"}


def test_names_of_headers_and_of_a_query_are_told_apart_by_case(event_of: Callable[[Api, Request], Any]) -> None:
    assert vector("event-names-case-sensitive")
    headers: Headers = [("X-A", "1"), ("x-a", "2")]
    event = event_of(GREEDY, Request("GET", "/stage/x?A=1&a=2", headers, b"", "127.0.0.1"))
    assert (event["headers"]["X-A"], event["headers"]["x-a"]) == ("1", "2")
    assert event["queryStringParameters"] == {"A": "1", "a": "2"}


def test_a_header_may_replace_the_method(event_of: Callable[[Api, Request], Any]) -> None:
    assert vector("event-method-override")
    declared = api("stage", route("GET", "/x"), route("POST", "/x"))
    event = event_of(declared, Request("GET", "/stage/x", [("X-HTTP-Method-Override", "POST")], b"", "127.0.0.1"))
    assert (event["httpMethod"], event["requestContext"]["httpMethod"]) == ("POST", "POST")


def test_a_client_may_set_the_request_id_and_never_the_extended_one(event_of: Callable[[Api, Request], Any]) -> None:
    assert vector("event-request-id")["result"]["extendedRequestId"] == "always the gateway's own"
    event = event_of(GREEDY, Request("GET", "/stage/x", [("x-amzn-RequestId", 'mine"')], b"", "127.0.0.1"))
    assert event["requestContext"]["requestId"] == 'mine"'
    assert "mine" not in event["requestContext"]["extendedRequestId"]


# ---- the answer of a function ----------------------------------------------------------------------------------------


@vectors(
    "response-status-only",
    "response-bool-header",
    "response-headers-null",
    "response-unknown-member",
    "response-empty-object",
    "response-headers-only",
    "response-base64-no-media-types",
    "response-multi-valid",
    "response-multi-and-single",
    "response-multi-and-single-other-case",
    "response-multi-not-a-list",
    "response-status-word",
    "response-status-digits-as-text",
    "response-plain-text",
)
def test_the_recorded_result_makes_the_recorded_answer(functions: Functions, recorded: Vector) -> None:
    functions.result = recorded["request"]["function_returns"]
    reply, expected = spoken(GREEDY, functions, "GET /stage/x"), recorded["result"]
    assert reply.status == expected["status"]
    body = expected.get("body", reply.text)
    assert reply.text == body or json.loads(reply.text) == body
    for name, value in expected.get("headers", {}).items():
        assert reply.values(name) == [value]
    for name, values in expected.get("header_values", {}).items():
        assert [value for given, value in reply.headers if given == name] == values


def test_a_function_that_raises_is_a_502(functions: Functions) -> None:
    recorded = vector("response-function-raises")["result"]
    functions.result = FunctionFailed("ValueError", "a secret of the function")
    reply = spoken(GREEDY, functions, "GET /stage/x")
    assert (reply.status, json.loads(reply.text)) == (recorded["status"], recorded["body"])


@pytest.mark.parametrize(
    "result",
    [
        {"headers": {"x": 1}},
        {"headers": {"x": None}},
        {"headers": {"x": {}}},
        {"headers": {"x": "a\r\nSet-Cookie: b"}},
        {"headers": []},
        {"multiValueHeaders": {"x": [1]}},
        {"body": {"a": 1}},
        {"statusCode": 99},
        {"statusCode": 700},
        {"statusCode": True},
        {"statusCode": 200.5},
        {"isBase64Encoded": "no"},
        None,
        [],
    ],
)
def test_a_result_of_which_nobody_knows_what_aws_makes_of_it_is_refused(functions: Functions, result: Any) -> None:
    functions.result = result
    assert spoken(GREEDY, functions, "GET /stage/x").status == 502


def test_an_answer_has_the_recorded_headers_and_no_others(functions: Functions) -> None:
    recorded = vector("response-default-headers-regional")["result"]
    reply = spoken(GREEDY, functions, "GET /stage/x")
    assert sorted(name for name, _ in reply.headers) == sorted(recorded["header_names"])
    assert reply.values("content-type") == [recorded["Content-Type"]]


def test_a_trace_is_given_back_and_completed(functions: Functions) -> None:
    assert vector("response-trace-id")["result"]["request with Root;Parent;Sampled"] == "given back as sent"
    full, root = "Root=1-5e6722a7-cc2a0000000000000000000a;Parent=0123456789abcdef;Sampled=1", "Root=1-5e6722a7-a"
    assert spoken(GREEDY, functions, "GET /stage/x", [f"X-Amzn-Trace-Id: {full}"]).values("x-amzn-trace-id") == [full]
    (given,) = spoken(GREEDY, functions, "GET /stage/x", [f"X-Amzn-Trace-Id: {root}"]).values("x-amzn-trace-id")
    assert given.startswith(f"{root};Parent=")


def test_headers_that_are_the_gateways_own_are_remapped_or_dropped(functions: Functions) -> None:
    table = vector("response-remapped-table")["result"]
    for_http_proxy = vector("response-remapped-http-proxy")["result"]["x-amzn-Remapped-*"]
    remapped = {*table["remapped"], *table["remapped_and_overwritten"]}
    assert {*for_http_proxy} - {"Content-Length"} <= remapped
    functions.result = {"headers": dict.fromkeys((*remapped, *table["dropped"], *table["passed"]), "function")}
    reply = spoken(GREEDY, functions, "GET /stage/x")
    for name in remapped:
        assert reply.values(f"x-amzn-remapped-{name}") == ["function"]
        assert "function" not in reply.values(name)
    for name in table["dropped"]:
        assert reply.values(name) == []
    for name in {*table["passed"]} - {"Content-Length"}:
        assert reply.values(name) == ["function"]
    assert reply.values("content-length") == ["0"]


# ---- the gateway's own answers ---------------------------------------------------------------------------------------

ALLOW_ALL = [{"Effect": "Allow", "Action": "execute-api:Invoke", "Resource": "arn:aws:execute-api:*:*:*/*"}]
SIGNED = api("stage", route("GET", "/x", "AWS_IAM"), caller_policy=ALLOW_ALL)


@vectors("error-no-such-route", "error-wrong-method")
def test_what_is_not_there_asks_for_a_token(functions: Functions, recorded: Vector) -> None:
    declared, expected = api("dev", route("GET", "/existing")), recorded["result"]
    reply = spoken(declared, functions, f"{recorded['request']['method']} {recorded['request']['raw_path']}")
    assert (reply.status, json.loads(reply.text)) == (expected["status"], expected["body"])
    assert reply.values("x-amzn-errortype") == [expected["x-amzn-ErrorType"]]
    assert functions.events == []


@pytest.mark.parametrize("path", ["/stage/unrouted", "/stage/x"])
def test_an_authorization_that_is_no_signature_is_incomplete_and_not_repeated(functions: Functions, path: str) -> None:
    recorded = vector("error-no-such-route-with-other-authorization")["result"]
    reply = spoken(SIGNED, functions, f"GET {path}", ["Authorization: Bearer my-token"])
    assert (reply.status, reply.values("x-amzn-errortype")) == (recorded["status"], [recorded["x-amzn-ErrorType"]])
    assert all(name in reply.text for name in ("Credential", "Signature", "SignedHeaders"))
    assert "my-token" not in reply.text


def test_an_unsigned_request_asks_for_a_token(functions: Functions) -> None:
    recorded = vector("error-unsigned")["result"]
    reply = spoken(SIGNED, functions, "GET /stage/x")
    assert (reply.status, json.loads(reply.text)["message"]) == (recorded["status"], recorded["message"])
    assert reply.values("x-amzn-errortype") == [recorded["x-amzn-ErrorType"]]


def signed(
    functions: Functions,
    declared: Api = SIGNED,
    *,
    key: str = ACCESS_KEY,
    secret: str = SECRET_KEY,
    region: str = REGION,
) -> "Reply":
    headers = Caller("http://local", region, key, secret).signed("GET", "/stage/x")
    return spoken(
        declared, functions, "GET /stage/x", [f"{name}: {value}" for name, value in headers.items()], host="local"
    )


def test_a_wrong_secret_is_told_in_the_words_of_aws(functions: Functions) -> None:
    recorded = vector("error-wrong-signature")["result"]
    reply = signed(functions, secret="another")
    assert reply.status == recorded["status"]
    assert json.loads(reply.text)["message"].startswith(recorded["message_starts"])
    assert signed(functions).status == 200


def test_an_unknown_key_is_told_in_the_words_of_aws(functions: Functions) -> None:
    recorded = vector("error-unknown-key")["result"]
    reply = signed(functions, key="AKIDEXAMPLE")
    assert (reply.status, json.loads(reply.text)["message"]) == (recorded["status"], recorded["message"])
    assert reply.values("x-amzn-errortype") == [recorded["x-amzn-ErrorType"]]


@pytest.mark.parametrize(("minutes", "words", "clock"), [
    (-6, ("Signature expired: ", " is now earlier than ", " - 5 min.)"), "The caller's clock is 36"),
    (6, ("Signature not yet current: ", " is still later than ", " + 5 min.)"), "The caller's clock is 3"),
])  # fmt: skip
def test_a_clock_that_is_off_is_told_by_how_much(
    functions: Functions, monkeypatch: pytest.MonkeyPatch, minutes: int, words: tuple[str, ...], clock: str
) -> None:
    recorded = vector("error-signature-expired")["result"]
    then = datetime.now(UTC) + timedelta(minutes=minutes)
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda *_: then.replace(tzinfo=None))
    reply = signed(functions)
    assert (reply.status, reply.values("x-amzn-errortype")) == (recorded["status"], [recorded["x-amzn-ErrorType"]])
    message = json.loads(reply.text)["message"]
    assert all(part in message for part in words)
    assert clock in message
    assert reply.values("x-local-hint") == [message]


def test_a_signature_for_another_region_or_service_is_told_which_was_expected(functions: Functions) -> None:
    reply = signed(functions, region="us-east-1")
    assert reply.status == 403
    assert f"not 'us-east-1'. Expected: '{REGION}'" in json.loads(reply.text)["message"]


def test_who_is_not_allowed_is_told_by_a_member_with_a_capital(functions: Functions) -> None:
    recorded = vector("error-policy-no-allow")["result"]
    elsewhere = [{"Effect": "Allow", "Principal": "*", "Resource": "execute-api:/stage/GET/y"}]
    reply = spoken(api("stage", route("GET", "/x"), policy=elsewhere), functions, "GET /stage/x")
    assert (reply.status, reply.values("x-amzn-errortype")) == (recorded["status"], [recorded["x-amzn-ErrorType"]])
    form = recorded["message_form"].format_map({
        "region": REGION, "last four digits": ACCOUNT[-4:], "api": "a1b2c3", "stage": "stage", "method": "GET", "path": "x",
    })  # fmt: skip
    assert json.loads(reply.text) == {recorded["json_member"]: form}


def test_an_explicit_deny_says_so(functions: Functions) -> None:
    recorded = vector("error-policy-explicit-deny")["result"]
    deny = [{"Effect": "Deny", "Principal": "*", "Resource": "execute-api:/stage/GET/x"}]
    reply = signed(functions, replace(SIGNED, policy=deny))
    assert (reply.status, reply.values("x-amzn-errortype")) == (recorded["status"], [recorded["x-amzn-ErrorType"]])
    assert json.loads(reply.text)["Message"].endswith(recorded["message_ends"])


def test_one_allow_is_enough_and_any_deny_wins() -> None:
    table = vector("error-policy-table")["result"]
    said = {True: "allowed", False: "denied"}
    allow, deny = {"Allow"}, {"Deny"}
    assert said[allowed(allow, set(), anonymous=False)] == table["identity allow + policy silent"]
    assert said[allowed(set(), allow, anonymous=False)] == table["identity silent + policy allow"]
    assert said[allowed(set(), set(), anonymous=False)] == table["both silent"]
    for own, of_the_api in ((deny, allow), (allow, deny), (allow, deny | allow)):
        assert said[allowed(own, of_the_api, anonymous=False)] == table["any deny"]
    assert allowed(set(), allow, anonymous=True)
    assert not allowed(set(), set(), anonymous=True)


PUT_ALL = {
    kind: {"responseTemplates": {"application/json": '{"ours":true}'}, "responseParameters": {}}
    for kind in RESPONSE_TYPES
}


def test_a_body_over_10_mib_is_answered_in_plain_text_whatever_is_put(
    answered: Callable[[Api, Request], Answer], functions: Functions
) -> None:
    recorded = vector("error-body-too-large")["result"]
    assert "no effect" in vector("error-body-too-large-not-customisable")["result"]["REQUEST_TOO_LARGE"]
    for declared in (SIGNED, GREEDY, replace(GREEDY, responses=PUT_ALL)):
        answer = answered(declared, Request("POST", "/stage/x", [], b"x" * (MAX_BODY + 1), "127.0.0.1"))
        assert (answer.status, answer.body.decode()) == (recorded["status"], recorded["body_text"])
        assert dict(answer.headers)["Content-Type"] == "text/plain"
    assert functions.events == []
    assert answered(GREEDY, Request("POST", "/stage/x", [], b"x" * MAX_BODY, "127.0.0.1")).status == 200


def test_the_documented_limits(answered: Callable[[Api, Request], Answer], functions: Functions) -> None:
    limits = vector("error-limits")["result"]
    assert (limits["payload_bytes"], limits["request_line_and_headers_bytes"]) == (MAX_BODY, MAX_HEAD)
    longest: Headers = [("x", "v" * (MAX_HEAD - 100))]
    assert answered(GREEDY, Request("GET", "/stage/x", longest, b"", "127.0.0.1")).status == 200
    longer: Headers = [("x", "v" * MAX_HEAD)]
    assert 400 <= answered(GREEDY, Request("GET", "/stage/x", longer, b"", "127.0.0.1")).status < 500
    assert 400 <= answered(GREEDY, Request("GET", f"/stage/{'x' * MAX_HEAD}", [], b"", "127.0.0.1")).status < 500
    assert len(functions.events) == 1


def test_a_function_that_takes_too_long_is_a_504(functions: Functions) -> None:
    recorded = vector("error-integration-timeout")["result"]
    functions.result = TimeoutError()
    reply = spoken(GREEDY, functions, "GET /stage/x")
    assert (reply.status, json.loads(reply.text)) == (recorded["status"], recorded["body"])
    longest = vector("error-limits")["result"]["integration_timeout_ms"][1]
    assert GREEDY.routes[0].timeout * 1000 <= longest


def test_the_gateways_own_answer_has_the_recorded_headers_and_no_others(functions: Functions) -> None:
    recorded = vector("error-integration-500-headers")["result"]
    functions.result = FunctionFailed("ValueError", "x")
    reply = spoken(GREEDY, functions, "GET /stage/x")
    assert sorted(name for name, _ in reply.headers) == sorted(recorded["header_names"])
    assert reply.values("x-amzn-errortype") == [recorded["x-amzn-ErrorType"]]
    assert json.loads(reply.text) == recorded["body"]


def response(kind: str, put: Mapping[str, Any], *, request: Request | None = None, status: int | None = None) -> Answer:
    error = GatewayError(kind, "Missing Authentication Token", status=status)
    return gateway_response(
        replace(GREEDY, responses=put), error, request or Request("GET", "/stage/x", [], b"", "::1")
    )


def test_without_a_response_of_the_stack_each_type_has_its_own_status_and_the_plain_template() -> None:
    recorded = vector("gateway-responses-default")["result"]
    assert {kind: status for kind, (status, _) in RESPONSE_TYPES.items()} == recorded["status"]
    for kind, status in recorded["status"].items():
        answer = response(kind, {})
        assert answer.status == (status or 403)
        assert json.loads(answer.body) == {"message": "Missing Authentication Token"}


def test_a_type_that_is_not_put_takes_what_the_default_was_given() -> None:
    recorded = vector("gateway-responses-fallback")["result"]
    put = {
        "DEFAULT_5XX": {
            "statusCode": "599",
            "responseTemplates": {"application/json": "default"},
            "responseParameters": {"gatewayresponse.header.x": "'y'"},
        },
        "AUTHORIZER_FAILURE": {"responseParameters": {"gatewayresponse.header.own": "'z'"}},
    }
    for kind in recorded["inherit status, template and headers of DEFAULT_5XX"]:
        answer = response(kind, put)
        assert (answer.status, answer.body, dict(answer.headers)["x"]) == (599, b"default", "y")
    itself = response("AUTHORIZER_FAILURE", put)
    assert (itself.status, json.loads(itself.body)) == (500, {"message": "Missing Authentication Token"})
    assert ("own", "z") in itself.headers
    assert "x" not in dict(itself.headers)
    assert response("INVALID_SIGNATURE", put).status == 403, "a default for 5XX says nothing of a 403"


def test_what_a_response_leaves_out_is_the_types_own() -> None:
    recorded = vector("gateway-responses-partial-put")["result"]
    put: dict[str, Any] = {
        "WAF_FILTERED": {"responseTemplates": {"application/json": "text"}},
        "DEFAULT_4XX": {"statusCode": "411"},
    }
    assert response("WAF_FILTERED", put).status == int(recorded["statusCode"])
    assert response("WAF_FILTERED", put).body == b"text"


def test_a_status_on_a_default_replaces_that_of_every_type_that_is_not_put() -> None:
    assert vector("gateway-responses-default-status-change")["result"]["rule"].startswith("a status set on DEFAULT_4XX")
    put: dict[str, Any] = {"DEFAULT_4XX": {"statusCode": "400"}, "DEFAULT_5XX": {"statusCode": "500"}}
    assert response("MISSING_AUTHENTICATION_TOKEN", put).status == 400
    assert response("DEFAULT_5XX", put, status=502).status == 500
    put = {"DEFAULT_4XX": {"responseTemplates": {"application/json": "text"}}}
    assert response("MISSING_AUTHENTICATION_TOKEN", put).status == 403, "without a status AWS's own stays"


def test_a_template_and_headers_are_filled_by_plain_substitution() -> None:
    recorded = vector("gateway-responses-applied")
    put = {
        "DEFAULT_4XX": {
            "statusCode": "411",
            "responseTemplates": {"application/json": '{"custom": true, "message":$context.error.messageString}'},
            "responseParameters": {
                "gatewayresponse.header.x-response-claudia": "'yes'",
                "gatewayresponse.header.x-name": "method.request.header.name",
                "gatewayresponse.header.Access-Control-Allow-Origin": "'a.b.c'",
                "gatewayresponse.header.Content-Type": "'application/json'",
            },
        }
    }
    answer = response("MISSING_AUTHENTICATION_TOKEN", put, request=requested(recorded))
    expected = recorded["result"]
    assert (answer.status, json.loads(answer.body)) == (expected["status"], expected["body"])
    assert holds(expected["headers"], {name.lower(): value for name, value in answer.headers})


def test_a_template_escapes_nothing() -> None:
    assert "no escaping function" in vector("gateway-responses-template-language")["result"]["rule"]
    put = {
        "DEFAULT_4XX": {"responseTemplates": {"application/json": "$context.requestId|$context.nothing|$context.path"}}
    }
    request = Request("GET", "/stage/x", [("x-amzn-RequestId", 'a"b')], b"", "127.0.0.1")
    assert response("THROTTLED", put, request=request).body == b'a"b||/stage/x'


def test_each_type_has_its_error_type() -> None:
    recorded = vector("error-type-names")["result"]
    assert holds(recorded, {kind: error for kind, (_, error) in RESPONSE_TYPES.items()})
    for kind, name in recorded.items():
        assert ("x-amzn-ErrorType", name) in response(kind, {}).headers


# ---- over a socket ---------------------------------------------------------------------------------------------------


class Reply:
    """An answer as it stood on the wire."""

    def __init__(self, answer: http.client.HTTPResponse) -> None:
        self.status, self.headers, self.text = answer.status, answer.getheaders(), answer.read().decode("utf-8")

    def values(self, wanted: str) -> list[str]:
        return [value for name, value in self.headers if name.lower() == wanted.lower()]


def spoken(
    declared: Api,
    functions: Functions,
    request_line: str,
    headers: list[str] | None = None,
    body: bytes = b"",
    host: str = "a1b2c3.execute-api.eu-central-1.amazonaws.com",
) -> Reply:
    """One request in these very bytes."""
    gateway = Gateway(0)
    gateway.serve(declared, functions)
    try:
        with socket.create_connection(("127.0.0.1", int(gateway.url.rpartition(":")[2])), timeout=10) as connection:
            head = "\r\n".join([f"{request_line} HTTP/1.1", f"Host: {host}", *(headers or [])])
            connection.sendall(f"{head}\r\n\r\n".encode("latin-1") + body)
            answer = http.client.HTTPResponse(connection, method=request_line.partition(" ")[0])
            answer.begin()
            return Reply(answer)
    finally:
        gateway.stop()
