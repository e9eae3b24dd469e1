"""What the provider says is read leniently and without a crash; only the allowed fields come out."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from payments.messages import (
    MOST_OPERATIONS,
    PROVIDER_FIELDS,
    Word,
    read_answer,
    read_credentials_check,
    read_operation,
    read_order,
)
from tests.fakes.scene import ORDER, POS_ID, fields

VECTORS: dict[str, Any] = json.loads((Path(__file__).parents[2] / "vectors/financial-line.json").read_text())
RESPONSES = {vector["id"]: vector for vector in VECTORS["responses"]}
GARBAGE = [
    b"", b"<html>502</html>", b"null", b"5", b'"text"', b"[]", b"{}", b"[null]", b"[[]]", b"\xff\xfe", b"{", b"NaN",
    b"[" * 100_000, b'{"a":' * 100_000, b'{"method":"void","status":{},"order_id":"123"}',
]  # fmt: skip


def body(vector: str) -> bytes:
    return json.dumps(RESPONSES[vector]["body"]).encode()


def said(status: int, value: object) -> Word:
    return read_answer(status, json.dumps(value).encode(), POS_ID, ORDER).word


@pytest.mark.parametrize(
    ("vector", "status", "word"),
    [
        ("void-success", 200, Word.SUCCESS),
        ("void-success-processed-at", 200, Word.SUCCESS),
        ("void-fee-object", 201, Word.SUCCESS),
        ("void-pending", 200, Word.PENDING),
        ("void-failure", 200, Word.FAILURE),
        ("error-credentials-s404", 401, Word.CREDENTIALS),
        ("error-credentials-s404", 404, Word.CREDENTIALS),
        ("error-credentials-s403", 403, Word.CREDENTIALS),
        ("error-field-violation-list", 400, Word.REFUSED),
        ("error-args-by-path", 400, Word.REFUSED),
        ("error-duplicate-primary-order-p409", 409, Word.REFUSED),
        ("order-query-two-step-partial", 200, Word.UNKNOWN),
        ("order-query-auth-then-void", 200, Word.UNKNOWN),
        ("order-query-item-missing-fields", 200, Word.UNKNOWN),
    ],
)
def test_every_published_answer_is_understood(vector: str, status: int, word: Word) -> None:
    assert read_answer(status, body(vector), POS_ID, ORDER).word is word


def test_every_vector_is_in_the_table() -> None:
    assert len(RESPONSES) == 13


@pytest.mark.parametrize("status", [200, 201, 301, 302, 400, 401, 403, 404, 409, 418, 422, 429, 500, 502, 503, 504])
@pytest.mark.parametrize("garbage", GARBAGE)
def test_garbage_never_crashes_and_never_says_success(status: int, garbage: bytes) -> None:
    expected = {400: Word.REFUSED, 404: Word.REFUSED, 401: Word.CREDENTIALS, 429: Word.THROTTLED}
    assert read_answer(status, garbage, POS_ID, ORDER).word is expected.get(status, Word.UNKNOWN)
    view = read_order(status, garbage, POS_ID, ORDER)
    if status == 404:
        assert view is not None
        assert view.not_found
    elif not 200 <= status < 300 or garbage != b"[]":
        assert view is None


@pytest.mark.parametrize("status", [199, 300, 302, 307, 500, 502, 503, 504])
def test_a_success_under_another_status_is_not_believed(status: int) -> None:
    assert said(status, fields()) is Word.UNKNOWN


@pytest.mark.parametrize(
    "change", [{"order_id": "124"}, {"pos_id": "other"}, {"method": "capture"}, {"order_id": 123}, {"status": None}]
)
def test_an_answer_about_something_else_is_unknown(change: dict[str, object]) -> None:
    assert said(200, {**fields(), **change}) is Word.UNKNOWN


@pytest.mark.parametrize("status", ["init", "pending", "processing", "SUCCESS", "never heard of", ""])
def test_a_status_that_is_not_final_is_under_way(status: str) -> None:
    assert said(200, fields(status)) is Word.PENDING


def test_404_tells_that_it_was_404() -> None:
    assert read_answer(404, b"{}", POS_ID, ORDER).not_found is True
    assert read_answer(400, b"{}", POS_ID, ORDER).not_found is False


@pytest.mark.parametrize("code", ["S-401", "S-403", "S-404", "S-999"])
@pytest.mark.parametrize("status", [400, 403, 404, 409, 422])
def test_an_s_code_is_about_credentials_whatever_the_status(code: str, status: int) -> None:
    assert said(status, {"args": {"code": code}}) is Word.CREDENTIALS
    assert said(status, {"code": code, "message": "x"}) is Word.CREDENTIALS
    assert read_order(status, json.dumps({"args": {"code": code}}).encode(), POS_ID, ORDER) is None


def test_another_4xx_is_a_refusal_only_in_the_providers_shape() -> None:
    assert said(409, {"message": "no"}) is Word.REFUSED
    assert said(409, {"error": "no"}) is Word.UNKNOWN


def test_429_is_throttled_whatever_it_says() -> None:
    assert said(429, {"args": {"code": "S-403"}}) is Word.THROTTLED


def test_code_and_message_are_kept_short() -> None:
    value = {"message": "m" * 5000, "args": {"code": "P" * 5000}}
    answer = read_answer(400, json.dumps(value).encode(), POS_ID, ORDER)
    assert (len(answer.code or ""), len(answer.message or "")) == (64, 512)


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        (100, "100"),
        ("100.00", "100.00"),
        ("1e5", None),
        (True, None),
        (None, None),
        ({}, None),
        ("ї", None),
        ("1" * 31, None),
    ],
)
def test_an_amount_is_exact_as_a_number_or_as_text(sent: object, read: str | None) -> None:
    operation = read_operation({**fields(), "amount": sent})
    assert operation is not None
    amount = operation.fields["amount"]
    assert (None if amount is None else str(amount)) == read


def test_an_amount_keeps_its_digits() -> None:
    text = json.dumps(fields()).replace('"amount": 100', '"amount": 100.00').encode()
    operation = read_answer(200, text, POS_ID, ORDER).operation
    assert operation is not None
    assert str(operation.fields["amount"]) == "100.00"


def test_a_fee_is_kept_as_sent() -> None:
    operation = read_operation(
        RESPONSES["void-fee-object"]["body"] | {"fee": {"amount": Decimal("1.50"), "currency": "UAH", "card": "4"}}
    )
    assert operation is not None
    assert operation.fields["fee"] == {"amount": Decimal("1.50"), "currency": "UAH"}


def test_processed_at_is_another_name_of_processing_time() -> None:
    operation = read_operation(RESPONSES["void-success-processed-at"]["body"])
    assert operation is not None
    assert operation.fields["processing_time"] == "2018-10-10T10:10:12.000"


def test_only_the_sixteen_fields_leave_and_no_card_data() -> None:
    private = {
        "card_mask": "444455******1111",
        "ccn": "4444555566661111",
        "customer": {"email": "a@b.c"},
        "payload": "x",
    }
    operation = read_operation({**fields(), **private})
    assert operation is not None
    assert tuple(operation.fields) == PROVIDER_FIELDS
    assert not any(text in repr(operation) for text in ("4444", "a@b.c"))


def test_half_a_character_is_replaced() -> None:
    operation = read_operation({**fields(), "comment": "a\ud800"})
    assert operation is not None
    assert operation.fields["comment"] == "a?"


class TestAnOrder:
    def test_is_read_from_an_array(self) -> None:
        view = read_order(200, body("order-query-auth-then-void"), POS_ID, ORDER)
        assert view is not None
        assert (view.held, view.captured, [void.status for void in view.of("void")]) == (True, False, ["success"])

    def test_is_read_from_one_object_too(self) -> None:
        view = read_order(200, body("void-success"), POS_ID, ORDER)
        assert view is not None
        assert len(view.of("void")) == 1

    def test_needs_only_three_fields_per_operation(self) -> None:
        view = read_order(200, body("order-query-item-missing-fields"), POS_ID, ORDER)
        assert view is not None
        assert view.of("void")[0].ids == frozenset()

    def test_that_cannot_be_read_whole_proves_nothing(self) -> None:
        assert read_order(200, body("order-query-two-step-partial"), POS_ID, "111999991") is None
        assert read_order(200, json.dumps([fields(), {"method": "void"}]).encode(), POS_ID, ORDER) is None

    def test_of_somebody_else_proves_nothing(self) -> None:
        assert read_order(200, json.dumps([fields(), fields(order_id="124")]).encode(), POS_ID, ORDER) is None
        assert read_order(200, json.dumps([fields(pos_id="other")]).encode(), POS_ID, ORDER) is None

    def test_that_is_not_found_says_so(self) -> None:
        view = read_order(404, b"", POS_ID, ORDER)
        assert view is not None
        assert (view.not_found, view.held) == (True, False)


def test_an_order_with_too_many_operations_is_not_trusted() -> None:
    one = json.dumps(fields()).encode()
    many = b"[" + b",".join([one] * MOST_OPERATIONS) + b"]"
    assert read_order(200, many, POS_ID, ORDER) is not None
    assert read_order(200, many[:-1] + b"," + one + b"]", POS_ID, ORDER) is None


def test_an_id_of_any_length_names_nothing() -> None:
    read = read_operation(fields(operation_id="x" * 129, transaction_id="y" * 128))
    assert read is not None
    assert read.ids == {"y" * 128}


@pytest.mark.parametrize(
    ("status", "text", "taken"),
    [
        (200, b"[]", True),
        (404, b'{"message": "Payment not found"}', True),
        (400, b'{"message": "Invalid order_id"}', True),
        (401, b"", False),
        (404, b'{"args": {"code": "S-404"}}', False),
        (403, b'{"args": {"code": "S-403"}}', False),
        (403, b"<html>firewall</html>", None),
        (404, b"<html>nginx</html>", None),
        (200, b"<html>It works!</html>", None),
        (302, b"", None),
        (429, b"{}", None),
        (500, b"{}", None),
    ],
)
def test_only_an_answer_of_the_provider_says_whether_it_takes_the_credentials(
    status: int, text: bytes, taken: bool | None
) -> None:
    assert read_credentials_check(status, text) is taken


@pytest.mark.parametrize("garbage", GARBAGE)
def test_a_credentials_check_never_crashes(garbage: bytes) -> None:
    assert read_credentials_check(500, garbage) is None
    assert read_credentials_check(401, garbage) is False
