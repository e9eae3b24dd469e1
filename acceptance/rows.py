"""Rows, what is found about them, and the probes that find it. Their texts stand in rows.toml; no probe runs here."""

import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from acceptance.site import Site

FACTS: dict[str, Any] = tomllib.loads(Path(__file__).with_name("rows.toml").read_text(encoding="utf-8"))
"""All of the file: rows, probes, the commands' texts, calls of AWS, and lists of what is tried."""


class Verdict(StrEnum):
    CONFIRMED = "confirmed"
    CONTRADICTED = "contradicted"
    NOT_SEEN = "not seen"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One question; its report has these names. `setting` is the exact change, `smoke` the sentence of `make smoke`."""

    id: str
    question: str
    assumed: str
    depends: list[str]
    rule: str
    if_contradicted: str
    observed_by: str
    setting: str | None = None
    smoke: str = ""
    requests: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Finding:
    """What was seen about one row. `why`: the reason if it was not seen, else a sentence that the evidence needs."""

    row: str
    verdict: Verdict
    evidence: Mapping[str, object] = field(default_factory=dict)
    why: str = ""


def judged(row: str, holds: object, evidence: Mapping[str, object], why: str = "") -> Finding:
    """Confirmed if what is assumed holds, else contradicted."""
    return Finding(row, Verdict.CONFIRMED if holds else Verdict.CONTRADICTED, evidence, why)


def not_seen(row: str, why: str, evidence: Mapping[str, object] | None = None) -> Finding:
    return Finding(row, Verdict.NOT_SEEN, evidence or {}, why)


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """One thing that is done, and the rows that it answers.

    `does` is what it does to the world, empty if it only looks; `rights` are beyond those of an operator; `hold` is the
    one that it needs, 0 the first; `not_locally` says why the local run cannot answer.
    """

    rows: tuple[str, ...]
    run: "Callable[[Site], Iterator[Finding]]"
    does: str = ""
    rights: Sequence[str] = ()
    minutes: float = 0.1
    hold: int | None = None
    not_locally: str = ""


def read() -> tuple[list[Row], list[Probe]]:
    """All rows and probes in the order of the file; what several rows of a probe share stands before them in `each`."""
    rows: list[Row] = []
    probes: list[Probe] = []
    for entry in map(dict, FACTS["probe"]):
        shared, (module, name) = entry.pop("each", {}), entry["run"].split(".")
        answered = [Row(**shared | one) for one in entry["rows"]]
        run: Any = getattr(import_module(f"acceptance.probes.{module}"), name)
        if any(row.requests for row in answered):
            run = partial(run, rows=answered)
        probes.append(Probe(**entry | {"run": run, "rows": tuple(row.id for row in answered)}))
        rows += answered
    return rows, probes
