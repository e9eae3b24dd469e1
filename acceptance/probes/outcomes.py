"""Do events leave as docs/events.md promises? A queue of a few minutes listens to the bus."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import unquote

from acceptance.probes.past_the_service import deny
from acceptance.rows import Finding, judged, not_seen
from acceptance.site import Site
from acceptance.undo import MARK, making
from acceptance.wire import compact
from ops.places import OpsError

LETTERS = 'a"b\\é'
ATTEMPTS = 3
PATTERN = {"source": ["void-service"], "detail-type": ["void.settled"]}


@contextmanager
def listening(site: Site) -> Iterator[str]:
    """A queue behind a rule of the bus; its address. Gone afterwards."""
    sqs, events, bus = site.client("sqs"), site.client("events"), site.output("OutcomeBus")
    # Another name each time: SQS lets nobody use the name of a deleted queue for a minute.
    queue, name = f"{site.temporary}-{site.now():%H%M%S}", site.temporary
    with making(site, "queue", queue=queue), making(site, "rule", rule=name, bus=bus):
        url = sqs.create_queue(QueueName=queue, Attributes={"MessageRetentionPeriod": "3600"})["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        rule = events.put_rule(Name=name, EventBusName=bus, EventPattern=json.dumps(PATTERN), Description=MARK)[
            "RuleArn"
        ]
        statement = {
            "Effect": "Allow",
            "Principal": {"Service": "events.amazonaws.com"},
            "Action": "sqs:SendMessage",
            "Resource": arn,
            "Condition": {"ArnEquals": {"aws:SourceArn": rule}},
        }
        policy = compact({"Version": "2012-10-17", "Statement": [statement]}).decode()
        sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
        events.put_targets(Rule=name, EventBusName=bus, Targets=[{"Id": MARK, "Arn": arn}])
        site.wait("for the rule to work", site.patience.rights)
        yield url


def letters(site: Site) -> Iterator[Finding]:
    """A void that the provider must refuse as unknown is settled, too, so its event leaves."""
    order = site.nobody(LETTERS)
    with listening(site) as url:
        _refused_void(site, order, "first")
        found, seconds = site.until("the event", lambda: received(site, url, order), bool, site.patience.event)
    shown: dict[str, object] = {"seconds": round(seconds, 1)}
    shown |= {"order_id": found[0]["order_id"]} if found else {"undelivered": _undelivered(site)}
    yield judged("aws-pipe-letters", bool(found), shown)


def order_kept(site: Site) -> Iterator[Finding]:
    """Three attempts while the pipe may not write to the bus; then it may again."""
    row, order, role = "aws-pipe-order", site.nobody(), site.resource("AWS::IAM::Role", "EventsPipeRole")
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
        versions: dict[int, None] = {}  # in the order of their first arrival

        def more() -> int:
            versions.update(dict.fromkeys(int(one["version"]) for one in received(site, url, order)))
            return len(versions)

        count, seconds = site.until("the events", more, lambda seen: seen >= ATTEMPTS, site.patience.event * 2)
    shown = {"versions": list(versions), "seconds_after_the_outage": round(seconds, 1)}
    if count < ATTEMPTS:
        yield not_seen(row, f"{count} of {ATTEMPTS} events came", shown | {"undelivered": _undelivered(site)})
    else:
        yield judged(row, list(versions) == sorted(versions), shown)


def _refused_void(site: Site, order: str, key: str) -> None:
    """An attempt that ends at once, because the provider does not know the order. Raises OpsError."""
    site.refuse_a_live_project()
    reply = site.submit(order, "UAH", key=f"acceptance-{key}")
    state = (reply.document.get("void") or reply.document).get("state")
    if state not in ("failed", "voided"):
        raise OpsError(f"the void of an order that nobody has did not end: {reply.status} {reply.problem or state}")


def received(site: Site, url: str, order: str) -> list[dict[str, Any]]:
    """The details of events about this order; each message is taken once."""
    sqs, found = site.client("sqs"), []
    for message in sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1).get("Messages", []):
        sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        detail = json.loads(message["Body"]).get("detail", {})
        if order in (detail.get("order_id"), unquote(str(detail.get("order_id")))):
            found.append(detail)
    return found


def _undelivered(site: Site) -> int:
    """How many messages wait in the queue of undelivered events."""
    url, count = site.resource("AWS::SQS::Queue", "EventsDeadLetters"), "ApproximateNumberOfMessages"
    found = site.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=[count])
    return int(found["Attributes"][count])
