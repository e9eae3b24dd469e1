"""What is counted of a change, of an error and of a crash: the alarms stand on these names."""

import json
from copy import replace

import pytest

import telemetry
from payments import evidence
from payments.facts import Evidence, State
from payments.orders import Order, Source
from payments.reviews import Reason, Review
from payments.secret import SecretError
from payments.store import FORGETS, StoreError
from tests.fakes import pipe
from tests.fakes import scene as make
from tests.unit.conftest import Counted

OPEN = make.submitting()
FAILED, VOIDED = pipe.order_in(State.FAILED), pipe.order_in(State.VOIDED)


def reported(order: Order) -> Order:
    facts = evidence.reported(order.facts, make.operation(), make.START + 1)
    return order.learnt(facts, Source(Evidence.WEBHOOK, make.START + 1))


def reviewed(order: Order, *reasons: Reason, read_at: int | None = None) -> Order:
    return replace(order, reviews=tuple(Review(reason, "order", 1, read_at) for reason in reasons))


@pytest.mark.parametrize(
    ("before", "after", "counts"),
    [
        (Order("p", "o"), Order("p", "o"), {}),
        (Order("p", "o"), OPEN, {}),
        (OPEN, pipe.order_in(State.UNKNOWN), {}),
        (OPEN, FAILED, {}),
        (OPEN, VOIDED, {"VoidWithoutWebhook": 1}),
        (VOIDED, VOIDED, {}),
        (OPEN, reported(OPEN), {}),
        (FAILED, reported(FAILED), {"VoidCorrected": 1, "VoidReview": 1}),
        (VOIDED, reviewed(VOIDED, Reason.SECOND_VOID), {"VoidReview": 1}),
        (VOIDED, reviewed(VOIDED, Reason.SECOND_VOID, Reason.ANOTHER_HOLD), {"VoidReview": 2}),
        (reviewed(VOIDED, Reason.SECOND_VOID), reviewed(VOIDED, Reason.SECOND_VOID), {}),
        (
            reviewed(VOIDED, Reason.SECOND_VOID),
            reviewed(VOIDED, Reason.SECOND_VOID, Reason.CORRECTED),
            {"VoidReview": 1},
        ),
        (reviewed(OPEN, Reason.VANISHED, read_at=1), reviewed(OPEN, Reason.VANISHED), {"VoidReview": 1}),
        (VOIDED, reviewed(VOIDED, Reason.SECOND_VOID, read_at=1), {}),
    ],
)
def test_a_change_is_counted_once(before: Order, after: Order, counts: dict[str, float], counted: Counted) -> None:
    telemetry.count_changes(before.void, after.void)
    telemetry.flush()
    assert counted() == counts


@pytest.mark.parametrize(
    ("reason", "name"),
    [("no-value", "SecretUnfilled"), ("out-of-reach", "SecretOutOfReach"), ("malformed", "SecretUnusable"),
     ("no-such-secret", "SecretUnusable"), ("denied", "SecretUnusable")],
)  # fmt: skip
def test_a_secret_that_cannot_be_had_is_counted_once_by_its_reason(
    reason: str, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(3):
        telemetry.count_secret_error(SecretError(reason, "pos_id"))
    telemetry.flush()
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert (lines[0]["reason"], lines[0]["member"], lines[-1][name]) == (reason, "pos_id", [1.0])


@pytest.mark.parametrize("code", ["ThrottlingException", "AccessDeniedException", "ValidationException", FORGETS])
def test_what_the_table_refuses_every_time_is_an_error_of_the_release_too(code: str, counted: Counted) -> None:
    telemetry.count_store_error(StoreError(code))
    telemetry.flush()
    ours = {} if code == "ThrottlingException" else {"UnexpectedError": 1}
    assert counted() == {"StoreUnavailable": 1, **ours}


def test_a_crash_is_logged_with_its_kind_and_its_innermost_place(capsys: pytest.CaptureFixture[str]) -> None:
    def explode() -> None:
        raise ZeroDivisionError("a-secret-text")

    with pytest.raises(ZeroDivisionError) as raised:
        explode()
    telemetry.report_crash(raised.value)
    telemetry.report_crash(ValueError())
    line, other = map(json.loads, capsys.readouterr().out.splitlines())
    place = f"explode:{explode.__code__.co_firstlineno + 1}"
    assert (line["level"], line["error"], line["place"]) == ("ERROR", "ZeroDivisionError", place)
    assert other["place"] == "unknown"
    assert "a-secret-text" not in json.dumps(line)


def test_nothing_is_written_when_nothing_was_counted(capsys: pytest.CaptureFixture[str]) -> None:
    telemetry.flush()
    assert capsys.readouterr().out == ""
