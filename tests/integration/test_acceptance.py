"""`make acceptance` against the local run: every provider row is confirmed, and contradicted as soon as the provider differs.

What it makes is taken back, also after Ctrl-C and after it was killed; nothing that it writes holds a secret.
"""

import json
import re
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from acceptance import __main__ as command
from acceptance.run import ROWS
from acceptance.undo import MARK
from local.service import CREDENTIALS, Service
from play.words import DIFFERENCES
from tests import once
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
def differing(sandbox: Callable[..., Any]) -> Iterator[Callable[..., None]]:
    yield lambda *names: sandbox("PUT", "/settings", {"differs": names})
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
    assert provider == dict.fromkeys((row.id for row in ROWS if row.id.startswith("provider-")), "confirmed")
    assert [name for name, row in rows.items() if row["verdict"] == "contradicted"] == []
    for row in rows.values():
        assert row["verdict"] != "not seen" or row["why"].startswith("the local run cannot say: "), row
    assert denied(service) == []
    assert json.loads((tmp_path / "state.json").read_text())["made"] == []
    printed = capsys.readouterr()
    written = "".join(file.read_text(encoding="utf-8") for file in tmp_path.iterdir()) + printed.out + printed.err
    secrets = [CREDENTIALS[name] for name in ("api_key", "api_secret", "endpoints_key")]
    assert [one for one in (*secrets, service.secret_key, "Traceback") if one in written] == []


# In one run differ what does not hide each other; each is noticed by its own row.
DIFFERING = (
    "get-signed post-signed order-limit comment-limit unknown-void unknown-query query-no-void order-once refusal-shape "
    "success-code timestamps fee amount webhook-number webhook-again",
    "order-zero answer-fields operation-id webhook-fields webhook-order portal-announced second-void",
    "at-once webhook-secret query-hold",
    "statuses webhook-address",
    "query-delay query-lag webhook-arrives",
    "order-characters order-path",
    "get-plain", "post-plain", "wrong-credentials", "wrong-currency", "query-steady", "answer-time",
)  # fmt: skip


@pytest.mark.parametrize("names", DIFFERING)
def test_a_provider_that_differs_is_noticed(accept: Accept, differing: Callable[..., None], names: str) -> None:
    differing(*names.split())
    only = ",".join(f"provider-{name}" for name in names.split())
    code, rows = accept("--allow-second-void", "--only", only)
    unnoticed = {name: rows[f"provider-{name}"] for name in names.split()
                 if rows[f"provider-{name}"]["verdict"] != "contradicted"}  # fmt: skip
    assert unnoticed == {}
    assert code == command.CONTRADICTED


def test_each_way_to_differ_is_tried() -> None:
    assert sorted(" ".join(DIFFERING).split()) == sorted(DIFFERENCES)


def test_the_report_for_people_says_what_to_do(accept: Accept, differing: Callable[..., None], tmp_path: Path) -> None:
    differing("post-plain")
    accept("--only", "provider-post-plain")
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "## Contradicted: somebody must act" in text
    assert 'setting: `infra/environments.py: provider_scheme="CPAY-HMAC"`' in text
    assert "no word about either of them" in text


def test_what_it_looks_up_in_a_stack_is_in_the_template() -> None:
    template = json.loads((once.synthesised("test") / "VoidService-test.template.json").read_text(encoding="utf-8"))
    text = "".join(file.read_text(encoding="utf-8") for file in (ROOT / "acceptance").rglob("*.py"))
    wanted = re.findall(r'\.resource\("([\w:]+)"(?:, "(\w+)")?\)', text)
    assert len(wanted) >= 6
    there = [(one["Type"], name) for name, one in template["Resources"].items()]
    assert [one for one in wanted if not any(kind == one[0] and name.startswith(one[1]) for kind, name in there)] == []
    outputs = set(re.findall(r'\.output\("(\w+)"\)', text))
    assert outputs <= set(template["Outputs"])


# Bad input


def test_a_provider_out_of_reach_is_a_row(accept: Accept, sandbox: Callable[..., Any], differing: object) -> None:
    sandbox("PUT", "/settings", {"listening": False})
    _, rows = accept("--only", "provider-")
    assert {row["verdict"] for row in rows.values()} == {"not seen"}
    assert "no answer from 127.0.0.1" in rows["provider-get-plain"]["why"]


def test_holds_that_cannot_be_used_are_rows(accept: Accept, order: str, sandbox: Callable[..., Any]) -> None:
    _, rows = accept("--only", "provider-", "--holds", ",".join(uuid.uuid4().hex for _ in range(3)))
    for name in ("provider-fee", "provider-webhook-again", "provider-comment-limit", "provider-wrong-currency"):
        assert "the provider knows no hold of the order" in rows[name]["why"], rows[name]
    assert rows["provider-get-plain"]["verdict"] == "confirmed"
    sandbox("POST", f"/orders/{order}/capture")
    _, rows = accept("--only", "provider-fee,provider-webhook-again,provider-comment-limit", "--holds", order)
    for name, why in (("fee", "is over already (capture)"), ("webhook-again", "it needs a second hold"),
                      ("comment-limit", "it needs a third hold")):  # fmt: skip
        assert why in rows[f"provider-{name}"]["why"]


def test_a_hold_is_voided_once_however_often_it_is_examined(
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
            [sys.executable, "-m", "acceptance", "--only", "provider-webhook-again", *arguments],
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


def test_what_a_killed_run_left_is_seen_without_its_state_and_taken_back_with_it(
    stopped: Callable[[int], int], service: Service, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stopped(signal.SIGKILL)
    assert denied(service) != []
    arguments = ["--port", str(urlsplit(service.url).port), "--clean"]
    assert command.main([*arguments, "--out", str(tmp_path / "elsewhere")]) == 1
    assert f"left: the policy {MARK} of the role" in capsys.readouterr().out
    assert command.main([*arguments, "--out", str(tmp_path)]) == 0
    assert denied(service) == []
    assert "Nothing of an acceptance is left" in capsys.readouterr().out
