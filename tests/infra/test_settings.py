"""docs/settings.md says what the code says: every setting with its default, every variable with its functions."""

from dataclasses import MISSING, fields

from infra.environment import Environment
from infra.environments import ENVIRONMENTS
from infra.functions import FUNCTIONS
from infra.synth import ROOT
from tests.infra.stack import Stack


def rows(heading: str) -> dict[str, list[str]]:
    """First column -> the others, of the table below the heading."""
    section = (ROOT / "docs" / "settings.md").read_text("utf-8").split(f"\n## {heading}\n")[1].split("\n## ")[0]
    lines = [line.strip("|").split("|") for line in section.splitlines() if line[:3] == "| `"]
    return {first.strip(" `"): [each.strip() for each in others] for first, *others in lines}


def test_every_setting_of_an_environment_is_documented_with_its_default_and_its_place() -> None:
    declared = {each.name: "" if each.default is MISSING else f"`{each.default!r}`" for each in fields(Environment)}
    documented = {name: default for name, (default, _) in rows("Of an environment").items()}
    assert [*documented.items()] == [*declared.items()]


def test_every_variable_is_documented_with_the_functions_that_have_it(stacks: dict[str, Stack]) -> None:
    deployed: dict[str, set[str]] = {}
    for function, each in stacks["local"].functions.items():
        for name in each["Environment"]["Variables"]:
            deployed.setdefault(name, set()).add(function)
    stated = {name: whose.replace("all", ", ".join(FUNCTIONS)) for name, (whose, _) in rows("Of a function").items()}
    assert stated.pop("KEEP_SETTLED_DAYS") == "", "no environment of ours sets it"
    assert deployed == {name: {*whose.split(", ")} for name, whose in stated.items()}


def test_what_prod_has_beyond_the_default_is_said_where_the_setting_is() -> None:
    default, prod = Environment(name="prod"), ENVIRONMENTS["prod"]
    different = {each.name for each in fields(Environment) if getattr(prod, each.name) != getattr(default, each.name)}
    assert {name for name, (_, meaning) in rows("Of an environment").items() if "`prod`" in meaning} == different
