"""The schedule's function: runs over several orders, and what only a defect of ours does; tests/vectors/paths.txt has the rest."""

from collections.abc import Callable
from copy import replace
from typing import Any

import pytest

import settle_voids
from payments.facts import State
from payments.settings import SettingsError
from settle_voids import SettleRunFailed
from tests.fakes import pipe
from tests.fakes import scene as make
from tests.fakes.scene import Scene, operation, submitting, view
from tests.unit.conftest import Counted, Logged


@pytest.fixture
def due(scene: Scene) -> Scene:
    """One order that is due."""
    scene.put(submitting(scene.at))
    scene.wait(61)
    return scene


def run(milliseconds: int = 50_000) -> tuple[int, ...]:
    """How many were queried, settled and failed."""
    done = settle_voids.handler({}, make.time_left(milliseconds))
    assert list(done) == ["queried", "settled", "failed"]
    return tuple(done.values())


def shown(*views: Any) -> Callable[[Scene], object]:
    return lambda scene: scene.provider.views.extend(views)


def writes_of(order_id: str) -> Callable[[str, Any], bool]:
    return lambda name, arguments: name == "put_item" and arguments["Item"]["pk"]["S"].endswith(f"#{order_id}")


def beside_another(scene: Scene) -> None:
    scene.put(submitting(scene.at - 60_000, order_id="other"))
    scene.table.fail(writes_of(make.ORDER))
    shown(view(operation(order_id="other")))(scene)


def leased_by_another_run(scene: Scene) -> None:
    """It hides nothing of those after it."""
    scene.put(submitting(scene.at - 59_000, order_id="after"))

    def overtake(name: str, arguments: dict[str, Any]) -> None:
        if writes_of(make.ORDER)(name, arguments):
            scene.table.before = lambda _name, _arguments: None
            scene.put(scene.order())

    scene.table.before = overtake
    shown(view(operation(order_id="after")))(scene)


def waiting_for_hours(scene: Scene) -> None:
    """After a long outage all wait for their next query: the farthest is then the newest."""
    for number in range(100):
        order = submitting(scene.at - (200 - number) * 60_000, order_id=f"order-{number}")
        asked = order.facts.asked._replace(at=scene.at, times=6)
        scene.put(replace(order, facts=order.facts._replace(asked=asked)))
    shown(None)(scene)


RAN: dict[str, float] = {"SettleRun": 1, "OldestUnsettledSeconds": 61}
NOTHING = (0, 0, 0)
RUNS: dict[str, tuple[Callable[[Scene], object], tuple[int, ...], dict[str, float]]] = {
    "nothing open": (lambda scene: scene.put(pipe.order_in(State.VOIDED)), NOTHING, {"SettleRun": 1}),
    "no right": (lambda scene: scene.table.fail(code="AccessDeniedException"), NOTHING,
                 {"SettleRun": 0, "StoreUnavailable": 1, "UnexpectedError": 1}),
    "one in trouble": (beside_another, (2, 1, 1), RAN | {"SettleFailed": 1, "VoidWithoutWebhook": 1}),
    "one leased by another run": (leased_by_another_run, (2, 1, 0), RAN | {"VoidWithoutWebhook": 1}),
    "many that wait for hours": (waiting_for_hours, (1, 0, 0), {"SettleRun": 1, "OldestUnsettledSeconds": 200 * 60}),
}  # fmt: skip


@pytest.mark.parametrize(("given", "done", "metrics"), RUNS.values(), ids=RUNS)
def test_a_run_reports_this_and_no_more(
    due: Scene, counted: Counted, given: Callable[[Scene], object], done: tuple[int, ...], metrics: dict[str, float]
) -> None:
    given(due)
    assert run() == done
    assert counted() == metrics


def test_a_run_without_time_asks_nothing(due: Scene) -> None:
    assert (run(20_000), due.provider.asked) == (NOTHING, [])


def test_what_was_learnt_is_logged_or_why_nothing_was(due: Scene, logged: Logged) -> None:
    leased_by_another_run(due)
    assert (run(), shown(None)(due), run()) == ((2, 1, 0), None, (1, 0, 0))
    said = [(line["order_id"], line.get("state") or line["cause"]) for line in logged() if "order_id" in line]
    assert said == [("after", "voided"), ("123", "time-out")]


@pytest.mark.parametrize("broken", ["table", "setting"])
def test_a_defect_fails_the_run_without_anybodys_text(
    due: Scene, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], broken: str
) -> None:
    def explode(*_: object) -> Any:
        raise KeyError("a-secret-text") if broken == "table" else SettingsError("TABLE_NAME is not set")

    due.table.before = explode
    if broken == "setting":
        monkeypatch.setattr(settle_voids, "systems", explode)
    with pytest.raises(SettleRunFailed) as raised:
        run()
    assert raised.value.__suppress_context__
    out = capsys.readouterr().out
    assert "a-secret-text" not in out + str(raised.value)
    assert '"SettleRun":[0.0]' in out.replace(" ", "")
