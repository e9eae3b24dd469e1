"""The measuring itself: which figures there are, in which order subjects are asked, and what their driver reports."""

import json
import os
import re
import shutil
import sys
import time
from contextlib import ExitStack, nullcontext
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from proof.benchmarks import measure, processes, report, subjects
from proof.benchmarks.__main__ import Kept
from proof.benchmarks.subjects import HEADS, LEVERS, PEERS, SHIPPABLE, Subject
from proof.commit import ROOT

HERE, FUNCTIONS = Path(__file__).parent, ROOT / "functions"
WALLS, CALLS = {"walls": [9e6, 2e6, 3e6]}, {"calls": {"payments": 40}}
WARM = {"status": 200, "spent": [1e6] * measure.BLOCK, "rss": 2048, "sizes": [5], **WALLS, **CALLS}
COUNTS = {"table": 40, "table bytes": 8_000, "provider": 40, "table wire": 5_000, "writes due": 80, "ours": 43_000}


class Canned(nullcontext[Any]):
    """A process that answers at once, and stubs of which the counters stand."""

    next, ports, first = 0, None, WARM | {"init_cpu": 1e6, "init_wall": 3e6}

    def __init__(self, *_: Any, log: str = os.devnull, **__: Any) -> None:
        super().__init__(self)
        self.log = Path(log)

    def ask(self, _: str, **__: str) -> dict[str, Any]:
        return COUNTS

    def do(self, *_: Any) -> dict[str, Any]:
        self.log.write_text("a line\n")
        return WARM

    def end(self) -> str:
        return "I refs: 1,000,000"


@pytest.fixture
def canned(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for module, name, stand_in in (
        (measure, "Driven", Canned), (measure, "Stubs", Canned), (subjects, "CACHE", tmp_path), (time, "sleep", lambda _: None),
        (subjects, "size", lambda _: (2**20, 2**19)), (subjects, "without_bytecode", lambda subject: subject),
        (measure, "LEVERS", dict.fromkeys(LEVERS, replace)),
        (report, "DOCUMENT", tmp_path / "page"), (report, "RESULTS", tmp_path / "results"),
    ):  # fmt: skip
        monkeypatch.setattr(module, name, stand_in)


@pytest.mark.usefixtures("canned")
def test_all_that_is_aimed_at_is_measured_and_kept_at_once_and_written_between_the_markers(tmp_path: Path) -> None:
    made = {name: Subject(name, HERE) for name in HEADS}
    kept = Kept(tmp_path / "run.json", {"asset": "one"}, afresh=False)
    with ExitStack() as stack:
        wanted = measure.steps(made, stack, "[]", quick=False, valgrind=True)
        for name, take in wanted.items():
            kept.add(name, take())
    again = Kept(tmp_path / "run.json", {"asset": "one"}, afresh=False)
    assert list(again.steps) == list(wanted)
    assert Kept(tmp_path / "run.json", {"asset": "another"}, afresh=False).steps == {}
    found, levers = again.found(levers=False), again.found(levers=True)
    assert set(report.TARGETS) <= set(found)
    for figure, values in found.items():
        assert set(values) in ({"ours", *PEERS}, {"ours", *SHIPPABLE}, {"ours"}), figure
    assert all(set(values) == {"ours", *(f"ours: {what}" for what in LEVERS)} for values in levers.values())
    for figure, value in {
        "submit: warm bytes sent": 200.0, "submit: write units of due": 2.0, "item with its index entries, bytes": 1_000.0,
        "submit: calls within the handlers and payments": 1.0, "submit: cold CPU, ms": 2.0,
        "settle: CPU of a query, µs": 25.0, "submit: warm, wall (8/10/200), ms": 3.0,  # not of TLS; the median of a block
    }.items():  # fmt: skip
        assert set(found[figure]["ours"]) == {value}, figure
    (begin, end), (bill, paid) = report.MARKERS.values()
    report.DOCUMENT.write_text(f"before\n{begin}\nold\n{end}\nafter {end}\n{bill}\nold\n{paid}\nlast\n")
    results = report.results({"commit": "0123456789"}, found, levers)
    report.keep(results)
    assert json.loads(report.RESULTS.read_text()) == results
    text = report.DOCUMENT.read_text()
    assert text.startswith(f"before\n{begin}\n\nTaken with commit 0123456789.")
    assert f"{end}\nafter {end}\n{bill}\n\nPrices" in text
    assert text.endswith(f"{paid}\nlast\n")
    assert "old\n" not in text
    assert all(f"| {figure} |" in text for figure in (*found, *levers, "**a void and its webhook**"))


def test_each_round_begins_with_another_subject() -> None:
    asked = count()
    found = measure.interleaved([Subject(name, HERE) for name in "abc"], 3, lambda _: {"place": next(asked)})
    assert found == {"place": {"a": [0, 5, 7], "b": [1, 3, 8], "c": [2, 4, 6]}}


HANDLER = """
import json

def handler(event, context):
    order = json.loads(event["body"])["order_id"]
    print(json.dumps({"order": order}))
    return {"statusCode": 409 if order == "order-4" else 200, "headers": {"A": "b"}, "multiValueHeaders": {"C": ["d", "e"]}, "body": "né"}
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the driver reads /proc, as Lambda's system has it")
def test_the_driver_reports_what_an_invoke_cost_and_wrong_work_ends_the_run(tmp_path: Path) -> None:
    (tmp_path / "submit_void.py").write_text(HANDLER)
    log = tmp_path / "log"
    log.touch()
    ports = dict.fromkeys((*processes.ROLES, "datagrams"), 9)
    with processes.Driven(Subject("ours", tmp_path), "submit", ports, log=str(log)) as process:
        cold, warm, profile = process.first, process.do("warm", 2), process.do("profile", 1)
        with pytest.raises(RuntimeError, match="ours submit answered 409"):
            process.do("warm")
    assert min(cold["init_wall"], cold["init_cpu"], cold["walls"][0]) > 0
    assert len(warm["spent"]) == len(warm["walls"]) == 2
    assert warm["sizes"] == [len(b"A: b\r\nC: d\r\nC: e\r\n") + 3] * 2
    assert profile["calls"]["submit_void"] == 1
    assert log.read_text() == "".join(f'{{"order": "order-{number}"}}\n' for number in range(5))


def text(folder: Path) -> str:
    return "\n".join(path.read_text() for path in sorted([*folder.glob("*.py"), *folder.glob("payments/*.py")]))


def test_a_copy_differs_in_what_is_taken_out_and_is_compiled_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subjects, "CACHE", tmp_path)
    asset = shutil.copytree(FUNCTIONS, tmp_path / "asset")
    copy = subjects.with_collector(Subject("ours", asset)).directory
    changed = re.sub(r"gc\.(disable|freeze|enable)\(\)", "gc.isenabled()", text(FUNCTIONS))
    assert changed == text(copy) != text(asset) == text(FUNCTIONS)
    assert [path.name for path in copy.rglob("*.pyc") if path.name.startswith("cold_start.")]
    plain = subjects.without_bytecode(Subject("ours", copy)).directory
    assert not list(plain.rglob("__pycache__"))
    assert text(plain) == text(copy)


def test_the_limits_of_our_sources_are_found() -> None:
    # All that a slow instrument would run into: those of the SDK, of each handler and of the provider's client.
    assert len(subjects.LIMIT.findall(text(FUNCTIONS))) >= 8
    assert not re.findall(r"\b[A-Z_]*SECONDS *(?::|=)(?! \d)", text(FUNCTIONS)), "a limit is a plain number"
