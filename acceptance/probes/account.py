"""What the address, the secret, IAM, the quotas, the clock and AWS's own figures say. Only looks and reads."""

import re
import statistics
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

from botocore.exceptions import ClientError

from acceptance.rows import FACTS, Finding, judged, not_seen
from acceptance.site import Site
from acceptance.undo import play
from acceptance.wire import NoAnswer
from ops import systems
from ops.places import OpsError
from payments.secret import FIELDS

PAPER_MS, PAPER_UNITS = FACTS["paper"]["warm_ms"], FACTS["paper"]["write_units"]
ENOUGH_WARM, ENOUGH_COLD, READS, AT_ONCE, DAYS = 30, 5, 100, 20, 14
# A line as Lambda writes it: milliseconds, megabytes, and the milliseconds of init, which a warm request has not.
REPORT = re.compile(r"REPORT.*?Duration: ([\d.]+) ms\s+Billed.*?Used: (\d+) MB(?:.*Init Duration: ([\d.]+) ms)?")
MUST, NEVER = FACTS["rights"]["must"], FACTS["rights"]["never"]

# ---- what `make smoke` checks ----------------------------------------------------------------------------------------


def transport(site: Site) -> Iterator[Finding]:
    row, parts = "aws-tls", urlsplit(site.origin)
    if parts.scheme == "http":
        local = not_seen(row, "the local run cannot say: it has no TLS")
        yield local if parts.hostname in ("127.0.0.1", "localhost", "::1") else judged(row, False, {}, "plain HTTP")
        return
    try:
        site.call("GET", f"{site.base}/nothing-here", unsigned=True)
    except NoAnswer as error:
        yield not_seen(row, str(error))
    else:
        yield judged(row, True, {"scheme": parts.scheme})


def address(site: Site) -> Iterator[Finding]:
    theirs = site.output("ApiUrl").rstrip("/")
    same = theirs == site.api_url
    yield judged("aws-own-address", same, {"same": same}, "" if same else f"its ApiUrl is {theirs}")


def credentials(site: Site) -> Iterator[Finding]:
    """The secret is filled, it is this environment's, and the provider takes it: in this order."""
    found = site.credentials  # raises when a field is missing
    yield judged("aws-secret-fields", True, {"fields": list(FIELDS)})
    wrong, shown = site.wrong_project(), f"pos_id '{found.pos_id}'"
    yield judged("aws-secret-project", not wrong, {"pos_id": found.pos_id}, f"{shown}: {wrong}" if wrong else shown)
    taken = systems.provider(site.variables()).accepts(found, systems.deadline())
    why = "" if taken else "no answer that says so" if taken is None else "it refuses them"
    yield judged("aws-secret-accepted", taken, {"accepted": taken}, why)


# ---- the account -----------------------------------------------------------------------------------------------------


def rights(site: Site) -> Iterator[Finding]:
    table, secret = site.table["TableArn"], site.variables()["SECRET_ID"]
    wrong: dict[str, list[str]] = {"missing": [], "too_many": []}
    for stem, function in site.functions.items():
        must = [right.partition("/") for right in MUST.get(stem, ())]
        asked = [([action], f"{table}/index/{index}" if index else table, "missing") for action, _, index in must]
        never = [one for one in NEVER["table"] if f"{stem} {one}" != "receive_webhook dynamodb:UpdateItem"]
        asked += [(["secretsmanager:GetSecretValue"], secret, "missing"), (never, table, "too_many")]
        for actions, resource, kind in (*asked, (NEVER["secret"], secret, "too_many")):
            found = play(site, "simulate", {"role": function["Role"], "actions": actions, "resource": resource})
            wrong[kind] += [f"{stem} {one}" for one in found["allowed" if kind == "too_many" else "denied"]]
    yield judged("aws-iam", not any(wrong.values()), wrong)


def clock(site: Site) -> Iterator[Finding]:
    """This machine's clock beside the Date of an answer, which has whole seconds."""
    before = site.now()
    reply = site.call("GET", f"{site.base}/voids?limit=1")
    middle = before + (site.now() - before) / 2
    try:
        theirs = parsedate_to_datetime(reply.headers.get("date", "")).astimezone(UTC)
    except ValueError:
        yield not_seen("aws-clock", "the answer has no Date", reply.evidence())
        return
    seconds = (middle - theirs).total_seconds()
    yield judged("aws-clock", abs(seconds) <= 5, {"seconds_ahead": round(seconds, 1)})


def quotas(site: Site) -> Iterator[Finding]:
    voids = site.environment.merchant_throttle.requests_per_second
    webhooks = site.environment.webhook_throttle.requests_per_second
    wanted = {  # 300 ms for a void, 30 ms for a webhook, one settle run; the write units of both together
        "lambda_concurrency": round(voids * 0.3 + webhooks * 0.03 + 1),
        "api_requests_a_second": voids + webhooks,
        "table_write_units_a_second": max(voids, webhooks) * PAPER_UNITS,
    }
    found = play(site, "quotas")
    with suppress(ClientError):  # not everybody may read it
        found = play(site, "table-quota", found)
    has = {name: found.get(name) for name in wanted}
    short = [name for name, figure in has.items() if figure is not None and figure < wanted[name]]
    yield judged("aws-quotas", not short, {"short": short, "needed": wanted, "account": has})
    yield judged("aws-log-role", found["log_role"], {"role_is_set": bool(found["log_role"])})


def reader(site: Site) -> Iterator[Finding]:
    topic = site.resource("AWS::SNS::Topic", "Monitoring")
    found = play(site, "subscribed", {"topic": topic})
    shown = {"confirmed": found["confirmed"], "waiting": len(found["known"]) - len(found["confirmed"])}
    yield judged("aws-alarm-reader", found["confirmed"], shown)


def stream(site: Site) -> Iterator[Finding]:
    """A pipe keeps the stream that it was made with; a table that was restored has another one."""
    pipe = site.ask("pipes", "describe_pipe", Name=site.resource("AWS::Pipes::Pipe", "Events"))
    shown = {"same_stream": pipe["Source"] == site.table.get("LatestStreamArn"), "pipe": pipe["CurrentState"]}
    yield judged("aws-pipe-stream", shown["same_stream"] and pipe["CurrentState"] == "RUNNING", shown)


# ---- figures, beside the paper of docs/performance.md ----------------------------------------------------------------


def times(site: Site) -> Iterator[Finding]:
    """The REPORT lines of each function. Reads can be made at will; voids and webhooks are what they are."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(lambda _: site.read(site.nobody()), range(READS)))
    site.wait("the logs", site.patience.logs / 3)
    since = site.now() - timedelta(days=DAYS)
    for stem, paper in PAPER_MS.items():
        function = site.functions[stem]
        lines = site.log_messages(site.log_group(stem), '"REPORT RequestId"', since)
        found = [report for report in map(REPORT.match, lines) if report]
        yield of_reports(f"aws-times-{stem.replace('_', '-')}", found, function["MemorySize"], paper)


def of_reports(row: str, reports: Sequence[re.Match[str]], memory: int, paper: float) -> Finding:
    """The figures of one function; too few mean nothing."""
    warm = [float(one[1]) for one in reports if one[3] is None]
    cold = [(float(one[1]), float(one[3])) for one in reports if one[3] is not None]
    shown = {
        "memory_mb": memory, "used_mb": max((int(one[2]) for one in reports), default=0), "warm": spread(warm),
        "cold_init_and_first": spread([run + init for run, init in cold]), "init": spread([init for _, init in cold]),
        "paper_warm_ms": paper,
    }  # fmt: skip
    if len(warm) < ENOUGH_WARM:
        return not_seen(row, f"{len(warm)} warm requests in {DAYS} days, {ENOUGH_WARM} mean something", shown)
    few = f"{len(cold)} cold starts only: their figures mean little" if len(cold) < ENOUGH_COLD else ""
    return judged(row, statistics.median(warm) <= paper, shown, few)


def spread(values: Sequence[float]) -> dict[str, float | int]:
    if not values:
        return {"count": 0}
    last = sorted(values)[min(len(values) - 1, int(len(values) * 0.99))]
    return {"count": len(values), "p50_ms": round(statistics.median(values), 1), "p99_ms": round(last, 1)}


def write_units(site: Site) -> Iterator[Finding]:
    """What table and indexes consumed in the minute of the first hold's void and the one after it."""
    row, noted = "aws-write-units", site.state.note(site.hold(0))
    if noted.get("sent") != "service" or "answer" not in noted:
        raise OpsError("the first hold was not voided by the service yet")
    begin = datetime.fromisoformat(noted["sent_at"]).replace(second=0, microsecond=0)
    counted = begin + timedelta(seconds=site.patience.metrics)
    site.wait("CloudWatch to count", (counted - site.now()).total_seconds())
    indexes = [one["IndexName"] for one in site.table.get("GlobalSecondaryIndexes", [])]
    units = {name or "table": _consumed(site, name, begin) for name in ("", *indexes)}
    total = sum(units.values())
    if total:
        yield judged(row, total <= PAPER_UNITS, {"units": units, "total": total, "paper": PAPER_UNITS})
    else:
        yield not_seen(row, "CloudWatch has not counted yet: run this row again", {"units": units})


def _consumed(site: Site, index: str, begin: datetime) -> float:
    named = {"TableName": site.table["TableName"]} | ({"GlobalSecondaryIndexName": index} if index else {})
    dimensions = [{"Name": name, "Value": value} for name, value in named.items()]
    asked = {"dimensions": dimensions, "begin": begin, "end": begin + timedelta(minutes=2)}
    return float(sum(point["Sum"] for point in play(site, "consumed", asked)["points"]))
