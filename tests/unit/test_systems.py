"""What each function is given from outside: the clock, fresh ids, systems made once from the settings, and clients of AWS.

Each call of AWS ends in time, however its answer drips. A cold start is spent on importing: the collector keeps out of it.
"""

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest
from botocore.exceptions import BotoCoreError, ClientError, ReadTimeoutError

import systems
import telemetry
from payments import deadline
from payments.secret import SecretError
from payments.settings import MOST_WORKERS
from tests.fakes.scene import ORDER, POS_ID, Scene
from tests.unit.conftest import Counted

CACHES = (systems.storage, systems.systems, systems.systems_that_send)


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    """The settings of a function, and AWS in memory."""
    scene = Scene()
    for name, value in {
        "TABLE_NAME": "the-table", "SECRET_ID": "the-secret", "PROVIDER_URL": "https://provider.invalid",
        "PROVIDER_SCHEME": "CPAY-SHA1", "WEBHOOK_URL": "https://us.invalid/webhooks", "KEEP_SETTLED_DAYS": "500",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)

    monkeypatch.setattr(systems, "_SESSION", SimpleNamespace(client=lambda name, **_: name))
    fakes = {"dynamodb": scene.table, "secretsmanager": scene.secrets}
    monkeypatch.setattr(systems, "TimedClient", lambda name: fakes[name])
    for cache in CACHES:
        cache.cache_clear()
    yield scene
    for cache in CACHES:
        cache.cache_clear()


def test_the_clock_counts_milliseconds_and_an_id_is_drawn_at_each_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time_ns", lambda: 1_795_000_000_123_999_999)
    assert systems.now() == 1_795_000_000_123
    drawn = {systems.new_id() for _ in range(10)}
    assert len(drawn) == 10
    assert all(len(each) == 16 and int(each, 16) >= 0 for each in drawn)


def test_the_table_and_the_secret_are_those_of_the_settings(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    made = systems.storage()
    assert made is systems.storage()
    assert abs(made.now() - time.time() * 1000) < 60_000
    made.store.load(POS_ID, ORDER, made.deadline(5))
    assert (scene.table.calls[0][1]["TableName"], made.store._keep_days) == ("the-table", 500)
    secrets = Mock(return_value={})
    monkeypatch.setattr(scene.secrets, "_get_secret_value", secrets)
    with pytest.raises(SecretError):
        made.secret.current(made.deadline(5))
    secrets.assert_called_once_with(SecretId="the-secret", VersionStage="AWSCURRENT")


def test_init_opens_both_connections_and_the_first_request_reads_no_secret(scene: Scene) -> None:
    scene.secrets.before = lambda: time.sleep(0.1)
    made = systems.storage()
    made.connect()
    assert [name for name, _ in scene.table.calls] == ["get_item"]
    assert scene.secrets.calls == ["AWSCURRENT"], "Lambda freezes what goes on after init"
    assert made.secret.current(made.deadline(5)).project == POS_ID
    assert scene.secrets.calls == ["AWSCURRENT"]


def test_what_fails_at_init_is_tried_again_at_once_by_the_first_request(scene: Scene) -> None:
    made = systems.storage()
    scene.secrets.out_of_reach()
    scene.table.fail(code="ThrottlingException")
    made.connect()
    scene.secrets.error = None
    scene.table.before = lambda *_: None
    assert made.secret.current(made.deadline(5)).project == POS_ID
    assert made.store.load(POS_ID, ORDER, made.deadline(5)) is None


@pytest.mark.parametrize(("during", "after"), [(0, 61_000), (61_000, 0)])
def test_what_init_has_read_is_as_old_as_it_is(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, during: int, after: int
) -> None:
    clock = [1_795_000_000_000, 1_795_000_000_000 + during]
    monkeypatch.setattr(systems, "now", lambda: clock[0])
    scene.secrets.before = clock.reverse
    made = systems.storage()
    made.connect()
    scene.secrets.before = lambda: None
    scene.secrets.rotate(pos_id="another")
    clock[0] += after
    assert made.secret.current(made.deadline(5)).project == "another", "an instance may be made long before its use"


def test_a_copy_that_has_to_serve_in_an_outage_is_counted_once_for_all_threads(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, counted: Counted
) -> None:
    clock = [1_795_000_000_000]
    monkeypatch.setattr(systems, "now", lambda: clock[0])
    made = systems.storage()
    made.secret.current(made.deadline(5))
    clock[0] += 61_000
    scene.secrets.out_of_reach()
    for _ in range(8):
        made.secret.current(made.deadline(5))
    telemetry.flush()
    assert counted() == {"SecretOutOfReach": 1}


@pytest.mark.parametrize(("name", "url"), [("systems", ""), ("systems_that_send", "https://us.invalid/webhooks")])
def test_only_what_sends_voids_says_where_to_report(scene: Scene, name: str, url: str) -> None:
    build = getattr(systems, name)
    made = build()
    assert made is build()
    provider = made.provider
    assert (provider._host, provider._scheme.value, provider._server_url) == ("provider.invalid", "CPAY-SHA1", url)
    parts = systems.storage()
    assert (made.store, made.secret, made.now, made.new_id) == (parts.store, parts.secret, parts.now, parts.new_id)
    assert scene.table.calls == []


# ---- the clients of AWS --------------------------------------------------------------------------------------------------


@pytest.fixture
def dripping(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[bytes]]:
    """What clients sent to an HTTP server that answers one byte at a time, each well before any timeout of a socket."""
    heads, stopped, server = list[bytes](), threading.Event(), socket.create_server(("127.0.0.1", 0))

    server.settimeout(0.2)  # so that the thread ends also if nobody comes

    def drip() -> None:
        while not stopped.is_set():
            with suppress(OSError), server.accept()[0] as connection:
                heads.append(connection.recv(65_536).lower())
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
                while not stopped.wait(0.05):
                    connection.sendall(b" ")

    thread = threading.Thread(target=drip)
    thread.start()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.getsockname()[1]}")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_LAMBDA_FUNCTION_NAME", "_X_AMZN_TRACE_ID"):
        monkeypatch.setenv(name, "fake")
    yield heads
    stopped.set()
    thread.join()
    server.close()


CALLS: dict[str, tuple[str, dict[str, Any]]] = {
    "dynamodb": ("get_item", {"TableName": "t", "Key": {"pk": {"S": "x"}}}), "secretsmanager": ("get_secret_value", {"SecretId": "s"}),
}  # fmt: skip


@pytest.mark.parametrize("service", CALLS)
def test_an_answer_that_drips_ends_at_its_time_and_each_void_that_is_queried_at_once_has_a_connection(
    dripping: list[bytes], service: str
) -> None:
    session: Any = systems._SESSION
    client = systems.TimedClient(session.client(service, config=systems._CONFIG))  # as storage() makes it
    operation, arguments = CALLS[service]
    began = time.monotonic()
    with pytest.raises(ReadTimeoutError):
        client.call(operation, 0.4, **arguments)
    assert 0.4 <= time.monotonic() - began < 20
    assert [b"amz-sdk" in head or b"x-amzn-trace" in head for head in dripping] == [False]
    meta = client._client.meta
    assert (meta.service_model.service_name, meta.region_name) == (service, os.environ["AWS_DEFAULT_REGION"])
    assert meta.config.max_pool_connections >= MOST_WORKERS
    assert (meta.config.connect_timeout, meta.config.read_timeout) == (1, 1.5)
    assert (meta.config.retries["mode"], meta.config.retries["total_max_attempts"]) == ("standard", 2)
    assert meta.config.user_agent.split()[0] == "void-service"


def test_one_idle_thread_makes_all_calls_and_a_stuck_one_holds_up_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    stuck = threading.Event()
    refused = ClientError({"Error": {"Code": "ConditionalCheckFailedException"}}, "PutItem")
    sdk = SimpleNamespace(get_item=dict, put_item=Mock(side_effect=refused), query=lambda: stuck.wait(20))
    client = systems.TimedClient(sdk)
    client.call("get_item", 5)
    monkeypatch.setattr(deadline, "Thread", None)
    for _ in range(10):
        assert (client.call("get_item", 5, a=1), client.call("get_item", 5)) == ({"a": 1}, {})
        with pytest.raises(ClientError):
            client.call("put_item", 5)
    monkeypatch.undo()
    with pytest.raises(BotoCoreError):
        client.call("query", 0.05)
    assert client.call("get_item", 5, a=1) == {"a": 1}
    stuck.set()


# ---- a cold start --------------------------------------------------------------------------------------------------------

# In a process of its own: argv is the handler.
PROBE = """
import gc, json, sys

during = []
gc.callbacks.append(lambda phase, _: during.append(phase) if "cold_start" in sys.modules else None)
__import__(sys.argv[1])
found = {"collections": len(during), "on": gc.isenabled(), "aside": gc.get_freeze_count()}


class Knot:
    pass


knots = []
gc.callbacks.append(lambda phase, _: knots.append(phase))
for _ in range(10 * gc.get_threshold()[0]):
    knot = Knot()
    knot.itself = knot
print(json.dumps({**found, "later": len(knots)}))
"""


MORE = [
    pytest.param(each, marks=pytest.mark.proof) for each in ("decide", "read_voids", "receive_webhook", "settle_voids")
]


@pytest.mark.slow
@pytest.mark.parametrize("module", ["submit_void", *MORE])
def test_nothing_is_collected_at_init_and_garbage_is_later(module: str) -> None:
    environment = {name: value for name, value in os.environ.items() if name.startswith("POWERTOOLS")}
    environment["PYTHONPATH"] = os.path.dirname(systems.__file__)
    found = json.loads(subprocess.check_output([sys.executable, "-c", PROBE, module], env=environment, text=True))
    assert (found["collections"], found["on"]) == (0, True)
    assert found["aside"] > 10_000, "what init left is set aside"
    assert found["later"] > 0
