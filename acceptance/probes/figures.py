"""How long functions run and what a void consumes, by AWS's own figures, beside the paper of docs/performance.md."""

import re
import statistics
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

from acceptance.probes.changes import log_group
from acceptance.rows import Finding, judged, not_seen
from acceptance.site import Site

PAPER_MS = {"submit_void": 300, "read_voids": 50, "receive_webhook": 50, "settle_voids": 1000}
"""Of a warm request at the median: docs/performance.md, "Cost of a million voids"; a run with nothing to do is ours."""
PAPER_UNITS = 7
"""Write units of a void and its webhook, as docs/performance.md counts them."""
ENOUGH_WARM, ENOUGH_COLD, READS, AT_ONCE, DAYS = 30, 5, 100, 20, 14
# A line as Lambda writes it: milliseconds, megabytes, and the milliseconds of init, which a warm request has not.
REPORT = re.compile(
    r"REPORT.*?Duration: ([\d.]+) ms\s+Billed.*?Max Memory Used: (\d+) MB(?:.*Init Duration: ([\d.]+) ms)?"
)


def times(site: Site) -> Iterator[Finding]:
    """The REPORT lines of each function. Reads can be made at will; voids and webhooks are what they are."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(lambda _: site.read(site.nobody()), range(READS)))
    site.wait("for the logs", site.patience.logs / 3)
    since = site.now() - timedelta(days=DAYS)
    for stem, paper in PAPER_MS.items():
        function = site.functions[stem]
        lines = site.log_messages(log_group(site, function.name), '"REPORT RequestId"', since)
        found = [report for report in map(REPORT.match, lines) if report]
        yield of_reports(f"aws-times-{stem.replace('_', '-')}", found, function.memory, paper)


def of_reports(row: str, reports: Sequence[re.Match[str]], memory: int, paper: float) -> Finding:
    """The figures of one function; too few mean nothing."""
    warm = [float(one[1]) for one in reports if one[3] is None]
    cold = [one for one in reports if one[3] is not None]
    shown = {
        "memory_mb": memory,
        "used_mb": max((int(one[2]) for one in reports), default=0),
        "warm": spread(warm),
        "cold_init_and_first": spread([float(one[1]) + float(one[3]) for one in cold]),
        "init": spread([float(one[3]) for one in cold]),
        "paper_warm_ms": paper,
    }
    if len(warm) < ENOUGH_WARM:
        return not_seen(row, f"{len(warm)} warm requests in {DAYS} days, {ENOUGH_WARM} mean something", shown)
    few = f"{len(cold)} cold starts only: their figures mean little" if len(cold) < ENOUGH_COLD else ""
    return judged(row, statistics.median(warm) <= paper, shown, few)


def spread(values: Sequence[float]) -> dict[str, float | int]:
    """Count, median and 99th percentile in milliseconds."""
    if not values:
        return {"count": 0}
    last = sorted(values)[min(len(values) - 1, int(len(values) * 0.99))]
    return {"count": len(values), "p50_ms": round(statistics.median(values), 1), "p99_ms": round(last, 1)}


def write_units(site: Site) -> Iterator[Finding]:
    """What table and indexes consumed in the minute of the first hold's void and the one after it."""
    row, noted = "aws-write-units", site.state.noted(site.hold(0))
    if noted.get("sent") != "service" or "answer" not in noted:
        yield not_seen(row, "the first hold was not voided by the service yet")
        return
    begin = datetime.fromisoformat(noted["sent_at"]).replace(second=0, microsecond=0)
    counted = begin + timedelta(seconds=site.patience.metrics)
    site.wait("for CloudWatch to count", (counted - site.now()).total_seconds())
    indexes = [one["IndexName"] for one in site.table.get("GlobalSecondaryIndexes", [])]
    units = {name or "table": _consumed(site, name, begin) for name in ("", *indexes)}
    total = sum(units.values())
    if total:
        yield judged(row, total <= PAPER_UNITS, {"units": units, "total": total, "paper": PAPER_UNITS})
    else:
        yield not_seen(row, "CloudWatch has not counted yet: run this row again", {"units": units})


def _consumed(site: Site, index: str, begin: datetime) -> float:
    named = {"TableName": site.table["TableName"]} | ({"GlobalSecondaryIndexName": index} if index else {})
    points = site.client("cloudwatch").get_metric_statistics(
        Namespace="AWS/DynamoDB", MetricName="ConsumedWriteCapacityUnits", Period=60, Statistics=["Sum"],
        Dimensions=[{"Name": name, "Value": value} for name, value in named.items()],
        StartTime=begin, EndTime=begin + timedelta(minutes=2),
    )["Datapoints"]  # fmt: skip
    return float(sum(point["Sum"] for point in points))
