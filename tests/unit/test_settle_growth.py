"""What must not grow: the work of a request with the number of orders, of a settle run with more than what is due.

Counts calls and items at the table and questions to the provider; never measures time. MOST_ORDERS=10000000 tries more.
"""

import os
import threading
from collections import Counter
from collections.abc import Callable
from copy import replace
from typing import Any

import pytest

import read_voids
import settle_voids
from payments.items import partition, shard_of, write_order
from queries import find, refresh
from receive_webhook import receive
from submit_void import submit
from tests.fakes import scene as make
from tests.fakes.scene import POS_ID, START, Scene
from tests.fakes.table import Item

SIZES = (1_000, int(os.environ.get("MOST_ORDERS", "100000")))
FEW = 60


def crowded(others: int, due: int = 0) -> Scene:
    """A scene whose table has this many open orders that are not due yet, and so many that are."""
    scene = Scene()
    template = write_order(replace(make.submitting(), version=7))
    for number in range(others + due):
        order_id = f"order-{number}"
        pk, at = partition(POS_ID, order_id), START - 1 if number < due else START + 3_600_000
        moved = {"pk": {"S": pk}, "order_id": {"S": order_id}, "due_pk": {"S": f"DUE#{shard_of(pk)}"}}
        scene.table.place({**template, **moved, "due_at": {"N": str(at)}})
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
    done["questions"] = len(scene.provider.asked)
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


@pytest.mark.parametrize(
    ("act", "due"),
    [
        (submitted, 0),
        (lambda scene: receive(scene.storage, *make.signed(make.fields(order_id="order-7"))), 0),
        (refreshed, 0),
        (lambda scene: scene.store.list("unsettled", "", read_voids.MOST, None, scene.deadline()), 0),
        (settled, FEW),
    ],
    ids=["submit", "webhook", "refresh", "list", "settle"],
)
def test_the_work_is_the_same_beside_few_orders_and_beside_many(act: Callable[[Scene], object], due: int) -> None:
    few, many = (work(crowded(size, due), act) for size in SIZES)
    assert few == many
    assert 0 < few["items"] + few["put_item"] < 1_000


@pytest.mark.parametrize("due", [10, 2_000])
def test_a_run_asks_about_each_that_is_due_once_and_its_work_grows_with_them_alone(due: int) -> None:
    scene = crowded(1_000, due)
    scene.provider.views = [None] * due
    done = work(scene, lambda scene: settle_voids.settle(scene.systems, scene.at + 60_000, 8))
    assert len({order for _, order, _ in scene.provider.asked}) == done["questions"] == due
    assert done["put_item"] == due
    assert done["query"] <= due // 50 + 60
