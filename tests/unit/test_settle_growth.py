"""What must not grow: the work of a request and of a settle run with the number of orders, of an order with its webhooks.

Counts calls and items at the table and queries at the provider; never measures time. Orders that nobody has read yet are
made when the index shows them, so ten million of them (in `make proof`) take no room.
"""

import threading
from collections import Counter
from collections.abc import Callable
from copy import replace
from typing import Any

import pytest

import receive_webhook
import settle_voids
import submit_void
from payments.deadline import Deadline
from payments.items import DUE, RECHECK, SHARDS, number, shards, write_order
from payments.messages import OrderView
from payments.orders import Order
from payments.secret import Credentials
from payments.store import Store
from payments.verdict import State
from submit_void import Result
from tests.fakes import scene as make
from tests.fakes.provider import Provider
from tests.fakes.scene import Scene
from tests.fakes.table import Item, Table

FEW = 1_000
MANY = [100_000, pytest.param(10_000_000, marks=pytest.mark.proof)]
QUERY_MS, WORKERS, RUN_MS = 80, 8, 2_800
"""A run so short that a thread which the machine holds up never meets the deadline of its query."""


class Crowd(Table):
    """So many open orders in the index, due one after the other until `make.START`; counts what a table bills for."""

    def __init__(self, orders: int) -> None:
        super().__init__()
        self.work: Counter[str] = Counter()
        self._lock = threading.RLock()
        self._first, self._orders = make.START - orders, orders
        self._next = dict.fromkeys(range(SHARDS), 0)
        self._template = write_order(make.submitting(make.START - 7_200_000))

    def call(self, operation: str, seconds: float, **arguments: Any) -> Item:
        self.before(operation, arguments)
        with self._lock:
            self.work[operation] += 1
            answer: Item = getattr(self, f"_{operation}")(**arguments)
            self.work["items read"] += len(answer.get("Items", [])) + ("Item" in answer)
        return answer

    def _query(self, **arguments: Any) -> Item:
        kind, _, shard = arguments["ExpressionAttributeValues"][":pk"]["S"].partition("#")
        after = int(arguments.get("ExclusiveStartKey", {}).get("due_at", {"N": "-1"})["N"])
        if kind == DUE:
            # As many as the page can hold and one more are there; of what nobody has asked for, the longest due.
            waiting = [
                item
                for item in self._entries("due", f"{DUE}#{shard}")
                if after < int(item["due_at"]["N"]) <= make.START
            ]
            for _ in range(arguments["Limit"] + 1 - len(waiting)):
                self._make(int(shard))
        return super()._query(**arguments)

    def _make(self, shard: int) -> None:
        order = self._next[shard] * SHARDS + shard
        if order < self._orders:
            self._next[shard] += 1
            name, due = (
                {"S": f"order-{order}"},
                {"due_pk": {"S": f"{DUE}#{shard}"}, "due_at": number(self._first + order)},
            )
            self.place(
                {
                    **self._template,
                    "pk": {"S": f"{make.POS_ID}#order-{order}"},
                    "order_id": name,
                    "order_id_quoted": name,
                    **due,
                }
            )

    @property
    def open(self) -> int:
        """Orders that the schedule still sees."""
        seen = sum(item.get("due_pk", {}).get("S", "").startswith(DUE) for item in self.items.values())
        return seen + self._orders - sum(self._next.values())


class Oracle(Provider):
    """Knows every order: says the same to each query, after some time on the scene's clock."""

    def __init__(self, scene: "BigScene", view: Callable[[str], OrderView | None]) -> None:
        super().__init__()
        self.scene, self.view = scene, view
        self._lock = threading.Lock()

    def get_order(self, credentials: Credentials, order_id: str, deadline: Deadline) -> OrderView | None:
        with self._lock:
            self.asked.append((credentials.project, order_id, deadline.left()))
            self.scene.at += QUERY_MS // WORKERS  # eight query side by side, so eight pass in the time of one
        return self.view(order_id)


class BigScene(Scene):
    """A scene whose table is a crowd and whose provider answers for any order."""

    def __init__(self, orders: int, view: Callable[[str], OrderView | None] = lambda _: make.HELD) -> None:
        super().__init__()
        self.table: Crowd = Crowd(orders)
        self.store = Store(self.table, "voids")
        self.provider: Oracle = Oracle(self, view)
        ids, lock = iter(range(10**9)), threading.Lock()

        def new_id() -> str:  # two runs draw ids at once
            with lock:
                return f"id-{next(ids)}"

        self.systems = replace(self.systems, store=self.store, provider=self.provider, new_id=new_id)  # type: ignore[arg-type]
        self.storage = self.systems

    def settle(self, workers: int = WORKERS) -> settle_voids.Run:
        return settle_voids.settle(self.systems, self.at + RUN_MS, workers)

    def queried(self) -> Counter[str]:
        return Counter(order for _, order, _ in self.provider.asked)


def executed(order_id: str) -> OrderView:
    """The void of this order has succeeded."""
    return make.view(make.operation(order_id=order_id))


def settled_in_three_runs(orders: int) -> tuple[BigScene, list[Counter[str]]]:
    """Three runs, a minute apart; what each cost, for a void that it queried."""
    scene, costs = BigScene(orders, executed), []
    for _ in range(3):
        scene.table.work.clear()
        run = scene.settle(1)  # the order in which several workers begin is the machine's
        assert (run.failed, {each.after.void.state for each in run.queried if each.after.void}) == (0, {State.VOIDED})
        costs.append(scene.table.work)
        scene.at += 60_000 - RUN_MS
    return scene, costs


# ---- a settle run ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("orders", MANY)
def test_a_settle_run_costs_the_same_whatever_waits(orders: int) -> None:
    scene, costs = settled_in_three_runs(orders)
    few, as_few = settled_in_three_runs(FEW * SHARDS)
    assert costs == as_few
    asked = scene.queried()
    assert set(asked.values()) == {1}
    assert set(asked) == {f"order-{number}" for number in range(len(asked))}, "the longest due first"
    assert scene.table.open == orders - len(asked)
    assert few.table.open == FEW * SHARDS - len(asked)
    assert scene.secrets.calls == ["AWSCURRENT"] * 3
    most = RUN_MS * WORKERS // QUERY_MS + WORKERS
    assert 0 < costs[0]["put_item"] <= 2 * most, "a lease and an outcome for each"


def test_two_runs_at_once_query_each_at_most_once() -> None:
    scene = BigScene(FEW * 2)
    meeting, first = threading.Barrier(2, timeout=20), threading.local()

    def meet(name: str, arguments: Item) -> None:
        # Both have the same first page in hand before either leases anything.
        if name == "query" and not hasattr(first, "page"):
            first.page = True
            meeting.wait()

    scene.table.before = meet
    runs: list[settle_voids.Run] = []
    threads = [threading.Thread(target=lambda: runs.append(scene.settle())) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [run.failed for run in runs] == [0, 0]
    assert set(scene.queried().values()) == {1}
    assert scene.table.open == FEW * 2


def test_a_provider_that_is_down_costs_a_run_its_time_and_nothing_else() -> None:
    scene = BigScene(FEW, lambda _: None)
    assert scene.settle().failed == 0
    assert scene.table.open == FEW
    assert scene.table.work["put_item"] == len(scene.provider.asked) > 0


@pytest.mark.parametrize("queries", [3, 11, 20])
def test_a_run_whose_time_ends_while_it_lists_what_is_due_has_not_failed(queries: int) -> None:
    scene = BigScene(0)
    answered = 0

    def pass_time(name: str, arguments: Item) -> None:
        nonlocal answered
        answered += name == "query"
        if answered == queries:
            scene.at += RUN_MS + 1

    scene.table.before = pass_time
    assert scene.settle().failed == 0
    assert answered == queries


# ---- a request, an order ---------------------------------------------------------------------------------------------


def work_among(orders: int) -> dict[str, Counter[str]]:
    """What each request costs beside so many open orders."""
    scene = BigScene(orders)
    for read in (scene.secret.current, scene.secret.previous):
        read(scene.deadline())
    costs: dict[str, Counter[str]] = {}

    def cost(what: str, act: Callable[[], object], expected: object) -> None:
        scene.table.work.clear()
        assert act() == expected, what
        costs[what] = Counter(scene.table.work)

    def webhook(order_id: str) -> receive_webhook.WebhookOutcome:
        return receive_webhook.receive(scene.storage, *make.signed(make.fields(order_id=order_id))).outcome

    scene.provider.answers = [make.answer()]
    cost("void", lambda: submit_void.submit(scene.systems, make.request("key")).result, Result.VOIDED)
    cost("replay", lambda: submit_void.submit(scene.systems, make.request("key")).result, Result.VOIDED)
    cost("webhook", lambda: webhook("new"), receive_webhook.WebhookOutcome.APPLIED)
    cost("late webhook", lambda: webhook(make.ORDER), receive_webhook.WebhookOutcome.STORED)
    cost("read", lambda: len(scene.order().webhooks), 1)
    return costs


def test_the_work_of_a_request_does_not_grow_with_the_number_of_orders() -> None:
    # A replay's refused write brings the record; the first news of an order is refused as an update, then written.
    assert work_among(0) == work_among(10_000_000) == {
        "void": {"put_item": 2, "items read": 0},
        "replay": {"put_item": 1},
        "webhook": {"update_item": 1, "put_item": 1, "items read": 0},
        "late webhook": {"update_item": 1, "items read": 0},
        "read": {"get_item": 1, "items read": 1},
    }  # fmt: skip


def test_a_run_with_nothing_due_reads_each_shard_once_and_its_ends() -> None:
    scene = BigScene(0)
    scene.settle()
    assert scene.table.work == {"query": len(shards(DUE)) * 3 + len(shards(RECHECK)), "items read": 0}


@pytest.mark.slow
def test_an_order_with_a_thousand_webhooks_stays_small_to_read_and_to_write() -> None:
    scene = BigScene(0)
    scene.put(make.submitting())
    for count in range(1_000):
        scene.at += 1
        scene.table.work.clear()
        receive_webhook.receive(scene.storage, *make.signed(make.fields(operation_id=f"operation-{count}")))
        assert scene.table.work.total() <= 4
    order: Order = scene.order()
    assert order.void is not None
    assert (len(order.webhooks), order.void.state, order.void.review) == (100, State.VOIDED, True)
    assert sum(pk.startswith("QUARANTINE") for pk, _ in scene.table.items) == 900
    assert sum(map(len, map(str, write_order(order).values()))) < 250_000
