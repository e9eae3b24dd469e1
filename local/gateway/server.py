"""The sockets of the front door: one request in, one answer out, on loopback.

A body that is too large is read to its end, so that its sender gets to read the answer.
"""

import threading
import time
from collections.abc import Callable
from typing import Any

from local.exchange import Answer, GatewayError, Request, printable
from local.gateway.api import Api, Route, authorise, find
from local.gateway.proxy import gateway_response, proxy_answer, proxy_event
from local.loopback import Handler, LoopbackServer, Unframed, read_body
from local.runtime import FunctionFailed

MAX_BODY = 10 * 1024 * 1024  # API Gateway's own, fixed
MAX_HEAD = 10_240  # request line and headers; fixed, too

type Invoke = Callable[[str, Any, float], Any]
"""Function, event and limit to what the handler returned. Raises FunctionFailed, or TimeoutError after the limit."""
type Pages = Callable[[Request], Answer | None]
"""Answers what is a page of the local run, and None for everything else, which is the API's."""


class Gateway:
    """Binds its port at once, so that a busy one is known before anything else is set up; serves later."""

    def __init__(self, port: int) -> None:
        handler = type("FrontDoor", (FrontDoor,), {"gateway": self})
        self._server = LoopbackServer(("127.0.0.1", port), handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._serving = False

    def serve(
        self, api: Api, invoke: Invoke, pages: Pages = lambda _: None, say: Callable[[str], None] = lambda _: None
    ) -> None:
        """`pages` is asked first: the console's. `say` reports wrong signatures and tokens."""
        self._api, self._invoke, self._pages, self._say = api, invoke, pages, say
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
                raise GatewayError("THROTTLED")
            result = self._invoke(call.route.function, proxy_event(self._api, call), call.route.timeout)
            return proxy_answer(result, request)
        except TimeoutError:
            error = GatewayError("INTEGRATION_TIMEOUT")
        except FunctionFailed:
            error = GatewayError("DEFAULT_5XX")
        except GatewayError as refused:
            error = refused
        if error.hint:
            self._say(f"{request.method} {printable(request.path)[:200]} was refused: {error.hint}")
        return gateway_response(self._api, error, request)


def beyond_limits(request: Request) -> Answer | None:
    """Before any route is found, and whatever a gateway response says."""
    if len(request.target) + sum(len(f"{name}: {value}  ") for name, value in request.headers) > MAX_HEAD:
        return plain(431)  # AWS says that it refuses this, and not how
    return plain(413, f"HTTP content length exceeded {MAX_BODY} bytes.") if len(request.body) > MAX_BODY else None


def plain(status: int, text: str = "") -> Answer:
    return Answer(status, [("Content-Type", "text/plain")], text.encode())


class FrontDoor(Handler):
    """Asks its `gateway`, or whatever else answers requests in its place."""

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
        self._rate, self._burst, self._tokens, self._at = route.rate, route.burst, route.burst, time.monotonic()
        self._lock = threading.Lock()

    def admits(self) -> bool:
        with self._lock:
            now = time.monotonic()
            self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate)
            self._at = now
            admitted = self._rate < 0 or self._tokens >= 1
            self._tokens -= admitted
            return admitted
