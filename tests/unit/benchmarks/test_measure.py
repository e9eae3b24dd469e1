"""The measuring itself: which figures there are, in which order subjects are asked, and what their driver reports."""

import os
import ssl
import sys
import time
import urllib.request
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trustme

from proof.benchmarks import measure, report, steps, subjects
from proof.benchmarks.__main__ import Kept
from proof.benchmarks.measure import Process
from proof.benchmarks.subjects import HEADS, LEVERS, PEERS, SHIPPABLE, Subject

HERE = Path(__file__).parent
COLD = {"cpu": 3e6, "wall": 4e6, "first_wall": 1e6, "status": 200}
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
        return "I refs: 2,000,000" if Canned.asked[-1] != "ours" else "I refs: 1,000,000"


class Silence:
    """Stubs of which nothing is asked."""

    ports: dict[str, int]

    def __init__(self, *_: str) -> None:
        self.ports = {}

    def ask(self, word: str) -> dict[str, int]:
        return {"table": 2, "table bytes": 100, "table connections": 1, "provider": 4, "table wire": 5_000}


@pytest.fixture
def canned(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    @contextmanager
    def stubs(*options: str) -> Any:
        yield Silence()

    Canned.asked = []
    for name, stand_in in {"Process": Canned, "stubs": stubs, "say": lambda _: None}.items():
        monkeypatch.setattr(measure, name, stand_in)
    monkeypatch.setattr(time, "sleep", lambda _: None)
    monkeypatch.setattr(subjects, "size", lambda _: (2**20, 2**19))
    monkeypatch.setattr(subjects, "without_bytecode", lambda subject: subject)
    monkeypatch.setattr(steps, "LEVERS", dict.fromkeys(LEVERS, replace))


@pytest.mark.usefixtures("canned")
def test_all_that_is_aimed_at_is_measured_and_kept_at_once(tmp_path: Path) -> None:
    made = {name: Subject(name, HERE) for name in HEADS}
    kept = Kept(tmp_path / "run.json", {"asset": "one"}, afresh=False)
    with ExitStack() as stack:
        wanted = steps.steps(made, stack, quick=False, valgrind=True)
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
    assert found["submit: warm bytes sent"]["ours"] == [100 / measure.BLOCK], "not what TLS adds on the wire"
    assert found["submit: warm, wall (8/10/200), ms"]["ours"] == [3.0] * 20, "the median of a block"
    assert found["settle: CPU of a query, µs"]["ours"] == [250.0] * 10
    text = report.text(report.results({"commit": "0"}, found, levers))
    assert text.count("xychart") == 1
    assert all(figure in text for figure in found)


@pytest.mark.usefixtures("canned")
def test_each_round_begins_with_another_subject() -> None:
    stubs: Any = Silence()
    measure.first([Subject(name, HERE) for name in "abc"], "submit", "far", stubs, 3)
    assert "".join(Canned.asked) == "abcbcacab"


linux = pytest.mark.skipif(sys.platform != "linux", reason="the driver reads /proc, as Lambda's system has it")
HANDLER = """
import json

def handler(event, context):
    print(json.dumps({"order": json.loads(event["body"])["order_id"]}))
    return {"statusCode": STATUS, "headers": {"A": "b"}, "multiValueHeaders": {"C": ["d", "e"]}, "body": "né"}
"""


@linux
def test_the_driver_reports_what_an_invoke_cost_and_wrong_work_ends_the_run(tmp_path: Path) -> None:
    (tmp_path / "submit.py").write_text(HANDLER.replace("STATUS", "200"))
    log = tmp_path / "log"
    log.touch()
    ports = dict.fromkeys(("table", "secrets", "provider", "datagrams"), 9)
    process = Process(Subject("peer", tmp_path), "submit", ports, log=str(log))
    cold, warm = process.ask("cold", 1), process.ask("warm", 2)
    process.end()
    assert cold["wall"] >= cold["first_wall"] > 0
    assert len(warm["spent"]) == len(warm["walls"]) == 2
    assert warm["sizes"] == [len(b"A: b\r\nC: d\r\nC: e\r\n") + 3] * 2
    assert log.read_text() == "".join(f'{{"order": "order-{number}"}}\n' for number in range(3))
    (tmp_path / "submit.py").write_text(HANDLER.replace("STATUS", "409"))
    wrong = Process(Subject("peer", tmp_path), "submit", ports, log=os.devnull)
    with pytest.raises(RuntimeError, match="peer submit answered 409"):
        wrong.ask("cold", 1)
    wrong.end()


@linux
def test_the_stubs_count_and_are_late_as_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
        # The answer is out before it is counted what came in.
        counts = next(each for _ in range(100) if "table wire" in (each := running.ask("counts")))
    assert counts["provider"] == 1
    assert counts["table"] == counts["table connections"] == 2
    assert counts["table wire"] > counts["table bytes"] > 0, "handshakes and records come on top"
