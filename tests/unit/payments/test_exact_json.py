"""Numbers keep their digits, and nothing else than `Unreadable` is raised."""

from decimal import Decimal

import pytest

from payments import exact_json


@pytest.mark.parametrize(
    "text", ["100.00", "0.1", "1", "-5.50", "123456789012345678901234567890.10", '{"a":[1.10,null,true,"ї"]}']
)
def test_what_was_read_is_written_with_the_same_digits(text: str) -> None:
    assert exact_json.write(exact_json.parse(text)) == text


@pytest.mark.parametrize(
    "text",
    ["", "{", "NaN", "Infinity", "-Infinity", "[1,]", "{'a':1}", b"\xff", b"\xef\xbb\xbf{}", "[" * 100_000, "1" * 5000],
)
def test_what_is_no_json_is_unreadable(text: str | bytes) -> None:
    with pytest.raises(exact_json.Unreadable) as raised:
        exact_json.parse(text)
    assert len(str(raised.value)) < 40, "the text may be personal data"
    assert raised.value.__suppress_context__


def test_text_is_written_as_utf8_and_escaped_where_json_demands_it() -> None:
    assert (
        exact_json.write({'a"': ["Скасування\n", Decimal("1.50"), ("x",), None]})
        == '{"a\\"":["Скасування\\n",1.50,["x"],null]}'
    )
