"""What the provider says is read leniently and without a crash; only the allowed fields come out."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from payments import messages
from payments.exact_json import Number
from payments.messages import AnswerKind, Operation, read_answer, read_operation, read_order
from tests.fakes.scene import ORDER, POS_ID, fields, operation, view

VECTORS: dict[str, Any] = json.loads((Path(__file__).parents[2] / "vectors/financial-line.json").read_text())
RESPONSES = {vector["id"]: vector["body"] for vector in VECTORS["responses"]}
SUCCESS, PENDING, FAILURE, REFUSED, THROTTLED, CREDENTIALS, UNKNOWN = AnswerKind
GARBAGE = [
    b"", b"<html>502</html>", b"null", b"5", b'"text"', b"[]", b"{}", b"[null]", b"[[]]", b"\xff\xfe", b"{", b"NaN",
    b"[" * 100_000, b'{"a":' * 100_000, b'{"method":"void","status":{},"order_id":"123"}',
]  # fmt: skip


def raw(value: object) -> bytes:
    return value if isinstance(value, bytes) else json.dumps(value).encode()


def changed(**changes: object) -> dict[str, object]:
    return {**fields(), **changes}


# ---- answers -----------------------------------------------------------------------------------------------------------

TWICE = raw(fields()).replace(b'"status": "success"', b'"status": "failure", "status": "success"')
CREDENTIALS_ERROR = raw({"message": "Payment not found", "args": {"code": "S-404"}})
REFUSING = (400, 403, 404, 422)
ANSWERS: dict[str, tuple[Iterable[int], Iterable[object], AnswerKind]] = {
    **{f"published: {name}": ([status], [RESPONSES[name]], kind) for name, status, kind in (
        ("void-success", 200, SUCCESS), ("void-success-processed-at", 200, SUCCESS), ("void-fee-object", 201, SUCCESS),
        ("void-pending", 200, PENDING), ("void-failure", 200, FAILURE), ("error-credentials-s404", 401, CREDENTIALS),
        ("error-credentials-s403", 403, CREDENTIALS), ("error-field-violation-list", 400, REFUSED), ("error-args-by-path", 400, REFUSED),
        ("error-duplicate-primary-order-p409", 409, UNKNOWN), ("order-query-two-step-partial", 200, UNKNOWN),
        ("order-query-auth-then-void", 200, UNKNOWN), ("order-query-item-missing-fields", 200, UNKNOWN))},
    "published, under 404": ([404], [RESPONSES["error-credentials-s404"]], CREDENTIALS),
    "garbage": ((200, 201, 301, 302, *REFUSING, 409, 418, 500, 502, 503, 504), GARBAGE, UNKNOWN),
    "garbage under 401": ([401], GARBAGE, CREDENTIALS),
    "garbage under 429": ([429], GARBAGE, THROTTLED),
    "429, whatever it says": ([429], [{"args": {"code": "S-403"}}], THROTTLED),
    "a success under another status": ((199, 300, 302, 307, 500, 502, 503, 504), [fields()], UNKNOWN),
    "about something else": ([200], [changed(**each) for each in (
        {"order_id": "124"}, {"pos_id": "other"}, {"method": "capture"}, {"order_id": 124}, {"status": None}, {"order_id": 123.5},
        {"order_id": True}, {"order_id": "0123"})], UNKNOWN),
    "a status that is not final": ([200], [fields(each) for each in ("init", "pending", "processing", "SUCCESS", "never heard of", "")], PENDING),
    "a project in capitals": ([200], [changed(pos_id=POS_ID.upper()), changed(pos_id=POS_ID.title())], SUCCESS),
    "an S code": (REFUSING, [each for code in ("S-401", "S-403", "S-404", "S-999")
                             for each in ({"args": {"code": code}}, {"code": code, "message": "x"})], CREDENTIALS),
    "the documented error": (REFUSING, [{"message": "no"}, {"args": []}, {"args": {"amount": [{"msg": ["x"]}]}, "message": None}], REFUSED),
    "another error": (REFUSING, [{"error": "no"}, {}, [{"message": "no"}], "message", None], UNKNOWN),
    "an error under another status": ((402, 405, 406, 408, 409, 410, 418, 423, 425, 500, 502, 503, 504),
                                      [{"message": "no", "args": {"code": code}} for code in ("P-409", "S-403")], UNKNOWN),
    "a body cut short": (REFUSING, [CREDENTIALS_ERROR[:length] for length in range(len(CREDENTIALS_ERROR))], UNKNOWN),
    "a name given twice": ([200], [TWICE], UNKNOWN),
}  # fmt: skip


@pytest.mark.parametrize(("statuses", "values", "kind"), ANSWERS.values(), ids=ANSWERS)
def test_an_answer_is_understood_or_unknown_and_its_error_is_no_order(
    statuses: Iterable[int], values: Iterable[object], kind: AnswerKind
) -> None:
    for status in statuses:
        for value in values:
            answer = read_answer(status, raw(value), POS_ID, ORDER)
            order = read_order(status, raw(value), POS_ID, ORDER)
            not_found = kind is REFUSED and status == 404
            assert (answer.kind, answer.not_found) == (kind, not_found), (status, value)
            if not 200 <= status < 300:
                assert (order is not None and order.not_found) is (order is not None) is not_found, (status, value)


def test_every_vector_is_in_the_table() -> None:
    assert {f"published: {name}" for name in RESPONSES} <= ANSWERS.keys()


@pytest.mark.parametrize("pos_id", [POS_ID.upper(), POS_ID.title()])
def test_a_project_is_compared_as_the_uuid_that_it_is(pos_id: str) -> None:
    assert read_answer(200, raw(fields()), pos_id, ORDER).kind is SUCCESS
    assert (messages.project_of(POS_ID.upper()), messages.project_of("Live")) == (POS_ID, "Live")


TOLD: dict[str, tuple[int, object, object, object]] = {
    **{status: (200, fields(status, status_code=1009), "1009", "Reverse successful.") for status in ("success", "pending", "failure")},
    "credentials": (401, {"message": "no", "args": {"code": "P-1"}}, "P-1", "no"),
    "refusal": (400, {"message": "no", "args": {"code": "P-1"}}, "P-1", "no"),
    "long": (400, {"message": "m" * 5000, "args": {"code": "P" * 5000}}, "P" * 64, "m" * 512),
    "long, of an operation": (200, fields(status_code="P" * 65, status_description="m" * 513), "P" * 64, "m" * 512),
    "half a character in the message": (400, {"message": "\ud83d"}, None, "\ufffd"),
    "half a character in the code": (400, {"message": "x", "args": {}, "code": "\ud83d"}, "\ufffd", "x"),
}  # fmt: skip


@pytest.mark.parametrize(("status", "value", "code", "message"), TOLD.values(), ids=TOLD)
def test_an_answer_tells_its_code_and_its_text(status: int, value: object, code: str, message: str) -> None:
    answer = read_answer(status, raw(value), POS_ID, ORDER)
    assert (answer.code, answer.message, answer.cause) == (code, message, f"HTTP {status}")


TAKEN: dict[bool | None, list[tuple[int, bytes]]] = {
    True: [(200, b"[]"), (404, b'{"message": "Payment not found"}'), (400, b'{"message": "Invalid order_id"}')],
    False: [(404, b'{"args": {"code": "S-404"}}'), (403, b'{"args": {"code": "S-403"}}'), *((401, each) for each in GARBAGE)],
    None: [(403, b"<html>firewall</html>"), (404, b"<html>nginx</html>"), (200, b"<html>It works!</html>"), (302, b""),
           (429, b"{}"), (500, b"{}"), *((500, each) for each in GARBAGE)],
}  # fmt: skip


@pytest.mark.parametrize("taken", TAKEN)
def test_only_an_answer_of_the_provider_says_whether_it_takes_the_credentials(taken: bool | None) -> None:
    for status, text in TAKEN[taken]:
        assert messages.read_credentials_check(status, text) is taken, (status, text)


# ---- operations --------------------------------------------------------------------------------------------------------


def read(**changes: object) -> Operation:
    found = read_operation(changed(**changes))
    assert found is not None
    return found


NO_AMOUNTS: list[Any] = [
    Number("1e1000000000000000000"), Number("1e31"), Number("9" * 65), "0100", ".5", True, None, {}, "ї", "1" * 65,
]  # fmt: skip
NO_ID = frozenset[str]()
LONG_FEE = {"amount": "1.50", "currency": "x" * 5_000, "card": "4"}
FIELDS: dict[str, list[tuple[dict[str, Any], Any]]] = {
    "amount": [*(({"amount": Number(digits)}, Number(digits)) for digits in ("100", "1E+2", "100.00")),
               *(({"amount": text}, Number(text)) for text in ("100.00", "1e5")),
               *(({"amount": none}, None) for none in NO_AMOUNTS)],
    "fee": [({"fee": LONG_FEE}, {"amount": Number("1.50"), "currency": "x" * 2_048}), ({"fee": "2.50"}, Number("2.50")), ({"fee": "much"}, None)],
    "comment": [({"comment": "a\ud800"}, "a\ufffd")],
    "processing_time": [({"processing_time": None, "processed_at": sent}, kept) for sent, kept in (
        ("2018-10-10", "2018-10-10"), ("x" * 5_000, "x" * 2_048), ({}, None))],
    "status": [({"status": "a\ud83d"}, "a\ufffd")], "method": [({"method": "a\ud83d"}, "a\ufffd")],
    "ids": [({"operation_id": sent}, names) for sent, names in (
        ("", NO_ID), ("x", frozenset({"x"})), ("x" * 128, frozenset({"x" * 128})), ("x" * 129, NO_ID))]
        + [({"operation_id": "x" * 129, "transaction_id": "y" * 128}, frozenset({"y" * 128}))],
    "under_way": [({"status": status}, under_way) for status, under_way in (("success", False), ("failure", False), ("pending", True), ("new", True))],
}  # fmt: skip


@pytest.mark.parametrize("name", FIELDS)
def test_a_field_is_read_with_its_own_digits_and_no_more_than_fits(name: str) -> None:
    for changes, expected in FIELDS[name]:
        found = read(**changes)
        value = found.fields[name] if name in messages.PROVIDER_FIELDS else getattr(found, name)
        assert repr(value) == repr(expected), changes  # 1E+2 and 100 are equal, and differ here


NO_OPERATION: list[dict[str, object]] = [
    {"method": 5}, {"status": None}, {"order_id": ["1"]}, *(dict[str, object]({name: "x" * 65}) for name in ("method", "status", "order_id")),
]  # fmt: skip


@pytest.mark.parametrize("changes", NO_OPERATION)
def test_an_operation_without_its_three_texts_or_with_a_longer_word_is_none(changes: dict[str, object]) -> None:
    assert read_operation(changed(**changes)) is None


@pytest.mark.parametrize("name", ["method", "status", "order_id"])
def test_a_word_of_64_letters_is_read(name: str) -> None:
    assert len(str(read(**{name: "x" * 64}).fields[name])) == 64


def test_only_the_sixteen_fields_leave_and_no_card_data() -> None:
    found = read(card_mask="444455******1111", ccn="4444555566661111", customer={"email": "a@b.c"}, payload="x")
    assert tuple(found.fields) == messages.PROVIDER_FIELDS
    assert not any(text in repr(found) for text in ("4444", "a@b.c"))


@pytest.mark.parametrize("sent", ["123", "0", "12345678901234567890"])
def test_an_order_id_that_comes_as_a_number_is_its_digits(sent: str) -> None:
    text = raw(fields()).replace(f'"{ORDER}"'.encode(), sent.encode())
    assert read_answer(200, text, POS_ID, sent).kind is SUCCESS
    assert read_answer(200, text, POS_ID, f"0{sent}").kind is UNKNOWN
    order = read_order(200, b"[" + text + b"]", POS_ID, sent)
    assert order is not None
    assert order.operations[0].order_id == sent


# ---- orders ------------------------------------------------------------------------------------------------------------

PARTIAL, NOT_FOUND = {"partial": True}, {"not_found": True, "shows_hold_alone": False, "operations": ()}
ORDERS: dict[str, tuple[int, object, dict[str, object] | None]] = {
    "an array": (200, RESPONSES["order-query-auth-then-void"], {"partial": False, "shows_hold_alone": False, "captured": False, "voids": ["success"]}),
    "one object": (200, RESPONSES["void-success"], {"partial": True, "voids": ["success"]}),
    "with three fields only": (200, RESPONSES["order-query-item-missing-fields"], {"ids": frozenset()}),
    "as many operations as fit": (200, [fields()] * messages.MOST_OPERATIONS, {"voids": ["success"] * messages.MOST_OPERATIONS}),
    "not found": (404, {"message": "no"}, NOT_FOUND),
    # these prove nothing
    "one too many": (200, [fields()] * (messages.MOST_OPERATIONS + 1), None),
    "half of it": (200, RESPONSES["order-query-two-step-partial"], None),
    "with a piece that cannot be read": (200, [fields(), {"method": "void"}], None),
    "of somebody else": (200, [fields(), fields(order_id="124")], None),
    "of another project": (200, [fields(pos_id="other")], None),
    "a name given twice": (200, b"[" + TWICE + b"]", None),
    "under 199": (199, [fields(method="auth")], None), "under 300": (300, [fields(method="auth")], None),
    **{f"garbage {each[:15]!r}{len(each)}": (status, each, None) for each in GARBAGE if each != b"[]" for status in (200, 201)},
}  # fmt: skip


@pytest.mark.parametrize(("status", "value", "shown"), ORDERS.values(), ids=ORDERS)
def test_an_order_is_read_whole_or_proves_nothing(status: int, value: object, shown: dict[str, object] | None) -> None:
    order = read_order(status, raw(value), POS_ID, ORDER)
    assert (order is None) is (shown is None)
    if order is not None and shown is not None:
        voids = order.of("void")
        seen = {"voids": [void.status for void in voids], "ids": voids[0].ids if voids else None}
        assert {name: seen[name] if name in seen else getattr(order, name) for name in shown} == shown


@pytest.mark.parametrize("method", ["void", "capture"])
@pytest.mark.parametrize(("status", "alone"), [("success", False), ("pending", False), ("failure", True)])
def test_a_hold_stands_alone_beside_failures_only(method: str, status: str, alone: bool) -> None:
    assert view(operation(status, method)).shows_hold_alone is alone
