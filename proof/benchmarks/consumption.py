"""What one void uses, measured: request units and bytes at the AWS engine of the local run, times at stubs far away.

Two runs of each subject. The first stands before the engine with the real template's table, so that conditions hold and
items are what they are in AWS; the second, before stubs that answer late, gives the times that Lambda would bill.
"""

import gzip
import json
import os
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from infra.synth import ROOT, synthesise
from local import assembly, aws
from local.processes import Children
from proof.benchmarks import measure, subjects
from proof.benchmarks.__main__ import use_node_of_pypi
from proof.benchmarks.cost import QUIET, SIDES, THOUSAND, Measured, Month, Request
from proof.benchmarks.meter import Meter, Usage
from proof.benchmarks.subjects import CACHE, OUR_MODULES, WORKS, Subject

VOIDS = 40
ROUNDS = 12
WARM_UP = 2
TABLES = {
    "voids": (("pk", "HASH"), ("sk", "RANGE")),
    "voids-idempotency": (("id", "HASH"),),  # as Powertools' layer wants it
}
LENGTHS = {"requestTime": 26, "error.responseType": 1, "xrayTraceId": 35, "httpMethod": 4, "resourcePath": 24}
"""Of what the gateway fills into its log's line; what is not named here is an id or a number."""

Template = dict[str, Any]


@dataclass(frozen=True)
class Used:
    """One request's share of what a series of them used."""

    usage: Usage
    count: int
    log: bytes
    answer_bytes: float
    provider_bytes: float


def measure_all() -> Measured:
    """Everything that `cost.py` computes with."""
    use_node_of_pypi()
    made = {name: subject for name, subject in subjects.prepare().items() if name in SIDES}
    templates = json.loads(synthesise("prod", CACHE / "cost").read_text(encoding="utf-8"))
    memory = memory_of(templates)
    used: dict[str, dict[str, Used]] = {}
    stored: dict[str, float] = {}
    with engine() as (endpoint, client):
        for name, subject in made.items():
            measure.say(f"{name}: what it uses")
            table = own_table(endpoint) if name == "ours" else peers_table(client, name)
            used[name], stored[name] = use(subject, works(name), endpoint, client, table)
    requests: dict[str, dict[str, Request]] = {name: {} for name in made}
    # A read finds what it found in the table before.
    reads = json.dumps(used["ours"]["read"].usage.answers)
    with (
        measure.stubs(*measure.FAR[measure.NEAR_REGION]) as empty,
        measure.stubs(*measure.FAR[measure.NEAR_REGION], f"--reads={reads}") as filled,
    ):
        for name, subject in made.items():
            for work in works(name):
                measure.say(f"{name}: how long a {work} takes")
                times = take_times(subject, work, filled if work == "read" else empty)
                requests[name][work] = request(used[name][work], times, memory[OUR_MODULES[work]])
    return Measured(
        day=time.strftime("%Y-%m-%d"),
        requests=requests,
        stored_bytes=stored,
        access_log_bytes=access_log_bytes(templates),
        month=month(),
    )


def works(name: str) -> tuple[str, ...]:
    """What this subject can do: in the order of a void's life."""
    return (*WORKS, "read", "settle") if name == "ours" else WORKS


def request(used: Used, times: dict[str, float], memory: int) -> Request:
    """Both runs as one figure for each thing."""
    count = used.count
    return Request(
        memory_mb=memory,
        **times,
        writes={name: round(units / count, 2) for name, units in used.usage.writes.items()},
        reads=round(used.usage.reads / count, 2),
        log_lines=round(used.log.count(b"\n") / count, 2),
        log_bytes=round(len(used.log) / count, 1),
        zipped_log_bytes=round(len(gzip.compress(used.log, 6)) / count, 1),
        answer_bytes=round(used.answer_bytes, 1),
        provider_bytes=round(used.provider_bytes, 1),
    )


# ---- at the engine ---------------------------------------------------------------------------------------------------


@contextmanager
def engine() -> Iterator[tuple[str, Any]]:
    """The AWS engine of the local run, while needed: its address and a client of the table."""
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="cost-", dir=CACHE)))
        children = Children()
        stack.callback(children.stop_all)
        endpoint = aws.start_engine(aws.install_engine(measure.say), children, scratch, scratch / "ministack.log")
        yield endpoint, aws.client("dynamodb", endpoint)


def own_table(endpoint: str) -> str:
    """The table of the deployed template, with its indexes."""
    nowhere = {"ProviderUrl": "https://127.0.0.1", "ProviderCaFile": "/dev/null", "PublicUrl": "http://127.0.0.1"}
    return aws.deploy(endpoint, assembly.assembly(measure.say), nowhere).table_name


def peers_table(client: Any, name: str) -> str:
    """Tables as a peer expects them, without indexes."""
    for table, keys in TABLES.items():
        client.create_table(
            TableName=f"{name}-{table}",
            KeySchema=[{"AttributeName": key, "KeyType": kind} for key, kind in keys],
            AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key, _ in keys],
            BillingMode="PAY_PER_REQUEST",
        )
    return f"{name}-voids"


def use(
    subject: Subject, works: tuple[str, ...], endpoint: str, client: Any, table: str
) -> tuple[dict[str, Used], float]:
    """Let the same orders be voided, reported and read; what each request used, and the bytes that stay of a void."""
    meter = Meter(endpoint, client)
    found: dict[str, Used] = {}
    key, secret = aws.ADMIN
    here = {
        "AWS_ENDPOINT_URL_DYNAMODB": meter.url,
        "AWS_ACCESS_KEY_ID": key,
        "AWS_SECRET_ACCESS_KEY": secret,
        "AWS_SESSION_TOKEN": "",
        "TABLE_NAME": table,
        "IDEMPOTENCY_TABLE_NAME": f"{table}-idempotency",
    }
    at_engine = replace(subject, environment={**subject.environment, **here})
    with meter.running(), measure.stubs() as running, tempfile.NamedTemporaryFile(dir=CACHE) as log:
        for work in works:
            process = measure.Process(at_engine, work, running.ports, log=log.name)
            process.ask("cold", 1)
            process.ask("warm", WARM_UP)
            os.truncate(log.name, 0)
            running.ask("reset")
            meter.take()
            sizes = process.ask("warm", VOIDS)["sizes"]
            wire = running.ask("counts").get("provider wire", 0)
            usage = meter.take()
            if not usage.writes and not usage.reads:
                raise SystemExit(f"{subject.name}: a {work} did not use the table, so this would measure nothing")
            found[work] = Used(usage, VOIDS, Path(log.name).read_bytes(), statistics.mean(sizes), wire / VOIDS)
            process.end()
        tables = [table, *([f"{table}-idempotency"] if subject.name == "powertools" else [])]
        stored = sum(map(meter.stored, tables)) / (1 + WARM_UP + VOIDS)
    return found, stored


# ---- far away --------------------------------------------------------------------------------------------------------


def take_times(subject: Subject, work: str, running: measure.Stubs) -> dict[str, float]:
    """Milliseconds of an invoke and of a cold start, medians of some rounds."""
    colds, warms = [], []
    for _ in range(ROUNDS):
        process = measure.Process(subject, work, running.ports)
        colds.append(process.ask("cold", 1))
        process.ask("warm", WARM_UP)
        warms.append(process.ask("warm", measure.FAR_BLOCK))
        process.end()
    return {
        "wall_ms": middle(warms, lambda each: statistics.median(each["walls"])),
        "cpu_ms": middle(warms, lambda each: statistics.median(each["spent"])),
        "init_ms": middle(colds, lambda each: each["init_wall"]),
        "first_wall_ms": middle(colds, lambda each: each["first_wall"]),
        "first_cpu_ms": middle(colds, lambda each: each["cpu"] - each["init_cpu"]),
    }


def middle(answers: list[dict[str, Any]], read: Callable[[dict[str, Any]], float]) -> float:
    """The median in milliseconds, of nanoseconds."""
    return round(statistics.median(map(read, answers)) / 1e6, 2)


# ---- in the template -------------------------------------------------------------------------------------------------


def resources(template: Template, kind: str) -> list[dict[str, Any]]:
    """The properties of all resources of a type."""
    return [each.get("Properties", {}) for each in template["Resources"].values() if each["Type"] == kind]


def memory_of(template: Template) -> dict[str, int]:
    """Each handler's memory. The peers get the same: they do the same work."""
    functions = resources(template, "AWS::Lambda::Function")
    return {each["Handler"].partition(".")[0]: int(each["MemorySize"]) for each in functions}


def access_log_bytes(template: Template) -> int:
    """The length of the gateway's line for one request."""
    (stage,) = resources(template, "AWS::ApiGateway::Stage")

    def filled(variable: re.Match[str]) -> str:
        name = variable[1]
        return "x" * LENGTHS.get(name, 36 if name.endswith("Id") else 4)

    return len(re.sub(r"\$context\.([\w.]+)", filled, stage["AccessLogSetting"]["Format"])) + 1


def month() -> Month:
    """What is billed by the month, in the templates and by the hours that the stories' simulator counts."""
    sys.path.insert(0, str(ROOT / "functions"))
    os.environ |= {"POWERTOOLS_SERVICE_NAME": "void-service", "POWERTOOLS_METRICS_NAMESPACE": "VoidService"}
    from tests.alarms import hours

    use_node_of_pypi()
    templates = {name: json.loads(synthesise(name, CACHE / "cost").read_text("utf-8")) for name in ("test", "prod")}
    template = templates["prod"]
    (space,) = {each["Namespace"] for each in metrics(template) if each["Namespace"].startswith("VoidService")}
    # A dashboard is JSON in JSON: its metrics are named behind their namespace there.
    shown = re.findall(rf'\\"{space}\\",\\"(\w+)\\"', json.dumps(template))
    alarms = resources(template, "AWS::CloudWatch::Alarm")
    return Month(
        alarm_metrics=sum(len([m for m in each.get("Metrics", ()) if "MetricStat" in m]) or 1 for each in alarms),
        custom_metrics=len({each["MetricName"] for each in metrics(template) if each["Namespace"] == space} | {*shown}),
        metric_months={
            QUIET: hours.metric_months(template, hours.QUIET),
            THOUSAND: hours.metric_months(template, hours.THOUSAND),
        },
        dashboards={name: len(resources(each, "AWS::CloudWatch::Dashboard")) for name, each in templates.items()},
        secrets=len(resources(template, "AWS::SecretsManager::Secret")),
    )


def metrics(template: Template) -> Iterator[dict[str, str]]:
    """Namespace and name of each metric that an alarm reads."""
    for alarm in resources(template, "AWS::CloudWatch::Alarm"):
        if "Namespace" in alarm:
            yield alarm
        yield from (each["MetricStat"]["Metric"] for each in alarm.get("Metrics", ()) if "MetricStat" in each)
