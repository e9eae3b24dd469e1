"""How long functions run and what a void consumes, by AWS's own figures, beside the paper of docs/performance.md."""

import re
import statistics
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta

from ops.acceptance.probes.releases import log_group
from ops.acceptance.rows import Finding, Probe, judged, not_seen
from ops.acceptance.site import Site

PAPER_MS = {"submit_void": 300, "read_voids": 50, "receive_webhook": 50, "settle_voids": 1000}
"""Of a warm request at the median: docs/performance.md, "Cost of a million voids"; a run with nothing to do is ours."""
PAPER_UNITS = 7
"""Write units of a void and its webhook, as docs/performance.md counts them."""
ENOUGH_WARM, ENOUGH_COLD = 30, 5
READS, AT_ONCE = 100, 20
DAYS = 14

_REPORT = re.compile(r"Duration: ([\d.]+) ms\s+Billed")
_INIT = re.compile(r"Init Duration: ([\d.]+) ms")
_MEMORY = re.compile(r"Max Memory Used: (\d+) MB")


@dataclass(frozen=True, slots=True)
class Report:
    """One REPORT line. `init` is None for a warm request."""

    milliseconds: float
    init: float | None
    megabytes: int


def parsed(line: str) -> Report | None:
    """A REPORT line as Lambda writes it; None for another line."""
    duration, init, memory = _REPORT.search(line), _INIT.search(line), _MEMORY.search(line)
    if not line.startswith("REPORT") or duration is None:
        return None
    return Report(float(duration[1]), float(init[1]) if init else None, int(memory[1]) if memory else 0)


def times(site: Site) -> Iterator[Finding]:
    """The REPORT lines of each function. Reads can be made at will; voids and webhooks are what they are."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(lambda _: site.read(site.nobody()), range(READS)))
    site.wait("for the logs", site.patience.logs / 3)
    since = site.now() - timedelta(days=DAYS)
    for stem, function in site.functions.items():
        lines = site.log_messages(log_group(site, function), '"REPORT RequestId"', since)
        yield of_reports(stem, [report for line in lines if (report := parsed(line)) is not None], function.memory)


def of_reports(stem: str, reports: Sequence[Report], memory: int) -> Finding:
    """The figures of one function; too few mean nothing."""
    row = f"aws-times-{stem.replace('_', '-')}"
    warm = [report.milliseconds for report in reports if report.init is None]
    cold = [report.init + report.milliseconds for report in reports if report.init is not None]
    shown = {
        "memory_mb": memory,
        "used_mb": max((report.megabytes for report in reports), default=0),
        "warm": spread(warm),
        "cold_init_and_first": spread(cold),
        "init": spread([report.init for report in reports if report.init is not None]),
        "paper_warm_ms": PAPER_MS[stem],
    }
    if len(warm) < ENOUGH_WARM:
        return not_seen(row, f"{len(warm)} warm requests in {DAYS} days, {ENOUGH_WARM} mean something", shown)
    few = f"{len(cold)} cold starts only: their figures mean little" if len(cold) < ENOUGH_COLD else ""
    return judged(row, statistics.median(warm) <= PAPER_MS[stem], shown, few)


def spread(values: Sequence[float]) -> dict[str, float | int]:
    """Count, median and 99th percentile in milliseconds."""
    if not values:
        return {"count": 0}
    ordered = sorted(values)
    return {
        "count": len(ordered),
        "p50_ms": round(statistics.median(ordered), 1),
        "p99_ms": round(ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))], 1),
    }


def write_units(site: Site) -> Iterator[Finding]:
    """What table and indexes consumed in the minute of the first hold's void and the one after it."""
    order = site.hold(0)
    noted = site.state.noted(order)
    if noted.get("sent") != "service" or "answer" not in noted:
        yield not_seen("aws-write-units", "the first hold was not voided by the service yet")
        return
    sent_at = datetime.fromisoformat(noted["sent_at"])
    begin = sent_at.replace(second=0, microsecond=0)
    ready_at = begin + timedelta(seconds=site.patience.metrics)
    site.wait("for CloudWatch to count", max((ready_at - site.now()).total_seconds(), 0))
    indexes = [one["IndexName"] for one in _table(site).get("GlobalSecondaryIndexes", [])]
    units = {name or "table": _consumed(site, name, begin) for name in ("", *indexes)}
    total = sum(units.values())
    if not total:
        yield not_seen("aws-write-units", "CloudWatch has not counted yet: run this row again", {"units": units})
    else:
        yield judged("aws-write-units", total <= PAPER_UNITS, {"units": units, "total": total, "paper": PAPER_UNITS})


def _table(site: Site) -> dict[str, list[dict[str, str]]]:
    table: dict[str, list[dict[str, str]]] = site.client("dynamodb").describe_table(TableName=site.table)["Table"]
    return table


def _consumed(site: Site, index: str, begin: datetime) -> float:
    dimensions = [{"Name": "TableName", "Value": site.table}]
    dimensions += [{"Name": "GlobalSecondaryIndexName", "Value": index}] if index else []
    points = site.client("cloudwatch").get_metric_statistics(
        Namespace="AWS/DynamoDB", MetricName="ConsumedWriteCapacityUnits", Dimensions=dimensions, StartTime=begin,
        EndTime=begin + timedelta(minutes=2), Period=60, Statistics=["Sum"],
    )["Datapoints"]  # fmt: skip
    return float(sum(point["Sum"] for point in points))


PROBES = (
    Probe(
        rows=tuple(f"aws-times-{stem.replace('_', '-')}" for stem in PAPER_MS),
        run=times,
        does="send a hundred signed reads, twenty at a time",
        rights=("logs:FilterLogEvents", "execute-api:Invoke"),
        minutes=1,
        not_locally="the local runtime writes no REPORT lines, and its times are this machine's",
    ),
    Probe(
        rows=("aws-write-units",),
        run=write_units,
        does="",
        rights=("cloudwatch:GetMetricStatistics", "dynamodb:DescribeTable"),
        minutes=7,
        hold=0,
        not_locally="the local engine counts no consumed units",
    ),
)
