"""What IAM, the quotas, the clock and the account's own settings say. Only looks."""

from collections.abc import Iterator
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any

from botocore.exceptions import ClientError

from infra.environment import Environment
from ops.acceptance.rows import Finding, Probe, judged, not_seen
from ops.acceptance.site import Site

CLOSE_SECONDS = 5.0

# Function to what it must be allowed on the table, on an index by name, or on the secret.
MUST: dict[str, tuple[tuple[str, str], ...]] = {
    "submit_void": (("dynamodb:GetItem", ""), ("dynamodb:PutItem", "")),
    "read_voids": (
        ("dynamodb:GetItem", ""), ("dynamodb:PutItem", ""), ("dynamodb:Query", "due"), ("dynamodb:Query", "review"),
    ),
    "receive_webhook": (("dynamodb:GetItem", ""), ("dynamodb:PutItem", ""), ("dynamodb:UpdateItem", "")),
    "settle_voids": (("dynamodb:GetItem", ""), ("dynamodb:PutItem", ""), ("dynamodb:Query", "due")),
}  # fmt: skip
MUST_NOT_ON_TABLE = (
    "dynamodb:Scan", "dynamodb:DeleteItem", "dynamodb:BatchWriteItem", "dynamodb:DeleteTable", "dynamodb:UpdateTable",
    "dynamodb:PartiQLDelete",
)  # fmt: skip
MUST_NOT_ON_SECRET = ("secretsmanager:PutSecretValue", "secretsmanager:DeleteSecret", "secretsmanager:UpdateSecret")
ONLY_WEBHOOKS_UPDATE = ("dynamodb:UpdateItem",)


def rights(site: Site) -> Iterator[Finding]:
    """Does IAM decide about each role as this project means it?"""
    tables = site.client("dynamodb").describe_table(TableName=site.table)["Table"]
    secret = site.functions["submit_void"].variables["SECRET_ID"]
    missing: list[str] = []
    too_many: list[str] = []
    for stem, function in site.functions.items():
        for action, index in MUST.get(stem, ()):
            resource = f"{tables['TableArn']}/index/{index}" if index else tables["TableArn"]
            missing += _denied(site, function.role, [action], resource, stem)
        missing += _denied(site, function.role, ["secretsmanager:GetSecretValue"], secret, stem)
        never = MUST_NOT_ON_TABLE + (() if stem == "receive_webhook" else ONLY_WEBHOOKS_UPDATE)
        too_many += _allowed(site, function.role, list(never), tables["TableArn"], stem)
        too_many += _allowed(site, function.role, list(MUST_NOT_ON_SECRET), secret, stem)
    yield judged("aws-iam", not missing and not too_many, {"missing": missing, "too_many": too_many})


def _denied(site: Site, role: str, actions: list[str], resource: str, stem: str) -> list[str]:
    return [f"{stem} {action}" for action, decision in _decided(site, role, actions, resource) if decision != "allowed"]


def _allowed(site: Site, role: str, actions: list[str], resource: str, stem: str) -> list[str]:
    return [f"{stem} {action}" for action, decision in _decided(site, role, actions, resource) if decision == "allowed"]


def _decided(site: Site, role: str, actions: list[str], resource: str) -> list[tuple[str, str]]:
    found = site.client("iam").simulate_principal_policy(
        PolicySourceArn=role, ActionNames=actions, ResourceArns=[resource]
    )
    return [(one["EvalActionName"], one["EvalDecision"]) for one in found["EvaluationResults"]]


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
    yield judged("aws-clock", abs(seconds) <= CLOSE_SECONDS, {"seconds_ahead": round(seconds, 1)})


def quotas(site: Site) -> Iterator[Finding]:
    """What the throttles of the environment let in, beside what the account bears."""
    wanted = needs(site.environment)
    account = site.client("lambda").get_account_settings()["AccountLimit"]
    gateway = site.client("apigateway").get_account()
    has = {
        "lambda_concurrency": account["ConcurrentExecutions"],
        "api_requests_a_second": gateway["throttleSettings"]["rateLimit"],
        "table_write_units_a_second": _quota(site, "dynamodb", "Table-level write throughput limit"),
    }
    short = [name for name, figure in has.items() if figure is not None and figure < wanted[name]]
    yield judged("aws-quotas", not short, {"short": short, "needed": wanted, "account": has})
    role = gateway.get("cloudwatchRoleArn")
    yield judged("aws-log-role", bool(role), {"role_is_set": bool(role)})


def needs(environment: Environment) -> dict[str, float]:
    """At the throttles: 300 ms for a void, 30 ms for a webhook, one settle run; 7 write units for both together."""
    voids, webhooks = (
        environment.merchant_throttle.requests_per_second,
        environment.webhook_throttle.requests_per_second,
    )
    return {
        "lambda_concurrency": round(voids * 0.3 + webhooks * 0.03 + 1),
        "api_requests_a_second": voids + webhooks,
        "table_write_units_a_second": max(voids, webhooks) * 7,
    }


def _quota(site: Site, service: str, name: str) -> float | None:
    """A quota of the account by its name; None if it is not listed or may not be read."""
    try:
        pages: Any = site.client("service-quotas").get_paginator("list_service_quotas").paginate(ServiceCode=service)
        return next((one["Value"] for page in pages for one in page["Quotas"] if one["QuotaName"] == name), None)
    except ClientError:
        return None


PROBES = (
    Probe(
        rows=("aws-iam",),
        run=rights,
        does="",
        rights=("iam:SimulatePrincipalPolicy", "dynamodb:DescribeTable"),
    ),
    Probe(rows=("aws-clock",), run=clock, does=""),
    Probe(
        rows=("aws-quotas", "aws-log-role"),
        run=quotas,
        does="",
        rights=("lambda:GetAccountSettings", "apigateway:GET", "servicequotas:ListServiceQuotas"),
        not_locally="the local engine has no quotas and writes no access log",
    ),
)
