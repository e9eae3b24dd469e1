"""What three independent rule sets say of the synthesised stack, offline; each exception is on its resource.

Checked are our environments and one with every option switched on.
"""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cloudformation_validate import CompositeEngine, Severity

from infra.environment import Environment
from infra.environments import ENVIRONMENTS

# The certificate and the web ACL are other stacks' or hand-made: their ARNs are settings.
ARN_IS_A_SETTING = ("W9002", "W9013")
# Its schema does not know JwtConfiguration yet; only the environment with every option has one.
NOT_KNOWN_YET = "'JwtConfiguration' was unexpected"


@pytest.fixture(scope="session")
def checked(synthesised: Callable[..., Path], every_option: Environment) -> dict[str, Path]:
    packs = ("AwsSolutionsChecks",)
    return {
        "test": synthesised(ENVIRONMENTS["test"], *packs),
        "prod": synthesised(ENVIRONMENTS["prod"], *packs),
        "every option": synthesised(every_option, *packs),
    }


def template_of(assembly: Path) -> Path:
    (template,) = assembly.glob("*.template.json")
    return template


def test_cfn_lint_finds_nothing(checked: dict[str, Path]) -> None:
    templates = [str(template_of(assembly)) for assembly in checked.values()]
    lint = subprocess.run(
        [str(Path(sys.executable).with_name("cfn-lint")), "--template", *templates],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (lint.returncode, lint.stdout, lint.stderr) == (0, "", "")


def test_cloudformation_validate_finds_nothing(checked: dict[str, Path]) -> None:
    engine = CompositeEngine()
    found = [
        f"{name}: {each.rule_id} {each.message}"
        for name, assembly in checked.items()
        for each in engine.validate_template(str(template_of(assembly))).diagnostics
        if each.severity != Severity.INFO and each.rule_id not in ARN_IS_A_SETTING
        if NOT_KNOWN_YET not in each.message
    ]
    assert found == []


def packs(assembly: Path) -> list[dict[str, Any]]:
    report = json.loads((assembly / "validation-report.json").read_text(encoding="utf-8"))
    return [each for each in report["pluginReports"] if each["pluginName"] == "AwsSolutions"]


@pytest.mark.parametrize("name", ["test", "prod", "every option"])
def test_the_rule_packs_find_nothing_that_is_not_accepted(checked: dict[str, Path], name: str) -> None:
    reports = packs(checked[name])
    assert [each["pluginName"] for each in reports] == ["AwsSolutions"]
    assert [(found["ruleName"], found["violatingConstructs"]) for each in reports for found in each["violations"]] == []


def test_what_is_accepted_says_why_and_until_when_on_its_resource(checked: dict[str, Path]) -> None:
    accepted = [each for report in packs(checked["prod"]) for each in report["suppressedViolations"]]
    assert len(accepted) > 10
    for each in accepted:
        assert re.fullmatch(r".{20,} Until: .{10,}\.", each["reason"]), each["ruleName"]
        assert each["acknowledgedAt"].count("/") >= 1, "never for the whole stack"


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def statements(assembly: Path) -> list[tuple[str, dict[str, Any]]]:
    """Every statement of every policy in the template, with the type that it belongs to."""
    found: list[tuple[str, dict[str, Any]]] = []

    def visit(kind: str, value: Any) -> None:
        if isinstance(value, dict):
            found.extend((kind, each) for each in listed(value.get("Statement", [])))
            for each in value.values():
                visit(kind, each)
        elif isinstance(value, list):
            for each in value:
                visit(kind, each)

    for resource in json.loads(template_of(assembly).read_text(encoding="utf-8"))["Resources"].values():
        visit(resource["Type"], resource["Properties"])
    return found


@pytest.mark.parametrize("name", ["test", "prod", "every option"])
def test_no_star_is_left_unexplained(checked: dict[str, Path], name: str) -> None:
    stars = {
        (kind, action)
        for kind, statement in statements(checked[name])
        for action in listed(statement["Action"])
        if statement["Effect"] == "Allow"
        if "*" in action or ("*" in listed(statement.get("Resource", [])) and kind != "AWS::KMS::Key")  # there: itself
    }
    explained = {("AWS::IAM::Policy", f"xray:Put{what}") for what in ("TraceSegments", "TelemetryRecords")}
    explained.add(("AWS::IAM::Policy", "dynamodb:ListStreams"))
    if name == "every option":
        explained.add(("AWS::KMS::Key", "kms:*"))  # AWS's own default: the account's IAM decides about its key
    assert stars == explained
