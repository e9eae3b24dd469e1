"""What an order's record knows of itself: which attempt a key made, what counts, and what can be an order's id."""

from copy import replace

import pytest

from payments.record import (
    LONGEST_ORDER_ID,
    EarlierAttempt,
    FailureReason,
    Request,
    State,
    Void,
    currency_of,
    ids_of,
    wrong_order_id,
)
from tests.fakes.scene import fields, operation, submitting

RELEASED_ELSEWHERE = Void(State.VOIDED, "UAH")


def earlier(number: int, key: str, reason: FailureReason = FailureReason.REFUSED) -> EarlierAttempt:
    return EarlierAttempt(number, key, "hash", 1, None, reason, 2)


class TestARequest:
    def test_stands_for_its_whole_body(self) -> None:
        request = Request("order", "UAH", "comment", "key", "arn")
        others = [
            request._replace(order_id="x"),
            request._replace(order_currency="EUR"),
            request._replace(comment=None),
        ]
        assert len({each.body_hash for each in (request, *others)}) == 4
        assert request._replace(key=None, requested_by=None).body_hash == request.body_hash


class TestAKey:
    def test_belongs_to_the_newest_attempt_that_it_made(self) -> None:
        void = replace(submitting(key="k3"), earlier=(earlier(1, "k1"), earlier(2, "k1")))
        assert void.made_by("k3") == void.attempt
        assert void.made_by("k1") == earlier(2, "k1")
        assert void.made_by("k2") is None
        assert void.made_by(None) is None

    def test_made_nothing_where_nobody_asked_here(self) -> None:
        assert RELEASED_ELSEWHERE.made_by("k") is None


def test_only_attempts_that_may_have_reached_the_provider_count() -> None:
    before = (earlier(1, "a"), earlier(2, "b", FailureReason.NOT_SENT), earlier(3, "c", FailureReason.NOT_EXECUTED))
    void = replace(submitting(), earlier=before)
    assert void.attempts_that_count == 3
    assert replace(void, state=State.FAILED, reason=FailureReason.THROTTLED).attempts_that_count == 2
    assert replace(void, state=State.FAILED, reason=FailureReason.REFUSED).attempts_that_count == 3
    assert RELEASED_ELSEWHERE.attempts_that_count == 0


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (None, "must be text of 1 to 32 characters, and not '.', '..' or '0'"),
        (123, "must be text of 1 to 32 characters, and not '.', '..' or '0'"),
        (["a"], "must be text of 1 to 32 characters, and not '.', '..' or '0'"),
        ("", "must be text of 1 to 32 characters, and not '.', '..' or '0'"),
        ("x" * (LONGEST_ORDER_ID + 1), "must be text of 1 to 32 characters, and not '.', '..' or '0'"),
        (".", "must be text of 1 to 32 characters, and not '.', '..' or '0'"),
        ("..", "must be text of 1 to 32 characters, and not '.', '..' or '0'"),
        ("0", "must be text of 1 to 32 characters, and not '.', '..' or '0'"),
        ("a\nb", "must be printable text, without U+FFFD"),
        ("a\ufffdb", "must be printable text, without U+FFFD"),
        (" a", "must not begin or end with a blank"),
        ("a ", "must not begin or end with a blank"),
        ("e\u0301", "must be in Unicode's composed form (NFC)"),
        ("1", None),
        ("00", None),
        ("...", None),
        ("a b", None),
        ("\u00e9", None),
        ("x" * LONGEST_ORDER_ID, None),
    ],
)
def test_what_can_be_an_orders_id(value: object, why: str | None) -> None:
    assert wrong_order_id(value) == why


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        ("UAH", "UAH"),
        ("uah", None),
        ("UA", None),
        ("UAHX", None),
        ("U2H", None),
        ("980", None),
        ("ЮАН", None),
        (None, None),
    ],
)
def test_what_looks_like_a_currency(sent: object, read: str | None) -> None:
    assert currency_of(operation(currency=sent)) == read


def test_an_operation_is_known_by_either_of_its_ids() -> None:
    assert ids_of(fields(operation_id="o", transaction_id="t")) == {"o", "t"}
    assert ids_of(fields(operation_id="o")) == {"o"}
    assert ids_of(fields(operation_id=None, transaction_id="t")) == {"t"}
    assert ids_of(fields(operation_id=None)) == frozenset()
