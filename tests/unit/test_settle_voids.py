"""The schedule's function: what a run tells, and that a run which could ask nothing fails loudly."""

from typing import Any

import pytest

import settle_voids
from payments.settings import SettingsError
from settle_voids import SettleRunFailed
from tests.fakes import scene as make
from tests.fakes.scene import Scene
from tests.fakes.table import error


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


def test_a_run_that_could_ask_nothing_fails_without_anybodys_text(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(name: str, arguments: dict[str, Any]) -> None:
        raise error("InternalServerError", name)

    scene.table.before = fail
    with pytest.raises(SettleRunFailed, match="^StoreError$"):
        settle_voids.handler({}, Remaining())

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


def test_a_secret_out_of_reach_fails_the_run(scene: Scene) -> None:
    scene.secrets.out_of_reach()
    with pytest.raises(SettleRunFailed, match="out-of-reach"):
        settle_voids.handler({}, Remaining())


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
