"""Do events leave as docs/events.md promises? A queue of a few minutes listens to the bus."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import unquote

from ops.acceptance.probes.past_the_service import deny
from ops.acceptance.rows import Finding, Probe, judged, not_seen
from ops.acceptance.site import Site
from ops.acceptance.undo import MARK, making
from ops.places import OpsError

LETTERS = 'a"b\\é'
CURRENCY = "UAH"
SOURCE = "void-service"
ATTEMPTS = 3


@contextmanager
def listening(site: Site) -> Iterator[str]:
    """A queue behind a rule of the bus; its address. Gone afterwards."""
    sqs, events, bus = site.client("sqs"), site.client("events"), site.output("OutcomeBus")
    # Another name each time: SQS lets nobody use the name of a deleted queue for a minute.
    queue = f"{site.temporary}-{site.now():%H%M%S}"
    with making(site, "queue", queue=queue), making(site, "rule", rule=site.temporary, bus=bus):
        url = sqs.create_queue(QueueName=queue, Attributes={"MessageRetentionPeriod": "3600"})["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        rule = events.put_rule(
            Name=site.temporary, EventBusName=bus, EventPattern=json.dumps({"source": [SOURCE]}), Description=MARK
        )["RuleArn"]
        sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": _policy(arn, rule)})
        events.put_targets(Rule=site.temporary, EventBusName=bus, Targets=[{"Id": MARK, "Arn": arn}])
        site.wait("for the rule to work", site.patience.rights)
        yield url


def _policy(queue: str, rule: str) -> str:
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "events.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": queue,
        "Condition": {"ArnEquals": {"aws:SourceArn": rule}},
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def letters(site: Site) -> Iterator[Finding]:
    """A void that the provider must refuse as unknown is settled, too, so its event leaves."""
    order = site.nobody(LETTERS)
    with listening(site) as url:
        _refused_void(site, order, "first")
        found, seconds = site.until("the event", lambda: received(site, url, order), bool, site.patience.event)
        if found:
            yield judged("aws-pipe-letters", True, {"seconds": round(seconds, 1), "order_id": found[0]["order_id"]})
            return
    waiting = _undelivered(site)
    yield judged("aws-pipe-letters", False, {"undelivered": waiting, "looked_for_seconds": round(seconds)})


def order_kept(site: Site) -> Iterator[Finding]:
    """Three attempts while the pipe may not write to the bus; then it may again."""
    row, order = "aws-pipe-order", site.nobody()
    role = site.resource("AWS::IAM::Role", "OutcomesPipeRole")
    with listening(site) as url:
        with making(site, "deny", role=role):
            deny(site, role, ["events:PutEvents"])
            for number in range(ATTEMPTS):
                _refused_void(site, order, str(number))
            site.wait("the bus is out of reach", site.patience.outage)
            early = received(site, url, order)
        if early:
            yield not_seen(row, "the bus was not out of reach: IAM had not taken effect", {"events": len(early)})
            return
        seen: list[dict[str, Any]] = []

        def more() -> int:
            seen.extend(received(site, url, order))
            return len({one["version"] for one in seen})

        count, seconds = site.until("the events", more, lambda found: found >= ATTEMPTS, site.patience.event * 2)
    versions = [int(one["version"]) for one in seen]
    shown = {"versions": versions, "seconds_after_the_outage": round(seconds, 1)}
    if count < ATTEMPTS:
        yield not_seen(row, f"{count} of {ATTEMPTS} events came", shown | {"undelivered": _undelivered(site)})
    else:
        first = [version for number, version in enumerate(versions) if version not in versions[:number]]
        yield judged(row, first == sorted(first), shown)


def _refused_void(site: Site, order: str, key: str) -> None:
    """An attempt that ends at once, because the provider does not know the order. Raises OpsError."""
    site.refuse_a_live_project()
    reply = site.submit(order, CURRENCY, key=f"acceptance-{key}")
    document = reply.json if isinstance(reply.json, dict) else {}
    state = (document.get("void") or document).get("state")
    if state not in ("failed", "voided"):
        raise OpsError(f"the void of an order that nobody has did not end: {reply.status} {reply.problem or state}")


def received(site: Site, url: str, order: str) -> list[dict[str, Any]]:
    """The details of events about this order; each message is taken once."""
    sqs = site.client("sqs")
    messages = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1).get("Messages", [])
    found = []
    for message in messages:
        sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        detail = json.loads(message["Body"]).get("detail", {})
        if order in (detail.get("order_id"), unquote(str(detail.get("order_id")))):
            found.append(detail)
    return found


def _undelivered(site: Site) -> int:
    """How many messages wait in the queue of undelivered events."""
    url = site.resource("AWS::SQS::Queue", "OutcomesUndelivered")
    attributes = site.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"])
    return int(attributes["Attributes"]["ApproximateNumberOfMessages"])


_RIGHTS = (
    "sqs:CreateQueue", "sqs:DeleteQueue", "sqs:GetQueueUrl", "sqs:GetQueueAttributes", "sqs:SetQueueAttributes",
    "sqs:ReceiveMessage", "sqs:DeleteMessage", "events:PutRule", "events:DeleteRule", "events:PutTargets",
    "events:RemoveTargets", "execute-api:Invoke",
)  # fmt: skip
_NO_PIPE = "the local engine has no pipe"
PROBES = (
    Probe(
        rows=("aws-pipe-letters",),
        run=letters,
        does="ask the service to void an order that nobody has, and listen to the bus by a queue and a rule",
        rights=_RIGHTS,
        minutes=2,
        not_locally=_NO_PIPE,
    ),
    Probe(
        rows=("aws-pipe-order",),
        run=order_kept,
        does="take the pipe's right to write to the bus for a minute, and ask the service three times to void an order "
        "that nobody has",
        rights=(*_RIGHTS, "iam:PutRolePolicy", "iam:DeleteRolePolicy"),
        minutes=4,
        not_locally=_NO_PIPE,
    ),
)
