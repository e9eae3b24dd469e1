"""The events that every subject gets: whole ones, as a REST API's proxy integration sends them."""

import json
from typing import Any
from urllib.parse import urlencode

from play import webhooks
from proof.benchmarks.stub import COMMENT, PROJECT, void

HOST = "abcdefghij.execute-api.eu-central-1.amazonaws.com"


def events(work: str, first: int, count: int) -> list[dict[str, Any]]:
    """The events of this work for `count` different orders."""
    if work in ALWAYS:
        return [ALWAYS[work]] * count
    make = {"submit": submit, "webhook": webhook}[work]
    return [make(f"order-{number}") for number in range(first, first + count)]


def submit(order_id: str) -> dict[str, Any]:
    body = json.dumps({"order_id": order_id, "order_currency": "UAH", "comment": COMMENT})
    return event("/voids", "application/json", body, {"Idempotency-Key": f"release-{order_id}"})


def webhook(order_id: str) -> dict[str, Any]:
    """POST /webhooks/financial-line: the provider's message that a void succeeded, signed."""
    form = webhooks.signed(PROJECT.api_secret, webhooks.data(void(order_id)))
    return event("/webhooks/financial-line", "application/x-www-form-urlencoded", urlencode(form))


def event(path: str, kind: str, body: str, more: dict[str, str] | None = None) -> dict[str, Any]:
    headers = {
        **(more or {}), "Accept": "application/json", "Accept-Encoding": "gzip, deflate", "Content-Type": kind,
        "Host": HOST, "User-Agent": "benchmark/1", "X-Amzn-Trace-Id": "Root=1-67891233-abcdef012345678912345678",
        "X-Forwarded-For": "192.0.2.1", "X-Forwarded-Port": "443", "X-Forwarded-Proto": "https",
    }  # fmt: skip
    caller = "arn:aws:sts::123456789012:assumed-role/shop/session"
    context = {
        "accountId": "123456789012", "apiId": "abcdefghij", "domainName": HOST, "domainPrefix": "abcdefghij",
        "extendedRequestId": "AbCdEfGhIjKlMnO=", "httpMethod": "POST", "path": f"/v1{path}", "protocol": "HTTP/1.1",
        "identity": {"sourceIp": "192.0.2.1", "userAgent": "benchmark/1", "userArn": caller},
        "requestId": "00000000-0000-4000-8000-000000000000", "requestTime": "24/Nov/2026:10:10:10 +0000",
        "requestTimeEpoch": 1795515010000, "resourceId": "abc123", "resourcePath": path, "stage": "v1",
    }  # fmt: skip
    return {
        "resource": path, "path": path, "httpMethod": "POST", "headers": headers,
        "multiValueHeaders": {name: [value] for name, value in headers.items()}, "queryStringParameters": None,
        "multiValueQueryStringParameters": None, "pathParameters": None, "stageVariables": None,
        "requestContext": context, "body": body, "isBase64Encoded": False,
    }  # fmt: skip


ALWAYS = {
    # A read of the first order; and what the schedule sends, at which settle_voids does not look.
    "read": event("/voids/{order_id}", "application/json", "") | {
        "path": "/voids/order-0", "pathParameters": {"order_id": "order-0"}, "httpMethod": "GET", "body": None,
    },
    "settle": {"source": "aws.scheduler"},
}  # fmt: skip
"""What is no work on an order of its own."""
