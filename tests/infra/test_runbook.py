"""Every command of the runbook exists: an operator at night types what is there.

In a code block a command is whole; within a sentence it may lack what it needs, but what it names must exist.
"""

import json
import re
import shlex
from collections.abc import Iterator
from typing import Any

import pytest
from botocore import xform_name
from botocore.session import Session

from infra import deploy, environments, restore
from infra.synth import ROOT
from ops import arguments
from payments.reviews import Reason

RUNBOOK = (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")
OF_A_POOL = re.findall(r"^aws .+$", (ROOT / "docs" / "tokens.md").read_text(encoding="utf-8"), re.MULTILINE)
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
PROGRAMS = ("aws", "make", "python", "npx")
# The AWS command's own, for any service, and the one service that it names differently from the SDK.
GLOBAL = {"region", "profile", "output", "query"}
NAMED_DIFFERENTLY = {"deploy": "codedeploy"}


def commands() -> Iterator[tuple[str, bool]]:
    """Each command with whether it must be whole."""
    for block in re.findall(r"^ *```sh\n(.*?)^ *```", RUNBOOK, re.DOTALL | re.MULTILINE):
        yield from ((line.strip(), True) for line in block.splitlines() if line.strip())
    prose = re.sub(r"^ *```.*?^ *```", "", RUNBOOK, flags=re.DOTALL | re.MULTILINE)
    for span in re.findall(r"`([^`]+)`", prose):
        if span.split()[0] in PROGRAMS and len(span.split()) > 1:
            yield " ".join(span.split()), False


EVERY = sorted({*commands(), *((command, True) for command in OF_A_POOL)})


def of(program: str) -> list[tuple[str, bool]]:
    return [(command, whole) for command, whole in EVERY if command.split()[0] == program]


def test_nothing_is_a_command_that_is_not_checked_here() -> None:
    assert {command.split()[0] for command, whole in EVERY if whole} <= set(PROGRAMS)
    assert len(EVERY) > 40
    assert all(map(of, PROGRAMS))


# ---- reviews ---------------------------------------------------------------------------------------------------------


def test_each_review_is_a_heading_that_says_what_to_look_at_and_what_to_decide() -> None:
    sections = dict(re.findall(r"^### Review: (\S+)\n(.*?)(?=^#)", RUNBOOK, re.DOTALL | re.MULTILINE))
    assert set(sections) == {*Reason}
    for reason, text in sections.items():
        assert re.findall(r"^\*\*(\w+)\.\*\*", text, re.MULTILINE) == ["Means", "Look", "Decide"], reason
        decided = re.findall(r"`(reviewed|not-voided|voided)`", text.split("**Decide.**")[1])
        assert decided or "ends by itself" in text, reason


# ---- aws -------------------------------------------------------------------------------------------------------------


def options(words: list[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for word in words:
        if word.startswith("--"):
            found[word.removeprefix("--")] = []
        else:
            assert found, f"{word} belongs to no option"
            found[list(found)[-1]].append(word)
    return found


def check_value(shape: Any, values: list[str], option: str) -> None:
    (first, *_) = values or [""]
    if first.startswith("$") or not first:
        return
    if first.startswith(("{", "[")):
        json.loads(first)
    elif shape.type_name == "list" and getattr(shape.member, "enum", None):
        assert set(values) <= set(shape.member.enum), option
    elif getattr(shape, "enum", None):
        assert first in shape.enum, option
    elif shape.type_name == "structure":
        assert set() < {*re.findall(r"(?:^|,)(\w+)=", first)} <= {*shape.members}, option


@pytest.mark.parametrize(("command", "whole"), of("aws"))
def test_the_aws_command_has_this_operation_and_these_options(command: str, whole: bool) -> None:
    _, service, operation, *words = shlex.split(command)
    model = Session().get_service_model(NAMED_DIFFERENTLY.get(service, service))
    known = {xform_name(name, "-"): name for name in model.operation_names}
    if operation == "wait":
        waiters = Session().get_waiter_model(NAMED_DIFFERENTLY.get(service, service))
        known = {xform_name(name, "-"): waiters.get_waiter(name).operation for name in waiters.waiter_names}
        operation, *words = words
    assert operation in known
    asked: Any = model.operation_model(known[operation]).input_shape
    members = {xform_name(name, "-"): shape for name, shape in asked.members.items()}
    given = {option: values for option, values in options(words).items() if option not in GLOBAL}
    named = {option: option if option in members else option.removeprefix("no-") for option in given}
    for option, name in named.items():
        assert name in members, option
        assert name == option or members[name].type_name == "boolean", option
        check_value(members[name], given[option], option)
    required = {xform_name(name, "-") for name in asked.required_members}
    assert not whole or required <= {*named.values()}, "in a code block a command is whole"


def test_the_trust_of_a_pipeline_names_branches() -> None:
    (trust,) = [json.loads(match) for match in re.findall(r"'(\{.+AssumeRoleWithWebIdentity.+\})'", RUNBOOK)]
    (statement,) = trust["Statement"]
    ((operator, conditions),) = statement["Condition"].items()
    claims = {name.split(":")[1]: value for name, value in conditions.items()}
    assert (operator, claims["aud"]) == ("StringEquals", "sts.amazonaws.com")
    assert re.fullmatch(r"repo:[^*]+:ref:refs/heads/[^*]+", claims["sub"])


# ---- our own ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("command", "whole"), of("make"))
def test_the_make_target_and_its_variables_exist(command: str, whole: bool) -> None:
    _, target, *rest = shlex.split(command)
    assert re.search(rf"^{re.escape(target)}:.*## ", MAKEFILE, re.MULTILINE), target
    for word in rest:
        name, _, value = word.partition("=")
        assert f"$({name})" in MAKEFILE, name
        if name == "ENVIRONMENT" and whole:
            assert value in environments.ENVIRONMENTS


@pytest.mark.parametrize(("command", "whole"), of("npx"))
def test_the_cdk_is_the_pinned_one(command: str, whole: bool) -> None:
    assert whole
    (pinned,) = re.findall(r"^CDK_VERSION := (\S+)$", MAKEFILE, re.MULTILINE)
    assert shlex.split(command)[1] == f"aws-cdk@{pinned}"


@pytest.mark.parametrize(("command", "whole"), of("python"))
def test_the_projects_own_command_takes_these_arguments(
    command: str, whole: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    _, flag, module, *words = shlex.split(command)
    assert flag == "-m"
    parser = {"ops": arguments, "infra.deploy": deploy, "infra.restore": restore}[module].parser()
    try:
        parser.parse_args(words)
    except SystemExit:
        refused = capsys.readouterr().err
        assert not whole, refused
        assert "required" in refused, refused
