"""The browser console over a deployed API: served on 127.0.0.1 only, each request signed with the operator's own role.
Promises that nobody but the browser that opened the printed address is answered: another `Host`, a page of another site
or a request without the token is refused. Passes on reads, and what `--decide` and `--void` allow; no credential leaves
this process."""

import hmac
import re
import secrets
import sys
from argparse import Namespace
from copy import replace
from http import HTTPStatus

from local.console.server import DOTS, HEADERS, POLICY, is_own_page, is_page, page, refused
from local.exchange import Answer, Request
from local.gateway.server import FrontDoor
from local.loopback import LoopbackServer
from ops import api
from ops.errors import told
from ops.places import OpsError, Place, api_url
from ops.screen import Screen

LOOPBACK = "127.0.0.1"
HARMLESS = ("local", "test")
"""Environments whose voids release nobody's money; every other one is shown as live."""
LARGEST_BODY = 65_536
_PASSED = ("Content-Type", "Retry-After", "Idempotency-Replayed", "X-Amzn-RequestId")
_READ = re.compile(r"GET /v1/voids(/[^/?#]+)?(\?[^#]*)?")
_DECISION = re.compile(r"POST /v1/voids/[^/?#]+/decisions")
_VOID = re.compile(r"POST /v1/voids")


class Console:
    """What is answered to whom; `token` is in the first address and then in a cookie of that browser."""

    def __init__(self, place: Place, decides: bool, voids: bool) -> None:
        self._place, self.token, self.port = place, secrets.token_urlsafe(32), 0
        self._allowed = [_READ, *([_DECISION] if decides else []), *([_VOID] if voids else [])]
        name = place.environment
        self._config = {"environment": name, "live": name not in HARMLESS, "decides": decides, "voids": voids}

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}/?token={self.token}"

    def answer(self, request: Request) -> Answer:
        headers, path = {name.lower(): value for name, value in request.headers}, request.path
        if headers.get("host") != f"{LOOPBACK}:{self.port}" or not is_own_page(request.method, path, headers):
            return refused(HTTPStatus.FORBIDDEN, "only for pages of this address")
        cookie = f"void-console-{self.port}"
        if request.method == "GET" and path == "/" and self._is_token(request.query.removeprefix("token=")):
            kept = f"{cookie}={self.token}; Path=/; HttpOnly; SameSite=Strict"
            return Answer(HTTPStatus.SEE_OTHER, [("Location", "/"), ("Set-Cookie", kept), *HEADERS], b"")
        known = dict(pair.strip().partition("=")[::2] for pair in headers.get("cookie", "").split(";"))
        if not self._is_token(known.get(cookie, "")):
            return refused(HTTPStatus.FORBIDDEN, "open the address that `python -m ops console` has printed")
        if is_page(path) and path != "/reference":
            return page(path, self._config)
        return self._pass_on(request, headers)

    def _is_token(self, text: str) -> bool:
        return hmac.compare_digest(text.encode(), self.token.encode())

    def _pass_on(self, request: Request, headers: dict[str, str]) -> Answer:
        call, is_form = f"{request.method} {request.target}", headers.get("content-type") == "application/json"
        if DOTS.search(request.target) or not any(one.fullmatch(call) for one in self._allowed):
            return refused(HTTPStatus.NOT_FOUND, "not a call that this console passes on")
        if request.method == "POST" and not (is_form and "origin" in headers):
            return refused(HTTPStatus.FORBIDDEN, "only from this console's own forms")
        if len(request.body) > LARGEST_BODY:
            return refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "the body is too large")
        sent = {"Idempotency-Key": headers["idempotency-key"]} if "idempotency-key" in headers else {}
        try:
            reply = api.send(self._place, request.method, request.target.removeprefix("/v1"), request.body, sent)
        except Exception as error:  # noqa: BLE001 its text may hold data, and a page must be answered
            return refused(HTTPStatus.BAD_GATEWAY, told(error))
        passed = [(name, reply.headers[name]) for name in _PASSED if name in reply.headers]
        return Answer(reply.status, [*passed, ("Content-Security-Policy", POLICY), *HEADERS], reply.body)


def start(console: Console, port: int) -> LoopbackServer:
    """Listen; whoever calls it lets it serve. Raises OpsError for a port that is taken."""
    try:
        server = LoopbackServer((LOOPBACK, port), type("ConsoleDoor", (FrontDoor,), {"gateway": console}))
    except (OSError, OverflowError) as error:
        raise OpsError(f"port {port} cannot be used: {getattr(error, 'strerror', None) or error}") from None
    console.port = server.server_address[1]
    return server


def serve(place: Place, chosen: Namespace, screen: Screen) -> None:
    found = replace(place, api_url=api_url(place))  # once, and before anybody opens a page
    console = Console(found, chosen.decide, chosen.void)
    with start(console, chosen.console_port) as server:
        if screen.as_json:
            screen.document({"url": console.url})
        else:
            rights = "reads" + ", takes decisions" * chosen.decide + ", SENDS VOIDS" * chosen.void
            screen.line(f"The console of {place.environment} {rights}. Ctrl-C stops it. Open:")
            screen.line(console.url)
        sys.stdout.flush()
        try:
            server.serve_forever(0.1)
        except KeyboardInterrupt:
            return
