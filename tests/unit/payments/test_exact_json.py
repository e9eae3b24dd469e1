"""Numbers keep their digits, and nothing else than `Unreadable` is raised."""

from decimal import Decimal

import pytest

from payments import exact_json
from payments.exact_json import DuplicateMember, Number, Unreadable

KEPT = [
    "100.00", "0.1", "1", "-5.50", "123456789012345678901234567890.10", "1E+2", "1e1000000000000000000", "1" * 5000, "-0",
    '{"a":[1.10,null,true,"ї"]}',
]  # fmt: skip
NO_JSON = [
    "", "{", "NaN", "Infinity", "-Infinity", "[1,]", "{'a':1}", b"\xff", b"\xef\xbb\xbf{}", "[" * 100_000, '{"a":1,"a":1}',
]  # fmt: skip
VALUES = {
    "100": 100, "1E+2": 100, "100.00": 100, "0.1": Decimal("0.1"), "9" * 64: 10**64 - 1, "9" * 65: None, "1e30": 10**30, "1e31": None,
    "1e-30": Decimal("1e-30"), "1e-31": None, "1e1000000000000000000": None,
}  # fmt: skip


@pytest.mark.parametrize("text", KEPT)
def test_what_was_read_is_written_with_the_same_digits(text: str) -> None:
    assert exact_json.write(exact_json.parse(text)) == text


@pytest.mark.parametrize("text", NO_JSON)
def test_what_is_no_json_is_unreadable(text: str | bytes) -> None:
    with pytest.raises(Unreadable) as raised:
        exact_json.parse(text)
    assert len(str(raised.value)) < 40, "the text may be personal data"
    assert raised.value.__suppress_context__
    assert isinstance(raised.value, DuplicateMember) is (text == '{"a":1,"a":1}')


@pytest.mark.parametrize(("digits", "value"), VALUES.items())
def test_a_number_of_sensible_size_has_its_exact_value(digits: str, value: object) -> None:
    assert Number(digits).value == value


def test_text_is_written_as_utf8_and_escaped_where_json_demands_it() -> None:
    written = exact_json.write({'a"': ["Скасування\n", Number("1.50"), ("x",), None]})
    assert written == '{"a\\"":["Скасування\\n",1.50,["x"],null]}'
    with pytest.raises(TypeError):
        exact_json.write(1.5)  # binary floating point


def test_numbers_are_equal_by_their_value_and_are_no_text() -> None:
    assert len({Number(digits) for digits in ("100", "1E+2", "100.00")}) == 1
    assert Number("1e99") != Number("1e98")
    assert Number("1e99") == Number("1e99")
    assert (Number("1") == "1") is False
