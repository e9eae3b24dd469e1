"""A void from hold to record over real sockets: gateway, functions, table, secret and sandbox, as `make run` has them.

Requests are signed by botocore, webhooks by the sandbox: every answer the provider may give, and every bad request.
What a merchant's way consists of (submit, repeat, read, list, be refused) goes by token, too.
"""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any
from uuid import uuid4

import pytest

from local.issuer import URL, Issuer
from local.merchant import Reply, send
from local.service import Service
from tests.integration.client import FORM, JSON, POS_ID, Client, TokenClient, eventually, token_of

API_SECRET = "ktMdTyollYMRkEfvgqbaWmvFiXPy1a80"

PROVIDER_FIELDS = [
    "operation_id", "payment_id", "order_id", "transaction_id", "pos_id", "mode", "method", "amount", "currency",
    "status", "status_code", "status_description", "created_at", "processing_time", "fee", "comment",
]  # fmt: skip
RECORD_FIELDS = {
    "order_id", "pos_id", "state", "reason", "review", "reviews", "corrected", "resend_allowed", "order_currency", "comment",
    "attempt", "requested_at", "requested_by", "settled_at", "provider", "provider_code", "provider_message", "history",
    "attempts", "operations", "decisions", "version", "revision",
}  # fmt: skip
MOVES = {"version", "revision"}  # with each webhook that is stored


@pytest.fixture
def client(service: Service) -> Client:
    return Client(service)


@pytest.fixture(params=["signed", "by token"])
def either(service: Service, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Client:
    """The same merchant in each form of a call."""
    if request.param == "signed":
        return Client(service)
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")
    return TokenClient(service, token_of(service, "shop"))


def problem(answer: Reply, status: int, name: str) -> Any:
    """The answer as a problem document that is what it says it is."""
    assert answer.status == status, answer.body
    assert answer.headers["Content-Type"] == "application/problem+json"
    document = answer.json
    assert (document["type"], document["status"]) == (f"urn:void-service:problem:{name}", status)
    assert document["title"]
    assert document["request_id"]
    assert API_SECRET not in answer.body.decode()
    return document


# The way of a void


def test_a_void_goes_out_a_webhook_comes_in_and_the_record_has_every_field(either: Client) -> None:
    order_id = either.hold()
    answer = either.submit(order_id)
    void = answer.json
    assert (answer.status, void["state"], set(void)) == (200, "voided", RECORD_FIELDS)
    assert "Idempotency-Replayed" not in answer.headers
    operation = either.ledger(order_id)["operations"][1]
    assert list(void["provider"]) == PROVIDER_FIELDS
    assert void["provider"] == operation
    assert [(step["state"], step["evidence"]) for step in void["history"]] == [
        ("submitting", "request"),
        ("voided", "answer"),
    ]
    record = eventually(lambda: either.read(order_id), lambda record: len(record["webhooks"]) == 1)
    assert {name: record[name] for name in RECORD_FIELDS - MOVES} == {
        name: void[name] for name in RECORD_FIELDS - MOVES
    }
    assert record["webhooks_truncated"] is False
    assert [sent["status"] for sent in either.ledger(order_id)["webhooks"]] == [200]
    (item,) = either.items(order_id)
    assert (item["sk"]["S"], len(item["webhooks"]["M"])) == ("ORDER", 1)


def test_a_repeated_request_sends_nothing(either: Client) -> None:
    order_id = either.hold(webhook="none")
    first = either.submit(order_id, key="k-1")
    for again in (either.submit(order_id, key="k-1"), either.submit(order_id), either.submit(order_id, key="k-2")):
        assert (again.status, again.json) == (200, first.json)
        assert again.headers["Idempotency-Replayed"] == "true"
    assert either.ledger(order_id)["voids_received"] == 1


def test_a_key_belongs_to_one_body_and_an_order_to_one_currency(either: Client) -> None:
    order_id = either.hold(webhook="none")
    either.submit(order_id, key="k-1")
    problem(either.submit(order_id, key="k-1", comment="another"), 422, "idempotency-mismatch")
    problem(either.submit(order_id, order_currency="USD"), 422, "currency-mismatch")
    assert either.submit(order_id, comment="another").status == 200  # without a key it is the same request
    assert either.ledger(order_id)["voids_received"] == 1


def test_requests_for_an_order_in_flight_are_told_so(client: Client) -> None:
    """And an answer that never comes leaves the void unknown, until the provider's word arrives."""
    order_id, overtaken = client.hold(answer="timeout_executed", webhook="none"), client.hold(answer="timeout_executed")
    began = time.monotonic()
    with ThreadPoolExecutor(2) as threads:
        first, second = threads.submit(client.submit, order_id), threads.submit(client.submit, overtaken)
        for each in (order_id, overtaken):
            eventually(partial(client.ledger, each), lambda ledger: ledger["voids_received"] == 1)
        busy = client.submit(order_id)
        document = problem(busy, 409, "in-progress")
        assert (document["order_id"], int(busy.headers["Retry-After"]) > 0) == (order_id, True)
        eventually(lambda: client.read(overtaken), lambda record: record["state"] == "voided")  # webhook first
    assert 9 < time.monotonic() - began < 29  # an answer is given 10 s; the sandbox would hold it for 30
    assert (first.result().status, first.result().json["state"]) == (202, "unknown")
    assert first.result().headers["Location"].endswith(f"/voids/{order_id}")
    assert int(first.result().headers["Retry-After"]) > 0
    assert (second.result().status, second.result().json["state"]) == (200, "voided")
    assert client.submit(order_id).status == 202
    assert client.sandbox("POST", f"webhooks/{order_id}")["status"] == 200
    assert client.submit(order_id).status == 200
    assert client.ledger(order_id)["voids_received"] == 1


def test_racing_requests_send_one_void(client: Client) -> None:
    order_id = client.hold(webhook="none")
    client.sandbox("PUT", "settings", {"second_void": "execute"})
    try:
        with ThreadPoolExecutor(6) as threads:
            answers = list(threads.map(lambda _: client.submit(order_id), range(6)))
        assert {answer.status for answer in answers} <= {200, 409}
        assert client.submit(order_id).status == 200
        assert (client.ledger(order_id)["voids_received"], client.ledger(order_id)["voids_executed"]) == (1, 1)
    finally:
        client.sandbox("PUT", "settings", {"second_void": "refuse"})


# What the provider answers


@pytest.mark.parametrize(
    ("fault", "status", "name", "state", "reason"),
    [
        ("success", 200, None, "voided", None),
        ("pending", 202, None, "pending", None),
        ("failure", 409, "not-voidable", "failed", "refused"),
        ("http_400", 409, "not-voidable", "failed", "refused"),
        ("http_401", 502, "provider-credentials", "failed", "provider-credentials"),
        ("http_404", 409, "not-voidable", "failed", "refused"),
        ("http_429", 429, "throttled", "failed", "throttled"),
        ("http_500_executed", 202, None, "unknown", None),
        ("http_500_not_executed", 202, None, "unknown", None),
        ("http_503", 202, None, "unknown", None),
        ("reset_executed", 202, None, "unknown", None),
        ("reset_not_executed", 202, None, "unknown", None),
        ("garbage", 202, None, "unknown", None),
        ("truncated", 202, None, "unknown", None),
        ("redirect", 202, None, "unknown", None),
        ("wrong_order", 202, None, "unknown", None),
    ],
)
def test_every_answer_of_the_provider(
    client: Client, fault: str, status: int, name: str | None, state: str, reason: str | None
) -> None:
    order_id = client.hold(answer=fault, webhook="none")
    answer = client.submit(order_id)
    void = problem(answer, status, name)["void"] if name else answer.json
    assert (answer.status, void["state"], void["reason"]) == (status, state, reason)
    assert ("Retry-After" in answer.headers) == (status in (202, 429))
    assert ("Location" in answer.headers) == (status == 202)
    record = client.read(order_id)
    assert {field: record[field] for field in RECORD_FIELDS} == void
    assert client.ledger(order_id)["voids_received"] == 1


@pytest.mark.parametrize(
    "fault", ["http_500_executed", "reset_executed", "garbage", "truncated", "redirect", "wrong_order"]
)
def test_a_lost_answer_is_made_good_by_the_webhook(client: Client, fault: str) -> None:
    order_id = client.hold(answer=fault)
    assert client.submit(order_id).status in (200, 202)
    record = eventually(lambda: client.read(order_id), lambda record: record["state"] == "voided")
    assert record["provider"] == client.ledger(order_id)["operations"][1]


@pytest.mark.parametrize("fault", ["http_500_executed", "reset_executed"])
def test_a_lost_answer_is_made_good_by_a_question(either: Client, fault: str) -> None:
    order_id = either.hold(answer=fault, webhook="none")
    assert either.submit(order_id).status == 202
    record = either.read(order_id, refresh=True)
    assert (record["state"], record["history"][-1]["evidence"]) == ("voided", "query")


@pytest.mark.parametrize("fault", ["not_found", "http_500", "stale", "wrong_order"])
def test_a_question_that_tells_nothing_changes_nothing(client: Client, fault: str) -> None:
    order_id = client.hold(answer="http_500_executed", webhook="none", query=fault)
    client.submit(order_id)
    record = client.read(order_id, refresh=True)
    assert (record["state"], record["resend_allowed"]) == ("unknown", False)


def test_an_order_that_the_provider_does_not_know(either: Client) -> None:
    document = problem(either.submit(uuid4().hex), 409, "not-voidable")
    assert document["void"]["reason"] == "order-not-found"
    assert document["provider_message"]


def test_a_captured_payment_is_not_voidable(client: Client) -> None:
    order_id = client.hold()
    client.sandbox("POST", f"orders/{order_id}/capture")
    assert problem(client.submit(order_id), 409, "not-voidable")["void"]["reason"] == "already-captured"
    again = client.submit(order_id, key="new")
    assert problem(again, 409, "not-voidable")["void"]["attempt"] == 1
    assert client.ledger(order_id)["voids_received"] == 1


def test_a_void_made_in_the_portal_counts(client: Client) -> None:
    order_id = client.hold(webhook="none")
    client.sandbox("POST", f"orders/{order_id}/void")
    answer = client.submit(order_id)
    assert (answer.status, answer.json["state"]) == (200, "voided")
    assert client.ledger(order_id)["voids_executed"] == 1


@pytest.mark.parametrize("fault", ["http_401", "http_429"])
def test_what_moved_nothing_may_be_repeated_with_the_same_key(client: Client, fault: str) -> None:
    order_id = client.hold(answer=fault, webhook="none")
    assert client.submit(order_id, key="k").status in (429, 502)
    again = client.submit(order_id, key="k")
    assert (again.status, again.json["state"], again.json["attempt"]) == (200, "voided", 2)


def test_a_final_refusal_stands_for_its_key_and_not_for_a_new_one(either: Client) -> None:
    order_id = either.hold(answer="http_400", webhook="none")
    assert problem(either.submit(order_id, key="k"), 409, "not-voidable")["provider_message"] == "Invalid request"
    replay = either.submit(order_id, key="k")
    assert problem(replay, 409, "not-voidable")["void"]["attempt"] == 1
    assert replay.headers["Idempotency-Replayed"] == "true"
    assert either.submit(order_id, key="new").status == 200


def test_a_provider_out_of_reach_means_not_sent(client: Client) -> None:
    order_id = client.hold(webhook="none")
    client.sandbox("PUT", "settings", {"listening": False})
    try:
        answer = client.submit(order_id, key="k")
    finally:
        client.sandbox("PUT", "settings", {"listening": True})
    assert problem(answer, 503, "not-sent")["void"]["reason"] == "not-sent"
    assert int(answer.headers["Retry-After"]) > 0
    assert client.ledger(order_id)["voids_received"] == 0
    assert client.submit(order_id, key="k").status == 200


def test_a_pending_void_is_watched_and_never_repeated(client: Client) -> None:
    order_id = client.hold(answer="pending")
    answer = client.submit(order_id)
    assert (answer.status, answer.json["state"]) == (202, "pending")
    again = client.submit(order_id, key="new")
    assert (again.status, again.headers["Idempotency-Replayed"]) == (202, "true")
    assert client.ledger(order_id)["voids_received"] == 1
    operation = client.ledger(order_id)["operations"][1]
    signed = client.sandbox("POST", "sign", {"data": operation | {"status": "success", "status_code": "1009"}})
    assert client.webhook(**signed).status == 200
    assert client.submit(order_id).json["state"] == "voided"


def test_a_pending_void_that_fails_is_failed_by_a_question(client: Client) -> None:
    order_id = client.hold(answer="pending_then_failure")
    assert client.submit(order_id).status == 202
    eventually(lambda: client.ledger(order_id), lambda ledger: len(ledger["webhooks"]) == 1)
    assert client.read(order_id)["state"] == "pending"  # a failure by webhook may be late: it only makes us ask
    record = eventually(lambda: client.read(order_id, refresh=True), lambda record: record["state"] != "pending")
    assert (record["state"], record["reason"], record["history"][-1]["evidence"]) == ("failed", "refused", "query")


def test_a_refusal_that_was_a_success_after_all_is_corrected(client: Client) -> None:
    order_id = client.hold(answer="failure", webhook="failure_then_success")
    assert client.submit(order_id).status == 409
    record = eventually(lambda: client.read(order_id), lambda record: record["state"] == "voided")
    assert (record["corrected"], record["reason"]) == (True, None)


# Webhooks


@pytest.mark.parametrize("mode", ["before_answer", "twice", "failure_then_success", "success_then_failure"])
def test_webhooks_in_any_order_and_number_end_in_the_same_state(client: Client, mode: str) -> None:
    order_id = client.hold(webhook=mode)
    answer = client.submit(order_id)
    assert (answer.status, answer.json["state"]) == (200, "voided")
    expected = 1 if mode == "before_answer" else 2
    ledger = eventually(lambda: client.ledger(order_id), lambda ledger: len(ledger["webhooks"]) == expected)
    assert [sent["status"] for sent in ledger["webhooks"]] == [200] * expected
    record = client.read(order_id)
    assert (record["state"], record["provider"]["status"], record["corrected"]) == ("voided", "success", False)
    assert len(record["webhooks"]) == (2 if "then" in mode else 1)


def test_a_forged_webhook_leaves_no_trace(client: Client) -> None:
    order_id = client.hold(answer="http_400", webhook="forged")
    client.submit(order_id)
    ledger = eventually(lambda: client.ledger(order_id), lambda ledger: len(ledger["webhooks"]) == 1)
    assert ledger["webhooks"][0]["status"] == 401
    record = client.read(order_id)
    assert (record["state"], record["webhooks"]) == ("failed", [])
    stranger = uuid4().hex
    signed = client.sandbox("POST", "sign", {"data": {"order_id": stranger, "method": "void", "status": "success"}})
    for signature in ("A" * 27 + "=", signed["signature"][:-1], "", "підпис"):
        assert client.webhook(signed["data"], signature).status == 401
    assert client.items(stranger) == []


def test_a_success_without_a_record_makes_one(client: Client) -> None:
    order_id = uuid4().hex
    data = {"order_id": order_id, "pos_id": POS_ID, "method": "void", "status": "success", "amount": 100.5}
    answer = client.webhook(**client.sandbox("POST", "sign", {"data": data}))
    assert (answer.status, answer.body) == (200, b"")
    record = client.read(order_id)
    assert (record["state"], record["attempt"], record["requested_at"], record["requested_by"]) == (
        "voided",
        0,
        None,
        None,
    )
    assert client.submit(order_id).headers["Idempotency-Replayed"] == "true"


def test_unreadable_and_foreign_webhooks_are_kept_aside(client: Client) -> None:
    order_id = client.hold(webhook="unreadable")
    client.submit(order_id)
    ledger = eventually(lambda: client.ledger(order_id), lambda ledger: len(ledger["webhooks"]) == 1)
    assert ledger["webhooks"][0]["status"] == 200
    assert client.read(order_id)["webhooks"] == []
    foreign = {"order_id": order_id, "pos_id": str(uuid4()), "method": "void", "status": "success"}
    assert client.webhook(**client.sandbox("POST", "sign", {"data": foreign})).status == 200
    assert client.read(order_id)["webhooks"] == []


def test_card_data_is_never_stored(client: Client) -> None:
    order_id = client.hold(webhook="none")
    client.submit(order_id)
    operation = client.ledger(order_id)["operations"][1]
    data = operation | {"cc_number": "4242424242424242", "payload": {"email": "joe@example.com"}}
    assert client.webhook(**client.sandbox("POST", "sign", {"data": data})).status == 200
    stored = json.dumps(client.items(order_id))
    assert (operation["operation_id"] in stored, "4242424242424242" in stored, "joe@" in stored) == (True, False, False)


def test_other_operations_are_stored_and_move_nothing(client: Client) -> None:
    order_id = client.hold(answer="pending", webhook="none")
    client.submit(order_id)
    data = {"order_id": order_id, "pos_id": POS_ID, "method": "capture", "status": "success", "amount": 1}
    assert client.webhook(**client.sandbox("POST", "sign", {"data": data})).status == 200
    record = client.read(order_id)
    assert (record["state"], len(record["webhooks"])) == ("pending", 1)


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"", FORM, 400),
        (b"data=eyJ9", FORM, 400),
        (b"signature=abc", FORM, 400),
        (b"data=a&data=b&signature=c", FORM, 400),
        (b"data=a&signature=b&signature=c", FORM, 400),
        (b'{"data":"a","signature":"b"}', JSON, 400),
        (b"data=" + b"a" * 65536 + b"&signature=b", FORM, 413),
    ],
)
def test_a_webhook_that_is_no_form_is_refused(
    client: Client, body: bytes, headers: dict[str, str], status: int
) -> None:
    assert client.deliver(body, headers).status == status


# Bad requests


@pytest.mark.parametrize(
    ("changes", "pointers"),
    [
        ({"order_id": ""}, ["/order_id"]),
        ({"order_id": "x" * 33}, ["/order_id"]),
        ({"order_id": "."}, ["/order_id"]),
        ({"order_id": ".."}, ["/order_id"]),
        ({"order_id": "0"}, ["/order_id"]),
        ({"order_id": 123}, ["/order_id"]),
        ({"order_id": None}, ["/order_id"]),
        ({"order_id": "a\u0000b"}, ["/order_id"]),
        ({"order_id": "a\ud800"}, ["/order_id"]),
        ({"order_currency": "uah"}, ["/order_currency"]),
        ({"order_currency": "UAHH"}, ["/order_currency"]),
        ({"order_currency": "UAH\n"}, ["/order_currency"]),
        ({"comment": "c" * 2049}, ["/comment"]),
        ({"comment": 7}, ["/comment"]),
        ({"pos_id": POS_ID}, ["/pos_id"]),
        ({"server_url": "https://example.com"}, ["/server_url"]),
        (
            {"order_id": "", "order_currency": 1, "comment": [], "amount": 1},
            ["/amount", "/comment", "/order_currency", "/order_id"],
        ),
    ],
)
def test_all_violations_are_reported_at_once(client: Client, changes: dict[str, Any], pointers: list[str]) -> None:
    wanted = {"order_id": "123", "order_currency": "UAH"} | changes
    answer = client.call("POST", "voids", json.dumps(wanted).encode(), JSON)
    errors = problem(answer, 400, "invalid-request")["errors"]
    assert sorted({error["pointer"] for error in errors}) == pointers
    assert all(error["detail"] for error in errors)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"text"',
        b"\xff\xfe{}",
        b'{"order_id": NaN}',
        b"[" * 30_000,
        b"eyJvcmRlcl9pZCI6IjEifQ==",
    ],
)
def test_what_is_no_json_object_is_refused(client: Client, body: bytes) -> None:
    problem(client.call("POST", "voids", body, JSON), 400, "invalid-request")


@pytest.mark.parametrize("key", ["k" * 256, "ключ", "a\tb"])
def test_a_bad_idempotency_key_is_refused(client: Client, key: str) -> None:
    body = json.dumps({"order_id": uuid4().hex, "order_currency": "UAH"}).encode()
    headers = client.merchant.signed("POST", "/v1/voids", body, JSON)
    headers["Idempotency-Key"] = key.encode().decode(
        "latin-1"
    )  # the bytes of the text, as a careless client sends them
    url = f"{client.service.url}/v1/voids"
    problem(send("POST", url, body, headers), 400, "invalid-request")


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "application/jsonp", ""])
def test_another_content_type_is_refused(either: Client, content_type: str) -> None:
    body = json.dumps({"order_id": "123", "order_currency": "UAH"}).encode()
    answer = either.call("POST", "voids", body, {"Content-Type": content_type})
    problem(answer, 415, "unsupported-media-type")


def test_parameters_of_the_content_type_are_welcome(client: Client) -> None:
    order_id = client.hold(webhook="none")
    body = json.dumps({"order_id": order_id, "order_currency": "UAH"}).encode()
    headers = {"Content-Type": "Application/JSON; charset=utf-8"}
    assert client.call("POST", "voids", body, headers).status == 200


def test_a_large_body_is_refused(client: Client) -> None:
    body = json.dumps({"order_id": "123", "order_currency": "UAH", "comment": "c" * 32768}).encode()
    problem(client.call("POST", "voids", body, JSON), 413, "too-large")


def test_unsigned_and_unknown_requests_are_refused_by_the_gateway(client: Client) -> None:
    url = f"{client.service.url}/v1"
    problem(send("POST", f"{url}/voids", b"{}", JSON), 403, "unauthenticated")
    problem(send("GET", f"{url}/voids/123"), 403, "unauthenticated")
    problem(client.call("GET", "nothing"), 403, "unauthenticated")


def test_tokens_are_refused_by_the_gateway_as_problems(
    client: Client, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")
    order_id, reader = client.hold(webhook="none"), TokenClient(service, token_of(service, "reader"))
    problem(reader.submit(order_id), 403, "unauthenticated")
    problem(reader.call("GET", f"voids/{order_id}"), 404, "not-found")
    foreign = Issuer(URL).token("shop", ("submit", "read"))  # right but for the key
    for token in (f"{reader.token[:-8]}AAAAAAAA", "no-token", foreign):
        answer = TokenClient(service, token).submit(order_id)
        assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert answer.json["type"] == "urn:void-service:problem:unauthenticated"
        assert token not in answer.body.decode()
    assert send("POST", f"{service.url}/v1/oauth/voids", b"{}", JSON).headers["WWW-Authenticate"] == "Bearer"
    assert client.ledger(order_id)["voids_received"] == 0


def test_a_void_that_nobody_asked_for_is_not_found(either: Client) -> None:
    assert problem(either.call("GET", f"voids/{uuid4().hex}"), 404, "not-found")["order_id"]


@pytest.mark.parametrize("order_id", ["INV/2024 №7", "замовлення-7", "50%2F+&=?#"])
def test_any_order_id_goes_all_the_way(either: Client, order_id: str) -> None:
    unique = f"{order_id}-{uuid4().hex[:8]}"
    either.sandbox("POST", "holds", {"order_id": unique, "amount": 1, "currency": "UAH"})
    assert either.submit(unique).json["state"] == "voided"
    record = eventually(lambda: either.read(unique), lambda record: len(record["webhooks"]) == 1)
    assert record["order_id"] == unique


def test_a_long_comment_in_any_script_survives(client: Client) -> None:
    order_id, comment = client.hold(webhook="none"), "Скасування резерву — клієнт 🙂 " * 60
    void = client.submit(order_id, comment=comment).json
    assert (void["comment"], void["provider"]["comment"]) == (comment, comment)


def test_amounts_keep_their_digits_to_the_end(client: Client) -> None:
    order_id = uuid4().hex
    hold = f'{{"order_id":"{order_id}","amount":1234567890123456.70,"currency":"UAH"}}'
    send("POST", f"{client.service.sandbox_url}/sandbox/holds", hold.encode())
    assert b'"amount":1234567890123456.70,' in client.submit(order_id).body.replace(b": ", b":").replace(b", ", b",")


# Lists


def test_unsettled_voids_are_listed_page_by_page(either: Client) -> None:
    orders = {either.hold(answer="pending", webhook="none") for _ in range(3)}
    for order_id in orders:
        either.submit(order_id)
    seen: set[str] = set()
    cursor: str | None = ""
    query = "limit=2&state=unsettled"
    while cursor is not None:
        page = either.call("GET", f"voids?{f'cursor={cursor}&' if cursor else ''}{query}").json
        assert set(page) == {"voids", "cursor"}
        assert len(page["voids"]) <= 2
        assert all(void["state"] not in ("voided", "failed") for void in page["voids"])
        seen |= {void["order_id"] for void in page["voids"]}
        cursor = page["cursor"]
    assert orders <= seen


@pytest.mark.parametrize(
    "query", ["limit=0&state=unsettled", "limit=101&state=unsettled", "limit=x&state=unsettled", "state=voided",
              "cursor=nonsense&state=unsettled"]
)  # fmt: skip
def test_a_bad_list_query_is_refused(either: Client, query: str) -> None:
    problem(either.call("GET", f"voids?{query}"), 400, "invalid-request")


# Rotation: last, because until the caches are old the functions hold the other secret


def test_the_previous_secret_counts_after_a_rotation(client: Client) -> None:
    service = client.service
    secrets = service.client("secretsmanager")
    before = secrets.get_secret_value(SecretId=service.secret_arn)["SecretString"]

    def rotate(secret: str) -> None:
        secrets.put_secret_value(
            SecretId=service.secret_arn, SecretString=json.dumps(json.loads(before) | {"api_secret": secret})
        )
        client.sandbox("PUT", "settings", {"api_secret": secret})

    def announced(secret: str) -> int:
        data = {"order_id": uuid4().hex, "pos_id": POS_ID, "method": "void", "status": "success"}
        return client.webhook(**client.sandbox("POST", "sign", {"data": data, "secret": secret})).status

    def known() -> None:
        """The functions look at most every 5 s: strangers must not be able to make them look more often."""
        eventually(lambda: announced("current"), lambda status: status == 200)

    try:
        rotate("the-secret-after-a-rotation")
        known()
        assert announced("previous") == 200
    finally:
        rotate(API_SECRET)
        known()
