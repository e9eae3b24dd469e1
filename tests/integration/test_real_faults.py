"""Every fault of the sandbox with every webhook behaviour, and functions killed under load, over real sockets.

At the end the records are held against the sandbox's ledger: whatever happened in between, they must not disagree.
"""

import itertools
import os
import random
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from local.merchant import Reply
from local.service import Service
from tests.integration.client import Client, eventually

ANSWERS = (
    "success", "pending", "pending_then_failure", "failure", "timeout_executed", "timeout_not_executed",
    "reset_executed", "reset_not_executed", "http_400", "http_401", "http_404", "http_429", "http_500_executed",
    "http_500_not_executed", "http_503", "garbage", "truncated", "redirect", "wrong_order",
)  # fmt: skip
WEBHOOKS = (
    "once", "twice", "none", "before_answer", "forged", "unreadable", "failure_then_success", "success_then_failure",
)  # fmt: skip
CONTRACT = {200, 202, 409, 429, 502}
CLIENTS = 8
SEED = int(os.environ.get("VOID_TEST_SEED", "20261124"))
ORDERS_UNDER_FIRE = 60


def released(client: Client, order_id: str) -> bool:
    """Does the provider's own ledger say that the hold is released?"""
    operations = client.ledger(order_id)["operations"]
    return any(operation["method"] == "void" and operation["status"] == "success" for operation in operations)


def agrees(client: Client, order_id: str) -> bool:
    """The record says `voided` if and only if the ledger does; what is open stays open, and is asked about."""
    answer = client.call("GET", f"voids/{order_id}", b"")
    state = answer.json["state"] if answer.status == 200 else None
    if released(client, order_id):
        if state != "voided":
            client.call("GET", f"voids/{order_id}?refresh=true")
        return state == "voided"
    return state != "voided"


@pytest.fixture(scope="module")
def outcome(service: Service) -> dict[tuple[str, str], tuple[str, Reply]]:
    """One void for each pair, all sent before any is looked at."""
    client = Client(service)
    pairs = list(itertools.product(ANSWERS, WEBHOOKS))
    orders = {pair: client.hold(answer=pair[0], webhook=pair[1]) for pair in pairs}
    with ThreadPoolExecutor(CLIENTS) as threads:
        replies = threads.map(client.submit, orders.values())
        return {pair: (orders[pair], reply) for pair, reply in zip(pairs, replies, strict=True)}


@pytest.mark.parametrize("answer", ANSWERS)
def test_whatever_answer_and_webhook_the_record_agrees_with_the_ledger(
    service: Service, outcome: dict[tuple[str, str], tuple[str, Reply]], answer: str
) -> None:
    client = Client(service)
    for webhook in WEBHOOKS:
        order_id, reply = outcome[answer, webhook]
        assert reply.status in CONTRACT, (answer, webhook, reply.body)
        if reply.status == 200:
            assert released(client, order_id), (answer, webhook)
        eventually(partial(agrees, client, order_id), bool, seconds=30)
        assert client.ledger(order_id)["voids_executed"] <= 1, (answer, webhook)


def test_functions_killed_at_random_moments_lose_and_double_nothing(service: Service) -> None:
    """Merchants repeat what failed, as they would; the provider here would execute a second void if it got one."""
    print(f"seed {SEED} (replay with VOID_TEST_SEED)")
    chance, client, done = random.Random(SEED), Client(service), threading.Event()
    client.sandbox("PUT", "settings", {"second_void": "execute"})
    killed: list[int] = []

    def kill() -> None:
        while not done.wait(chance.uniform(0.02, 0.15)):
            for pid in chance.sample(pids := service.function_pids(), min(1, len(pids))):
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue
                killed.append(pid)

    def insist(order_id: str) -> list[int]:
        return [client.submit(order_id, key=f"{order_id}-1").status for _ in range(3)]

    orders = [client.hold() for _ in range(ORDERS_UNDER_FIRE)]
    killer = threading.Thread(target=kill)
    killer.start()
    try:
        with ThreadPoolExecutor(CLIENTS) as threads:
            statuses = list(threads.map(insist, orders))
    finally:
        done.set()
        killer.join()
        client.sandbox("PUT", "settings", {"second_void": "refuse"})
    assert killed, "nobody was killed: this proves nothing"
    for order_id, seen in zip(orders, statuses, strict=True):
        ledger = client.ledger(order_id)
        assert ledger["voids_received"] <= 1, (order_id, seen)
        if 200 in seen:
            assert ledger["voids_executed"] == 1, (order_id, seen)
        eventually(partial(agrees, client, order_id), bool, seconds=30)
