"""The functions' own side: API Gateway's events in, HTTP answers out, their systems, logs and metrics in memory.

The four handlers run as shipped. Only what they would take from the process is put in place: the systems that they are
built with, the clock of a settle run, and Powertools' logger and metrics, of which every word is kept.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import Any
from urllib.parse import quote

import lambda_http
import read_voids
import receive_webhook
import settle_voids
import submit_void
import telemetry
from tests.fakes.scene import gateway_event, webhook_event

Event = dict[str, Any]

SIGNED = {
    "Authorization": "AWS4-HMAC-SHA256 Credential=shop/20231114, Signature=sentinel-signature",
    "X-Amz-Security-Token": "sentinel-token",
}
"""The merchant's own proof: as little for a log as ours."""
ROLE = "arn:aws:sts::1:assumed-role/shop"
CONTEXT = {
    "requestId": "request-1",
    "identity": {"userArn": f"{ROLE}/sentinel-person", "sourceIp": "35.187.74.148"},
}
LOGGING = (lambda_http, submit_void, read_voids, receive_webhook, settle_voids, telemetry)


def void_event(key: str | None, order: str, currency: str, comment: str | None) -> Event:
    """POST /v1/voids."""
    body = {"order_id": order, "order_currency": currency} | ({} if comment is None else {"comment": comment})
    headers = SIGNED | {"Content-Type": "application/json"} | ({"Idempotency-Key": key} if key is not None else {})
    return gateway_event(json.dumps(body), headers, requestContext=CONTEXT)


def read_event(order: str) -> Event:
    """GET /v1/voids/{order_id}?refresh=true."""
    return gateway_event(
        None,
        SIGNED,
        pathParameters={"order_id": order},
        queryStringParameters={"refresh": "true"},
        requestContext=CONTEXT,
    )


def provider_event(data: bytes, signature: bytes) -> Event:
    """POST /v1/webhooks/financial-line."""
    return webhook_event(data, signature)


@cache
def path_of(order: str) -> str:
    """How the provider's path of an order ends."""
    return "/" + quote(order, safe="")


@dataclass(frozen=True, slots=True)
class Context:
    """Lambda's context, as far as it is read."""

    left: int

    def get_remaining_time_in_millis(self) -> int:
        return self.left


class Log:
    """Stands in for Powertools' logger."""

    def __init__(self, keep: Callable[[str, dict[str, Any]], None]) -> None:
        self.keep = keep

    def append_keys(self, **more: Any) -> None:
        self.keep("keys", more)

    def info(self, message: str, **more: Any) -> None:
        self.keep(message, more)

    debug = warning = error = exception = critical = info


class Metrics:
    """Stands in for Powertools' metrics. A simulation reads what was counted."""

    def __init__(self, keep: Callable[[str, dict[str, Any]], None]) -> None:
        self.keep = keep
        self.metric_set: dict[str, float] = {}

    def add_metric(self, name: str, unit: Any, value: float) -> None:
        self.metric_set[name] = self.metric_set.get(name, 0) + value

    def flush_metrics(self) -> None:
        self.keep("metrics", self.metric_set)
        self.metric_set = {}


def replacements(
    systems: Callable[[bool], Any], now: Callable[[], int], keep: Callable[[str, dict[str, Any]], None]
) -> list[tuple[ModuleType, str, Any]]:
    """What `simulator.install` puts in the place of what."""
    log = Log(keep)
    return [
        *((module, "logger", log) for module in LOGGING),
        (telemetry, "metrics", Metrics(keep)),
        (submit_void, "world", systems),
        (read_voids, "world", systems),
        (settle_voids, "world", systems),
        (settle_voids, "now", now),
        (receive_webhook, "inbox", lambda: systems(False)),
    ]


__all__ = ["Context", "path_of", "provider_event", "read_event", "replacements", "void_event"]
