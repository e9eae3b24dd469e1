"""The measuring itself: which figures there are, in which order subjects are asked, and what their driver reports."""

import os
import ssl
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import trustme

from proof.benchmarks import measure, processes, report, steps, subjects
from proof.benchmarks.__main__ import Kept
from proof.benchmarks.measure import interleaved
from proof.benchmarks.processes import ROLES, Process
from proof.benchmarks.subjects import HEADS, LEVERS, PEERS, SHIPPABLE, Subject

HERE = Path(__file__).parent
COLD = {"cpu": 3e6, "wall": 4e6, "init_cpu": 1e6, "init_wall": 3e6}
WARM = {"spent": [1e6] * measure.BLOCK, "walls": [9e6, 2e6, 3e6], "rss": 2048, "sizes": [5], "calls": {"payments": 40}}
COUNTS = {
    "table": 40, "table bytes": 8_000, "provider": 40, "table wire": 5_000, "writes due": 80, "stored ours": 43_000,
}  # fmt: skip


class Canned:
    """A process that answers at once, and stubs of which the counters stand."""

    next = 0
    ports: dict[str, int]

    def __init__(self, *what: Any, log: str = os.devnull, **_: Any) -> None:
        self.subject, self.ports, self.log = what[0] if what else None, {}, Path(log)

    def ask(self, do: str, _: int | str = 0) -> dict[str, Any]:
        self.log.write_text("a line\n")
        return COUNTS if do in ("counts", "stored", "page", "reset", "drop") else COLD if do == "cold" else WARM

    def end(self) -> str:
        return f"I refs: {1 if self.subject.name == 'ours' else 2},000,000"  # type: ignore[union-attr]


@pytest.fixture
def canned(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    @contextmanager
    def stubs(*_: str, **__: str) -> Iterator[Canned]:
        yield Canned()

    for module, name, stand_in in (
        (processes, "Process", Canned), (measure, "Process", Canned), (steps, "stubs", stubs), (measure, "CACHE", tmp_path),
    ):  # fmt: skip
        monkeypatch.setattr(module, name, stand_in)
    monkeypatch.setattr(time, "sleep", lambda _: None)
    monkeypatch.setattr(subjects, "size", lambda _: (2**20, 2**19))
    monkeypatch.setattr(subjects, "without_bytecode", lambda subject: subject)
    monkeypatch.setattr(steps, "LEVERS", dict.fromkeys(LEVERS, replace))


@pytest.mark.usefixtures("canned")
def test_all_that_is_aimed_at_is_measured_and_kept_at_once(tmp_path: Path) -> None:
    made = {name: Subject(name, HERE) for name in HEADS}
    kept = Kept(tmp_path / "run.json", {"asset": "one"}, afresh=False)
    with ExitStack() as stack:
        wanted = steps.steps(made, stack, "[]", quick=False, valgrind=True)
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
        "submit: warm bytes sent": 200.0,  # not what TLS adds on the wire
        "submit: write units of due": 2.0,
        "item with its index entries, bytes": 1_000.0,
        "submit: calls within the handlers and payments": 1.0,
        "submit: first invoke CPU, ms": 2.0,
        "settle: CPU of a query, µs": 25.0,
        "submit: warm, wall (8/10/200), ms": 3.0,  # the median of a block
    }.items():
        assert set(found[figure]["ours"]) == {value}, figure
    texts = report.texts(report.results({"commit": "0"}, found, levers))
    assert texts["results"].count("xychart") == 1
    assert all(figure in texts["results"] for figure in found)
    assert "a void and its webhook" in texts["cost"], "each figure of the bill is one of a run"


def test_each_round_begins_with_another_subject() -> None:
    asked = count()
    found = interleaved([Subject(name, HERE) for name in "abc"], 3, lambda _: {"place": next(asked)})
    assert found == {"place": {"a": [0, 5, 7], "b": [1, 3, 8], "c": [2, 4, 6]}}


linux = pytest.mark.skipif(sys.platform != "linux", reason="the driver reads /proc, as Lambda's system has it")
HANDLER = """
import json

def handler(event, context):
    print(json.dumps({"order": json.loads(event["body"])["order_id"]}))
    return {"statusCode": STATUS, "headers": {"A": "b"}, "multiValueHeaders": {"C": ["d", "e"]}, "body": "né"}
"""


@linux
def test_the_driver_reports_what_an_invoke_cost_and_wrong_work_ends_the_run(tmp_path: Path) -> None:
    (tmp_path / "submit_void.py").write_text(HANDLER.replace("STATUS", "200"))
    log = tmp_path / "log"
    log.touch()
    ports = dict.fromkeys((*ROLES, "datagrams"), 9)
    process = Process(Subject("ours", tmp_path), "submit", ports, log=str(log))
    cold, warm, profile = process.ask("cold", 1), process.ask("warm", 2), process.ask("profile", 1)
    process.end()
    assert cold["wall"] >= cold["init_wall"] > 0
    assert len(warm["spent"]) == len(warm["walls"]) == 2
    assert warm["sizes"] == [len(b"A: b\r\nC: d\r\nC: e\r\n") + 3] * 2
    assert profile["calls"]["submit_void"] == 1
    assert log.read_text() == "".join(f'{{"order": "order-{number}"}}\n' for number in range(4))
    (tmp_path / "submit_void.py").write_text(HANDLER.replace("STATUS", "409"))
    wrong = Process(Subject("ours", tmp_path), "submit", ports, log=os.devnull)
    with pytest.raises(RuntimeError, match="ours submit answered 409"):
        wrong.ask("cold", 1)
    wrong.end()


@linux
def test_the_stubs_count_keep_and_are_late_as_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = trustme.CA()
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "stub.pem"))
    monkeypatch.setattr(processes, "CACHE", tmp_path)
    trust = ssl.create_default_context()
    authority.configure_trust(trust)
    with processes.stubs("--provider-ms=40") as running:

        def post(role: str, body: bytes, operation: str = "") -> bytes:
            headers = {"X-Amz-Target": f"DynamoDB_20120810.{operation}"} if operation else {}
            request = urllib.request.Request(f"https://127.0.0.1:{running.ports[role]}/", body, headers)
            with urllib.request.urlopen(request, context=trust) as answer:
                return bytes(answer.read())

        began = time.monotonic()
        post("provider", b'{"order_id": "1", "order_currency": "UAH"}')
        assert time.monotonic() - began >= 0.04
        assert post("table", b'{"TableName": "t", "Item": {"pk": {"S": "1"}}}', "PutItem") == b"{}"
        assert b'"1"' in post("table", b'{"TableName": "t", "Key": {"pk": {"S": "1"}}}', "GetItem")
        running.ask("page", '{"Items": []}')
        assert post("table", b'{"TableName": "t"}', "Query") == b'{"Items": []}'
        counts = running.ask("counts")
    assert (counts["provider"], counts["table"], counts["table connections"]) == (1, 3, 3)
    assert (counts["writes table"], counts["reads"]) == (1, 1.0)
    assert counts["table wire"] > counts["table bytes"] > 0, "handshakes and records come on top"
