"""Rows, what is found about them, and the probes that find it. Pure: no probe runs here."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ops.acceptance.site import Site


class Verdict(StrEnum):
    """How a row ends."""

    CONFIRMED = "confirmed"
    CONTRADICTED = "contradicted"
    NOT_SEEN = "not seen"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One question. `depends` names the files and the rule that rest on what is assumed."""

    id: str
    question: str
    assumed: str
    depends: tuple[str, ...]
    rule: str
    otherwise: str
    """What to do when it is contradicted."""
    observe: str
    """How it is observed."""
    setting: str = ""
    """The exact change, where a setting exists."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What was seen about one row."""

    row: str
    verdict: Verdict
    evidence: Mapping[str, object] = field(default_factory=dict)
    why: str = ""
    """For a row that was not seen: the reason. Otherwise a sentence that the evidence needs."""


def judged(row: str, holds: bool, evidence: Mapping[str, object], why: str = "") -> Finding:
    """Confirmed if what is assumed holds, else contradicted."""
    return Finding(row, Verdict.CONFIRMED if holds else Verdict.CONTRADICTED, evidence, why)


def not_seen(row: str, why: str, evidence: Mapping[str, object] | None = None) -> Finding:
    """Nothing can be said, for a reason."""
    return Finding(row, Verdict.NOT_SEEN, evidence or {}, why)


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """One thing that is done, and the rows that it answers."""

    rows: tuple[str, ...]
    run: "Callable[[Site], Iterator[Finding]]"
    does: str
    """What it does to the world, for whoever is asked first; empty: it only looks."""
    rights: tuple[str, ...] = ()
    """Beyond those of an operator: `ops.acceptance.__main__` names these."""
    minutes: float = 0.1
    hold: int | None = None
    """Which of the given holds it needs: 0 is the first."""
    not_locally: str = ""
    """Why the local run cannot answer; empty: it can."""
