"""What is counted of a change, of an error and of a crash: the alarms stand on these names."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from copy import replace
from threading import Barrier, BrokenBarrierError

import pytest

import telemetry
from payments import evidence
from payments.facts import Evidence, State
from payments.orders import Order, Source
from payments.reviews import Reason, Review
from payments.secret import SecretError
from payments.settings import SettingsError
from payments.store import FORGETS, StoreError
from tests.fakes import pipe
from tests.fakes import scene as make
from tests.unit.conftest import Counted, Logged

NOTHING, OPEN = Order("p", "o"), make.submitting()
FAILED, VOIDED = pipe.order_in(State.FAILED), pipe.order_in(State.VOIDED)


def reported(order: Order) -> Order:
    facts = evidence.reported(order.facts, make.operation(), make.START + 1)
    return order.learnt(facts, Source(Evidence.WEBHOOK, make.START + 1))


def reviewed(order: Order, *reasons: Reason, read_at: int | None = None) -> Order:
    return replace(order, reviews=tuple(Review(reason, "order", 1, read_at) for reason in reasons))


SECOND = reviewed(VOIDED, Reason.SECOND_VOID)
CHANGES: dict[str, tuple[Order, Order, dict[str, float]]] = {
    "nothing": (NOTHING, NOTHING, {}),
    "a request": (NOTHING, OPEN, {}),
    "no answer": (OPEN, pipe.order_in(State.UNKNOWN), {}),
    "a failure": (OPEN, FAILED, {}),
    "a void by its answer": (OPEN, VOIDED, {"VoidWithoutWebhook": 1}),
    "voided as before": (VOIDED, VOIDED, {}),
    "a void by its webhook": (OPEN, reported(OPEN), {}),
    "a correction": (FAILED, reported(FAILED), {"VoidCorrected": 1, "VoidReview": 1}),
    "a review": (VOIDED, SECOND, {"VoidReview": 1}),
    "two reviews": (VOIDED, reviewed(VOIDED, Reason.SECOND_VOID, Reason.ANOTHER_HOLD), {"VoidReview": 2}),
    "the same review": (SECOND, SECOND, {}),
    "a further review": (SECOND, reviewed(VOIDED, Reason.SECOND_VOID, Reason.CORRECTED), {"VoidReview": 1}),
    "unread again": (reviewed(OPEN, Reason.VANISHED, read_at=1), reviewed(OPEN, Reason.VANISHED), {"VoidReview": 1}),
    "a review that is read": (VOIDED, reviewed(VOIDED, Reason.SECOND_VOID, read_at=1), {}),
}


@pytest.mark.parametrize(("before", "after", "counts"), CHANGES.values(), ids=CHANGES)
def test_a_change_is_counted_once(before: Order, after: Order, counts: dict[str, float], counted: Counted) -> None:
    telemetry.count_changes(before.void, after.void)
    telemetry.flush()
    assert counted() == counts


ERRORS: dict[str, tuple[SettingsError | SecretError | StoreError, dict[str, float]]] = {
    "setting": (SettingsError("TABLE_NAME is not set"), {"UnexpectedError": 3}),
    **{reason: (SecretError(reason), {name: 1}) for reason, name in (
        ("no-value", "SecretUnfilled"), ("out-of-reach", "SecretOutOfReach"), ("malformed", "SecretUnusable"),
        ("no-such-secret", "SecretUnusable"), ("denied", "SecretUnusable"))},
    "ThrottlingException": (StoreError("ThrottlingException"), {"StoreUnavailable": 3}),
    **{code: (StoreError(code), {"StoreUnavailable": 3, "UnexpectedError": 3}) for code in (
        "AccessDeniedException", "ValidationException", FORGETS)},
}  # fmt: skip


@pytest.mark.parametrize(("error", "counts"), ERRORS.values(), ids=ERRORS)
def test_of_three_errors_a_secret_s_is_counted_once_and_what_fails_every_time_is_the_release_s(
    error: SettingsError | SecretError | StoreError, counts: dict[str, float], counted: Counted
) -> None:
    for _ in range(3):
        telemetry.count_trouble(error)
    telemetry.flush()
    assert counted() == counts


def test_threads_that_meet_the_same_count_it_once(counted: Counted, monkeypatch: pytest.MonkeyPatch) -> None:
    both = Barrier(2)

    class Looked(dict[str, object]):
        def __contains__(self, name: object) -> bool:
            found = super().__contains__(name)
            with suppress(BrokenBarrierError):
                both.wait(0.2)  # until the other thread has looked, too
            return found

    looked = Looked()
    for holder in (telemetry.metrics, telemetry.metrics.provider):
        monkeypatch.setattr(holder, "metric_set", looked)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(telemetry.count_once, ["SecretOutOfReach"] * 2))
    telemetry.flush()
    assert counted() == {"SecretOutOfReach": 1}


def test_an_error_is_logged_by_its_kind_and_its_innermost_place(logged: Logged) -> None:
    def explode() -> None:
        raise ZeroDivisionError("a-secret-text")

    with pytest.raises(ZeroDivisionError) as raised:
        explode()
    telemetry.report_crash(raised.value)
    telemetry.report_crash(ValueError())
    telemetry.count_trouble(SecretError("malformed", "pos_id"))
    crash, other, secret = logged()
    place = f"explode:{explode.__code__.co_firstlineno + 1}"
    assert (crash["level"], crash["error"], crash["place"]) == ("ERROR", "ZeroDivisionError", place)
    assert (other["place"], secret["reason"], secret["member"]) == ("unknown", "malformed", "pos_id")
    assert "a-secret-text" not in str(crash)


def test_nothing_is_written_when_nothing_was_counted(capsys: pytest.CaptureFixture[str]) -> None:
    telemetry.flush()
    assert capsys.readouterr().out == ""
