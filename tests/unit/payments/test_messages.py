"""What the provider says is read leniently and without a crash; only the allowed fields come out."""

import json
from pathlib import Path
from typing import Any

import pytest

from payments import exact_json
from payments.exact_json import Number
from payments.messages import (
    MOST_OPERATIONS,
    PROVIDER_FIELDS,
    AnswerKind,
    project_of,
    read_answer,
    read_credentials_check,
    read_operation,
    read_order,
)
from tests.fakes.scene import ORDER, POS_ID, fields, operation, view

VECTORS: dict[str, Any] = json.loads((Path(__file__).parents[2] / "vectors/financial-line.json").read_text())
RESPONSES = {vector["id"]: vector for vector in VECTORS["responses"]}
GARBAGE = [
    b"", b"<html>502</html>", b"null", b"5", b'"text"', b"[]", b"{}", b"[null]", b"[[]]", b"\xff\xfe", b"{", b"NaN",
    b"[" * 100_000, b'{"a":' * 100_000, b'{"method":"void","status":{},"order_id":"123"}',
]  # fmt: skip


def body(vector: str) -> bytes:
    return json.dumps(RESPONSES[vector]["body"]).encode()


def said(status: int, value: object) -> AnswerKind:
    return read_answer(status, json.dumps(value).encode(), POS_ID, ORDER).kind


@pytest.mark.parametrize(
    ("vector", "status", "kind"),
    [
        ("void-success", 200, AnswerKind.SUCCESS),
        ("void-success-processed-at", 200, AnswerKind.SUCCESS),
        ("void-fee-object", 201, AnswerKind.SUCCESS),
        ("void-pending", 200, AnswerKind.PENDING),
        ("void-failure", 200, AnswerKind.FAILURE),
        ("error-credentials-s404", 401, AnswerKind.CREDENTIALS),
        ("error-credentials-s404", 404, AnswerKind.CREDENTIALS),
        ("error-credentials-s403", 403, AnswerKind.CREDENTIALS),
        ("error-field-violation-list", 400, AnswerKind.REFUSED),
        ("error-args-by-path", 400, AnswerKind.REFUSED),
        ("error-duplicate-primary-order-p409", 409, AnswerKind.UNKNOWN),
        ("order-query-two-step-partial", 200, AnswerKind.UNKNOWN),
        ("order-query-auth-then-void", 200, AnswerKind.UNKNOWN),
        ("order-query-item-missing-fields", 200, AnswerKind.UNKNOWN),
    ],
)
def test_every_published_answer_is_understood(vector: str, status: int, kind: AnswerKind) -> None:
    assert read_answer(status, body(vector), POS_ID, ORDER).kind is kind


def test_every_vector_is_in_the_table() -> None:
    assert len(RESPONSES) == 13


@pytest.mark.parametrize("status", [200, 201, 301, 302, 400, 401, 403, 404, 409, 418, 422, 429, 500, 502, 503, 504])
@pytest.mark.parametrize("garbage", GARBAGE)
def test_garbage_never_crashes_and_never_says_success(status: int, garbage: bytes) -> None:
    expected = {401: AnswerKind.CREDENTIALS, 429: AnswerKind.THROTTLED}
    assert read_answer(status, garbage, POS_ID, ORDER).kind is expected.get(status, AnswerKind.UNKNOWN)
    if not 200 <= status < 300 or garbage != b"[]":
        assert read_order(status, garbage, POS_ID, ORDER) is None


@pytest.mark.parametrize("status", [199, 300, 302, 307, 500, 502, 503, 504])
def test_a_success_under_another_status_is_not_believed(status: int) -> None:
    assert said(status, fields()) is AnswerKind.UNKNOWN


@pytest.mark.parametrize(
    "change",
    [
        {"order_id": "124"},
        {"pos_id": "other"},
        {"method": "capture"},
        {"order_id": 124},
        {"status": None},
        {"order_id": 123.5},
        {"order_id": True},
        {"order_id": "0123"},
    ],
)
def test_an_answer_about_something_else_is_unknown(change: dict[str, object]) -> None:
    assert said(200, {**fields(), **change}) is AnswerKind.UNKNOWN


@pytest.mark.parametrize("status", ["init", "pending", "processing", "SUCCESS", "never heard of", ""])
def test_a_status_that_is_not_final_is_under_way(status: str) -> None:
    assert said(200, fields(status)) is AnswerKind.PENDING


def test_404_tells_that_it_was_404() -> None:
    assert read_answer(404, b'{"message":""}', POS_ID, ORDER).not_found is True
    assert read_answer(400, b'{"message":""}', POS_ID, ORDER).not_found is False


@pytest.mark.parametrize("code", ["S-401", "S-403", "S-404", "S-999"])
@pytest.mark.parametrize("status", [400, 403, 404, 422])
def test_an_s_code_is_about_credentials_whatever_the_status(code: str, status: int) -> None:
    assert said(status, {"args": {"code": code}}) is AnswerKind.CREDENTIALS
    assert said(status, {"code": code, "message": "x"}) is AnswerKind.CREDENTIALS
    assert read_order(status, json.dumps({"args": {"code": code}}).encode(), POS_ID, ORDER) is None


@pytest.mark.parametrize("status", [400, 403, 404, 422])
@pytest.mark.parametrize(
    ("value", "refused"),
    [
        ({"message": "no"}, True),
        ({"args": []}, True),
        ({"args": {"amount": [{"msg": ["x"]}]}, "message": None}, True),
        ({"error": "no"}, False),
        ({}, False),
        ([{"message": "no"}], False),
        ("message", False),
        (None, False),
    ],
)
def test_only_the_documented_error_shape_is_a_refusal(status: int, value: object, refused: bool) -> None:
    assert (said(status, value) is AnswerKind.REFUSED) is refused
    view = read_order(status, json.dumps(value).encode(), POS_ID, ORDER)
    assert (view is not None and view.not_found) is (refused and status == 404)


@pytest.mark.parametrize("status", [402, 405, 406, 408, 409, 410, 418, 423, 425, 500, 502, 503, 504])
def test_no_other_status_is_a_refusal_whatever_it_says(status: int) -> None:
    assert said(status, {"message": "no", "args": {"code": "P-409"}}) is AnswerKind.UNKNOWN
    assert said(status, {"message": "no", "args": {"code": "S-403"}}) is AnswerKind.UNKNOWN


@pytest.mark.parametrize("status", [400, 403, 404, 422])
def test_a_body_cut_short_is_no_body(status: int) -> None:
    whole = json.dumps({"message": "Payment not found", "args": {"code": "S-404"}}).encode()
    for length in range(len(whole)):
        assert read_answer(status, whole[:length], POS_ID, ORDER).kind is AnswerKind.UNKNOWN
        assert read_order(status, whole[:length], POS_ID, ORDER) is None


def test_a_name_given_twice_is_no_answer() -> None:
    text = json.dumps(fields()).replace('"status": "success"', '"status": "failure", "status": "success"')
    assert read_answer(200, text.encode(), POS_ID, ORDER).kind is AnswerKind.UNKNOWN
    assert read_order(200, f"[{text}]".encode(), POS_ID, ORDER) is None


@pytest.mark.parametrize("pos_id", [POS_ID.upper(), POS_ID.title()])
def test_a_project_is_compared_as_the_uuid_that_it_is(pos_id: str) -> None:
    answer = json.dumps(fields()).encode()
    assert read_answer(200, answer, pos_id, ORDER).kind is AnswerKind.SUCCESS
    assert read_answer(200, answer.replace(POS_ID.encode(), pos_id.encode()), POS_ID, ORDER).kind is AnswerKind.SUCCESS


def test_429_is_throttled_whatever_it_says() -> None:
    assert said(429, {"args": {"code": "S-403"}}) is AnswerKind.THROTTLED


@pytest.mark.parametrize("status", ["success", "pending", "failure"])
def test_an_operation_tells_its_code_and_its_text(status: str) -> None:
    answer = read_answer(200, json.dumps(fields(status, status_code=1009)).encode(), POS_ID, ORDER)
    assert (answer.code, answer.message) == ("1009", "Reverse successful.")


@pytest.mark.parametrize(("status", "kind"), [(401, AnswerKind.CREDENTIALS), (400, AnswerKind.REFUSED)])
def test_a_refusal_tells_its_code_and_its_text(status: int, kind: AnswerKind) -> None:
    answer = read_answer(status, b'{"message": "no", "args": {"code": "P-1"}}', POS_ID, ORDER)
    assert (answer.kind, answer.code, answer.message) == (kind, "P-1", "no")


def test_an_operation_is_under_way_unless_it_is_final() -> None:
    assert [operation(status).under_way for status in ("success", "failure", "pending", "new")] == [
        False, False, True, True,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("identifier", "named"), [("", set()), ("x", {"x"}), ("x" * 128, {"x" * 128}), ("x" * 129, set())]
)
def test_what_names_an_operation(identifier: str, named: set[str]) -> None:
    assert operation(operation_id=identifier).ids == named


@pytest.mark.parametrize("method", ["void", "capture"])
@pytest.mark.parametrize(("status", "alone"), [("success", False), ("pending", False), ("failure", True)])
def test_a_hold_stands_alone_beside_failures_only(method: str, status: str, alone: bool) -> None:
    assert view(operation(status, method)).shows_hold_alone is alone


@pytest.mark.parametrize("status", [199, 300])
def test_an_order_under_another_status_is_not_believed(status: int) -> None:
    assert read_order(status, json.dumps([fields(method="auth")]).encode(), POS_ID, ORDER) is None


@pytest.mark.parametrize("body", [b"5", b'"text"', b"null"])
def test_an_order_that_is_no_list_and_no_object_is_no_answer(body: bytes) -> None:
    assert read_order(200, body, POS_ID, ORDER) is None


@pytest.mark.parametrize("name", ["method", "status"])
@pytest.mark.parametrize(("length", "read"), [(64, True), (65, False)])
def test_a_word_longer_than_any_of_theirs_is_not_read(name: str, length: int, read: bool) -> None:
    assert (read_operation({**fields(), name: "x" * length}) is not None) is read
    assert read_operation({**fields(), "order_id": "x" * 65}) is None


@pytest.mark.parametrize("name", ["method", "status"])
def test_half_a_character_in_a_word_is_replaced(name: str) -> None:
    read = read_operation({**fields(), name: "a\ud83d"})
    assert read is not None
    assert getattr(read, name).encode() == "a\ufffd".encode()


def test_a_fee_keeps_its_digits_and_no_more_than_text() -> None:
    def fee(value: object) -> object:
        read = read_operation({**fields(), "fee": value})
        assert read is not None
        return read.fields["fee"]

    assert fee({"amount": "1.50", "currency": "x" * 5_000}) == {"amount": Number("1.50"), "currency": "x" * 2_048}
    assert fee("2.50") == Number("2.50")
    assert fee("much") is None


def test_code_and_message_are_kept_short() -> None:
    value = {"message": "m" * 5000, "args": {"code": "P" * 5000}}
    answer = read_answer(400, json.dumps(value).encode(), POS_ID, ORDER)
    assert (len(answer.code or ""), len(answer.message or "")) == (64, 512)


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        (Number("100"), "100"),
        (Number("1E+2"), "1E+2"),
        (Number("1e1000000000000000000"), None),
        (Number("1e31"), None),
        (Number("9" * 65), None),
        ("100.00", "100.00"),
        ("1e5", "1e5"),
        ("0100", None),
        (".5", None),
        (True, None),
        (None, None),
        ({}, None),
        ("ї", None),
        ("1" * 65, None),
    ],
)
def test_an_amount_is_exact_as_a_number_or_as_text(sent: object, read: str | None) -> None:
    operation = read_operation({**fields(), "amount": sent})
    assert operation is not None
    amount = operation.fields["amount"]
    assert (amount.digits if isinstance(amount, Number) else amount) == read


def test_an_amount_keeps_its_digits() -> None:
    text = json.dumps(fields()).replace('"amount": 100', '"amount": 100.00').encode()
    operation = read_answer(200, text, POS_ID, ORDER).operation
    assert operation is not None
    assert repr(operation.fields["amount"]) == repr(Number("100.00"))


def test_a_fee_is_kept_as_sent() -> None:
    operation = read_operation(
        RESPONSES["void-fee-object"]["body"] | {"fee": {"amount": Number("1.50"), "currency": "UAH", "card": "4"}}
    )
    assert operation is not None
    assert operation.fields["fee"] == {"amount": Number("1.50"), "currency": "UAH"}


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


@pytest.mark.parametrize("field", ["message", "code"])
def test_half_a_character_in_a_refusal_can_be_encoded(field: str) -> None:
    text = json.dumps({"message": "x", "args": {}, field: "\ud83d"}).encode()
    answer = read_answer(400, text, POS_ID, ORDER)
    assert exact_json.write([answer.code, answer.message]).encode()


def test_half_a_character_is_replaced() -> None:
    operation = read_operation({**fields(), "comment": "a\ud800"})
    assert operation is not None
    assert operation.fields["comment"] == "a\ufffd"


class TestAnOrder:
    def test_is_read_from_an_array(self) -> None:
        view = read_order(200, body("order-query-auth-then-void"), POS_ID, ORDER)
        assert view is not None
        assert (view.shows_hold_alone, view.captured, [void.status for void in view.of("void")]) == (
            False,
            False,
            ["success"],
        )

    def test_is_read_from_one_object_too(self) -> None:
        view = read_order(200, body("void-success"), POS_ID, ORDER)
        assert view is not None
        assert (len(view.of("void")), view.partial) == (1, True)

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
        view = read_order(404, b'{"message": "no"}', POS_ID, ORDER)
        assert view is not None
        assert (view.not_found, view.shows_hold_alone) == (True, False)


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


@pytest.mark.parametrize("wrong", [{"method": 5}, {"status": None}, {"order_id": ["1"]}])
def test_an_operation_without_its_three_texts_is_none(wrong: dict[str, object]) -> None:
    assert read_operation({**fields(), **wrong}) is None


@pytest.mark.parametrize(
    ("sent", "ours"), [("123", "123"), ("0", "0"), ("12345678901234567890", "12345678901234567890")]
)
def test_an_order_id_that_comes_as_a_number_is_its_digits(sent: str, ours: str) -> None:
    text = json.dumps(fields()).replace(f'"{ORDER}"', sent).encode()
    assert read_answer(200, text, POS_ID, ours).kind is AnswerKind.SUCCESS
    assert read_answer(200, text, POS_ID, f"0{ours}").kind is AnswerKind.UNKNOWN
    view = read_order(200, b"[" + text + b"]", POS_ID, ours)
    assert view is not None
    assert view.operations[0].order_id == ours


def test_only_a_uuid_is_the_same_project_in_capitals() -> None:
    assert project_of(POS_ID.upper()) == POS_ID
    assert project_of("Live") == "Live"


@pytest.mark.parametrize(("sent", "read"), [("x" * 5_000, "x" * 2_048), ({}, None)])
def test_processed_at_is_read_as_text_like_every_other_field(sent: object, read: str | None) -> None:
    operation = read_operation({**fields(), "processing_time": None, "processed_at": sent})
    assert operation is not None
    assert operation.fields["processing_time"] == read
