"""The alarms of the synthesised stack, and what each story does to them."""

import json
import re
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import pytest

from tests import once
from tests.alarms.evaluator import MINUTE_MS, Alarm, Reading, alarms_of, changes, readings, ringing
from tests.alarms.service import START, Service
from tests.alarms.stories import Story

Template = dict[str, Any]


@pytest.fixture(scope="session")
def template() -> Template:
    """The template of `prod`, whose alarms also decide over releases."""
    path = once.synthesised("prod") / "VoidService-prod.template.json"
    return dict(json.loads(path.read_text(encoding="utf-8")))


@pytest.fixture(scope="session")
def alarms(template: Template) -> dict[str, Alarm]:
    """Every alarm by its name without the stack's."""
    return alarms_of(template)


@pytest.fixture(scope="session")
def seen(template: Template, alarms: dict[str, Alarm]) -> set[str]:
    """The custom metrics that an alarm reads or the dashboard shows."""
    shown = re.findall(r'\\"VoidService/prod\\",\\"(\w+)\\"', json.dumps(template))
    read = [stat for alarm in alarms.values() for stat in alarm.metrics.values()]
    return {stat.name for stat in read if stat.namespace == "VoidService/prod"} | {*shown}


@pytest.fixture(scope="session")
def against_release(template: Template) -> set[str]:
    """The alarms that take a release back, the same of each function."""
    of_type = {name: (each["Type"], each["Properties"]) for name, each in template["Resources"].items()}
    groups = [each for kind, each in of_type.values() if kind == "AWS::CodeDeploy::DeploymentGroup"]
    found = {tuple(each["Name"]["Ref"] for each in group["AlarmConfiguration"]["Alarms"]) for group in groups}
    (names,) = found
    return {of_type[name][1]["AlarmName"].split(" ", 1)[1] for name in names}


class Told(NamedTuple):
    """What a story did: for each alarm and each reading of AWS's documentation the moments (ms) at which it rang."""

    rang: dict[str, dict[Reading, list[int]]]
    sent: set[str]
    """The custom metrics."""
    troubles: dict[str, int]
    released: int | None

    def waited(self, alarm: str) -> list[int]:
        """From the cause to the first ring in whole minutes, under each reading; below 0: before its cause."""
        began = self.troubles.get(alarm, self.troubles.get("", START))
        return [-(-(moments[0] - began) // MINUTE_MS) for moments in self.rang[alarm].values()]

    def canary(self, alarms: Iterable[str]) -> int:
        """From a release to the ring that takes it back, in minutes, under the reading in which it takes longest."""
        assert self.released is not None
        rings = [max(moments[0] for moments in self.rang[alarm].values()) for alarm in alarms]
        return -(-(min(rings) - self.released) // MINUTE_MS)


@pytest.fixture(scope="session")
def tell(template: Template, alarms: dict[str, Alarm]) -> Callable[[Story], Told]:
    """Tell a story: run it, and evaluate every alarm over what it published."""

    def told(story: Story) -> Told:
        service = Service(template, story.minutes, filled=story.filled)
        service.tell(story.script)
        service.run()
        metrics, end = service.account.metrics, START + story.minutes * MINUTE_MS
        rang = {
            name: {reading: ringing(changes(alarm, metrics, START, end, reading)) for reading in readings(alarm)}
            for name, alarm in alarms.items()
        }
        sent = {name for namespace, name, _ in metrics.published() if namespace == service.account.namespace}
        return Told(rang, sent, service.troubles, service.released)

    return told
