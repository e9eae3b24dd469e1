"""The local gateway against recordings of API Gateway: what a caller gets, from a function and from the gateway itself.

No service runs here: a stub stands where the functions are, and APIs are set up as those were that were recorded.
"""

import json
from collections.abc import Mapping
from copy import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest

from local.aws import ACCOUNT, REGION
from local.exchange import Answer, GatewayError, Request
from local.gateway.answer import MAX_BODY, MAX_HEAD, RESPONSE_TYPES, gateway_response
from local.gateway.api import Api
from local.gateway.policy import allowed
from local.gateway.server import Gateway
from local.merchant import Caller
from local.signature import MERCHANT
from tests.integration.front_door import ALLOW_ALL, GREEDY, OURS, RAISES, Functions, Reply, api, route, spoken
from tests.integration.recorded import Vector, result_of, vectors, within

SIGNED = api("stage", route("GET", "/x", "AWS_IAM"), own_policies={MERCHANT.role: ALLOW_ALL})
get_x = partial(spoken, GREEDY, "GET /stage/x")


# ---- the answer of a function ----------------------------------------------------------------------------------------


@vectors("response-unknown-member", "response-multi-not-a-list", "response-status-word", "response-plain-text",
         "response-function-raises")  # fmt: skip
def test_what_aws_refuses_of_a_function_is_a_502_here(recorded: Vector) -> None:
    result = RAISES if recorded["id"] == "response-function-raises" else recorded["request"]["function_returns"]
    reply = get_x(returns=OURS | result if isinstance(result, dict) else result)
    assert reply.status == recorded["result"]["status"]
    assert json.loads(reply.text) == {"message": "Internal server error"}


@pytest.mark.parametrize("change", [
    {"headers": {"x": 1}}, {"headers": {"x": None}}, {"headers": {"x": True}}, {"headers": None}, {"headers": []},
    {"headers": {"x": "a\r\nSet-Cookie: b"}}, {"headers": {"Date": "a"}}, {"headers": {"WWW-Authenticate": "a"}},
    {"headers": {"content-length": "7"}}, {"multiValueHeaders": {}}, {"body": {"a": 1}}, {"body": None}, {"statusCode": 99},
    {"statusCode": 700}, {"statusCode": True}, {"statusCode": 200.5}, {"statusCode": "201"}, {"isBase64Encoded": "no"},
    {"isBase64Encoded": True}, *({name: ...} for name in OURS),
])  # fmt: skip
def test_a_result_of_another_form_than_ours_is_a_defect(change: dict[str, Any]) -> None:
    """AWS takes some of these and changes others on their way out, so that a caller would not get what is returned."""
    assert get_x(returns={name: value for name, value in (OURS | change).items() if value is not ...}).status == 502


def test_an_answer_has_the_recorded_headers_and_no_others() -> None:
    default, recorded = get_x(), result_of("response-default-headers-regional")
    failed, of_error = get_x(returns=RAISES), result_of("error-integration-500-headers")
    for reply, expected in ((default, recorded), (failed, of_error)):
        assert sorted(name for name, _ in reply.headers) == sorted(expected["header_names"])
    assert default.header("content-type") == recorded["Content-Type"]
    assert failed.header("x-amzn-errortype") == of_error["x-amzn-ErrorType"]
    assert json.loads(failed.text) == of_error["body"]
    reply = get_x(returns=OURS | {"headers": {"content-type": "a/b", "X-Own": "1"}, "body": "é"})
    assert (reply.header("content-type"), reply.header("x-own"), reply.text) == ("a/b", "1", "é")


def test_a_trace_is_given_back_and_completed() -> None:
    assert result_of("response-trace-id")["request with Root;Parent;Sampled"] == "given back as sent"
    root = "Root=1-5e6722a7-cc2a0000000000000000000a"
    for sent, given in ((f"{root};Parent=0123456789abcdef;Sampled=1",) * 2, (root, f"{root};Parent=")):
        reply = get_x((f"X-Amzn-Trace-Id: {sent}",))
        assert reply.header("x-amzn-trace-id").startswith(given)
        assert reply.events[-1]["headers"]["X-Amzn-Trace-Id"] == sent


# ---- the gateway's own answers ---------------------------------------------------------------------------------------


def signed(declared: Api = SIGNED, key: str = MERCHANT.access_key, secret: str = MERCHANT.secret_key) -> Reply:
    headers = Caller("http://local", REGION, key, secret).signed("GET", "/stage/x")
    return spoken(declared, "GET /stage/x", tuple(map(": ".join, headers.items())), host="local")


def test_a_signature_never_reaches_a_function() -> None:
    assert result_of("event-authorization-of-iam-dropped")["headers"]["Authorization"].startswith("absent")
    for authorization in ("AWS_IAM", "NONE"):
        event = signed(replace(SIGNED, routes=[route("GET", "/x", authorization)])).events[-1]
        assert "Authorization" not in {**event["headers"], **event["multiValueHeaders"]}, authorization


DENY_X = [{"Effect": "Deny", "Principal": "*", "Resource": "execute-api:/stage/GET/x"}]
ALLOW_Y = [{"Effect": "Allow", "Principal": "*", "Resource": "execute-api:/stage/GET/y"}]
DEV, BEARER = api("dev", route("GET", "/existing")), ("Authorization: Bearer my-token",)


@pytest.mark.parametrize(("name", "ask"), [
    ("error-no-such-route", lambda: spoken(DEV, "GET /dev/random-non-existing")), ("error-wrong-method", lambda: spoken(DEV, "POST /dev/existing")),
    ("error-no-such-route-with-other-authorization", lambda: spoken(SIGNED, "GET /stage/unrouted", BEARER)),
    ("error-no-such-route-with-other-authorization", lambda: spoken(SIGNED, "GET /stage/x", BEARER)),
    ("error-unsigned", lambda: spoken(SIGNED, "GET /stage/x")), ("error-wrong-signature", lambda: signed(secret="another")),
    ("error-unknown-key", lambda: signed(key="AKIDEXAMPLE")), ("error-policy-explicit-deny", lambda: signed(replace(SIGNED, policy=DENY_X))),
    ("error-policy-no-allow", lambda: spoken(replace(GREEDY, policy=ALLOW_Y), "GET /stage/x")),
    ("error-integration-timeout", lambda: get_x(returns=TimeoutError())),
])  # fmt: skip
def test_each_refusal_is_in_the_recorded_words(name: str, ask: Any) -> None:
    reply, recorded = ask(), dict(result_of(name))
    said, words = json.loads(reply.text), recorded.pop("message", "")
    text = said.get(recorded.get("json_member", "message")) or said["Message"]
    if name == "error-no-such-route-with-other-authorization":  # recorded in other words
        assert all(part in text for part in ("Credential", "Signature", "SignedHeaders"))
    else:
        assert words in ("", text)
    given = {"status": reply.status, "body": said} | {"x-amzn-ErrorType": dict(reply.headers).get("x-amzn-ErrorType")}
    assert given == given | {part: recorded[part] for part in given if part in recorded}
    assert text.startswith(recorded.get("message_starts", ""))
    assert text.endswith(recorded.get("message_ends", ""))
    form = {
        "region": REGION, "last four digits": ACCOUNT[-4:], "api": "a1b2c3", "stage": "stage", "method": "GET", "path": "x",
    }  # fmt: skip
    assert recorded.get("message_form", text).format_map(form) == text
    assert "my-token" not in reply.text
    assert reply.events == [] or reply.status == 504
    assert signed().status == 200


@pytest.mark.parametrize(("minutes", "words"), [
    (-6, ("Signature expired: ", " is now earlier than ", " - 5 min.)", "The caller's clock is 36")),
    (6, ("Signature not yet current: ", " is still later than ", " + 5 min.)", "The caller's clock is 3")),
])  # fmt: skip
def test_a_clock_that_is_off_is_reported_by_how_much(
    monkeypatch: pytest.MonkeyPatch, minutes: int, words: tuple[str, ...]
) -> None:
    then, recorded = datetime.now(UTC) + timedelta(minutes=minutes), result_of("error-signature-expired")
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda *_: then.replace(tzinfo=None))
    reply = signed()
    assert (reply.status, reply.header("x-amzn-errortype")) == (recorded["status"], recorded["x-amzn-ErrorType"])
    message = json.loads(reply.text)["message"]
    assert all(part in message for part in words), message
    assert reply.header("x-local-hint") == message


def test_one_allow_is_enough_and_any_deny_wins() -> None:
    table, allow, deny = result_of("error-policy-table"), {"Allow"}, {"Deny"}
    for own, of_the_api, row in (
        (allow, set(), "identity allow + policy silent"), (set(), allow, "identity silent + policy allow"),
        (set(), set(), "both silent"), (deny, allow, "any deny"), (allow, deny, "any deny"), (allow, deny | allow, "any deny"),
    ):  # fmt: skip
        assert ("allowed" if allowed(own, of_the_api, anonymous=False) else "denied") == table[row]
    assert allowed(set(), allow, anonymous=True)
    assert not allowed(set(), set(), anonymous=True)


def text(content: str) -> dict[str, Any]:
    return {"responseTemplates": {"application/json": content}}


def test_the_documented_limits() -> None:
    limits, recorded = result_of("error-limits"), result_of("error-body-too-large")
    assert (limits["payload_bytes"], limits["request_line_and_headers_bytes"]) == (MAX_BODY, MAX_HEAD)
    assert GREEDY.routes[0].timeout * 1000 <= limits["integration_timeout_ms"][1]
    assert "no effect" in result_of("error-body-too-large-not-customisable")["REQUEST_TOO_LARGE"]
    for declared in (SIGNED, replace(GREEDY, responses={kind: text('{"ours":true}') for kind in RESPONSE_TYPES})):
        reply = spoken(declared, "POST /stage/x", (), b"x" * (MAX_BODY + 1))
        assert (reply.status, reply.text) == (recorded["status"], recorded["body_text"])
        assert (reply.header("Content-Type"), reply.events) == ("text/plain", [])
    assert spoken(GREEDY, "POST /stage/x", (), b"x" * MAX_BODY).status == 200
    assert [get_x((f"x: {'v' * length}",)).status for length in (MAX_HEAD - 100, MAX_HEAD)] == [200, 431]
    assert spoken(GREEDY, f"GET /stage/{'x' * MAX_HEAD}").status == 431


def test_what_comes_too_fast_is_a_429() -> None:
    """More than the burst at once; a route has a bucket of its own."""
    gateway, slow = Gateway(0), replace(route("GET", "/x"), rate=0.001, burst=2)
    gateway.serve(api("stage", slow, replace(slow, method="POST")), Functions(OURS))
    calls = [Request(method, "/stage/x", (), b"", "127.0.0.1") for method in ("GET", "GET", "GET", "POST")]
    answers = [gateway.answer(call) for call in calls]
    gateway.stop()
    assert [answer.status for answer in answers] == [200, 200, 429, 200]
    assert ("x-amzn-ErrorType", "TooManyRequestsException") in answers[2].headers


PLAIN = {"message": "Missing Authentication Token"}


def response(kind: str, put: Mapping[str, Any], status: int | None = None, *headers: tuple[str, str]) -> Answer:
    error = GatewayError(kind, PLAIN["message"], status=status)
    return gateway_response(replace(GREEDY, responses=put), error, Request("GET", "/stage/x", headers, b"", "::1"))


def test_without_a_response_of_the_stack_each_type_has_its_own_status_and_the_plain_template() -> None:
    statuses, names = result_of("gateway-responses-default")["status"], result_of("error-type-names")
    assert {kind: status for kind, (status, _) in RESPONSE_TYPES.items()} == statuses
    assert within(names, {kind: error for kind, (_, error) in RESPONSE_TYPES.items()})
    for kind, status in statuses.items():
        answer = response(kind, {})
        assert (answer.status, json.loads(answer.body)) == (status or 403, PLAIN)
        assert ("x-amzn-ErrorType", RESPONSE_TYPES[kind][1]) in answer.headers


FIVE = {"DEFAULT_5XX": text("default") | {"statusCode": "599", "responseParameters": {"gatewayresponse.header.x": "'y'"}},
        "AUTHORIZER_FAILURE": {"responseParameters": {"gatewayresponse.header.own": "'z'"}}}  # fmt: skip
FOUR = {"WAF_FILTERED": text("text"), "DEFAULT_4XX": {"statusCode": "411"}}
BOTH: dict[str, Any] = {"DEFAULT_4XX": {"statusCode": "400"}, "DEFAULT_5XX": {"statusCode": "500"}}
INHERIT = result_of("gateway-responses-fallback")["inherit status, template and headers of DEFAULT_5XX"]
PARTIAL = int(result_of("gateway-responses-partial-put")["statusCode"])
IDS = {"DEFAULT_4XX": text("$context.requestId|$context.nothing|$context.path")}


@pytest.mark.parametrize(("put", "kind", "own_status", "status", "body", "header"), [
    *((FIVE, kind, None, 599, "default", ("x", "y")) for kind in INHERIT), (FIVE, "AUTHORIZER_FAILURE", None, 500, PLAIN, ("own", "z")),
    (FIVE, "INVALID_SIGNATURE", None, 403, PLAIN, None),  # a default for 5XX says nothing of a 403
    (FOUR, "WAF_FILTERED", None, PARTIAL, "text", None),  # what a response leaves out is the type's own
    (FOUR, "INVALID_SIGNATURE", None, 411, PLAIN, None), (BOTH, "MISSING_AUTHENTICATION_TOKEN", None, 400, PLAIN, None),
    (BOTH, "DEFAULT_5XX", 502, 500, PLAIN, None), ({"DEFAULT_4XX": text("text")}, "MISSING_AUTHENTICATION_TOKEN", None, 403, "text", None),
    (IDS, "THROTTLED", None, 429, 'a"b||/stage/x', None),  # nothing is escaped
])  # fmt: skip
def test_what_a_stack_puts_counts(
    put: Any, kind: str, own_status: int | None, status: int, body: Any, header: Any
) -> None:
    assert "no escaping function" in result_of("gateway-responses-template-language")["rule"]
    assert result_of("gateway-responses-default-status-change")["rule"].startswith("a status set on DEFAULT_4XX")
    answer = response(kind, put, own_status, ("x-amzn-RequestId", 'a"b'))
    assert (answer.status, answer.body.decode() if isinstance(body, str) else json.loads(answer.body)) == (status, body)
    assert header in answer.headers if header else ("x", "y") not in answer.headers


def test_a_template_and_headers_are_filled_by_plain_substitution() -> None:
    put = text('{"custom": true, "message":$context.error.messageString}') | {"statusCode": "411", "responseParameters": {
        "gatewayresponse.header.x-response-claudia": "'yes'", "gatewayresponse.header.x-name": "method.request.header.name",
        "gatewayresponse.header.Access-Control-Allow-Origin": "'a.b.c'"}}  # fmt: skip
    answer = response("MISSING_AUTHENTICATION_TOKEN", {"DEFAULT_4XX": put}, None, ("name", "tom"))
    expected = result_of("gateway-responses-applied")
    assert (answer.status, json.loads(answer.body)) == (expected["status"], expected["body"])
    assert within(expected["headers"], {name.lower(): value for name, value in answer.headers})
