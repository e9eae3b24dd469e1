"""What is counted of a change, of an error and of a crash: the alarms stand on these names."""

import json
from copy import replace

import pytest

import telemetry
from payments.record import Change, Evidence, FailureReason, State, Void
from payments.secret import SecretError
from payments.store import StoreError
from tests.fakes import scene as make
from tests.unit.conftest import Counted

OPEN = make.submitting()


def ended(state: State, by: Evidence = Evidence.QUERY, **changes: object) -> Void:
    history = (*OPEN.history, Change(make.START + 1, state, by))
    return replace(OPEN, state=state, history=history, **changes)  # type: ignore[arg-type]


FAILED = ended(State.FAILED, reason=FailureReason.REFUSED)
CORRECTED = ended(State.VOIDED, Evidence.WEBHOOK, corrected=True)


@pytest.mark.parametrize(
    ("before", "after", "counts"),
    [
        (None, None, {}),
        (None, OPEN, {}),
        (OPEN, ended(State.UNKNOWN, Evidence.ANSWER), {}),
        (OPEN, ended(State.VOIDED, Evidence.ANSWER), {"SettledByAnswer": 1}),
        (OPEN, FAILED, {"SettledByQuery": 1}),
        (None, ended(State.VOIDED, Evidence.WEBHOOK), {"SettledByWebhook": 1}),
        (None, ended(State.VOIDED, Evidence.WEBHOOK, review=True), {"SettledByWebhook": 1, "VoidReview": 1}),
        (FAILED, replace(FAILED, queried_at=5), {}),
        (FAILED, CORRECTED, {"SettledByWebhook": 1, "VoidCorrected": 1}),
        (CORRECTED, replace(CORRECTED, review=True), {"VoidReview": 1}),
        (replace(OPEN, review=True), replace(OPEN, review=True, queried_at=5), {}),
    ],
)
def test_a_change_is_counted_once(
    before: Void | None, after: Void | None, counts: dict[str, float], counted: Counted
) -> None:
    telemetry.count_changes(before, after)
    telemetry.flush()
    assert counted() == counts


@pytest.mark.parametrize(
    ("reason", "name"),
    [
        ("no-value", "SecretUnfilled"),
        ("out-of-reach", "SecretOutOfReach"),
        ("malformed", "SecretUnusable"),
        ("no-such-secret", "SecretUnusable"),
        ("denied", "SecretUnusable"),
    ],
)
def test_a_secret_that_cannot_be_had_is_counted_by_its_reason(reason: str, name: str, counted: Counted) -> None:
    telemetry.count_secret_error(SecretError(reason))
    telemetry.flush()
    assert counted() == {name: 1}


@pytest.mark.parametrize("code", ["ThrottlingException", "AccessDeniedException", "ValidationException"])
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
    (line,) = map(json.loads, capsys.readouterr().out.splitlines())
    place = f"explode:{explode.__code__.co_firstlineno + 1}"
    assert (line["level"], line["error"], line["place"]) == ("ERROR", "ZeroDivisionError", place)
    assert "a-secret-text" not in json.dumps(line)


def test_a_crash_without_a_place_is_logged_all_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    telemetry.report_crash(ValueError())
    assert json.loads(capsys.readouterr().out)["place"] == "unknown"


def test_nothing_is_written_when_nothing_was_counted(capsys: pytest.CaptureFixture[str]) -> None:
    telemetry.flush()
    assert capsys.readouterr().out == ""
