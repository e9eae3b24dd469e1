"""The subjects: what is changed in a copy of the asset, and the events that all of them get."""

import json
import re
from pathlib import Path
from urllib.parse import parse_qs

import pytest

from payments.signatures import is_genuine
from proof.benchmarks import events, subjects
from proof.benchmarks.stub import PROJECT
from proof.benchmarks.subjects import LIMIT, Subject
from proof.commit import ROOT

FUNCTIONS = ROOT / "functions"


def text(folder: Path) -> str:
    return "\n".join(path.read_text() for path in sorted([*folder.glob("*.py"), *folder.glob("payments/*.py")]))


def test_a_copy_differs_in_what_is_taken_out_and_is_compiled_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subjects, "CACHE", tmp_path)
    copy = subjects.with_collector(Subject("ours", FUNCTIONS)).directory
    assert (
        re.sub(r"gc\.(disable|freeze|enable)\(\)", "gc.isenabled()", text(FUNCTIONS)) == text(copy) != text(FUNCTIONS)
    )
    assert [path.name for path in copy.rglob("*.pyc") if path.name.startswith("cold_start.")]
    plain = subjects.without_bytecode(Subject("ours", copy)).directory
    assert not list(plain.rglob("__pycache__"))
    assert text(plain) == text(copy)


def test_the_limits_of_our_sources_are_found() -> None:
    # All that a slow instrument would run into: those of the SDK, of each handler and of the provider's client.
    assert len(LIMIT.findall(text(FUNCTIONS))) >= 8
    assert not re.findall(r"\b[A-Z_]*SECONDS *(?::|=)(?! \d)", text(FUNCTIONS)), "a limit is a plain number"


def test_the_webhook_is_signed_as_the_provider_signs() -> None:
    form = parse_qs(events.webhook("order-1")["body"])
    assert is_genuine(PROJECT.api_secret, form["data"][0].encode(), form["signature"][0].encode())


@pytest.mark.parametrize(("work", "different"), [("submit", 3), ("webhook", 3), ("read", 1)])
def test_every_event_is_about_another_order_but_the_read(work: str, different: int) -> None:
    assert len({json.dumps(event) for event in events.events(work, 5, 3)}) == different


def test_a_size_counts_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "text").write_text("x" * 10_000)
    unzipped, zipped = subjects.size(tmp_path)
    assert unzipped == 10_000
    assert 0 < zipped < 1_000
