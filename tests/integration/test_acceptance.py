"""`make acceptance` against the local run: every provider row is confirmed, and contradicted as soon as the provider differs.

What it makes is taken back, also after it was stopped or killed; nothing that it writes holds a secret.
"""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from acceptance import __main__ as command
from acceptance.rows import load
from acceptance.run import ROWS
from acceptance.undo import MARK
from local.service import CREDENTIALS
from play.words import DIFFERENCES
from tests import once
from tests.integration.client import Client, eventually

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Acceptance:
    """The command, as it runs against the local run; what it writes, and what it leaves."""

    client: Client
    out: Path

    @property
    def port(self) -> list[str]:
        return ["--port", str(urlsplit(self.client.service.url).port)]

    def run(self, *arguments: str) -> tuple[int, dict[str, Any]]:
        """run("--only", "provider-fee") -> exit code, and the rows of the report by their id."""
        code = command.main([*self.port, "--out", str(self.out), "--again", *arguments])
        return code, {row["id"]: row for row in self.written("report.json")["rows"]}

    def written(self, name: str) -> Any:
        return json.loads((self.out / name).read_text(encoding="utf-8"))

    def denied(self) -> list[str]:
        """The roles of functions from which an acceptance has taken rights."""
        iam = self.client.service.client("iam")
        roles = [role["RoleName"] for role in iam.list_roles()["Roles"] if "Functions" in role["RoleName"]]
        return [role for role in roles if MARK in iam.list_role_policies(RoleName=role)["PolicyNames"]]


@pytest.fixture
def acceptance(client: Client, tmp_path: Path) -> Iterator[Acceptance]:
    yield Acceptance(client, tmp_path)
    client.sandbox("PUT", "settings", {"differs": []})


# ---- what it says ----------------------------------------------------------------------------------------------------


def test_everything_is_confirmed_or_out_of_reach_here_and_nothing_is_left(
    acceptance: Acceptance, capsys: pytest.CaptureFixture[str]
) -> None:
    _, rows = acceptance.run("--allow-second-void")
    provider = {name: row["verdict"] for name, row in rows.items() if name.startswith("provider-")}
    assert provider == dict.fromkeys((row.id for row in ROWS if row.id.startswith("provider-")), "confirmed")
    assert [name for name, row in rows.items() if row["verdict"] == "contradicted"] == []
    for row in rows.values():
        assert row["verdict"] != "not seen" or row["why"].startswith("the local run cannot say: "), row
    assert (acceptance.denied(), acceptance.written("state.json")["made"]) == ([], [])
    printed = capsys.readouterr()
    files = "".join(file.read_text(encoding="utf-8") for file in acceptance.out.iterdir())
    secrets = [CREDENTIALS[name] for name in ("api_key", "api_secret", "endpoints_key")]
    never = (*secrets, acceptance.client.service.secret_key, "Traceback")
    assert [one for one in never if one in files + printed.out + printed.err] == []
    assert "no word about either of them" in files


# In one run differ what does not hide each other; each is noticed by its own row. Every other one differs alone.
TOGETHER = (
    "get-signed post-signed order-limit comment-limit unknown-void unknown-query query-no-void order-once refusal-shape "
    "success-code timestamps fee amount webhook-number webhook-again",
    "order-zero answer-fields operation-id webhook-fields webhook-order portal-announced second-void",
    "at-once webhook-secret query-hold",
    "statuses webhook-address",
    "query-delay query-lag webhook-arrives",
    "order-characters order-path",
)  # fmt: skip
SLOW = "answer-time"
ALONE = DIFFERENCES.keys() - {*" ".join((*TOGETHER, SLOW)).split()}


@pytest.mark.parametrize("names", [*TOGETHER, *sorted(ALONE), pytest.param(SLOW, marks=pytest.mark.proof)])
def test_a_provider_that_differs_is_noticed(acceptance: Acceptance, names: str) -> None:
    acceptance.client.sandbox("PUT", "settings", {"differs": names.split()})
    wanted = [f"provider-{name}" for name in names.split()]
    code, rows = acceptance.run("--allow-second-void", "--only", ",".join(wanted))
    assert {name: rows[name] for name in wanted if rows[name]["verdict"] != "contradicted"} == {}
    assert code == command.CONTRADICTED


def test_what_it_looks_up_in_a_stack_is_in_the_template() -> None:
    template = json.loads((once.synthesised("test") / "VoidService-test.template.json").read_text(encoding="utf-8"))
    text = "".join(file.read_text(encoding="utf-8") for file in (ROOT / "acceptance").rglob("*.py"))
    wanted = re.findall(r'\.resource\("([\w:]+)"(?:, "(\w+)")?\)', text)
    assert len(wanted) >= 6
    there = [(one["Type"], name) for name, one in template["Resources"].items()]
    assert [one for one in wanted if not any(kind == one[0] and name.startswith(one[1]) for kind, name in there)] == []
    outputs = set(re.findall(r'\.output\("(\w+)"\)', text))
    assert outputs <= set(template["Outputs"])


# ---- what it leaves --------------------------------------------------------------------------------------------------


def test_a_hold_is_voided_once_however_often_it_is_examined(acceptance: Acceptance, order: str) -> None:
    for _ in range(2):
        _, rows = acceptance.run("--only", "provider-fee", "--holds", order)
        assert rows["provider-fee"]["verdict"] == "confirmed"
    assert acceptance.client.ledger(order)["voids_received"] == 1


def test_a_run_that_a_pipeline_stops_leaves_nothing(acceptance: Acceptance, client: Client) -> None:
    holds = [client.hold(), client.hold(webhook="none")]  # so that it waits while receive_webhook has lost its rights
    arguments = [*acceptance.port, "--out", str(acceptance.out), "--holds", ",".join(holds)]
    run = subprocess.Popen(
        [sys.executable, "-m", "acceptance", "--only", "provider-webhook-again", *arguments],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    eventually(lambda: client.ledger(holds[1])["voids_received"], bool, 30)
    assert acceptance.denied()
    run.terminate()
    output, _ = run.communicate(timeout=30)
    assert (run.returncode, "Traceback" in output) == (command.INTERRUPTED, False)
    assert (acceptance.denied(), acceptance.written("state.json")["made"]) == ([], [])
    assert acceptance.written("report.json")["rows"][0]["verdict"] == "not seen"


def test_what_a_killed_run_left_is_seen_without_its_state_and_taken_back_with_it(
    acceptance: Acceptance, capsys: pytest.CaptureFixture[str]
) -> None:
    acceptance.run("--only", "aws-clock")
    iam = acceptance.client.service.client("iam")
    role = next(one["RoleName"] for one in iam.list_roles()["Roles"] if "Functions" in one["RoleName"])
    policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": "sqs:SendMessage", "Resource": "*"}]}
    iam.put_role_policy(RoleName=role, PolicyName=MARK, PolicyDocument=json.dumps(policy))
    state = load(acceptance.out / "state.json")
    state.made.append({"kind": "deny", "role": role})
    state.save()
    clean = [*acceptance.port, "--clean", "--out"]
    assert command.main([*clean, str(acceptance.out / "elsewhere")]) == 1
    assert f"left: the policy {MARK} of the role {role}" in capsys.readouterr().out
    assert command.main([*clean, str(acceptance.out)]) == 0
    assert acceptance.denied() == []
    assert "Nothing of an acceptance is left" in capsys.readouterr().out
