"""What the templates say that a bill needs: memory, log lines, alarms, metrics, and the table's indexes.

Kept in deployed.json: it changes with each alarm and needs no quiet machine (`python -m proof.benchmarks --again`).
"""

import functools
import json
import re
from typing import Any

from infra.synth import synthesise
from proof.benchmarks.subjects import CACHE, HERE, OUR_MODULES
from tests.alarms import hours
from tests.alarms.evaluator import read_alarm

LENGTHS = {"error.responseType": 1, "xrayTraceId": 35, "httpMethod": 4, "resourcePath": 24}
"""Of what the gateway fills into its log's line; what is not named here is an id or a number."""

KEPT = HERE / "deployed.json"
QUIET, THOUSAND = (f"deployed: custom metrics of a {what}, by hours" for what in ("quiet month", "thousand voids"))
READ, CUSTOM = "deployed: metrics that alarms read", "deployed: custom metrics"
SPACE = "VoidService/prod"
Template = dict[str, Any]


@functools.cache
def template(environment: str) -> Template:
    found: Template = json.loads(synthesise(environment, CACHE / "cost").read_text("utf-8"))
    return found


def resources(template: Template, kind: str) -> list[dict[str, Any]]:
    return [each.get("Properties", {}) for each in template["Resources"].values() if each["Type"] == kind]


def indexes(template: Template) -> str:
    """Of the deployed table, as JSON."""
    return json.dumps(resources(template, "AWS::DynamoDB::Table")[0]["GlobalSecondaryIndexes"])


def access_log_bytes(template: Template) -> int:
    """The length of the gateway's line for one request."""
    (stage,) = resources(template, "AWS::ApiGateway::Stage")

    def filled(variable: re.Match[str]) -> str:
        return "x" * LENGTHS.get(variable[1], 36 if variable[1].endswith("Id") else 4)

    return len(re.sub(r"\$context\.([\w.]+)", filled, stage["AccessLogSetting"]["Format"])) + 1


def keep() -> None:
    """Write the figures; what is billed by the month, by the hours that the simulator of the alarms counts."""
    prod = template("prod")
    functions = resources(prod, "AWS::Lambda::Function")
    memory = {each["Handler"].partition(".")[0]: each["MemorySize"] for each in functions}
    alarms = [read_alarm(each) for each in resources(prod, "AWS::CloudWatch::Alarm")]
    read = [stat for alarm in alarms for stat in alarm.metrics.values()]
    # A dashboard is JSON in JSON: its metrics are named behind their namespace there.
    shown = re.findall(rf'\\"{SPACE}\\",\\"(\w+)\\"', json.dumps(prod))
    figures = {
        **{f"{work}: memory, MB": memory[module] for work, module in OUR_MODULES.items()},
        "deployed: bytes of the gateway's log line": access_log_bytes(prod),
        READ: len(read),
        CUSTOM: len({stat.name for stat in read if stat.namespace == SPACE} | {*shown}),
        QUIET: hours.metric_months(prod, hours.QUIET),
        THOUSAND: hours.metric_months(prod, hours.THOUSAND),
        "deployed: secrets": len(resources(prod, "AWS::SecretsManager::Secret")),
        **{
            f"deployed: dashboards in {name}": len(resources(template(name), "AWS::CloudWatch::Dashboard"))
            for name in ("test", "prod")
        },
    }
    KEPT.write_text(json.dumps(figures, indent=1) + "\n", "utf-8")


def load() -> dict[str, dict[str, float]]:
    found: dict[str, float] = json.loads(KEPT.read_text("utf-8"))
    return {figure: {"ours": value} for figure, value in found.items()}
