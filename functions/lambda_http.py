"""The only place that knows API Gateway: event in, response out; every error an RFC 9457 problem document.

Promises that bad input is refused with all its violations at once, and that no exception text leaves. Decides nothing.
"""

import base64
import binascii
from collections.abc import Callable, Mapping
from typing import Any

from payments import exact_json
from payments.messages import Fields
from payments.operations import Void
from payments.secret import SecretError
from payments.settings import SettingsError
from payments.store import Event, StoreError, timestamp
from telemetry import count, flush, logger, report_crash

GatewayEvent = Mapping[str, Any]
Response = dict[str, Any]
Violation = dict[str, str]

TITLES = {
    "invalid-request": (400, "The request breaks the contract"),
    "unauthenticated": (403, "No valid signature"),
    "not-found": (404, "No void is known for this order"),
    "in-progress": (409, "Another request for this order is in flight"),
    "not-voidable": (409, "The hold cannot be voided"),
    "too-many-attempts": (409, "This order has used up its attempts"),
    "too-large": (413, "The body is too large"),
    "unsupported-media-type": (415, "The body is not of the expected type"),
    "idempotency-mismatch": (422, "The Idempotency-Key was used with another body"),
    "currency-mismatch": (422, "The void of this order has another currency"),
    "throttled": (429, "Too many requests"),
    "provider-credentials": (502, "The provider refuses the service's credentials"),
    "not-sent": (503, "Nothing was sent to the provider"),
    "outcome-unknown": (500, "The outcome is not known"),
}
"""Every problem with its status and title; the types are `urn:void-service:problem:{name}`."""


class Refused(Exception):
    """Bad input: answered with this problem, nothing done."""

    def __init__(self, name: str, detail: str, errors: list[Violation] | None = None) -> None:
        super().__init__(name)
        self.name, self.detail, self.errors = name, detail, errors


def answering(event: GatewayEvent, answer: Callable[[], Response], unavailable: Callable[[str], Response]) -> Response:
    """Run one request to its response, whatever happens. `unavailable` answers for a lost table, secret or setting."""
    logger.append_keys(request_id=request_id(event))
    try:
        return answer()
    except Refused as refused:
        return problem(event, refused.name, refused.detail, errors=refused.errors)
    except SettingsError as error:
        logger.error("setting unusable", setting=str(error))
        return unavailable("setting")
    except SecretError as error:
        count("SecretUnusable")
        logger.error("secret unusable", reason=error.reason)
        return unavailable("secret")
    except StoreError as error:
        count("StoreUnavailable")
        logger.error("table unavailable", error=str(error))
        return unavailable("table")
    except Exception as error:  # noqa: BLE001 the last line of defence: no text of it may leave, and no bare 5xx either
        count("UnexpectedError")
        report_crash(error)
        return problem(event, "outcome-unknown", "Repeat the same request or read the void; both are safe.")
    finally:
        flush()


# ---- reading ---------------------------------------------------------------------------------------------------------


def request_id(event: GatewayEvent) -> str:
    """The gateway's id of this request."""
    return str((event.get("requestContext") or {}).get("requestId") or "")


def caller(event: GatewayEvent) -> str | None:
    """The role or user who signed. A session's name may be a person's: it is left out."""
    arn = ((event.get("requestContext") or {}).get("identity") or {}).get("userArn")
    if not isinstance(arn, str):
        return None
    return "/".join(arn.split("/")[:-1]) if ":assumed-role/" in arn else arn


def headers(event: GatewayEvent, name: str) -> list[str]:
    """All values of one header."""
    found: list[str] = []
    for key, values in (event.get("multiValueHeaders") or {}).items():
        if key.lower() == name:
            found.extend(values or [])
    if not found:
        found = [
            value for key, value in (event.get("headers") or {}).items() if key.lower() == name and value is not None
        ]
    return found


def media_type(event: GatewayEvent) -> str:
    """The media type without its parameters; "" if it is missing, repeated or in another charset than UTF-8."""
    values = headers(event, "content-type")
    if len(values) != 1:
        return ""
    kind, *parameters = (part.strip().lower() for part in values[0].split(";"))
    charsets = [parameter.partition("=")[2].strip('"') for parameter in parameters if parameter.startswith("charset")]
    return kind if all(charset in ("utf-8", "utf8", "us-ascii") for charset in charsets) else ""


def body(event: GatewayEvent, largest: int) -> bytes:
    """The body as received, in bytes. Raises Refused if it is larger than `largest` bytes."""
    text = event.get("body") or ""
    if event.get("isBase64Encoded"):
        try:
            raw = base64.b64decode(text, validate=True)
        except (ValueError, binascii.Error):
            raise Refused("invalid-request", "The body cannot be decoded.") from None
    else:
        raw = text.encode("utf-8", "surrogatepass")
    if len(raw) > largest:
        raise Refused("too-large", f"The body may have at most {largest} bytes.")
    return raw


def order_id(event: GatewayEvent) -> str:
    """The order named by the path."""
    return str((event.get("pathParameters") or {}).get("order_id") or "")


def query(event: GatewayEvent, name: str) -> str | None:
    """One query parameter."""
    value = (event.get("queryStringParameters") or {}).get(name)
    return value if isinstance(value, str) else None


# ---- answering -------------------------------------------------------------------------------------------------------


def respond(status: int, value: object, extra: Mapping[str, str] | None = None) -> Response:
    """A JSON answer."""
    return _response(status, "application/json", exact_json.write(value), extra)


def empty(status: int) -> Response:
    """An answer without a body."""
    return {"statusCode": status, "headers": {"Cache-Control": "no-store"}, "body": "", "isBase64Encoded": False}


def problem(
    event: GatewayEvent,
    name: str,
    detail: str,
    *,
    errors: list[Violation] | None = None,
    void: Void | None = None,
    order: str | None = None,
    status: int | None = None,
    extra: Mapping[str, str] | None = None,
) -> Response:
    """A problem document (RFC 9457); `status` where it differs from the problem's usual one."""
    usual, title = TITLES[name]
    status = status or usual
    document: dict[str, object] = {
        "type": f"urn:void-service:problem:{name}",
        "title": title,
        "status": status,
        "detail": detail,
        "request_id": request_id(event),
    }
    if order or void:
        document["order_id"] = order or (void.order_id if void else None)
    if errors:
        document["errors"] = errors
    if void is not None:
        document["void"] = void_record(void)
        document |= {
            key: value
            for key, value in (("provider_code", void.provider_code), ("provider_message", void.provider_message))
            if value is not None
        }
    return _response(status, "application/problem+json", exact_json.write(document), extra)


def _response(status: int, kind: str, text: str, extra: Mapping[str, str] | None) -> Response:
    # Payment data: neither a proxy nor a browser may keep it.
    fixed = {"Content-Type": kind, "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
    return {"statusCode": status, "headers": {**fixed, **(extra or {})}, "body": text, "isBase64Encoded": False}


def void_record(void: Void) -> dict[str, object]:
    """The void record of the contract: always all keys, unknown is null."""
    return {
        "order_id": void.order_id,
        "state": void.state.value,
        "reason": void.reason.value if void.reason else None,
        "review": void.review,
        "corrected": void.corrected,
        "resend_allowed": void.resend_allowed,
        "order_currency": void.order_currency,
        "comment": void.comment,
        "attempt": void.attempt,
        "requested_at": _time(void.requested_at),
        "requested_by": void.requested_by,
        "settled_at": _time(void.settled_at),
        "provider": _fields(void.provider),
        "history": [
            {"at": timestamp(change.at), "state": change.state.value, "evidence": change.evidence.value}
            for change in void.history
        ],
    }


def event_record(event: Event) -> dict[str, object]:
    """One webhook as it is shown."""
    return {
        "received_at": event.received_at,
        "method": event.operation.method,
        "status": event.operation.status,
        "provider": _fields(event.operation.fields),
    }


def _fields(fields: Fields | None) -> dict[str, object] | None:
    return None if fields is None else dict(fields)


def _time(at: int | None) -> str | None:
    return None if at is None else timestamp(at)
