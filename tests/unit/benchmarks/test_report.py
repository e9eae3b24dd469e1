"""What a run becomes: ratios, targets, tables, each line of the bill by hand; and pages that show the kept run."""

import json
import re

import pytest

from proof.benchmarks import cost, report
from proof.benchmarks.cost import Bill
from proof.benchmarks.measure import NEAR_REGION
from proof.benchmarks.prices import PRICES, REGIONS, TABLE
from proof.commit import replaced

# What each work is unlike a submit; and prices at which a line is what it counts.
SUBMIT = {
    "memory, MB": 1769, f"warm, wall ({NEAR_REGION}), ms": 300, "warm CPU, µs": 10_000,
    f"cold start, wall ({NEAR_REGION}), ms": 900, f"first invoke, wall ({NEAR_REGION}), ms": 500,
    "first invoke CPU, ms": 50, "write units": 4, "read units": 0.5, "log, lines": 2, "log, bytes": 1_000,
    "log, bytes zipped": 250, "answer, bytes": 600, "to the provider with TLS, bytes": 1_000,
}  # fmt: skip
WORKS = {
    "submit": {}, "webhook": {"memory, MB": 512, "write units": 2, "to the provider with TLS, bytes": 0},
    "read": {"memory, MB": 512, "write units": 0, "read units": 1}, "settle": {"memory, MB": 512, "read units": 1},
}  # fmt: skip
DEPLOYED = {
    "bytes of the gateway's log line": 400, "metrics that alarms read": 28, "custom metrics": 22, "secrets": 1,
    "custom metrics of a quiet month, by hours": 1.5, "custom metrics of a thousand voids, by hours": 4,
    "dashboards in test": 0, "dashboards in prod": 1,
}  # fmt: skip
OF_WORKS = [(f"{work}: {figure}", value) for work in WORKS for figure, value in {**SUBMIT, **WORKS[work]}.items()]
FIGURES = {figure: dict.fromkeys(cost.SIDES, float(value)) for figure, value in OF_WORKS}
FIGURES |= {f"deployed: {what}": {"ours": float(count)} for what, count in DEPLOYED.items()}
FIGURES["item with its index entries, bytes"] = dict.fromkeys(cost.SIDES, 2_000.0)
UNIT = Bill(FIGURES, dict.fromkeys(TABLE, 1.0))
LOGGED = 1_000 + cost.PLATFORM_BYTES


def test_a_whole_processor_computes_as_measured_and_a_share_of_it_slower() -> None:
    assert UNIT.scaled("submit", 300.0, 10.0) == 300.0
    assert UNIT.scaled("webhook", 20.0, 5.0) == pytest.approx(15.0 + 5.0 * 1769 / 512)
    assert UNIT.scaled("submit", 4.0, 5.0) == 5.0, "with threads there is more computing than time"
    two = Bill(FIGURES | {"submit: memory, MB": {"ours": 3538.0}}, PRICES[REGIONS[0]])
    assert two.scaled("submit", 300.0, 10.0) == 300.0, "one thread does not run on two processors"


def test_each_line_is_its_count_for_a_million_and_a_share_of_the_starts_is_cold() -> None:
    assert UNIT.billed_ms("ours", "submit") == pytest.approx(0.99 * 300 + 0.01 * (400 + 500))
    assert UNIT.requests("ours", ("submit",)) == pytest.approx({
        "API Gateway": 1, "DynamoDB, writes": 4, "DynamoDB, reads": 0.5, "Lambda, requests": 1,
        "Lambda, time": 1e6 * 0.306 * 1769 / 1024, "CloudWatch Logs": (LOGGED + 400) * 1e6 / 1e9,
        "bytes out of AWS": (600 + 400 + 1_000) * 1e6 / 1e9, "X-Ray": 0.01,
    })  # fmt: skip


def test_two_requests_cost_both_and_ours_pays_for_the_read_and_the_event_besides() -> None:
    submit, webhook = (sum(UNIT.requests("ours", (work,)).values()) for work in ("submit", "webhook"))
    assert sum(UNIT.requests("ours").values()) == pytest.approx(submit + webhook)
    assert [UNIT.requests(side)["X-Ray"] for side in cost.SIDES] == pytest.approx([0.02, 0, 0.1])
    assert UNIT.together("ours") - UNIT.together("powertools") == pytest.approx(UNIT.read + 2)
    table, logs = UNIT.kept("by_hand")
    assert table == pytest.approx(2_000 * 2 * 1e6 / 1e9), "table and backup"
    assert logs == pytest.approx((2 * (LOGGED + 400) / 4 + 2 * (2 + 3 + 1) * 26) * 1e6 / 1e9)


def test_a_month_is_billed_by_the_hours_of_its_metrics() -> None:
    month = UNIT.month()
    assert list(month["22 custom metrics, by the hours in which they are sent"]) == [1.5, 4, 22]
    assert list(month["alarms, over 28 metrics"]) == [28] * 3
    # Each run is a schedule, a request and a read, too.
    runs = 43_800 * (UNIT.billed_ms("ours", "settle") / 1000 * 0.5 + 3 / 1e6)
    beats = 2_920 * 3 / 1e6
    assert month["settle runs and heartbeats"][0] == pytest.approx(runs + LOGGED * 43_800 / 1e9 + beats)
    assert list(month["the voids themselves"]) == [0, UNIT.together("ours") / 1000, 0]
    test, prod = map(UNIT.months, ("test", "prod"))
    assert prod == pytest.approx([one + 1 for one in test])
    assert test[0] == pytest.approx(sum(line[0] for line in month.values()))


def test_the_kept_run_stays_within_its_ceilings_and_the_first_day_tells_them() -> None:
    bill = Bill(report.medians(json.loads(report.RESULTS.read_text("utf-8"))), PRICES[REGIONS[0]])
    months = {name: bill.months(name) for name in ("test", "prod")}
    for name, most in {"test": (5.4, 6.0, 12.3), "prod": (8.4, 9.0, 15.3)}.items():
        assert all(round(one, 1) <= limit for one, limit in zip(months[name], most, strict=True))
    told = [months["test"][0], months["prod"][0], months["prod"][2]]
    for page in ("first-day.md", "first-day.uk.md"):
        text = (report.DOCUMENT.parent / page).read_text("utf-8")
        costs = " ".join(line.split("|")[4] for line in text.splitlines() if re.match(r"\| [37]\.", line))
        found = re.findall(r"\d+(?:\.\d+)?(?= (?:USD|to|до))", costs)
        assert found == [*(f"{one:.1f}" for one in told), f"{bill.together('ours'):.0f}"]


@pytest.mark.parametrize(("ours", "peer", "found"), [
    ([1.0, 2.0, 90.0], [2.0, 2.0, 100.0], [0.9, 0.5, 1.0]),  # the median of the rounds and not of the sums
    ([1.0, 3.0], [0.0, 2.0], [1.5, 1.5, 1.5]),  # a round without a divisor is left out
    ([1.0, 2.0, 3.0, 4.0, 5.0], [1.0] * 5, [3.0, 2.0, 4.0]),
    ([1.0], [0.0], None),
    ([1.0], [], None),
])  # fmt: skip
def test_a_ratio_is_the_median_of_the_rounds_with_its_quartiles(
    ours: list[float], peer: list[float], found: list[float] | None
) -> None:
    assert report.compare({"ours": ours, "by_hand": peer}, "ours", "by_hand") == found


def test_a_target_is_bold_where_it_is_reached_as_it_is_shown_and_a_number_has_three_digits() -> None:
    shown = [report.aimed(ratio, 1.15) for ratio in (1.15, 1.1549, 1.156)]
    assert shown == ["**1.15 / 1.15**", "**1.15 / 1.15**", "1.16 / 1.15"]
    shown = [report.number(value) for value in (1234.5, 99.95, 0.01234, 16.6, None)]
    assert shown == ["1,234", "100", "0.0123", "16.6", ""]


def test_the_document_shows_the_kept_run_between_its_markers() -> None:
    with pytest.raises(ValueError, match="lost"):
        replaced("end begin", "begin", "end", "new")
    kept, document = json.loads(report.RESULTS.read_text("utf-8")), report.DOCUMENT.read_text("utf-8")
    for part, text in report.texts(kept).items():
        shown = replaced(document, *report.MARKERS[part], text)
        assert document == shown, "written by: make bench; after a new price: --again"
