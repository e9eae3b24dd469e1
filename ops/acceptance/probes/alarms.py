"""Does an alarm reach somebody? One is set to ALARM and back."""

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from ops.acceptance.rows import Finding, Probe, judged, not_seen
from ops.acceptance.site import Site
from ops.acceptance.undo import making

CLOCKS_DIFFER = timedelta(seconds=10)
HEADING = "Void corrected"
"""Of the runbook. It takes no release back, and nothing else follows from it."""


def delivers(site: Site) -> Iterator[Finding]:
    """Ring it, and read in its history what became of the message."""
    cloudwatch, name = site.client("cloudwatch"), f"{site.place.stack} {HEADING}"
    alarms = cloudwatch.describe_alarms(AlarmNames=[name])["MetricAlarms"]
    if not alarms:
        yield not_seen("aws-alarm-delivers", f"there is no alarm {name}: is the stack another version?")
        return
    since = site.now()
    with making(site, "alarm", alarm=name, state=alarms[0]["StateValue"]):
        cloudwatch.set_alarm_state(
            AlarmName=name, StateValue="ALARM", StateReason="acceptance: does an alarm reach its topic?"
        )
        history, _ = site.until(
            "the alarm's history", lambda: _actions(cloudwatch, name, since), bool, site.patience.history
        )
    if not history:
        yield not_seen("aws-alarm-delivers", "its history names no action yet")
    else:
        yield _of_action(history[0])


def _actions(cloudwatch: Any, name: str, since: datetime) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = cloudwatch.describe_alarm_history(
        AlarmName=name, HistoryItemType="Action", StartDate=since - CLOCKS_DIFFER, MaxRecords=10
    )["AlarmHistoryItems"]
    return found


def _of_action(item: dict[str, Any]) -> Finding:
    try:
        data = json.loads(item.get("HistoryData", "{}"))
    except ValueError:
        data = {}
    summary = str(item.get("HistorySummary", ""))
    done = data.get("actionState") == "Succeeded" or summary.startswith("Successfully executed")
    shown = {"summary": summary, "error": str(data.get("error") or "")}
    return judged("aws-alarm-delivers", done, shown)


def reader(site: Site) -> Iterator[Finding]:
    """Is anybody subscribed, and has it confirmed?"""
    pages = site.client("sns").get_paginator("list_subscriptions_by_topic")
    topic = site.resource("AWS::SNS::Topic", "Monitoring")
    found = [one for page in pages.paginate(TopicArn=topic) for one in page["Subscriptions"]]
    confirmed = [one["Protocol"] for one in found if one["SubscriptionArn"].startswith("arn:")]
    yield judged("aws-alarm-reader", bool(confirmed), {"confirmed": confirmed, "waiting": len(found) - len(confirmed)})


NO_ALARMS = "the local engine keeps alarms and neither evaluates nor delivers them"
PROBES = (
    Probe(
        rows=("aws-alarm-delivers",),
        run=delivers,
        does=f"ring the alarm `{HEADING}` once and set it back: whoever reads the topic gets two messages",
        rights=("cloudwatch:DescribeAlarms", "cloudwatch:SetAlarmState", "cloudwatch:DescribeAlarmHistory"),
        minutes=1,
        not_locally=NO_ALARMS,
    ),
    Probe(
        rows=("aws-alarm-reader",),
        run=reader,
        does="",
        rights=("sns:ListSubscriptionsByTopic",),
        not_locally=NO_ALARMS,
    ),
)
