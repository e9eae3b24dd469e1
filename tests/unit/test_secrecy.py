"""No secret and no signature in a log line, an answer, an exception or a stored item, whatever goes wrong."""

import json
from collections.abc import Callable
from functools import partial
from typing import Any
from unittest.mock import Mock

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
from tests.fakes.table import unzipped

SENTINELS = PUBLISHED | {name: f"SENTINEL-{name}" for name in ("api_key", "api_secret", "endpoints_key")}


@pytest.fixture
def scene(scene: Scene) -> Scene:
    """Credentials that are found wherever they are written."""
    scene.secrets.stages["AWSCURRENT"] = json.dumps(SENTINELS)
    return scene


VOID = json.dumps({"order_id": "123", "order_currency": "UAH"})
HEADERS = {"Content-Type": "application/json", "Authorization": "SENTINEL-authorization"}


def everything(scene: Scene) -> str:
    """Each function once, whatever it says: answers and exception texts."""
    data, signature = make.signed(make.fields("pending"), SENTINELS["api_secret"])
    assert b"SENTINEL" not in signature
    sent = [(data, signature), (data, b"SENTINEL-forged-signature"), make.signed(b"x", SENTINELS["api_secret"])]
    calls: list[Callable[[], Any]] = [
        lambda: submit_void.handler(make.gateway_event(VOID, HEADERS), None),
        *(partial(receive_webhook.handler, make.webhook_event(*each), None) for each in sent),
        lambda: settle_voids.handler({}, make.time_left()),
        lambda: read_voids.handler(make.gateway_event(None, HEADERS, pathParameters={"order_id": "123"}), None),
        lambda: read_voids.handler(make.gateway_event(None, HEADERS), None),
    ]
    said = list[str]()
    for call in calls:
        scene.wait(61)
        try:
            said.append(json.dumps(call()))
        except Exception as raised:  # noqa: BLE001 every text that leaves is of interest
            said.append(f"{raised!r} {raised}")
    return "\n".join(said)


TROUBLES: dict[str, Callable[[Scene], None]] = {
    "none": lambda _: None,
    "no table": lambda scene: scene.table.fail(),
    "no secret": lambda scene: scene.secrets.out_of_reach("AccessDeniedException"),
    "half a secret": lambda scene: scene.secrets.stages.update(AWSCURRENT='{"api_secret":"SENTINEL-half'),
}


@pytest.mark.parametrize("trouble", TROUBLES)
@pytest.mark.parametrize("line", [make.answer(), say.UNKNOWN, say.CREDENTIALS, say.REFUSED])
def test_nothing_secret_leaves(scene: Scene, capsys: pytest.CaptureFixture[str], trouble: str, line: Answer) -> None:
    _, signature = make.signed(make.fields("pending"), SENTINELS["api_secret"])
    scene.provider.answers, scene.provider.views = [line], [make.HELD, make.HELD, make.HELD]
    TROUBLES[trouble](scene)
    answers, captured = everything(scene), capsys.readouterr()
    for text in (answers, captured.out, captured.err, json.dumps(list(scene.table.items.values()), default=unzipped)):
        assert "SENTINEL" not in text
        assert signature.decode() not in text
    assert captured.out, "the log was captured"


def test_the_text_of_a_crash_stays_inside(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    scene.table.before = Mock(side_effect=KeyError(f"SENTINEL {VOID}"))
    answer = submit_void.handler(make.gateway_event(VOID, HEADERS), None)
    captured = capsys.readouterr()
    assert "SENTINEL" not in json.dumps(answer) + captured.out + captured.err
    assert "KeyError" in captured.out
