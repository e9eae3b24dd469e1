"""An instrument that nobody plays is out of tune: each subject of the benchmarks does each work, and so does each lever."""

import shutil
import sys
from collections.abc import Iterator
from dataclasses import replace

import pytest

from proof.benchmarks import measure, subjects
from proof.benchmarks.__main__ import use_node_of_pypi
from proof.benchmarks.measure import Stubs
from proof.benchmarks.subjects import LEVERS, PEERS, WORKS, Subject

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="the driver reads /proc, as Lambda's system has it"),
    pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl names the authority's file"),
]


@pytest.fixture(scope="module")
def made() -> dict[str, Subject]:
    use_node_of_pypi()
    return subjects.prepare()


@pytest.fixture(scope="module")
def stubs(made: dict[str, Subject]) -> Iterator[Stubs]:
    with measure.stubs() as running:
        yield running


@pytest.mark.parametrize(
    ("name", "work"),
    [
        *(("ours", work) for work in WORKS),
        *(pytest.param(name, work, marks=pytest.mark.proof) for name in PEERS for work in WORKS),
        *(pytest.param(name, "submit", marks=pytest.mark.proof) for name in LEVERS),
    ],
)
def test_a_subject_does_its_work(made: dict[str, Subject], stubs: Stubs, name: str, work: str) -> None:
    side = made[name] if name in made else replace(LEVERS[name](made["ours"]), name=f"ours: {name}")
    stubs.ask("reset")
    with measure.process(side, work, stubs.ports) as running:
        assert running.ask("cold", 1)["cpu"] > 0
        assert len(running.ask("warm", 2)["spent"]) == 2
    counts = stubs.ask("counts")
    assert counts["secrets"] >= 1
    assert counts["table"] >= 3
    assert counts.get("provider", 0) == (3 if work == "submit" else 0), "one void each"
