"""POST /v1/voids: one request in, one void out, or the record's answer. See docs/openapi.json for the contract."""

import re
from typing import Any, NamedTuple
from urllib.parse import quote

import cold_start  # first: it turns the garbage collector off
from lambda_http import (
    REPEAT_LATER,
    BadRequest,
    GatewayEvent,
    Response,
    Violation,
    body,
    caller,
    headers,
    lambda_handler,
    media_type,
    problem,
    respond,
)
from payments import exact_json
from payments.record import Request, State, wrong_order_id
from payments.voids import Result, Submitted, submit
from representations import void_record, why_not_voidable
from systems import systems_that_send
from telemetry import count, count_changes, count_executed, count_store_error, logger

LARGEST_BODY = 32_768
LONGEST_COMMENT = 2_048
FIELDS = {"order_id", "order_currency", "comment"}


class Answer(NamedTuple):
    """How one result is answered and counted; everything about a result is its row in `ANSWERS`."""

    detail: str = ""
    metric: str | None = None
    retry_after: int | None = None


ANSWERS = {
    Result.VOIDED: Answer(),
    Result.ACCEPTED: Answer(metric="VoidUnknown", retry_after=5),
    Result.NOT_VOIDABLE: Answer(),
    Result.IN_PROGRESS: Answer("Read the void, or repeat the same request later.", retry_after=5),
    Result.TOO_MANY: Answer("No further attempt is made for this order until the operators have looked at it."),
    Result.KEY_MISMATCH: Answer("Use a new key for another request."),
    Result.CURRENCY_MISMATCH: Answer("Use the currency of the order's hold."),
    Result.THROTTLED: Answer(
        "The provider asked to wait; nothing was voided. Repeat the same request.", "VoidThrottled", retry_after=10
    ),
    Result.CREDENTIALS: Answer(
        "Nothing was voided; the operators are alarmed. The same request may be repeated.", "CredentialsRefused"
    ),
    Result.NOT_SENT: Answer(
        "The provider, the secret or the table was out of reach. The same request may be repeated.",
        "VoidNotSent",
        retry_after=5,
    ),
}


@lambda_handler(REPEAT_LATER._replace(metric="VoidNotSent"))
def handler(event: GatewayEvent) -> Response:
    """Lambda's entry point."""
    submitted = submit(systems_that_send(), read_request(event))
    _observe(submitted)
    return _respond(event, submitted)


def read_request(event: GatewayEvent) -> Request:
    """Validate a request. Raises BadRequest with all violations at once."""
    raw = body(event, LARGEST_BODY)
    if media_type(event) != "application/json" or headers(event, "content-encoding"):
        raise BadRequest("unsupported-media-type", "Send application/json in UTF-8, not compressed.")
    value = _parsed(raw)
    keys = headers(event, "idempotency-key")
    errors = [*_violations(value), *_key_violations(keys)]
    if errors:
        raise BadRequest("invalid-request", "The request breaks the rules listed in `errors`.", errors)
    return Request(
        value["order_id"], value["order_currency"], value.get("comment"), keys[0] if keys else None, caller(event)
    )


def _parsed(raw: bytes) -> dict[str, Any]:
    if "\ufffd".encode() in raw:
        # API Gateway puts this character where bytes were not UTF-8: what was meant is not known.
        raise BadRequest("invalid-request", "The body holds U+FFFD, which stands for bytes that are not UTF-8.")
    try:
        value = exact_json.parse(raw)
    except exact_json.DuplicateMember:
        raise BadRequest("invalid-request", "The body names a field twice.") from None
    except exact_json.Unreadable:
        raise BadRequest("invalid-request", "The body is not JSON in UTF-8.") from None
    if not isinstance(value, dict):
        wrong = [{"pointer": "", "detail": "must be an object"}]
        raise BadRequest("invalid-request", "The body must be a JSON object.", wrong)
    return value


def _violations(value: dict[str, Any]) -> list[Violation]:
    currency = value.get("order_currency")
    rules = {
        "order_id": wrong_order_id(value.get("order_id")),
        "order_currency": None
        if isinstance(currency, str) and re.fullmatch("[A-Z]{3}", currency)
        else "must be three upper-case letters (ISO 4217)",
        "comment": None if _is_comment(value.get("comment", "")) else "must be text of at most 2048 characters",
        **{_safe(name): "is not a field of this request" for name in sorted(value.keys() - FIELDS)},
    }
    return [{"pointer": f"/{name}", "detail": rule} for name, rule in rules.items() if rule is not None]


def _safe(name: str) -> str:
    """The caller's text as a JSON pointer: shortened, escaped, and never half a character."""
    return exact_json.without_surrogates(name[:64]).replace("~", "~0").replace("/", "~1")


def _is_comment(value: object) -> bool:
    # Half of a surrogate pair is no text: it cannot be sent.
    return isinstance(value, str) and len(value) <= LONGEST_COMMENT and value == exact_json.without_surrogates(value)


def _key_violations(keys: list[str]) -> list[Violation]:
    if not keys or (len(keys) == 1 and 1 <= len(keys[0]) <= 255 and keys[0].isascii() and keys[0].isprintable()):
        return []
    rule = "must be given once, with 1 to 255 printable ASCII characters"
    return [{"pointer": "/headers/Idempotency-Key", "detail": rule}]


def _respond(event: GatewayEvent, submitted: Submitted) -> Response:
    result, order, earlier = submitted.result, submitted.order, submitted.answered_by
    answer = ANSWERS[result]
    extra = {"Retry-After": str(answer.retry_after)} if answer.retry_after is not None else {}
    if submitted.replayed:
        extra["Idempotency-Replayed"] = "true"
    if result is Result.VOIDED:
        return respond(200, void_record(order), extra)
    if result is Result.ACCEPTED:
        extra["Location"] = f"/v1/voids/{quote(order.order_id, safe='')}"
        return respond(202, void_record(order), extra)
    detail = answer.detail
    if result is Result.NOT_VOIDABLE and order.void is not None:
        detail = why_not_voidable(order.void, earlier)
    return problem(event, result.value, detail, order=order, earlier=earlier, extra=extra)


def _observe(submitted: Submitted) -> None:
    result, void = submitted.result, submitted.order.void
    attempt = void.attempt if void is not None else None
    logger.info(
        "void requested",
        order_id=submitted.order.order_id,
        attempt=attempt.number if attempt is not None else 0,
        attempt_id=attempt.id if attempt is not None else None,
        result=result.value,
        state=void.state.value if void is not None else None,
        replayed=submitted.replayed,
    )
    count_changes(submitted.before, void)
    if submitted.unwritten is not None:
        count_store_error(submitted.unwritten)
    if submitted.replayed:
        return
    if result is Result.VOIDED:
        count_executed(webhook=False)
    if result is Result.TOO_MANY:
        count("AttemptsUsedUp")
    pending = result is Result.ACCEPTED and void is not None and void.state is State.PENDING
    metric = ANSWERS[result].metric
    if metric is not None and not pending:
        count(metric)


cold_start.finish(systems_that_send)
