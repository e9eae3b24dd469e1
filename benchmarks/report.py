"""Results as a table in docs/performance.md and as benchmarks/results.json.

Promises that nothing outside the two markers of the document is touched.
"""

import json
import os
import platform
import statistics
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.measure import NEAR_REGION, Samples, far_away, quantile
from benchmarks.subjects import HEADS, HERE, PEERS

DOCUMENT = HERE.parent / "docs" / "performance.md"
BEGIN, END = "<!-- make bench writes from here -->", "<!-- to here -->"
WITHOUT_BYTE_CODE = "submit: cold instructions, peers without byte code, millions"
TARGETS: dict[str, dict[str, float]] = {
    far_away("submit", NEAR_REGION): {"by_hand": 1.06, "floor": 1.06},
    "submit: warm instructions, millions": {"by_hand": 1.15},
    "webhook: warm instructions, millions": {"by_hand": 0.92},
    "submit: cold instructions, millions": {"by_hand": 0.45, "powertools": 0.25},
    WITHOUT_BYTE_CODE: {"by_hand": 0.20, "powertools": 0.10},
    "submit: CPU after dropped connections, µs": {"by_hand": 0.12, "powertools": 0.07},
    "submit: memory after 1,000, MiB": {"by_hand": 0.75, "powertools": 0.45},
    "package zipped, MiB": {"by_hand": 0.25, "powertools": 0.20},
    "submit: cold wall with latency, ms": {"by_hand": 0.90, "powertools": 0.60},
}
"""The ratios that we set out to reach. docs/performance.md says why, where a figure falls short."""

Row = dict[str, Any]


def write(found: Samples, without: Samples, levers: dict[str, str], *, quick: bool) -> None:
    """Everything, from the samples of one run. `levers`: the subject of each lever and what was taken out of it."""
    rows, lever_rows = compare_all(found), compare_levers(without, levers)
    lines = ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows + lever_rows)
    (HERE / "results.json").write_text(f"[\n{lines}\n]\n")
    parts = [head(quick), target_table(rows), table(found, rows), lever_table(lever_rows, list(levers.values()))]
    text = "\n\n".join("\n".join(part) for part in parts)
    into_document(DOCUMENT, BEGIN, END, text)
    sys.stdout.write(text + "\n")


def compare_all(found: Samples) -> list[Row]:
    """Ours with each other subject, and each peer with the floor, wherever both were measured."""
    rows = [
        compare(figure, values, subject, peer)
        for figure, values in found.items()
        for subject in ("ours", *PEERS)
        for peer in PEERS
        if subject != peer and (subject == "ours" or peer == "floor")
    ]
    return [row for row in rows if row is not None]


def compare_levers(without: Samples, levers: dict[str, str]) -> list[Row]:
    """Our asset with something taken out of it, and as it is."""
    rows = [
        (what, compare(figure, values, name, "ours"))
        for figure, values in without.items()
        for name, what in levers.items()
    ]
    return [{**row, "subject": f"ours, {what}"} for what, row in rows if row is not None]


def compare(figure: str, values: dict[str, list[float]], subject: str, peer: str) -> Row | None:
    """The median of the rounds' ratios, and the quartiles as its spread."""
    # Not strict: where a run was cut, what both have is compared. Without a divisor there is no ratio.
    pairs = zip(values.get(subject, []), values.get(peer, []), strict=False)
    ratios = [one / other for one, other in pairs if other]
    if not ratios:
        return None
    low, high = quantile(ratios, 0.25), quantile(ratios, 0.75)
    middle = statistics.median(ratios)
    return {
        "figure": figure,
        "subject": subject,
        "peer": peer,
        "ratio": round(middle, 3),
        "low": round(min(low, middle), 3),
        "high": round(max(high, middle), 3),
    }


def head(quick: bool) -> list[str]:
    """What was measured where."""
    day = datetime.now(UTC).date().isoformat()
    machine = f"Python {platform.python_version()}, {os.cpu_count()} processors, {platform.machine()}"
    return [
        f"Taken {day}{' with --quick' if quick else ''} ({machine}). Each cell is the median of the rounds' ratios,",
        "this service divided by the other, with the quartiles in brackets; below 1 is better. The rest are medians.",
    ]


def target_table(rows: list[Row]) -> list[str]:
    """What was aimed at beside what came out; bold where it is reached."""
    ratios = {(row["figure"], row["peer"]): row["ratio"] for row in rows if row["subject"] == "ours"}
    lines = [heading("reached / target", [f"to {HEADS[peer]}" for peer in PEERS])]
    for figure, targets in TARGETS.items():
        if all((figure, peer) in ratios for peer in targets):
            cells = [aim(ratios[figure, peer], targets[peer]) if peer in targets else "" for peer in PEERS]
            lines.append(line(figure, cells))
    return lines


def heading(first: str, others: list[str]) -> str:
    """The first two lines of a table."""
    return line(first, others) + "\n" + "|---" * (len(others) + 1) + "|"


def line(first: str, others: list[str]) -> str:
    """One line of a table."""
    return "| " + " | ".join([first, *others]) + " |"


def aim(ratio: float, target: float) -> str:
    """A ratio beside its target; judged as it is shown."""
    text = f"{ratio:.2f} / {target:.2f}"
    return f"**{text}**" if round(ratio, 2) <= target else text


def table(found: Samples, rows: list[Row]) -> list[str]:
    """One line a figure."""
    cells = {(row["figure"], row["peer"]): row for row in rows if row["subject"] == "ours"}
    lines = [heading("figure", [*(f"to {HEADS[peer]}" for peer in PEERS), *(HEADS[name] for name in ("ours", *PEERS))])]
    for figure, values in found.items():
        ratios = [cell(cells.get((figure, peer))) for peer in PEERS]
        medians = [number(statistics.median(values[name])) if values.get(name) else "" for name in ("ours", *PEERS)]
        lines.append(line(figure, [*ratios, *medians]))
    return lines


def lever_table(rows: list[Row], levers: list[str]) -> list[str]:
    """What each lever is worth: without it, divided by with it."""
    figures = list(dict.fromkeys(row["figure"] for row in rows if "round trips" not in row["figure"]))
    cells = {(row["figure"], row["subject"]): row for row in rows}
    lines = [
        "What each lever is worth: the asset without it divided by the asset as it is (1.0: no effect).",
        "",
        heading("figure", levers),
    ]
    lines.extend(line(figure, [cell(cells.get((figure, f"ours, {what}"))) for what in levers]) for figure in figures)
    return lines


def cell(row: Row | None) -> str:
    """A ratio and its spread."""
    if row is None:
        return ""
    if row["low"] == row["high"]:
        return f"**{row['ratio']:.2f}**"
    return f"**{row['ratio']:.2f}** ({row['low']:.2f}–{row['high']:.2f})"


def number(value: float) -> str:
    """Three digits that count."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def into_document(document: Path, begin: str, end: str, text: str) -> None:
    """Replace what stands between the markers, and nothing else."""
    before, found, rest = document.read_text().partition(begin)
    if not found or end not in rest:
        raise ValueError(f"{document.name} has lost the markers of its generated part")
    document.write_text(f"{before}{begin}\n\n{text}\n\n{end}{rest.partition(end)[2]}")
