"""What a REST API hands to a function: the event of a Lambda proxy integration, with nothing decoded but the query."""

import uuid
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

from local.aws import ACCOUNT
from local.exchange import Request
from local.gateway.api import Api, Call
from local.instance import trace_root
from local.signature import is_signature

NEVER_PASSED_ON = frozenset({
    "connection", "content-length", "content-md5", "expect", "max-forwards", "proxy-authenticate", "server", "te",
    "trailer", "transfer-encoding", "upgrade", "www-authenticate",
})  # fmt: skip
WRITTEN_AS = {name.lower(): name for name in ("Authorization", "Host", "User-Agent")}
"""Other headers reach the function in the case in which they were sent."""

Pairs = list[tuple[str, str]]


def proxy_event(api: Api, call: Call) -> dict[str, Any]:
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


def answered_trace(request: Request) -> str:
    """The trace that the caller reads: its own as sent, completed if it named a root only."""
    sent = request.header("x-amzn-trace-id") or trace_root()
    return sent if "Parent=" in sent else f"{sent};Parent={uuid.uuid4().hex[:16]}"


def _context(api: Api, call: Call) -> dict[str, Any]:
    request, now, signer = call.request, datetime.now(UTC), call.signer
    host, identifier = request.header("host") or "127.0.0.1", None
    if signer is not None:
        identifier = f"AROA{signer.role.replace('-', '').upper():0<17}:{signer.access_key}"
    cognito = [
        f"cognito{name}" for name in ("IdentityPoolId", "IdentityId", "AuthenticationType", "AuthenticationProvider")
    ]
    identity = dict.fromkeys((*cognito, "principalOrgId"), None) | {
        "accessKey": signer and signer.access_key, "accountId": signer and ACCOUNT, "caller": identifier,
        "user": identifier, "userArn": signer and signer.session, "sourceIp": request.source_ip,
        "userAgent": request.header("user-agent"),
    }  # fmt: skip
    return {
        "resourceId": call.route.resource_id, "resourcePath": call.route.resource, "httpMethod": request.routed_method,
        "extendedRequestId": request.own_id, "requestTime": now.strftime("%d/%b/%Y:%H:%M:%S +0000"),
        "requestTimeEpoch": int(now.timestamp() * 1000), "path": "/" + request.path.lstrip("/"), "accountId": ACCOUNT,
        "protocol": "HTTP/1.1", "stage": api.stage, "domainPrefix": host.partition(".")[0], "domainName": host,
        "requestId": request.request_id, "deploymentId": api.deployment_id, "apiId": api.api_id, "identity": identity,
        **({} if call.claims is None else {"authorizer": api.readings.authorizer(call.claims)}),
    }  # fmt: skip


def _headers(call: Call) -> Pairs:
    request = call.request
    said = [value for name, value in request.headers if name.lower() == "x-forwarded-for"]
    added = {
        "X-Forwarded-For": ", ".join([*said, request.source_ip]),  # only the last one is the gateway's word
        "X-Forwarded-Port": (request.header("host") or "").partition(":")[2] or "443",
        "X-Forwarded-Proto": "https",
        "X-Amzn-Trace-Id": request.header("x-amzn-trace-id") or trace_root(),
    }
    dropped = NEVER_PASSED_ON | {name.lower() for name in added}
    if call.route.authorization == "AWS_IAM" or is_signature(request.header("authorization") or ""):
        dropped |= {"authorization"}  # which was for AWS
    passed = [(name, value) for name, value in request.headers if name.lower() not in dropped]
    return [*((WRITTEN_AS.get(name.lower(), name), value) for name, value in passed), *added.items()]


def _collected(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    collected: dict[str, list[str]] = {}
    for name, value in pairs:
        collected.setdefault(name, []).append(value)
    return collected
