"""The gateway's events in, responses out: the reading and writing that no single handler owns."""

import json

import pytest

import lambda_http
from answers import PROBLEMS
from payments.secret import SecretError
from payments.settings import SettingsError
from payments.store import StoreError
from tests.fakes import scene as make
from tests.unit.conftest import Counted

NAMES = {
    "invalid-request", "unauthenticated", "not-found", "in-progress", "not-voidable", "too-many-attempts",
    "changed-meanwhile", "nothing-to-decide",
    "idempotency-mismatch", "currency-mismatch", "too-large", "unsupported-media-type", "throttled",
    "provider-credentials", "not-sent", "outcome-unknown",
}  # fmt: skip


def test_the_problems_are_those_of_the_contract() -> None:
    assert set(PROBLEMS) == NAMES


@pytest.mark.parametrize("name", sorted(NAMES))
def test_every_problem_is_a_problem_document(name: str) -> None:
    answer = lambda_http.problem(make.gateway_event(None, {}), name, "detail", order_id="ї")
    document = json.loads(answer["body"])
    assert list(document) == ["type", "title", "status", "detail", "request_id", "order_id"]
    assert document["type"] == f"urn:void-service:problem:{name}"
    assert answer["statusCode"] == document["status"] == PROBLEMS[name].status
    assert answer["headers"]["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("arn", "shown"),
    [
        ("arn:aws:sts::1:assumed-role/shop/alice@example.com", "arn:aws:sts::1:assumed-role/shop"),
        ("arn:aws:iam::1:user/shop", "arn:aws:iam::1:user/shop"),
        (None, None),
    ],
)
def test_the_name_of_a_session_is_left_out(arn: str | None, shown: str | None) -> None:
    assert lambda_http.caller({"requestContext": {"identity": {"userArn": arn}}}) == shown


def test_an_event_without_a_context_is_survived() -> None:
    assert lambda_http.caller({}) is None
    assert lambda_http.request_id({}) == ""
    assert lambda_http.headers({}, "x") == []
    assert lambda_http.body({}, 10) == b""


def test_half_a_character_in_a_body_is_no_crash() -> None:
    assert lambda_http.body({"body": "\ud800"}, 10) == b"\xed\xa0\x80"


def test_no_answer_may_be_cached() -> None:
    assert lambda_http.empty(200)["headers"]["Cache-Control"] == "no-store"
    assert lambda_http.respond(200, {})["headers"]["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    ("sent", "order"),
    [
        ("123", "123"),
        ("a%20b", "a b"),
        ("a%2Fb", "a/b"),
        ("%25", "%"),
        ("%2520", "%20"),
        ("a+b", "a+b"),
        ("%D1%97", "ї"),
        ("%F0%9F%99%82", "\U0001f642"),
        ("%22", '"'),
        ("%", "%"),
    ],
)
def test_an_order_in_the_path_is_decoded_exactly_once(sent: str, order: str) -> None:
    assert lambda_http.order_id({"pathParameters": {"order_id": sent}}) == order


@pytest.mark.parametrize("sent", ["%ff", "%C3", "%ED%A0%80"])
def test_an_order_in_the_path_that_is_no_utf8_is_400(sent: str) -> None:
    with pytest.raises(lambda_http.BadRequest):
        lambda_http.order_id({"pathParameters": {"order_id": sent}})


def test_the_request_id_is_the_one_that_a_client_cannot_choose() -> None:
    context = {"requestId": "chosen-by-a-client", "extendedRequestId": "from-the-gateway"}
    assert lambda_http.request_id({"requestContext": context}) == "from-the-gateway"


@pytest.mark.parametrize("spelling", ["utf-8", "UTF8", '"utf-8"', "us-ascii"])
def test_utf8_has_several_names(spelling: str) -> None:
    assert lambda_http.media_type(make.gateway_event("", {"Content-Type": f"a/b; charset={spelling}"})) == "a/b"


@pytest.mark.parametrize("more", ["boundary=utf-16", "q=1; charset=utf-8", ""])
def test_other_parameters_of_a_media_type_say_nothing(more: str) -> None:
    assert lambda_http.media_type(make.gateway_event("", {"Content-Type": f"A/b ; {more}"})) == "a/b"


@pytest.mark.parametrize("value", ["a/b; charset=latin-1", "a/b; charset", 'a/b; charset="utf-16"'])
def test_another_charset_is_no_media_type(value: str) -> None:
    assert lambda_http.media_type(make.gateway_event("", {"Content-Type": value})) == ""


def test_a_missing_or_repeated_media_type_is_none() -> None:
    assert lambda_http.media_type({}) == ""
    assert lambda_http.media_type({"multiValueHeaders": {"content-type": ["a/b", "a/b"]}}) == ""


@pytest.mark.parametrize(
    "event",
    [
        {"multiValueHeaders": {"X": None, "x": ["1"]}},
        {"multiValueHeaders": {"X": None}, "headers": {"x": "1", "X": None, "y": "2"}},
        {"multiValueHeaders": None, "headers": {"X": "1"}},
    ],
)
def test_a_header_without_a_value_is_none(event: dict[str, object]) -> None:
    assert lambda_http.headers(event, "x") == ["1"]


@pytest.mark.parametrize("text", ["YWJj\n", "YW Jj", "YWJ", "%%%"])
def test_a_body_that_is_no_base64_is_400(text: str) -> None:
    with pytest.raises(lambda_http.BadRequest) as raised:
        lambda_http.body({"body": text, "isBase64Encoded": True}, 10)
    assert (raised.value.name, raised.value.detail) == ("invalid-request", "The body cannot be decoded.")


def test_a_body_may_be_as_large_as_allowed_and_no_larger() -> None:
    assert lambda_http.body({"body": "ї" * 5}, 10) == "ї".encode() * 5
    with pytest.raises(lambda_http.BadRequest) as raised:
        lambda_http.body({"body": "ї" * 5 + "a"}, 10)
    assert (raised.value.name, raised.value.detail) == ("too-large", "The body may have at most 10 bytes.")


def test_an_order_that_is_no_utf8_is_named() -> None:
    with pytest.raises(lambda_http.BadRequest) as raised:
        lambda_http.order_id({"pathParameters": {"order_id": "%ff"}})
    assert (raised.value.name, raised.value.detail) == ("invalid-request", "The path is wrong.")
    assert raised.value.errors == [{"pointer": "/order_id", "detail": "must be percent-encoded UTF-8"}]


@pytest.mark.parametrize("event", [{}, {"pathParameters": None}, {"pathParameters": {}}])
def test_a_path_without_an_order_is_400(event: dict[str, object]) -> None:
    with pytest.raises(lambda_http.BadRequest):
        lambda_http.order_id(event)


def test_an_answer_is_complete() -> None:
    def headers(kind: str) -> dict[str, str]:
        return {"Content-Type": kind, "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "X": "y"}

    answer = lambda_http.respond(202, {"a": None}, {"X": "y"})
    assert answer == {
        "statusCode": 202, "headers": headers("application/json"), "body": '{"a":null}', "isBase64Encoded": False,
    }  # fmt: skip
    refused = lambda_http.problem({}, "not-sent", "d", extra={"X": "y"})
    assert (refused["statusCode"], refused["isBase64Encoded"]) == (503, False)
    assert refused["headers"] == headers("application/problem+json")
    assert lambda_http.empty(200) == {
        "statusCode": 200, "headers": {"Cache-Control": "no-store"}, "body": "", "isBase64Encoded": False,
    }  # fmt: skip


def failing(error: Exception, how: lambda_http.Unavailable = lambda_http.REPEAT_LATER) -> lambda_http.Handler:
    @lambda_http.lambda_handler(how)
    def handler(_event: lambda_http.GatewayEvent) -> lambda_http.Response:
        raise error

    return handler


UNHELPFUL = lambda_http.Unavailable("outcome-unknown", "It was not stored.")


@pytest.mark.parametrize(
    ("error", "what", "counts"),
    [
        (SettingsError("TABLE_NAME is not set"), "setting", {"UnexpectedError": 1}),
        (SecretError("denied"), "secret", {"SecretUnusable": 1}),
        (SecretError("out-of-reach"), "secret", {"SecretOutOfReach": 1}),
        (StoreError("ThrottlingException"), "table", {"StoreUnavailable": 1}),
    ],
)
@pytest.mark.parametrize(
    ("how", "status", "consequence", "retry", "more"),
    [
        (lambda_http.REPEAT_LATER, 503, "The same request may be repeated.", "5", {}),
        (lambda_http.REPEAT_LATER._replace(metric="VoidNotSent"), 503, "The same request may be repeated.", "5",
         {"VoidNotSent": 1}),
        (UNHELPFUL, 500, "It was not stored.", None, {}),
    ],
)  # fmt: skip
def test_what_is_out_of_reach_is_named_and_counted(
    error: Exception, what: str, counts: dict[str, float], how: lambda_http.Unavailable, status: int,
    consequence: str, retry: str | None, more: dict[str, float], counted: Counted,
) -> None:  # fmt: skip
    answer = failing(error, how)(make.gateway_event(None, {}), None)
    told = json.loads(answer["body"])
    assert (answer["statusCode"], told["status"]) == (status, status)
    assert told["detail"] == f"The {what} was out of reach or unusable. {consequence}"
    assert answer["headers"].get("Retry-After") == retry
    assert counted() == {**counts, **more}


def test_a_wrong_request_is_told_with_its_violations(counted: Counted) -> None:
    wrong = [{"pointer": "/a", "detail": "must be b"}]
    answer = failing(lambda_http.BadRequest("too-large", "Too much.", wrong))(make.gateway_event(None, {}), None)
    told = json.loads(answer["body"])
    assert (answer["statusCode"], told["detail"], told["errors"]) == (413, "Too much.", wrong)
    assert counted() == {}


def test_what_nobody_expected_is_counted_and_told_without_its_text(counted: Counted) -> None:
    answer = failing(KeyError("a-secret-text"))(make.gateway_event(None, {}), None)
    told = json.loads(answer["body"])
    assert (answer["statusCode"], told["type"]) == (500, "urn:void-service:problem:outcome-unknown")
    assert told["detail"] == "Repeat the same request or read the void; both are safe."
    assert told["request_id"] == "request-1"
    assert counted() == {"UnexpectedError": 1}


def test_a_line_of_the_log_carries_the_id_that_the_answer_shows(capsys: pytest.CaptureFixture[str]) -> None:
    failing(KeyError())(make.gateway_event(None, {}), None)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["request_id"] for line in lines if "message" in line] == ["request-1"]
