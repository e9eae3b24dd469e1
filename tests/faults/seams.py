"""The functions' own side: API Gateway's events in, and what they would take from their process put in its place.

The four handlers run as shipped. Replaced are the systems that they are built with, the clock of a settle run, the
network below the provider's file, threads, and Powertools' logger and metrics, of which every word is kept.
"""

import json
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import lambda_http
import read_voids
import receive_webhook
import settle_voids
import submit_void
import telemetry
from payments import settling
from tests.fakes.scene import gateway_event, webhook_event
from tests.faults import wire
from tests.faults.runtime import Actor

Event = dict[str, Any]

SIGNED = {
    "Authorization": "AWS4-HMAC-SHA256 Credential=shop/20231114, Signature=sentinel-signature",
    "X-Amz-Security-Token": "sentinel-token",
}
"""The merchant's own proof: as little for a log as ours."""
CONTEXT = {
    "requestId": "request-1",
    "identity": {"userArn": "arn:aws:sts::1:assumed-role/shop/sentinel-person", "sourceIp": "35.187.74.148"},
}
LOGGING = (lambda_http, submit_void, read_voids, receive_webhook, settle_voids, telemetry)


def void_event(key: str | None, order: str, currency: str, comment: str | None) -> Event:
    """POST /v1/voids."""
    body = {"order_id": order, "order_currency": currency} | ({} if comment is None else {"comment": comment})
    headers = SIGNED | {"Content-Type": "application/json"} | ({"Idempotency-Key": key} if key is not None else {})
    return gateway_event(json.dumps(body), headers, requestContext=CONTEXT)


def read_event(order: str, *, refresh: bool) -> Event:
    """GET /v1/voids/{order_id}."""
    query = {"refresh": "true"} if refresh else None
    return gateway_event(
        None, SIGNED, pathParameters={"order_id": order}, queryStringParameters=query, requestContext=CONTEXT
    )


def list_event(state: str, cursor: str | None) -> Event:
    """GET /v1/voids."""
    query = {"state": state, "limit": "2"} | ({"cursor": cursor} if cursor else {})
    return gateway_event(None, SIGNED, queryStringParameters=query, requestContext=CONTEXT)


def provider_event(data: bytes, signature: bytes) -> Event:
    """POST /v1/webhooks/financial-line."""
    return webhook_event(data, signature)


@dataclass(frozen=True, slots=True)
class Context:
    """Lambda's context, as far as it is read."""

    actor: Actor

    def get_remaining_time_in_millis(self) -> int:
        """Until the function dies."""
        return self.actor.ends - wire.simulation().runtime.now


class _Log:
    """Stands in for Powertools' logger."""

    def append_keys(self, **more: Any) -> None:
        wire.simulation().heard.append(more)

    def info(self, message: str, **more: Any) -> None:
        wire.simulation().hear(message, more)

    debug = warning = error = exception = critical = info


class _Metrics:
    """Stands in for Powertools' metrics: what each invocation counted is its own."""

    metric_set = True

    def add_metric(self, name: str, unit: Any, value: float) -> None:
        actor = wire.simulation().runtime.current
        if actor is not None:
            actor.invocation.counted[name] += round(value)
            actor.invocation.about.setdefault("reported", set()).add(name)

    def flush_metrics(self) -> None:
        """They are read when the invocation has ended."""


def _systems() -> Any:
    """Those of the instance that runs."""
    return wire.simulation().runtime.actor.instance.systems


def _now() -> int:
    return int(_systems().now())


def install() -> None:
    """Put the virtual outside in place of the real one, for this process."""
    log = _Log()
    replaced: list[tuple[ModuleType | Any, str, Any]] = [
        *((module, "logger", log) for module in LOGGING),
        (telemetry, "metrics", _Metrics()),
        (submit_void, "systems_that_send", _systems),
        (read_voids, "systems", _systems),
        (settle_voids, "systems", _systems),
        (settle_voids, "now", _now),
        (receive_webhook, "storage", _systems),
        (settling, "ThreadPoolExecutor", wire.Workers),
        *wire.replacements(),
    ]
    for module, name, value in replaced:
        setattr(module, name, value)
