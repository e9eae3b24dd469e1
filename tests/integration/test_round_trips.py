"""Round trips counted at the sockets: three that depend on each other for a void, one for nearly all else.

Functions of their own, from the deployed asset and as their own roles, behind two taps: one before AWS, one before the
provider. A tap passes bytes on unchanged and remembers what went by.
"""

import contextlib
import json
import os
import re
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import pytest

from local import aws
from local.processes import Children
from local.runtime import Runtime
from local.service import Service
from tests.fakes import scene as make
from tests.integration.client import Client, eventually

TARGET = re.compile(rb"x-amz-target: *\w+\.(\w+)\r\n", re.IGNORECASE)
JSON = {"Content-Type": "application/json"}


@dataclass
class Tap:
    """A listening socket before another one. `hold` seconds pass before an answer is given back."""

    target: tuple[str, int]
    hold: float = 0.0
    opened: list[float] = field(default_factory=list)
    sent: list[bytearray] = field(default_factory=list)
    answered: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port: int = self._listening.getsockname()[1]
        self._passing: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._closed = False
        self._start(self._accept)

    def _start(self, run: Callable[..., None], *arguments: Any) -> None:
        thread = threading.Thread(target=run, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def close(self) -> None:
        self._closed = True
        # Ends the waiting of the threads, which closing alone would not.
        for each in (self._listening, *self._passing):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for each in (self._listening, *self._passing):
            each.close()

    def forget(self) -> None:
        """From here on. A connection that is open already goes on being counted."""
        self.opened.clear()
        self.answered.clear()
        for sent in self.sent:
            sent.clear()

    @property
    def calls(self) -> list[str]:
        """The operations that were asked for, on all connections."""
        return [name.decode() for sent in self.sent for name in TARGET.findall(bytes(sent))]

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while not self._closed:
                client, _ = self._listening.accept()
                self._passing.append(client)
                self.opened.append(time.monotonic())
                server = socket.create_connection(self.target)
                self._passing.append(server)
                sent = bytearray()
                self.sent.append(sent)
                self._start(self._pass, client, server, sent.extend)
                self._start(self._pass, server, client, self._note_answer)

    def _note_answer(self, _: bytes) -> None:
        time.sleep(self.hold)
        self.answered.append(time.monotonic())

    def _pass(self, source: socket.socket, sink: socket.socket, note: Callable[[bytes], None]) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65_536):
                note(data)
                sink.sendall(data)
        with contextlib.suppress(OSError):
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

    def hold(self) -> str:
        """An order whose void is reported by nobody, so that only what the test does is counted."""
        return self.client.hold(webhook="none")

    def warm(self) -> None:
        """Secrets read and connections to AWS open."""
        assert self.submit(order_id := self.hold())["statusCode"] == 200
        assert self.webhook(uuid4().hex)["statusCode"] == 200
        assert self.read(order_id)["statusCode"] == 200

    def chill(self) -> None:
        """The next request of each function finds no process."""
        for pid in self.runtime.pids():
            os.kill(pid, signal.SIGKILL)
        eventually(self.runtime.pids, lambda pids: not pids)

    def forget(self) -> None:
        self.aws.forget()
        self.provider.forget()


def address(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    assert parts.hostname is not None
    assert parts.port is not None
    return parts.hostname, parts.port


@pytest.fixture(scope="module")
def tapped(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tapped]:
    with contextlib.ExitStack() as stack:
        before_aws, before_provider = Tap(address(service.aws_endpoint)), Tap(address(service.provider_url))
        stack.callback(before_aws.close)
        stack.callback(before_provider.close)
        children = Children()
        stack.callback(children.stop_all)
        changes = {
            "PROVIDER_URL": f"https://127.0.0.1:{before_provider.port}",
            "PROVIDER_CA_FILE": str(service.provider_ca),
        }
        functions = {
            stem: replace(function, environment={**function.environment, **changes})
            for stem, function in service.runtime.functions.items()
        }
        sts = aws.client("sts", service.aws_endpoint)
        runtime = Runtime(
            functions, f"http://127.0.0.1:{before_aws.port}", lambda function: aws.role_credentials(sts, function),
            children, tmp_path_factory.mktemp("log") / "functions.log",
        )  # fmt: skip
        stack.callback(runtime.stop)
        tapped = Tapped(runtime, before_aws, before_provider, Client(service))
        tapped.warm()
        yield tapped


def test_a_cold_void_reads_the_secret_once_and_nothing_else_more(tapped: Tapped) -> None:
    order_id = tapped.hold()
    tapped.chill()
    tapped.forget()
    assert tapped.submit(order_id)["statusCode"] == 200
    assert sorted(tapped.aws.calls) == ["GetSecretValue", "PutItem", "PutItem"]
    tapped.warm()


def test_a_warm_void_is_intent_effect_and_outcome(tapped: Tapped) -> None:
    order_id = tapped.hold()
    tapped.forget()
    assert tapped.submit(order_id)["statusCode"] == 200
    assert tapped.aws.calls == ["PutItem", "PutItem"]
    assert len(tapped.provider.opened) == 1
    assert tapped.client.ledger(order_id)["voids_received"] == 1


def test_the_handshake_overlaps_the_intent(tapped: Tapped, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the intent's answer is held back, the provider's connection is opened and its handshake done."""
    order_id = tapped.hold()
    tapped.forget()
    monkeypatch.setattr(tapped.aws, "hold", 0.3)
    assert tapped.submit(order_id)["statusCode"] == 200
    assert tapped.provider.opened[0] < tapped.aws.answered[0]
    assert tapped.provider.answered[0] < tapped.aws.answered[0]


def test_a_replay_is_one_request_and_asks_the_provider_nothing(tapped: Tapped) -> None:
    order_id = tapped.hold()
    first = tapped.submit(order_id)
    tapped.forget()
    again = tapped.submit(order_id)
    assert (again["statusCode"], again["body"]) == (200, first["body"])
    assert tapped.aws.calls == ["PutItem"]
    assert tapped.client.ledger(order_id)["voids_received"] == 1


def test_a_read_is_one_request(tapped: Tapped) -> None:
    order_id = tapped.hold()
    tapped.submit(order_id)
    tapped.forget()
    assert tapped.read(order_id)["statusCode"] == 200
    assert tapped.aws.calls == ["GetItem"]
    assert tapped.provider.opened == []


def test_a_webhook_of_an_order_that_nobody_asked_us_about_is_two_requests(tapped: Tapped) -> None:
    tapped.forget()
    assert tapped.webhook(uuid4().hex)["statusCode"] == 200
    assert tapped.aws.calls == ["UpdateItem", "PutItem"]
    assert tapped.provider.opened == []


def test_a_webhook_of_an_unknown_void_is_two_requests(tapped: Tapped) -> None:
    order_id = tapped.client.hold(answer="http_500_executed", webhook="none")
    assert tapped.submit(order_id)["statusCode"] == 202
    tapped.forget()
    assert tapped.webhook(order_id)["statusCode"] == 200
    assert tapped.aws.calls == ["UpdateItem", "PutItem"]
    assert json.loads(tapped.read(order_id)["body"])["state"] == "voided"


def test_a_webhook_of_a_void_that_is_done_is_one_request(tapped: Tapped) -> None:
    order_id = tapped.hold()
    submitted = tapped.submit(order_id)
    assert submitted["statusCode"] == 200
    message = json.loads(submitted["body"])["provider"]
    tapped.forget()
    assert tapped.webhook(order_id, message)["statusCode"] == 200
    assert tapped.aws.calls == ["UpdateItem"]
    assert tapped.webhook(order_id, message)["statusCode"] == 200
    assert tapped.aws.calls == ["UpdateItem"] * 2
