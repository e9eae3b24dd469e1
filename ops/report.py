"""A month of voids as one page of HTML that can be sent on: no script, nothing loaded, nothing about a single order.
Promises that every figure that is drawn stands beside its bar as text, to be read aloud, copied and printed."""

from argparse import Namespace
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from html import escape
from pathlib import Path
from string import Template
from typing import Any

from ops import days, items
from ops.days import Period, dated
from ops.files import output, progress
from ops.places import Place
from ops.screen import Screen
from payments.exact_json import Number

OUTCOMES = ("voided", "failed", "open")
STEPS = ((1, "under 1 s"), (10, "under 10 s"), (60, "under 1 min"), (300, "under 5 min"), (3600, "under 1 h"),
         (86_400, "under 1 day"), (604_800, "under 1 week"), (float("inf"), "longer"))  # fmt: skip
PAGE = Template((Path(__file__).parent / "report.html").read_text("utf-8"))

Chart = Sequence[tuple[str, Sequence[int]]]


def report(place: Place, chosen: Namespace, _: Screen) -> None:
    wanted, table, found = days.month(chosen.month), items.table(place), Figures()
    with output(chosen.out) as out, progress("items read", table.size(), chosen.out) as passed:
        for void in table.records(wanted, passed):
            found.add(void)
        out.write(page(place.environment, chosen.month, wanted, found, days.now()))


class Figures:
    """What the records of a period add up to: `days` by day and outcome, `seconds` from request to settlement, unread
    `reviews`, and `amounts` that the provider released by currency."""

    def __init__(self) -> None:
        self.days, self.reasons, self.reviews = Counter[tuple[str, str]](), Counter[str](), Counter[str]()
        self.seconds, self.open_since = list[float](), list[str]()
        self.amounts = defaultdict[str, Decimal](Decimal)

    def add(self, void: Mapping[str, Any]) -> None:
        outcome = void["state"] if void["state"] in OUTCOMES else "open"
        self.days[dated(void)[:10], outcome] += 1
        self.reviews.update(one["reason"] for one in void["reviews"] if one["read_at"] is None)
        if outcome == "open":
            self.open_since.append(dated(void))
        elif void["requested_at"]:
            took = datetime.fromisoformat(void["settled_at"]) - datetime.fromisoformat(void["requested_at"])
            self.seconds.append(max(0, took.total_seconds()))
        if outcome == "failed":
            self.reasons[void["reason"]] += 1
        said = void["provider"] or {}
        if outcome == "voided" and isinstance(said.get("amount"), Number) and said["amount"].value is not None:
            self.amounts[said["currency"] or "?"] += said["amount"].value


def page(environment: str, month: str, wanted: Period, found: Figures, now: datetime) -> str:
    dates = sorted({day for day, _ in found.days})
    totals = {outcome: sum(count for (_, one), count in found.days.items() if one == outcome) for outcome in OUTCOMES}
    ages = [(now - datetime.fromisoformat(since)).total_seconds() for since in found.open_since]
    title = f"Voids of {environment}, {month}"
    parts = [
        f"<h1>{escape(title)}</h1>",
        f'<p class="quiet">{wanted.first} to {wanted.last}, days in UTC; made {now:%Y-%m-%d %H:%M} UTC.</p>',
        f"<p>{sum(totals.values())} voids: {', '.join(f'{count} {outcome}' for outcome, count in totals.items())}.</p>",
        _chart("Voids a day by outcome", "A void counts on the day on which it was settled, or else requested.",
               [(day, [found.days[day, outcome] for outcome in OUTCOMES]) for day in dates], OUTCOMES),
        _chart("Time to settle", f"From request to outcome. {_half(sorted(found.seconds))}", _steps(found.seconds)),
        _chart("Open by age", "What had no outcome when this page was made.", _steps(ages)),
        _chart("Why it failed", "", [(reason, [count]) for reason, count in found.reasons.most_common()]),
        _chart("For an operator to look at", "", [(reason, [count]) for reason, count in found.reviews.most_common()]),
        _chart("Released, by currency", "", [(f"{total} {name}", []) for name, total in sorted(found.amounts.items())]),
    ]  # fmt: skip
    return PAGE.substitute(title=escape(title), body="\n".join(parts))


def _steps(seconds: Sequence[float]) -> Chart:
    counts = Counter(next(name for limit, name in STEPS if one < limit) for one in seconds)
    return [(name, [counts[name]]) for _, name in STEPS] if seconds else []


def _half(times: Sequence[float]) -> str:
    if not times:
        return ""
    half, most = times[len(times) // 2], times[len(times) * 95 // 100]
    return f"Half of them took at most {_span(half)}, 95 of 100 at most {_span(most)}."


def _span(seconds: float) -> str:
    unit, size = ("h", 3600) if seconds >= 7200 else ("min", 60) if seconds >= 120 else ("s", 1)
    return f"{seconds / size:.1f} {unit}"


def _chart(title: str, caption: str, rows: Chart, names: Sequence[str] = ("count",)) -> str:
    """A table whose rows have a bar each: stacked, where a row has several counts."""
    if not rows:
        return f'<h2>{escape(title)}</h2><p class="quiet">None.</p>'
    most = max(1, *(sum(counts) for _, counts in rows))
    named = "".join(f"<th scope=col>{escape(name)}</th>" for name in names) if len(names) > 1 else ""
    head = f"<thead><tr><th scope=col>day</th>{named}<td></td></tr></thead>" if named else ""
    body = ""
    for label, counts in rows:
        cells, widths = "".join(f"<td>{count}</td>" for count in counts), (count * 100 / most for count in counts)
        bar = "".join(
            f'<i class={name} style="width:{width:.2f}%"></i>' for name, width in zip(names, widths, strict=False)
        )
        body += f"<tr><th scope=row>{escape(label)}</th>{cells}<td class=bar>{bar}</td></tr>"
    said = f"<caption>{escape(caption)}</caption>" if caption else ""
    return f"<h2>{escape(title)}</h2><table>{said}{head}<tbody>{body}</tbody></table>"
