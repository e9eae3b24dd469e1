"""A Lambda proxy integration: what a function gets, and what the caller gets from it or from the gateway itself.

A result is taken in the one form in which the functions answer, which is narrower than AWS: what else AWS would take is
a defect of a function here.
"""

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

from local.aws import ACCOUNT
from local.exchange import Answer, GatewayError, Request
from local.gateway.api import Api, Call
from local.signature import is_signature

NEVER_PASSED_ON = frozenset({
    "connection", "content-length", "content-md5", "expect", "max-forwards", "proxy-authenticate", "server", "te",
    "trailer", "transfer-encoding", "upgrade", "www-authenticate",
})  # fmt: skip
# Other headers reach the function in the case in which they were sent.
WRITTEN_AS = {name.lower(): name for name in ("Authorization", "Host", "User-Agent")}
_INTERNAL = "InternalServerErrorException"
USUAL = {
    "ACCESS_DENIED": (403, "AccessDeniedException"), "AUTHORIZER_CONFIGURATION_ERROR": (500, _INTERNAL),
    "AUTHORIZER_FAILURE": (500, _INTERNAL), "DEFAULT_5XX": (502, _INTERNAL),
    "EXPIRED_TOKEN": (403, "ExpiredTokenException"), "INTEGRATION_TIMEOUT": (504, _INTERNAL),
    "INVALID_SIGNATURE": (403, "InvalidSignatureException"),
    "MISSING_AUTHENTICATION_TOKEN": (403, "MissingAuthenticationTokenException"),
    "THROTTLED": (429, "TooManyRequestsException"), "UNAUTHORIZED": (401, "UnauthorizedException"),
}  # fmt: skip
"""What happens here -> AWS's own status, and its `x-amzn-ErrorType`."""

Pairs = list[tuple[str, str]]


def proxy_event(api: Api, call: Call) -> dict[str, Any]:
    """Nothing is decoded but the query."""
    request = call.request
    # A semicolon separates a query as an ampersand does.
    headers, query = _headers(call), parse_qsl(request.query.replace(";", "&"), keep_blank_values=True)
    return {
        "resource": call.route.resource, "path": call.path, "httpMethod": request.routed_method,
        "headers": dict(headers), "multiValueHeaders": _collected(headers), "pathParameters": call.parameters or None,
        "queryStringParameters": dict(query) or None, "multiValueQueryStringParameters": _collected(query) or None,
        "stageVariables": None, "requestContext": _context(api, call), "isBase64Encoded": False,
        # Without binary media types every body is text, and what is not UTF-8 becomes U+FFFD.
        "body": request.body.decode(errors="replace") if request.body else None,
    }  # fmt: skip


def _context(api: Api, call: Call) -> dict[str, Any]:
    request, now, signer = call.request, datetime.now(UTC), call.signer
    identity = {
        "accessKey": signer and signer.access_key, "accountId": signer and ACCOUNT,
        "userArn": signer and signer.session, "sourceIp": request.source_ip, "userAgent": request.header("user-agent"),
    }  # fmt: skip
    return {
        "resourcePath": call.route.resource, "httpMethod": request.routed_method, "extendedRequestId": request.own_id,
        "requestTime": now.strftime("%d/%b/%Y:%H:%M:%S +0000"), "requestTimeEpoch": int(now.timestamp() * 1000),
        "path": "/" + request.path.lstrip("/"), "accountId": ACCOUNT, "protocol": "HTTP/1.1", "stage": api.stage,
        "domainName": request.header("host"), "requestId": request.request_id, "apiId": api.api_id,
        "identity": identity,
        **({} if call.token is None else {"authorizer": call.token}),
    }  # fmt: skip


def _headers(call: Call) -> Pairs:
    request = call.request
    said = [value for name, value in request.headers if name.lower() == "x-forwarded-for"]
    added = {
        "X-Forwarded-For": ", ".join([*said, request.source_ip]),  # only the last one is the gateway's word
        "X-Forwarded-Port": "443",
        "X-Forwarded-Proto": "https",
        "X-Amzn-Trace-Id": request.trace,
    }
    dropped = NEVER_PASSED_ON | {name.lower() for name in added}
    if is_signature(request.header("authorization") or ""):
        dropped |= {"authorization"}  # which was for AWS
    passed = [(name, value) for name, value in request.headers if name.lower() not in dropped]
    return [*((WRITTEN_AS.get(name.lower(), name), value) for name, value in passed), *added.items()]


def _collected(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    collected: dict[str, list[str]] = {}
    for name, value in pairs:
        collected.setdefault(name, []).append(value)
    return collected


def proxy_answer(result: Any, request: Request) -> Answer:
    """A function's result as the caller gets it. Raises GatewayError for one that no function of ours may return."""
    match result:
        case {"statusCode": int(status), "headers": dict(headers), "body": str(body), "isBase64Encoded": False}:
            # A line break would begin another header.
            if len(result) == 4 and 200 <= status <= 599 and all(map(_is_text, headers.values())):
                own = [("X-Amzn-Trace-Id", request.trace), *_ids(request)]
                return Answer(status, [*headers.items(), *own], body.encode())
    raise GatewayError("DEFAULT_5XX")


def _is_text(value: object) -> bool:
    return isinstance(value, str) and re.search(r"[^\t\x20-\x7e\x80-\xff]", value) is None


def gateway_response(api: Api, error: GatewayError, request: Request) -> Answer:
    """The stack's response of this type, else its DEFAULT_4XX or DEFAULT_5XX. Values are put in as they are."""
    status, error_type = USUAL[error.kind]
    declared = api.responses.get(error.kind) or api.responses.get(f"DEFAULT_{status // 100}XX") or {}
    template = declared.get("responseTemplates", {}).get("application/json", "{}")
    known = {"extendedRequestId": request.own_id, "requestId": request.request_id}
    body = re.sub(r"\$context\.(\w+)", lambda found: known.get(found[1], ""), template)
    headers = {"Content-Type": "application/json"} | {
        name.removeprefix("gatewayresponse.header."): value.strip("'")
        for name, value in declared.get("responseParameters", {}).items()
    }
    own = {"x-amzn-ErrorType": error_type} | ({"X-Local-Hint": error.hint} if error.hint else {})
    sent = [*headers.items(), *own.items(), *_ids(request)]
    return Answer(int(declared.get("statusCode") or status), sent, body.encode())


def _ids(request: Request) -> Pairs:
    return [("x-amzn-RequestId", request.request_id), ("x-amz-apigw-id", request.own_id)]
