"""What merchants are shown: each member of a record with its value, and what is said about a refusal."""

from copy import replace

import pytest

from payments.record import Change, EarlierAttempt, Evidence, FailureReason, State, StoredWebhook, Void
from representations import provider_words, void_record, webhook_record, why_not_voidable
from tests.fakes import scene as make

NEW_KEY = "ask again with a new Idempotency-Key, or none."
HELPS = {
    FailureReason.REFUSED: f"Once its cause is gone, {NEW_KEY}",
    FailureReason.ORDER_NOT_FOUND: f"If the hold is made later, {NEW_KEY}",
    FailureReason.NOT_EXECUTED: f"If it is still wanted, {NEW_KEY}",
    FailureReason.ALREADY_CAPTURED: "There is nothing left to void: returning the money is a refund.",
}
VOID = replace(
    make.submitting(), state=State.FAILED, reason=FailureReason.REFUSED, review=True, corrected=True,
    resend_allowed=True, settled_at=make.START + 1_234, provider=make.operation("failure").fields,
    history=(
        Change(make.START, State.SUBMITTING, Evidence.REQUEST),
        Change(make.START + 1_234, State.FAILED, Evidence.ANSWER),
    ),
)  # fmt: skip
RECORD = {
    "order_id": "123", "state": "failed", "reason": "refused", "review": True, "corrected": True,
    "resend_allowed": True, "order_currency": "UAH", "comment": "10101", "attempt": 1,
    "requested_at": "2026-11-18T11:06:40.000Z", "requested_by": "arn:aws:iam::1:role/shop",
    "settled_at": "2026-11-18T11:06:41.234Z", "provider": make.operation("failure").fields,
    "history": [
        {"at": "2026-11-18T11:06:40.000Z", "state": "submitting", "evidence": "request"},
        {"at": "2026-11-18T11:06:41.234Z", "state": "failed", "evidence": "answer"},
    ],
}  # fmt: skip


def earlier(reason: FailureReason = FailureReason.REFUSED, **changes: object) -> EarlierAttempt:
    made = EarlierAttempt(1, "k", "h", make.START - 60_000, "arn", reason, make.START - 59_000, "P-1", "no")
    return made._replace(**changes)  # type: ignore[arg-type]


def test_a_record_shows_all_that_is_known() -> None:
    assert void_record(make.order_of(VOID)) == RECORD


def test_what_is_not_known_is_null() -> None:
    shown = void_record(make.order_of(Void(State.PENDING, None)))
    unknown = {name for name, value in shown.items() if value is None}
    assert unknown == {
        "reason", "order_currency", "comment", "requested_at", "requested_by", "settled_at", "provider",
    }  # fmt: skip
    assert (shown["attempt"], shown["history"]) == (0, [])


def test_an_earlier_attempt_is_shown_as_it_ended() -> None:
    shown = void_record(make.order_of(VOID._replace(attempt=make.submitting(key="k2").attempt)), earlier())
    assert shown == {
        **RECORD, "resend_allowed": False, "comment": None, "requested_at": "2026-11-18T11:05:40.000Z",
        "requested_by": "arn", "settled_at": "2026-11-18T11:05:41.000Z", "provider": None,
    }  # fmt: skip
    open_again = replace(VOID, state=State.UNKNOWN, reason=None, settled_at=None)
    again = void_record(make.order_of(open_again), earlier(number=7, settled_at=None))
    assert (again["state"], again["reason"], again["attempt"]) == ("failed", "refused", 7)
    assert again["settled_at"] is None


def test_an_order_voided_since_is_shown_as_it_is() -> None:
    order = make.order_of(replace(VOID, state=State.VOIDED, reason=None))
    assert void_record(order, earlier()) == void_record(order)


@pytest.mark.parametrize("reason", HELPS)
def test_a_refusal_says_what_helps(reason: FailureReason) -> None:
    told = why_not_voidable(replace(VOID, reason=reason), None)
    assert told == f"The provider refused for good; `void.reason` says why. {HELPS[reason]}"


@pytest.mark.parametrize("reason", [None, FailureReason.NOT_SENT])
def test_a_refusal_without_a_known_help_says_just_that(reason: FailureReason | None) -> None:
    told = why_not_voidable(replace(VOID, reason=reason), None)
    assert told == "The provider refused for good; `void.reason` says why."


@pytest.mark.parametrize("reason", HELPS)
def test_the_key_of_an_earlier_attempt_is_told_how_that_one_ended(reason: FailureReason) -> None:
    told = f"The attempt that this Idempotency-Key made has failed for good ({reason.value})."
    assert why_not_voidable(VOID, earlier(reason)) == f"{told} {HELPS[reason]}"
    voided = replace(VOID, state=State.VOIDED)
    assert why_not_voidable(voided, earlier(reason)) == f"{told} The order has been voided since."


def test_the_providers_words_are_those_of_the_attempt_that_is_answered() -> None:
    void = replace(VOID, provider_code="P-2")
    assert provider_words(void) == {"provider_code": "P-2"}
    assert provider_words(void, earlier()) == {"provider_code": "P-1", "provider_message": "no"}
    assert provider_words(void, earlier(provider_code=None, provider_message=None)) == {}


def test_a_webhook_is_shown_with_its_time_and_its_fields() -> None:
    operation = make.operation("pending", "capture")
    assert webhook_record(StoredWebhook("d", make.START + 7, "AWSCURRENT", operation)) == {
        "received_at": "2026-11-18T11:06:40.007Z", "method": "capture", "status": "pending",
        "provider": operation.fields,
    }  # fmt: skip
