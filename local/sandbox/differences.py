"""In what this provider may differ from what the service assumes of Financial Line: one name for each assumption.

`PUT /sandbox/settings {"differs": [...]}` switches them on. Promises that without a name nothing differs. Each name is
that of a provider row of `python -m acceptance`, which must then say "contradicted".
"""

from collections.abc import Set
from decimal import Decimal
from typing import Any, Literal

type Operation = dict[str, Any]
type Where = Literal["answer", "webhook", "query"]

DIFFERENCES = {
    # How requests prove who sends them.
    "get-plain": "a GET with plain CPAY is refused",
    "get-signed": "a GET signed over nothing is accepted",
    "post-plain": "a POST with plain CPAY is refused",
    "post-signed": "a POST with CPAY-HMAC or CPAY-SHA1 is refused",
    "wrong-credentials": "wrong credentials are answered as a payment that nobody knows",
    "order-zero": "order 0 is refused whatever the credentials are",
    # Orders and limits.
    "unknown-void": "a void of an unknown order is answered by a page of a proxy",
    "unknown-query": "a query of an unknown order is answered by a page of a proxy",
    "order-limit": "32 bytes are the limit of an order, not 32 characters",
    "order-characters": "an order may have only letters, digits, dot, hyphen and underscore",
    "order-path": "an order that is percent-encoded in a path is not found",
    "comment-limit": "2,048 bytes are the limit of a comment, not 2,048 characters",
    # Refusals.
    "wrong-currency": "a void in another currency is executed",
    "refusal-shape": "a refused void is answered 422 with a page instead of an error document",
    "second-void": "a second void is executed",
    # The answer to a void.
    "answer-time": "a void is answered after 11 seconds",
    "answer-fields": "the answer lacks fields that the documentation shows",
    "operation-id": "the answer has no operation_id",
    "success-code": "a void that succeeded has another status code than 1009",
    "statuses": "a void that was executed is answered with a status that nobody documents",
    "at-once": "a void is answered pending, and ends a second later",
    "timestamps": "timestamps have a zone",
    "fee": "a fee is a number",
    "amount": "a query shows amounts in minor units",
    # Webhooks.
    "webhook-arrives": "no webhook is sent",
    "webhook-address": "webhooks come from another address",
    "webhook-secret": "webhooks are signed with another secret",
    "webhook-fields": "webhooks lack fields that the answer has",
    "webhook-number": "each webhook is sent twice",
    "webhook-order": "the webhook comes before the answer",
    "webhook-again": "a webhook that is not answered 2xx is sent again",
    "portal-announced": "a void that names no server_url is not announced",
    # Queries.
    "query-hold": "the query of an order answers an object instead of an array",
    "order-once": "an order has a second payment",
    "query-no-void": "the query of a void that nobody made is answered with a credentials code",
    "query-delay": "a void is not shown in queries",
    "query-lag": "a list does not show within the hour what an answer and a webhook said",
    "query-steady": "every other query of an order that exists answers 404",
}

_NO_LONGER = {
    ("answer", "answer-fields"): ("created_at", "processing_time", "status_description"),
    ("answer", "operation-id"): ("operation_id",),
    ("webhook", "webhook-fields"): ("operation_id", "amount"),
}


def told(operation: Operation, differs: Set[str], where: Where) -> Operation:
    """The operation as this provider tells it in an answer, a webhook or a query."""
    left_out = {name for (place, difference), names in _NO_LONGER.items() for name in names
                if place == where and difference in differs}  # fmt: skip
    shown = {name: value for name, value in operation.items() if name not in left_out}
    if operation["method"] == "void" and operation["status"] == "success":
        if "success-code" in differs:
            shown["status_code"] = "1010"
        if "statuses" in differs and where == "answer":
            shown["status"] = "processing"
    if "timestamps" in differs:
        shown |= {name: f"{shown[name]}Z" for name in ("created_at", "processing_time") if name in shown}
    if "fee" in differs:
        shown["fee"] = Decimal("1.50")
    if "amount" in differs and where == "query":
        shown["amount"] = Decimal(operation["amount"]) * 100
    return shown
