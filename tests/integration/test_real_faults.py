"""Every fault of the sandbox with every webhook behaviour, and functions killed under load, over real sockets.

At the end the records are held against the sandbox's ledger: whatever happened in between, they must not disagree.
"""

import itertools
import os
import random
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial

import pytest

from local.merchant import Reply
from play.webhooks import SANDBOX
from tests.integration.client import Client, eventually, problem

PENDING, UNKNOWN = (202, "", "pending", None), (202, "", "unknown", None)
REFUSED = (409, "not-voidable", "failed", "refused")
ANSWERS = {
    # If no webhook comes: status, problem, state, reason.
    "success": (200, "", "voided", None), "pending": PENDING, "pending_then_failure": PENDING, "failure": REFUSED,
    "http_400": REFUSED, "http_401": (502, "provider-credentials", "failed", "provider-credentials"), "http_404": REFUSED,
    "http_429": (429, "throttled", "failed", "throttled"),
    **dict.fromkeys((
        "timeout_executed", "timeout_not_executed", "reset_executed", "reset_not_executed", "http_500_executed",
        "http_500_not_executed", "http_503", "garbage", "truncated", "redirect", "wrong_order",
    ), UNKNOWN),
}  # fmt: skip
EVERY_PAIR = [*itertools.product(ANSWERS, SANDBOX)]
SOME_PAIRS = [pair for number, pair in enumerate(EVERY_PAIR) if pair[1] == "none" or number % 5 == 0]
"""For each commit: an answer has one or two webhooks besides none, and a webhook a fifth of the answers."""
CONTRACT = {200, 202, 409, 429, 502}
CLIENTS = 8
SEED = 20261124


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


@pytest.fixture(
    scope="module", params=[SOME_PAIRS, pytest.param(EVERY_PAIR, marks=pytest.mark.proof)], ids=["some", "every"]
)
def outcome(client: Client, request: pytest.FixtureRequest) -> dict[tuple[str, str], tuple[str, Reply]]:
    """One void for each pair, all sent before any is looked at."""
    pairs = request.param
    orders = [client.hold(answer=answer, webhook=webhook) for answer, webhook in pairs]
    with ThreadPoolExecutor(CLIENTS) as threads:
        return dict(zip(pairs, zip(orders, threads.map(client.submit, orders), strict=True), strict=True))


@pytest.mark.parametrize("answer", ANSWERS)
def test_whatever_answer_and_webhook_the_record_agrees_with_the_ledger(
    client: Client, outcome: dict[tuple[str, str], tuple[str, Reply]], answer: str
) -> None:
    for pair, (order_id, reply) in outcome.items():
        if pair[0] != answer:
            continue
        assert reply.status in CONTRACT, (pair, reply.body)
        if reply.status == 200:
            assert released(client, order_id), pair
        eventually(partial(agrees, client, order_id), bool, seconds=30)
        ledger = client.ledger(order_id)
        assert (ledger["voids_received"], ledger["voids_executed"]) in ((1, 0), (1, 1)), pair
    order_id, reply = outcome[answer, "none"]
    status, name, state, reason = ANSWERS[answer]
    void = problem(reply, status, name)["void"] if name else reply.json
    assert (reply.status, void["state"], void["reason"]) == (status, state, reason)
    assert (int(reply.headers.get("Retry-After", 0)) > 0) is (status in (202, 429))
    assert reply.headers.get("Location") == (f"/v1/voids/{order_id}" if status == 202 else None)


@contextmanager
def dying(client: Client, killed: list[int]) -> Iterator[None]:
    """Functions are killed at random moments, and the provider would execute a second void if it got one."""
    chance, done = random.Random(SEED), threading.Event()

    def kill() -> None:
        while not done.wait(chance.uniform(0.02, 0.15)):
            for pid in chance.sample(pids := client.service.function_pids(), min(1, len(pids))):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                    killed.append(pid)

    killer = threading.Thread(target=kill)
    client.sandbox("PUT", "settings", {"second_void": "execute"})
    killer.start()
    try:
        yield
    finally:
        done.set()
        killer.join()
        client.sandbox("PUT", "settings", {"second_void": "refuse"})


@pytest.mark.parametrize("number", [10, pytest.param(60, marks=pytest.mark.proof)])
def test_functions_killed_at_random_moments_lose_and_double_nothing(client: Client, number: int) -> None:
    """Merchants repeat what failed, as they would."""

    def insist(order_id: str) -> list[int]:
        return [client.submit(order_id, key=f"{order_id}-1").status for _ in range(3)]

    orders, killed = [client.hold() for _ in range(number)], list[int]()
    with dying(client, killed), ThreadPoolExecutor(CLIENTS) as threads:
        statuses = list(threads.map(insist, orders))
    assert killed, "nobody was killed: this proves nothing"
    for order_id, seen in zip(orders, statuses, strict=True):
        ledger = client.ledger(order_id)
        assert ledger["voids_received"] <= 1, (order_id, seen)
        if 200 in seen:
            assert ledger["voids_executed"] == 1, (order_id, seen)
        eventually(partial(agrees, client, order_id), bool, seconds=30)
