"""A month of voids as one page of HTML that can be sent on: no script, nothing loaded, nothing about a single order.

Promises that every figure that is drawn stands beside its bar as text, to be read aloud, copied and printed.
"""

import html
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from ops.export import Period, dated
from payments.exact_json import Number

OUTCOMES = ("voided", "failed", "open")
STEPS = ((1, "under 1 s"), (10, "under 10 s"), (60, "under 1 min"), (300, "under 5 min"), (3600, "under 1 h"),
         (86_400, "under 1 day"), (604_800, "under 1 week"), (float("inf"), "longer"))  # fmt: skip
STYLE = """
:root { color-scheme: light dark; --voided: #2f9e6b; --failed: #d1453b; --open: #d9a02b; --bar: #5570d6; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 52rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin-bottom: 0; } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
table { border-collapse: collapse; width: 100%; } caption { text-align: left; padding-bottom: .5rem; }
th, td { text-align: right; padding: .1rem .6rem; font-variant-numeric: tabular-nums; font-weight: 400; }
th:first-child { text-align: left; white-space: nowrap; } td.bar { width: 55%; } svg { display: block; width: 100%; }
thead th { font-weight: 600; } tr { break-inside: avoid; } .quiet { opacity: .75; }
.voided { fill: var(--voided); } .failed { fill: var(--failed); } .open { fill: var(--open); }
.count { fill: var(--bar); }
"""

Document = Mapping[str, Any]


@dataclass
class Figures:
    """What the records of a period add up to."""

    days: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By day and outcome."""
    seconds: list[float] = field(default_factory=list)
    """From request to settlement, of what was requested here and settled."""
    open_since: list[str] = field(default_factory=list)
    reasons: Counter[str] = field(default_factory=Counter)
    reviews: Counter[str] = field(default_factory=Counter)
    amounts: dict[str, Decimal] = field(default_factory=dict)
    """Released, by currency, as the provider says."""

    def add(self, void: Document) -> None:
        """Count one record."""
        outcome = void["state"] if void["state"] in OUTCOMES else "open"
        self.days[dated(void)[:10], outcome] += 1
        self.reviews.update(one["reason"] for one in void["reviews"] if one["read_at"] is None)
        if outcome == "open":
            self.open_since.append(dated(void))
        if outcome == "failed":
            self.reasons[void["reason"]] += 1
        if outcome != "open" and void["requested_at"]:
            self.seconds.append(_seconds(void["requested_at"], void["settled_at"]))
        said = void["provider"] or {}
        if outcome == "voided" and isinstance(said.get("amount"), Number) and said["amount"].value is not None:
            currency = said["currency"] or "?"
            self.amounts[currency] = self.amounts.get(currency, Decimal(0)) + said["amount"].value


def figures(records: Iterator[Document]) -> Figures:
    """Add up all of them."""
    found = Figures()
    for void in records:
        found.add(void)
    return found


def _seconds(begin: str, end: str) -> float:
    return max(0, (datetime.fromisoformat(end) - datetime.fromisoformat(begin)).total_seconds())


def page(environment: str, month: str, wanted: Period, found: Figures, now: datetime) -> str:
    """The whole page."""
    days = sorted({day for day, _ in found.days})
    totals = {outcome: sum(count for (_, one), count in found.days.items() if one == outcome) for outcome in OUTCOMES}
    ages = [(now - datetime.fromisoformat(since)).total_seconds() for since in found.open_since]
    title = f"Voids of {environment}, {month}"
    parts = [
        f"<h1>{_text(title)}</h1>",
        f'<p class="quiet">{wanted.first} to {wanted.last}, days in UTC; made {now:%Y-%m-%d %H:%M} UTC.</p>',
        f"<p>{sum(totals.values())} voids: {', '.join(f'{count} {outcome}' for outcome, count in totals.items())}.</p>",
        _chart("Voids a day by outcome", "A void counts on the day on which it was settled, or else requested.",
               [(day, [found.days[day, outcome] for outcome in OUTCOMES]) for day in days], OUTCOMES),
        _chart("Time to settle", f"From request to outcome. {_half(sorted(found.seconds))}", _steps(found.seconds)),
        _chart("Open by age", "What had no outcome when this page was made.", _steps(ages)),
        _chart("Why it failed", "", [(reason, [count]) for reason, count in found.reasons.most_common()]),
        _chart("For an operator to look at", "", [(reason, [count]) for reason, count in found.reviews.most_common()]),
        _chart("Released, by currency", "", [(f"{total} {name}", []) for name, total in sorted(found.amounts.items())]),
    ]  # fmt: skip
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    head = f'<meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="{policy}">'
    return (
        f'<!doctype html>\n<html lang="en"><head>{head}<meta name="viewport" content="width=device-width">'
        f"<title>{_text(title)}</title><style>{STYLE}</style></head><body>\n{'\n'.join(parts)}\n</body></html>\n"
    )


def _steps(seconds: Sequence[float]) -> list[tuple[str, list[int]]]:
    counts = Counter(next(name for limit, name in STEPS if one < limit) for one in seconds)
    return [(name, [counts[name]]) for _, name in STEPS] if seconds else []


def _half(times: Sequence[float]) -> str:
    if not times:
        return ""
    half, most = times[len(times) // 2], times[len(times) * 95 // 100]
    return f"Half of them took at most {_span(half)}, 95 of 100 at most {_span(most)}."


def _span(seconds: float) -> str:
    unit, size = next(((unit, size) for unit, size in (("h", 3600), ("min", 60)) if seconds >= 2 * size), ("s", 1))
    return f"{seconds / size:.1f} {unit}"


def _chart(title: str, caption: str, rows: Sequence[tuple[str, list[int]]], names: Sequence[str] = ("count",)) -> str:
    """A table whose rows have a bar each: stacked, where a row has several counts."""
    if not rows:
        return f'<h2>{_text(title)}</h2><p class="quiet">None.</p>'
    most = max(1, *(sum(counts) for _, counts in rows))
    named = "".join(f"<th scope=col>{_text(name)}</th>" for name in names) if len(names) > 1 else ""
    head = f"<thead><tr><th scope=col>day</th>{named}<td></td></tr></thead>" if named else ""
    body = "".join(
        f"<tr><th scope=row>{_text(label)}</th>{''.join(f'<td>{count}</td>' for count in counts)}"
        f'<td class="bar">{_bar(counts, names, most)}</td></tr>'
        for label, counts in rows
    )
    said = f"<caption>{_text(caption)}</caption>" if caption else ""
    return f"<h2>{_text(title)}</h2><table>{said}{head}<tbody>{body}</tbody></table>"


def _bar(counts: list[int], names: Sequence[str], most: int) -> str:
    widths = [count * 100 / most for count in counts]
    rects = "".join(
        f'<rect class="{name}" x="{sum(widths[:at]):.2f}" width="{width:.2f}" height="10"/>'
        for at, (name, width) in enumerate(zip(names, widths, strict=False))
        if width
    )
    return (
        f'<svg viewBox="0 0 100 10" height="12" preserveAspectRatio="none" aria-hidden="true">{rects}</svg>'
        if counts
        else ""
    )


def _text(text: object) -> str:
    return html.escape(str(text))
