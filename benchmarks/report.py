"""Results as a table in docs/performance.md, as benchmarks/results.json and as a picture of multiples of the floor.

Promises that nothing outside the two markers of the document is touched.
"""

import json
import os
import platform
import statistics
import sys
from datetime import UTC, datetime
from typing import Any
from xml.sax.saxutils import escape

from benchmarks.measure import Samples, quantile
from benchmarks.subjects import HERE, NAMES, PEERS

DOCUMENT = HERE.parent / "docs" / "performance.md"
BEGIN, END = "<!-- make bench writes from here -->", "<!-- to here -->"
PICTURE = (
    "cold CPU, ms",
    "warm CPU p50, µs",
    "CPU after dropped connections, µs",
    "memory after 1,000, MiB",
)
TARGETS = {
    "submit: cold instructions, millions": (0.45, 0.25, 0.25),
    "submit: cold instructions, peers without byte code, millions": (0.20, 0.10, 0.09),
    "submit: warm instructions, millions": (0.80, 0.35, 0.63),
    "webhook: warm instructions, millions": (0.80, 0.25, 0.60),
    "submit: CPU after dropped connections, µs": (0.12, 0.07, 0.20),
    "submit: memory after 1,000, MiB": (0.75, 0.45, 0.50),
    "package zipped, MiB": (0.25, 0.20, 0.20),
    "submit: cold wall with latency, ms": (0.90, 0.60, 0.65),
}
"""What we set out to reach against P1, P2 and P3; docs/performance.md says why not, where a figure falls short."""
COLOURS = {"ours": "#0b6e4f", "p1": "#7a8793", "p2": "#a3adb5", "p3": "#c8ced3"}

Row = dict[str, Any]


def write(found: Samples, without: Samples, levers: dict[str, str], *, quick: bool) -> None:
    """Everything, from the samples of one run."""
    rows = [
        row
        for figure, values in found.items()
        for subject in ("ours", "p1", "p2", "p3")
        for peer in PEERS
        if subject != peer and values.get(subject) and values.get(peer) and (subject == "ours" or peer == "floor")
        for row in [compare(figure, values, subject, peer)]
        if row is not None
    ]
    lever_rows = [
        row
        for figure, values in without.items()
        for name, what in levers.items()
        if values.get(name)
        for row in [compare(figure, values, name, "ours")]
        if row is not None
        for _ in [row.update(subject=f"ours, {what}")]
    ]
    (HERE / "results.json").write_text(
        "[\n" + ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows + lever_rows) + "\n]\n"
    )
    (HERE / "results.svg").write_text(picture(rows))
    parts = [head(quick), target_table(rows), table(found, rows), lever_table(lever_rows, list(levers.values()))]
    text = "\n\n".join("\n".join(part) for part in parts)
    into_document(text)
    sys.stdout.write(text + "\n")


def compare(figure: str, values: dict[str, list[float]], subject: str, peer: str) -> Row | None:
    """The median of the rounds' ratios, and the quartiles as its spread."""
    ratios = [one / other for one, other in zip(values[subject], values[peer], strict=False) if other]
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
    cells = {(row["figure"], row["peer"]): row["ratio"] for row in rows if row["subject"] == "ours"}
    lines = ["| reached / target | to P1 | to P2 | to P3 |", "|---|---|---|---|"]
    for figure, targets in TARGETS.items():
        ratios = [(cells.get((figure, peer)), target) for peer, target in zip(PEERS, targets, strict=False)]
        if all(ratio is not None for ratio, _ in ratios):
            lines.append(f"| {figure} | " + " | ".join(aim(ratio, target) for ratio, target in ratios) + " |")
    return lines


def aim(ratio: float, target: float) -> str:
    """A ratio beside its target; judged as it is shown."""
    text = f"{ratio:.2f} / {target:.2f}"
    return f"**{text}**" if round(ratio, 2) <= target else text


def table(found: Samples, rows: list[Row]) -> list[str]:
    """One line a figure."""
    cells = {(row["figure"], row["peer"]): row for row in rows if row["subject"] == "ours"}
    lines = [
        "| figure | to P1 | to P2 | to P3 | to the floor | ours | P1 | P2 | P3 | floor |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for figure, values in found.items():
        ratios = [cell(cells.get((figure, peer))) for peer in PEERS]
        medians = [number(statistics.median(values[name])) if values.get(name) else "" for name in ("ours", *PEERS)]
        lines.append("| " + " | ".join([figure, *ratios, *medians]) + " |")
    return lines


def lever_table(rows: list[Row], levers: list[str]) -> list[str]:
    """What each lever is worth: without it, divided by with it."""
    figures = list(dict.fromkeys(row["figure"] for row in rows if "round trips" not in row["figure"]))
    cells = {(row["figure"], row["subject"]): row for row in rows}
    lines = [
        "What each lever is worth: the asset without it divided by the asset as it is (1.0: no effect).",
        "",
        "| figure | " + " | ".join(levers) + " |",
        "|---" * (len(levers) + 1) + "|",
    ]
    lines.extend(
        "| " + " | ".join([figure, *(cell(cells.get((figure, f"ours, {what}"))) for what in levers)]) + " |"
        for figure in figures
    )
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


def into_document(text: str) -> None:
    """Replace what stands between the markers."""
    before, found, rest = DOCUMENT.read_text().partition(BEGIN)
    if not found or END not in rest:
        raise ValueError(f"{DOCUMENT.name} has lost the markers of its generated part")
    DOCUMENT.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{rest.partition(END)[2]}")


# ---- picture ---------------------------------------------------------------------------------------------------------


def picture(rows: list[Row]) -> str:
    """Bars of each subject's multiple of the floor, one group a figure, each group on its own scale."""
    ratios = {(row["figure"], row["subject"]): row for row in rows if row["peer"] == "floor"}
    figures = [f"{work}: {figure}" for figure in PICTURE for work in ("submit", "webhook")]
    figures = [figure for figure in figures if (figure, "ours") in ratios]
    group, left, width, first = 116, 230, 540, 92
    height = first + group * len(figures)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 860 {height}" font-family="sans-serif" font-size="13">',
        f'<rect width="860" height="{height}" fill="#ffffff"/>',
        '<text x="20" y="32" font-size="18" fill="#1c2429">Multiples of the floor: shorter is better</text>',
        '<line x1="20" y1="44" x2="20" y2="60" stroke="#b3261e" stroke-width="2"/>',
        '<text x="28" y="57" fill="#4a555d">the floor = 1: http.client and a hand-made signature, none of the guards. '
        "Each group has its own scale.</text>",
    ]
    for place, figure in enumerate(figures):
        top = first + place * group
        scale = width / max(ratios[figure, name]["ratio"] for name in COLOURS if (figure, name) in ratios)
        title = escape(figure.rpartition(", ")[0])
        parts.append(f'<text x="20" y="{top}" font-weight="bold" fill="#1c2429">{title}</text>')
        for line, (name, colour) in enumerate(COLOURS.items()):
            ratio, y, who = ratios[figure, name]["ratio"], top + 9 + line * 19, escape(NAMES[name])
            weight = ' font-weight="bold"' if name == "ours" else ""
            parts += [
                f'<text x="{left - 8}" y="{y + 12}" text-anchor="end"{weight} fill="#4a555d">{who}</text>',
                f'<rect x="{left}" y="{y}" width="{ratio * scale:.1f}" height="15" fill="{colour}"/>',
                f'<text x="{left + ratio * scale + 6:.1f}" y="{y + 12}"{weight} fill="#1c2429">{ratio:.1f}</text>',
            ]
        x = left + scale
        parts.append(
            f'<line x1="{x:.1f}" y1="{top + 5}" x2="{x:.1f}" y2="{top + 86}" stroke="#b3261e" stroke-width="2"/>'
        )
    return "\n".join([*parts, "</svg>", ""])
