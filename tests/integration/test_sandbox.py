"""The Financial Line sandbox keeps to the provider's documentation and misbehaves exactly as it is told."""

import hashlib
import hmac
import http.client
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import urllib3

from tests.integration.financial_line import API_KEY, HELD, POS_ID, SECRET, Line, decoded, eventually, is_genuine

# The published request of a void with its signatures (documented algorithm, published credentials).
BODY = (
    b'{"pos_id":"dc728de1-51ef-4ef1-80f7-3b44b07b5667","order_id":"123","order_currency":"UAH","comment":"10101",'
    b'"server_url":"https://callback.example.com/callback/"}'
)
HMAC_OF_BODY = "2c4ab136ef348e1daa46bb1afff2d59a6074fa29"
SHA1_OF_BODY = "d3d566f1543d43017145b6f2322d3eec7ac34abc"
FIELDS = (
    "operation_id payment_id order_id transaction_id pos_id mode method amount currency status status_code "
    "status_description created_at processing_time fee comment"
)


@pytest.fixture
def line(tmp_path: Path) -> Iterator[Line]:
    line = Line(tmp_path)
    yield line
    line.close()


# Who asks, and for what


@pytest.mark.parametrize(("status", "proof"), [
    (200, f"CPAY {API_KEY}:{SECRET}"), (200, f"CPAY-HMAC {API_KEY}:{HMAC_OF_BODY}"), (200, f"CPAY-SHA1 {API_KEY}:{SHA1_OF_BODY}"),
    (401, f"CPAY {API_KEY}:wrong"), (401, f"CPAY other:{SECRET}"), (401, f"CPAY-HMAC {API_KEY}:{SHA1_OF_BODY}"), (401, ""),
    (401, f"CPAY-HMAC {API_KEY}:{HMAC_OF_BODY.upper()}"), (401, f"CPAY-SHA1 {API_KEY}:{HMAC_OF_BODY}"),
    (401, f"CPAY-HMAC-SHA256 {API_KEY}:{HMAC_OF_BODY}"),
])  # fmt: skip
def test_credentials_are_checked_before_anything_else(line: Line, status: int, proof: str) -> None:
    line.hold(webhook="none")
    assert line.post(BODY, X_API_KEY="another-key").status == 401
    answer = line.post(BODY, X_API_AUTH=proof)
    assert (answer.status, answer.json().get("args")) == (status, None if status == 200 else {"code": "S-403"})
    assert line.order()["voids_received"] == (status == 200)


def test_a_signature_covers_the_bytes_as_they_came_and_a_query_has_none(line: Line) -> None:
    line.hold()
    assert line.post(BODY + b" ", X_API_AUTH=f"CPAY-HMAC {API_KEY}:{HMAC_OF_BODY}").status == 401
    cyrillic = BODY.replace(b"10101", "клієнт".encode())
    signature, of_nothing = (hmac.new(SECRET.encode(), body, hashlib.sha1).hexdigest() for body in (cyrillic, b""))
    assert line.post(cyrillic, X_API_AUTH=f"CPAY-HMAC {API_KEY}:{signature}").json()["comment"] == "клієнт"
    assert line.query(X_API_AUTH=f"CPAY-HMAC {API_KEY}:{of_nothing}").status == 401
    assert line.query("0").status == 404  # the documented check of credentials
    with pytest.raises(urllib3.exceptions.SSLError), urllib3.PoolManager(retries=False) as stranger:
        stranger.request("GET", f"{line.sandbox.provider_url}/health")


@pytest.mark.parametrize(("body", "status", "args"), [
    (b"[]", 400, {"obj": [{"msg": ["error.expected.jsobject"], "args": []}]}), (b"{", 406, {}), (b"\xff", 406, {}), (b"", 406, {}),
    (BODY.replace(POS_ID.encode(), API_KEY.encode()), 401, {"code": "S-404"}),
    (BODY.replace(b'"123"', b'"124"'), 404, {}),  # no S- code: an unknown order is no credentials error
    (BODY.replace(b"UAH", b"USD"), 400, {}),
])  # fmt: skip
def test_what_cannot_be_voided_is_refused(line: Line, body: bytes, status: int, args: Any) -> None:
    line.hold()
    answer = line.post(body)
    assert (answer.status, answer.json()["args"]) == (status, args)
    assert line.rows() == [("auth", "success")]


def test_fields_that_break_the_rules_are_all_named(line: Line) -> None:
    wrong = {"pos_id": None, "order_id": "x" * 33, "order_currency": 7, "comment": "c" * 2049, "server_url": "nonsense"}
    answer = line.void(**wrong)
    assert (answer.status, [entry["field_name"] for entry in answer.json()["args"]]) == (400, [*wrong])


def test_a_void_answers_with_all_sixteen_fields_and_keeps_the_digits_of_amounts(line: Line) -> None:
    line.control("POST holds", b'{"order_id":"123","amount":1234567890123456.70,"currency":"UAH"}')
    answer = line.void()
    said = answer.json()
    assert list(said) == FIELDS.split()
    assert (said["method"], said["status_code"], said["comment"]) == ("void", "1009", "10101")
    assert said["payment_id"] == line.order()["operations"][0]["payment_id"]
    assert all(b'"amount":1234567890123456.70,' in each for each in (answer.data, line.query().data))


@pytest.mark.parametrize("order_id", ["INV-2024/000123", "замовлення №7", "50%2F", "a b+c"])
def test_any_order_id_works_in_a_path(line: Line, order_id: str) -> None:
    line.control("POST holds", HELD | {"order_id": order_id})
    path = quote(order_id, safe="")
    assert line.query(f"{path}/void").status == 404
    assert line.void(order_id=order_id).status == 200
    for what, methods in ((path, ["auth", "void"]), (f"{path}/void", ["void"])):
        assert [row["method"] for row in line.query(what).json()] == methods
    assert line.order(order_id)["voids_executed"] == 1


def test_unknown_paths_and_methods(line: Line) -> None:
    for path, status in (("/health", 200), ("/api/v1/nothing", 404), ("/api/v1/void", 405)):
        assert line.provider.request("GET", line.sandbox.provider_url + path).status == status


def test_one_of_racing_voids_is_executed_and_a_second_one_if_that_is_wanted(line: Line) -> None:
    line.hold()
    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(lambda _: line.void().status, range(8))) == [200] + [400] * 7
    line.control("PUT settings", {"second_void": "execute"})
    assert line.void().status == 200
    assert (line.order()["voids_received"], line.order()["voids_executed"]) == (9, 2)


# How the next void goes: fault of the answer, HTTP status or what breaks, voids executed, webhooks

LATE, RESET, CUT = urllib3.exceptions.ReadTimeoutError, ConnectionResetError, http.client.IncompleteRead
SHOWN = {"garbage": b"works!", "wrong_order": b'"not-123"', "http_401": b'"S-403"', "http_404": b'"args":{}'}


@pytest.mark.parametrize(("fault", "how", "executed", "webhooks"), [
    ("success", 200, 1, ["success"]), ("pending", 200, 0, ["pending"]), ("pending_then_failure", 200, 0, ["failure"]),
    ("failure", 200, 0, ["failure"]), ("timeout_executed", LATE, 1, ["success"]), ("timeout_not_executed", LATE, 0, []),
    ("reset_executed", RESET, 1, ["success"]), ("reset_not_executed", RESET, 0, []), ("http_400", 400, 0, []),
    ("http_401", 401, 0, []), ("http_404", 404, 0, []), ("http_429", 429, 0, []), ("http_503", 503, 0, []),
    ("http_500_executed", 500, 1, ["success"]), ("http_500_not_executed", 500, 0, []), ("garbage", 200, 1, ["success"]),
    ("truncated", CUT, 1, ["success"]), ("redirect", 302, 1, ["success"]), ("wrong_order", 200, 1, ["success"]),
])  # fmt: skip
def test_a_fault_of_the_answer(line: Line, fault: str, how: Any, executed: int, webhooks: list[str]) -> None:
    line.hold(answer=fault)
    try:
        answer = line.void()
    except urllib3.exceptions.HTTPError as broken:
        said: list[Any] = [type(broken), *map(type, broken.args)]
    else:
        said = [answer.status]
        assert SHOWN.get(fault, fault.partition("_")[0].encode() if how == 200 else b"") in answer.data
    assert how in said
    assert line.order()["voids_executed"] == executed
    line.announced(*webhooks)
    assert line.void().status == (200 if webhooks in ([], ["failure"]) else 400)  # a fault works once


@pytest.mark.parametrize(("answer", "mode", "statuses"), [
    ("success", "once", "success"), ("success", "twice", "success success"), ("success", "none", ""), ("http_400", "once", ""),
    ("success", "before_answer", "success"), ("success", "failure_then_success", "failure success"),
    ("success", "success_then_failure", "success failure"), ("failure", "failure_then_success", "failure success"),
])  # fmt: skip
def test_genuine_webhooks(line: Line, answer: str, mode: str, statuses: str) -> None:
    line.hold(answer=answer, webhook=mode)
    said = line.void().json()
    assert line.statuses() == (["success"] if mode == "before_answer" else [])
    assert said.get("status") in (answer, None)
    line.announced(*statuses.split())
    assert all(is_genuine(form) for form in line.forms)
    assert line.order()["voids_executed"] == (answer != "http_400")
    assert not statuses or decoded(line.forms[statuses.split().index("success")]).keys() == said.keys()
    sent = line.order()["webhooks"]
    assert [(each["status"], each["data"]) for each in sent] == [(200, form["data"]) for form in line.forms]


@pytest.mark.parametrize(("answer", "mode"), [("success", "forged"), ("http_400", "forged"), ("success", "unreadable")])
def test_webhooks_that_are_none(line: Line, answer: str, mode: str) -> None:
    line.hold(answer=answer, webhook=mode)
    line.void()
    eventually(lambda: len(line.forms) == 1)
    assert is_genuine(line.forms[0]) == (mode == "unreadable")
    with nullcontext() if mode == "forged" else pytest.raises(ValueError):
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


@pytest.mark.parametrize(("fault", "first", "then"), [
    ("not_found", 404, 200), ("http_500", 500, 200), ("timeout", None, 200),
    ("stale", ["auth"], ["auth", "void"]), ("wrong_order", ["not-123", "not-123"], ["123", "123"]),
])  # fmt: skip
def test_a_fault_of_the_query_waits_for_it_and_works_once(line: Line, fault: str, first: Any, then: Any) -> None:
    line.hold(query=fault)
    line.void()

    def seen() -> Any:
        try:
            answer = line.query()
        except urllib3.exceptions.ReadTimeoutError:
            return None
        field = "order_id" if fault == "wrong_order" else "method"
        return answer.status if isinstance(then, int) else [row[field] for row in answer.json()]

    assert [seen(), seen()] == [first, then]
