"""The browser console from outside: of the local run, and of `python -m ops console` over an API as if it were deployed.

What is served to whom, what is passed on and with whose signature. What a person sees is in test_console_pages.py.
"""

import http.client
import json
import re
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest
import urllib3
from botocore.credentials import ReadOnlyCredentials

from local.merchant import Caller, Reply, send
from local.sandbox.desk import FAULTS
from local.service import Service
from ops import console, places
from ops.console import Console
from ops.places import Place
from tests.integration.browser import Page
from tests.integration.client import JSON, Client
from tests.integration.story import Person, Story

ROOT = Path(__file__).parents[2]
FILES = ROOT / "local" / "console" / "static"
PAGES = {
    "/": "text/html; charset=utf-8", "/?from=a-link": "text/html; charset=utf-8", "/reference": "text/html; charset=utf-8",
    "/console/console.js": "text/javascript; charset=utf-8", "/console/style.css": "text/css; charset=utf-8",
    "/console/reference.css": "text/css; charset=utf-8", "/console/swagger-ui-bundle.js": "text/javascript; charset=utf-8",
    "/console/swagger-ui.css": "text/css; charset=utf-8", "/console/icon.svg": "image/svg+xml",
    "/console/openapi.json": "application/json", "/console/config.json": "application/json",
}  # fmt: skip
HOSTILE = "<img src=x onerror=\"document.title='executed'\"><script>document.title='executed'</script>"
STRANGERS: dict[str, dict[str, str]] = {
    "another host": {"Host": "attacker.example"}, "a host that begins so": {"Host": "127.0.0.1.attacker.example:8080"},
    "another origin": {"Origin": "https://attacker.example"}, "no origin": {"Origin": "null"},
    "another site": {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"},
    "another port": {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "cors"},
}  # fmt: skip
A_LINK = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}


def raw(url: str, method: str, target: str, headers: dict[str, str] | None = None, body: bytes = b"") -> Reply:
    """The target as it stands: no client may tidy it up first."""
    with closing(http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)) as connection:
        connection.request(method, target, body, headers or {})
        answer = connection.getresponse()
        return Reply(answer.status, urllib3.HTTPHeaderDict(answer.headers.items()), answer.read())


# Of the local run


@pytest.mark.parametrize("path", PAGES)
def test_the_pages_are_served_unsigned_with_a_strict_policy(service: Service, path: str) -> None:
    reply = send("GET", service.url + path)
    assert (reply.status, reply.headers["Content-Type"]) == (200, PAGES[path])
    assert reply.headers["X-Content-Type-Options"] == "nosniff"
    assert "Access-Control-Allow-Origin" not in reply.headers
    parts = (part.strip().partition(" ") for part in reply.headers["Content-Security-Policy"].split(";"))
    policy = {name: value for name, _, value in parts}
    assert (policy["default-src"], policy["connect-src"]) == ("'self'", "'self' http://127.0.0.1:*")
    assert not any("unsafe" in value for value in policy.values())
    assert (policy["require-trusted-types-for"], policy["trusted-types"]) == ("'script'", "'none'")
    assert policy.get("img-src") == ("'self' data:" if path == "/reference" else None)


def test_the_reference_shows_the_contract_of_the_repository(service: Service) -> None:
    assert send("GET", f"{service.url}/console/openapi.json").body == (ROOT / "docs" / "openapi.json").read_bytes()


@pytest.mark.parametrize("target", [
    "/console/../server.py", "/console/..%2fserver.py", "/console/%2e%2e/server.py", "/console/..\\server.py",
    "/console/%2e%2e%2f%2e%2e%2fpyproject.toml", "/console/....//console.py", "/console//etc/passwd", "/console/%00", "/console/",
    "/console/static/console.js", "/console/server.py", "/console/nothing.js", "/console/swagger-ui.js", "/console/LICENSE",
    "//console/../../etc/passwd", "/reference/../pyproject.toml",
])  # fmt: skip
def test_no_path_leads_out_of_the_console(service: Service, target: str) -> None:
    reply = raw(service.url, "GET", target)
    assert reply.status in (403, 404)
    assert reply.json


@pytest.mark.parametrize("headers", [*STRANGERS.values(), A_LINK], ids=[*STRANGERS, "a link"])
@pytest.mark.parametrize("target", ["/console/config.json", "/sandbox-proxy/sandbox/orders/1"])
def test_another_site_gets_neither_credentials_nor_the_sandbox(
    service: Service, target: str, headers: dict[str, str]
) -> None:
    reply = raw(service.url, "GET", target, headers)
    assert reply.status == 403
    assert service.secret_key.encode() not in reply.body


def test_a_link_on_another_site_may_lead_to_the_console(service: Service) -> None:
    assert raw(service.url, "GET", "/", A_LINK).status == 200


def test_the_configuration_holds_credentials_that_the_api_takes(service: Service) -> None:
    config = send("GET", f"{service.url}/console/config.json").json
    caller = Caller(service.url, config["region"], config["access_key"], config["secret_key"])
    assert caller.get("/v1/voids").status == 200
    assert {kind: tuple(names) for kind, names in config["faults"].items()} == FAULTS


def test_the_calls_of_the_sandbox_are_passed_on(service: Service) -> None:
    proxy, order_id = f"{service.url}/sandbox-proxy/sandbox", f"a/b {uuid.uuid4().hex[:8]}"
    path = quote(order_id, safe="")
    with urllib3.PoolManager(retries=False) as pool:
        held = pool.request("POST", f"{proxy}/holds", json={"order_id": order_id, "amount": 1, "currency": "UAH"})
        assert held.status == 200
        for fault, status in (("pending", 200), ("nonsense", 400)):
            assert pool.request("PUT", f"{proxy}/faults/{path}", json={"answer": fault}).status == status
        ledger = pool.request("GET", f"{proxy}/orders/{path}").json()
    assert (ledger["order_id"], len(ledger["operations"])) == (order_id, 1)


@pytest.mark.parametrize("request_line", [
    "GET /", "POST /api/v1/void", "GET /sandbox/../api/v1/orders/1", "GET /sandbox/orders/..", "GET /sandbox/orders/%2e%2E",
    "GET /sandbox/orders/1?x=1", "GET /sandbox/orders/1/void", "DELETE /sandbox/orders/1", "GET /sandbox/unknown",
    "GET //127.0.0.1:1/sandbox/orders/1", "GET /@127.0.0.1:1/sandbox/orders/1", "GET /http://127.0.0.1:1/sandbox/orders/1",
])  # fmt: skip
def test_nothing_else_is_passed_on_to_the_sandbox(service: Service, request_line: str) -> None:
    method, path = request_line.split()
    assert raw(service.url, method, f"/sandbox-proxy{path}").status == 404


def test_the_routes_of_the_api_stay_as_they_are(service: Service) -> None:
    for method, path in (("GET", "/v1/voids"), ("POST", "/"), ("PUT", "/console/console.js"), ("GET", "/nothing")):
        reply = send(method, service.url + path)
        assert (reply.status, reply.headers["Content-Type"]) == (403, "application/problem+json")


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


def test_a_void_is_made_in_the_form_and_seen_live(page: Page, client: Client) -> None:
    """What a commit can break of the pages; the others are for the night."""
    order = f"<b>x</b>{uuid.uuid4().hex[:6]}"
    story = Story(client, Person(page, client), hostile=HOSTILE, order=order)
    story.play("""
        form {order} answer=success webhook=twice comment={hostile} -> #void .title .badge.voided & #void .timeline li.event & #void ~ {hostile}
        record {order} -> js document.body.innerText.includes(record.provider.operation_id)
        -> body ~ 1 void executed & body ~ Answer 200 after & 0 main img, main script, main b, #lists b
        ; even a page that made the mistake would be stopped
        js try { document.createElement('p').innerHTML = '<i>' } catch { window.stopped = true } -> js stopped
    """)
    (said,) = page.problems
    assert "TrustedHTML" in said
    page.problems.clear()
    # Remembered by the browser, as it is no longer unsettled.
    story.play("list -> js all('#list-opened')[0].parentElement.innerText.includes({order})")
    assert "executed" not in page.js("document.title")


# Of `python -m ops console`


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


def ask(
    at: Console, method: str, target: str, headers: dict[str, str] | None = None, body: bytes = b"", own: bool = True
) -> Reply:
    """As a browser does that has opened the first address, unless `own` is false."""
    known = {"Cookie": f"void-console-{at.port}={at.token}"} if own else {}
    return raw(f"http://127.0.0.1:{at.port}", method, target, known | (headers or {}), body)


def form(at: Console) -> dict[str, str]:
    """The headers of its own page's form."""
    return JSON | {"Origin": f"http://127.0.0.1:{at.port}"}


def test_the_first_address_gives_the_browser_its_token(reading: Console) -> None:
    first = urlsplit(reading.url)
    moved = ask(reading, "GET", f"{first.path}?{first.query}", own=False)
    assert (first.hostname, moved.status, moved.headers["Location"]) == ("127.0.0.1", 303, "/")
    cookie, *rules = moved.headers["Set-Cookie"].split("; ")
    assert set(rules) == {"Path=/", "HttpOnly", "SameSite=Strict"}
    page = ask(reading, "GET", "/", {"Cookie": f"other=1; {cookie}"}, own=False)
    assert (page.status, b"<title>Voids</title>" in page.body) == (200, True)
    assert "require-trusted-types-for 'script'" in page.headers["Content-Security-Policy"]


NO_TOKEN: dict[str, dict[str, str]] = {"no token": {}, "a wrong token": {"Cookie": "void-console-1=x"}}


@pytest.mark.parametrize("stranger", [*NO_TOKEN, *STRANGERS, "another name"])
@pytest.mark.parametrize("target", ["/", "/console/config.json", "/v1/voids?limit=1"])
def test_nobody_else_is_answered(reading: Console, target: str, stranger: str) -> None:
    headers = NO_TOKEN | STRANGERS | {"another name": {"Host": "localhost"}}
    reply = ask(reading, "GET", target, headers[stranger], own=stranger not in NO_TOKEN)
    assert (reply.status, b"voids" in reply.body) == (403, False)


def test_a_wrong_token_in_the_address_opens_nothing(reading: Console) -> None:
    assert [ask(reading, "GET", f"/?token={token}", own=False).status for token in ("", "x", "%00")] == [403] * 3


def test_it_reads_with_the_operators_signature_and_says_where_it_is(reading: Console, client: Client) -> None:
    client.submit(order := client.hold())
    reply = ask(reading, "GET", f"/v1/voids/{order}?refresh=true")
    assert (reply.status, reply.json["order_id"], reply.headers["Cache-Control"]) == (200, order, "no-store")
    said = ask(reading, "GET", "/console/config.json").json
    assert said == {"environment": "prod", "live": True, "decides": False, "voids": False}
    assert ask(reading, "GET", "/v1/voids/no-such-order").status == 404


@pytest.mark.parametrize("request_line", [
    "POST /v1/voids", "POST /v1/voids/1/decisions", "POST /v1/webhooks/financial-line", "GET /v1/nothing",
    "GET /v1/voids/../voids", "GET /v1/voids/%2e%2E", "GET /v1/voids/1/decisions", "GET /sandbox-proxy/sandbox/orders/1",
    "GET /reference", "GET /console/../server.py", "GET //127.0.0.1:1/v1/voids",
])  # fmt: skip
def test_nothing_else_is_passed_on_to_the_api(reading: Console, request_line: str) -> None:
    method, target = request_line.split()
    assert ask(reading, method, target, form(reading), b"{}").status == 404


def test_decisions_and_voids_need_their_options_and_their_rights(service: Service, client: Client) -> None:
    body = json.dumps({"order_id": (order := client.hold()), "order_currency": "UAH"}).encode()
    with serving(place_of(service, "local"), voids=True) as voiding:
        assert ask(voiding, "POST", "/v1/voids", form(voiding) | {"Idempotency-Key": "k-1"}, body).status == 200
    decision = {"decision": "reviewed", "revision": client.read(order)["revision"], "note": "x"}
    sent = json.dumps(decision).encode()
    with serving(place_of(service), decides=True, voids=True) as allowed:
        assert ask(allowed, "POST", "/v1/voids", form(allowed), body).status == 403  # the operator's own role may not
        deciding = f"/v1/voids/{order}/decisions"
        assert ask(allowed, "POST", deciding, form(allowed), sent).status == 409  # nothing, or changed
        for missing in form(allowed):  # a form of another page can send neither
            rest = {name: value for name, value in form(allowed).items() if name != missing}
            assert ask(allowed, "POST", deciding, rest, sent).status == 403
        assert ask(allowed, "POST", "/v1/voids", form(allowed), b"x" * 70_000).status == 413


def test_an_api_that_is_away_is_said(service: Service) -> None:
    away = Place("VoidService-prod", service.region, None, ReadOnlyCredentials("a", "b", None), "http://127.0.0.1:1/v1")
    with serving(away) as found:
        reply = ask(found, "GET", "/v1/voids")
    assert (reply.status, b"no local run found" in reply.body) == (502, True)


def test_it_runs_until_it_is_interrupted(service: Service) -> None:
    where = ["--local", "--port", str(urlsplit(service.url).port), "--aws-endpoint", service.aws_endpoint]
    command = [sys.executable, "-m", "ops", *where, "console", "--json"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        url = urlsplit(json.loads(running.stdout.readline())["url"])
        assert raw(f"http://{url.netloc}", "GET", f"{url.path}?{url.query}").status == 303
        running.send_signal(signal.SIGINT)
        _, error = running.communicate(timeout=20)
    assert (running.returncode, error) == (0, "")


def test_a_port_that_is_taken_is_one_line(reading: Console, service: Service) -> None:
    with pytest.raises(places.OpsError, match=rf"port {reading.port} cannot be used: Address already in use"):
        console.start(Console(place_of(service), False, False), reading.port)


@pytest.mark.parametrize(("name", "live"), [("local", False), ("test", False), ("prod", True), ("staging", True)])
def test_only_test_and_local_are_harmless(name: str, live: bool) -> None:
    assert Console(Place(f"VoidService-{name}", "r", None), False, False)._config["live"] is live
