"""The front door: the deployed REST API served on loopback, with its routes, authorisation, policy and responses.

Everything is read back from the deployment, so a local route is a deployed route. An unsigned request to a
merchant's route never reaches a function, and a request that reached one is never answered as if it had not.
"""

import base64
import http.server
import ipaddress
import json
import re
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl, unquote

from local.aws import ACCOUNT, REGION, client
from local.runtime import FunctionFailed, LoopbackServer, Runtime, trace_id
from local.signature import ACCESS_KEY, Headers, Unsigned, verify

PRINCIPAL = f"arn:aws:iam::{ACCOUNT}:role/local-merchant"
CALLER = f"arn:aws:sts::{ACCOUNT}:assumed-role/local-merchant/local"
MAX_BODY = 10 * 1024 * 1024  # API Gateway's own, fixed
MAX_DRAINED = 64 * 1024 * 1024  # of a body that is too large, so that its sender gets to read the 413


class Refused(Exception):
    """The gateway answers by itself, with one of the API's gateway responses."""

    def __init__(self, kind: str, status: int, message: str) -> None:
        super().__init__(message)
        self.kind, self.status = kind, status


@dataclass(frozen=True)
class Answer:
    status: int
    headers: list[tuple[str, str]]
    body: bytes


@dataclass(frozen=True)
class Request:
    method: str
    target: str  # as received: path and query, still encoded
    headers: Headers
    body: bytes
    source_ip: str
    request_id: str = field(default_factory=lambda: str(uuid.uuid4()))

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]


type Beside = Callable[[Request], Answer | None]


@dataclass(frozen=True)
class Route:
    """One method of one resource."""

    method: str
    resource: str
    resource_id: str
    authorization: str
    function: str
    timeout: float
    rate: float
    burst: float

    def match(self, segments: list[str]) -> dict[str, str] | None:
        wanted = self.resource.strip("/").split("/")
        if len(wanted) != len(segments):
            return None
        parameters = {}
        for name, value in zip(wanted, segments, strict=True):
            if name.startswith("{"):
                if not value:
                    return None
                parameters[name.strip("{}")] = unquote(value)
            elif name != value:
                return None
        return parameters


@dataclass(frozen=True)
class Api:
    """The REST API as it was deployed."""

    api_id: str
    stage: str
    routes: list[Route]
    policy: list[dict[str, Any]]
    responses: Mapping[str, dict[str, Any]]


def read_api(endpoint: str, api_id: str, function_names: Mapping[str, str]) -> Api:
    """`function_names`: deployed name -> the name that the runtime knows the function by."""
    apigateway = client("apigateway", endpoint)
    stage = apigateway.get_stages(restApiId=api_id)["item"][0]
    resources = apigateway.get_resources(restApiId=api_id, embed=["methods"], limit=500)["items"]
    routes = [
        _route(resource, method, declared, stage["methodSettings"], function_names)
        for resource in resources
        for method, declared in resource.get("resourceMethods", {}).items()
        if declared["methodIntegration"]["type"] == "AWS_PROXY"
    ]
    # The engine returns the policy as AWS does: JSON, escaped once more.
    policy = apigateway.get_rest_api(restApiId=api_id).get("policy", "").replace('\\"', '"')
    responses = apigateway.get_gateway_responses(restApiId=api_id, limit=500)["items"]
    return Api(
        api_id=api_id,
        stage=stage["stageName"],
        routes=routes,
        policy=_listed(json.loads(policy)["Statement"]) if policy else [],
        responses={response["responseType"]: response for response in responses},
    )


def _route(
    resource: dict[str, Any], method: str, declared: dict[str, Any], settings: Any, names: Mapping[str, str]
) -> Route:
    found = re.search(r":function:([^/:]+)", declared["methodIntegration"]["uri"])
    assert found is not None  # noqa: S101 - a proxy integration names its function
    key = resource["path"].lstrip("/").replace("/", "~1") + "/" + method
    setting = settings.get(key) or settings.get("*/*") or {}
    return Route(
        method=method,
        resource=resource["path"],
        resource_id=resource["id"],
        authorization=declared["authorizationType"],
        function=names[found[1]],
        timeout=declared["methodIntegration"].get("timeoutInMillis", 29_000) / 1000,
        rate=setting.get("throttlingRateLimit", 10_000),
        burst=setting.get("throttlingBurstLimit", 5_000),
    )


class Gateway:
    """Binds its port at once, so that a busy one is known before anything else is set up; serves when told to."""

    def __init__(self, port: int) -> None:
        self._server = LoopbackServer(("127.0.0.1", port), self._handler(), bind_and_activate=False)
        try:
            self._server.server_bind()
            self._server.server_activate()
        except OSError:
            self._server.server_close()
            raise
        self._api: Api | None = None
        self._runtime: Runtime | None = None
        self._throttles: dict[Route, Throttle] = {}
        self._serving = False
        self._beside: Beside = lambda _: None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def serve(self, api: Api, runtime: Runtime, beside: Beside | None = None) -> None:
        """`beside` answers the paths that are not the API's: the console's pages."""
        self._api, self._runtime = api, runtime
        self._beside = beside or self._beside
        self._throttles = {route: Throttle(route.rate, route.burst, time.monotonic) for route in api.routes}
        self._serving = True
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True, name="gateway").start()

    def stop(self) -> None:
        if self._serving:
            self._server.shutdown()
        self._server.server_close()

    def answer(self, request: Request) -> Answer:
        api, runtime = self._api, self._runtime
        if api is None or runtime is None:
            raise RuntimeError("the gateway answers only after serve()")
        if (page := self._beside(request)) is not None:
            return page
        try:
            if len(request.body) > MAX_BODY:
                raise Refused("REQUEST_TOO_LARGE", HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "Request Too Long")
            route, parameters = _find(api, request)
            _authorise(api, route, request)
            if not self._throttles[route].admits():
                raise Refused("THROTTLED", HTTPStatus.TOO_MANY_REQUESTS, "Too Many Requests")
            return _integrate(runtime, route, proxy_event(api, route, parameters, request))
        except Refused as refusal:
            return gateway_response(api, refusal, request.request_id)

    def _handler(self) -> type[http.server.BaseHTTPRequestHandler]:
        gateway = self

        class FrontDoor(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True
            wbufsize = 65536
            timeout = 75  # seconds that an idle connection is kept

            def serve(self) -> None:
                body, complete = read_body(self)
                if not complete:
                    self.close_connection = True
                # From the request line: the server's own `path` folds leading slashes, which are signed as sent.
                target = self.requestline.split(" ")[1]
                request = Request(self.command, target, self.headers.items(), body, self.client_address[0])
                answer = gateway.answer(request)
                self.send_response_only(answer.status)
                self.send_header("Date", self.date_time_string())
                for name, value in answer.headers:
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(answer.body)))
                self.send_header("x-amzn-RequestId", request.request_id)
                if self.close_connection:
                    self.send_header("Connection", "close")
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(answer.body)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = do_OPTIONS = serve

            def log_message(self, format: str, *args: Any) -> None:
                pass

        return FrontDoor


class Throttle:
    """A token bucket, as the stage's method settings describe it."""

    def __init__(self, rate: float, burst: float, clock: Callable[[], float]) -> None:
        self._rate, self._burst, self._clock = rate, burst, clock
        self._tokens, self._at = float(burst), clock()
        self._lock = threading.Lock()

    def admits(self) -> bool:
        if self._rate < 0:  # not limited
            return True
        with self._lock:
            now = self._clock()
            self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate)
            self._at = now
            if self._tokens < 1:
                return False
            self._tokens -= 1
            return True


def read_body(request: http.server.BaseHTTPRequestHandler) -> tuple[bytes, bool]:
    """The body, one byte more than allowed at most, and whether all of it was read from the connection."""
    if request.headers.get("Transfer-Encoding", "").lower() == "chunked":
        return _read_chunks(request)
    try:
        length = max(int(request.headers.get("Content-Length", "0")), 0)
    except ValueError:
        return b"", False
    body = request.rfile.read(min(length, MAX_BODY + 1))
    rest = min(length, MAX_DRAINED) - len(body)
    while rest > 0 and (dropped := request.rfile.read(min(rest, 1 << 20))):
        rest -= len(dropped)
    return body, length <= MAX_DRAINED


def _read_chunks(request: http.server.BaseHTTPRequestHandler) -> tuple[bytes, bool]:
    body = bytearray()
    try:
        while size := int(request.rfile.readline(1024).split(b";")[0], 16):
            body += request.rfile.read(size)
            request.rfile.readline(1024)
            if len(body) > MAX_BODY:
                return bytes(body), False
    except ValueError:
        return bytes(body), False
    while request.rfile.readline(65536) not in (b"\r\n", b"\n", b""):
        pass
    return bytes(body), True


def _find(api: Api, request: Request) -> tuple[Route, dict[str, str]]:
    stage, *segments = request.path.removeprefix("/").split("/")
    if stage == api.stage:
        for route in sorted(api.routes, key=lambda route: route.resource.count("{")):
            parameters = route.match(segments) if route.method in (request.method, "ANY") else None
            if parameters is not None:
                return route, parameters
    # What API Gateway says of a route that it does not have.
    raise Refused("MISSING_AUTHENTICATION_TOKEN", HTTPStatus.FORBIDDEN, "Missing Authentication Token")


def _authorise(api: Api, route: Route, request: Request) -> None:
    effects = {statement["Effect"] for statement in api.policy if _applies(statement, api, route, request)}
    if route.authorization == "AWS_IAM":
        try:
            verify(request.method, request.target, request.headers, request.body, REGION, datetime.now(UTC))
        except Unsigned as reason:
            raise Refused(reason.kind, HTTPStatus.FORBIDDEN, str(reason)) from None
        # The caller is of this account and its own policy allows the call, so here only a Deny counts.
        allowed = "Deny" not in effects
    else:
        allowed = "Deny" not in effects and ("Allow" in effects or not api.policy)
    if not allowed:
        raise Refused("ACCESS_DENIED", HTTPStatus.FORBIDDEN, "User is not authorized to access this resource")


def _applies(statement: dict[str, Any], api: Api, route: Route, request: Request) -> bool:
    if not _names_caller(statement["Principal"], route):
        return False
    called = f"{request.method}{request.path.removeprefix(f'/{api.stage}')}"
    # Both forms that API Gateway takes: execute-api:/stage/METHOD/path and the full ARN.
    resources = [re.sub(r"^(execute-api:/|arn:[^/]*/)", "", resource) for resource in _listed(statement["Resource"])]
    if not any(fnmatchcase(f"{api.stage}/{called}", resource) for resource in resources):
        return False
    caller = PRINCIPAL if route.authorization == "AWS_IAM" else ""
    return all(
        _holds(operator, key, _listed(values), request.source_ip, caller)
        for operator, keys in statement.get("Condition", {}).items()
        for key, values in keys.items()
    )


def _names_caller(principal: Any, route: Route) -> bool:
    named = [principal] if isinstance(principal, str) else _listed(principal.get("AWS", []))
    return "*" in named or (route.authorization == "AWS_IAM" and any(ACCOUNT in name for name in named))


def _holds(operator: str, key: str, wanted: list[str], source_ip: str, caller: str) -> bool:
    match key.lower():
        case "aws:sourceip":
            address = ipaddress.ip_address(source_ip)
            found = any(address in ipaddress.ip_network(network, strict=False) for network in wanted)
        case "aws:principalarn":
            found = any(fnmatchcase(caller, pattern) for pattern in wanted)
        case "aws:principalaccount":
            found = ACCOUNT in wanted and caller != ""
        case _:
            raise ValueError(f"the local gateway does not know the condition {key}")
    return found != ("Not" in operator)


def _integrate(runtime: Runtime, route: Route, event: dict[str, Any]) -> Answer:
    try:
        result = runtime.invoke(route.function, event, limit=route.timeout)
    except TimeoutError:
        raise Refused("INTEGRATION_TIMEOUT", HTTPStatus.GATEWAY_TIMEOUT, "Endpoint request timed out") from None
    except FunctionFailed:
        raise Refused("DEFAULT_5XX", HTTPStatus.BAD_GATEWAY, "Internal server error") from None
    answer = _proxy_answer(result)
    if answer is None:
        raise Refused("DEFAULT_5XX", HTTPStatus.BAD_GATEWAY, "Internal server error")
    return answer


def _proxy_answer(result: Any) -> Answer | None:
    """None when it is not what a proxy integration must return."""
    if not isinstance(result, dict) or not isinstance(result.get("statusCode"), int):
        return None
    headers = result.get("headers") or {}
    several = result.get("multiValueHeaders") or {}
    body = result.get("body") or ""
    if not isinstance(headers, dict) or not isinstance(several, dict) or not isinstance(body, str):
        return None
    pairs = [(name, str(value)) for name, value in headers.items() if name not in several]
    pairs += [(name, str(value)) for name, values in several.items() for value in values]
    pairs = [(name, value) for name, value in pairs if name.lower() not in {"content-length", "connection", "date"}]
    if not any(name.lower() == "content-type" for name, _ in pairs):
        pairs.append(("Content-Type", "application/json"))
    # Without binary media types the gateway passes the text on, also when the function says it is base64.
    return Answer(result["statusCode"], pairs, body.encode())


def gateway_response(api: Api, refusal: Refused, request_id: str) -> Answer:
    fallback = "DEFAULT_5XX" if refusal.status >= HTTPStatus.INTERNAL_SERVER_ERROR else "DEFAULT_4XX"
    declared = api.responses.get(refusal.kind) or api.responses.get(fallback) or {}
    known = {
        "requestId": request_id,
        "error.message": str(refusal),
        "error.messageString": json.dumps(str(refusal)),
        "error.responseType": refusal.kind,
    }
    template = declared.get("responseTemplates", {}).get("application/json", '{"message":$context.error.messageString}')
    body = re.sub(r"\$context\.([A-Za-z]+(?:\.[A-Za-z]+)?)", lambda found: known.get(found[1], ""), template)
    headers = {"Content-Type": "application/json"}
    for name, value in declared.get("responseParameters", {}).items():
        headers[name.removeprefix("gatewayresponse.header.")] = value.strip("'")
    return Answer(int(declared.get("statusCode") or refusal.status), list(headers.items()), body.encode())


def proxy_event(api: Api, route: Route, parameters: dict[str, str], request: Request) -> dict[str, Any]:
    """What a REST API hands to a function."""
    now = datetime.now(UTC)
    host = next((value for name, value in request.headers if name.lower() == "host"), "127.0.0.1")
    said = [value for name, value in request.headers if name.lower() == "x-forwarded-for"]
    headers = [
        *((name, value) for name, value in request.headers if name.lower() != "x-forwarded-for"),
        ("X-Forwarded-For", ", ".join([*said, request.source_ip])),  # only the last one is the gateway's word
        ("X-Forwarded-Port", host.rpartition(":")[2]),
        ("X-Forwarded-Proto", "https"),
        ("X-Amzn-Trace-Id", trace_id()),
    ]
    query = parse_qsl(request.target.partition("?")[2], keep_blank_values=True)
    body, is_base64 = _as_text(request.body)
    return {
        "resource": route.resource,
        "path": request.path.removeprefix(f"/{api.stage}"),
        "httpMethod": request.method,
        "headers": dict(headers),
        "multiValueHeaders": _collected(headers),
        "queryStringParameters": dict(query) or None,
        "multiValueQueryStringParameters": _collected(query) or None,
        "pathParameters": parameters or None,
        "stageVariables": None,
        "requestContext": {
            "resourceId": route.resource_id,
            "resourcePath": route.resource,
            "httpMethod": request.method,
            "extendedRequestId": base64.b64encode(uuid.uuid4().bytes[:11]).decode(),
            "requestTime": now.strftime("%d/%b/%Y:%H:%M:%S +0000"),
            "requestTimeEpoch": int(now.timestamp() * 1000),
            "path": request.path,
            "accountId": ACCOUNT,
            "protocol": "HTTP/1.1",
            "stage": api.stage,
            "domainPrefix": host.partition(".")[0],
            "domainName": host,
            "requestId": request.request_id,
            "deploymentId": "local",
            "apiId": api.api_id,
            "identity": _identity(route, request),
        },
        "body": body,
        "isBase64Encoded": is_base64,
    }


def _identity(route: Route, request: Request) -> dict[str, str | None]:
    signed = route.authorization == "AWS_IAM"
    user_agent = next((value for name, value in request.headers if name.lower() == "user-agent"), None)
    return {
        "cognitoIdentityPoolId": None,
        "cognitoIdentityId": None,
        "cognitoAuthenticationType": None,
        "cognitoAuthenticationProvider": None,
        "principalOrgId": None,
        "apiKey": None,
        "accessKey": ACCESS_KEY if signed else None,
        "accountId": ACCOUNT if signed else None,
        "caller": "AROALOCALMERCHANT00000:local" if signed else None,
        "user": "AROALOCALMERCHANT00000:local" if signed else None,
        "userArn": CALLER if signed else None,
        "sourceIp": request.source_ip,
        "userAgent": user_agent,
    }


def _as_text(body: bytes) -> tuple[str | None, bool]:
    if not body:
        return None, False
    try:
        return body.decode(), False
    except UnicodeDecodeError:
        return base64.b64encode(body).decode(), True


def _collected(pairs: Headers) -> dict[str, list[str]]:
    collected: dict[str, list[str]] = {}
    for name, value in pairs:
        collected.setdefault(name, []).append(value)
    return collected


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
