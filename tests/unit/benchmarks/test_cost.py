"""The bill: each line by hand, and the document beside the kept run."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from proof.benchmarks import cost
from proof.benchmarks.cost import Measured, Month, Request
from proof.benchmarks.prices import PRICES, REGION, Prices
from proof.benchmarks.report import DOCUMENT

# Prices at which a line is what it counts.
UNIT = Prices(**dict.fromkeys(Prices.__dataclass_fields__, 1.0))
SUBMIT = Request(
    memory_mb=1769,
    wall_ms=300.0,
    cpu_ms=10.0,
    init_ms=400.0,
    first_wall_ms=500.0,
    first_cpu_ms=50.0,
    writes={"table": 3.0, "due": 1.0},
    reads=0.5,
    log_lines=2.0,
    log_bytes=1_000.0,
    zipped_log_bytes=250.0,
    answer_bytes=600.0,
    provider_bytes=1_000.0,
)
WEBHOOK = replace(SUBMIT, memory_mb=512, wall_ms=20.0, cpu_ms=5.0, writes={"table": 2.0}, provider_bytes=0.0)
READ = replace(WEBHOOK, writes={}, reads=1.0)
SETTLE = replace(READ, wall_ms=50.0)
PEER = {"submit": SUBMIT, "webhook": WEBHOOK}
MEASURED = Measured(
    day="2026-11-24",
    requests={
        "ours": {**PEER, "read": READ, "settle": SETTLE},
        "by_hand": PEER,
        "powertools": PEER,
        "fastapi": PEER,
    },
    stored_bytes=dict.fromkeys(cost.SIDES, 2_000.0),
    access_log_bytes=400,
    month=Month(
        alarm_metrics=28,
        custom_metrics=22,
        metric_months={cost.QUIET: 1.5, cost.THOUSAND: 4.0},
        dashboards={"test": 0, "prod": 1},
        secrets=1,
    ),
)


def lines(side: str = "ours", works: tuple[str, ...] = ("submit",), prices: Prices = UNIT) -> dict[str, float]:
    return {each.what: each.usd for each in cost.bill(MEASURED, side, works, prices)}


def test_a_whole_processor_computes_as_measured_and_a_share_of_it_slower() -> None:
    assert cost.scaled(300.0, 10.0, 1769) == 300.0
    assert cost.scaled(300.0, 10.0, 3538) == 300.0, "one thread does not run on two processors"
    assert cost.scaled(20.0, 5.0, 512) == pytest.approx(15.0 + 5.0 * 1769 / 512)
    assert cost.scaled(4.0, 5.0, 1769) == 5.0, "with threads there is more computing than time"


def test_the_billed_time_holds_its_share_of_cold_starts_with_their_init() -> None:
    assert cost.billed_ms(SUBMIT) == pytest.approx(0.99 * 300 + 0.01 * (400 + 500))


def test_each_line_is_its_count_for_a_million() -> None:
    submit = lines()
    assert submit["API Gateway"] == 1
    assert submit["DynamoDB, writes"] == 4
    assert submit["DynamoDB, reads"] == 0.5
    assert submit["Lambda, requests"] == 1
    assert submit["Lambda, time"] == pytest.approx(1e6 * 0.306 * 1769 / 1024)
    assert submit["bytes out of AWS"] == pytest.approx((600 + 400 + 1_000) * 1e6 / 1e9)
    platform = sum(map(len, cost.PLATFORM_LOG))
    assert submit["CloudWatch Logs"] == pytest.approx((1_000 + platform + 400) * 1e6 / 1e9)
    assert submit["X-Ray"] == pytest.approx(0.05)


def test_two_requests_cost_what_both_cost() -> None:
    both = lines(works=("submit", "webhook"))
    assert sum(both.values()) == pytest.approx(sum(lines().values()) + sum(lines(works=("webhook",)).values()))


def test_only_who_traces_pays_for_traces() -> None:
    assert lines("by_hand")["X-Ray"] == lines("fastapi")["X-Ray"] == 0
    assert lines("powertools")["X-Ray"] == lines("ours")["X-Ray"] > 0


def test_ours_pays_for_the_read_and_the_event_besides() -> None:
    prices = PRICES[REGION]
    peers = cost.together(MEASURED, "powertools", prices)
    ours = cost.together(MEASURED, "ours", prices)
    assert ours - peers == pytest.approx(cost.total(cost.bill(MEASURED, "ours", ("read",), prices)) + 1.40)


def test_what_is_kept_costs_each_month() -> None:
    table, logs = cost.kept(MEASURED, "by_hand", UNIT)
    assert table == pytest.approx(2_000 * 2 * 1e6 / 1e9), "table and backup"
    written = 2 * (1_000 + sum(map(len, cost.PLATFORM_LOG)) + 400)
    assert logs == pytest.approx((written / 4 + 2 * (2 + 3 + 1) * 26) * 1e6 / 1e9)


def test_a_month_is_billed_by_the_hours_of_its_metrics() -> None:
    month = cost.month(MEASURED, UNIT)
    assert list(month["22 custom metrics, by the hours in which they are sent"]) == [1.5, 4, 22]
    assert list(month["alarms, over 28 metrics"]) == [28, 28, 28]
    runs = 43_800 * cost.billed_ms(SETTLE) / 1000 * 0.5 + 3 * 43_800 / 1e6  # and a schedule, a request, a read
    logged = (1_000 + sum(map(len, cost.PLATFORM_LOG))) * 43_800 / 1e9
    assert month["settle runs and heartbeats"][0] == pytest.approx(runs + logged + 2_920 * 3 / 1e6)
    assert list(month["the voids themselves"]) == [0, cost.together(MEASURED, "ours", UNIT) / 1000, 0]
    test, prod = (cost.months(MEASURED, name, UNIT) for name in ("test", "prod"))
    assert prod == pytest.approx([one + 1 for one in test])
    assert test[0] == pytest.approx(sum(line[0] for line in month.values()))


def test_the_first_day_costs_what_the_table_says() -> None:
    measured, prices = cost.load(), PRICES[REGION]
    (test, _, _), (quiet, _, most) = (cost.months(measured, name, prices) for name in ("test", "prod"))
    million = f"{cost.together(measured, 'ours', prices):.0f}"
    wanted = [f"{test:.1f}", f"{quiet:.1f}", f"{most:.1f}", million]
    for name in ("first-day.md", "first-day.uk.md"):
        lines = [
            line for line in (DOCUMENT.parent / name).read_text("utf-8").splitlines() if re.match(r"\| [37]\.", line)
        ]
        assert re.findall(r"\d+(?:\.\d+)?(?= (?:USD|to|до))", " ".join(line.split("|")[4] for line in lines)) == wanted


def test_the_month_stays_within_its_ceilings() -> None:
    measured, prices = cost.load(), PRICES[REGION]
    for name, most in (("test", (5.4, 6.0, 12.3)), ("prod", (8.4, 9.0, 15.3))):
        for sum_, limit in zip(cost.months(measured, name, prices), most, strict=True):
            assert round(sum_, 1) <= limit


def test_the_page_on_tokens_quotes_what_they_cost() -> None:
    page, prices = (DOCUMENT.parent / "tokens.md").read_text("utf-8"), PRICES[REGION]
    times = prices.token_thousand * 1000 / cost.together(cost.load(), "ours", prices)
    quoted = re.findall(r"\| ([\d.]+) per 1,000.*?; a process .* (\d+) a month: ([\d.]+) \|", page)
    assert quoted == [(f"{prices.token_thousand:.2f}", "730", cost.dollars(cost.tokens(prices)))]
    assert re.findall(r"([\d.]+) per 1,000 voids, (\d+) times", page) == [
        (f"{prices.token_thousand:.2f}", f"{times:.0f}")
    ]


def test_the_tables_add_up() -> None:
    text = cost.document(MEASURED)
    column = [line.split("|")[2].strip(" *") for line in text.splitlines() if line.startswith("| ")]
    head = next(at for at, cell in enumerate(column) if cell == "ours")
    numbers = [float(cell) for cell in column[head + 1 : head + 13]]
    promise, event, read, everything = numbers[8:12]
    assert sum(numbers[:8]) == pytest.approx(promise, abs=0.05)
    assert promise + event + read == pytest.approx(everything, abs=0.02)


def test_a_run_is_kept_whole(tmp_path: Path) -> None:
    cost.save(MEASURED, tmp_path / "cost.json")
    assert cost.load(tmp_path / "cost.json") == MEASURED


def test_every_region_names_every_price() -> None:
    for prices in PRICES.values():
        assert all(value > 0 for value in vars(prices).values())


def test_the_document_shows_the_kept_run_at_the_present_prices() -> None:
    text = DOCUMENT.read_text()
    found = re.search(f"{re.escape(cost.BEGIN)}\n\n(.*?)\n\n{re.escape(cost.END)}", text, re.DOTALL)
    assert found
    assert found[1] == cost.document(cost.load()), "after a change: python -m proof.benchmarks.cost --again"
