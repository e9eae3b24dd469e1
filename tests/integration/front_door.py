"""APIs made for a test, served by the local gateway; a stub stands where the functions are."""

import http.client
from contextlib import closing
from typing import Any
from urllib.parse import urlsplit

from local.aws import ACCOUNT
from local.gateway.api import Api, Route
from local.gateway.server import Gateway
from local.runtime import FunctionFailed
from local.signature import MERCHANT, OPERATOR

HOST = "a1b2c3.execute-api.eu-central-1.amazonaws.com"
OURS = {"statusCode": 200, "headers": {}, "body": "", "isBase64Encoded": False}
"""The form in which the functions answer."""
RAISES = FunctionFailed("ValueError", "a secret of the function")
ALLOW_ALL = [{"Effect": "Allow", "Principal": {"AWS": "*"}, "Resource": "*"}]


class Reply:
    """An answer as it stood on the wire, and the events that reached a function."""

    def __init__(self, answer: http.client.HTTPResponse, events: list[Any]) -> None:
        self.status, self.headers, self.text = answer.status, answer.getheaders(), answer.read().decode("utf-8")
        self.events = events

    def header(self, wanted: str) -> str:
        (value,) = [value for name, value in self.headers if name.lower() == wanted.lower()]
        return value


def route(method: str, resource: str, authorization: str = "NONE", **more: Any) -> Route:
    return Route(method, resource, authorization, "stub", **more)


def api(stage: str, *routes: Route, policy: Any = ALLOW_ALL, **more: Any) -> Api:
    return Api("a1b2c3", stage, routes, policy, **more)


def spoken(
    declared: Api, line: str, headers: tuple[str, ...] = (), body: bytes = b"", *, returns: Any = OURS, host: str = HOST
) -> Reply:
    """One request as it stands. `returns`: what the function does, or makes of its event."""
    gateway, events = Gateway(0), list[Any]()

    def invoke(_stem: str, event: Any, _limit: float) -> Any:
        events.append(event)
        if isinstance(returns, Exception):
            raise returns
        return returns(event) if callable(returns) else returns

    gateway.serve(declared, invoke)
    with closing(http.client.HTTPConnection(urlsplit(gateway.url).netloc, timeout=10)) as connection:
        method, target = line.split(" ")
        connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
        length = (f"Content-Length: {len(body)}",) if body and "Transfer-Encoding: chunked" not in headers else ()
        for each in (f"Host: {host}", *headers, *length):
            connection.putheader(*each.split(": ", 1))
        connection.endheaders(body)
        reply = Reply(connection.getresponse(), events)
    gateway.stop()
    return reply


GREEDY = api("stage", route("ANY", "/{proxy+}"), route("ANY", "/hardcoded"))

# ---- an API as the stack declares it ---------------------------------------------------------------------------------

ROOT = f"arn:aws:iam::{ACCOUNT}:root"
ROLES = {each: each.principal for each in (MERCHANT, OPERATOR)}
FACTS = {"aws:SourceIp": "127.0.0.1", "aws:PrincipalArn": ROLES[MERCHANT]}
"""What is known of the merchant."""


def statement(effect: str, principal: str, routes: tuple[str, ...], **condition: Any) -> dict[str, Any]:
    resources = [f"execute-api:/v1/{each}" for each in routes]
    return {"Effect": effect, "Principal": {"AWS": principal}, "Resource": resources, "Condition": condition}


SUBMIT, READ, DECIDE = ("POST/voids",), ("GET/voids", "GET/voids/*"), ("POST/voids/*/decisions",)
OWN = {MERCHANT.role: SUBMIT + READ, OPERATOR.role: READ + DECIDE}
POLICY = [
    statement("Allow", ROOT, SUBMIT + READ, ArnLike={"aws:PrincipalArn": [ROLES[MERCHANT]]}),
    statement("Allow", ROOT, READ + DECIDE, ArnLike={"aws:PrincipalArn": [ROLES[OPERATOR]]}),
    statement("Allow", "*", ("POST/oauth/voids", "GET/oauth/voids", "GET/oauth/voids/*")),
    statement("Deny", "*", ("*voids*",), ArnNotLike={"aws:PrincipalArn": [*ROLES.values()]}, Null={"aws:PrincipalArn": "false"}),
    statement("Deny", "*", ("POST/*voids*/?*",), ArnNotLike={"aws:PrincipalArn": [ROLES[OPERATOR]]}),
]  # fmt: skip
ROUTES = [("POST", "/voids"), ("GET", "/voids"), ("GET", "/voids/{order_id}"), ("POST", "/voids/{order_id}/decisions")]
IAM_ROUTES = [route(method, resource, "AWS_IAM") for method, resource in ROUTES]
TOKEN_ROUTES = [
    route(method, f"/oauth{resource}", "JWT", scopes=("submit",) if method == "POST" else ("read",))
    for method, resource in ROUTES[:3]
]
DEPLOYED = api(
    "v1",
    *IAM_ROUTES,
    *TOKEN_ROUTES,
    policy=POLICY,
    own_policies={
        role: [{"Effect": "Allow", "Resource": [f"arn:aws:execute-api:eu-central-1:{ACCOUNT}:a1b2c3/v1/{one}" for one in routes]}]
        for role, routes in OWN.items()
    },
)  # fmt: skip
