"""APIs made for a test, served by the local gateway; a stub stands where the functions are."""

import http.client
from contextlib import closing
from typing import Any
from urllib.parse import urlsplit

from local.gateway.api import Api, Route
from local.gateway.server import Gateway
from local.runtime import FunctionFailed

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
