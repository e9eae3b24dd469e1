"""The browser console and the API reference of the local run, beside the API on the same loopback port. Promises that
only the files of static/, docs/openapi.json and two of Swagger UI are served, and that only the sandbox's own calls are
passed on. Never answers a page of another site: what config.json holds is for this machine's user. ops/console.py
serves the same pages over a deployed API, with a configuration that holds no credentials."""

import importlib.util
import json
import re
from collections.abc import Callable, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any

import urllib3

from local import aws, signature
from local.exchange import Answer, Request
from local.gateway.server import Pages
from local.loopback import is_local, is_same_site
from local.sandbox.desk import DEFAULTS, FAULTS

FILES = Path(__file__).parent / "static"
OPENAPI = Path(__file__).parents[2] / "docs" / "openapi.json"
SWAGGER_UI = ("swagger-ui-bundle.js", "swagger-ui.css")
PROXY = "/sandbox-proxy"
TYPES = {
    ".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8",
    ".json": "application/json", ".svg": "image/svg+xml",
}  # fmt: skip
# Trusted Types on top: a script that sets HTML from text fails at once, in the browsers that know them.
POLICY = (
    "default-src 'self'; connect-src 'self' http://127.0.0.1:*; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'; object-src 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
# Swagger UI's style sheet has its icons inside. Nothing else is given to it: no inline style, script or HTML.
POLICY_OF_THE_REFERENCE = f"{POLICY}; img-src 'self' data:"
HEADERS = [
    ("X-Content-Type-Options", "nosniff"), ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Resource-Policy", "same-origin"), ("Cache-Control", "no-store"),
]  # fmt: skip
# The control calls of the sandbox. One segment may be anything but a slash: an order id is percent-encoded.
CONTROL = re.compile(
    r"POST /sandbox/(holds|sign)|GET /sandbox/orders/[^/]+|PUT /sandbox/(faults/[^/]+|settings)"
    r"|POST /sandbox/orders/[^/]+/(void|capture|operations)|POST /sandbox/webhooks/[^/]+"
)
DOTS = re.compile(r"/(\.|%2e){1,2}(/|\?|$)", re.IGNORECASE)


def console(sandbox_url: str, events: Callable[[], dict[str, Any]]) -> Pages:
    """Answers what is the console's, and None for everything else, which is the API's. `events`: what has left."""
    pool = urllib3.PoolManager(retries=False, timeout=40)

    def answer(request: Request) -> Answer | None:
        path, passed_on = request.path, request.path.startswith(f"{PROXY}/")
        if not passed_on and not (request.method in ("GET", "HEAD") and is_page(path)):
            return None
        headers = {name.lower(): value for name, value in request.headers}
        if not is_local(headers) or not is_own_page(request.method, path, headers):
            return refused(HTTPStatus.FORBIDDEN, "only for pages of this address")
        if path == "/console/events.json":
            return ok(".json", json.dumps(events()).encode())
        return _pass_on(pool, sandbox_url, request) if passed_on else page(path, _config(sandbox_url))

    return answer


def page(path: str, config: Mapping[str, object]) -> Answer:
    """One file of the console; `config` is what its scripts are told."""
    if path == "/console/config.json":
        return ok(".json", json.dumps(config).encode())
    file = _pages().get(path)
    if file is None:
        return refused(HTTPStatus.NOT_FOUND, "no such page")
    policy = POLICY_OF_THE_REFERENCE if path == "/reference" else POLICY
    return ok(file.suffix, file.read_bytes(), policy=policy)


def is_page(path: str) -> bool:
    """Is it the console's? Everything else is the API's."""
    return path in ("/", "/reference") or path.startswith("/console/")


def is_own_page(method: str, path: str, headers: Mapping[str, str]) -> bool:
    """Does a page of this address ask? One of another site gets nothing; a link of it may lead here."""
    leads_here = method == "GET" and headers.get("sec-fetch-mode") == "navigate" and path in ("/", "/reference")
    return is_same_site({**headers, "sec-fetch-site": "none"} if leads_here else headers)


def _pages() -> dict[str, Path]:
    """Every path that exists, listed from the folder: a path that is asked for is never made into a file name."""
    files = {f"/console/{file.name}": file for file in FILES.iterdir() if file.suffix in TYPES and file.is_file()}
    files |= {f"/console/{name}": _swagger_ui() / name for name in SWAGGER_UI}
    files |= {"/": FILES / "index.html", "/reference": FILES / "reference.html", "/console/openapi.json": OPENAPI}
    return files


def _swagger_ui() -> Path:
    """The folder of the package, which is found and not imported: its code is for a framework that is not here."""
    found = importlib.util.find_spec("flask_swagger_ui")
    if found is None or found.origin is None:
        raise FileNotFoundError("flask-swagger-ui is not installed: run `make run` again")
    return Path(found.origin).parent / "dist"


def _config(sandbox_url: str) -> dict[str, object]:
    merchant, operator = signature.MERCHANT, signature.OPERATOR
    return {
        "environment": "local", "live": False, "decides": True, "voids": True, "region": aws.REGION,
        "access_key": merchant.access_key, "secret_key": merchant.secret_key,
        "operator": [operator.access_key, operator.secret_key],
        "sandbox_url": sandbox_url, "faults": FAULTS, "defaults": DEFAULTS,
    }  # fmt: skip


def _pass_on(pool: urllib3.PoolManager, sandbox_url: str, request: Request) -> Answer:
    path = request.target.removeprefix(PROXY)
    if not CONTROL.fullmatch(f"{request.method} {path}") or DOTS.search(path) or "?" in path or "#" in path:
        return refused(HTTPStatus.NOT_FOUND, "not a control call of the sandbox")
    headers = {"Content-Type": "application/json"}
    try:
        # Not through the pool's URL parser, which would rewrite the path.
        connection = pool.connection_from_url(sandbox_url)
        reply = connection.urlopen(request.method, path, body=request.body, headers=headers, retries=False)
    except urllib3.exceptions.HTTPError:
        return refused(HTTPStatus.BAD_GATEWAY, "the sandbox does not answer")
    return ok(".json", reply.data, reply.status)


def refused(status: HTTPStatus, why: str) -> Answer:
    return ok(".json", json.dumps({"error": why}).encode(), status)


def ok(suffix: str, body: bytes, status: int = HTTPStatus.OK, policy: str = POLICY) -> Answer:
    """A body of the type that this suffix has, under the policy of our pages."""
    return Answer(status, [("Content-Type", TYPES[suffix]), ("Content-Security-Policy", policy), *HEADERS], body)
