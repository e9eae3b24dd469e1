"""What a million voids cost in AWS, here and by the peers that promise least: from a run's figures and `prices.py`."""

import math
from collections.abc import Mapping
from functools import partial

from proof.benchmarks.measure import NEAR_REGION
from proof.benchmarks.prices import PRICES, REGIONS, TAKEN, Prices
from proof.benchmarks.subjects import HEADS, SHIPPABLE, WORKS

Figures = Mapping[str, Mapping[str, float]]
"""The median of each figure, by subject."""
SIDES = ("ours", *SHIPPABLE)

# Assumptions that no measurement on a laptop can replace. docs/performance.md names them.
WHOLE_PROCESSOR_MB = 1769  # Lambda gives a processor by memory; below this size a share of one
COLD_SHARE = 0.01
TRACED_SHARE = {"ours": 0.01, "powertools": 0.05}  # our rule's; X-Ray's own, without its one trace a second
GATEWAY_HEADERS = 400  # bytes that API Gateway adds to an answer
MINUTES = 43_800  # in a month, and so many settle runs
GZIP_BYTES_AN_EVENT = 26
"""That CloudWatch adds to each line of a log which it keeps."""
BEAT_EVERY_MINUTES = 15
MILLION, GB = 1e6, 1e9
COLUMNS = ("quiet", "a thousand voids", "every metric in every hour")

PLATFORM_LINES, PLATFORM_BYTES = 3, 262
"""What Lambda itself writes for each invoke: START, END and REPORT."""


class Bill:
    """One run at one region's prices, in US dollars."""

    def __init__(self, figures: Figures, prices: Prices) -> None:
        self.figures, self.prices = figures, prices
        # A million `void.settled`, each through the pipe's filter and onto the bus; and a million reads.
        self.event = prices["pipe event, million"] + prices["bus event, million"]
        self.read = sum(self.request("ours", "read").values())

    def of(self, work: str, figure: str, side: str = "ours") -> float:
        return self.figures[f"{work}: {figure}"][side]

    def scaled(self, work: str, wall_ms: float, cpu_ms: float) -> float:
        """A time on the share of a processor that the memory gives, from one that was measured on a whole one."""
        share = min(1.0, self.of(work, "memory, MB") / WHOLE_PROCESSOR_MB)
        return max(wall_ms - cpu_ms, 0.0) + cpu_ms / share

    def billed_ms(self, side: str, work: str) -> float:
        """The mean time that Lambda bills for an invoke: waiting as measured, computing by the share of a processor."""
        first, start, wall = (
            self.of(work, f"{what}, wall ({NEAR_REGION}), ms", side) for what in ("first invoke", "cold start", "warm")
        )
        # Init runs with a whole processor, whatever the memory, and is billed since August 2025.
        cold = start - first + self.scaled(work, first, self.of(work, "first invoke CPU, ms", side))
        warm = self.scaled(work, wall, self.of(work, "warm CPU, µs", side) / 1000)
        return (1 - COLD_SHARE) * math.ceil(warm) + COLD_SHARE * math.ceil(cold)

    def lambda_time(self, side: str, work: str) -> float:
        """Of one invoke."""
        gb_seconds = self.billed_ms(side, work) / 1000 * self.of(work, "memory, MB") / 1024
        return gb_seconds * self.prices["Lambda GB-second"]

    def log_bytes(self, side: str, work: str) -> float:
        """All that one request writes into CloudWatch Logs."""
        gateway = self.of("deployed", "bytes of the gateway's log line")
        return self.of(work, "log, bytes", side) + PLATFORM_BYTES + gateway

    def request(self, side: str, work: str) -> dict[str, float]:
        """A million of one request, line by line."""
        of, price = partial(self.of, work, side=side), self.prices
        sent = of("answer, bytes") + of("to the provider with TLS, bytes") + GATEWAY_HEADERS
        return {
            "API Gateway": price["API request, million"],
            "DynamoDB, writes": of("write units") * price["write unit, million"],
            "DynamoDB, reads": of("read units") * price["read unit, million"],
            "Lambda, requests": price["Lambda request, million"],
            "Lambda, time": self.lambda_time(side, work) * MILLION,
            "CloudWatch Logs": self.log_bytes(side, work) * MILLION / GB * price["log GB"],
            "bytes out of AWS": sent * MILLION / GB * price["transfer GB"],
            "X-Ray": TRACED_SHARE.get(side, 0) * price["trace, million"],
        }

    def requests(self, side: str, works: tuple[str, ...] = WORKS) -> dict[str, float]:
        each = [self.request(side, work) for work in works]
        return {what: sum(one[what] for one in each) for what in each[0]}

    def together(self, side: str) -> float:
        """A million voids with all that this side does for them: only ours sends events and can be read."""
        return sum(self.requests(side).values()) + (self.event + self.read if side == "ours" else 0)

    def kept(self, side: str) -> tuple[float, float]:
        """What a million voids that are kept cost each month: in the table with its backup, and as logs."""
        price, works = self.prices, (*WORKS, "read") if side == "ours" else WORKS
        stored = self.figures["item with its index entries, bytes"][side] * MILLION / GB
        measured = ("log, bytes", "log, bytes zipped", "log, lines")
        logged, zipped, lines = (sum(self.of(work, figure, side) for work in works) for figure in measured)
        written = sum(self.log_bytes(side, work) for work in works) * zipped / logged
        written += (lines + (PLATFORM_LINES + 1) * len(works)) * GZIP_BYTES_AN_EVENT
        table = stored * (price["table GB-month"] + price["backup GB-month"])
        return table, written * MILLION / GB * price["log GB-month"]

    @property
    def settling(self) -> float:
        """What a month of settle runs and heartbeats costs."""
        price = self.prices
        run = price["Lambda request, million"] + price["schedule, million"]
        run += self.of("settle", "read units") * price["read unit, million"]
        beat = (price["write unit, million"] + self.event) / BEAT_EVERY_MINUTES
        logged = (self.of("settle", "log, bytes") + PLATFORM_BYTES) / GB * price["log GB"]
        return (self.lambda_time("ours", "settle") + logged + (run + beat) / MILLION) * MINUTES

    def month(self) -> dict[str, tuple[float, ...]]:
        """Each line of a month's bill but the dashboard: quiet, with a thousand voids, and at most."""
        price, at = self.prices, "deployed"
        metrics, secrets = self.of(at, "custom metrics"), self.of(at, "secrets")
        shares = [self.of(at, f"custom metrics of a {what}, by hours") for what in ("quiet month", "thousand voids")]
        alarms = self.of(at, "metrics that alarms read")
        return {
            f"{metrics:.0f} custom metrics, by the hours in which they are sent": tuple(
                share * price["metric-month"] for share in (*shares, metrics)
            ),
            f"alarms, over {alarms:.0f} metrics": (alarms * price["alarm-month"],) * 3,
            f"{secrets:.0f} secret": (secrets * price["secret-month"],) * 3,
            "the secret, read each minute": (MINUTES / MILLION * price["secret call, million"],) * 3,
            "settle runs and heartbeats": (self.settling,) * 3,
            "the voids themselves": (0.0, self.together("ours") / 1000, 0.0),
        }

    def months(self, environment: str) -> tuple[float, ...]:
        shown = self.of("deployed", f"dashboards in {environment}") * self.prices["dashboard-month"]
        return tuple(sum(column) + shown for column in zip(*self.month().values(), strict=True))


# ---- tables ----------------------------------------------------------------------------------------------------------


def document(figures: Figures) -> list[str | list[list[str]]]:
    here, *others = REGIONS
    bill = Bill(figures, PRICES[here])
    months = bill.month() | {f"**together in `{name}`**": bill.months(name) for name in ("test", "prod")}
    elsewhere = [
        f"At the prices of {region}: "
        + ", ".join(f"{HEADS[side]} {Bill(figures, PRICES[region]).together(side):,.2f}" for side in SIDES)
        for region in others
    ]
    return [
        f"Prices: {here}, {TAKEN}, without free tier, discounts and taxes.",
        bill_table(bill),
        ". ".join(elsewhere) + ".",
        [["USD a month", *COLUMNS], *([what, *map(dollars, row)] for what, row in months.items())],
    ]


def bill_table(bill: Bill) -> list[list[str]]:
    requests = {side: bill.requests(side) for side in SIDES}
    rows: dict[str, list[float]] = {what: [requests[side][what] for side in SIDES] for what in requests["ours"]}
    rows |= {
        "**a void and its webhook**": [sum(requests[side].values()) for side in SIDES],
        "the event `void.settled`: pipe and bus": [bill.event],
        "one read of the void": [bill.read],
        "**together**": [bill.together(side) for side in SIDES],
        "each month that it is kept: table, backup": [bill.kept(side)[0] for side in SIDES],
        "each month that it is kept: logs": [bill.kept(side)[1] for side in SIDES],
    }
    cells = {what: [*map(dollars, values)] + ["–"] * (len(SIDES) - len(values)) for what, values in rows.items()}
    cells |= {f"billed for a {work}, ms": [f"{bill.billed_ms(side, work):.0f}" for side in SIDES] for work in WORKS}
    heads = ["USD for a million voids", *(HEADS[side] for side in SIDES)]
    return [heads, *([what, *row] for what, row in cells.items())]


def dollars(value: float) -> str:
    return f"{value:,.2f}"
