"""POST /v1/webhooks/financial-line: a signed message in, an empty 200 out once it is stored."""

from urllib.parse import parse_qsl

import cold_start  # first: it turns the garbage collector off
from lambda_http import (
    BadRequest,
    GatewayEvent,
    Response,
    Unavailable,
    body,
    empty,
    lambda_handler,
    media_type,
    problem,
)
from payments.webhooks import Received, WebhookOutcome, receive
from storage import storage
from telemetry import count, count_changes, count_executed, logger

LARGEST_BODY = 65_536
MOST_FIELDS = 8
METRICS = {WebhookOutcome.QUARANTINED: "WebhookQuarantined", WebhookOutcome.FORGED: "WebhookForged"}


# 500, so that the provider sends it again.
@lambda_handler(Unavailable("outcome-unknown", "The message was not stored."))
def handler(event: GatewayEvent) -> Response:
    """Lambda's entry point."""
    data, signature = read_form(event)
    return _respond(event, receive(storage(), data, signature))


def read_form(event: GatewayEvent) -> tuple[bytes, bytes]:
    """`data` and `signature` as received after form decoding. Raises BadRequest."""
    raw = body(event, LARGEST_BODY)
    if media_type(event) != "application/x-www-form-urlencoded":
        raise BadRequest("invalid-request", "The body must be a form (application/x-www-form-urlencoded).")
    try:
        # Bytes: they pass through unchanged, whatever they are.
        fields = parse_qsl(raw, keep_blank_values=True, max_num_fields=MOST_FIELDS)
    except ValueError:
        raise BadRequest("invalid-request", "The form has too many fields.") from None
    found = {name: [value for key, value in fields if key == name.encode()] for name in ("data", "signature")}
    errors = [
        {"pointer": f"/{name}", "detail": "must be given exactly once"}
        for name, values in found.items()
        if len(values) != 1
    ]
    if errors or not found["data"][0]:
        empty_data = [{"pointer": "/data", "detail": "must not be empty"}]
        raise BadRequest(
            "invalid-request", "The form must have `data` and `signature`, once each.", errors or empty_data
        )
    return found["data"][0], found["signature"][0]


def _respond(event: GatewayEvent, received: Received) -> Response:
    if received.outcome in METRICS:
        count(METRICS[received.outcome])
    if received.outcome is WebhookOutcome.FORGED:
        logger.warning("webhook forged")
        return problem(event, "unauthenticated", "The signature does not prove the message.", status=401)
    count_executed(webhook=True)
    operation, after = received.operation, received.after
    logger.info(
        "webhook received",
        outcome=received.outcome.value,
        order_id=operation.order_id if operation else None,
        method=operation.method if operation else None,
        status=operation.status if operation else None,
        state=after.state.value if after else None,
    )
    count_changes(received.before, after)
    return empty(200)


cold_start.finish(storage)
