"""Each call of AWS ends in time, however its answer drips; and the clients are those of boto3."""

import os
import threading
import time
from collections.abc import Iterator
from socketserver import BaseRequestHandler, ThreadingTCPServer
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError, ClientError, ReadTimeoutError

import systems
from payments.settings import MOST_WORKERS


class Dripping(ThreadingTCPServer):
    """An HTTP server that answers one byte at a time, each well before any timeout of a socket."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Drop)
        self.stopped, self.requests = threading.Event(), 0


class Drop(BaseRequestHandler):
    server: Dripping

    def handle(self) -> None:
        self.server.requests += 1
        try:
            self.request.recv(65_536)
            self.request.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
            while not self.server.stopped.wait(0.05):
                self.request.sendall(b" ")
        except OSError:
            return  # the client has had enough


def client_of(service: str) -> systems.TimedClient:
    """As storage() makes it."""
    session: Any = systems._SESSION
    return systems.TimedClient(session.client(service, config=systems._CONFIG))


@pytest.fixture
def dripping(monkeypatch: pytest.MonkeyPatch) -> Iterator[Dripping]:
    with Dripping() as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_address[1]}")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "fake")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "fake")
        yield server
        server.stopped.set()
        server.shutdown()


@pytest.mark.parametrize(("service", "operation", "arguments"), [
    ("dynamodb", "get_item", {"TableName": "t", "Key": {"pk": {"S": "x"}}}),
    ("secretsmanager", "get_secret_value", {"SecretId": "s"}),
])  # fmt: skip
def test_an_answer_that_drips_ends_at_its_time(
    dripping: Dripping, service: str, operation: str, arguments: dict[str, Any]
) -> None:
    client = client_of(service)
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

    def get_item(self, **arguments: Any) -> dict[str, Any] | None:
        self.threads.add(threading.get_ident())
        return arguments or None

    def put_item(self, **_: Any) -> dict[str, Any]:
        raise ClientError({"Error": {"Code": "ConditionalCheckFailedException"}}, "PutItem")

    def query(self, **_: Any) -> dict[str, Any]:
        self.stuck.wait(20)
        return {}


@pytest.fixture
def fake() -> Iterator[Fake]:
    fake = Fake()
    yield fake
    fake.stuck.set()


def test_one_thread_gives_the_answers_and_errors_of_the_sdk_call_after_call(fake: Fake) -> None:
    client = systems.TimedClient(fake)
    for _ in range(10):
        assert client.call("get_item", 5, a=1) == {"a": 1}
        with pytest.raises(ClientError):
            client.call("put_item", 5)
    assert len(fake.threads) == 1


def test_an_answer_of_nothing_is_an_empty_one(fake: Fake) -> None:
    assert systems.TimedClient(fake).call("get_item", 5) == {}


def test_a_thread_that_is_stuck_holds_up_nobody(fake: Fake) -> None:
    client = systems.TimedClient(fake)
    with pytest.raises(BotoCoreError):
        client.call("query", 0.05)
    assert client.call("get_item", 5, a=1) == {"a": 1}


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
