"""A release that changes nothing, and the way back: on read_voids, whose answers nobody books."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from ops.acceptance.rows import Finding, Probe, judged
from ops.acceptance.site import Function, Site
from ops.acceptance.undo import MARK, making
from ops.places import OpsError

ALIAS = "live"
SHARE = 0.1
READS = 100
STREAMS = 50


def rehearse(site: Site) -> Iterator[Finding]:
    """Publish, let it serve a tenth, move the alias back while reads go on, remove what was published."""
    function, lambda_ = site.functions["read_voids"], site.client("lambda")
    alias = lambda_.get_alias(FunctionName=function.name, Name=ALIAS)
    if (alias.get("RoutingConfig") or {}).get("AdditionalVersionWeights"):
        raise OpsError("a release of read_voids is under way: wait for its end")
    before = alias["FunctionVersion"]
    described = lambda_.get_function_configuration(FunctionName=function.name).get("Description", "")
    with making(site, "release", function=function.name, alias=ALIAS, version=before, description=described):
        after = _published(lambda_, function)
        weights = {"AdditionalVersionWeights": {after: SHARE}}
        lambda_.update_alias(FunctionName=function.name, Name=ALIAS, FunctionVersion=before, RoutingConfig=weights)
        failed = _reads(site, READS)
        served, _ = site.until(
            "the log of the new version", lambda: _served(site, function, after), bool, site.patience.release
        )
        shown = {"reads": READS, "failed": failed, "new_version_served": served}
        yield judged("aws-release", served and not failed, shown)
        lambda_.update_alias(
            FunctionName=function.name, Name=ALIAS, FunctionVersion=before,
            RoutingConfig={"AdditionalVersionWeights": {}},
        )  # fmt: skip
        failed_back = _reads(site, READS // 4)
        now = lambda_.get_alias(FunctionName=function.name, Name=ALIAS)
        back = now["FunctionVersion"] == before and not (now.get("RoutingConfig") or {}).get("AdditionalVersionWeights")
        yield judged("aws-way-back", back and not failed_back, {"alias_is_back": back, "failed": failed_back})


def _published(lambda_: Any, function: Function) -> str:
    """A version that differs by its description only: without any difference Lambda makes none."""
    lambda_.update_function_configuration(FunctionName=function.name, Description=MARK)
    lambda_.get_waiter("function_updated_v2").wait(FunctionName=function.name)
    version = lambda_.publish_version(FunctionName=function.name, Description=MARK)["Version"]
    lambda_.get_waiter("published_version_active").wait(FunctionName=function.name, Qualifier=version)
    return str(version)


def _reads(site: Site, count: int) -> int:
    """Reads of an order that nobody has; how many were not answered 404."""
    return sum(site.read(site.nobody()).status != 404 for _ in range(count))


def _served(site: Site, function: Function, version: str) -> bool:
    """A log stream of a function begins with the date, and the version in brackets."""
    logs, group = site.client("logs"), log_group(site, function)
    since = (site.now() - timedelta(minutes=15)).timestamp() * 1000
    streams = logs.describe_log_streams(logGroupName=group, orderBy="LastEventTime", descending=True, limit=STREAMS)[
        "logStreams"
    ]
    return any(f"[{version}]" in one["logStreamName"] and one.get("creationTime", since) >= since for one in streams)


def log_group(site: Site, function: Function) -> str:
    """Where a function logs to."""
    configuration = site.client("lambda").get_function_configuration(FunctionName=function.name)
    return str(configuration.get("LoggingConfig", {}).get("LogGroup") or f"/aws/lambda/{function.name}")


PROBES = (
    Probe(
        rows=("aws-release", "aws-way-back"),
        run=rehearse,
        does="publish a version of read_voids that changes nothing, send it a tenth of a hundred reads, take it back",
        rights=(
            "lambda:GetAlias", "lambda:UpdateAlias", "lambda:UpdateFunctionConfiguration", "lambda:PublishVersion",
            "lambda:ListVersionsByFunction", "lambda:DeleteFunction", "logs:DescribeLogStreams",
        ),
        minutes=3,
        not_locally="the local runtime starts functions itself: aliases move no request there",
    ),
)  # fmt: skip
