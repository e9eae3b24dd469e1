"""What must not grow: the work of a request with the number of orders, of a read with an order's webhooks, of a run at all.

Counts calls and items at the table and questions to the provider; never measures time.
"""

import json
import os
import threading
from collections import Counter
from collections.abc import Callable
from copy import replace
from typing import Any

import pytest
from payments.record import Order, Request, State, Void
from payments.voids import Result
from payments.webhooks import WebhookOutcome, receive

from payments import settling, voids
from payments.deadline import Deadline, Storage
from payments.items import partition, shards, write_order
from payments.messages import OrderView
from payments.secret import Credentials, Secret
from payments.store import Store
from tests.fakes import scene as make
from tests.fakes.provider import Provider
from tests.fakes.scene import Scene
from tests.fakes.table import Item, Table

THOUSANDS = 2_000
OTHERS = (1_000, 100_000, int(os.environ.get("MOST_ORDERS", "1000000")))
"""Orders in the table. MOST_ORDERS=10000000 takes a minute and 3 GB, too much for every run."""
QUESTION_MS = 80
WORKERS = 8
RUN_MS = 2_800
"""So short that a thread which the machine holds up never meets the deadline of its question."""


class CountingTable(Table):
    """Counts what a table bills for: calls, and items handed out. Safe for two runs at once."""

    def __init__(self) -> None:
        super().__init__()
        self.work: Counter[str] = Counter()
        self._lock = threading.Lock()

    def call(self, operation: str, seconds: float, **arguments: Any) -> Item:
        self.before(operation, arguments)
        with self._lock:
            self.work[operation] += 1
            answer: Item = getattr(self, f"_{operation}")(**arguments)
            self.work["items read"] += len(answer.get("Items", [])) + ("Item" in answer)
        return answer


class Oracle(Provider):
    """Knows every order: says `view` to each question, after some time on the scene's clock."""

    def __init__(self, scene: "BigScene", view: OrderView | None) -> None:
        super().__init__()
        self.scene, self.view = scene, view
        self._lock = threading.Lock()

    def get_order(self, credentials: Credentials, order_id: str, deadline: Deadline) -> OrderView | None:
        with self._lock:
            self.asked.append((credentials.project, order_id, deadline.left()))
            # Eight ask side by side, so eight questions pass in the time of one.
            self.scene.at += QUESTION_MS // WORKERS
        return self.view


class BigScene(Scene):
    """A scene whose table counts and whose provider answers for any order."""

    def __init__(self, view: OrderView | None = make.HELD) -> None:
        super().__init__()
        self.table: CountingTable = CountingTable()
        self.store = Store(self.table, "voids")
        self.provider: Oracle = Oracle(self, view)
        # Another source: two runs draw ids at once.
        ids, lock = iter(range(10**9)), threading.Lock()

        def new_id() -> str:
            with lock:
                return f"id-{next(ids)}"

        self.systems = replace(self.systems, store=self.store, provider=self.provider, new_id=new_id)  # type: ignore[arg-type]
        self.storage: Storage = self.systems

    def place(self, order_id: str, void: Void) -> None:
        """Straight into the table, uncounted."""
        self.table.place(write_order(Order(make.POS_ID, order_id, void, version=1)))

    def settle(self, workers: int = WORKERS) -> settling.Run:
        return settling.settle(self.systems, self.at + RUN_MS, workers)

    def due(self) -> dict[str, int]:
        """Everything in sight of the schedule, with the time of its next question."""
        return {
            item["order_id"]["S"]: int(item["due_at"]["N"]) for item in self.table.items.values() if "due_pk" in item
        }


def open_void(due_at: int) -> Void:
    """A void whose answer was lost."""
    return replace(make.submitting(due_at - 60_000), state=State.UNKNOWN, due_at=due_at)


@pytest.fixture
def crowd() -> BigScene:
    """Thousands due, the longest due last in the table's order of keys."""
    scene = BigScene()
    for number in range(THOUSANDS):
        scene.place(f"order-{number:05}", open_void(make.START - number * 10))
    return scene


# ---- a settle run ----------------------------------------------------------------------------------------------------


def test_a_run_is_bounded_by_time_takes_the_longest_due_first_and_loses_none_from_sight(crowd: BigScene) -> None:
    queue = sorted(crowd.due(), key=crowd.due().__getitem__)
    run = crowd.settle(1)  # the order in which several workers begin is the machine's
    asked = {order for _, order, _ in crowd.provider.asked}
    most = RUN_MS * WORKERS // QUESTION_MS + WORKERS
    assert 0 < len(asked) <= most < THOUSANDS
    # The first page of each shard comes first, and they are asked about side by side.
    assert set(queue[: len(asked) // 2]) <= asked
    assert run.failed == 0
    assert run.oldest_ms >= crowd.at - RUN_MS - min(crowd.due().values())
    assert len(crowd.due()) == THOUSANDS
    left = {order: due for order, due in crowd.due().items() if order not in asked}
    assert all(due <= make.START for due in left.values())
    assert all(due > make.START for order, due in crowd.due().items() if order in asked)


@pytest.mark.slow
def test_run_after_run_asks_about_everything_before_it_asks_again(crowd: BigScene) -> None:
    seen: list[str] = []
    while len(seen) < THOUSANDS:
        before = len(crowd.provider.asked)
        crowd.settle()
        seen += [order for _, order, _ in crowd.provider.asked[before:]]
        # As if the minute's run had begun at once: nothing asked comes due again in between.
        crowd.at = make.START
    assert Counter(seen) == Counter(f"order-{number:05}" for number in range(THOUSANDS))


def test_two_runs_at_once_ask_about_each_at_most_once(crowd: BigScene) -> None:
    meeting, first = threading.Barrier(2, timeout=20), threading.local()

    def meet(name: str, arguments: Item) -> None:
        # Both have the same first page in hand before either leases anything.
        if name == "query" and not hasattr(first, "page"):
            first.page = True
            meeting.wait()

    crowd.table.before = meet
    runs: list[settling.Run] = []
    threads = [threading.Thread(target=lambda: runs.append(crowd.settle())) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(runs) == 2
    assert sum(run.failed for run in runs) == 0
    times = Counter(order for _, order, _ in crowd.provider.asked)
    assert len(times) > 0
    assert set(times.values()) == {1}
    assert len(crowd.due()) == THOUSANDS


def test_a_run_that_settles_takes_them_out_of_the_index(crowd: BigScene) -> None:
    crowd.provider.view = make.view(make.operation())
    run = crowd.settle()
    assert {merged.after.void.state for merged in run.merged if merged.after.void} == {State.VOIDED}
    assert len(crowd.due()) == THOUSANDS - len(run.merged)


def test_a_provider_that_is_down_costs_a_run_its_time_and_nothing_else(crowd: BigScene) -> None:
    crowd.provider.view = None
    run = crowd.settle()
    assert run.failed == 0
    assert len(crowd.due()) == THOUSANDS
    assert crowd.table.work["put_item"] == len(crowd.provider.asked)


@pytest.mark.parametrize("queries", [3, 11, 20])
def test_a_run_whose_time_ends_while_it_lists_what_is_due_has_not_failed(queries: int) -> None:
    scene = BigScene()
    scene.place("123", open_void(make.START + 10**9))
    answered = 0

    def pass_time(name: str, arguments: Item) -> None:
        nonlocal answered
        answered += name == "query"
        if answered == queries:
            scene.at = make.START + RUN_MS - 1

    scene.table.before = pass_time
    real = scene.table.call

    def call(operation: str, seconds: float, **arguments: Any) -> Item:
        assert seconds > 0.5, "too little time for an answer"
        answer = real(operation, seconds, **arguments)
        scene.at += int(scene.at == make.START + RUN_MS - 1)
        return answer

    scene.table.call = call  # type: ignore[method-assign]
    assert scene.settle().failed == 0
    assert answered == queries


# ---- other orders ----------------------------------------------------------------------------------------------------


def work_among(others: int) -> dict[str, Counter[str]]:
    """What each request costs in a table with so many other orders: settled ones, and open ones."""
    scene = BigScene()
    # Few attributes, and for most the same: whoever reads one of these by mistake fails.
    settled = {"sk": {"S": "ORDER"}}
    for number in range(others):
        pk = {"S": partition(make.POS_ID, f"other-{number}")}
        due: Item = {}
        if number % 10 == 0:
            due = {"due_pk": {"S": f"DUE#{number % 8}"}, "due_at": {"N": str(make.START + 10**9 + number)}}
        scene.table.place({"pk": pk, **settled, **due})
    scene.secret.current(scene.deadline())
    scene.secret.previous(scene.deadline())
    costs: dict[str, Counter[str]] = {}

    def cost(what: str, act: Callable[[], Any], expected: object) -> None:
        scene.table.work.clear()
        assert act() == expected, what
        costs[what] = Counter(scene.table.work)

    def webhook(order_id: str) -> WebhookOutcome:
        data, signature = make.signed(make.fields(order_id=order_id))
        return receive(scene.storage, data, signature).outcome

    request = Request("123", "UAH", None, "key", None)
    scene.provider.answers = [make.answer()]
    cost("void", lambda: voids.submit(scene.systems, request).result, Result.VOIDED)
    cost("replay", lambda: voids.submit(scene.systems, request).replayed, True)
    cost("webhook", lambda: webhook("new"), WebhookOutcome.APPLIED)
    cost("late webhook", lambda: webhook("123"), WebhookOutcome.STORED)
    cost("read", lambda: len(scene.order().webhooks), 1)
    for number in range(3):
        scene.place(f"due-{number}", open_void(make.START))
    cost("settle", lambda: len(scene.settle().merged), 3)
    return costs


@pytest.mark.slow
def test_the_work_of_a_request_does_not_grow_with_the_number_of_orders() -> None:
    few, *more = [work_among(others) for others in OTHERS]
    for many in more:
        assert many == few
    assert few["void"] == {"put_item": 2, "items read": 0}
    assert few["replay"] == {"put_item": 1}  # refused, and the refusal brings the record
    # The first news of an order: the refused update says that there is nothing, then it is written.
    assert few["webhook"] == {"update_item": 1, "put_item": 1, "items read": 0}
    assert few["late webhook"] == {"update_item": 1, "items read": 0}
    assert few["read"] == {"get_item": 1, "items read": 1}
    # Each shard of what is due and of what is looked at again, and the last one of each shard.
    assert few["settle"]["query"] == 4 * len(shards("DUE"))
    # The three, and one of each shard that is not due; for each of the three a lease.
    assert few["settle"]["items read"] <= 3 + len(shards("DUE"))
    assert few["settle"]["put_item"] == 3


# ---- one order -------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_an_order_with_a_thousand_webhooks_stays_small_to_read_and_to_write() -> None:
    scene = BigScene()
    scene.place("123", open_void(make.START + 60_000))
    for number in range(1_000):
        scene.at += 1
        scene.table.work.clear()
        message = make.fields("success", operation_id=f"operation-{number}", status_description=f"No. {number}")
        received = receive(scene.storage, *make.signed(message))
        assert received.outcome in (WebhookOutcome.APPLIED, WebhookOutcome.STORED, WebhookOutcome.QUARANTINED)
        assert scene.table.work.total() <= 4
    order = scene.order()
    assert (len(order.webhooks), order.more_webhooks) == (100, True)
    assert order.void is not None
    assert (order.void.state, order.void.review) == (State.VOIDED, True)
    assert sum(pk.startswith("QUARANTINE") for pk, _ in scene.table.items) == 900
    assert len(json.dumps(write_order(order))) < 100_000


def test_the_secret_is_read_no_more_often_in_a_crowd(crowd: BigScene) -> None:
    crowd.settle()
    assert isinstance(crowd.secret, Secret)
    assert crowd.secrets.calls == ["AWSCURRENT"]
