"""What leaves when a void is settled: which changes of the table become an event, and what the event says.

Promises one event for each change into `voided` or `failed`, and fields by an allow-list: no comment, no caller, no
provider text. Never imports the CDK, so that tests can read it; docs/events.md is the contract for whoever receives it.
"""

import json

SOURCE = "void-service"
DETAIL_TYPE = "void.settled"

RECORD = {"sk": {"S": ["VOID"]}}
SETTLED = ["voided", "failed"]

# A pattern cannot compare two images, but it can name the few changes that settle something; any of these selects.
FILTERS: tuple[dict[str, object], ...] = (
    # A webhook about a void that nobody asked us for makes a record that is settled from its first write.
    {"eventName": ["INSERT"], "dynamodb": {"Keys": RECORD, "NewImage": {"state": {"S": SETTLED}}}},
    # A new attempt writes its intent first, so failing again passes here too.
    {
        "eventName": ["MODIFY"],
        "dynamodb": {
            "Keys": RECORD,
            "OldImage": {"state": {"S": [{"anything-but": SETTLED}]}},
            "NewImage": {"state": {"S": SETTLED}},
        },
    },
    # The provider corrects itself.
    {
        "eventName": ["MODIFY"],
        "dynamodb": {
            "Keys": RECORD,
            "OldImage": {"state": {"S": ["failed"]}},
            "NewImage": {"state": {"S": ["voided"]}},
        },
    },
)

# Inside quotes a value is put in as it is, and one that the record does not have as nothing: right for what has a
# plain alphabet, whichever way the pipe treats numbers. An order may hold quotes itself, so the pipe writes its JSON.
TEMPLATE = """{
  "id": "<$.dynamodb.NewImage.write_id.S>",
  "order_id": <$.dynamodb.NewImage.order_id.S>,
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
