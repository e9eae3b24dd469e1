"""`make acceptance` against the local run: every provider row is confirmed, and contradicted as soon as the provider differs.

What it makes is taken back, also after Ctrl-C and after it was killed; nothing that it writes holds a secret.
"""

import json
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from play.words import DIFFERENCES
from local.service import CREDENTIALS, Service
from ops.acceptance import __main__ as command
from ops.acceptance.provider_rows import PROVIDER_ROWS
from ops.acceptance.undo import MARK
from tests.integration.client import eventually

ROOT = Path(__file__).resolve().parents[2]

type Rows = dict[str, Any]
type Accept = Callable[..., tuple[int, Rows]]


@pytest.fixture
def accept(service: Service, tmp_path: Path) -> Accept:
    """accept("--only", "provider-fee") -> exit code, and the rows of the report by their id."""

    def run(*arguments: str) -> tuple[int, Rows]:
        port = str(urlsplit(service.url).port)
        code = command.main(["--port", port, "--out", str(tmp_path), "--again", *arguments])
        report = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
        return code, {row["id"]: row for row in report["rows"]}

    return run


@pytest.fixture
def differing(sandbox: Callable[..., Any]) -> Iterator[Callable[[str], None]]:
    yield lambda name: sandbox("PUT", "/settings", {"differs": [name]})
    sandbox("PUT", "/settings", {"differs": [], "listening": True})


def denied(service: Service) -> list[str]:
    """The roles of functions from which an acceptance has taken rights."""
    iam = service.client("iam")
    roles = [role["RoleName"] for role in iam.list_roles()["Roles"] if "Functions" in role["RoleName"]]
    return [role for role in roles if MARK in iam.list_role_policies(RoleName=role)["PolicyNames"]]


# What it says


def test_everything_is_confirmed_or_out_of_reach_here_and_nothing_is_left(
    accept: Accept, service: Service, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, rows = accept("--allow-second-void")
    provider = {name: row["verdict"] for name, row in rows.items() if name.startswith("provider-")}
    assert provider == dict.fromkeys((row.id for row in PROVIDER_ROWS), "confirmed")
    assert [name for name, row in rows.items() if row["verdict"] == "contradicted"] == []
    for row in rows.values():
        assert row["verdict"] != "not seen" or row["why"].startswith("the local run cannot say: "), row
    assert denied(service) == []
    assert json.loads((tmp_path / "state.json").read_text())["made"] == []
    printed = capsys.readouterr()
    written = "".join(file.read_text(encoding="utf-8") for file in tmp_path.iterdir()) + printed.out + printed.err
    for name in ("api_key", "api_secret", "endpoints_key"):
        assert CREDENTIALS[name] not in written
    assert service.secret_key not in written
    assert "Traceback" not in written


@pytest.mark.parametrize("name", DIFFERENCES)
def test_a_provider_that_differs_is_noticed(accept: Accept, differing: Callable[[str], None], name: str) -> None:
    differing(name)
    code, rows = accept("--allow-second-void", "--only", f"provider-{name}")
    found = rows[f"provider-{name}"]
    assert found["verdict"] == "contradicted", found
    assert code == command.CONTRADICTED
    assert found["depends"]
    assert found["if_contradicted"]


def test_the_report_for_people_says_what_to_do(
    accept: Accept, differing: Callable[[str], None], tmp_path: Path
) -> None:
    differing("post-plain")
    accept("--only", "provider-post-plain")
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "## Contradicted: somebody must act" in text
    assert 'setting: `infra/environments.py: provider_scheme="CPAY-HMAC"`' in text
    assert "no word about either of them" in text


# Bad input


def test_a_provider_out_of_reach_is_a_row(
    accept: Accept, sandbox: Callable[..., Any], differing: Callable[[str], None]
) -> None:
    sandbox("PUT", "/settings", {"listening": False})
    _, rows = accept("--only", "provider-")
    assert {row["verdict"] for row in rows.values()} == {"not seen"}
    assert "no answer from 127.0.0.1" in rows["provider-get-plain"]["why"]


def test_a_hold_that_is_not_there_is_a_row(accept: Accept) -> None:
    _, rows = accept("--only", "provider-", "--holds", f"{uuid.uuid4().hex},{uuid.uuid4().hex},{uuid.uuid4().hex}")
    for name in ("provider-fee", "provider-webhook-again", "provider-comment-limit", "provider-wrong-currency"):
        assert "the provider knows no hold of the order" in rows[name]["why"], rows[name]
    assert rows["provider-get-plain"]["verdict"] == "confirmed"


def test_a_hold_that_is_over_is_a_row(accept: Accept, order: str, sandbox: Callable[..., Any]) -> None:
    sandbox("POST", f"/orders/{order}/capture")
    _, rows = accept("--only", "provider-fee", "--holds", order)
    assert "is over already (capture)" in rows["provider-fee"]["why"]


def test_without_holds_their_rows_say_so(accept: Accept, order: str) -> None:
    _, rows = accept("--only", "provider-webhook-again", "--only", "provider-comment", "--holds", order)
    assert "it needs a second hold" in rows["provider-webhook-again"]["why"]
    assert "it needs a third hold" in rows["provider-comment-limit"]["why"]


def test_a_hold_is_voided_once_however_often_it_is_looked_at(
    accept: Accept, order: str, sandbox: Callable[..., Any]
) -> None:
    for _ in range(2):
        assert accept("--only", "provider-fee", "--holds", order)[1]["provider-fee"]["verdict"] == "confirmed"
    assert sandbox("GET", f"/orders/{order}")["voids_received"] == 1


def test_no_local_run_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--port", "1"]) == 1
    assert "start it with `make run`" in capsys.readouterr().err


# Stopped in the middle


@pytest.fixture
def stopped(service: Service, tmp_path: Path, order: str, sandbox: Callable[..., Any]) -> Callable[[int], int]:
    """Stop a run by this signal while receive_webhook has lost its rights; its exit code."""
    second = uuid.uuid4().hex
    sandbox("POST", "/holds", {"order_id": second, "amount": 1, "currency": "UAH"})
    sandbox("PUT", f"/faults/{second}", {"webhook": "none"})  # so that it waits

    def stop(number: int) -> int:
        arguments = ["--port", str(urlsplit(service.url).port), "--out", str(tmp_path), "--holds", f"{order},{second}"]
        run = subprocess.Popen(
            [sys.executable, "-m", "ops.acceptance", "--only", "provider-webhook-again", *arguments],
            cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        eventually(lambda: sandbox("GET", f"/orders/{second}")["voids_received"], bool, 30)
        assert denied(service)
        run.send_signal(number)
        output, _ = run.communicate(timeout=30)
        assert "Traceback" not in output
        return run.returncode

    return stop


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda one: one.name)
def test_an_interrupted_run_leaves_nothing(
    stopped: Callable[[int], int], service: Service, tmp_path: Path, number: int
) -> None:
    assert stopped(number) == command.INTERRUPTED
    assert denied(service) == []
    assert json.loads((tmp_path / "state.json").read_text())["made"] == []
    assert json.loads((tmp_path / "report.json").read_text())["rows"][0]["verdict"] == "not seen"


def test_what_a_killed_run_left_is_taken_back(
    stopped: Callable[[int], int], service: Service, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stopped(signal.SIGKILL)
    assert denied(service) != []
    arguments = ["--port", str(urlsplit(service.url).port), "--out", str(tmp_path)]
    assert command.main([*arguments, "--clean"]) == 0
    assert denied(service) == []
    assert "Nothing of an acceptance is left" in capsys.readouterr().out


def test_what_a_killed_run_left_is_seen_without_its_state(
    stopped: Callable[[int], int], service: Service, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stopped(signal.SIGKILL)
    arguments = ["--port", str(urlsplit(service.url).port), "--clean"]
    assert command.main([*arguments, "--out", str(tmp_path / "elsewhere")]) == 1
    assert f"left: the policy {MARK} of the role" in capsys.readouterr().out
    assert command.main([*arguments, "--out", str(tmp_path)]) == 0
