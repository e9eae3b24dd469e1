"""What must not grow: the work of a request with the number of orders, of a settle run with more than what is due.

Counts calls and items at the table and queries at the provider; never measures time.
"""

import threading
from collections import Counter
from collections.abc import Callable
from copy import replace
from typing import Any

import pytest

import read_voids
import settle_voids
from payments.items import DUE, SHARDS, shard_of, write_order
from payments.store import Store
from queries import find, refresh
from receive_webhook import receive
from submit_void import submit
from tests.fakes import scene as make
from tests.fakes.scene import POS_ID, START, Scene
from tests.fakes.table import Item, Table

SIZES = (1_000, 100_000, 10_000_000)
FEW = 60
SEEN = 500
"""More than anything reads of one partition: so many at both ends of it are made, and the millions between are not."""


class Crowd(Table):
    """So many open orders that are not due yet."""

    def __init__(self, others: int) -> None:
        super().__init__()
        self.others, self.template = others, write_order(replace(make.submitting(), version=7))

    def _entries(self, index: str, partition: str) -> list[Item]:
        kind, _, shard = partition.partition("#")
        numbers = range(int(shard), self.others, SHARDS) if (index, kind) == ("due", DUE) else range(0)
        shown = numbers if len(numbers) <= 2 * SEEN else [*numbers[:SEEN], *numbers[-SEEN:]]
        return [*super()._entries(index, partition), *(self.order(f"other-{number}", partition) for number in shown)]

    def order(self, order_id: str, partition: str, at: int = START + 3_600_000) -> Item:
        pk = {"S": f"{POS_ID}#{order_id}"}
        moved = {"pk": pk, "order_id": {"S": order_id}, "due_pk": {"S": partition}, "due_at": {"N": str(at)}}
        return {**self.template, **moved}


def crowded(others: int, due: int = 0) -> Scene:
    """A scene whose table has this many open orders that are not due yet, and so many that are."""
    scene, table = Scene(), Crowd(others)
    scene.table, scene.store = table, Store(table, "voids")
    scene.systems = scene.storage = replace(scene.systems, store=scene.store)
    for number in range(max(due, 10)):
        shard = f"{DUE}#{shard_of(f'{POS_ID}#order-{number}')}"
        table.place(table.order(f"order-{number}", shard, *([START - 1] if number < due else ())))
    return scene


def work(scene: Scene, act: Callable[[Scene], object]) -> Counter[str]:
    """The calls of what is done, and the items that the table handed out for it."""
    done: Counter[str] = Counter()
    call, lock = scene.table.call, threading.Lock()

    def counted(operation: str, seconds: float, **arguments: Any) -> Item:
        answer = call(operation, seconds, **arguments)
        with lock:  # a run asks in threads
            done.update({operation: 1, "items": len(answer.get("Items", [])) + ("Item" in answer)})
        return answer

    scene.table.call = counted  # type: ignore[method-assign]
    act(scene)
    done["queries"] = len(scene.provider.asked)
    return done


def submitted(scene: Scene) -> None:
    scene.provider.answers = [make.answer()]
    submit(scene.systems, make.request())


def refreshed(scene: Scene) -> None:
    scene.provider.views = [make.view(make.operation(order_id="order-7"))]
    order = find(scene.systems, "order-7", scene.deadline())
    assert order is not None
    refresh(scene.systems, order, scene.deadline())


def settled(scene: Scene) -> None:
    scene.provider.views = [None] * FEW
    settle_voids.settle(scene.systems, scene.at + 60_000, 8)


ACTS: dict[str, tuple[Callable[[Scene], object], int]] = {
    "submit": (submitted, 0), "refresh": (refreshed, 0), "settle": (settled, FEW),
    "webhook": (lambda scene: receive(scene.storage, *make.signed(make.fields(order_id="order-7"))), 0),
    "list": (lambda scene: scene.store.list("unsettled", "", read_voids.MOST, None, scene.deadline()), 0),
}  # fmt: skip


@pytest.mark.parametrize(("act", "due"), ACTS.values(), ids=ACTS)
def test_the_work_is_the_same_beside_few_orders_and_beside_many(act: Callable[[Scene], object], due: int) -> None:
    few, *more = (work(crowded(size, due), act) for size in SIZES)
    assert all(many == few for many in more)
    assert 0 < few["items"] + few["put_item"] < 1_000


@pytest.mark.parametrize("due", [10, 2_000, pytest.param(100_000, marks=pytest.mark.proof)])
def test_a_run_queries_each_that_is_due_once_and_its_work_grows_with_them_alone(due: int) -> None:
    scene = crowded(1_000, due)
    scene.provider.views = [None] * due
    done = work(scene, lambda scene: settle_voids.settle(scene.systems, scene.at + 60_000, 8))
    assert len({order for _, order, _ in scene.provider.asked}) == done["queries"] == due
    assert done["put_item"] == due
    assert done["query"] <= due // 50 + 60
