"""POST /v1/webhooks/financial-line: a signed message in, an empty 200 out once it is stored."""

import contextlib
import functools
import os
import time
import uuid
from urllib.parse import parse_qsl

import boot
import clients
from lambda_http import GatewayEvent, Refused, Response, answering, body, empty, media_type, problem
from payments import settings
from payments.secret import Secret
from payments.store import Store
from payments.webhooks import Fate, Inbox, Received, receive
from telemetry import count, count_settled, logger

LARGEST_BODY = 65_536
MOST_FIELDS = 8
METRICS = {
    Fate.APPLIED: "WebhookApplied",
    Fate.STORED: "WebhookStored",
    Fate.DUPLICATE: "WebhookDuplicate",
    Fate.QUARANTINED: "WebhookQuarantined",
    Fate.FORGED: "WebhookForged",
}


@functools.cache
def inbox() -> Inbox:
    """The outside systems of this function: table and secret, not the provider. Raises SettingsError."""
    where = settings.storage(os.environ)
    return Inbox(
        Store(clients.dynamodb(), where.table_name),
        Secret(clients.secretsmanager(), where.secret_id, time.monotonic),
        lambda: time.time_ns() // 1_000_000,
        lambda: uuid.uuid4().hex,
    )


def handler(event: GatewayEvent, context: object) -> Response:  # noqa: ARG001 Lambda's signature
    """Lambda's entry point."""

    def answer() -> Response:
        data, signature = read_form(event)
        return _respond(event, receive(inbox(), data, signature))

    return answering(event, answer, lambda what: _unavailable(event, what))


def read_form(event: GatewayEvent) -> tuple[bytes, bytes]:
    """`data` and `signature` as received after form decoding. Raises Refused."""
    raw = body(event, LARGEST_BODY)
    if media_type(event) != "application/x-www-form-urlencoded":
        raise Refused("invalid-request", "The body must be a form (application/x-www-form-urlencoded).")
    try:
        # Bytes: they pass through unchanged, whatever they are.
        fields = parse_qsl(raw, keep_blank_values=True, max_num_fields=MOST_FIELDS)
    except ValueError:
        raise Refused("invalid-request", "The form has too many fields.") from None
    found = {name: [value for key, value in fields if key == name.encode()] for name in ("data", "signature")}
    errors = [
        {"pointer": f"/{name}", "detail": "must be given exactly once"}
        for name, values in found.items()
        if len(values) != 1
    ]
    if errors or not found["data"][0]:
        empty_data = [{"pointer": "/data", "detail": "must not be empty"}]
        raise Refused("invalid-request", "The form must have `data` and `signature`, once each.", errors or empty_data)
    return found["data"][0], found["signature"][0]


def _respond(event: GatewayEvent, received: Received) -> Response:
    count(METRICS[received.fate])
    if received.fate is Fate.FORGED:
        logger.warning("webhook forged")
        return problem(event, "unauthenticated", "The signature does not prove the message.", status=401)
    operation, void, before = received.operation, received.void, received.before
    logger.info(
        "webhook received",
        fate=received.fate.value,
        order_id=operation.order_id if operation else None,
        method=operation.method if operation else None,
        status=operation.status if operation else None,
        state=void.state.value if void else None,
    )
    if void is not None and received.fate is Fate.APPLIED:
        if void.settled and (before is None or before.state is not void.state):
            count_settled(void.history[-1].evidence)
        count("VoidCorrected", int(void.corrected and not (before and before.corrected)))
        count("VoidReview", int(void.review and not (before and before.review)))
    return empty(200)


def _unavailable(event: GatewayEvent, what: str) -> Response:
    # 500, so that the provider sends it again.
    return problem(event, "outcome-unknown", f"The {what} was out of reach or unusable; the message was not stored.")


# At init, where Lambda lends a whole processor: clients are the dearest part of a cold start. What is wrong is told to
# the first request.
with contextlib.suppress(settings.SettingsError):
    inbox()

boot.finish()
