"""A run as proof/benchmarks/results.json and as tables of docs/performance.md: a test compares the two.

Promises that nothing outside the markers of the document is touched.
"""

import json
import statistics
from typing import Any

from proof.benchmarks import cost, deployed
from proof.benchmarks.measure import BARE, NEAR_REGION, OTHER_REGION, Samples
from proof.benchmarks.subjects import HEADS, HERE, PEERS
from proof.commit import ROOT, replaced

DOCUMENT = ROOT / "docs" / "performance.md"
RESULTS = HERE / "results.json"
MARKERS = {
    part: (f"<!-- {writes} from here -->", f"<!-- {writes} to here -->")
    for part, writes in {"results": "make bench writes", "cost": "make bench writes the bill"}.items()
}
"""Between which each generated part stands."""
TARGETS: dict[str, dict[str, float]] = {
    "submit: cold instructions, millions": {"by_hand": 0.43},
    "webhook: cold instructions, millions": {"by_hand": 0.48},
    f"submit: {BARE}": {"by_hand": 0.20, "powertools": 0.10},
    "submit: warm instructions, millions": {"by_hand": 1.00},
    "webhook: warm instructions, millions": {"by_hand": 0.85},
    f"submit: first invoke, wall ({OTHER_REGION}), ms": {"by_hand": 0.60},
    f"webhook: first invoke, wall ({OTHER_REGION}), ms": {"by_hand": 0.55},
    f"submit: warm, wall ({NEAR_REGION}), ms": {"by_hand": 1.06},
    f"submit: warm, wall ({OTHER_REGION}), ms": {"by_hand": 1.08},
    "submit: memory after 1,000, MiB": {"by_hand": 0.76, "powertools": 0.45},
    "package zipped, MiB": {"by_hand": 0.17, "powertools": 0.20},
}
"""The ratios that we set out to reach. docs/performance.md says why, where a figure falls short."""

Results = dict[str, Any]
Rows = list[list[str]]
TABLE_TRIPS, OPENING, ANSWER = 2 * 8, 10, 200
"""Milliseconds of a query with its lease and its outcome, at 8/10/200."""
ASKING = 35 / 60
"""A settle run begins each minute and asks for 35 seconds of it."""


def results(head: dict[str, str], found: Samples, without: Samples) -> Results:
    """What is kept of a run: medians, and of each pair the median of the rounds' ratios with its quartiles."""
    rows: dict[str, Any] = {}
    for figure, values in found.items():
        medians = {name: float(f"{statistics.median(each):.4g}") for name, each in values.items()}
        ratios = {peer: pair for peer in PEERS if (pair := compare(values, "ours", peer))}
        rows[figure] = {"medians": medians, "ratios": ratios}
    levers = {
        figure: {name: pair for name in values if name != "ours" and (pair := compare(values, name, "ours"))}
        for figure, values in without.items()
    }
    return {"head": head, "figures": rows, "levers": levers}


def compare(values: dict[str, list[float]], subject: str, peer: str) -> list[float] | None:
    """The median of the rounds' ratios, its lower and its upper quartile. Without a divisor there is no ratio."""
    # Not strict: where a run was cut, what both have is compared.
    pairs = zip(values.get(subject, []), values.get(peer, []), strict=False)
    ratios = sorted(one / other for one, other in pairs if other)
    if not ratios:
        return None
    middle, quarter = statistics.median(ratios), (len(ratios) - 1) // 4
    return [round(each, 3) for each in (middle, ratios[quarter], ratios[-1 - quarter])]


def medians(kept: Results) -> cost.Figures:
    return deployed.load() | {figure: row["medians"] for figure, row in kept["figures"].items()}


def texts(kept: Results) -> dict[str, str]:
    head = ", ".join(f"{name} {value}" for name, value in kept["head"].items())
    levers = list(dict.fromkeys(name for pairs in kept["levers"].values() for name in pairs))
    peers = [f"to {HEADS[peer]}" for peer in PEERS]
    figures = [["figure", *peers, *HEADS.values()]]
    for figure, row in kept["figures"].items():
        ratios = [cell(row["ratios"].get(peer)) for peer in PEERS]
        figures.append([figure, *ratios, *(number(row["medians"].get(name)) for name in HEADS)])
    parts: list[str | Rows] = [
        f"Taken with {head}. A ratio is this service divided by the other: the median of the rounds, and the\n"
        "quartiles in brackets; below 1 is better. The rest are medians.",
        [["reached / target", *peers[:2]], *targets(kept)],
        figures,
        "What each lever is worth: the asset without it divided by the asset as it is (1.0: no effect).",
        [
            ["figure", *(name.removeprefix("ours: ") for name in levers)],
            *([figure, *(cell(pairs.get(name)) for name in levers)] for figure, pairs in kept["levers"].items()),
        ],
        *picture(kept),
    ]
    return {"results": written(parts), "cost": written(cost.document(medians(kept)))}


def written(parts: list[str | Rows]) -> str:
    return "\n\n".join(part if isinstance(part, str) else table(part) for part in parts)


def table(rows: Rows) -> str:
    first, *others = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([first, "|---" * len(rows[0]) + "|", *others])


def targets(kept: Results) -> Rows:
    """What was aimed at beside what came out; bold where it is reached."""
    rows = []
    for figure, aims in TARGETS.items():
        ratios = kept["figures"].get(figure, {}).get("ratios", {})
        if aims.keys() <= ratios.keys():
            rows.append([figure, *(aimed(ratios[peer][0], aims.get(peer)) for peer in PEERS[:2])])
    return rows


def aimed(ratio: float, target: float | None) -> str:
    if target is None:
        return ""
    shown = f"{ratio:.2f} / {target:.2f}"
    return f"**{shown}**" if round(ratio, 2) <= target else shown


def picture(kept: Results) -> list[str]:
    """How many voids a second settle, by workers and by runs at once: computed from what a query takes."""
    cpu = medians(kept)["settle: CPU of a query, µs"]["ours"] / 1000
    workers, runs = (1, 4, 8, 16, 32, 64), (1, 2, 4)

    def rate(each: int, at_once: int) -> int:
        """A run has one processor; its workers wait for it, or for the other side."""
        return round(at_once * ASKING * 1000 / max((TABLE_TRIPS + OPENING + ANSWER + cpu) / each, cpu))

    chart = [
        "```mermaid", "xychart-beta", '    title "voids settled a second, by 1, 2 and 4 runs at once"',
        f'    x-axis "settle_workers" [{", ".join(map(str, workers))}]', '    y-axis "a second"',
        *(f"    line [{', '.join(str(rate(each, at_once)) for each in workers)}]" for at_once in runs), "```",
    ]  # fmt: skip
    minutes = 100_000 / rate(8, 1) / 60
    return [f"One run a minute with 8 workers settles 100,000 open voids in {minutes:.0f} minutes:", "\n".join(chart)]


def cell(pair: list[float] | None) -> str:
    if pair is None:
        return ""
    middle, low, high = (f"{each:.2f}" for each in pair)
    return f"**{middle}**" + ("" if low == high else f" ({low}–{high})")


def number(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def keep(kept: Results) -> None:
    """Write a whole run: a line a figure, so that a change can be read."""

    def lines(name: str) -> str:
        rows = (f"{json.dumps(figure, ensure_ascii=False)}: {json.dumps(row)}" for figure, row in kept[name].items())
        return f'"{name}": {{\n' + ",\n".join(rows) + "\n}"

    whole = f'{{"head": {json.dumps(kept["head"])},\n{lines("figures")},\n{lines("levers")}}}\n'
    RESULTS.write_text(whole, encoding="utf-8")
    document = DOCUMENT.read_text("utf-8")
    for part, text in texts(kept).items():
        document = replaced(document, *MARKERS[part], text)
    DOCUMENT.write_text(document, "utf-8")
