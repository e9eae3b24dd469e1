"""What the caller gets: a function's result, or a gateway response with the template that the stack sets for it.

A result is taken in the one form in which the functions answer, which is narrower than AWS: what else AWS would take is
a defect of a function here, and so is what nobody knows of AWS (a number as a header's value, a status of 99).
"""

import json
import re
from typing import Any

from local.exchange import Answer, GatewayError, Request, lambda_failed
from local.gateway.api import Api
from local.gateway.event import answered_trace
from local.loopback import MAX_KEPT

MAX_BODY = MAX_KEPT - 1  # API Gateway's own, fixed
MAX_HEAD = 10_240  # request line and headers; fixed, too

_INTERNAL = "InternalServerErrorException"
RESPONSE_TYPES: dict[str, tuple[int | None, str]] = {
    "ACCESS_DENIED": (403, "AccessDeniedException"), "API_CONFIGURATION_ERROR": (500, _INTERNAL),
    "AUTHORIZER_CONFIGURATION_ERROR": (500, _INTERNAL), "AUTHORIZER_FAILURE": (500, _INTERNAL),
    "BAD_REQUEST_BODY": (400, "BadRequestException"), "BAD_REQUEST_PARAMETERS": (400, "BadRequestException"),
    "EXPIRED_TOKEN": (403, "ExpiredTokenException"), "INTEGRATION_FAILURE": (504, _INTERNAL),
    "INTEGRATION_TIMEOUT": (504, _INTERNAL), "INVALID_API_KEY": (403, "ForbiddenException"),
    "INVALID_SIGNATURE": (403, "InvalidSignatureException"),
    "MISSING_AUTHENTICATION_TOKEN": (403, "MissingAuthenticationTokenException"),
    "QUOTA_EXCEEDED": (429, "LimitExceededException"), "REQUEST_TOO_LARGE": (413, "RequestTooLargeException"),
    "RESOURCE_NOT_FOUND": (404, "NotFoundException"), "THROTTLED": (429, "TooManyRequestsException"),
    "UNAUTHORIZED": (401, "UnauthorizedException"), "UNSUPPORTED_MEDIA_TYPE": (415, "UnsupportedMediaTypeException"),
    "WAF_FILTERED": (403, "ForbiddenException"), "DEFAULT_4XX": (None, "BadRequestException"),
    "DEFAULT_5XX": (None, _INTERNAL),
}  # fmt: skip
"""Every type with its own status and its `x-amzn-ErrorType`."""

MEMBERS = {"statusCode", "headers", "body", "isBase64Encoded"}
# AWS renames some of these on their way out and drops the others: no function of ours may depend on them.
NOT_OURS = frozenset({
    "authorization", "connection", "content-length", "content-md5", "date", "expect", "host", "max-forwards",
    "proxy-authenticate", "server", "te", "trailer", "transfer-encoding", "upgrade", "user-agent", "via",
    "www-authenticate",
})  # fmt: skip
NAMED = re.compile(r"\$((?:context|stageVariables|method\.request\.header)\.[\w-]+(?:\.[A-Za-z]+)?)")


def plain(status: int, text: str = "") -> Answer:
    """Before any route is found, and whatever a gateway response says: limits, and bodies that cannot be read."""
    return Answer(status, [("Content-Type", "text/plain")], text.encode())


def beyond_limits(request: Request) -> Answer | None:
    head = len(f"{request.method} {request.target} HTTP/1.1")
    if head + sum(len(f"{name}: {value}  ") for name, value in request.headers) > MAX_HEAD:
        return plain(431)  # AWS says that it refuses this, and not how
    return plain(413, f"HTTP content length exceeded {MAX_BODY} bytes.") if len(request.body) > MAX_BODY else None


def proxy_answer(result: Any, request: Request) -> Answer:
    """A function's result as the caller gets it. Raises GatewayError for one that no function of ours may return."""
    match result:
        case {"statusCode": int(status), "headers": dict(headers), "body": str(body), "isBase64Encoded": False}:
            names = {str(name).lower() for name in headers}
            as_ours = result.keys() <= MEMBERS and not names & NOT_OURS and all(map(_is_value, headers.values()))
            if as_ours and 200 <= status <= 599:
                given = [] if "content-type" in names else [("Content-Type", "application/json")]
                own = [("X-Amzn-Trace-Id", answered_trace(request)), *_ids(request)]
                return Answer(status, [*headers.items(), *given, *own], body.encode())
    raise lambda_failed()


def _is_value(value: object) -> bool:
    # A line break would begin another header.
    return isinstance(value, str) and re.search(r"[^\t\x20-\x7e\x80-\xff]", value) is None


def gateway_response(api: Api, error: GatewayError, request: Request) -> Answer:
    """The stack's response of this type, else its DEFAULT_4XX or DEFAULT_5XX, else AWS's own.

    Values are put in as they are: nothing is escaped.
    """
    usual, error_type = RESPONSE_TYPES[error.kind]
    status = error.status or usual or 403
    declared = api.responses.get(error.kind) or api.responses.get(f"DEFAULT_{'5' if status >= 500 else '4'}XX") or {}
    known = {f"method.request.header.{name}": value for name, value in request.headers} | {
        "context.path": "/" + request.path.lstrip("/"), "context.requestId": request.request_id,
        "context.extendedRequestId": request.own_id, "context.stage": api.stage, "context.error.message": str(error),
        "context.error.messageString": json.dumps(str(error)), "context.error.responseType": error.kind,
    }  # fmt: skip
    usual_template = f'{{"{error.member}":$context.error.messageString}}'
    template = declared.get("responseTemplates", {}).get("application/json", usual_template)
    headers = {"Content-Type": "application/json"} | {
        # A header's value: a literal in single quotes, or a name.
        name.removeprefix("gatewayresponse.header."): value.strip("'") if value[0] == "'" else known.get(value, "")
        for name, value in declared.get("responseParameters", {}).items()
    }
    own = {"x-amzn-ErrorType": error.error_type or error_type} | ({"X-Local-Hint": error.hint} if error.hint else {})
    body = NAMED.sub(lambda found: known.get(found[1], ""), template)
    sent = [*headers.items(), *own.items(), *_ids(request)]
    return Answer(int(declared.get("statusCode") or status), sent, body.encode())


def _ids(request: Request) -> list[tuple[str, str]]:
    return [("x-amzn-RequestId", request.request_id), ("x-amz-apigw-id", request.own_id)]
