"""Synthesises each environment once per test session, as `make synth` does; the tests read plain templates."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from infra.synth import synthesise

Template = dict[str, Any]
Resources = dict[str, dict[str, Any]]


@pytest.fixture(scope="session")
def assembly(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("cloud-assembly")
    synthesise("test", out / "test")
    return out


@pytest.fixture(scope="session")
def templates(assembly: Path) -> dict[str, Template]:
    # The functions are bundled once: the other two find the finished asset.
    asset = next((assembly / "test").glob("asset.*"))
    for name in ("prod", "local"):
        (assembly / name).mkdir()
        (assembly / name / asset.name).symlink_to(asset)
    with ThreadPoolExecutor() as both:
        list(both.map(lambda name: synthesise(name, assembly / name), ("prod", "local")))
    return {
        name: json.loads((assembly / name / f"VoidService-{name}.template.json").read_text(encoding="utf-8"))
        for name in ("test", "prod", "local")
    }


@pytest.fixture(scope="session")
def template(templates: dict[str, Template]) -> Template:
    return templates["test"]


@pytest.fixture(scope="session")
def of_type(template: Template) -> Callable[[str], Resources]:
    """The resources of a type in the environment `test`, as logical id -> resource."""

    def select(kind: str) -> Resources:
        return {name: resource for name, resource in template["Resources"].items() if resource["Type"] == kind}

    return select
