"""No secret and no signature in a log line, an answer, an exception or a stored item, whatever goes wrong."""

import json
from collections.abc import Callable
from typing import Any

import pytest

import read_voids
import receive_webhook
import settle_voids
import submit_void
from payments.messages import Answer
from tests.fakes import provider as say
from tests.fakes import scene as make
from tests.fakes.scene import Scene
from tests.fakes.secret import PUBLISHED
from tests.fakes.table import error

SENTINELS = {
    **PUBLISHED,
    "api_key": "SENTINEL-api-key",
    "api_secret": "SENTINEL-api-secret",
    "endpoints_key": "SENTINEL-endpoints-key",
}


class Remaining:
    """Lambda's context, with time left."""

    def get_remaining_time_in_millis(self) -> int:
        return 50_000


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> Scene:
    """All four functions on one order."""
    scene = Scene(SENTINELS)
    monkeypatch.setattr(submit_void, "systems_that_send", lambda: scene.systems)
    for module in (read_voids, settle_voids):
        monkeypatch.setattr(module, "systems", lambda: scene.systems)
    monkeypatch.setattr(settle_voids, "now", lambda: scene.at)
    monkeypatch.setattr(receive_webhook, "storage", lambda: scene.storage)
    return scene


def everything(scene: Scene) -> str:
    """Each function once, whatever it says: answers and exception texts."""
    data, signature = make.signed(make.fields("pending"), SENTINELS["api_secret"])
    header = {"Content-Type": "application/json", "Authorization": "SENTINEL-authorization"}
    calls: list[Callable[[], Any]] = [
        lambda: submit_void.handler(
            make.gateway_event(json.dumps({"order_id": "123", "order_currency": "UAH"}), header), None
        ),
        lambda: receive_webhook.handler(make.webhook_event(data, signature), None),
        lambda: receive_webhook.handler(make.webhook_event(data, b"SENTINEL-forged-signature"), None),
        lambda: receive_webhook.handler(make.webhook_event(*make.signed(b"x", SENTINELS["api_secret"])), None),
        lambda: settle_voids.handler({}, Remaining()),
        lambda: read_voids.handler(make.gateway_event(None, header, pathParameters={"order_id": "123"}), None),
        lambda: read_voids.handler(make.gateway_event(None, header), None),
    ]
    said = [signature.decode()]
    for call in calls:
        scene.wait(61)
        try:
            said.append(json.dumps(call()))
        except Exception as raised:  # noqa: BLE001 every text that leaves is of interest
            said.append(f"{raised!r} {raised}")
    return "\n".join(said[1:]) if "SENTINEL" not in said[0] else "".join(said)


def broken_table(scene: Scene) -> None:
    def fail(name: str, arguments: dict[str, Any]) -> None:
        raise error("InternalServerError", name)

    scene.table.before = fail


def broken_secret(scene: Scene) -> None:
    scene.secrets.out_of_reach("AccessDeniedException")


def malformed_secret(scene: Scene) -> None:
    scene.secrets.stages["AWSCURRENT"] = '{"api_secret":"SENTINEL-half'


def crash(scene: Scene) -> None:
    def fail(name: str, arguments: dict[str, Any]) -> None:
        raise KeyError(f"SENTINEL {arguments}")

    scene.table.before = fail


def fine(scene: Scene) -> None:
    return


@pytest.mark.parametrize("trouble", [fine, broken_table, broken_secret, malformed_secret])
@pytest.mark.parametrize("line", [make.answer(), say.UNKNOWN, say.CREDENTIALS, say.REFUSED])
def test_nothing_secret_leaves(
    scene: Scene, capsys: pytest.CaptureFixture[str], trouble: Callable[[Scene], None], line: Answer
) -> None:
    _, signature = make.signed(make.fields("pending"), SENTINELS["api_secret"])
    scene.provider.answers, scene.provider.views = [line], [make.HELD, make.HELD, make.HELD]
    trouble(scene)
    answers = everything(scene)
    captured = capsys.readouterr()
    stored = json.dumps(list(scene.table.items.values()))
    for text in (answers, captured.out, captured.err, stored):
        assert "SENTINEL" not in text
        assert signature.decode() not in text
    assert captured.out, "the log was captured"


def test_the_text_of_a_crash_stays_inside(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    crash(scene)
    event = make.gateway_event(
        json.dumps({"order_id": "123", "order_currency": "UAH"}), {"Content-Type": "application/json"}
    )
    answer = submit_void.handler(event, None)
    captured = capsys.readouterr()
    assert "SENTINEL" not in json.dumps(answer) + captured.out + captured.err
    assert "KeyError" in captured.out
