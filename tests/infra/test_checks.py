"""What three independent rule sets say of the synthesised stack, offline; each exception is on its resource.

Checked are the environment with the fewest options and one with all of them.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cloudformation_validate import CompositeEngine, Severity

from infra.environments import ENVIRONMENTS
from infra.nag import ACCEPTED
from tests.infra.conftest import EVERY_OPTION
from tests.infra.stack import Stack, listed

# The certificate and the web ACL are other stacks' or hand-made: their ARNs are settings.
ARN_IS_A_SETTING = ("W9002", "W9013")
# Its schema does not know JwtConfiguration yet; only the environment with every option has one.
NOT_KNOWN_YET = "'JwtConfiguration' was unexpected"


UNUSED = {"test": {"proved by a token", "aws's policy of a release"}, "every option": {"no web acl"}}


@pytest.fixture(scope="session")
def checked(synthesised: Callable[..., Path]) -> dict[str, Path]:
    fewest, most = (synthesised(each, "AwsSolutionsChecks") for each in (ENVIRONMENTS["test"], EVERY_OPTION))
    return {"test": fewest, "every option": most}


def template_of(assembly: Path) -> str:
    (template,) = assembly.glob("*.template.json")
    return str(template)


def test_cfn_lint_finds_nothing(checked: dict[str, Path]) -> None:
    command = [str(Path(sys.executable).with_name("cfn-lint")), "--template", *map(template_of, checked.values())]
    lint = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (lint.returncode, lint.stdout, lint.stderr) == (0, "", "")


def test_cloudformation_validate_finds_nothing(checked: dict[str, Path]) -> None:
    engine = CompositeEngine()
    found = [
        f"{name}: {each.rule_id} {each.message}"
        for name, assembly in checked.items()
        for each in engine.validate_template(template_of(assembly)).diagnostics
        if each.severity != Severity.INFO and each.rule_id not in ARN_IS_A_SETTING
        if NOT_KNOWN_YET not in each.message
    ]
    assert found == []


@pytest.mark.parametrize("name", UNUSED)
def test_the_rule_pack_finds_nothing_that_is_not_accepted_on_its_resource(checked: dict[str, Path], name: str) -> None:
    reports = json.loads((checked[name] / "validation-report.json").read_text(encoding="utf-8"))["pluginReports"]
    (found,) = [each for each in reports if each["pluginName"] == "AwsSolutions"]
    assert [(each["ruleName"], each["violatingConstructs"]) for each in found["violations"]] == []
    assert all("/" in each["acknowledgedAt"] for each in found["suppressedViolations"]), "never for the whole stack"
    # Each says why and until when; what nothing needs any more goes.
    accepted = {f"{because} Until: {until}": what for what, (_, because, until) in ACCEPTED.items()}
    assert {accepted[each["reason"]] for each in found["suppressedViolations"]} == set(ACCEPTED) - UNUSED[name]


def statements(kind: str, value: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every statement of every policy below, with the type that it belongs to."""
    if isinstance(value, dict):
        yield from ((kind, each) for each in listed(value.get("Statement", [])))
    for each in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from statements(kind, each)


@pytest.mark.parametrize("name", UNUSED)
def test_no_star_is_left_unexplained(checked: dict[str, Path], name: str) -> None:
    stars = {
        (kind, action)
        for resource in Stack.of_assembly(checked[name]).resources.values()
        for kind, statement in statements(resource["Type"], resource["Properties"])
        for action in listed(statement["Action"])
        if statement["Effect"] == "Allow"
        if "*" in action or ("*" in listed(statement.get("Resource", [])) and kind != "AWS::KMS::Key")  # there: itself
    }
    explained = {("AWS::IAM::Policy", f"xray:Put{what}") for what in ("TraceSegments", "TelemetryRecords")}
    explained.add(("AWS::IAM::Policy", "dynamodb:ListStreams"))
    if name == "every option":
        explained.add(("AWS::KMS::Key", "kms:*"))  # AWS's own default: the account's IAM decides about its key
    assert stars == explained
