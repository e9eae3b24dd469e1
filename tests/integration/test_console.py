"""The browser console from outside: what is served to whom, and what is passed on to the sandbox."""

import http.client
import json
import re
import uuid
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest
import urllib3

from local.merchant import Caller, Reply, send
from local.sandbox.desk import FAULTS
from local.service import Service

ROOT = Path(__file__).parents[2]
FILES = ROOT / "local" / "console" / "static"


def raw(service: Service, method: str, target: str, headers: dict[str, str] | None = None) -> tuple[int, bytes]:
    """The target as it stands: no client may tidy it up first."""
    connection = http.client.HTTPConnection(urlsplit(service.url).netloc, timeout=20)
    try:
        connection.putrequest(method, target, skip_host=bool(headers and "Host" in headers))
        for name, value in (headers or {}).items():
            connection.putheader(name, value)
        connection.endheaders()
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def directives(reply: Reply) -> dict[str, str]:
    parts = (part.strip().partition(" ") for part in reply.headers["Content-Security-Policy"].split(";"))
    return {name: value for name, _, value in parts}


@pytest.mark.parametrize(
    ("path", "content_type"),
    [
        ("/", "text/html; charset=utf-8"),
        ("/reference", "text/html; charset=utf-8"),
        ("/console/console.js", "text/javascript; charset=utf-8"),
        ("/console/style.css", "text/css; charset=utf-8"),
        ("/console/reference.css", "text/css; charset=utf-8"),
        ("/console/swagger-ui-bundle.js", "text/javascript; charset=utf-8"),
        ("/console/swagger-ui.css", "text/css; charset=utf-8"),
        ("/console/icon.svg", "image/svg+xml"),
        ("/console/openapi.json", "application/json"),
        ("/console/config.json", "application/json"),
        ("/?from=a-link", "text/html; charset=utf-8"),
    ],
)
def test_the_pages_are_served_unsigned_with_a_strict_policy(service: Service, path: str, content_type: str) -> None:
    reply = send("GET", service.url + path)
    assert (reply.status, reply.headers["Content-Type"]) == (200, content_type)
    assert reply.headers["X-Content-Type-Options"] == "nosniff"
    assert "Access-Control-Allow-Origin" not in reply.headers
    policy = directives(reply)
    assert (policy["default-src"], policy["connect-src"]) == ("'self'", "'self' http://127.0.0.1:*")
    assert not any("unsafe" in value for value in policy.values())
    assert (policy["require-trusted-types-for"], policy["trusted-types"]) == ("'script'", "'none'")
    assert policy.get("img-src") == ("'self' data:" if path == "/reference" else None)


def test_the_reference_shows_the_contract_of_the_repository(service: Service) -> None:
    assert send("GET", f"{service.url}/console/openapi.json").body == (ROOT / "docs" / "openapi.json").read_bytes()


@pytest.mark.parametrize(
    "target",
    [
        "/console/../server.py",
        "/console/..%2fserver.py",
        "/console/%2e%2e/server.py",
        "/console/%2e%2e%2f%2e%2e%2fpyproject.toml",
        "/console/..\\server.py",
        "/console/....//console.py",
        "/console//etc/passwd",
        "/console/%00",
        "/console/",
        "/console/static/console.js",
        "/console/server.py",
        "/console/nothing.js",
        "/console/swagger-ui.js",
        "/console/LICENSE",
        "//console/../../etc/passwd",
        "/reference/../pyproject.toml",
    ],
)
def test_no_path_leads_out_of_the_console(service: Service, target: str) -> None:
    status, body = raw(service, "GET", target)
    assert status in (403, 404)
    assert json.loads(body)


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "attacker.example"},
        {"Host": "127.0.0.1.attacker.example:8080"},
        {"Origin": "https://attacker.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"},
        {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "cors"},
    ],
)
@pytest.mark.parametrize(
    ("method", "target"), [("GET", "/console/config.json"), ("GET", "/sandbox-proxy/sandbox/orders/1")]
)
def test_another_site_gets_neither_credentials_nor_the_sandbox(
    service: Service, method: str, target: str, headers: dict[str, str]
) -> None:
    status, body = raw(service, method, target, headers)
    assert status == 403
    assert service.secret_key.encode() not in body


def test_a_link_on_another_site_may_lead_to_the_console(service: Service) -> None:
    status, _ = raw(service, "GET", "/", {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"})
    assert status == 200


def test_the_configuration_holds_credentials_that_the_api_takes(service: Service) -> None:
    config = send("GET", f"{service.url}/console/config.json").json
    caller = Caller(service.url, config["region"], config["access_key"], config["secret_key"])
    assert caller.get("/v1/voids").status == 200
    assert {kind: tuple(names) for kind, names in config["faults"].items()} == FAULTS


def test_the_calls_of_the_sandbox_are_passed_on(service: Service) -> None:
    proxy, order_id = f"{service.url}/sandbox-proxy/sandbox", f"a/b {uuid.uuid4().hex[:8]}"
    with urllib3.PoolManager(retries=False) as pool:
        held = pool.request("POST", f"{proxy}/holds", json={"order_id": order_id, "amount": 1, "currency": "UAH"})
        assert held.status == 200
        path = quote(order_id, safe="")
        assert pool.request("PUT", f"{proxy}/faults/{path}", json={"answer": "pending"}).status == 200
        assert pool.request("PUT", f"{proxy}/faults/{path}", json={"answer": "nonsense"}).status == 400
        ledger = pool.request("GET", f"{proxy}/orders/{path}").json()
    assert ledger["order_id"] == order_id
    assert len(ledger["operations"]) == 1


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("POST", "/api/v1/void"),
        ("GET", "/sandbox/../api/v1/orders/1"),
        ("GET", "/sandbox/orders/.."),
        ("GET", "/sandbox/orders/%2e%2E"),
        ("GET", "/sandbox/orders/1?x=1"),
        ("GET", "/sandbox/orders/1/void"),
        ("DELETE", "/sandbox/orders/1"),
        ("GET", "/sandbox/unknown"),
        ("GET", "//127.0.0.1:1/sandbox/orders/1"),
        ("GET", "@127.0.0.1:1/sandbox/orders/1"),
        ("GET", "http://127.0.0.1:1/sandbox/orders/1"),
    ],
)
def test_nothing_else_is_passed_on(service: Service, method: str, path: str) -> None:
    status, _ = raw(service, method, f"/sandbox-proxy{path if path.startswith('/') else '/' + path}")
    assert status == 404


def test_the_routes_of_the_api_stay_as_they_are(service: Service) -> None:
    for method, path in (("GET", "/v1/voids"), ("POST", "/"), ("PUT", "/console/console.js"), ("GET", "/nothing")):
        reply = send(method, service.url + path)
        assert (reply.status, reply.headers["Content-Type"]) == (403, "application/problem+json")


def test_the_pages_never_parse_text_as_html_and_never_leave_this_machine() -> None:
    sources = {file.name: file.read_text(encoding="utf-8") for file in FILES.iterdir()}
    forbidden = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|DOMParser|srcdoc"
    for name, text in sources.items():
        assert not re.search(forbidden, text), name
        assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", text), name
        assert not re.search(r"\son\w+=|style=|javascript:", text) or name.endswith(".js"), name


def test_every_fault_of_the_sandbox_is_described() -> None:
    words = (FILES / "faults.js").read_text(encoding="utf-8")
    for names in FAULTS.values():
        for name in names:
            assert re.search(rf"^    {name}: \"", words, re.MULTILINE), name
