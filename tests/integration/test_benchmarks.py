"""An instrument that nobody plays is out of tune: each subject of the benchmarks does each work, and so does each lever."""

import shutil
import sys
from collections.abc import Iterator
from dataclasses import replace

import pytest

from proof.benchmarks import deployed, measure, processes, subjects
from proof.benchmarks.__main__ import prepare_imports
from proof.benchmarks.processes import Stubs
from proof.benchmarks.subjects import ALONE, LEVERS, PEERS, WORKS, Subject

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
    with processes.stubs(indexes=deployed.indexes()) as running:
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
    with processes.process(side, work, stubs.ports) as running:
        assert running.ask("cold", 1)["cpu"] > 0
        assert len(running.ask("warm", 2)["spent"]) == 2
    counts = stubs.ask("counts")
    assert counts["secrets"] >= 1
    assert counts["table"] >= 3
    assert counts.get("provider", 0) == (3 if work == "submit" else 0), "one void each"


def test_a_void_with_its_webhook_and_a_read_use_what_the_documents_say(made: dict[str, Subject], stubs: Stubs) -> None:
    found = measure.consumption(made["ours"], (*WORKS, *ALONE), stubs)
    units = {name: values["ours"][0] for name, values in found.items() if "units" in name}
    assert (units["submit: write units"], units["webhook: write units"], units["read: read units"]) == (6, 2, 1)
    assert {name: units[f"submit: write units of {name}"] for name in ("table", "due", "settled")} == {
        "table": 3, "due": 2, "settled": 1
    }  # fmt: skip
    assert found["item with its index entries, bytes"]["ours"][0] < 2_000
