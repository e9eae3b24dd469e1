"""What the caller gets: a function's result, or a gateway response with the template that the stack sets for it.

Where nobody knows what AWS does with a result (a number as a header's value, a status of 99), it is malformed here.
"""

import json
import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs

from local.gateway.api import Api
from local.gateway.event import answered_trace
from local.gateway.exchange import Answer, GatewayError, Request

MAX_BODY = 10 * 1024 * 1024  # API Gateway's own, fixed
MAX_HEAD = 10_240  # request line and headers; fixed, too

RESPONSE_TYPES = {
    "ACCESS_DENIED": (403, "AccessDeniedException"),
    "API_CONFIGURATION_ERROR": (500, "InternalServerErrorException"),
    "AUTHORIZER_CONFIGURATION_ERROR": (500, "InternalServerErrorException"),
    "AUTHORIZER_FAILURE": (500, "InternalServerErrorException"),
    "BAD_REQUEST_BODY": (400, "BadRequestException"),
    "BAD_REQUEST_PARAMETERS": (400, "BadRequestException"),
    "EXPIRED_TOKEN": (403, "ExpiredTokenException"),
    "INTEGRATION_FAILURE": (504, "InternalServerErrorException"),
    "INTEGRATION_TIMEOUT": (504, "InternalServerErrorException"),
    "INVALID_API_KEY": (403, "ForbiddenException"),
    "INVALID_SIGNATURE": (403, "InvalidSignatureException"),
    "MISSING_AUTHENTICATION_TOKEN": (403, "MissingAuthenticationTokenException"),
    "QUOTA_EXCEEDED": (429, "LimitExceededException"),
    "REQUEST_TOO_LARGE": (413, "RequestTooLargeException"),
    "RESOURCE_NOT_FOUND": (404, "NotFoundException"),
    "THROTTLED": (429, "TooManyRequestsException"),
    "UNAUTHORIZED": (401, "UnauthorizedException"),
    "UNSUPPORTED_MEDIA_TYPE": (415, "UnsupportedMediaTypeException"),
    "WAF_FILTERED": (403, "ForbiddenException"),
    "DEFAULT_4XX": (None, "BadRequestException"),
    "DEFAULT_5XX": (None, "InternalServerErrorException"),
}
"""Every type with its own status and its `x-amzn-ErrorType`."""

MEMBERS = {"statusCode", "headers", "multiValueHeaders", "body", "isBase64Encoded"}
REMAPPED = frozenset({
    "authorization", "connection", "content-md5", "date", "max-forwards", "server", "user-agent", "www-authenticate",
})  # fmt: skip
# A function's own Content-Length is replaced by the true one.
DROPPED = frozenset({
    "content-length", "expect", "host", "proxy-authenticate", "te", "trailer", "transfer-encoding", "upgrade", "via",
})  # fmt: skip

Pairs = list[tuple[str, str]]


class Malformed(Exception):
    """Not what a proxy integration may return."""


def proxy_answer(result: Any, request: Request) -> Answer:
    """A function's result as the caller gets it. Raises GatewayError."""
    try:
        return _proxy_answer(result, request)
    except Malformed:
        raise lambda_failed() from None


def lambda_failed() -> GatewayError:
    """What is said of a function that failed, whatever it said itself."""
    return GatewayError("DEFAULT_5XX", "Internal server error", status=HTTPStatus.BAD_GATEWAY)


def body_too_large() -> Answer:
    """In plain text; a gateway response for it has no effect."""
    text = f"HTTP content length exceeded {MAX_BODY} bytes."
    return Answer(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, [("Content-Type", "text/plain")], text.encode())


def unreadable() -> Answer:
    """A body whose length cannot be told."""
    return Answer(HTTPStatus.BAD_REQUEST, [("Content-Type", "text/plain")], b"")


def head_too_large() -> Answer:
    """AWS says that it refuses this, and not how: so no more than a status can be relied on."""
    return Answer(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, [("Content-Type", "text/plain")], b"")


def gateway_response(api: Api, error: GatewayError, request: Request) -> Answer:
    """The stack's response of this type, else its DEFAULT_4XX or DEFAULT_5XX, else AWS's own."""
    usual, error_type = RESPONSE_TYPES[error.kind]
    status = error.status or usual or HTTPStatus.FORBIDDEN
    fallback = "DEFAULT_5XX" if status >= HTTPStatus.INTERNAL_SERVER_ERROR else "DEFAULT_4XX"
    declared = api.responses.get(error.kind) or api.responses.get(fallback) or {}
    values = _Values(api, error, request)
    plain = f'{{"{error.member}":$context.error.messageString}}'
    body = values.filled(declared.get("responseTemplates", {}).get("application/json", plain))
    headers = {"Content-Type": "application/json"} | {
        name.removeprefix("gatewayresponse.header."): values.mapped(value)
        for name, value in declared.get("responseParameters", {}).items()
    }
    own = {"x-amzn-ErrorType": error.error_type or error_type}
    if error.hint is not None:
        own["X-Local-Hint"] = error.hint
    return Answer(
        int(declared.get("statusCode") or status), [*headers.items(), *own.items(), *_ids(request)], body.encode()
    )


def _ids(request: Request) -> Pairs:
    return [("x-amzn-RequestId", request.request_id), ("x-amz-apigw-id", request.own_id)]


# ---- a function's result ---------------------------------------------------------------------------------------------


def _proxy_answer(result: Any, request: Request) -> Answer:
    if not isinstance(result, dict) or result.keys() - MEMBERS:
        raise Malformed
    body = result.get("body")
    if not isinstance(body, str | None) or not isinstance(result.get("isBase64Encoded"), bool | None):
        raise Malformed
    headers = [
        (f"X-Amzn-Remapped-{name}" if name.lower() in REMAPPED else name, value)
        for name, value in _merged(result.get("headers"), result.get("multiValueHeaders"))
        if name.lower() not in DROPPED
    ]
    if not any(name.lower() == "content-type" for name, _ in headers):
        headers.append(("Content-Type", "application/json"))
    trace = [("X-Amzn-Trace-Id", answered_trace(request))]
    # Without binary media types the text passes as it is, also when the function says that it is base64.
    return Answer(_status(result.get("statusCode")), [*headers, *trace, *_ids(request)], (body or "").encode())


def _status(given: Any) -> int:
    if given is None:
        return HTTPStatus.OK
    if isinstance(given, bool) or not re.fullmatch(r"[2-5]\d\d", str(given)):
        raise Malformed
    return int(given)


def _merged(single: Any, several: Any) -> Pairs:
    """Both maps, the values of several first, under the name as that map spells it."""
    if not isinstance(single, dict | None) or not isinstance(several, dict | None):
        raise Malformed
    merged: dict[str, tuple[str, list[str]]] = {}
    for name, values in (several or {}).items():
        if not isinstance(values, list):
            raise Malformed
        merged.setdefault(name.lower(), (name, []))[1].extend(values)
    for name, value in (single or {}).items():
        merged.setdefault(name.lower(), (name, []))[1].append(value)
    return [(name, _value(value)) for name, values in merged.values() for value in values]


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    # A line break would begin another header.
    if not isinstance(value, str) or re.search(r"[^\t\x20-\x7e\x80-\xff]", value):
        raise Malformed
    return value


# ---- gateway responses -----------------------------------------------------------------------------------------------


class _Values:
    """What a template or a header of a gateway response may name. Plain substitution: nothing is escaped."""

    def __init__(self, api: Api, error: GatewayError, request: Request) -> None:
        self._request = request
        self._context: Mapping[str, str] = {
            "apiId": api.api_id,
            "stage": api.stage,
            "httpMethod": request.routed_method,
            "path": "/" + request.path.lstrip("/"),
            "requestId": request.request_id,
            "extendedRequestId": request.own_id,
            "error.message": str(error),
            "error.messageString": json.dumps(str(error)),
            "error.responseType": error.kind,
            "identity.sourceIp": request.source_ip,
        }

    def filled(self, template: str) -> str:
        names = r"\$(context|stageVariables|method\.request\.(?:header|querystring))\.([A-Za-z0-9_-]+(?:\.[A-Za-z]+)?)"
        return re.sub(names, lambda found: self._named(found[1], found[2]), template)

    def mapped(self, value: str) -> str:
        """A header's value: a literal in single quotes, or a name."""
        if value.startswith("'"):
            return value.strip("'")
        group, _, name = value.rpartition(".")
        return self._context.get(value.removeprefix("context."), "") or self._named(group, name)

    def _named(self, group: str, name: str) -> str:
        match group:
            case "context":
                return self._context.get(name, "")
            case "method.request.header":
                return self._request.header(name.lower()) or ""
            case "method.request.querystring":
                return parse_qs(self._request.query).get(name, [""])[-1]
            case _:
                return ""
