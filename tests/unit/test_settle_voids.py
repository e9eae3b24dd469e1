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
from tests.fakes.scene import Scene, operation, view
from tests.fakes.secret import PUBLISHED
from tests.fakes.table import error
from tests.unit.conftest import Counted

NOTHING = {"queried": 0, "settled": 0, "failed": 0}


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
    scene.wait(61)
    return scene


def run(milliseconds: int = 50_000) -> dict[str, int]:
    return settle_voids.handler({}, Remaining(milliseconds))


def fail(scene: Scene, when: Callable[[str, Any], bool], code: str = "InternalServerError") -> None:
    def refuse(name: str, arguments: Any) -> None:
        if when(name, arguments):
            raise error(code, name)

    scene.table.before = refuse


OTHER_PROJECT = json.dumps({**PUBLISHED, "pos_id": "somebody-elses-project"})
RUNS: dict[str, tuple[Callable[[Scene], object], dict[str, int], dict[str, float]]] = {
    "settled": (lambda scene: scene.provider.views.append(view(operation())), {"queried": 1, "settled": 1, "failed": 0},
                {"SettleRun": 1, "OldestUnsettledSeconds": 61, "VoidWithoutWebhook": 1}),
    "not answered": (lambda scene: scene.provider.views.append(None), {"queried": 1, "settled": 0, "failed": 0},
                     {"SettleRun": 1, "OldestUnsettledSeconds": 61}),
    "nothing due": (lambda scene: scene.wait(-60), NOTHING, {"SettleRun": 1, "OldestUnsettledSeconds": 1}),
    "another project": (lambda scene: [scene.secrets.stages.update(dict.fromkeys(scene.secrets.stages, OTHER_PROJECT))],
                        {"queried": 1, "settled": 0, "failed": 0},
                        {"SettleRun": 1, "OldestUnsettledSeconds": 61, "CredentialsOfAnotherProject": 1, "VoidReview": 1}),
    "nobody expected": (lambda scene: scene.provider.views.append(ZeroDivisionError("a-secret-text")),
                        {"queried": 1, "settled": 0, "failed": 1},
                        {"SettleRun": 1, "OldestUnsettledSeconds": 61, "SettleFailed": 1, "UnexpectedError": 1}),
    "no write": (lambda scene: fail(scene, lambda name, _: name == "put_item"), {"queried": 1, "settled": 0, "failed": 1},
                 {"SettleRun": 1, "OldestUnsettledSeconds": 61, "SettleFailed": 1}),
    "no table": (lambda scene: fail(scene, lambda *_: True), NOTHING, {"SettleRun": 0, "StoreUnavailable": 1}),
    "no right": (lambda scene: fail(scene, lambda *_: True, "AccessDeniedException"), NOTHING,
                 {"SettleRun": 0, "StoreUnavailable": 1, "UnexpectedError": 1}),
    "no secret": (lambda scene: scene.secrets.out_of_reach(), NOTHING, {"SettleRun": 0, "SecretOutOfReach": 1}),
    "not filled": (lambda scene: scene.secrets.stages.clear(), NOTHING, {"SettleRun": 1, "SecretUnfilled": 1}),
}  # fmt: skip


@pytest.mark.parametrize(("given", "done", "metrics"), RUNS.values(), ids=RUNS)
def test_a_run_reports_this_and_no_more(
    scene: Scene, counted: Counted, given: Callable[[Scene], object], done: dict[str, int], metrics: dict[str, float]
) -> None:
    given(scene)
    assert run() == done
    assert counted() == metrics


def test_a_run_with_nothing_open_reports_that_it_ran(scene: Scene, counted: Counted) -> None:
    scene.put(pipe.order_in(State.VOIDED))
    assert run() == NOTHING
    assert counted() == {"SettleRun": 1}


def test_a_run_without_time_asks_nothing(scene: Scene) -> None:
    assert run(20_000)["queried"] == 0
    assert scene.provider.asked == []


def test_one_order_in_trouble_does_not_stop_the_others(scene: Scene) -> None:
    scene.put(make.submitting(scene.at - 60_000, order_id="other"))
    fail(scene, lambda name, arguments: name == "put_item" and arguments["Item"]["order_id"]["S"] == "123")
    scene.provider.views = [view(operation(order_id="other"))]
    assert run() == {"queried": 2, "settled": 1, "failed": 1}


@pytest.mark.parametrize("broken", ["table", "setting"])
def test_a_defect_fails_the_run_without_anybodys_text(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], broken: str
) -> None:
    def explode(*_: object) -> Any:
        raise KeyError("a-secret-text") if broken == "table" else SettingsError("TABLE_NAME is not set")

    scene.table.before = explode
    if broken == "setting":
        monkeypatch.setattr(settle_voids, "systems", explode)
    with pytest.raises(SettleRunFailed) as raised:
        run()
    assert raised.value.__suppress_context__
    out = capsys.readouterr().out
    assert "a-secret-text" not in out + str(raised.value)
    assert '"SettleRun":[0.0]' in out.replace(" ", "")


def test_the_oldest_of_many_that_wait_for_hours_is_reported(scene: Scene, counted: Counted) -> None:
    # After a long outage all wait for their next query: the farthest is then the newest.
    for number in range(100):
        order = make.submitting(scene.at - (200 - number) * 60_000, order_id=f"order-{number}")
        asked = order.facts.asked._replace(at=scene.at, times=6)
        scene.put(replace(order, facts=order.facts._replace(asked=asked)))
    scene.provider.views = [None]
    run()
    assert counted()["OldestUnsettledSeconds"] == 200 * 60


def test_one_that_another_run_holds_hides_nothing_of_those_after_it(
    scene: Scene, capsys: pytest.CaptureFixture[str]
) -> None:
    scene.put(make.submitting(scene.at - 59_000, order_id="after"))

    def overtake(name: str, arguments: dict[str, Any]) -> None:
        if name == "put_item" and arguments["Item"]["order_id"]["S"] == make.ORDER:
            scene.table.before = lambda _name, _arguments: None
            scene.put(scene.order())

    scene.table.before = overtake
    scene.provider.views = [view(operation(order_id="after"))]
    assert run() == {"queried": 2, "settled": 1, "failed": 0}
    lines = map(json.loads, capsys.readouterr().out.splitlines())
    said = [(line["order_id"], line["state"]) for line in lines if line.get("message") == "void queried"]
    assert said == [("after", "voided")]


def test_two_that_interleave_count_a_review_once(scene: Scene, counted: Counted) -> None:
    def meanwhile() -> OrderView:
        order = scene.order()
        facts = evidence.reported(order.facts, operation(currency="EUR"), scene.at)
        scene.put(order.learnt(facts, Source(Evidence.WEBHOOK, scene.at)))
        return view(operation(currency="EUR"))

    scene.provider.views = [meanwhile]
    run()
    assert "VoidReview" not in counted(), "whoever wrote it counts it"


@pytest.mark.parametrize(("minute", "beats"), [(0, True), (15, True), (30, True), (14, False), (16, False)])
@pytest.mark.parametrize("filled", [True, False])
def test_the_heartbeat_takes_the_way_of_settled_voids(scene: Scene, minute: int, beats: bool, filled: bool) -> None:
    if not filled:
        scene.secrets.stages.clear()
    scene.at = (scene.at // 3_600_000 + 1) * 3_600_000 + minute * 60_000
    scene.provider.views = [None]
    run()
    assert (("HEARTBEAT", "HEARTBEAT") in scene.table.items) is beats


# ---- what is queried when ----------------------------------------------------------------------------------------------


def times(scene: Scene, seen: Callable[[], OrderView | None], days: int) -> list[int]:
    """The minutes after the beginning at which the order was queried, if a run takes place whenever it is due."""
    asked: list[int] = []
    while (due := scene.record().due_at) is not None and due < make.START + days * DAY_MS:
        scene.at = max(due, scene.at)
        scene.provider.views = [seen()]
        run()
        asked.append((scene.at - make.START) // 60_000)
    return asked


def decided(word: Word) -> Order:
    order = pipe.order_in(State.UNKNOWN)
    return order.decided(Decision(make.START, "operator", word, "note", "0" * 16, State.UNKNOWN, None, 1))


@pytest.mark.parametrize(
    ("order", "seen", "minutes"),
    [
        (make.submitting(), None, [0, 1, 2, 4, 9, 24, 84, 444, *(1440 * day for day in range(1, 8)), 20160]),
        (
            pipe.order_in(State.PENDING),
            view(operation("pending")),
            [0, 1, 2, 7, 22, 82, 442, *(1440 * day for day in range(1, 8))],
        ),
        (pipe.order_in(State.FAILED), make.HELD, [1440, 10080]),
        (pipe.order_in(State.FAILED), None, [1440, 1441, 1443, 1448, 1463, 1523, 1883, 3323]),
        (decided(Word.VOIDED), make.HELD, [0, 1, 3, 8, 23, 83, 443, 1440, 10080]),
        (decided(Word.NOT_VOIDED), make.HELD, [0, 1440, 10080]),
    ],
    ids=["unknown", "pending", "failed", "failed, not answered", "voided by an operator", "not voided by an operator"],
)
def test_the_times_of_queries(scene: Scene, order: Order, seen: OrderView | None, minutes: list[int]) -> None:
    scene.put(order)
    scene.at = make.START
    asked = times(scene, lambda: seen, 20)
    assert asked[: len(minutes)] == minutes


def test_a_look_that_is_never_answered_is_given_up_after_thirty_days(scene: Scene) -> None:
    scene.put(pipe.order_in(State.FAILED))
    scene.at = make.START
    asked = times(scene, lambda: None, 400)
    assert 29 * 1440 < asked[-1] < 45 * 1440
    assert len(asked) < 40


def test_what_reached_nothing_is_not_looked_at(scene: Scene) -> None:
    order = make.submitting()
    scene.put(order.learnt(evidence.answered(order.facts, 1, None, make.START), Source(Evidence.ANSWER, make.START)))
    assert scene.record().due_at is None
