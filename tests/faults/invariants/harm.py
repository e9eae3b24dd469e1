"""The four kinds of harm: each invariant belongs to one, and a violation begins with its name."""

from enum import StrEnum


class Harm(StrEnum):
    """A column of docs/faults.md."""

    DOUBLE_VOID = "double void"
    LOST = "lost operation"
    WRONG = "wrong answer"
    DISAGREEMENT = "disagreement"


def harm_of(violation: str) -> Harm:
    """The column that a violation belongs to."""
    return Harm(violation.partition(": ")[0])
