"""What IAM, the quotas, the clock, the alarms' readers and the account's own settings say. Only looks."""

from collections.abc import Iterator
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any

from botocore.exceptions import ClientError

from acceptance.rows import FACTS, Finding, judged, not_seen
from acceptance.site import Site
from infra.environment import Environment

CLOSE_SECONDS = 5.0
MUST, NEVER = FACTS["rights"]["must"], FACTS["rights"]["never"]


def rights(site: Site) -> Iterator[Finding]:
    """Does IAM decide about each role as this project means it?"""
    table, secret = site.table["TableArn"], site.functions["submit_void"].variables["SECRET_ID"]
    missing: list[str] = []
    too_many: list[str] = []
    for stem, function in site.functions.items():
        must = [right.partition("/") for right in MUST.get(stem, ())]
        on_table = [(action, f"{table}/index/{index}" if index else table) for action, _, index in must]
        for action, resource in (*on_table, ("secretsmanager:GetSecretValue", secret)):
            missing += [name for name, may in _decided(site, function.role, [action], resource, stem) if not may]
        never = [one for one in NEVER["table"] if f"{stem} {one}" != "receive_webhook dynamodb:UpdateItem"]
        for actions, resource in ((never, table), (NEVER["secret"], secret)):
            too_many += [name for name, may in _decided(site, function.role, actions, resource, stem) if may]
    yield judged("aws-iam", not missing and not too_many, {"missing": missing, "too_many": too_many})


def _decided(site: Site, role: str, actions: list[str], resource: str, stem: str) -> list[tuple[str, bool]]:
    request = {"PolicySourceArn": role, "ActionNames": actions, "ResourceArns": [resource]}
    found = site.client("iam").simulate_principal_policy(**request)["EvaluationResults"]
    return [(f"{stem} {one['EvalActionName']}", one["EvalDecision"] == "allowed") for one in found]


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
    role = bool(gateway.get("cloudwatchRoleArn"))
    yield judged("aws-log-role", role, {"role_is_set": role})


def needs(environment: Environment) -> dict[str, float]:
    """At the throttles: 300 ms for a void, 30 ms for a webhook, one settle run; 7 write units for both together."""
    throttles = environment.merchant_throttle, environment.webhook_throttle
    voids, webhooks = (throttle.requests_per_second for throttle in throttles)
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


def reader(site: Site) -> Iterator[Finding]:
    """Is anybody subscribed to the alarms, and has it confirmed?"""
    topic = site.resource("AWS::SNS::Topic", "Monitoring")
    pages = site.client("sns").get_paginator("list_subscriptions_by_topic").paginate(TopicArn=topic)
    found = [one for page in pages for one in page["Subscriptions"]]
    confirmed = [one["Protocol"] for one in found if one["SubscriptionArn"].startswith("arn:")]
    yield judged("aws-alarm-reader", bool(confirmed), {"confirmed": confirmed, "waiting": len(found) - len(confirmed)})


def stream(site: Site) -> Iterator[Finding]:
    """A pipe keeps the stream that it was made with; a table that was restored has another one."""
    pipe = site.client("pipes").describe_pipe(Name=site.resource("AWS::Pipes::Pipe", "Events"))
    shown = {"same_stream": pipe["Source"] == site.table.get("LatestStreamArn"), "pipe": pipe["CurrentState"]}
    yield judged("aws-pipe-stream", shown["same_stream"] and pipe["CurrentState"] == "RUNNING", shown)
