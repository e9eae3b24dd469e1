"""What a million voids cost in AWS, for this service and for the peers that promise least.

    python -m proof.benchmarks.cost [--again | --month] [--region eu-central-1]

Measures what each request uses, keeps it in benchmarks/cost.json, and computes docs/performance.md's tables from it
and from `prices.py`. `--again` computes only, `--month` reads the template and the hours of its metrics anew before.
"""

import argparse
import json
import math
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from proof.benchmarks.prices import PRICES, REGION, TAKEN, Prices
from proof.benchmarks.report import DOCUMENT, heading, into_document, line
from proof.benchmarks.subjects import HEADS, SHIPPABLE

HERE = Path(__file__).resolve().parent
MEASURED = HERE / "cost.json"
BEGIN, END = "<!-- python -m proof.benchmarks.cost writes from here -->", "<!-- cost to here -->"
SIDES = ("ours", *SHIPPABLE)
PROMISE = ("submit", "webhook")
"""What all of them do for a void: record, idempotency, the webhook proved and stored."""

# Assumptions that no measurement on a laptop can replace. docs/performance.md names them.
WHOLE_PROCESSOR_MB = 1769
"""Lambda gives a processor by memory; below this size a share of one."""
COLD_SHARE = 0.01
TRACED_SHARE = 0.05
"""X-Ray's default rule, without its one trace a second."""
GATEWAY_HEADERS = 400
"""Bytes that API Gateway adds to an answer."""
MINUTES = 43_800
"""In a month, and so many settle runs."""
GZIP_BYTES_AN_EVENT = 26
"""That CloudWatch adds to each line of a log which it keeps."""
BEAT_EVERY_MINUTES = 15
MILLION, GB = 1e6, 1e9
QUIET, THOUSAND, CEILING = "quiet", "a thousand voids", "every metric in every hour"

UUID = "8f507cfc-0000-4000-8000-xmplb9ca2e34"
PLATFORM_LOG = (
    f"START RequestId: {UUID} Version: 12\n",
    f"END RequestId: {UUID}\n",
    f"REPORT RequestId: {UUID}\tDuration: 227.31 ms\tBilled Duration: 228 ms\tMemory Size: 1024 MB\t"
    "Max Memory Used: 92 MB\t\n",
)
"""What Lambda itself writes for each invoke."""


@dataclass(frozen=True)
class Request:
    """What one request of a kind uses: the mean of some dozens, with everything warm, and its cold start."""

    memory_mb: int
    wall_ms: float
    cpu_ms: float
    init_ms: float
    first_wall_ms: float
    first_cpu_ms: float
    writes: dict[str, float]
    reads: float
    log_lines: float
    log_bytes: float
    zipped_log_bytes: float
    answer_bytes: float
    provider_bytes: float
    """Sent to the provider, with what a connection takes to open."""


@dataclass(frozen=True)
class Month:
    """What costs the same however many voids there are, counted in the synthesised templates."""

    alarm_metrics: int
    custom_metrics: int
    metric_months: dict[str, float]
    """Of `QUIET` and `THOUSAND`: custom metrics, each by the share of hours in which it is sent."""
    dashboards: dict[str, int]
    """By environment."""
    secrets: int


@dataclass(frozen=True)
class Measured:
    """One run's figures."""

    day: str
    requests: dict[str, dict[str, Request]]
    stored_bytes: dict[str, float]
    """Of one void: what stays in the table and its indexes."""
    access_log_bytes: int
    month: Month
    traced: tuple[str, ...] = field(default=("ours", "powertools"))


@dataclass(frozen=True)
class Cost:
    """One line of the bill: US dollars for a million voids."""

    what: str
    usd: float


def billed_ms(request: Request) -> float:
    """The mean time that Lambda bills for an invoke: waiting as measured, computing by the share of a processor."""
    warm = math.ceil(scaled(request.wall_ms, request.cpu_ms, request.memory_mb))
    # Init runs with a whole processor, whatever the memory, and is billed since August 2025.
    cold = math.ceil(request.init_ms + scaled(request.first_wall_ms, request.first_cpu_ms, request.memory_mb))
    return (1 - COLD_SHARE) * warm + COLD_SHARE * cold


def scaled(wall_ms: float, cpu_ms: float, memory_mb: int) -> float:
    """A time on a share of a processor, from one that was measured on a whole one."""
    return max(wall_ms - cpu_ms, 0.0) + cpu_ms * max(1.0, WHOLE_PROCESSOR_MB / memory_mb)


def log_bytes(request: Request, access_log_bytes: int) -> float:
    """All that one request writes into CloudWatch Logs."""
    return request.log_bytes + sum(map(len, PLATFORM_LOG)) + access_log_bytes


def bill(measured: Measured, side: str, works: tuple[str, ...], prices: Prices) -> list[Cost]:
    """The costs of a million of these requests each, line by line."""
    requests = [measured.requests[side][work] for work in works]
    gb_seconds = sum(billed_ms(each) / 1000 * each.memory_mb / 1024 for each in requests)
    logged = sum(log_bytes(each, measured.access_log_bytes) for each in requests)
    sent = sum(each.answer_bytes + GATEWAY_HEADERS + each.provider_bytes for each in requests)
    traces = TRACED_SHARE * len(requests) if side in measured.traced else 0
    return [
        Cost("API Gateway", len(requests) * prices.api_million),
        Cost("DynamoDB, writes", sum(sum(each.writes.values()) for each in requests) * prices.write_million),
        Cost("DynamoDB, reads", sum(each.reads for each in requests) * prices.read_million),
        Cost("Lambda, requests", len(requests) * prices.lambda_million),
        Cost("Lambda, time", gb_seconds * MILLION * prices.lambda_gb_second),
        Cost("CloudWatch Logs", logged * MILLION / GB * prices.logs_gb),
        Cost("bytes out of AWS", sent * MILLION / GB * prices.transfer_gb),
        Cost("X-Ray", traces * prices.trace_million),
    ]


def events(prices: Prices) -> float:
    """`void.settled`: one record passes the pipe's filter, one event is put on the bus."""
    return prices.pipe_million + prices.bus_million


def total(costs: list[Cost]) -> float:
    """The sum of the lines."""
    return sum(cost.usd for cost in costs)


def works_of(side: str) -> tuple[str, ...]:
    """The requests of one void's life: only ours can be read."""
    return (*PROMISE, "read") if side == "ours" else PROMISE


def together(measured: Measured, side: str, prices: Prices) -> float:
    """A million voids with all that this side does for them."""
    return total(bill(measured, side, works_of(side), prices)) + (events(prices) if side == "ours" else 0)


def kept(measured: Measured, side: str, prices: Prices) -> tuple[float, float]:
    """What a million voids that are kept cost each month: in the table with its backup, and as logs."""
    table = measured.stored_bytes[side] * MILLION / GB * (prices.table_gb_month + prices.backup_gb_month)
    requests = [measured.requests[side][work] for work in works_of(side)]
    written = sum(log_bytes(each, measured.access_log_bytes) for each in requests)
    shrinks_to = sum(each.zipped_log_bytes for each in requests) / sum(each.log_bytes for each in requests)
    lines = sum(each.log_lines + len(PLATFORM_LOG) + 1 for each in requests)
    stored = written * shrinks_to + lines * GZIP_BYTES_AN_EVENT
    return table, stored * MILLION / GB * prices.logs_gb_month


def settling(measured: Measured, prices: Prices) -> float:
    """What a month of settle runs and heartbeats costs."""
    settle = measured.requests["ours"]["settle"]
    gb_seconds = billed_ms(settle) / 1000 * settle.memory_mb / 1024 * MINUTES
    logged = (settle.log_bytes + sum(map(len, PLATFORM_LOG))) * MINUTES / GB
    run = prices.lambda_million + prices.schedule_million + settle.reads * prices.read_million
    beat = prices.write_million + events(prices)
    return (
        gb_seconds * prices.lambda_gb_second
        + logged * prices.logs_gb
        + (run + beat / BEAT_EVERY_MINUTES) * MINUTES / MILLION
    )


def month(measured: Measured, prices: Prices) -> dict[str, tuple[float, float, float]]:
    """Each line of a month's bill but the dashboard: US dollars quiet, with a thousand voids, and at most."""
    counted = measured.month
    shares = (counted.metric_months[QUIET], counted.metric_months[THOUSAND], counted.custom_metrics)
    quiet, thousand, ceiling = (share * prices.metric_month for share in shares)
    return {
        f"{counted.custom_metrics} custom metrics, by the hours in which they are sent": (quiet, thousand, ceiling),
        f"alarms, over {counted.alarm_metrics} metrics": (counted.alarm_metrics * prices.alarm_month,) * 3,
        f"{counted.secrets} secret": (counted.secrets * prices.secret_month,) * 3,
        "the secret, read each minute": (MINUTES / MILLION * prices.secret_call_million,) * 3,
        "settle runs and heartbeats": (settling(measured, prices),) * 3,
        "the voids themselves": (0.0, together(measured, "ours", prices) / 1000, 0.0),
    }


def tokens(prices: Prices) -> float:
    """What the tokens of one process of a caller cost a month, from a Cognito pool: one an hour."""
    return MINUTES / 60 / 1000 * prices.token_thousand


def months(measured: Measured, environment: str, prices: Prices) -> tuple[float, ...]:
    """The sums of a month's bill in one environment."""
    shown = measured.month.dashboards[environment] * prices.dashboard_month
    return tuple(sum(column) + shown for column in zip(*month(measured, prices).values(), strict=True))


# ---- tables ----------------------------------------------------------------------------------------------------------


def document(measured: Measured, region: str = REGION) -> str:
    """The generated part of docs/performance.md."""
    prices = PRICES[region]
    parts = [
        [f"Used: measured {measured.day}. Prices: {region}, {TAKEN}, without free tier, discounts and taxes."],
        bill_table(measured, prices),
        [elsewhere(measured, region)],
        usage_table(measured),
        month_table(measured, prices),
    ]
    return "\n\n".join("\n".join(part) for part in parts)


def bill_table(measured: Measured, prices: Prices) -> list[str]:
    """US dollars for a million voids."""
    bills = {side: bill(measured, side, PROMISE, prices) for side in SIDES}
    lines = [heading("USD for a million voids", [HEADS[side] for side in SIDES])]
    for number, cost in enumerate(bills["ours"]):
        lines.append(line(cost.what, [dollars(bills[side][number].usd) for side in SIDES]))
    sums = {side: total(costs) for side, costs in bills.items()}
    read = total(bill(measured, "ours", ("read",), prices))
    return [
        *lines,
        line("**a void and its webhook**", [f"**{dollars(sums[side])}**" for side in SIDES]),
        line("the event `void.settled`: pipe and bus", [dollars(events(prices)), *("–" for _ in SHIPPABLE)]),
        line("one read of the void", [dollars(read), *("–" for _ in SHIPPABLE)]),
        line("**together**", [f"**{dollars(together(measured, side, prices))}**" for side in SIDES]),
        line("each month that it is kept: table, backup", [dollars(kept(measured, side, prices)[0]) for side in SIDES]),
        line("each month that it is kept: logs", [dollars(kept(measured, side, prices)[1]) for side in SIDES]),
    ]


def elsewhere(measured: Measured, region: str) -> str:
    """The sums at the other regions' prices."""
    others = [
        f"At the prices of {name}: " + ", ".join(
            f"{HEADS[side]} {dollars(together(measured, side, prices))}" for side in SIDES
        )
        for name, prices in PRICES.items()
        if name != region
    ]  # fmt: skip
    return ". ".join(others) + "."


def usage_table(measured: Measured) -> list[str]:
    """What the bill is made of."""
    columns = [(side, work) for side in SIDES for work in measured.requests[side] if work != "settle"]
    lines = [heading("one request", [f"{HEADS[side]}: {work}" for side, work in columns])]
    rows: dict[str, Callable[[Request], str]] = {
        "write units": lambda each: units(each.writes),
        "read units": lambda each: f"{each.reads:g}",
        "memory, MB": lambda each: f"{each.memory_mb:,}",
        "billed, ms": lambda each: f"{billed_ms(each):.0f}",
        "log of the function, bytes": lambda each: f"{each.log_bytes:,.0f}",
        "answer, bytes": lambda each: f"{each.answer_bytes:,.0f}",
        "to the provider, bytes": lambda each: f"{each.provider_bytes:,.0f}",
    }
    for name, show in rows.items():
        lines.append(line(name, [show(measured.requests[side][work]) for side, work in columns]))
    return lines


def month_table(measured: Measured, prices: Prices) -> list[str]:
    """What a month costs."""
    lines = [heading("USD a month", [QUIET, THOUSAND, CEILING])]
    lines += [line(what, list(map(dollars, costs))) for what, costs in month(measured, prices).items()]
    for environment, dashboards in measured.month.dashboards.items():
        what = f"**together in `{environment}`**" + (f", with {dashboards} dashboard" if dashboards else "")
        lines.append(line(what, [f"**{dollars(cost)}**" for cost in months(measured, environment, prices)]))
    return [*lines, line("tokens of a Cognito pool, for each process that calls", [dollars(tokens(prices))] * 3)]


def units(writes: dict[str, float]) -> str:
    """`8 (table 3, timeline 3, due 2)`."""
    whole = f"{sum(writes.values()):g}"
    if len(writes) < 2:
        return whole
    return f"{whole} ({', '.join(f'{name} {count:g}' for name, count in writes.items())})"


def dollars(value: float) -> str:
    """Two digits behind the point."""
    return f"{value:,.2f}"


# ---- kept figures ----------------------------------------------------------------------------------------------------


def save(measured: Measured, path: Path = MEASURED) -> None:
    """Keep a run, so that a new price needs no new one."""
    path.write_text(json.dumps(asdict(measured), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def load(path: Path = MEASURED) -> Measured:
    """The last run that was kept."""
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    requests = {
        side: {work: Request(**request) for work, request in works.items()}
        for side, works in found.pop("requests").items()
    }
    month, traced = Month(**found.pop("month")), tuple(found.pop("traced"))
    return Measured(**found, requests=requests, month=month, traced=traced)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m proof.benchmarks.cost")
    parser.add_argument("--again", action="store_true", help="compute from the last run; measure nothing")
    parser.add_argument("--month", action="store_true", help="read the templates and simulate the metrics' hours anew")
    parser.add_argument("--region", choices=PRICES, default=REGION, help="print this region's tables")
    options = parser.parse_args()
    if not options.again:
        from proof.benchmarks import consumption  # here: it starts the AWS engine and the CDK's Node

        save(replace(load(), month=consumption.month()) if options.month else consumption.measure_all())
    measured = load()
    into_document(DOCUMENT, BEGIN, END, document(measured))
    sys.stdout.write(document(measured, options.region) + "\n")


if __name__ == "__main__":
    main()
