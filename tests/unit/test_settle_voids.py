"""The schedule's function: what a run settles, re-checks and reports, and that only a defect of ours is an error of it."""

import json
from collections.abc import Callable
from copy import replace
from typing import Any

import pytest

import settle_voids
from payments import evidence
from payments.facts import DAY_MS, Decision, Evidence, State, Word
from payments.messages import OrderView
from payments.orders import Order, Source
from payments.settings import SettingsError
from settle_voids import SettleRunFailed
from tests.fakes import pipe
from tests.fakes import scene as make
from tests.fakes.scene import START, Scene, operation, submitting, view
from tests.fakes.secret import PUBLISHED
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
    return lambda name, arguments: name == "put_item" and arguments["Item"]["order_id"]["S"] == order_id


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


def reviewed_meanwhile(scene: Scene) -> None:
    """Whoever wrote the review counts it."""

    def report() -> OrderView:
        scene.report(operation(currency="EUR"))
        return view(operation(currency="EUR"))

    shown(report)(scene)


def waiting_for_hours(scene: Scene) -> None:
    """After a long outage all wait for their next query: the farthest is then the newest."""
    for number in range(100):
        order = submitting(scene.at - (200 - number) * 60_000, order_id=f"order-{number}")
        asked = order.facts.asked._replace(at=scene.at, times=6)
        scene.put(replace(order, facts=order.facts._replace(asked=asked)))
    shown(None)(scene)


OTHER_PROJECT = json.dumps({**PUBLISHED, "pos_id": "somebody-elses-project"})
RAN: dict[str, float] = {"SettleRun": 1, "OldestUnsettledSeconds": 61}
NOTHING = (0, 0, 0)
RUNS: dict[str, tuple[Callable[[Scene], object], tuple[int, ...], dict[str, float]]] = {
    "settled": (shown(view(operation())), (1, 1, 0), RAN | {"VoidWithoutWebhook": 1}),
    "not answered": (shown(None), (1, 0, 0), RAN),
    "nothing due": (lambda scene: scene.wait(-60), NOTHING, {"SettleRun": 1, "OldestUnsettledSeconds": 1}),
    "nothing open": (lambda scene: scene.put(pipe.order_in(State.VOIDED)), NOTHING, {"SettleRun": 1}),
    "another project": (lambda scene: scene.secrets.stages.update(dict.fromkeys(scene.secrets.stages, OTHER_PROJECT)), (1, 0, 0),
                        RAN | {"CredentialsOfAnotherProject": 1, "VoidReview": 1}),
    "nobody expected": (shown(ZeroDivisionError("a-secret-text")), (1, 0, 1), RAN | {"SettleFailed": 1, "UnexpectedError": 1}),
    "no write": (lambda scene: scene.table.fail(lambda name, _: name == "put_item"), (1, 0, 1), RAN | {"SettleFailed": 1}),
    "no table": (lambda scene: scene.table.fail(), NOTHING, {"SettleRun": 0, "StoreUnavailable": 1}),
    "no right": (lambda scene: scene.table.fail(code="AccessDeniedException"), NOTHING,
                 {"SettleRun": 0, "StoreUnavailable": 1, "UnexpectedError": 1}),
    "no secret": (lambda scene: scene.secrets.out_of_reach(), NOTHING, {"SettleRun": 0, "SecretOutOfReach": 1}),
    "not filled": (lambda scene: scene.secrets.stages.clear(), NOTHING, {"SettleRun": 1, "SecretUnfilled": 1}),
    "one in trouble": (beside_another, (2, 1, 1), RAN | {"SettleFailed": 1, "VoidWithoutWebhook": 1}),
    "one leased by another run": (leased_by_another_run, (2, 1, 0), RAN | {"VoidWithoutWebhook": 1}),
    "one reviewed meanwhile": (reviewed_meanwhile, (1, 0, 0), RAN),
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


def test_only_what_was_learnt_is_logged(due: Scene, logged: Logged) -> None:
    leased_by_another_run(due)
    run()
    said = [(line["order_id"], line["state"]) for line in logged() if line["message"] == "void queried"]
    assert said == [("after", "voided")]


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


@pytest.mark.parametrize(("minute", "beats"), [(0, True), (15, True), (30, True), (14, False), (16, False)])
@pytest.mark.parametrize("filled", [True, False])
def test_the_heartbeat_takes_the_way_of_settled_voids(due: Scene, minute: int, beats: bool, filled: bool) -> None:
    if not filled:
        due.secrets.stages.clear()
    due.at = (due.at // 3_600_000 + 1) * 3_600_000 + minute * 60_000
    due.provider.views = [None]
    run()
    assert (("HEARTBEAT", "HEARTBEAT") in due.table.items) is beats


# ---- what is queried when ----------------------------------------------------------------------------------------------


def times(scene: Scene, order: Order, seen: OrderView | None, days: int) -> list[int]:
    """The minutes after the beginning at which the order is queried, if a run takes place whenever it is due."""
    scene.put(order)
    scene.at, asked = START, list[int]()
    while (due := scene.record().due_at) is not None and due < START + days * DAY_MS:
        scene.at = max(due, scene.at)
        scene.provider.views = [seen]
        run()
        asked.append((scene.at - START) // 60_000)
    return asked


def decided(word: Word) -> Order:
    order = pipe.order_in(State.UNKNOWN)
    return order.decided(Decision(START, "operator", word, "note", "0" * 16, State.UNKNOWN, None, 1))


def not_sent() -> Order:
    order = submitting()
    return order.learnt(evidence.answered(order.facts, 1, None, START), Source(Evidence.ANSWER, START))


DAILY = [1440 * day for day in range(1, 8)]
FAILED = pipe.order_in(State.FAILED)
QUERIED: dict[str, tuple[Order, OrderView | None, list[int]]] = {
    "unknown": (submitting(), None, [0, 1, 2, 4, 9, 24, 84, 444, *DAILY, 20160]),
    "pending": (pipe.order_in(State.PENDING), view(operation("pending")), [0, 1, 2, 7, 22, 82, 442, *DAILY]),
    "failed": (FAILED, make.HELD, [1440, 10080]),
    "failed, not answered": (FAILED, None, [1440, 1441, 1443, 1448, 1463, 1523, 1883, 3323]),
    "voided by an operator": (decided(Word.VOIDED), make.HELD, [0, 1, 3, 8, 23, 83, 443, 1440, 10080]),
    "not voided by an operator": (decided(Word.NOT_VOIDED), make.HELD, [0, 1440, 10080]),
    "reached nothing": (not_sent(), None, []),
}


@pytest.mark.parametrize(("order", "seen", "minutes"), QUERIED.values(), ids=QUERIED)
def test_the_times_of_queries(scene: Scene, order: Order, seen: OrderView | None, minutes: list[int]) -> None:
    asked = times(scene, order, seen, 20)
    assert asked[: len(minutes)] == minutes
    assert bool(asked) is bool(minutes)


def test_a_look_that_is_never_answered_is_given_up_after_thirty_days(scene: Scene) -> None:
    asked = times(scene, FAILED, None, 400)
    assert 29 * 1440 < asked[-1] < 45 * 1440
    assert len(asked) < 40
