"""An instrument that nobody plays is out of tune: each subject of the benchmarks does its work, and so does each lever."""

import shutil
import sys
from collections.abc import Iterator
from dataclasses import replace

import pytest

from local.assembly import template
from proof.benchmarks import deployed, measure, subjects
from proof.benchmarks.__main__ import prepare_imports
from proof.benchmarks.processes import Driven, Stubs
from proof.benchmarks.subjects import ALONE, LEVERS, PEERS, WORKS, Subject
from tests import once

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="the driver reads /proc, as Lambda's system has it"),
    pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl names the authority's file"),
]


@pytest.fixture(scope="module")
def made() -> dict[str, Subject]:
    prepare_imports()
    return subjects.prepare()


@pytest.fixture(scope="module")
def stubs(made: dict[str, Subject]) -> Iterator[Stubs]:
    indexes = deployed.indexes(template(once.synthesised("local")))
    with Stubs("--provider-ms=40", indexes=indexes) as running:
        yield running


@pytest.mark.parametrize(
    ("name", "work"),
    [
        *((name, "submit") for name in (*PEERS, *LEVERS)),
        *(pytest.param(name, "webhook", marks=pytest.mark.proof) for name in PEERS),
    ],
)
def test_a_subject_does_its_work(made: dict[str, Subject], stubs: Stubs, name: str, work: str) -> None:
    side = made[name] if name in made else replace(LEVERS[name](made["ours"]), name=f"ours: {name}")
    stubs.ask("reset")
    with Driven(side, work, stubs.ports) as running:
        assert running.first["init_cpu"] > 0
        walls = running.do("warm", 2)["walls"]
    counts = stubs.ask("counts")
    assert counts["secrets"] >= 1
    assert counts["table"] >= 3
    assert counts.get("provider", 0) == (3 if work == "submit" else 0), "one void each"
    assert work != "submit" or min(walls) >= 40e6, "so late is the provider"


def test_a_void_with_its_webhook_and_a_read_use_what_the_documents_say(
    made: dict[str, Subject], stubs: Stubs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measure, "COUNTED", 5)
    found = {
        name: values["ours"][0] for name, values in measure.consumption(made["ours"], (*WORKS, *ALONE), stubs).items()
    }
    assert [found[f"{work} units"] for work in ("submit: write", "webhook: write", "read: read")] == [5, 1, 1]
    assert [found[f"submit: write units of {name}"] for name in ("table", "due", "settled")] == [2, 2, 1]
    assert found["submit: warm bytes sent"] > found["submit: to the provider with TLS, bytes"] > 1_000
    assert found["item with its index entries, bytes"] < 1_250
