"""Numbers keep their digits, and nothing else than `Unreadable` is raised."""

from decimal import Decimal

import pytest

from payments import exact_json


@pytest.mark.parametrize(
    "text",
    [
        "100.00",
        "0.1",
        "1",
        "-5.50",
        "123456789012345678901234567890.10",
        "1E+2",
        "1e1000000000000000000",
        "1" * 5000,
        "-0",
        '{"a":[1.10,null,true,"ї"]}',
    ],
)
def test_what_was_read_is_written_with_the_same_digits(text: str) -> None:
    assert exact_json.write(exact_json.parse(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "NaN",
        "Infinity",
        "-Infinity",
        "[1,]",
        "{'a':1}",
        b"\xff",
        b"\xef\xbb\xbf{}",
        "[" * 100_000,
        '{"a":1,"a":1}',
    ],
)
def test_what_is_no_json_is_unreadable(text: str | bytes) -> None:
    with pytest.raises(exact_json.Unreadable) as raised:
        exact_json.parse(text)
    assert len(str(raised.value)) < 40, "the text may be personal data"
    assert raised.value.__suppress_context__


def test_text_is_written_as_utf8_and_escaped_where_json_demands_it() -> None:
    assert (
        exact_json.write({'a"': ["Скасування\n", exact_json.Number("1.50"), ("x",), None]})
        == '{"a\\"":["Скасування\\n",1.50,["x"],null]}'
    )


@pytest.mark.parametrize(
    ("digits", "value"),
    [
        ("100", 100),
        ("1E+2", 100),
        ("100.00", 100),
        ("0.1", Decimal("0.1")),
        ("1e1000000000000000000", None),
        ("1" * 65, None),
    ],
)
def test_a_number_has_its_exact_value_or_none(digits: str, value: object) -> None:
    assert exact_json.Number(digits).value == value


def test_numbers_are_equal_by_their_value() -> None:
    same = [exact_json.Number(digits) for digits in ("100", "1E+2", "100.00")]
    assert len(set(same)) == 1
    assert exact_json.Number("1e99") != exact_json.Number("1e98")
    assert exact_json.Number("1e99") == exact_json.Number("1e99")
    assert exact_json.Number("1") != "1"


@pytest.mark.parametrize(
    ("digits", "is_one"),
    [("9" * 64, True), ("9" * 65, False), ("1e30", True), ("1e31", False), ("1e-30", True), ("1e-31", False)],
)
def test_a_number_of_sensible_size_has_a_value(digits: str, is_one: bool) -> None:
    assert (exact_json.Number(digits).value is not None) is is_one


def test_a_number_is_no_text() -> None:
    assert (exact_json.Number("1") == "1") is False


def test_a_name_given_twice_is_told_apart() -> None:
    with pytest.raises(exact_json.DuplicateMember):
        exact_json.parse('{"order_id":"1","order_id":"2"}')


def test_binary_floating_point_is_refused() -> None:
    with pytest.raises(TypeError):
        exact_json.write(1.5)
