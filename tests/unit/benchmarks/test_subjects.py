"""The subjects: what is taken out of a copy of the asset, and the events that all of them get."""

import base64
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import parse_qs

import pytest

from benchmarks import subjects
from benchmarks.stub import SECRET
from benchmarks.subjects import Subject

FUNCTIONS = Path(__file__).resolve().parents[3] / "functions"


@pytest.fixture
def asset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Subject:
    """Our sources as a subject, whose copies go to a folder of this test."""
    monkeypatch.setattr(subjects, "CACHE", tmp_path)
    monkeypatch.setattr(subjects, "compile_all", lambda _: None)
    return Subject("ours", FUNCTIONS)


def test_the_collector_is_taken_out_where_it_is(asset: Subject) -> None:
    copy = subjects.with_collector(asset).directory
    assert not [path for path in copy.glob("*.py") if "gc.disable()" in path.read_text()]
    assert [path for path in FUNCTIONS.glob("*.py") if "gc.disable()" in path.read_text()]


def test_an_unhurried_copy_waits_a_hundred_times_as_long(asset: Subject) -> None:
    def limits(folder: Path) -> list[float]:
        texts = [path.read_text() for path in sorted([*folder.glob("*.py"), *folder.glob("payments/*.py")])]
        return [float(number) for text in texts for _, number in subjects.LIMIT.findall(text)]

    copy = subjects.unhurried(asset)
    assert copy.name == asset.name
    assert len(limits(FUNCTIONS)) >= 5, "the SDK's two, and our own"
    assert limits(copy.directory) == [100 * limit for limit in limits(FUNCTIONS)]


def test_a_copy_without_byte_code_keeps_the_sources(asset: Subject) -> None:
    copy = subjects.without_bytecode(asset).directory
    assert not list(copy.rglob("__pycache__"))
    assert {path.name for path in copy.glob("*.py")} == {path.name for path in FUNCTIONS.glob("*.py")}


NOBODY = {"PATH": os.environ["PATH"], "AWS_ACCESS_KEY_ID": "none", "AWS_SECRET_ACCESS_KEY": "none"}
CLIENTS = """
import boto3
from boto3.session import Session

print(boto3.__file__)
for make in (boto3.client, Session().client, boto3.session.Session().client):
    print(type(make("dynamodb", region_name="eu-central-1")).__module__)
"""


@pytest.mark.usefixtures("asset")
def test_without_boto3_the_same_sources_get_their_clients_of_botocore(tmp_path: Path) -> None:
    made = Subject("made", tmp_path / "made")
    for package in ("boto3", "s3transfer"):
        (made.directory / package).mkdir(parents=True)
    (made.directory / "clients.py").write_text(CLIENTS)
    assert subjects.makes_clients_by_boto3(made)
    copy = subjects.without_boto3(made).directory
    assert not (copy / "s3transfer").exists()
    run = subprocess.run(
        [sys.executable, "clients.py"], cwd=copy, env=NOBODY, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    where, *made_by = run.stdout.split()
    assert Path(where).parent == copy / "boto3"
    assert made_by == ["botocore.client"] * 3


def test_the_webhook_is_signed_as_the_provider_signs() -> None:
    form = parse_qs(subjects.webhook_event("order-1")["body"])
    secret = SECRET["api_secret"].encode()
    proof = base64.urlsafe_b64encode(hashlib.sha1(secret + form["data"][0].encode() + secret).digest()).decode()
    assert form["signature"] == [proof]
    assert json.loads(base64.urlsafe_b64decode(form["data"][0]))["order_id"] == "order-1"


@pytest.mark.parametrize("work", ["submit", "webhook", "read", "settle"])
def test_every_event_is_about_another_order(work: str) -> None:
    made = subjects.events(work, 5, 3)
    assert len(made) == 3
    if work != "settle":
        assert len({json.dumps(event) for event in made}) == 3


def test_a_size_counts_what_is_there_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subjects, "CACHE", tmp_path / "cache")
    subjects.CACHE.mkdir()
    (tmp_path / "asset" / "deep").mkdir(parents=True)
    (tmp_path / "asset" / "deep" / "text").write_text("x" * 10_000)
    unzipped, zipped = subjects.size(tmp_path / "asset")
    assert unzipped == 10_000
    assert 0 < zipped < 1_000
    assert list(subjects.CACHE.iterdir()) == []
