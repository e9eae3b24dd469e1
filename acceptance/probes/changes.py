"""An alarm that is rung, a secret that is rotated by the same value, a release that changes nothing: and the way back.

Promises to show, keep or change no value of the secret, and to touch only read_voids, whose answers nobody books.
"""

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from acceptance.rows import Finding, judged, not_seen
from acceptance.site import Site
from acceptance.undo import MARK, making, play, stages
from ops.places import OpsError

HEADING = "Void corrected"
"""Of the runbook. It takes no release back, and nothing else follows from it."""
CLOCKS_DIFFER = timedelta(seconds=10)
CURRENT, PREVIOUS = "AWSCURRENT", "AWSPREVIOUS"
ALIAS, SHARE, READS, STREAMS = "live", 0.1, 100, 50


def alarm(site: Site) -> Iterator[Finding]:
    """Ring it, and read in its history what became of the message."""
    row, cloudwatch, name = "aws-alarm-delivers", site.client("cloudwatch"), f"{site.place.stack} {HEADING}"
    alarms = cloudwatch.describe_alarms(AlarmNames=[name])["MetricAlarms"]
    if not alarms:
        yield not_seen(row, f"there is no alarm {name}: is the stack another version?")
        return
    asked = {"AlarmName": name, "HistoryItemType": "Action", "StartDate": site.now() - CLOCKS_DIFFER, "MaxRecords": 10}

    def actions() -> list[dict[str, Any]]:
        return list(cloudwatch.describe_alarm_history(**asked)["AlarmHistoryItems"])

    with making(site, "alarm", alarm=name, state=alarms[0]["StateValue"]):
        play(site, "ring", {"alarm": name})
        history, _ = site.until("the alarm's history", actions, bool, site.patience.history)
    if not history:
        yield not_seen(row, "its history names no action yet")
        return
    summary = str(history[0].get("HistorySummary", ""))
    try:
        data = json.loads(history[0].get("HistoryData", "{}"))
    except ValueError:
        data = {}
    done = data.get("actionState") == "Succeeded" or summary.startswith("Successfully executed")
    yield judged(row, done, {"summary": summary, "error": str(data.get("error") or "")})


def rotation(site: Site) -> Iterator[Finding]:
    """Put the same value once more, and move both stages back; `previous` is labelled, so that it cannot be deleted."""
    secrets, secret = site.client("secretsmanager"), site.functions["submit_void"].variables["SECRET_ID"]
    before = stages(site, secret)

    def value(stage: str = CURRENT) -> str:
        return str(secrets.get_secret_value(SecretId=secret, VersionStage=stage)["SecretString"])

    same = value()
    site.redact.learn(same)
    with making(site, "secret", secret=secret, current=before[CURRENT], previous=before.get(PREVIOUS, "")):
        if PREVIOUS in before:
            secrets.update_secret_version_stage(SecretId=secret, VersionStage=MARK, MoveToVersionId=before[PREVIOUS])
        fresh = secrets.put_secret_value(SecretId=secret, SecretString=same)["VersionId"]
        during = stages(site, secret)
        shown = {
            "new_value_is_current": during.get(CURRENT) == fresh,
            "old_value_is_previous": during.get(PREVIOUS) == before[CURRENT],
            "both_can_be_read": [value(CURRENT), value(PREVIOUS)] == [same, same],
            "service_answers": site.read(site.nobody()).status == 404,
        }
    shown["both_are_back"] = stages(site, secret) == before
    yield judged("aws-rotation", all(shown.values()), shown)


def release(site: Site) -> Iterator[Finding]:
    """Publish, let it serve a tenth, move the alias back while reads go on, remove what was published."""
    name, lambda_ = site.functions["read_voids"].name, site.client("lambda")
    alias = lambda_.get_alias(FunctionName=name, Name=ALIAS)
    if _weights(alias):
        raise OpsError("a release of read_voids is under way: wait for its end")
    described = lambda_.get_function_configuration(FunctionName=name).get("Description", "")
    what = {"function": name, "alias": ALIAS, "version": alias["FunctionVersion"]}
    with making(site, "release", **what, description=described):
        play(site, "describe", what | {"description": MARK})
        after = str(play(site, "publish", what)["after"])
        play(site, "share", what | {"weights": {after: SHARE}})
        failed, group = _reads(site, READS), site.log_group(name)
        served, _ = site.until("its log", lambda: _served(site, group, after), bool, site.patience.release)
        shown = {"reads": READS, "failed": failed, "new_version_served": served}
        yield judged("aws-release", served and not failed, shown)
        play(site, "share", what | {"weights": {}})
        failed, now = _reads(site, READS // 4), lambda_.get_alias(FunctionName=name, Name=ALIAS)
        back = now["FunctionVersion"] == what["version"] and not _weights(now)
        yield judged("aws-way-back", back and not failed, {"alias_is_back": back, "failed": failed})


def _weights(alias: dict[str, Any]) -> object:
    return (alias.get("RoutingConfig") or {}).get("AdditionalVersionWeights")


def _reads(site: Site, count: int) -> int:
    """Reads of an order that nobody has; how many were not answered 404."""
    return sum(site.read(site.nobody()).status != 404 for _ in range(count))


def _served(site: Site, group: str, version: str) -> bool:
    """A log stream of a function begins with the date, and the version in brackets."""
    since = (site.now() - timedelta(minutes=15)).timestamp() * 1000
    newest = {"logGroupName": group, "orderBy": "LastEventTime", "descending": True, "limit": STREAMS}
    streams = site.client("logs").describe_log_streams(**newest)["logStreams"]
    return any(f"[{version}]" in one["logStreamName"] and one.get("creationTime", since) >= since for one in streams)
