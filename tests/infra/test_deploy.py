"""What `make deploy` refuses before it asks the CDK anything, and what it sets afterwards. AWS's answers fit its models."""

import json
import os
import re
import sys
from collections.abc import Callable
from copy import replace
from pathlib import Path
from typing import Any

import pytest

from infra import deploy, environments, synth
from infra.deploy import STACK_POLICY
from infra.environment import Environment
from infra.synth import ROOT
from tests.infra.conftest import Answers

READY = Environment(
    name="prod", production=True, account="123456789012", pos_id="0a1b2c3d-51ef-4ef1-80f7-3b44b07b5667",
    callers=("arn:aws:iam::123456789012:role/orders",), alarm_email="night@example.com",
)  # fmt: skip
PAGER = ("arn:aws:sns:eu-central-1:123456789012:pager",)
IDENTITY = {"Account": "123456789012", "Arn": "arn:aws:iam::123456789012:role/deployer", "UserId": "fake"}
LOGGING = {"cloudwatchRoleArn": "arn:aws:iam::123456789012:role/gateway-logs"}

Run = Callable[..., tuple[int, str]]


@pytest.fixture
def run(answers: Answers, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """run(environment, command, identity=…, gateway=…): its exit code and all that it said; what AWS is not told, it is not asked."""

    def deploy_of(environment: Environment, command: str = "check", **told: dict[str, str]) -> tuple[int, str]:
        if "identity" in told:
            answers("sts").add_response("get_caller_identity", IDENTITY | told["identity"])
        if "gateway" in told:
            answers("apigateway").add_response("get_account", told["gateway"])
        monkeypatch.setitem(environments.ENVIRONMENTS, environment.name, environment)
        code, said = deploy.main([command, environment.name]), capsys.readouterr()
        return code, said.err + said.out

    return deploy_of


@pytest.mark.parametrize(
    ("without", "named"),
    [
        ({}, []),
        ({"account": None}, ["account"]),
        ({"pos_id": None}, ["pos_id"]),
        ({"callers": ()}, ["callers"]),
        ({"alarm_email": None}, ["alarm_email or alarm_topic_arns"]),
        ({"alarm_email": None, "alarm_topic_arns": PAGER}, []),
        (vars(environments.ENVIRONMENTS["prod"]), ["account", "pos_id", "callers", "alarm_email or alarm_topic_arns"]),
    ],
)
def test_production_is_refused_with_the_name_of_everything_that_is_missing(
    run: Run, without: dict[str, Any], named: list[str]
) -> None:
    # So is our prod as it stands: a fresh checkout knows no account, no project and no callers.
    environment = replace(READY, **without)
    code, told = run(environment) if named else run(environment, identity={}, gateway=LOGGING)
    assert re.findall(r"^prod\.(.+): else ", told, re.MULTILINE) == named
    assert (code, told == "", "infra/environments.py" in told) == ((1, False, True) if named else (0, True, False))
    assert replace(environment, production=False).missing() == []


def test_credentials_of_another_account_are_refused(run: Run) -> None:
    assert run(READY, identity={"Account": "210987654321"}) == (
        1, "make deploy: these credentials are of account 210987654321, and prod.account is another\n"
    )  # fmt: skip


@pytest.mark.parametrize("without", [{}, {"cloudwatchRoleArn": ""}])
def test_an_account_whose_gateway_cannot_log_is_refused_before_anything_is_deployed(
    run: Run, without: dict[str, str]
) -> None:
    code, told = run(replace(READY, name="test", production=False, account=None), identity={}, gateway=without)
    assert code == 1
    assert "API Gateway has no role to write logs with in account 123456789012, eu-central-1" in told
    heading = deploy.RUNBOOK.split('"')[1]
    assert heading in told
    assert f"\n## {heading}\n" in (ROOT / "docs" / "runbook.md").read_text("utf-8")


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("ExpiredToken", "AWS does not accept these credentials (ExpiredToken): sign in again"),
        ("InvalidClientTokenId", "AWS does not accept these credentials (InvalidClientTokenId): sign in again"),
        ("AccessDenied", "AWS refuses GetCallerIdentity: not allowed"),
    ],
)
def test_what_aws_refuses_is_one_sentence(answers: Answers, run: Run, code: str, told: str) -> None:
    answers("sts").add_client_error("get_caller_identity", code, "not allowed")
    assert run(READY) == (1, f"make deploy: {told}\n")


def test_without_credentials_it_says_so_in_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "nothing").touch()
    clean = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    clean |= dict.fromkeys(("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"), str(tmp_path / "nothing"))
    monkeypatch.setattr(os, "environ", clean | {"AWS_EC2_METADATA_DISABLED": "true"})
    assert deploy.main(["check", "test"]) == 1
    assert capsys.readouterr() == ("", "make deploy: no AWS credentials here: sign in, or set AWS_PROFILE\n")


def test_afterwards_the_stack_policy_is_set(answers: Answers, run: Run) -> None:
    expected = {"StackName": "VoidService-prod", "StackPolicyBody": json.dumps(STACK_POLICY)}
    answers("cloudformation").add_response("set_stack_policy", {}, expected)
    code, told = run(READY, "protect")
    assert (code, told.count("\n")) == (0, 1)


def test_whoever_deploys_gets_a_policy_to_paste_with_nothing_but_the_bootstrapped_roles(run: Run) -> None:
    code, told = run(READY, "policy")
    allowed = {each["Action"]: each["Resource"] for each in json.loads(told)["Statement"]}
    assert (code, allowed) == (0, {
        "sts:AssumeRole": "arn:aws:iam::123456789012:role/cdk-hnb659fds-*-role-123456789012-eu-central-1",
        "apigateway:GET": "arn:aws:apigateway:eu-central-1::/account",
        "cloudformation:SetStackPolicy": "arn:aws:cloudformation:eu-central-1:123456789012:stack/VoidService-prod/*",
    })  # fmt: skip
    assert run(replace(READY, account=None), "policy", identity={}) == (0, told)  # of whoever asks
    assert "arn:aws-cn:iam::" in run(replace(READY, region="cn-north-1"), "policy")[1]


def test_synth_warns_of_what_deploy_will_refuse_and_still_writes_the_template(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(synth, "synthesise", lambda _environment, out: out / "the.template.json")
    monkeypatch.setattr(sys, "argv", ["synth", "prod", "--out", str(tmp_path)])
    assert synth.main() == 0
    told = capsys.readouterr()
    assert told.out == f"{tmp_path / 'the.template.json'}\n"
    for setting in ("account", "pos_id", "callers", "alarm_email or alarm_topic_arns"):
        assert f"warning: prod.{setting}: else " in told.err


def test_make_deploy_checks_first_and_protects_last() -> None:
    recipe = (ROOT / "Makefile").read_text("utf-8").split("\ndeploy:")[1].split("\n\n")[0]
    steps = [recipe.index(step) for step in (
        "infra.deploy check", "$(MAKE) synth", "$(CDK) diff", "read -r -p", "$(CDK) deploy", "infra.deploy protect"
    )]  # fmt: skip
    assert steps == sorted(steps)
