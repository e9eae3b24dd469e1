"""What is counted of a change, of an error and of a crash: the alarms stand on these names."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import Barrier, BrokenBarrierError

import pytest

import telemetry
from payments.secret import SecretError
from payments.settings import SettingsError
from payments.store import FORGETS, StoreError
from tests.unit.conftest import Counted, Logged

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
