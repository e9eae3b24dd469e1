"""What every unit test stands on: clean telemetry, and the functions on systems in memory."""

import json
import os
import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from openapi_schema_validator import OAS30Validator

if TYPE_CHECKING:
    from tests.fakes.account import Account, Api
    from tests.fakes.scene import Scene

Counted = Callable[[], dict[str, float]]
Logged = Callable[[], list[dict[str, Any]]]
CONTRACT = json.loads((Path(__file__).parents[2] / "docs" / "openapi.json").read_text("utf-8"))
FITS = {name: OAS30Validator(CONTRACT | {"$ref": f"#/components/schemas/{name}"}) for name in ("Void", "Problem")}


class Said(NamedTuple):
    """What a handler answered, read."""

    status: int
    headers: dict[str, str]
    document: dict[str, Any]
    problem: str
    """The problem's name; "" for a record, a list or an empty answer."""


def breaches(document: dict[str, Any]) -> list[str]:
    """How a problem, a record or those of a list break the contract."""
    schema, documents = FITS["Problem" if "type" in document else "Void"], document.get("voids", [document])
    return [error.message for each in documents if each for error in schema.iter_errors(each)]


def said(answer: dict[str, Any]) -> Said:
    """Read an answer, and see that a problem is one by its type, its status and its request."""
    assert answer["headers"]["Cache-Control"] == "no-store"
    document: dict[str, Any] = json.loads(answer["body"] or "{}")
    assert breaches(document) == []
    is_problem = answer["headers"].get("Content-Type") == "application/problem+json"
    assert is_problem is (answer["statusCode"] >= 400)
    if is_problem:
        assert (document["status"], document["request_id"]) == (answer["statusCode"], "request-1")
    name = document["type"].removeprefix("urn:void-service:problem:") if is_problem else ""
    return Said(answer["statusCode"], answer["headers"], document, name)


def plain(names: Iterable[str]) -> list[str]:
    """The names of rows so that a second run in one process, as of mutmut, finds each again: pytest escapes escapes."""
    return ["".join(each if " " <= each <= "~" and each != "\\" else "?" for each in name) for name in names]


@pytest.fixture
def draw() -> random.Random:
    """Chance, whose seed a test that fails prints; SEED=… replays it."""
    seed = os.environ.get("SEED") or str(random.SystemRandom().randint(0, 10**9))
    print(f"SEED={seed}")
    return random.Random(seed)


@pytest.fixture(autouse=True)
def telemetry_of_this_test() -> None:
    """Logs go to the stdout that `capsys` reads; no counter of another test is left."""
    import telemetry

    telemetry.metrics.clear_metrics()
    # Whatever stdout is at the moment of writing: pytest exchanges it between tests and phases.
    now = SimpleNamespace(write=lambda text: print(text, end=""), flush=lambda: None)
    telemetry.logger.registered_handler.stream = now  # type: ignore[attr-defined]  # it is a StreamHandler


@pytest.fixture
def counted(capsys: pytest.CaptureFixture[str]) -> Counted:
    """counted() -> the metrics of the lines that were written since the last time, each with its sum."""

    def read() -> dict[str, float]:
        sums = Counter[str]()
        for line in capsys.readouterr().out.splitlines():
            written = json.loads(line)
            for directive in written.get("_aws", {}).get("CloudWatchMetrics", ()):
                for metric in directive["Metrics"]:
                    sums[metric["Name"]] += sum(written[metric["Name"]])
        return dict(sums)

    return read


@pytest.fixture
def logged(capsys: pytest.CaptureFixture[str]) -> Logged:
    """logged() -> the lines of the log, without the metrics, that were written since the last time."""
    return lambda: [line for line in map(json.loads, capsys.readouterr().out.splitlines()) if "message" in line]


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> "Scene":
    """One order of which nothing is known, and every function on it."""
    from tests.fakes.scene import Scene

    scene = Scene()
    for module, name, made in (
        ("submit_void", "systems_that_send", lambda: scene.systems),
        *((module, "systems", lambda: scene.systems) for module in ("decide", "read_voids", "settle_voids")),
        ("settle_voids", "now", lambda: scene.at),
        ("receive_webhook", "storage", lambda: scene.storage),
    ):
        monkeypatch.setattr(f"{module}.{name}", made)
    return scene


@pytest.fixture
def account() -> "Iterator[Account]":
    """An AWS account that answers what it was told. Imported here: boto3 and ops are for those who ask."""
    from tests.fakes.account import Account

    account = Account()
    yield account
    account.close()


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> "Api":
    """The API in this account, in memory."""
    from tests.fakes.account import Api

    api = Api()
    monkeypatch.setattr("acceptance.wire.send", api.send)
    return api
