"""What leaves when a void is settled: which changes of the table become an event, and what the event says.

Promises one event for each change into `voided` or `failed`, and fields by an allow-list: no comment, no caller, no
provider text. Never imports the CDK, so that tests can read it; docs/events.md is the contract for whoever receives it.
"""

import json

SOURCE = "void-service"
DETAIL_TYPE = "void.settled"

ORDER = {"sk": {"S": ["ORDER"]}}
SETTLED = ["voided", "failed"]


def change(old: list[object], new: list[str]) -> dict[str, object]:
    images = {"OldImage": {"state": {"S": old}}, "NewImage": {"state": {"S": new}}}
    return {"eventName": ["MODIFY"], "dynamodb": {"Keys": ORDER, **images}}


# A pattern cannot compare two images, but it can name the few changes that settle something; any of these selects.
FILTERS: tuple[dict[str, object], ...] = (
    # A webhook about a void that nobody asked us for makes a record that is settled from its first write.
    {"eventName": ["INSERT"], "dynamodb": {"Keys": ORDER, "NewImage": {"state": {"S": SETTLED}}}},
    # The same, where the order had only webhooks of other operations until then: it has no state yet.
    change([{"exists": False}], SETTLED),
    # A new attempt writes its intent first, so failing again passes here too.
    change([{"anything-but": SETTLED}], SETTLED),
    # The provider corrects itself.
    change(["failed"], ["voided"]),
    # The heartbeat of settle_voids.
    {"dynamodb": {"Keys": {"pk": {"S": ["HEARTBEAT"]}}}},
)

# AWS documents that a pipe puts values in without escaping them. So each one has an alphabet that JSON need not escape:
# `order_id_quoted` is percent-encoded, the others are ours or checked. Inside quotes, a value that the order does not
# have is nothing.
TEMPLATE = """{
  "id": "<$.dynamodb.NewImage.write_id.S>",
  "order_id": "<$.dynamodb.NewImage.order_id_quoted.S>",
  "state": "<$.dynamodb.NewImage.state.S>",
  "reason": "<$.dynamodb.NewImage.reason.S>",
  "attempt": "<$.dynamodb.NewImage.attempt.N>",
  "version": "<$.dynamodb.NewImage.version.N>",
  "settled_at": "<$.dynamodb.NewImage.settled_at.S>",
  "review": <$.dynamodb.NewImage.review.BOOL>,
  "corrected": <$.dynamodb.NewImage.corrected.BOOL>,
  "order_currency": "<$.dynamodb.NewImage.order_currency.S>"
}"""


def filter_patterns() -> list[str]:
    return [json.dumps(each) for each in FILTERS]
