"""The alarms of the synthesised stack, and what each story does to them."""

import json
import os
from collections.abc import Callable
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

    def minutes(self, alarm: str) -> int:
        """From the cause to the ring, in whole minutes, under the reading in which it takes longest."""
        began = self.troubles.get(alarm, self.troubles.get("", START))
        return max(-(-(moments[0] - began) // MINUTE_MS) for moments in self.rang[alarm].values())


@pytest.fixture(scope="session")
def told(template: Template, alarms: dict[str, Alarm]) -> Callable[[Story], Told]:
    """Tell a story, once."""
    known: dict[str, Told] = {}

    def tell(story: Story) -> Told:
        if story.title not in known:
            service = Service(template, filled=story.filled)
            story.tell(service)
            service.run(story.minutes)
            end = START + story.minutes * MINUTE_MS
            rang = {
                name: {
                    reading: ringing(changes(alarm, service.account.metrics, START, end, reading))
                    for reading in readings(alarm)
                }
                for name, alarm in alarms.items()
            }
            known[story.title] = Told(rang, service.troubles)
        return known[story.title]

    return tell
