"""Each call of AWS ends in time, however its answer drips; and the clients are those of boto3."""

import os
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError, ClientError, ReadTimeoutError

import systems
from payments.settings import MOST_WORKERS


class Dripping:
    """An HTTP server that answers one byte at a time, each well before any timeout of a socket."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._stopped = threading.Event()
        self.requests = 0
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while not self._stopped.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._drip, args=(connection,), daemon=True).start()

    def _drip(self, connection: socket.socket) -> None:
        self.requests += 1
        with connection:
            try:
                connection.recv(65_536)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
                while not self._stopped.wait(0.05):
                    connection.sendall(b" ")
            except OSError:
                return

    def stop(self) -> None:
        self._stopped.set()
        self._listener.close()


def client_of(service: str) -> systems.TimedClient:
    """As storage() makes it."""
    session: Any = systems._SESSION
    return systems.TimedClient(session.client(service, config=systems._CONFIG))


@pytest.fixture
def dripping(monkeypatch: pytest.MonkeyPatch) -> Iterator[Dripping]:
    server = Dripping()
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "fake")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "fake")
    yield server
    server.stop()


@pytest.mark.parametrize(
    ("make", "operation", "arguments"),
    [
        ("dynamodb", "get_item", {"TableName": "t", "Key": {"pk": {"S": "x"}}}),
        ("secretsmanager", "get_secret_value", {"SecretId": "s"}),
    ],
)
def test_an_answer_that_drips_ends_at_its_time(
    dripping: Dripping, make: str, operation: str, arguments: dict[str, Any]
) -> None:
    client = client_of(make)
    began = time.monotonic()
    with pytest.raises(ReadTimeoutError):
        client.call(operation, 0.4, **arguments)
    assert 0.4 <= time.monotonic() - began < 20
    assert dripping.requests == 1


class Fake:
    """A client of the SDK."""

    def __init__(self) -> None:
        self.threads: set[int] = set()
        self.stuck = threading.Event()

    def get_item(self, **arguments: Any) -> dict[str, Any]:
        self.threads.add(threading.get_ident())
        return arguments

    def put_item(self, **_: Any) -> dict[str, Any]:
        raise ClientError({"Error": {"Code": "ConditionalCheckFailedException"}}, "PutItem")

    def query(self, **_: Any) -> dict[str, Any]:
        self.stuck.wait(20)
        return {}


def test_answers_and_errors_are_those_of_the_sdk() -> None:
    client = systems.TimedClient(Fake())
    assert client.call("get_item", 5, a=1) == {"a": 1}
    with pytest.raises(ClientError):
        client.call("put_item", 5)


def test_one_thread_serves_call_after_call() -> None:
    fake = Fake()
    client = systems.TimedClient(fake)
    for _ in range(20):
        client.call("get_item", 5)
    assert len(fake.threads) == 1


def test_a_thread_that_is_stuck_holds_up_nobody() -> None:
    fake = Fake()
    client = systems.TimedClient(fake)
    with pytest.raises(BotoCoreError):
        client.call("query", 0.05)
    assert client.call("get_item", 5, a=1) == {"a": 1}
    fake.stuck.set()


@pytest.mark.parametrize("service", ["dynamodb", "secretsmanager"])
def test_each_client_has_a_connection_for_each_void_that_is_queried_at_once(service: str) -> None:
    assert os.environ["AWS_DEFAULT_REGION"]
    client = client_of(service)._client
    assert client.meta.service_model.service_name == service
    config = client.meta.config
    assert config.max_pool_connections >= MOST_WORKERS
    assert (config.connect_timeout, config.read_timeout) == (1, 1.5)
    assert (config.retries["mode"], config.retries["total_max_attempts"]) == ("standard", 2)
    assert config.user_agent.split()[0] == "void-service"


def test_an_answer_of_nothing_is_an_empty_one() -> None:
    class Silent(Fake):
        def get_item(self, **_: Any) -> dict[str, Any]:
            return None  # type: ignore[return-value]

    assert systems.TimedClient(Silent()).call("get_item", 5) == {}


def test_a_thread_that_raised_serves_the_next_call() -> None:
    fake = Fake()
    client = systems.TimedClient(fake)
    client.call("get_item", 5)
    for _ in range(3):
        with pytest.raises(ClientError):
            client.call("put_item", 5)
        client.call("get_item", 5)
    assert len(fake.threads) == 1
