"""Each story rings exactly its alarms in its time, under every reading of what AWS's documentation leaves open.

What the runbook promises and what the bill counts is what the stories and the template show.
"""

import json
import re
from collections import Counter, defaultdict
from typing import Any

import pytest

from infra.synth import ROOT
from proof.benchmarks import deployed
from tests import once
from tests.alarms import hours
from tests.alarms.account import OURS, Account
from tests.alarms.evaluator import MINUTE_MS, Alarm, alarms_of, changes, readings, ringing
from tests.alarms.service import START, Service
from tests.alarms.stories import HOUR, STORIES, Story

Template = dict[str, Any]
CANARY_MINUTES = 15
RUNBOOK = (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")
PROMISED: dict[str, str] = dict(re.findall(r"^## (.+)\n\n\*\*Rings\.\*\* (.+(?:\n.+)*)", RUNBOOK, flags=re.MULTILINE))
MERCHANT, ONE, WEBHOOK = ("POST", "/voids"), ("GET", "/voids/{order_id}"), ("POST", "/webhooks/financial-line")
BY_TOKEN = ("POST", "/oauth/voids")


def heading(alarm: str) -> str:
    """Of an alarm on one function of several, without the function."""
    return re.sub(r" \(\w+\)$", "", alarm)


def synthesised(name: str) -> Template:
    return dict(json.loads((once.synthesised(name) / f"VoidService-{name}.template.json").read_text("utf-8")))


@pytest.fixture(scope="module")
def templates() -> dict[str, Template]:
    """Of `prod`, whose alarms also decide over releases, and of `local`, whose callers may have tokens."""
    return {name: synthesised(name) for name in ("prod", "local")}


@pytest.fixture(scope="module")
def alarms(templates: dict[str, Template]) -> dict[str, Alarm]:
    return alarms_of(templates["prod"])


@pytest.fixture(scope="module")
def seen(templates: dict[str, Template], alarms: dict[str, Alarm]) -> set[str]:
    """The custom metrics that an alarm reads or the dashboard shows."""
    shown = re.findall(r'\\"VoidService/prod\\",\\"(\w+)\\"', json.dumps(templates["prod"]))
    read = [stat for alarm in alarms.values() for stat in alarm.metrics.values()]
    return {stat.name for stat in read if stat.namespace == "VoidService/prod"} | {*shown}


@pytest.fixture(scope="module")
def against_release(templates: dict[str, Template]) -> set[str]:
    """The alarms that take a release back, the same of each function."""
    of_type = {name: (each["Type"], each["Properties"]) for name, each in templates["prod"]["Resources"].items()}
    groups = [each for kind, each in of_type.values() if kind == "AWS::CodeDeploy::DeploymentGroup"]
    (names,) = {tuple(each["Name"]["Ref"] for each in group["AlarmConfiguration"]["Alarms"]) for group in groups}
    return {of_type[name][1]["AlarmName"].split(" ", 1)[1] for name in names}


@pytest.mark.slow
@pytest.mark.parametrize(
    "story",
    [pytest.param(each, marks=[pytest.mark.proof] * each.at_night, id=each.title) for each in STORIES],
)
def test_a_story_rings_its_alarms_in_time_and_no_other(
    templates: dict[str, Template], alarms: dict[str, Alarm], story: Story, against_release: set[str], seen: set[str]
) -> None:
    service = Service(templates["prod"], story.minutes, filled=story.filled)
    service.tell(story.script)
    service.run()
    metrics, end = service.account.metrics, START + story.minutes * MINUTE_MS
    rang = {
        name: {reading: ringing(changes(alarm, metrics, START, end, reading)) for reading in readings(alarm)}
        for name, alarm in alarms.items()
    }
    for name, by_reading in rang.items():
        for reading, moments in by_reading.items():
            again = name in story.again and moments
            assert again or len(moments) == (name in story.rings), (name, reading)
    first = {name: [moments[0] for moments in rang[name].values()] for name in story.rings}
    cause = {name: service.troubles.get(name, service.troubles.get("", START)) for name in first}
    assert {name: -(-(max(first[name]) - cause[name]) // MINUTE_MS) for name in first} == story.rings
    assert [name for name in first if min(first[name]) <= cause[name] - MINUTE_MS] == []
    if story.bad_release:
        # Under the reading in which it takes longest, the first ring that takes it back comes while it is small.
        assert service.released is not None
        back = min(max(first[name]) for name in story.rings.keys() & against_release)
        assert back - service.released <= (CANARY_MINUTES - 1) * MINUTE_MS
    sent = {name for namespace, name, _ in metrics.minutes if namespace == service.account.namespace}
    assert sent <= seen, "a metric is billed for each hour in which it is sent"


def test_each_alarm_has_a_story_that_rings_it_and_many_that_do_not(alarms: dict[str, Alarm]) -> None:
    rings = Counter(name for story in STORIES for name in story.rings)
    assert set(rings) == set(alarms) == {name for story in STORIES if not story.at_night for name in story.rings}
    assert max(rings.values()) < len(STORIES)
    assert len({story.title for story in STORIES}) == len(STORIES)


def test_only_a_bad_release_rings_what_takes_a_release_back(against_release: set[str]) -> None:
    assert against_release == {
        "Unexpected error", "API fails",
        *(f"Function errors ({name})" for name in ("SubmitVoid", "ReadVoids", "ReceiveWebhook", "SettleVoids")),
    }  # fmt: skip
    for story in STORIES:
        # Lambda's own limit is the one cause that the gateway's answers do not tell from a crash.
        if not story.bad_release and not story.title.startswith("no concurrency"):
            assert not story.rings.keys() & against_release, story.title


# ---- the access log --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("route", "status", "refused_as", "account", "client", "counted"),
    [
        (MERCHANT, 200, None, OURS, None, None), (MERCHANT, 400, None, OURS, None, None),
        (MERCHANT, 502, None, OURS, None, None),  # the provider refuses our credentials
        (MERCHANT, 503, None, OURS, None, None),  # nothing could be sent
        (MERCHANT, 500, None, OURS, None, "AnswersLost"), (ONE, 500, None, OURS, None, "AnswersLost"),
        (BY_TOKEN, 500, None, None, None, "AnswersLost"),
        (WEBHOOK, 500, None, None, None, None),  # not stored, so that the provider sends it again
        (WEBHOOK, 500, "DEFAULT_5XX", None, None, "AnswersLost"),
        (MERCHANT, 504, "INTEGRATION_TIMEOUT", OURS, None, "AnswersLost"), (MERCHANT, 429, "THROTTLED", OURS, None, None),
        (MERCHANT, 403, "ACCESS_DENIED", OURS, None, "CallersRefused"),
        (ONE, 403, "INVALID_SIGNATURE", OURS, None, "CallersRefused"),
        (MERCHANT, 403, "ACCESS_DENIED", "999988887777", None, None),
        (MERCHANT, 403, "MISSING_AUTHENTICATION_TOKEN", None, None, None),
        (WEBHOOK, 403, "ACCESS_DENIED", None, None, None), (("GET", "-"), 403, "MISSING_AUTHENTICATION_TOKEN", None, None, None),
        (BY_TOKEN, 403, "ACCESS_DENIED", None, "shop", "CallersRefused"),  # its token lacks the scope
        (("GET", "/oauth/voids/{order_id}"), 403, None, None, "shop", "CallersRefused"),  # no longer one of `token_callers`
        (BY_TOKEN, 401, "UNAUTHORIZED", None, "", None),  # anybody can send a token that is none
        (BY_TOKEN, 403, "ACCESS_DENIED", None, "", None),  # whose claims AWS does not log: only the caller notices
        (BY_TOKEN, 200, None, None, "shop", None),
    ],
)  # fmt: skip
def test_what_the_access_log_counts(
    templates: dict[str, Template], route: Any, status: int, refused_as: str | None, account: str | None,
    client: str | None, counted: str | None,
) -> None:  # fmt: skip
    service = Account(templates["prod" if client is None else "local"])
    service.answered(*route, *[status, refused_as, account, client or None])
    assert next((name for _, name, _ in service.metrics.minutes), None) == counted


# ---- what the documents say ------------------------------------------------------------------------------------------


def as_text(minutes: int) -> str:
    """`7 minutes`, `2 hours and 1 minute`."""
    parts = zip(divmod(minutes, HOUR), ("hour", "minute"), strict=True)
    return " and ".join(f"{number} {unit}{'s' if number != 1 else ''}" for number, unit in parts if number)


def test_the_times_in_the_runbook_are_the_longest_of_all_stories() -> None:
    measured: dict[str, int] = defaultdict(int)
    for alarm, minutes in (each for story in STORIES for each in story.rings.items()):
        measured[heading(alarm)] = max(measured[heading(alarm)], minutes)
    said = {alarm: re.match(r"Within ((?:\d+ \w+(?: and (?=\d))?)+)", text) for alarm, text in PROMISED.items()}
    assert {alarm: found[1] for alarm, found in said.items() if found} == {
        alarm: as_text(minutes) for alarm, minutes in measured.items()
    }


def test_the_runbook_says_which_alarms_take_a_release_back(against_release: set[str]) -> None:
    named = {alarm for alarm, text in PROMISED.items() if "Takes a release back." in text}
    assert named == {heading(alarm) for alarm in against_release}


@pytest.mark.proof
@pytest.mark.parametrize(("figure", "script"), [(deployed.QUIET, hours.QUIET), (deployed.THOUSAND, hours.THOUSAND)])
def test_the_hours_in_which_metrics_are_sent_are_those_of_the_table(
    templates: dict[str, Template], figure: str, script: str
) -> None:
    kept = deployed.load()[figure]["ours"]
    assert hours.metric_months(templates["prod"], script) == kept, "after a change: python -m proof.benchmarks --again"


def test_the_table_of_cost_counts_what_the_template_has(alarms: dict[str, Alarm], seen: set[str]) -> None:
    kept = [deployed.load()[figure]["ours"] for figure in (deployed.READ, deployed.CUSTOM)]
    counted = [sum(len(alarm.metrics) for alarm in alarms.values()), len(seen)]
    assert kept == counted, "after a change: python -m proof.benchmarks --again"
