"""What acceptance reads of an answer: numbers as they are, and nothing of what is no JSON."""

from decimal import Decimal

import pytest

from acceptance.wire import Reply


@pytest.mark.parametrize(
    ("body", "read"),
    [
        (b'{"status": 404}', {"status": 404}),
        (b"[-7, 1.50, 1E+2]", [-7, Decimal("1.50"), Decimal(100)]),
        (b"123456789012345678901234567890", Decimal(123456789012345678901234567890)),
        (b'{"amount": 1e1000000000000000000}', {"amount": None}),
        (b'["a", true, null]', ["a", True, None]),
        (b"<html>", None),
        (b"", None),
    ],
)
def test_an_answer_is_read_with_exact_numbers(body: bytes, read: object) -> None:
    answer = Reply(200, {}, body, 0.0).json
    assert answer == read
    assert type(answer) is type(read)
