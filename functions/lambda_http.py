"""The only place that knows API Gateway: event in, response out; every error an RFC 9457 problem document.

Promises that bad input is refused with all its violations at once, and that no exception text leaves. Decides nothing.
"""

import base64
import os
from collections.abc import Callable, Collection, Mapping
from typing import Any
from urllib.parse import unquote_to_bytes

from answers import PROBLEMS
from payments import exact_json, messages, settings
from telemetry import TROUBLE, count, count_trouble, flush, logger, report_crash

GatewayEvent = Mapping[str, Any]
Response = dict[str, Any]
UTF_8 = {"utf-8", "utf8", "us-ascii"}
Extra = Mapping[str, object] | None
Handler = Callable[[GatewayEvent, object], Response]


class BadRequest(Exception):
    """Bad input: answered with this problem, nothing done."""

    def __init__(self, name: str, detail: str, errors: list[dict[str, str]] | None = None) -> None:
        super().__init__(name)
        self.name, self.detail, self.errors = name, detail, errors


def lambda_handler(
    consequence: str = "The same request may be repeated.", name: str = "not-sent", retry_after: int | None = 5,
    metric: str = "", bad_request: str = "",
) -> Callable[[Callable[[GatewayEvent], Response]], Handler]:  # fmt: skip
    """Make a Lambda handler of a function from event to response: whatever happens, there is a response.

    While a setting, the secret or the table cannot be used, it is the problem `name`, counted by `metric`.
    `bad_request` counts the requests that break the contract.
    """

    def decorate(answer: Callable[[GatewayEvent], Response]) -> Handler:
        def handler(event: GatewayEvent, context: object) -> Response:  # noqa: ARG001 Lambda's signature
            logger.append_keys(request_id=request_id(event))
            try:
                return answer(event)
            except BadRequest as bad:
                logger.info("request refused", problem=bad.name, detail=bad.detail, errors=bad.errors)
                if bad_request:
                    count(bad_request)
                return problem(event, bad.name, bad.detail, errors=bad.errors)
            except TROUBLE as error:
                detail = f"The {count_trouble(error)} was out of reach or unusable. {consequence}"
                if metric:
                    count(metric)
                return problem(event, name, detail, {"Retry-After": retry_after})
            except Exception as error:  # noqa: BLE001 the last line of defence: no text of it may leave
                report_crash(error)
                return problem(event, "outcome-unknown", "Repeat the same request or read the void; both are safe.")
            finally:
                flush()

        return handler

    return decorate


# ---- reading ---------------------------------------------------------------------------------------------------------


def request_id(event: GatewayEvent) -> str:
    """The gateway's id of this request: the extended one, because a client may choose the other."""
    context = event.get("requestContext") or {}
    return str(context.get("extendedRequestId") or context.get("requestId") or "")


def caller(event: GatewayEvent) -> str | None:
    """The role, user or token client that calls. Raises BadRequest for a client that is not allowed."""
    context = event.get("requestContext") or {}
    authorizer = context.get("authorizer") or {}
    # Where API Gateway puts the claims of a token for a REST API is not documented, so both known places are read.
    claims = authorizer.get("claims", (authorizer.get("jwt") or {}).get("claims"))
    if claims is not None:
        claim, allowed = settings.tokens(os.environ)
        client = claims.get(claim)
        if client not in allowed:
            # A token lives on after its client was taken off the list: the list decides.
            raise BadRequest("unauthenticated", "This client may not use the service.")
        return f"{claims.get('iss')}#{client}"
    arn = (context.get("identity") or {}).get("userArn")
    if not isinstance(arn, str):
        return None
    # A session's name may be a person's: it is left out.
    return "/".join(arn.split("/")[:-1]) if ":assumed-role/" in arn else arn


def json_call(event: GatewayEvent, largest: int) -> tuple[Any, str | None]:
    """The JSON object of a request, and who calls. Raises BadRequest, also for more than `largest` bytes."""
    requested_by, raw = caller(event), body(event, largest)
    if content_type(event) != ("application/json", True) or headers(event, "content-encoding"):
        raise BadRequest("unsupported-media-type", "Send application/json in UTF-8, not compressed.")
    if "\ufffd".encode() in raw:
        # API Gateway puts this character where bytes were not UTF-8: what was meant is not known.
        raise BadRequest("invalid-request", "The body holds U+FFFD, which stands for bytes that are not UTF-8.")
    if raw.startswith(b"\xef\xbb\xbf"):
        raise BadRequest("invalid-request", "The body begins with a byte order mark. Send JSON in UTF-8 without one.")
    try:
        value = exact_json.parse(raw)
    except exact_json.DuplicateMember:
        raise BadRequest("invalid-request", "The body names a field twice.") from None
    except exact_json.Unreadable:
        raise BadRequest("invalid-request", "The body is not JSON in UTF-8.") from None
    if not isinstance(value, dict):
        wrong = [{"pointer": "", "detail": "must be an object"}]
        raise BadRequest("invalid-request", "The body must be a JSON object.", wrong)
    return value, requested_by


def unknown_fields(value: Mapping[str, Any], known: Collection[str]) -> dict[str, str]:
    """The rule that each unknown field breaks, by its name as a JSON pointer: shortened and escaped."""
    names = [exact_json.without_surrogates(name[:64]) for name in sorted(value.keys() - set(known))]
    return {name.replace("~", "~0").replace("/", "~1"): "is not a field of this request" for name in names}


def obey(detail: str, rules: Mapping[str, str | None]) -> None:
    """Raises BadRequest with all the rules that are broken at once."""
    errors = [{"pointer": f"/{name}", "detail": rule} for name, rule in rules.items() if rule is not None]
    if errors:
        raise BadRequest("invalid-request", detail, errors)


def headers(event: GatewayEvent, name: str) -> list[str]:
    several = (event.get("multiValueHeaders") or {}).items()
    found = [value for key, values in several if key.lower() == name for value in values or ()]
    single = (event.get("headers") or {}).items()
    return found or [value for key, value in single if key.lower() == name and value is not None]


def content_type(event: GatewayEvent) -> tuple[str, bool]:
    """The media type, "" if it is missing or repeated; and whether the charset is UTF-8, or none is named."""
    values = headers(event, "content-type")
    kind, *parameters = (part.strip().lower() for part in (values[0] if len(values) == 1 else "").split(";"))
    charsets = {each.partition("=")[2].strip('"') for each in parameters if each.startswith("charset")}
    return kind, charsets <= UTF_8


def body(event: GatewayEvent, largest: int) -> bytes:
    """The body as received, in bytes. Raises BadRequest if it is larger than `largest` bytes."""
    text, encoded = event.get("body") or "", event.get("isBase64Encoded")
    try:
        raw = base64.b64decode(text, validate=True) if encoded else text.encode("utf-8", "surrogatepass")
    except ValueError:
        raise BadRequest("invalid-request", "The body cannot be decoded.") from None
    if len(raw) > largest:
        raise BadRequest("too-large", f"The body may have at most {largest} bytes.")
    return raw


def order_id(event: GatewayEvent) -> str:
    """The order named by the path, which API Gateway passes as it was sent: percent-encoded. Raises BadRequest."""
    raw = unquote_to_bytes(str((event.get("pathParameters") or {}).get("order_id") or ""))
    name = raw.decode("utf-8", "replace")
    wrong = messages.wrong_order_id(name) if name.encode() == raw else "must be percent-encoded UTF-8"
    obey("The path is wrong.", {"order_id": wrong})
    return name


def query(event: GatewayEvent, name: str) -> str | None:
    value = (event.get("queryStringParameters") or {}).get(name)
    return value if isinstance(value, str) else None


# ---- answering -------------------------------------------------------------------------------------------------------


def respond(status: int, value: object, extra: Extra = None, kind: str = "application/json") -> Response:
    """A JSON answer; of the `extra` headers those that have a value."""
    headers = {name: str(value) for name, value in extra.items() if value is not None} if extra else {}
    # Payment data: neither a proxy nor a browser may keep it.
    headers |= {"Content-Type": kind, "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
    return {"statusCode": status, "headers": headers, "body": exact_json.write(value), "isBase64Encoded": False}


def empty(status: int) -> Response:
    return {"statusCode": status, "headers": {"Cache-Control": "no-store"}, "body": "", "isBase64Encoded": False}


def problem(
    event: GatewayEvent, name: str, detail: str, extra: Extra = None, status: int | None = None, **more: object
) -> Response:
    """A problem document (RFC 9457); `status` where it differs from the problem's usual one."""
    usual, title = PROBLEMS[name]
    document = {
        "type": f"urn:void-service:problem:{name}",
        "title": title,
        "status": status or usual,
        "detail": detail,
        "request_id": request_id(event),
        **{member: value for member, value in more.items() if value is not None},
    }
    return respond(status or usual, document, extra, "application/problem+json")


def no_void(event: GatewayEvent, order_id: str) -> Response:
    return problem(event, "not-found", "No void was requested or reported for this order.", order_id=order_id)
