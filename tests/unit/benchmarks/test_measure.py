"""The measuring itself: which figures there are, in which order subjects are asked, and what their driver reports."""

import os
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from benchmarks import measure, report
from benchmarks.measure import Process, Stubs
from benchmarks.subjects import PEERS, SHIPPABLE, Subject

HERE = Path(__file__).parent
COLD = {"cpu": 3e6, "init_cpu": 2e6, "wall": 4e6, "first_wall": 1e6, "status": 200}
WARM = {"spent": [1e6] * measure.BLOCK, "walls": [9e6, 2e6, 3e6], "rss": 2048, "status": 200}


class Canned:
    """A process that answers at once."""

    asked: list[str]

    def __init__(self, subject: Subject, work: str, ports: dict[str, int], **_: Any) -> None:
        self.subject = subject

    def ask(self, do: str, count: int) -> dict[str, Any]:
        Canned.asked.append(self.subject.name)
        return COLD if do == "cold" else WARM

    def end(self) -> str:
        return ""


class Silence:
    """Stubs of which nothing is asked."""

    ports: dict[str, int]

    def __init__(self) -> None:
        self.ports = {}

    def ask(self, word: str) -> dict[str, int]:
        return {"table": 2, "table bytes": 100, "table connections": 1, "table wire": 5_000}


@pytest.fixture
def canned(monkeypatch: pytest.MonkeyPatch) -> None:
    Canned.asked = []
    monkeypatch.setattr(measure, "Process", Canned)
    monkeypatch.setattr(measure, "count_instructions", lambda *_, **__: 1_000_000)
    monkeypatch.setattr(measure, "unhurried", lambda subject: subject)
    monkeypatch.setattr(measure, "say", lambda _: None)
    monkeypatch.setattr(time, "sleep", lambda _: None)


def sides() -> dict[str, Subject]:
    names = ["ours", *PEERS, *(f"{name}-plain" for name in SHIPPABLE)]
    return {name: Subject(name, HERE) for name in names}


@pytest.mark.usefixtures("canned")
def test_what_is_aimed_at_is_measured() -> None:
    stubs: Any = Silence()
    found = measure.everything(sides(), stubs, dict.fromkeys(measure.FAR, stubs), quick=True, valgrind=True)
    sizes = {"package unzipped, MiB", "package zipped, MiB"}  # added where the directories are known
    assert set(report.TARGETS) - sizes <= set(found)
    for figure, values in found.items():
        assert set(values) in ({"ours", *PEERS}, {"ours", *SHIPPABLE}), figure
    assert found["submit: warm bytes sent"]["ours"] == [100 / measure.BLOCK], "not what TLS adds on the wire"
    assert found[measure.far_away("submit", "8/10/200")]["ours"] == [3.0] * 4, "the median of a block"


@pytest.mark.usefixtures("canned")
def test_each_round_begins_with_another_subject() -> None:
    stubs: Any = Silence()
    three = [Subject(name, HERE) for name in "abc"]
    measure.late(measure.samples(), three, "submit", stubs, 3)
    assert "".join(Canned.asked) == "abcbcacab"


def test_a_quantile_is_the_nearest_rank() -> None:
    values = [float(value) for value in range(100, 0, -1)]
    assert measure.quantile(values, 0.5) == 51
    assert measure.quantile(values, 0.99) == 100
    assert measure.quantile([7.0], 0.99) == 7.0


linux = pytest.mark.skipif(sys.platform != "linux", reason="the driver reads /proc, as Lambda's system has it")
HANDLER = """
import json

def handler(event, context):
    print(json.dumps({"order": json.loads(event["body"])["order_id"]}))
    return {"statusCode": STATUS, "headers": {"A": "b"}, "multiValueHeaders": {"C": ["d", "e"]}, "body": "né"}
"""


def started(tmp_path: Path, status: int, log: str) -> Process:
    (tmp_path / "submit.py").write_text(HANDLER.replace("STATUS", str(status)))
    ports = dict.fromkeys(("table", "secrets", "provider", "datagrams"), 9)
    return Process(Subject("peer", tmp_path), "submit", ports, log=log)


@linux
def test_the_driver_reports_what_an_invoke_cost(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.touch()
    process = started(tmp_path, 200, str(log))
    try:
        cold = process.ask("cold", 1)
        warm = process.ask("warm", 2)
    finally:
        process.end()
    assert cold["wall"] >= cold["first_wall"] > 0
    assert len(warm["spent"]) == len(warm["walls"]) == 2
    assert warm["sizes"] == [len(b"A: b\r\nC: d\r\nC: e\r\n") + 3] * 2
    assert log.read_text() == "".join(f'{{"order": "order-{number}"}}\n' for number in range(3))


@linux
def test_wrong_work_ends_the_run(tmp_path: Path) -> None:
    process = started(tmp_path, 409, os.devnull)
    try:
        with pytest.raises(RuntimeError, match="peer submit answered 409"):
            process.ask("cold", 1)
    finally:
        process.end()


@linux
def test_the_stubs_count_and_are_late_as_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import ssl
    import time
    import urllib.request

    import trustme

    authority = trustme.CA()
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "stub.pem"))
    monkeypatch.setattr(measure, "CACHE", tmp_path)
    trust = ssl.create_default_context()
    authority.configure_trust(trust)
    with measure.stubs("--provider-ms=40", '--reads={"GetItem": "found"}') as running:

        def post(role: str, body: bytes, headers: dict[str, str]) -> bytes:
            request = urllib.request.Request(f"https://127.0.0.1:{running.ports[role]}/", body, headers)
            with urllib.request.urlopen(request, context=trust) as answer:
                return bytes(answer.read())

        began = time.monotonic()
        post("provider", b'{"order_id": "1", "order_currency": "UAH"}', {})
        assert time.monotonic() - began >= 0.04
        assert post("table", b"{}", {"X-Amz-Target": "DynamoDB_20120810.PutItem"}) == b"{}"
        assert post("table", b"{}", {"X-Amz-Target": "DynamoDB_20120810.GetItem"}) == b"found"
        counts = asked_until(running, "table wire")
    assert counts["provider"] == 1
    assert counts["table"] == counts["table connections"] == 2
    assert counts["table wire"] > counts["table bytes"] > 0, "handshakes and records come on top"


def asked_until(running: Stubs, name: str) -> dict[str, int]:
    """The answer is out before it is counted what came in."""
    for _ in range(100):
        if name in (counts := running.ask("counts")):
            return counts
    raise AssertionError(f"{name} was never counted")
