"""What leaves when a void is settled: which writes of the table become an event, and what the event says.

Promises one event for each change of a settled state or of its reason, and fields by an allow-list: no comment, no
caller, no provider text. Never imports the CDK, so that tests can read it; docs/events.md is the contract for whoever
receives it.
"""

SOURCE = "void-service"
SETTLED = "void.settled"
HEARTBEAT = "void-service.heartbeat"

# A pattern cannot compare two images. So the write that settles says so by `settles`, which every other write leaves
# out, and what is removed has no new image. The heartbeat goes the same way, or it would beat while the events stand
# still.
FILTER: dict[str, object] = {
    "eventName": ["INSERT", "MODIFY"],
    "dynamodb": {"NewImage": {"settles": {"S": [SETTLED, HEARTBEAT]}}},
}

DETAIL_TYPE = "$.dynamodb.NewImage.settles.S"  # a path: a pipe has one target, and puts in what the item says

# AWS documents that a pipe puts values in without escaping them. So each one has an alphabet that JSON need not escape:
# `order_id_quoted` is percent-encoded, the others are ours or checked. Inside quotes, a value that the item does not
# have is nothing; the two without quotes are in each item.
TEMPLATE = """{
  "id": "<$.dynamodb.NewImage.event_id.S>",
  "order_id": "<$.dynamodb.NewImage.order_id_quoted.S>",
  "state": "<$.dynamodb.NewImage.state.S>",
  "reason": "<$.dynamodb.NewImage.reason.S>",
  "attempt": "<$.dynamodb.NewImage.attempt.N>",
  "version": "<$.dynamodb.NewImage.version.N>",
  "settled_at": "<$.dynamodb.NewImage.settled_at.S>",
  "review": <$.dynamodb.NewImage.review.BOOL>,
  "corrected": <$.dynamodb.NewImage.corrected.BOOL>,
  "order_currency": "<$.dynamodb.NewImage.order_currency.S>",
  "by": "<$.dynamodb.NewImage.settled_by.S>"
}"""
