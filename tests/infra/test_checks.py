"""What three independent rule sets say of the synthesised stack, offline; each exception is on its resource.

Checked are the environment with the fewest options and one with all of them.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from cloudformation_validate import CompositeEngine, Severity

from infra.nag import ACCEPTED, PACK
from tests.infra.stack import Stack

# The certificate and the web ACL are other stacks' or hand-made: their ARNs are settings.
ARN_IS_A_SETTING = ("W9002", "W9013")
# Its schema does not know JwtConfiguration yet; only the environment with every option has one.
NOT_KNOWN_YET = "'JwtConfiguration' was unexpected"
UNUSED = {"test": {"proved by a token", "aws's policy of a release"}, "every option": {"no web acl"}}


@pytest.fixture(params=UNUSED)
def checked(request: pytest.FixtureRequest, stacks: dict[str, Stack]) -> Stack:
    return stacks[request.param]


def template_of(stack: Stack) -> str:
    return str(stack.assembly / f"VoidService-{stack.environment.name}.template.json")


@pytest.mark.proof
def test_cfn_lint_finds_nothing(checked: Stack) -> None:
    command = [str(Path(sys.executable).with_name("cfn-lint")), "--template", template_of(checked)]
    lint = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (lint.returncode, lint.stdout, lint.stderr) == (0, "", "")


def test_cloudformation_validate_finds_nothing(checked: Stack) -> None:
    found = [
        f"{each.rule_id} {each.message}"
        for each in CompositeEngine().validate_template(template_of(checked)).diagnostics
        if each.severity != Severity.INFO and each.rule_id not in ARN_IS_A_SETTING
        if NOT_KNOWN_YET not in each.message
    ]
    assert found == []


@pytest.mark.parametrize("name", UNUSED)
def test_the_rule_pack_finds_nothing_that_is_not_accepted_on_its_resource(stacks: dict[str, Stack], name: str) -> None:
    reports = json.loads((stacks[name].assembly / "validation-report.json").read_text("utf-8"))["pluginReports"]
    (found,) = [each for each in reports if each["pluginName"] == PACK]
    assert [(each["ruleName"], each["violatingConstructs"]) for each in found["violations"]] == []
    assert all("/" in each["acknowledgedAt"] for each in found["suppressedViolations"]), "never for the whole stack"
    # Each says why and until when; what nothing needs any more goes.
    accepted = {f"{because} Until: {until}": what for what, (_, because, until) in ACCEPTED.items()}
    assert {accepted[each["reason"]] for each in found["suppressedViolations"]} == set(ACCEPTED) - UNUSED[name]
