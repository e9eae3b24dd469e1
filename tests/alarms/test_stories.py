"""Each story rings exactly its alarms, under every reading of what AWS's documentation leaves open."""

from collections import Counter
from collections.abc import Callable

import pytest

from tests.alarms.conftest import Told
from tests.alarms.evaluator import Alarm
from tests.alarms.stories import STORIES, Story

CANARY_MINUTES = 15


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.title)
def test_a_story_rings_its_alarms_once_each_and_no_other(story: Story, told: Callable[[Story], Told]) -> None:
    rang = told(story).rang
    for reading in {reading for each in rang.values() for reading in each}:
        counted = {name: len(moments[reading]) for name, moments in rang.items() if moments.get(reading)}
        expected = {name: 1 for name in story.rings if reading in rang[name]}
        assert counted == expected, reading


@pytest.mark.parametrize("story", [story for story in STORIES if story.rings], ids=lambda story: story.title)
def test_no_alarm_rings_before_its_cause(story: Story, told: Callable[[Story], Told]) -> None:
    assert [name for name in story.rings if told(story).minutes(name) < 1] == []


def test_each_alarm_has_a_story_that_rings_it_and_many_that_do_not(alarms: dict[str, Alarm]) -> None:
    rings = Counter(name for story in STORIES for name in story.rings)
    assert set(rings) == set(alarms)
    assert max(rings.values()) < len(STORIES)


def test_titles_are_told_apart() -> None:
    assert len({story.title for story in STORIES}) == len(STORIES)


def test_only_a_bad_release_rings_what_takes_a_release_back(against_release: set[str]) -> None:
    assert against_release == {
        "Unexpected error", "API fails",
        *(f"Function errors ({name})" for name in ("SubmitVoid", "ReadVoids", "ReceiveWebhook", "SettleVoids")),
    }  # fmt: skip
    for story in STORIES:
        # Lambda's own limit is the one cause that the gateway's answers do not tell from a crash.
        if not story.bad_release and not story.title.startswith("no concurrency"):
            assert not story.rings & against_release, story.title


@pytest.mark.parametrize("story", [story for story in STORIES if story.bad_release], ids=lambda story: story.title)
def test_a_bad_release_is_seen_while_the_canary_runs(
    story: Story, told: Callable[[Story], Told], against_release: set[str]
) -> None:
    seen = [told(story).minutes(name) for name in story.rings & against_release]
    assert seen
    assert min(seen) < CANARY_MINUTES
