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
from dataclasses import dataclass, field
from functools import partial
from uuid import uuid4

import pytest

from local.service import CREDENTIALS, Service
from payments.secret import FRESH_SECONDS, MAX_AGE_SECONDS
from tests.integration.client import Client, eventually

pytestmark = pytest.mark.proof  # two minutes; in the commit test_void_flow.py rotates the secret
NEW_SECRET = "fake-api-secret-after-the-rotation"
MERCHANTS = 3
# A merchant whose credentials are refused waits a little. Less would use up the attempts of an order.
PATIENCE = 5.0
WITHOUT_A_VERDICT = {409, 429, 502, 503}


@dataclass
class Traffic:
    """Merchants that insist and a provider that reports, until told to stop."""

    client: Client
    stop: threading.Event = field(default_factory=threading.Event)
    voids: dict[str, list[int]] = field(default_factory=dict)
    webhooks: Counter[int] = field(default_factory=Counter)
    crashes: list[Exception] = field(default_factory=list)

    @contextlib.contextmanager
    def flowing(self) -> Iterator[None]:
        threads = [threading.Thread(target=self._run, args=(self._buy,)) for _ in range(MERCHANTS)]
        threads.append(threading.Thread(target=self._run, args=(self._report,)))
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self.stop.set()
            for thread in threads:
                thread.join()

    def _run(self, once: Callable[[], None]) -> None:
        try:
            while not self.stop.wait(0.2):
                once()
        except Exception as crash:  # noqa: BLE001 told by the test, not by a thread
            self.crashes.append(crash)

    def _buy(self) -> None:
        """One void, repeated under its key until there is a verdict."""
        order_id = self.client.hold()
        seen = self.voids[order_id] = []
        while (status := self.client.submit(order_id, key="only").status) in WITHOUT_A_VERDICT:
            seen.append(status)
            time.sleep(PATIENCE)
        seen.append(status)

    def _report(self) -> None:
        """A genuine webhook of an order that was voided elsewhere, signed with what the provider signs with now."""
        self.webhooks[self.client.webhook(**self._signed("current")).status] += 1

    def _signed(self, secret: str) -> dict[str, str]:
        message = {
            "operation_id": uuid4().hex, "order_id": uuid4().hex, "pos_id": CREDENTIALS["pos_id"], "method": "void",
            "status": "success", "amount": 100, "currency": "UAH",
        }  # fmt: skip
        signed: dict[str, str] = self.client.sandbox("POST", "sign", {"data": message, "secret": secret})
        return signed

    def deliver_signed_with(self, secret: str) -> int:
        return self.client.webhook(**self._signed(secret)).status


def put(service: Service, api_secret: str) -> None:
    service.client("secretsmanager").put_secret_value(
        SecretId=service.secret_arn, SecretString=json.dumps(CREDENTIALS | {"api_secret": api_secret})
    )


@pytest.fixture
def rotating(service: Service) -> Iterator[Client]:
    """Everybody else's tests need the original secret: back to it, also in the functions' memory."""
    client = Client(service)
    yield client
    # Twice: the new one must not even be the previous.
    put(service, CREDENTIALS["api_secret"])
    put(service, CREDENTIALS["api_secret"])
    client.sandbox("PUT", "settings", {"api_secret": CREDENTIALS["api_secret"]})
    pids = service.function_pids()
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    eventually(lambda: set(service.function_pids()) & set(pids), lambda left: not left)
    assert client.submit(client.hold()).status == 200


def test_a_rotation_refuses_no_genuine_webhook_and_loses_no_void(service: Service, rotating: Client) -> None:
    traffic = Traffic(rotating)
    with traffic.flowing():
        time.sleep(2)
        put(service, NEW_SECRET)
        # Webhook functions look again for what they cannot prove, but no more often than this.
        time.sleep(FRESH_SECONDS + 1)
        rotating.sandbox("PUT", "settings", {"api_secret": NEW_SECRET})
        # A message that the provider signed before the switch and repeats now.
        assert traffic.deliver_signed_with("previous") == 200
        # By then no function can hold the old one.
        time.sleep(MAX_AGE_SECONDS + 1)
        assert traffic.deliver_signed_with("previous") == 200
    assert traffic.crashes == []
    assert set(traffic.webhooks) == {200}
    assert traffic.webhooks[200] > 50
    assert len(traffic.voids) > 10
    # The rotation was felt, or this proves nothing; and everybody got through.
    assert any(502 in seen for seen in traffic.voids.values())
    assert {seen[-1] for seen in traffic.voids.values()} <= {200, 202}
    for order_id in traffic.voids:
        read = partial(rotating.read, order_id, refresh=True)
        eventually(read, lambda record: record["state"] == "voided", seconds=20)
        ledger = rotating.ledger(order_id)
        assert ledger["voids_executed"] == 1
        assert {webhook["status"] for webhook in ledger["webhooks"]} == {200}
    # Now the old one ends: with a further version it is not even the previous. A copy at hand may still prove it so long.
    put(service, NEW_SECRET)
    eventually(lambda: traffic.deliver_signed_with("previous"), {401}.__contains__, seconds=MAX_AGE_SECONDS + 5)
    assert traffic.deliver_signed_with("current") == 200
    assert rotating.submit(rotating.hold()).status == 200
    assert NEW_SECRET not in service.logs()
