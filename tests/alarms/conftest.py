"""The alarms of the synthesised stack, and what each story does to them."""

import json
import os
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import pytest

from infra.environments import ENVIRONMENTS
from infra.synth import ROOT, synthesis_environment
from tests.alarms.evaluator import MINUTE_MS, Alarm, Reading, alarms_of, changes, readings, ringing
from tests.alarms.service import START, Service
from tests.alarms.stories import Story

Template = dict[str, Any]


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Template:
    """The template of `prod`, whose alarms also decide over releases; without the functions' asset."""
    for name, value in synthesis_environment("prod", tmp_path_factory.getbasetemp()).items():
        if name.startswith("JSII_"):
            os.environ.setdefault(name, value)
    import aws_cdk as cdk
    from aws_cdk import assertions

    from infra.void_service import VoidService

    context = json.loads((ROOT / "cdk.json").read_text(encoding="utf-8"))["context"] | {"aws:cdk:bundling-stacks": []}
    app = cdk.App(analytics_reporting=False, outdir=str(tmp_path_factory.mktemp("stack")), context=context)
    stack = VoidService(app, "VoidService-prod", ENVIRONMENTS["prod"])
    return dict(assertions.Template.from_stack(stack).to_json())


@pytest.fixture(scope="session")
def alarms(template: Template) -> dict[str, Alarm]:
    """Every alarm by its name without the stack's."""
    return alarms_of(template)


@pytest.fixture(scope="session")
def against_release(template: Template) -> set[str]:
    """The alarms that take a release back."""
    groups = [
        each["Properties"]["AlarmConfiguration"]["Alarms"]
        for each in template["Resources"].values()
        if each["Type"] == "AWS::CodeDeploy::DeploymentGroup"
    ]
    assert groups
    found = [{resource["Name"]["Ref"] for resource in group} for group in groups]
    assert all(group == found[0] for group in found)
    named = {name: resource["Properties"] for name, resource in template["Resources"].items()}
    return {named[name]["AlarmName"].split(" ", 1)[1] for name in found[0]}


class Told(NamedTuple):
    """What a story did: for each alarm and each reading of AWS's documentation the moments (ms) at which it rang."""

    rang: dict[str, dict[Reading, list[int]]]
    troubles: dict[str, int]
    released: int | None = None

    def latest(self, alarm: str) -> int:
        """From the cause to the first ring, in whole minutes, under the reading in which it takes longest."""
        return max(self._waited(alarm))

    def earliest(self, alarm: str) -> int:
        """The same under the reading in which it takes shortest; below 0: before its cause."""
        return min(self._waited(alarm))

    def canary(self, alarms: Iterable[str]) -> int:
        """From a release to the ring that takes it back, in minutes, under the reading in which it takes longest."""
        assert self.released is not None
        rings = [max(moments[0] for moments in self.rang[alarm].values()) for alarm in alarms]
        return -(-(min(rings) - self.released) // MINUTE_MS)

    def _waited(self, alarm: str) -> list[int]:
        began = self.troubles.get(alarm, self.troubles.get("", START))
        return [-(-(moments[0] - began) // MINUTE_MS) for moments in self.rang[alarm].values()]


@pytest.fixture(scope="session")
def tell(template: Template, alarms: dict[str, Alarm]) -> Callable[[Story], Told]:
    """Tell a story: run it, and evaluate every alarm over what it published."""

    def told(story: Story) -> Told:
        service = Service(template, story.minutes, filled=story.filled)
        service.tell(story.script)
        service.run()
        end = START + story.minutes * MINUTE_MS
        rang = {
            name: {
                reading: ringing(changes(alarm, service.account.metrics, START, end, reading))
                for reading in readings(alarm)
            }
            for name, alarm in alarms.items()
        }
        return Told(rang, service.troubles, service.released)

    return told
