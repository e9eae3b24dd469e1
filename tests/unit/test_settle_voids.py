"""The schedule's function: what a run tells, and that only a defect of ours is an error of the function."""

import json
import re
from typing import Any

import pytest

import settle_voids
from payments.record import FailureReason, State
from payments.settings import SettingsError
from settle_voids import SettleRunFailed
from tests.fakes import scene as make
from tests.fakes.scene import Scene
from tests.fakes.table import error
from tests.unit.conftest import Counted


class Remaining:
    """Lambda's context, with time left."""

    def __init__(self, milliseconds: int = 50_000) -> None:
        self.milliseconds = milliseconds

    def get_remaining_time_in_millis(self) -> int:
        return self.milliseconds


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> Scene:
    """One order that is due, and the function on it."""
    scene = Scene()
    monkeypatch.setattr(settle_voids, "systems", lambda: scene.systems)
    monkeypatch.setattr(settle_voids, "now", lambda: scene.at)
    scene.put(make.submitting(scene.at))
    scene.wait(60)
    return scene


def test_a_run_settles_what_is_known_now(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    scene.provider.views = [make.view(make.operation())]
    assert settle_voids.handler({}, Remaining()) == {"queried": 1, "settled": 1, "failed": 0}
    out = capsys.readouterr().out
    for name in ("SettleRun", "SettledByQuery", "OldestUnsettledSeconds"):
        assert f'"{name}"' in out


def test_a_run_with_nothing_due_is_a_heartbeat(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    scene.wait(-60)
    assert settle_voids.handler({}, Remaining()) == {"queried": 0, "settled": 0, "failed": 0}
    assert '"SettleRun"' in capsys.readouterr().out


def test_a_run_without_time_asks_nothing(scene: Scene) -> None:
    assert settle_voids.handler({}, Remaining(20_000))["queried"] == 0
    assert scene.provider.asked == []


def test_one_order_in_trouble_does_not_stop_the_others(scene: Scene) -> None:
    scene.put(make.submitting(scene.at - 60_000), "other")

    def fail(name: str, arguments: dict[str, Any]) -> None:
        if name == "put_item" and arguments["Item"]["order_id"]["S"] == "123":
            raise error("InternalServerError", name)

    scene.table.before = fail
    scene.provider.views = [make.view(make.operation(order_id="other"))]
    assert settle_voids.handler({}, Remaining()) == {"queried": 1, "settled": 1, "failed": 1}


def test_a_correction_is_counted(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    scene.wait(86_400)
    scene.provider.views = [make.HELD]
    settle_voids.handler({}, Remaining())
    assert '"VoidReview"' in capsys.readouterr().out


def test_a_defect_fails_the_run_without_anybodys_text(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def explode(name: str, arguments: dict[str, Any]) -> None:
        raise KeyError("a-secret-text")

    scene.table.before = explode
    with pytest.raises(SettleRunFailed, match="^KeyError$") as raised:
        settle_voids.handler({}, Remaining())
    assert raised.value.__suppress_context__

    def unset() -> object:
        raise SettingsError("TABLE_NAME is not set")

    monkeypatch.setattr(settle_voids, "systems", unset)
    with pytest.raises(SettleRunFailed):
        settle_voids.handler({}, Remaining())
    out = capsys.readouterr().out
    assert "a-secret-text" not in out
    assert '"SettleRun":[1.0]' not in out.replace(" ", "")


@pytest.mark.parametrize(
    ("code", "defects"), [("InternalServerError", 0), ("AccessDeniedException", 1), ("ValidationException", 1)]
)
def test_a_table_that_cannot_be_used_is_counted_and_no_error_of_the_function(
    scene: Scene, capsys: pytest.CaptureFixture[str], code: str, defects: int
) -> None:
    def fail(name: str, arguments: dict[str, Any]) -> None:
        raise error(code, name)

    scene.table.before = fail
    assert settle_voids.handler({}, Remaining()) == {"queried": 0, "settled": 0, "failed": 0}
    out = capsys.readouterr().out.replace(" ", "")
    assert '"StoreUnavailable":[1.0]' in out
    assert '"SettleRun":[0.0]' in out
    assert out.count('"UnexpectedError":[1.0]') == defects


def test_a_secret_out_of_reach_is_counted_and_no_error_of_the_function(
    scene: Scene, capsys: pytest.CaptureFixture[str]
) -> None:
    scene.secrets.out_of_reach()
    assert settle_voids.handler({}, Remaining()) == {"queried": 0, "settled": 0, "failed": 0}
    out = capsys.readouterr().out.replace(" ", "")
    assert '"SecretOutOfReach":[1.0]' in out
    assert '"SettleRun":[0.0]' in out


def test_the_oldest_of_many_that_wait_for_hours_is_reported(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    # After a long outage all wait six hours for their next query: the farthest is then the newest.
    for number in range(100):
        void = make.submitting(scene.at - (200 - number) * 60_000)
        due = scene.at + (100 + number) * 60_000
        scene.put(void._replace(state=State.UNKNOWN, due_at=due), f"order-{number}")
    settle_voids.handler({}, Remaining())
    (oldest,) = re.findall(r'"OldestUnsettledSeconds":\[([\d.]+)\]', capsys.readouterr().out.replace(" ", ""))
    assert float(oldest) == 200 * 60


def test_a_secret_that_is_not_filled_yet_is_one_metric_and_no_error(
    scene: Scene, capsys: pytest.CaptureFixture[str]
) -> None:
    scene.secrets.stages.clear()
    assert settle_voids.handler({}, Remaining()) == {"queried": 0, "settled": 0, "failed": 0}
    out = capsys.readouterr().out
    assert '"SecretUnfilled"' in out
    assert '"SecretUnusable"' not in out


def test_zeros_are_reported_so_that_alarms_can_compare(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    scene.wait(-60)
    settle_voids.handler({}, Remaining())
    out = capsys.readouterr().out
    for name in ("VoidVoided", "WebhookApplied", "SettleFailed", "CredentialsOfAnotherProject"):
        assert f'"{name}":[0.0]' in out.replace(" ", "")


def test_an_order_of_another_project_is_counted(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(2):
        scene.secrets.rotate(pos_id=f"project-{number}")
    settle_voids.handler({}, Remaining())
    out = capsys.readouterr().out.replace(" ", "")
    assert '"CredentialsOfAnotherProject":[1.0]' in out
    assert '"VoidReview":[1.0]' in out


def test_an_answer_nobody_expected_stops_no_run(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    def explode() -> object:
        raise ZeroDivisionError("a-secret-text")

    scene.provider.views = [explode]
    assert settle_voids.handler({}, Remaining()) == {"queried": 1, "settled": 0, "failed": 1}
    out = capsys.readouterr().out
    assert '"UnexpectedError"' in out
    assert "a-secret-text" not in out


ZEROS = dict.fromkeys(
    (
        "SettleFailed",
        "CredentialsOfAnotherProject",
        "VoidVoided",
        "WebhookApplied",
        "WebhookStored",
        "WebhookDuplicate",
    ),
    0,
)


def test_a_run_reports_this_and_no_more(scene: Scene, counted: Counted) -> None:
    scene.provider.views = [make.view(make.operation())]
    settle_voids.handler({}, Remaining())
    assert counted() == {**ZEROS, "SettleRun": 1, "SettledByQuery": 1, "OldestUnsettledSeconds": 60}


def test_a_run_without_credentials_yet_is_complete(scene: Scene, counted: Counted) -> None:
    scene.secrets.stages.clear()
    settle_voids.handler({}, Remaining())
    told = counted()
    assert (told["SettleRun"], told["SecretUnfilled"]) == (1, 1)


def test_a_defect_is_counted(scene: Scene, counted: Counted) -> None:
    def explode(name: str, arguments: dict[str, Any]) -> None:
        raise KeyError

    scene.table.before = explode
    with pytest.raises(SettleRunFailed):
        settle_voids.handler({}, Remaining())
    told = counted()
    assert (told["UnexpectedError"], told["SettleRun"]) == (1, 0)


def test_one_that_another_run_holds_hides_nothing_of_those_after_it(
    scene: Scene, capsys: pytest.CaptureFixture[str]
) -> None:
    scene.put(make.submitting(scene.at - 59_000), "after")

    def overtake(name: str, arguments: dict[str, Any]) -> None:
        if name == "put_item" and arguments["Item"]["order_id"]["S"] == make.ORDER:
            scene.table.before = lambda _name, _arguments: None
            scene.change(scene.record()._replace(query_count=1))

    scene.table.before = overtake
    scene.provider.views = [make.view(make.operation(order_id="after"))]
    assert settle_voids.handler({}, Remaining()) == {"queried": 2, "settled": 1, "failed": 0}
    assert scene.record("after").state is State.VOIDED
    lines = map(json.loads, capsys.readouterr().out.splitlines())
    assert [line["order_id"] for line in lines if line.get("message") == "void queried"] == ["after"]


def test_a_failed_void_that_is_asked_about_again_was_settled_before(scene: Scene, counted: Counted) -> None:
    scene.change(scene.record()._replace(state=State.FAILED, reason=FailureReason.REFUSED, due_at=scene.at))
    scene.provider.views = [make.HELD]
    assert settle_voids.handler({}, Remaining()) == {"queried": 1, "settled": 0, "failed": 0}
    assert counted() == {**ZEROS, "SettleRun": 1, "OldestUnsettledSeconds": 0}


@pytest.mark.parametrize("works", [True, False])
def test_the_log_names_each_void_and_says_when_some_could_not_be_asked(
    scene: Scene, capsys: pytest.CaptureFixture[str], works: bool
) -> None:
    def fail(name: str, arguments: dict[str, Any]) -> None:
        if name == "put_item":
            raise error("InternalServerError", name)

    scene.provider.views = [None]
    scene.table.before = fail if not works else scene.table.before
    settle_voids.handler({}, Remaining())
    lines = [line for line in map(json.loads, capsys.readouterr().out.splitlines()) if "message" in line]
    if works:
        assert [(line["message"], line["order_id"], line["state"], line["queries"]) for line in lines] == [
            ("void queried", make.ORDER, "submitting", 1)
        ]
    else:
        assert [(line["message"], line["failed"]) for line in lines] == [("some voids could not be queried", 1)]
