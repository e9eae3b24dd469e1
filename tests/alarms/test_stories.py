"""Each story rings exactly its alarms in its time, under every reading of what AWS's documentation leaves open."""

from collections import Counter
from collections.abc import Callable

import pytest

from tests.alarms.conftest import Told
from tests.alarms.evaluator import Alarm
from tests.alarms.stories import STORIES, Story

CANARY_MINUTES = 15


@pytest.mark.slow
@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.title)
def test_a_story_rings_its_alarms_in_time_and_no_other(
    story: Story, tell: Callable[[Story], Told], against_release: set[str], seen: set[str]
) -> None:
    told = tell(story)
    for reading in {reading for each in told.rang.values() for reading in each}:
        counted = {name: len(moments[reading]) for name, moments in told.rang.items() if moments.get(reading)}
        assert counted.keys() == {name for name in story.rings if reading in told.rang[name]}, reading
        assert {name: count for name, count in counted.items() if name not in story.again and count != 1} == {}, reading
    assert {name: max(told.waited(name)) for name in story.rings} == story.rings
    assert [name for name in story.rings if min(told.waited(name)) < 0] == []
    if story.bad_release:
        assert told.canary(story.rings.keys() & against_release) < CANARY_MINUTES
    assert told.sent <= seen, "a metric is billed for each hour in which it is sent"


def test_each_alarm_has_a_story_that_rings_it_and_many_that_do_not(alarms: dict[str, Alarm]) -> None:
    rings = Counter(name for story in STORIES for name in story.rings)
    assert set(rings) == set(alarms)
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
