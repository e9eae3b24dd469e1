"""What others recorded of AWS (tests/vectors/aws-recorded.json), by id.

A test that holds the project against a recording names its id in a call of `vector` or `vectors`;
test_recorded_gateway.py finds the ids that nobody names.
"""

import json
from pathlib import Path
from typing import Any

import pytest

FILE = Path(__file__).parents[1] / "vectors" / "aws-recorded.json"
TOPICS: dict[str, list[dict[str, Any]]] = json.loads(FILE.read_text(encoding="utf-8"))["topics"]
BY_ID = {each["id"]: each for topic in TOPICS.values() for each in topic}

Vector = dict[str, Any]


def vector(name: str) -> Vector:
    return BY_ID[name]


def vectors(*names: str) -> pytest.MarkDecorator:
    """Runs a test with each of these as its argument `recorded`."""
    return pytest.mark.parametrize("recorded", [pytest.param(BY_ID[name], id=name) for name in names])


def result_of(name: str) -> Any:
    return vector(name)["result"]


def within(expected: Any, actual: Any) -> bool:
    """Is everything that was recorded there? What a recording leaves out may be anything."""
    if isinstance(expected, dict) and isinstance(actual, dict):
        return all(name in actual and within(value, actual[name]) for name, value in expected.items())
    return bool(expected == actual)
