"""The browser console and the API reference of the local run, beside the API on the same loopback port.

Promises that only the files of static/, docs/openapi.json and two of Swagger UI are served, and that only the sandbox's
own calls are passed on. Never answers a page of another site: what config.json holds is for this machine's user.
"""

import importlib.util
import json
import re
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from typing import Any

import urllib3

from local import aws, signature
from local.gateway import Answer, Pages, Request
from local.sandbox.desk import DEFAULTS, FAULTS

FILES = Path(__file__).parent / "static"
OPENAPI = Path(__file__).parents[2] / "docs" / "openapi.json"
SWAGGER_UI = ("swagger-ui-bundle.js", "swagger-ui.css")
PROXY = "/sandbox-proxy"
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
}
# Trusted Types on top: a script that sets HTML from text fails at once, in the browsers that know them.
POLICY = (
    "default-src 'self'; connect-src 'self' http://127.0.0.1:*; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'; object-src 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
# Swagger UI's style sheet has its icons inside. Nothing else is given to it: no inline style, script or HTML.
POLICY_OF_THE_REFERENCE = f"{POLICY}; img-src 'self' data:"
HEADERS = [
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Cache-Control", "no-store"),
]
# The control calls of the sandbox. One segment may be anything but a slash: an order id is percent-encoded.
CONTROL = re.compile(
    r"POST /sandbox/(holds|sign)|GET /sandbox/orders/[^/]+|PUT /sandbox/(faults/[^/]+|settings)"
    r"|POST /sandbox/orders/[^/]+/(void|capture|operations)|POST /sandbox/webhooks/[^/]+"
)
DOTS = re.compile(r"/(\.|%2e){1,2}(/|$)", re.IGNORECASE)
LOOPBACK = re.compile(r"(127\.0\.0\.1|localhost|\[::1\])(:\d+)?", re.IGNORECASE)


def console(sandbox_url: str, events: Callable[[], dict[str, Any]]) -> Pages:
    """Answers what is the console's, and None for everything else, which is the API's. `events`: what has left."""
    pool = urllib3.PoolManager(retries=False, timeout=40)

    def answer(request: Request) -> Answer | None:
        path = request.path
        passed_on = path.startswith(f"{PROXY}/")
        if not passed_on and not (request.method in ("GET", "HEAD") and _is_page(path)):
            return None
        if not _is_own_page(request):
            return _refused(HTTPStatus.FORBIDDEN, "only for pages of this address")
        if passed_on:
            return _pass_on(pool, sandbox_url, request)
        if path == "/console/config.json":
            return _answer(HTTPStatus.OK, ".json", json.dumps(_config(sandbox_url)).encode())
        if path == "/console/events.json":
            return _answer(HTTPStatus.OK, ".json", json.dumps(events()).encode())
        file = _pages().get(path)
        if file is None:
            return _refused(HTTPStatus.NOT_FOUND, "no such page")
        policy = POLICY_OF_THE_REFERENCE if path == "/reference" else POLICY
        return _answer(HTTPStatus.OK, file.suffix, file.read_bytes(), policy)

    return answer


def _is_page(path: str) -> bool:
    return path in ("/", "/reference") or path.startswith("/console/")


def _pages() -> dict[str, Path]:
    """Every path that exists, listed from the folder: a path that is asked for is never made into a file name."""
    files = {f"/console/{file.name}": file for file in FILES.iterdir() if file.suffix in TYPES and file.is_file()}
    files |= {f"/console/{name}": _swagger_ui() / name for name in SWAGGER_UI}
    return files | {
        "/": FILES / "index.html",
        "/reference": FILES / "reference.html",
        "/console/openapi.json": OPENAPI,
    }


def _swagger_ui() -> Path:
    """The folder of the package, which is found and not imported: its code is for a framework that is not here."""
    found = importlib.util.find_spec("flask_swagger_ui")
    if found is None or found.origin is None:
        raise FileNotFoundError("flask-swagger-ui is not installed: run `make run` again")
    return Path(found.origin).parent / "dist"


def _config(sandbox_url: str) -> dict[str, object]:
    return {
        "region": aws.REGION,
        "access_key": signature.ACCESS_KEY,
        "secret_key": signature.SECRET_KEY,
        "sandbox_url": sandbox_url,
        "faults": FAULTS,
        "defaults": DEFAULTS,
    }


def _is_own_page(request: Request) -> bool:
    """Another name for this address (DNS rebinding) or another site's page gets neither credentials nor the sandbox."""
    headers = {name.lower(): value for name, value in request.headers}
    host = headers.get("host", "")
    return (
        LOOPBACK.fullmatch(host) is not None
        and headers.get("origin", f"http://{host}") == f"http://{host}"
        # A link on another site may lead here; a script of another site may not.
        and (headers.get("sec-fetch-site", "none") in ("same-origin", "none") or _is_navigation(headers, request))
    )


def _is_navigation(headers: dict[str, str], request: Request) -> bool:
    return (
        request.method == "GET" and headers.get("sec-fetch-mode") == "navigate" and request.path in ("/", "/reference")
    )


def _pass_on(pool: urllib3.PoolManager, sandbox_url: str, request: Request) -> Answer:
    path = request.target.removeprefix(PROXY)
    if not CONTROL.fullmatch(f"{request.method} {path}") or DOTS.search(path) or "?" in path or "#" in path:
        return _refused(HTTPStatus.NOT_FOUND, "not a control call of the sandbox")
    headers = {"Content-Type": "application/json"}
    try:
        # Not through the pool's URL parser, which would rewrite the path.
        connection = pool.connection_from_url(sandbox_url)
        reply = connection.urlopen(request.method, path, body=request.body, headers=headers, retries=False)
    except urllib3.exceptions.HTTPError:
        return _refused(HTTPStatus.BAD_GATEWAY, "the sandbox does not answer")
    return _answer(reply.status, ".json", reply.data)


def _refused(status: HTTPStatus, why: str) -> Answer:
    return _answer(status, ".json", json.dumps({"error": why}).encode())


def _answer(status: int, suffix: str, body: bytes, policy: str = POLICY) -> Answer:
    return Answer(status, [("Content-Type", TYPES[suffix]), ("Content-Security-Policy", policy), *HEADERS], body)
