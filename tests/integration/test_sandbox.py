"""The Financial Line sandbox keeps to the provider's documentation and misbehaves exactly as it is told."""

import hashlib
import hmac
import http.client
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import urllib3

from tests.integration.financial_line import (
    API_KEY,
    HELD,
    POS_ID,
    SECRET,
    Line,
    decoded,
    eventually,
    is_genuine,
)

# The published request of a void with its signatures (documented algorithm, published credentials).
BODY = (
    b'{"pos_id":"dc728de1-51ef-4ef1-80f7-3b44b07b5667","order_id":"123","order_currency":"UAH","comment":"10101",'
    b'"server_url":"https://callback.example.com/callback/"}'
)
HMAC_OF_BODY = "2c4ab136ef348e1daa46bb1afff2d59a6074fa29"
SHA1_OF_BODY = "d3d566f1543d43017145b6f2322d3eec7ac34abc"
FIELDS = [
    "operation_id", "payment_id", "order_id", "transaction_id", "pos_id", "mode", "method", "amount", "currency",
    "status", "status_code", "status_description", "created_at", "processing_time", "fee", "comment",
]  # fmt: skip


@pytest.fixture
def line(tmp_path: Path) -> Iterator[Line]:
    line = Line(tmp_path)
    yield line
    line.close()


# Who asks, and for what


PROOFS = {
    200: [f"CPAY {API_KEY}:{SECRET}", f"CPAY-HMAC {API_KEY}:{HMAC_OF_BODY}", f"CPAY-SHA1 {API_KEY}:{SHA1_OF_BODY}"],
    401: [f"CPAY {API_KEY}:wrong", f"CPAY other:{SECRET}", f"CPAY-HMAC {API_KEY}:{SHA1_OF_BODY}", "", f"CPAY-HMAC {API_KEY}:{HMAC_OF_BODY.upper()}",
          f"CPAY-SHA1 {API_KEY}:{HMAC_OF_BODY}", f"CPAY-HMAC-SHA256 {API_KEY}:{HMAC_OF_BODY}"],
}  # fmt: skip


@pytest.mark.parametrize(
    ("status", "proof"), [(status, proof) for status, proofs in PROOFS.items() for proof in proofs]
)
def test_credentials_are_checked_before_anything_else(line: Line, status: int, proof: str) -> None:
    line.hold(webhook="none")
    assert line.post(BODY, X_API_KEY="another-key").status == 401
    answer = line.post(BODY, X_API_AUTH=proof)
    assert answer.status == status
    assert answer.json().get("args") == (None if status == 200 else {"code": "S-403"})
    assert line.order()["voids_received"] == (status == 200)


def test_a_signature_covers_the_bytes_as_they_came_and_a_query_has_none(line: Line) -> None:
    line.hold()
    assert line.post(BODY + b" ", X_API_AUTH=f"CPAY-HMAC {API_KEY}:{HMAC_OF_BODY}").status == 401
    cyrillic = BODY.replace(b"10101", "клієнт".encode())
    signature = hmac.new(SECRET.encode(), cyrillic, hashlib.sha1).hexdigest()
    assert line.post(cyrillic, X_API_AUTH=f"CPAY-HMAC {API_KEY}:{signature}").json()["comment"] == "клієнт"
    of_nothing = hmac.new(SECRET.encode(), b"", hashlib.sha1).hexdigest()
    assert line.query(X_API_AUTH=f"CPAY-HMAC {API_KEY}:{of_nothing}").status == 401
    assert line.query("0").status == 404  # the documented check of credentials
    with pytest.raises(urllib3.exceptions.SSLError), urllib3.PoolManager(retries=False) as stranger:
        stranger.request("GET", f"{line.sandbox.provider_url}/health")


@pytest.mark.parametrize(
    ("body", "status", "args"),
    [
        (b"[]", 400, {"obj": [{"msg": ["error.expected.jsobject"], "args": []}]}),
        (b"{", 406, {}),
        (b"\xff", 406, {}),
        (b"", 406, {}),
        (BODY.replace(POS_ID.encode(), API_KEY.encode()), 401, {"code": "S-404"}),
        (BODY.replace(b'"123"', b'"124"'), 404, {}),  # no S- code: an unknown order is no credentials error
        (BODY.replace(b"UAH", b"USD"), 400, {}),
    ],
)
def test_what_cannot_be_voided_is_refused(line: Line, body: bytes, status: int, args: Any) -> None:
    line.hold()
    answer = line.post(body)
    assert (answer.status, answer.json()["args"]) == (status, args)
    assert line.rows() == [("auth", "success")]


def test_fields_that_break_the_rules_are_all_named(line: Line) -> None:
    answer = line.void(pos_id=None, order_id="x" * 33, order_currency=7, comment="c" * 2049, server_url="nonsense")
    named = [entry["field_name"] for entry in answer.json()["args"]]
    assert (answer.status, named) == (400, ["pos_id", "order_id", "order_currency", "comment", "server_url"])


def test_a_void_answers_with_all_sixteen_fields_and_keeps_the_digits_of_amounts(line: Line) -> None:
    line.control("POST holds", b'{"order_id":"123","amount":1234567890123456.70,"currency":"UAH"}')
    answer = line.void()
    said = answer.json()
    assert list(said) == FIELDS
    assert (said["method"], said["status_code"], said["comment"]) == ("void", "1009", "10101")
    assert said["payment_id"] == line.order()["operations"][0]["payment_id"]
    assert b'"amount":1234567890123456.70,' in answer.data
    assert b'"amount":1234567890123456.70,' in line.query().data


@pytest.mark.parametrize("order_id", ["INV-2024/000123", "замовлення №7", "50%2F", "a b+c"])
def test_any_order_id_works_in_a_path(line: Line, order_id: str) -> None:
    line.control("POST holds", HELD | {"order_id": order_id})
    path = quote(order_id, safe="")
    assert line.query(f"{path}/void").status == 404
    assert line.void(order_id=order_id).status == 200
    assert [row["method"] for row in line.query(path).json()] == ["auth", "void"]
    assert [row["method"] for row in line.query(f"{path}/void").json()] == ["void"]
    assert line.order(order_id)["voids_executed"] == 1


def test_unknown_paths_and_methods(line: Line) -> None:
    for path, status in (("/health", 200), ("/api/v1/nothing", 404), ("/api/v1/void", 405)):
        assert line.provider.request("GET", line.sandbox.provider_url + path).status == status


def test_one_of_racing_voids_is_executed_and_a_second_one_if_that_is_wanted(line: Line) -> None:
    line.hold()
    statuses: list[int] = []
    threads = [threading.Thread(target=lambda: statuses.append(line.void().status)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [200] + [400] * 7
    line.control("PUT settings", {"second_void": "execute"})
    assert line.void().status == 200
    assert (line.order()["voids_received"], line.order()["voids_executed"]) == (9, 2)


# How the next void goes: fault of the answer, HTTP status or what breaks, voids executed, webhooks

LATE, RESET, CUT = urllib3.exceptions.ReadTimeoutError, ConnectionResetError, http.client.IncompleteRead
ANSWERS = [
    ("success", 200, 1, ["success"]), ("pending", 200, 0, ["pending"]), ("pending_then_failure", 200, 0, ["failure"]),
    ("failure", 200, 0, ["failure"]), ("timeout_executed", LATE, 1, ["success"]), ("timeout_not_executed", LATE, 0, []),
    ("reset_executed", RESET, 1, ["success"]), ("reset_not_executed", RESET, 0, []), ("http_400", 400, 0, []),
    ("http_401", 401, 0, []), ("http_404", 404, 0, []), ("http_429", 429, 0, []), ("http_503", 503, 0, []),
    ("http_500_executed", 500, 1, ["success"]), ("http_500_not_executed", 500, 0, []), ("garbage", 200, 1, ["success"]),
    ("truncated", CUT, 1, ["success"]), ("redirect", 302, 1, ["success"]), ("wrong_order", 200, 1, ["success"]),
]  # fmt: skip


@pytest.mark.parametrize(("fault", "how", "executed", "webhooks"), ANSWERS)
def test_a_fault_of_the_answer(line: Line, fault: str, how: Any, executed: int, webhooks: list[str]) -> None:
    line.hold(answer=fault)
    try:
        answer = line.void()
    except urllib3.exceptions.HTTPError as broken:
        said: Any = [type(broken), *map(type, broken.args)]
    else:
        shown = {"garbage": b"works!", "wrong_order": b'"not-123"', "http_401": b'"S-403"', "http_404": b'"args":{}'}
        said = [answer.status]
        assert shown.get(fault, fault.partition("_")[0].encode() if how == 200 else b"") in answer.data
    assert how in said
    assert line.order()["voids_executed"] == executed
    line.announced(*webhooks)
    assert line.void().status == (200 if webhooks in ([], ["failure"]) else 400)  # a fault works once


WEBHOOKS = [
    ("success", "once", ["success"]),
    ("success", "twice", ["success", "success"]),
    ("success", "none", []),
    ("success", "before_answer", ["success"]),
    ("success", "failure_then_success", ["failure", "success"]),
    ("success", "success_then_failure", ["success", "failure"]),
    ("failure", "failure_then_success", ["failure", "success"]),
    ("http_400", "once", []),
]


@pytest.mark.parametrize(("answer", "mode", "statuses"), WEBHOOKS)
def test_genuine_webhooks(line: Line, answer: str, mode: str, statuses: list[str]) -> None:
    line.hold(answer=answer, webhook=mode)
    said = line.void().json()
    assert line.statuses() == (["success"] if mode == "before_answer" else [])
    assert said.get("status") in (answer, None)
    line.announced(*statuses)
    assert all(is_genuine(form) for form in line.forms)
    assert line.order()["voids_executed"] == (answer != "http_400")
    assert not statuses or decoded(line.forms[statuses.index("success")]).keys() == said.keys()
    sent = line.order()["webhooks"]
    assert [(each["status"], each["data"]) for each in sent] == [(200, form["data"]) for form in line.forms]


@pytest.mark.parametrize(("answer", "mode"), [("success", "forged"), ("http_400", "forged"), ("success", "unreadable")])
def test_webhooks_that_are_none(line: Line, answer: str, mode: str) -> None:
    genuine = mode == "unreadable"
    line.hold(answer=answer, webhook=mode)
    line.void()
    eventually(lambda: len(line.forms) == 1)
    assert is_genuine(line.forms[0]) == genuine
    if genuine:
        with pytest.raises(ValueError):
            decoded(line.forms[0])
    else:
        assert decoded(line.forms[0])["status"] == "success"


def test_a_suppressed_webhook_can_be_sent_by_hand_and_nobody_needs_to_listen(line: Line) -> None:
    line.hold(webhook="none")
    said = line.void().json()
    line.announced()
    line.status = 503
    assert line.control("POST webhooks/123")["status"] == 503
    assert decoded(line.forms[0]) == said
    line.receiver.close()
    assert line.control("POST webhooks/123")["error"]
    assert [sent["status"] for sent in line.order()["webhooks"]] == [503, None]  # and none is sent again


QUERIES = [
    ("not_found", 404, 200), ("http_500", 500, 200), ("timeout", None, 200),
    ("stale", ["auth"], ["auth", "void"]), ("wrong_order", ["not-123", "not-123"], ["123", "123"]),
]  # fmt: skip


@pytest.mark.parametrize(("fault", "first", "then"), QUERIES)
def test_a_fault_of_the_query_waits_for_it_and_works_once(line: Line, fault: str, first: Any, then: Any) -> None:
    line.hold(query=fault)
    line.void()

    def seen() -> Any:
        try:
            answer = line.query()
        except urllib3.exceptions.ReadTimeoutError:
            return None
        if isinstance(then, int):
            return answer.status
        return [row["order_id" if fault == "wrong_order" else "method"] for row in answer.json()]

    assert [seen(), seen()] == [first, then]
