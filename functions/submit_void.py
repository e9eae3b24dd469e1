"""POST /v1/voids: one request in, one void out, or the record's answer. See docs/openapi.json for the contract."""

import contextlib
import re
from typing import Any
from urllib.parse import quote

import boot
from lambda_http import (
    GatewayEvent,
    Refused,
    Response,
    Violation,
    answering,
    body,
    caller,
    headers,
    media_type,
    problem,
    respond,
    void_record,
)
from payments import exact_json
from payments.operations import Evidence
from payments.settings import SettingsError
from payments.voids import Request, Result, Submitted, submit
from telemetry import count, count_settled, logger
from world import world

LARGEST_BODY = 32_768
FIELDS = {"order_id", "order_currency", "comment"}
RETRY_SECONDS = {Result.ACCEPTED: 5, Result.IN_PROGRESS: 5, Result.THROTTLED: 10, Result.NOT_SENT: 5}
METRICS = {
    Result.VOIDED: "VoidVoided",
    Result.NOT_VOIDABLE: "VoidRefused",
    Result.THROTTLED: "VoidThrottled",
    Result.CREDENTIALS: "CredentialsRefused",
    Result.NOT_SENT: "VoidNotSent",
}
DETAILS = {
    Result.NOT_VOIDABLE: "The provider refused for good; `void.reason` says why.",
    Result.IN_PROGRESS: "Read the void, or repeat the same request later.",
    Result.TOO_MANY: "No further attempt is made for this order.",
    Result.KEY_MISMATCH: "Use a new key for another request.",
    Result.CURRENCY_MISMATCH: "Use the currency of the order's hold.",
    Result.THROTTLED: "The provider asked to wait; nothing was voided. Repeat the same request.",
    Result.CREDENTIALS: "Nothing was voided; the operators are alarmed. The same request may be repeated.",
    Result.NOT_SENT: "The provider, the secret or the table was out of reach. The same request may be repeated.",
}


def handler(event: GatewayEvent, context: object) -> Response:  # noqa: ARG001 Lambda's signature
    """Lambda's entry point."""

    def answer() -> Response:
        request = read_request(event)
        return _respond(event, submit(world(True), request))

    return answering(event, answer, lambda what: _unavailable(event, what))


def read_request(event: GatewayEvent) -> Request:
    """Validate a request. Raises Refused with all violations at once."""
    raw = body(event, LARGEST_BODY)
    if media_type(event) != "application/json" or headers(event, "content-encoding"):
        raise Refused("unsupported-media-type", "Send application/json in UTF-8, not compressed.")
    try:
        value = exact_json.parse(raw)
    except exact_json.Unreadable:
        raise Refused("invalid-request", "The body is not JSON in UTF-8.") from None
    if not isinstance(value, dict):
        raise Refused(
            "invalid-request", "The body must be a JSON object.", [{"pointer": "", "detail": "must be an object"}]
        )
    keys = headers(event, "idempotency-key")
    errors = [*_violations(value), *_key_violations(keys)]
    if errors:
        raise Refused("invalid-request", "The request breaks the rules listed in `errors`.", errors)
    return Request(
        value["order_id"], value["order_currency"], value.get("comment"), keys[0] if keys else None, caller(event)
    )


def _violations(value: dict[str, Any]) -> list[Violation]:
    errors: list[Violation] = []

    def check(name: str, ok: bool, rule: str) -> None:
        if not ok:
            errors.append({"pointer": f"/{name}", "detail": rule})

    order_id, currency, comment = value.get("order_id"), value.get("order_currency"), value.get("comment", "")
    check("order_id", is_order_id(order_id), "must be text of 1 to 32 printable characters, and not '.', '..' or '0'")
    check(
        "order_currency",
        isinstance(currency, str) and re.fullmatch("[A-Z]{3}", currency) is not None,
        "must be three upper-case letters (ISO 4217)",
    )
    check("comment", _is_comment(comment), "must be text of at most 2048 characters")
    for name in sorted(value.keys() - FIELDS):
        # The name is the caller's text: shortened, escaped as a JSON pointer, and never half a character.
        safe = name[:64].encode("utf-8", "replace").decode().replace("~", "~0").replace("/", "~1")
        check(safe, False, "is not a field of this request")
    return errors


def is_order_id(value: object) -> bool:
    """May this be an order's id? `.`, `..` and `0` mean something else in the provider's paths."""
    return isinstance(value, str) and 1 <= len(value) <= 32 and value.isprintable() and value not in (".", "..", "0")


def _is_comment(value: object) -> bool:
    # Half of a surrogate pair is no text: it cannot be sent.
    return (
        isinstance(value, str)
        and len(value) <= 2048
        and not any("\ud800" <= character <= "\udfff" for character in value)
    )


def _key_violations(keys: list[str]) -> list[Violation]:
    if not keys or (len(keys) == 1 and 1 <= len(keys[0]) <= 255 and keys[0].isascii() and keys[0].isprintable()):
        return []
    return [
        {
            "pointer": "/headers/Idempotency-Key",
            "detail": "must be given once, with 1 to 255 printable ASCII characters",
        }
    ]


def _respond(event: GatewayEvent, submitted: Submitted) -> Response:
    result, void = submitted.result, submitted.void
    _observe(submitted)
    extra = {"Retry-After": str(RETRY_SECONDS[result])} if result in RETRY_SECONDS else {}
    if submitted.replayed:
        extra["Idempotency-Replayed"] = "true"
    if result is Result.VOIDED:
        return respond(200, void_record(void), extra)
    if result is Result.ACCEPTED:
        extra["Location"] = f"/v1/voids/{quote(void.order_id, safe='')}"
        return respond(202, void_record(void), extra)
    return problem(event, result.value, DETAILS[result], void=void, extra=extra)


def _observe(submitted: Submitted) -> None:
    result, void = submitted.result, submitted.void
    logger.info(
        "void requested",
        order_id=void.order_id,
        attempt=void.attempt,
        attempt_id=void.attempt_id,
        result=result.value,
        state=void.state.value,
        replayed=submitted.replayed,
    )
    if submitted.replayed or result in (
        Result.IN_PROGRESS,
        Result.TOO_MANY,
        Result.KEY_MISMATCH,
        Result.CURRENCY_MISMATCH,
    ):
        count("VoidReplayed" if submitted.replayed else "VoidDeclined")
        return
    count("VoidSubmitted")
    evidence = void.history[-1].evidence
    if void.settled and evidence is not Evidence.WEBHOOK:  # receive_webhook counts its own
        count_settled(evidence)
    count(METRICS.get(result) or ("VoidPending" if void.state.value == "pending" else "VoidUnknown"))


def _unavailable(event: GatewayEvent, what: str) -> Response:
    count("VoidNotSent")
    detail = f"The {what} was out of reach or unusable. The same request may be repeated."
    return problem(event, "not-sent", detail, extra={"Retry-After": "5"})


# At init, where Lambda lends a whole processor: clients are the dearest part of a cold start. What is wrong is told to
# the first request.
with contextlib.suppress(SettingsError):
    world(True)

boot.finish()
