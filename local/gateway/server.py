"""The sockets of the front door: one request in, one answer out, on loopback.

A body that is too large is read to its end, so that its sender gets to read the answer.
"""

import re
import threading
import time
from collections.abc import Callable
from typing import Any, Protocol

from local.exchange import Answer, GatewayError, Request, lambda_failed
from local.gateway.answer import beyond_limits, gateway_response, plain, proxy_answer
from local.gateway.api import Api, Route, find
from local.gateway.event import proxy_event
from local.gateway.policy import authorise
from local.instance import FunctionFailed
from local.loopback import Handler, LoopbackServer, Unframed, read_body

type Pages = Callable[[Request], Answer | None]
"""Answers what is a page of the local run, and None for everything else, which is the API's."""


class Functions(Protocol):
    def invoke(self, stem: str, event: Any, limit: float) -> Any:
        """What the handler returned. Raises FunctionFailed, or TimeoutError after `limit`."""


class Gateway:
    """Binds its port at once, so that a busy one is known before anything else is set up; serves later."""

    def __init__(self, port: int) -> None:
        handler = type("FrontDoor", (_FrontDoor,), {"gateway": self})
        self._server = LoopbackServer(("127.0.0.1", port), handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._serving = False

    def serve(
        self, api: Api, functions: Functions, pages: Pages = lambda _: None, say: Callable[[str], None] = lambda _: None
    ) -> None:
        """`pages` is asked first: the console's. `say` reports wrong signatures and tokens."""
        self._api, self._functions, self._pages, self._say = api, functions, pages, say
        self._throttles = {route: Throttle(route) for route in api.routes}
        self._serving = True
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True, name="gateway").start()

    def stop(self) -> None:
        if self._serving:
            self._server.shutdown()
        self._server.server_close()

    def answer(self, request: Request) -> Answer:
        """The whole way of a request, but for the socket."""
        answered = self._pages(request) or beyond_limits(request)
        if answered is not None:
            return answered
        try:
            call = authorise(self._api, find(self._api, request))
            if not self._throttles[call.route].admits():
                raise GatewayError("THROTTLED", "Too Many Requests")
            event, route = proxy_event(self._api, call), call.route
            return proxy_answer(self._functions.invoke(route.function, event, limit=route.timeout), request)
        except TimeoutError:
            error = GatewayError("INTEGRATION_TIMEOUT", "Endpoint request timed out")
        except FunctionFailed:
            error = lambda_failed()
        except GatewayError as refused:
            error = refused
        if error.hint and error.kind != "MISSING_AUTHENTICATION_TOKEN":
            self._say(f"{asked(request)} was refused: {error.hint}")
        return gateway_response(self._api, error, request)


def asked(request: Request) -> str:
    """Route and caller in words, with nothing that a terminal would act upon."""
    proof = request.header("authorization") or request.query
    key = re.search(r"Credential=([\w.-]{1,64})(?:/|%2F)", proof, re.ASCII | re.IGNORECASE)
    who = f"access key {key[1]}" if key else "a token" if proof.lower().startswith("bearer ") else "nobody"
    route = "".join(c if c.isascii() and c.isprintable() else "?" for c in f"{request.method} {request.path}")
    return f"{route[:200]} by {who}"


class _FrontDoor(Handler):
    gateway: Gateway

    def serve(self) -> None:
        try:
            # From the request line: the server's own `path` folds leading slashes, which are signed as sent.
            target, sender, body = self.requestline.split(" ")[1], self.client_address[0], read_body(self)
            answer = self.gateway.answer(Request(self.command, target, self.headers.items(), body, sender))
        except Unframed:
            self.close_connection, answer = True, plain(400)
        self.reply(answer.status, [("Date", self.date_time_string()), *answer.headers], answer.body)


class Throttle:
    """A token bucket, as the stage's method settings describe it; a negative rate does not limit."""

    def __init__(self, route: Route) -> None:
        self._rate, self._burst, self._tokens, self._at = route.rate, route.burst, float(route.burst), time.monotonic()
        self._lock = threading.Lock()

    def admits(self) -> bool:
        with self._lock:
            now = time.monotonic()
            self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate)
            self._at = now
            admitted = self._rate < 0 or self._tokens >= 1
            self._tokens -= admitted
            return admitted
