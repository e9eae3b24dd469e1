"""What the provider takes: requests as bytes or in parts, how they prove who sends them, and its limits.

Promises that credentials are checked before anything else, over the bytes as they came.
"""

import re
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass
from typing import Self
from urllib.parse import unquote, urlsplit

from payments import exact_json
from payments.messages import project_of
from payments.signatures import Scheme, authorise
from play.ledger import Project

PLAIN_ORDER = re.compile(r"[A-Za-z0-9._-]+")
LIMITS = {"pos_id": 36, "order_id": 32, "order_currency": 3}
IN_BYTES = {"order_id": "order-limit", "comment": "comment-limit"}
"""Fields that a provider which differs so counts in bytes."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request; the names of its headers in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes = b""

    @classmethod
    def parse(cls, raw: bytes) -> Self:
        head, _, body = raw.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        pairs = (line.partition(":") for line in lines)
        method, path, _ = first.split(" ")
        return cls(method, path, {name.lower(): value.strip() for name, _, value in pairs}, body)

    @property
    def segments(self) -> list[str]:
        """The path, cut before it is decoded: an order id may contain a slash."""
        return [unquote(part) for part in urlsplit(self.path).path.strip("/").split("/")]


@dataclass(frozen=True, slots=True)
class Void:
    project: Project
    order: str
    currency: str
    comment: str | None = None
    server_url: str | None = None


@dataclass(frozen=True, slots=True)
class Invalid:
    """Why a request cannot be served: a name of `answers.REFUSALS`, or what is wrong with its fields."""

    why: str
    violations: object = None


def sender(projects: Iterable[Project], request: Request, differs: Set[str] = frozenset()) -> Project | None:
    """Whose credentials it carries; None: nobody's. Nobody documents what a GET signs, so a signed one is refused."""
    get, plain = request.method == "GET", request.headers.get("x-api-auth", "").startswith("CPAY ")
    switch = f"{'get' if get else 'post'}-{'plain' if plain else 'signed'}"
    if (switch in differs) != (get and not plain):
        return None
    return next((project for project in projects if authentic(project, request)), None)


def authentic(project: Project, request: Request) -> bool:
    name = request.headers.get("x-api-auth", "").partition(" ")[0]
    if name not in Scheme:
        return False
    expected = authorise(Scheme(name), project.api_key, project.api_secret, request.body)
    return request.headers["x-api-auth"] == expected and request.headers.get("x-api-key") == project.endpoints_key


def read_void(projects: Iterable[Project], request: Request, differs: Set[str] = frozenset()) -> Void | Invalid:
    project = sender(projects, request, differs)
    if project is None:
        return Invalid("no such order" if "wrong-credentials" in differs else "bad credentials")
    try:
        body = exact_json.parse(request.body)
    except exact_json.Unreadable:
        return Invalid("not acceptable")
    if not isinstance(body, dict):
        return Invalid("invalid", {"obj": [{"msg": ["error.expected.jsobject"], "args": []}]})
    if found := violations(body, differs):
        return Invalid("invalid", found)
    if project_of(body["pos_id"]) != project_of(project.pos_id):
        return Invalid("foreign project")
    return Void(project, body["order_id"], body["order_currency"], body.get("comment"), body.get("server_url"))


def read_query(
    projects: Iterable[Project], request: Request, differs: Set[str] = frozenset()
) -> tuple[Project, str, str | None] | Invalid:
    """Whose order a query is about, and which method of it."""
    project = sender(projects, request, differs)
    if project is None:
        return Invalid("no such order" if "wrong-credentials" in differs else "bad credentials")
    _, _, _, pos_id, _, order, *method = request.segments
    if project_of(pos_id) != project_of(project.pos_id):
        return Invalid("foreign project")
    return project, order, method[0] if method else None


def violations(body: Mapping[str, object], differs: Set[str] = frozenset()) -> list[dict[str, str]]:
    """All that breaks a rule, one entry for each field."""
    wrong = {
        name: f"required: a string of at most {limit} characters"
        for name, limit in LIMITS.items()
        if not (isinstance(text := body.get(name), str) and 0 < _size(text, name, differs) <= limit)
    }
    if "order-characters" in differs and not PLAIN_ORDER.fullmatch(str(body.get("order_id"))):
        wrong["order_id"] = "letters, digits, dot, hyphen and underscore"
    comment, url = body.get("comment"), body.get("server_url")
    if comment is not None and not (isinstance(comment, str) and _size(comment, "comment", differs) <= 2048):
        wrong["comment"] = "a string of at most 2048 characters"
    if url is not None and not _is_url(url):
        wrong["server_url"] = "an http or https URL"
    return [{"field_name": name, "violation": rule} for name, rule in wrong.items()]


def _size(text: str, name: str, differs: Set[str]) -> int:
    return len(text.encode("utf-8", "replace")) if IN_BYTES.get(name) in differs else len(text)


def _is_url(value: object) -> bool:
    try:
        return isinstance(value, str) and urlsplit(value).scheme in ("http", "https") and bool(urlsplit(value).hostname)
    except ValueError:
        return False
