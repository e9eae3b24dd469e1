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

from payments import voids
from payments.messages import OrderView
from payments.operations import State, Void
from payments.secret import Credentials, Secret
from payments.store import Store, partition, write_void
from payments.voids import Request, Result
from payments.webhooks import Fate, Inbox, receive
from tests.fakes import scene as make
from tests.fakes.provider import Provider
from tests.fakes.scene import Scene
from tests.fakes.table import Item, Table

THOUSANDS = 2_000
OTHERS = (1_000, 100_000, int(os.environ.get("MOST_ORDERS", "1000000")))
"""Orders in the table. MOST_ORDERS=10000000 takes a minute and 3 GB, too much for every run."""
QUESTION_MS = 1_000
RUN_MS = 35_000
"""55 s of time-out without the last 20 s, in which no question begins."""


class CountingTable(Table):
    """Counts what a table bills for: calls, and items handed out. Safe for two runs at once."""

    def __init__(self) -> None:
        super().__init__()
        self.work: Counter[str] = Counter()
        self._lock = threading.Lock()

    def _call(self, name: str, arguments: Item, act: Callable[[Item], Item]) -> Item:
        def one_at_a_time(asked: Item) -> Item:
            with self._lock:
                return act(asked)

        with self._lock:
            self.work[name] += 1
        answer = super()._call(name, arguments, one_at_a_time)
        with self._lock:
            self.work["items read"] += len(answer.get("Items", [])) + ("Item" in answer)
        return answer


class Oracle(Provider):
    """Knows every order: says `view` to each question, after some time on the scene's clock."""

    def __init__(self, scene: "BigScene", view: OrderView | None) -> None:
        super().__init__()
        self.scene, self.view = scene, view
        self._lock = threading.Lock()

    def ask(self, credentials: Credentials, order_id: str, seconds: float = 10.0) -> OrderView | None:
        with self._lock:
            self.asked.append((order_id, seconds))
            # Eight ask side by side, so eight questions pass in the time of one.
            self.scene.at += QUESTION_MS // voids.SETTLE_WORKERS
        return self.view


class BigScene(Scene):
    """A scene whose table counts and whose provider answers for any order."""

    def __init__(self, view: OrderView | None = make.HELD) -> None:
        super().__init__()
        self.table: CountingTable = CountingTable()
        self.store = Store(self.table, "voids")  # type: ignore[arg-type]
        self.provider: Oracle = Oracle(self, view)
        # Another source: two runs draw ids at once.
        ids, lock = iter(range(10**9)), threading.Lock()

        def new_id() -> str:
            with lock:
                return f"id-{next(ids)}"

        self.world = replace(self.world, store=self.store, provider=self.provider, new_id=new_id)  # type: ignore[arg-type]
        self.inbox = Inbox(self.store, self.secret, lambda: self.at, new_id)

    def put(self, void: Void) -> None:
        """Straight into the table, uncounted."""
        item = write_void(void)
        self.table.items[item["pk"]["S"], item["sk"]["S"]] = item

    def settle(self) -> voids.Run:
        return voids.settle(self.world, self.at + RUN_MS)

    def due(self) -> dict[str, int]:
        """Everything in sight of the schedule, with the time of its next question."""
        return {
            item["order_id"]["S"]: int(item["due_at"]["N"]) for item in self.table.items.values() if "due_pk" in item
        }


def open_void(order_id: str, due_at: int) -> Void:
    """A void whose answer was lost."""
    return replace(make.submitting(due_at - 60_000), order_id=order_id, state=State.UNKNOWN, due_at=due_at, version=1)


@pytest.fixture
def crowd() -> BigScene:
    """Thousands due, the longest due last in the table's order of keys."""
    scene = BigScene()
    for number in range(THOUSANDS):
        scene.put(open_void(f"order-{number:05}", make.START - number * 10))
    return scene


# ---- a settle run ----------------------------------------------------------------------------------------------------


def test_a_run_is_bounded_by_time_takes_the_longest_due_first_and_loses_none_from_sight(crowd: BigScene) -> None:
    queue = sorted(crowd.due(), key=crowd.due().__getitem__)
    run = crowd.settle()
    asked = {order for order, _ in crowd.provider.asked}
    most = RUN_MS * voids.SETTLE_WORKERS // QUESTION_MS + voids.SETTLE_WORKERS
    assert 0 < len(asked) <= most < THOUSANDS
    # Within a page eight ask side by side, so only whole pages are in order.
    whole = len(asked) // voids.SETTLE_PAGE * voids.SETTLE_PAGE
    assert set(queue[:whole]) <= asked <= set(queue[: whole + voids.SETTLE_PAGE])
    assert run.more
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
        seen += [order for order, _ in crowd.provider.asked[before:]]
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
    runs: list[voids.Run] = []
    threads = [threading.Thread(target=lambda: runs.append(crowd.settle())) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(runs) == 2
    assert sum(run.failed for run in runs) == 0
    times = Counter(order for order, _ in crowd.provider.asked)
    assert len(times) > 0
    assert set(times.values()) == {1}
    assert len(crowd.due()) == THOUSANDS


def test_a_run_that_settles_takes_them_out_of_the_index(crowd: BigScene) -> None:
    crowd.provider.view = make.view(make.operation())
    run = crowd.settle()
    assert {asked.after.state for asked in run.asked} == {State.VOIDED}
    assert len(crowd.due()) == THOUSANDS - len(run.asked)


def test_a_provider_that_is_down_costs_a_run_its_time_and_nothing_else(crowd: BigScene) -> None:
    crowd.provider.view = None
    run = crowd.settle()
    assert run.failed == 0
    assert len(crowd.due()) == THOUSANDS
    assert crowd.table.work["put_item"] == len(crowd.provider.asked)


# ---- other orders ----------------------------------------------------------------------------------------------------


def work_among(others: int) -> dict[str, Counter[str]]:
    """What each request costs in a table with so many other orders: settled ones, open ones, and their webhooks."""
    scene = BigScene()
    # Few attributes, and for most the same: whoever reads one of these by mistake fails.
    settled = {"sk": {"S": "VOID"}, "at": {"S": "~"}}
    event = {"sk": {"S": "EVENT#1"}, "at": {"S": "2026-11-24T10:10:10.100Z"}}
    for number in range(others):
        pk = partition(make.POS_ID, f"other-{number}")
        if number % 10 == 0:
            due = {"due_pk": {"S": "DUE"}, "due_at": {"N": str(make.START + 10**9 + number)}}
            scene.table.items[pk, "VOID"] = {"pk": {"S": pk}, **settled, **due}
        elif number % 10 == 1:
            scene.table.items[pk, "EVENT#1"] = {"pk": {"S": pk}, **event}
        else:
            scene.table.items[pk, "VOID"] = settled
    scene.world.secret.current()
    costs: dict[str, Counter[str]] = {}

    def cost(what: str, act: Callable[[], Any], expected: object) -> None:
        scene.table.work.clear()
        assert act() == expected, what
        costs[what] = Counter(scene.table.work)

    def webhook(order_id: str) -> Fate:
        data, signature = make.signed(make.fields(order_id=order_id))
        return receive(scene.inbox, data, signature).fate

    request = Request("123", "UAH", None, "key", None)
    scene.provider.answers = [make.answer()]
    cost("void", lambda: voids.submit(scene.world, request).result, Result.VOIDED)
    cost("replay", lambda: voids.submit(scene.world, request).replayed, True)
    cost("webhook", lambda: webhook("new"), Fate.APPLIED)
    cost("late webhook", lambda: webhook("123"), Fate.STORED)
    cost("read", lambda: len(scene.store.timeline(make.POS_ID, "123")[1]), 1)
    for number in range(3):
        scene.put(open_void(f"due-{number}", make.START))
    cost("settle", lambda: len(scene.settle().asked), 3)
    return costs


@pytest.mark.slow
def test_the_work_of_a_request_does_not_grow_with_the_number_of_orders() -> None:
    few, *more = [work_among(others) for others in OTHERS]
    for many in more:
        assert many == few
    assert few["void"] == {"put_item": 2, "items read": 0}
    assert few["replay"] == {"put_item": 1}  # refused, and the refusal brings the record
    assert few["webhook"] == {"transact_write_items": 1, "items read": 0}
    # The webhook of a void that is done: the refused transaction brings the record, then the event is stored.
    assert few["late webhook"] == {"transact_write_items": 1, "put_item": 1, "items read": 0}
    assert few["read"] == {"query": 1, "items read": 2}
    # One page of the three; for each a lease; the hold still stands, so nothing else is written.
    assert few["settle"]["query"] == 1
    assert few["settle"]["items read"] == 3


# ---- one order -------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_an_order_with_ten_thousand_webhooks_stays_small_to_read_and_to_write() -> None:
    scene = BigScene()
    scene.put(open_void("123", make.START + 60_000))

    def deliver(number: int, status: str) -> Counter[str]:
        scene.table.work.clear()
        scene.at += 1
        message = make.fields(status, operation_id=f"operation-{number}", status_description=f"No. {number}")
        received = receive(scene.inbox, *make.signed(message))
        assert received.fate in (Fate.STORED, Fate.APPLIED)
        return Counter(scene.table.work)

    first = [deliver(number, status) for number, status in enumerate(("failure", "pending", "success", "success"))]
    size = len(json.dumps(write_void(scene.record())))
    for number in range(4, 9_998):
        scene.at += 1
        data, signature = make.signed(make.fields("success", operation_id=f"operation-{number}"))
        receive(scene.inbox, data, signature)
    last = [deliver(number, "success") for number in (9_998, 9_999)]
    assert sum("EVENT" in sk for _, sk in scene.table.items) == 10_000
    assert last[-1].total() <= max(work.total() for work in first)
    assert len(json.dumps(write_void(scene.record()))) <= size + 100
    scene.table.work.clear()
    void, events, truncated = scene.store.timeline(make.POS_ID, "123")
    assert scene.table.work == {"query": 1, "items read": 102}
    assert void is not None
    assert (len(events), truncated) == (100, True)
    assert events[-1].operation.ids == {"operation-9999"}


def test_the_secret_is_read_no_more_often_in_a_crowd(crowd: BigScene) -> None:
    crowd.settle()
    assert isinstance(crowd.secret, Secret)
    assert crowd.secrets.calls == ["AWSCURRENT"]
