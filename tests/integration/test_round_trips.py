"""Round trips counted at the sockets: three that depend on each other for a void, one for nearly all else.

Functions of their own, from the deployed asset and as their own roles, behind two taps: one before AWS, one before the
provider. A tap passes bytes on unchanged and remembers what went by.
"""

import json
import os
import re
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from socketserver import BaseRequestHandler, ThreadingTCPServer
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import pytest

from local import aws
from local.processes import Children
from local.runtime import Runtime
from local.service import Service
from tests.fakes import scene as make
from tests.integration.client import JSON, Client, eventually
from tests.integration.clients.raw_server import serving

TARGET = re.compile(rb"x-amz-target: *\w+\.(\w+)\r\n", re.IGNORECASE)


class Tap(ThreadingTCPServer):
    """A listening socket before another one. `hold` seconds pass before an answer is given back."""

    daemon_threads, request_queue_size, hold = True, 64, 0.0

    def __init__(self, url: str) -> None:
        super().__init__(("127.0.0.1", 0), BaseRequestHandler)
        self.target = urlsplit(url)
        self.url = f"{self.target.scheme}://127.0.0.1:{self.server_address[1]}"
        self.opened, self.sent, self.answered = list[float](), list[bytearray](), list[float]()

    def finish_request(self, request: Any, client_address: Any) -> None:
        self.opened.append(time.monotonic())
        self.sent.append(sent := bytearray())
        with socket.create_connection((self.target.hostname, self.target.port)) as server:
            back = threading.Thread(target=passed, args=(server, request, self._note_answer), daemon=True)
            back.start()
            passed(request, server, sent.extend)
            back.join()

    def _note_answer(self, _: bytes) -> None:
        time.sleep(self.hold)
        self.answered.append(time.monotonic())

    def forget(self) -> None:
        """From here on. A connection that is open already goes on being counted."""
        self.opened.clear()
        self.answered.clear()
        for sent in self.sent:
            sent.clear()


def passed(source: socket.socket, sink: socket.socket, note: Callable[[bytes], None]) -> None:
    with suppress(OSError):
        while data := source.recv(65_536):
            note(data)
            sink.sendall(data)
    with suppress(OSError):
        sink.shutdown(socket.SHUT_WR)


@dataclass
class Tapped:
    """Functions that see the world through two taps."""

    runtime: Runtime
    aws: Tap
    provider: Tap
    client: Client

    def submit(self, order_id: str) -> Any:
        body = json.dumps({"order_id": order_id, "order_currency": "UAH"})
        return self.runtime.invoke("submit_void", make.gateway_event(body, JSON | {"Idempotency-Key": "one"}))

    def webhook(self, order_id: str, message: Any = None) -> Any:
        message = message or make.fields(order_id=order_id, operation_id=uuid4().hex)
        return self.runtime.invoke("receive_webhook", make.webhook_event(*make.signed(message)))

    def read(self, order_id: str) -> Any:
        return self.runtime.invoke("read_voids", make.gateway_event(None, {}, pathParameters={"order_id": order_id}))

    def warm(self) -> None:
        """Secrets read and connections to AWS open."""
        assert self.submit(order_id := self.client.hold(webhook="none"))["statusCode"] == 200
        assert self.webhook(uuid4().hex)["statusCode"] == 200
        assert self.read(order_id)["statusCode"] == 200

    def seen(self, act: Callable[..., Any], *arguments: Any) -> tuple[int, list[str], int]:
        """The status; what was asked of AWS on all connections; connections to the provider."""
        self.aws.forget()
        self.provider.forget()
        status = act(*arguments)["statusCode"]
        calls = [name.decode() for sent in self.aws.sent for name in TARGET.findall(bytes(sent))]
        return status, calls, len(self.provider.opened)


@pytest.fixture(scope="module")
def tapped(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tapped]:
    with serving(Tap(service.aws_endpoint)) as before_aws, serving(Tap(service.provider_url)) as before_provider:
        children = Children()
        changes = {"PROVIDER_URL": before_provider.url, "PROVIDER_CA_FILE": str(service.provider_ca)}
        functions = {
            stem: replace(function, environment={**function.environment, **changes})
            for stem, function in service.runtime.functions.items()
        }
        sts = aws.client("sts", service.aws_endpoint)
        runtime = Runtime(
            functions, before_aws.url, lambda function: aws.role_credentials(sts, function),
            children, tmp_path_factory.mktemp("log") / "functions.log",
        )  # fmt: skip
        tapped = Tapped(runtime, before_aws, before_provider, Client(service))
        try:
            tapped.warm()
            yield tapped
        finally:
            runtime.stop()
            children.stop_all()


@pytest.fixture
def order(client: Client) -> str:
    """An order whose void is reported by nobody, so that only what the test does is counted."""
    return client.hold(webhook="none")


def test_a_cold_void_reads_the_secret_once_while_init_connects_and_nothing_else_more(
    tapped: Tapped, order: str
) -> None:
    for pid in tapped.runtime.pids():
        os.kill(pid, signal.SIGKILL)
    eventually(tapped.runtime.pids, lambda pids: not pids)
    status, calls, connections = tapped.seen(tapped.submit, order)
    # Init: one call each of table and secret; the request: intent and outcome.
    assert (status, sorted(calls), connections) == (200, ["GetItem", "GetSecretValue", "PutItem", "PutItem"], 1)
    tapped.warm()


def test_a_warm_void_is_intent_effect_and_outcome_and_all_that_follows_one_request(tapped: Tapped, order: str) -> None:
    assert tapped.seen(tapped.submit, order) == (200, ["PutItem", "PutItem"], 1)
    assert tapped.seen(tapped.submit, order)[:2] == (200, ["PutItem"]), "a repetition; its connection is not used"
    assert tapped.client.ledger(order)["voids_received"] == 1
    assert tapped.seen(tapped.read, order) == (200, ["GetItem"], 0)
    message = json.loads(tapped.submit(order)["body"])["provider"]
    for _ in range(2):
        assert tapped.seen(tapped.webhook, order, message) == (200, ["UpdateItem"], 0), "of a void that is done"


def test_a_webhook_that_is_news_is_two_requests(tapped: Tapped) -> None:
    assert tapped.seen(tapped.webhook, uuid4().hex) == (200, ["UpdateItem", "PutItem"], 0), "nobody asked us for it"
    unknown = tapped.client.hold(answer="http_500_executed", webhook="none")
    assert tapped.submit(unknown)["statusCode"] == 202
    assert tapped.seen(tapped.webhook, unknown) == (200, ["UpdateItem", "PutItem"], 0)
    assert json.loads(tapped.read(unknown)["body"])["state"] == "voided"


def test_the_handshake_overlaps_the_intent(tapped: Tapped, order: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the intent's answer is held back, the provider's connection is opened and its handshake done."""
    monkeypatch.setattr(tapped.aws, "hold", 0.3)
    assert tapped.seen(tapped.submit, order)[0] == 200
    assert tapped.provider.opened[0] < tapped.aws.answered[0]
    assert tapped.provider.answered[0] < tapped.aws.answered[0]
