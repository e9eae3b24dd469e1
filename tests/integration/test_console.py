"""The browser console from outside: of the local run, and of `python -m ops console` over an API as if it were
deployed. What is served to whom, what is passed on and with whose signature (stories/doors.txt). What a person sees is
in test_console_pages.py."""

import json
import re
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from botocore.credentials import ReadOnlyCredentials

from acceptance import wire
from local.merchant import Caller, send
from local.sandbox.desk import FAULTS
from local.service import Service
from ops import console, places
from ops.console import Console
from ops.places import Place
from tests.integration.browser import Page
from tests.integration.client import JSON, Client
from tests.integration.story import Person, Story, stories

ROOT = Path(__file__).parents[2]
FILES = ROOT / "local" / "console" / "static"
HOSTILE = "<img src=x onerror=\"document.title='executed'\"><script>document.title='executed'</script>"


def place_of(service: Service, key: str = "operator") -> Place:
    """The running service as if it were deployed."""
    caller = ReadOnlyCredentials(key, f"{key}-secret", None)
    return Place("VoidService-prod", service.region, None, caller, f"{service.url}/v1", service.aws_endpoint)


@contextmanager
def serving(place: Place, *, decides: bool = False, voids: bool = False) -> Iterator[Console]:
    found = Console(place, decides, voids)
    with console.start(found, 0) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield found
        server.shutdown()


class Door(Story):
    """Asks the local run, or a console over a deployed API. Seen: `status`, `headers`, `body`, `json`, `policy`, `rules`."""

    def __init__(self, client: Client, consoles: dict[str, Console]) -> None:
        order, self.consoles, self.content = f"a/b {uuid.uuid4().hex[:8]}", consoles, b""
        names = {"slashed": order, "path": quote(order, safe=""), "big": "x" * 70_000}
        names["contract"] = (ROOT / "docs" / "openapi.json").read_text("utf-8")
        super().__init__(client, secret=client.service.secret_key, **names)

    def body(self, content: str) -> None:
        """What is sent until another is."""
        self.content = content.encode()

    def at(self, name: str) -> None:
        self.console = self.consoles[name]
        self.names["origin"], first, token = self.console.url.partition("/?")
        self.names["first"] = first + token

    def _ask(self, url: str, method: str, target: str, more: str, headers: dict[str, str]) -> None:
        headers |= dict(each.split(": ", 1) for each in more.split(" + ") if each)
        reply = wire.send(url, method, target, headers, b"" if method == "GET" else self.content)
        parts = (part.strip().partition(" ") for part in reply.headers.get("content-security-policy", "").split(";"))
        cookie, *rules = reply.headers.get("set-cookie", "").split("; ")
        self.shown = {
            "status": reply.status, "headers": reply.headers, "body": reply.body.decode(errors="replace"), "json": reply.json,
            "cookie": cookie, "rules": sorted(rules), "policy": {name: value for name, _, value in parts},
        }  # fmt: skip

    def local(self, method: str, target: str, more: str = "") -> None:
        self._ask(self.client.service.url, method, target, more, dict(JSON))

    def stranger(self, method: str, target: str, more: str = "") -> None:
        self._ask(self.names["origin"], method, target, more, {})

    def own(self, method: str, target: str, more: str = "") -> None:
        """As a browser does that has opened the first address."""
        cookie = f"void-console-{self.console.port}={self.console.token}"
        self._ask(self.names["origin"], method, target, more, {"Cookie": cookie})

    def send(self, method: str, target: str, more: str = "") -> None:
        """As its own page does."""
        form = f"Content-Type: application/json + Origin: {self.names['origin']}"
        self.own(method, target, f"{form} + {more}" if more else form)


@pytest.fixture(scope="module")
def consoles(service: Service) -> Iterator[dict[str, Console]]:
    away = Place("VoidService-prod", service.region, None, ReadOnlyCredentials("a", "b", None), "http://127.0.0.1:1/v1")
    with (
        serving(place_of(service)) as reading, serving(place_of(service), decides=True, voids=True) as allowed,
        serving(place_of(service, "local"), voids=True) as voiding, serving(away) as gone,
    ):  # fmt: skip
        yield {"reading": reading, "allowed": allowed, "voiding": voiding, "away": gone}


@stories("doors")
def test_a_story(client: Client, consoles: dict[str, Console], given: dict[str, Any], rows: str) -> None:
    Door(client, consoles).play(rows, given)


# Of the local run


def test_the_configuration_holds_credentials_that_the_api_takes(service: Service) -> None:
    config = send("GET", f"{service.url}/console/config.json").json
    caller = Caller(service.url, config["region"], config["access_key"], config["secret_key"])
    assert caller.get("/v1/voids").status == 200
    assert {kind: tuple(names) for kind, names in config["faults"].items()} == FAULTS


def test_the_pages_never_parse_text_as_html_and_never_leave_this_machine() -> None:
    forbidden = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|DOMParser|srcdoc"
    for file in FILES.iterdir():
        text = file.read_text(encoding="utf-8")
        assert not re.search(rf"{forbidden}|https?://(?!www\.w3\.org/2000/svg)", text), file.name
        assert not re.search(r"\son\w+=|style=|javascript:", text) or file.suffix == ".js", file.name


def test_every_fault_of_the_sandbox_is_described() -> None:
    words = (FILES / "faults.js").read_text(encoding="utf-8")
    described = re.findall(r"^    (\w+): \"", words, re.MULTILINE)
    assert {name for names in FAULTS.values() for name in names} <= set(described)


@stories("form")
def test_what_a_commit_can_break_of_the_pages(page: Page, client: Client, given: dict[str, Any], rows: str) -> None:
    """The others are for the night."""
    Person(page, client, hostile=HOSTILE).play(rows, given)


# Of `python -m ops console`


def test_it_runs_until_it_is_interrupted(service: Service) -> None:
    where = ["--local", "--port", str(urlsplit(service.url).port), "--aws-endpoint", service.aws_endpoint]
    command = [sys.executable, "-m", "ops", *where, "console", "--json"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        url = urlsplit(json.loads(running.stdout.readline())["url"])
        assert wire.send(f"http://{url.netloc}", "GET", f"{url.path}?{url.query}").status == 303
        running.send_signal(signal.SIGINT)
        _, error = running.communicate(timeout=20)
    assert (running.returncode, error) == (0, "")


def test_a_port_that_is_taken_is_one_line(consoles: dict[str, Console], service: Service) -> None:
    taken = consoles["reading"].port
    with pytest.raises(places.OpsError, match=rf"port {taken} cannot be used: Address already in use"):
        console.start(Console(place_of(service), False, False), taken)


@pytest.mark.parametrize(("name", "live"), [("local", False), ("test", False), ("prod", True), ("staging", True)])
def test_only_test_and_local_are_harmless(name: str, live: bool) -> None:
    assert Console(Place(f"VoidService-{name}", "r", None), False, False)._config["live"] is live
