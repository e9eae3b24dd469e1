"""What each function is given from outside: the clock, fresh ids, and systems made once from the settings."""

import time
from collections.abc import Iterator

import pytest

import systems
import telemetry
from payments.secret import SecretError
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

    class Session:
        def client(self, name: str, **_: object) -> str:
            return name

    monkeypatch.setattr(systems, "_SESSION", Session())
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
    assert all(len(each) == 32 and int(each, 16) >= 0 for each in drawn)


def test_the_table_and_the_secret_are_those_of_the_settings(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    made = systems.storage()
    assert made is systems.storage()
    assert abs(made.now() - time.time() * 1000) < 60_000
    made.store.load(POS_ID, ORDER, made.deadline(5))
    assert (scene.table.calls[0][1]["TableName"], made.store._keep_days) == ("the-table", 500)
    asked: list[object] = []

    def ask(**arguments: object) -> dict[str, object]:
        asked.append(arguments)
        return {}

    monkeypatch.setattr(scene.secrets, "_get_secret_value", ask)
    with pytest.raises(SecretError):
        made.secret.current(made.deadline(5))
    assert asked == [{"SecretId": "the-secret", "VersionStage": "AWSCURRENT"}]


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
