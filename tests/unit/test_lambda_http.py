"""The gateway's events in, responses out: the reading and writing that no single handler owns."""

import json

import pytest

import lambda_http
from representations import PROBLEMS
from tests.fakes import scene as make

NAMES = {
    "invalid-request", "unauthenticated", "not-found", "in-progress", "not-voidable", "too-many-attempts",
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
