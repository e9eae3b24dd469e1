"""`python -m ops console`: who is answered, what is passed on, and with whose signature."""

import http.client
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.credentials import ReadOnlyCredentials

from local.merchant import Caller
from local.service import Service
from ops import console, places
from ops.console import Console
from ops.places import Place

ROOT = Path(__file__).resolve().parents[2]


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


@pytest.fixture(scope="module")
def reading(service: Service) -> Iterator[Console]:
    with serving(place_of(service)) as found:
        yield found


@pytest.fixture(scope="module")
def allowed(service: Service) -> Iterator[Console]:
    with serving(place_of(service), decides=True, voids=True) as found:
        yield found


def ask(
    at: Console, method: str, target: str, headers: dict[str, str] | None = None, body: bytes = b"", own: bool = True
) -> tuple[int, Any, dict[str, str]]:
    """As a browser does that has opened the first address, unless `own` is false."""
    known = {"Cookie": f"void-console-{at.port}={at.token}"} if own else {}
    sent = known | (headers or {})
    connection = http.client.HTTPConnection("127.0.0.1", at.port, timeout=30)
    try:
        connection.request(method, target, body, sent)
        answer = connection.getresponse()
        return answer.status, answer.read(), dict(answer.headers)
    finally:
        connection.close()


def test_the_first_address_gives_the_browser_its_token(reading: Console) -> None:
    first = urlsplit(reading.url)
    status, _, headers = ask(reading, "GET", f"{first.path}?{first.query}", own=False)
    assert (first.hostname, status, headers["Location"]) == ("127.0.0.1", 303, "/")
    cookie, *rules = headers["Set-Cookie"].split("; ")
    assert set(rules) == {"Path=/", "HttpOnly", "SameSite=Strict"}
    status, body, headers = ask(reading, "GET", "/", {"Cookie": f"other=1; {cookie}"}, own=False)
    assert (status, b"<title>Voids</title>" in body) == (200, True)
    assert "require-trusted-types-for 'script'" in headers["Content-Security-Policy"]


@pytest.mark.parametrize(
    ("own", "headers"),
    [
        (False, {}),
        (False, {"Cookie": "void-console-1=x"}),
        (True, {"Host": "attacker.example"}),
        (True, {"Host": "localhost"}),
        (True, {"Origin": "https://attacker.example"}),
        (True, {"Origin": "null"}),
        (True, {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}),
        (True, {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "cors"}),
    ],
    ids=[
        "no token",
        "a wrong token",
        "another host",
        "another name",
        "another origin",
        "no origin",
        "another site",
        "another port",
    ],
)
@pytest.mark.parametrize("target", ["/", "/console/config.json", "/v1/voids?limit=1"])
def test_nobody_else_is_answered(reading: Console, target: str, own: bool, headers: dict[str, str]) -> None:
    status, body, _ = ask(reading, "GET", target, headers, own=own)
    assert status == 403
    assert b"voids" not in body


def test_a_wrong_token_in_the_address_opens_nothing(reading: Console) -> None:
    assert [ask(reading, "GET", f"/?token={token}", own=False)[0] for token in ("", "x", "%00")] == [403] * 3


def test_it_reads_with_the_operators_signature_and_says_where_it_is(
    reading: Console, merchant: Caller, order: str
) -> None:
    merchant.post("/v1/voids", {"order_id": order, "order_currency": "UAH"})
    status, body, headers = ask(reading, "GET", f"/v1/voids/{order}?refresh=true")
    assert (status, json.loads(body)["order_id"]) == (200, order)
    assert headers["Cache-Control"] == "no-store"
    status, body, _ = ask(reading, "GET", "/console/config.json")
    assert json.loads(body) == {"environment": "prod", "live": True, "decides": False, "voids": False}
    assert ask(reading, "GET", "/v1/voids/no-such-order")[0] == 404


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("POST", "/v1/voids"),
        ("POST", "/v1/voids/1/decisions"),
        ("POST", "/v1/webhooks/financial-line"),
        ("GET", "/v1/nothing"),
        ("GET", "/v1/voids/../voids"),
        ("GET", "/v1/voids/%2e%2E"),
        ("GET", "/v1/voids/1/decisions"),
        ("GET", "/sandbox-proxy/sandbox/orders/1"),
        ("GET", "/reference"),
        ("GET", "/console/../server.py"),
        ("GET", "//127.0.0.1:1/v1/voids"),
    ],
)
def test_nothing_else_is_passed_on(reading: Console, method: str, target: str) -> None:
    own = {"Content-Type": "application/json", "Origin": f"http://127.0.0.1:{reading.port}"}
    assert ask(reading, method, target, own, b"{}")[0] == 404


def test_decisions_and_voids_need_their_options_and_their_rights(
    service: Service, allowed: Console, merchant: Caller, order: str
) -> None:
    own = {"Content-Type": "application/json", "Origin": f"http://127.0.0.1:{allowed.port}"}
    body = json.dumps({"order_id": order, "order_currency": "UAH"}).encode()
    assert ask(allowed, "POST", "/v1/voids", own, body)[0] == 403  # the operator's own role may not
    with serving(place_of(service, "local"), voids=True) as voiding:
        theirs = own | {"Origin": f"http://127.0.0.1:{voiding.port}"}
        assert ask(voiding, "POST", "/v1/voids", theirs | {"Idempotency-Key": "k-1"}, body)[0] == 200
    record = merchant.get(f"/v1/voids/{order}").json
    decision = json.dumps({"decision": "reviewed", "revision": record["revision"], "note": "x"}).encode()
    assert ask(allowed, "POST", f"/v1/voids/{order}/decisions", own, decision)[0] == 409  # nothing, or changed
    for missing in own:  # a form of another page can send neither
        rest = {name: value for name, value in own.items() if name != missing}
        assert ask(allowed, "POST", f"/v1/voids/{order}/decisions", rest, decision)[0] == 403
    assert ask(allowed, "POST", "/v1/voids", own, b"x" * 70_000)[0] == 413


def test_an_api_that_is_away_is_said(service: Service) -> None:
    away = Place("VoidService-prod", service.region, None, ReadOnlyCredentials("a", "b", None), "http://127.0.0.1:1/v1")
    with serving(away) as found:
        status, body, _ = ask(found, "GET", "/v1/voids")
    assert (status, b"no local run found" in body) == (502, True)


def test_it_runs_until_it_is_interrupted(service: Service) -> None:
    where = ["--local", "--port", str(urlsplit(service.url).port), "--aws-endpoint", service.aws_endpoint]
    command = [sys.executable, "-m", "ops", *where, "console", "--json"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        url = urlsplit(json.loads(running.stdout.readline())["url"])
        connection = http.client.HTTPConnection(url.netloc, timeout=20)
        connection.request("GET", f"{url.path}?{url.query}")
        assert connection.getresponse().status == 303
        connection.close()
        running.send_signal(signal.SIGINT)
        _, error = running.communicate(timeout=20)
    assert (running.returncode, error) == (0, "")


def test_a_port_that_is_taken_is_one_line(reading: Console, service: Service) -> None:
    with pytest.raises(places.OpsError, match=rf"port {reading.port} cannot be used: Address already in use"):
        console.start(Console(place_of(service), False, False), reading.port)


def test_only_test_and_local_are_harmless() -> None:
    def makes(name: str) -> Console:
        return Console(Place(f"VoidService-{name}", "r", None), False, False)

    assert {name: makes(name)._config["live"] for name in ("local", "test", "prod", "staging")} == {
        "local": False, "test": False, "prod": True, "staging": True,
    }  # fmt: skip
