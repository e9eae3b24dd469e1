"""docs/settings.md says what the code says: every setting with its default, every variable with its functions."""

import re
from dataclasses import MISSING, fields
from typing import Any

from infra.environment import Environment
from infra.environments import ENVIRONMENTS
from infra.synth import ROOT


def rows(heading: str) -> dict[str, list[str]]:
    """First column -> the others, of the table below the heading."""
    section = (
        (ROOT / "docs" / "settings.md").read_text(encoding="utf-8").split(f"\n## {heading}\n")[1].split("\n## ")[0]
    )
    cells = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines() if line[:3] == "| `"
    ]
    return {first.strip("`"): others for first, *others in cells}


def test_every_setting_of_an_environment_is_documented_with_its_default_and_its_place() -> None:
    declared = {each.name: "" if each.default is MISSING else f"`{each.default!r}`" for each in fields(Environment)}
    documented = rows("Of an environment")
    assert list(documented) == list(declared)
    assert {name: default for name, (default, _) in documented.items()} == declared


def test_every_variable_is_documented_with_the_functions_that_have_it(templates: dict[str, Any]) -> None:
    deployed: dict[str, list[str]] = {}
    for resource in templates["local"]["Resources"].values():
        if resource["Type"] == "AWS::Lambda::Function":
            for name in resource["Properties"]["Environment"]["Variables"]:
                deployed.setdefault(name, []).append(resource["Properties"]["Handler"].removesuffix(".handler"))
    stated = {name: [] if whose == "all" else whose.split(", ") for name, (whose, _) in rows("Of a function").items()}
    assert stated.pop("KEEP_SETTLED_DAYS") == [""], "no environment of ours sets it"
    assert {name: [] if len(whose) == 5 else sorted(whose) for name, whose in deployed.items()} == {
        name: sorted(whose) for name, whose in stated.items()
    }


def test_what_prod_has_beyond_the_default_is_said_where_the_setting_is() -> None:
    different = {
        each.name for each in fields(Environment)
        if each.default is not MISSING and getattr(ENVIRONMENTS["prod"], each.name) != each.default
    }  # fmt: skip
    assert {
        name for name, (_, meaning) in rows("Of an environment").items() if re.search("`prod`", meaning)
    } == different
