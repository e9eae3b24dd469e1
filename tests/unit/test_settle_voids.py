"""The schedule's function: what a run tells, and that a run which could ask nothing fails loudly."""

from copy import replace
from typing import Any

import pytest

import settle_voids
from payments.secret import SecretError
from payments.settings import SettingsError
from payments.store import StoreError
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
    monkeypatch.setattr(settle_voids, "world", lambda sends: scene.world)
    monkeypatch.setattr(settle_voids, "now", lambda: scene.at)
    scene.store.create(make.submitting(scene.at), "w")
    scene.wait(60)
    return scene


def test_a_run_settles_what_is_known_now(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    scene.provider.views = [make.view(make.operation())]
    assert settle_voids.handler({}, Remaining()) == {"asked": 1, "settled": 1, "failed": 0}
    out = capsys.readouterr().out
    for name in ("SettleRun", "SettledByQuery", "OldestUnsettledSeconds"):
        assert f'"{name}"' in out


def test_a_run_with_nothing_due_is_a_heartbeat(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    scene.wait(-60)
    assert settle_voids.handler({}, Remaining()) == {"asked": 0, "settled": 0, "failed": 0}
    assert '"SettleRun"' in capsys.readouterr().out


def test_a_run_without_time_asks_nothing(scene: Scene) -> None:
    assert settle_voids.handler({}, Remaining(20_000))["asked"] == 0
    assert scene.provider.asked == []


def test_one_order_in_trouble_does_not_stop_the_others(scene: Scene) -> None:
    scene.store.create(replace(make.submitting(scene.at - 60_000), order_id="other"), "w")

    def fail(name: str, arguments: dict[str, Any]) -> None:
        if name == "put_item" and arguments["Item"]["order_id"]["S"] == "123":
            raise error("InternalServerError", name)

    scene.table.before = fail
    scene.provider.views = [make.view(make.operation(order_id="other"))]
    assert settle_voids.handler({}, Remaining()) == {"asked": 1, "settled": 1, "failed": 1}


def test_a_correction_is_counted(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    scene.wait(86_400)
    scene.provider.views = [make.HELD]
    settle_voids.handler({}, Remaining())
    assert '"VoidReview"' in capsys.readouterr().out


def test_a_run_that_could_ask_nothing_fails(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(name: str, arguments: dict[str, Any]) -> None:
        raise error("InternalServerError", name)

    scene.table.before = fail
    with pytest.raises(StoreError):
        settle_voids.handler({}, Remaining())
    scene.wait(61)
    scene.secrets.out_of_reach()
    with pytest.raises(SecretError):
        settle_voids.handler({}, Remaining())

    def unset(sends: bool) -> object:
        raise SettingsError("TABLE_NAME is not set")

    monkeypatch.setattr(settle_voids, "world", unset)
    with pytest.raises(SettingsError):
        settle_voids.handler({}, Remaining())
