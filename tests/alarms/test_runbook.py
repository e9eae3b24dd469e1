"""What the runbook promises is what the stories measure."""

import re
from collections import defaultdict

from infra.synth import ROOT
from tests.alarms.stories import STORIES

RUNBOOK = (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")
PROMISED: dict[str, str] = dict(re.findall(r"^## (.+)\n\n\*\*Rings\.\*\* (.+(?:\n.+)*)", RUNBOOK, flags=re.MULTILINE))


def heading(alarm: str) -> str:
    """Of an alarm on one function of several, without the function."""
    return re.sub(r" \(\w+\)$", "", alarm)


def as_text(minutes: int) -> str:
    """`7 minutes`, `2 hours and 1 minute`."""
    parts = zip(divmod(minutes, 60), ("hour", "minute"), strict=True)
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


def test_times_as_text() -> None:
    assert [as_text(each) for each in (1, 7, 60, 121)] == ["1 minute", "7 minutes", "1 hour", "2 hours and 1 minute"]
