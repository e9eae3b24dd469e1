"""Every recording is held by a test, or stands in tests/vectors/aws-not-followed.json with the reason why not."""

import json
import re
from pathlib import Path

from tests.integration.recorded import BY_ID, TOPICS

TESTS = Path(__file__).parents[1]


def test_every_recording_is_tested_or_has_its_reason_and_not_both() -> None:
    reasons = json.loads((TESTS / "vectors" / "aws-not-followed.json").read_text(encoding="utf-8"))
    elsewhere = {each["id"] for topic in reasons["topics_elsewhere"] for each in TOPICS[topic]}
    excused = {name for each in reasons["not_followed"] if each["why"] for name in each["recordings"]}
    files = [file for file in TESTS.rglob("test_*.py") if file != Path(__file__)]
    named = {name for file in files for name in re.findall(r'"([a-z0-9-]+)"', file.read_text(encoding="utf-8"))}
    assert set(BY_ID) - elsewhere == (named & set(BY_ID) - elsewhere) | excused
    assert not named & excused
    assert all((TESTS / each["file"]).exists() and each["why"] for each in reasons["topics_elsewhere"].values())
