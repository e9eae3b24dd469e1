"""The provider's secret is rotated as the runbook says, over real sockets, while voids and webhooks flow.

A new version in Secrets Manager, a wait until the functions know both, then the provider, then the old one's end. Not one
genuine webhook may be refused, and not one void lost or doubled.
"""

import contextlib
import json
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from uuid import uuid4

import pytest

from local.service import CREDENTIALS, Service
from payments.secret import FRESH_SECONDS, MAX_AGE_SECONDS
from tests.integration.client import POS_ID, Client, eventually

pytestmark = pytest.mark.proof  # two minutes; in the commit test_void_flow.py rotates the secret
NEW_SECRET = "fake-api-secret-after-the-rotation"
MERCHANTS = 3
# A merchant whose credentials are refused waits a little. Less would use up the attempts of an order.
PATIENCE = 5.0
WITHOUT_A_VERDICT = {409, 429, 502, 503}


def webhook_signed_with(client: Client, secret: str) -> int:
    """What a genuine webhook of an order that was voided elsewhere is answered."""
    void = {"pos_id": POS_ID, "method": "void", "status": "success", "amount": 100, "currency": "UAH"}
    message = void | {"operation_id": uuid4().hex, "order_id": uuid4().hex}
    return client.webhook(**client.sandbox("POST", "sign", {"data": message, "secret": secret})).status


@contextlib.contextmanager
def traffic(client: Client) -> Iterator[tuple[dict[str, list[int]], Counter[int]]]:
    """Merchants that insist and a provider that reports: what the voids of each order and the webhooks are answered."""
    stop, voids, webhooks = threading.Event(), dict[str, list[int]](), Counter[int]()

    def buy() -> None:
        """One void, repeated under its key until there is a verdict."""
        order_id = client.hold()
        seen = voids[order_id] = []
        while (status := client.submit(order_id, key="only").status) in WITHOUT_A_VERDICT:
            seen.append(status)
            time.sleep(PATIENCE)
        seen.append(status)

    def report() -> None:
        webhooks[webhook_signed_with(client, "current")] += 1

    def again(once: Callable[[], None]) -> None:
        while not stop.wait(0.2):
            once()

    with ThreadPoolExecutor(MERCHANTS + 1) as threads:
        running = [threads.submit(again, each) for each in (*[buy] * MERCHANTS, report)]
        try:
            yield voids, webhooks
        finally:
            stop.set()
    for each in running:
        each.result()  # or what it raised


def put(service: Service, api_secret: str) -> None:
    value = json.dumps(CREDENTIALS | {"api_secret": api_secret})
    service.client("secretsmanager").put_secret_value(SecretId=service.secret_arn, SecretString=value)


@pytest.fixture
def rotating(service: Service, client: Client) -> Iterator[Client]:
    """Everybody else's tests need the original secret: back to it, also in the functions' memory."""
    yield client
    for _ in range(2):  # the new one must not even be the previous
        put(service, CREDENTIALS["api_secret"])
    client.sandbox("PUT", "settings", {"api_secret": CREDENTIALS["api_secret"]})
    pids = service.function_pids()
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    eventually(lambda: set(service.function_pids()) & set(pids), lambda left: not left)
    assert client.submit(client.hold()).status == 200


def test_a_rotation_refuses_no_genuine_webhook_and_loses_no_void(service: Service, rotating: Client) -> None:
    with traffic(rotating) as (voids, webhooks):
        time.sleep(2)
        put(service, NEW_SECRET)
        # Webhook functions look again for what they cannot prove, but no more often than this.
        time.sleep(FRESH_SECONDS + 1)
        rotating.sandbox("PUT", "settings", {"api_secret": NEW_SECRET})
        # A message that the provider signed before the switch and repeats now.
        assert webhook_signed_with(rotating, "previous") == 200
        # By then no function can hold the old one.
        time.sleep(MAX_AGE_SECONDS + 1)
        assert webhook_signed_with(rotating, "previous") == 200
    assert set(webhooks) == {200}
    assert webhooks[200] > 50
    assert len(voids) > 10
    # The rotation was felt, or this proves nothing; and everybody got through.
    assert any(502 in seen for seen in voids.values())
    assert {seen[-1] for seen in voids.values()} <= {200, 202}
    for order_id in voids:
        read = partial(rotating.read, order_id, refresh=True)
        eventually(read, lambda record: record["state"] == "voided", seconds=20)
        ledger = rotating.ledger(order_id)
        assert ledger["voids_executed"] == 1
        assert {webhook["status"] for webhook in ledger["webhooks"]} == {200}
    # Now the old one ends: with a further version it is not even the previous. A copy at hand may still prove it so long.
    put(service, NEW_SECRET)
    eventually(
        lambda: webhook_signed_with(rotating, "previous"), lambda status: status == 401, seconds=MAX_AGE_SECONDS + 5
    )
    assert webhook_signed_with(rotating, "current") == 200
    assert rotating.submit(rotating.hold()).status == 200
    assert NEW_SECRET not in service.logs()
