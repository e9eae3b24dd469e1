"""What the runbook promises is what the stories measure."""

import re
from pathlib import Path

import pytest

from tests.alarms.stories import STORIES

RUNBOOK = Path(__file__).parents[2] / "docs" / "runbook.md"


def heading(alarm: str) -> str:
    """Of an alarm on one function of several, without the function."""
    return re.sub(r" \(\w+\)$", "", alarm)


def measured() -> dict[str, int]:
    """The longest time until an alarm rings, over all stories that ring it."""
    longest: dict[str, int] = {}
    for story in STORIES:
        for alarm, minutes in story.rings.items():
            longest[heading(alarm)] = max(minutes, longest.get(heading(alarm), 0))
    return longest


def promised() -> dict[str, str]:
    """The text of `Rings` under each heading of the runbook."""
    text = RUNBOOK.read_text(encoding="utf-8")
    return dict(re.findall(r"^## (.+)\n\n\*\*Rings\.\*\* (.+(?:\n.+)*)", text, flags=re.MULTILINE))


def as_text(minutes: int) -> str:
    """`7 minutes`, `2 hours and 1 minute`."""
    hours, left = divmod(minutes, 60)
    parts = [
        f"{number} {unit}{'s' if number != 1 else ''}" for number, unit in ((hours, "hour"), (left, "minute")) if number
    ]
    return " and ".join(parts)


@pytest.mark.parametrize(("alarm", "minutes"), sorted(measured().items()))
def test_the_time_in_the_runbook_is_the_measured_one(alarm: str, minutes: int) -> None:
    assert promised()[alarm].startswith(f"Within {as_text(minutes)}")
    assert re.match(rf"Within {as_text(minutes)}\b(?! and \d)", promised()[alarm])


def test_every_promise_has_a_story() -> None:
    assert promised().keys() == measured().keys()


def test_the_runbook_says_which_alarms_take_a_release_back(against_release: set[str]) -> None:
    named = {alarm for alarm, text in promised().items() if "Takes a release back." in text}
    assert named == {heading(alarm) for alarm in against_release}


@pytest.mark.parametrize(
    ("minutes", "text"), [(1, "1 minute"), (7, "7 minutes"), (60, "1 hour"), (121, "2 hours and 1 minute")]
)
def test_times_as_text(minutes: int, text: str) -> None:
    assert as_text(minutes) == text
