"""The browser console: what is served to whom, what is passed on to the sandbox, and the pages in a real browser.

The browser is headless Chromium over its own debugging pipe, without a driver; without Chromium those tests are skipped.
"""

import base64
import http.client
import json
import os
import re
import shutil
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
import urllib3

from local.merchant import Caller, Reply, send
from local.sandbox.ledger import DEFAULTS, FAULTS
from local.service import Service

ROOT = Path(__file__).parents[2]
FILES = ROOT / "local" / "console"
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
HOSTILE = "<img src=x onerror=\"document.title='executed'\"><script>document.title='executed'</script>"


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
        "/console/../console.py",
        "/console/..%2fconsole.py",
        "/console/%2e%2e/console.py",
        "/console/%2e%2e%2f%2e%2e%2fpyproject.toml",
        "/console/..\\console.py",
        "/console/....//console.py",
        "/console//etc/passwd",
        "/console/%00",
        "/console/",
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


class Page:
    """One tab, over the debugging pipe: NUL-ended JSON both ways."""

    def __init__(self, to_browser: int, from_browser: int) -> None:
        self._to, self._from, self._buffer, self._count = to_browser, from_browser, b"", 0
        self._session: str | None = None
        self.problems: list[str] = []
        target = self.command("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.command("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.command(f"{domain}.enable")

    def command(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._count += 1
        message: dict[str, Any] = {"id": self._count, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("id") == self._count:
                assert "error" not in answer, answer
                result: dict[str, Any] = answer["result"]
                return result

    def _receive(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            received = os.read(self._from, 1 << 16)
            assert received, "the browser ended"
            self._buffer += received
        line, _, self._buffer = self._buffer.partition(b"\0")
        message: dict[str, Any] = json.loads(line)
        match message.get("method"):
            case "Runtime.exceptionThrown":
                self.problems.append(json.dumps(message["params"]["exceptionDetails"]))
            case "Log.entryAdded" if message["params"]["entry"]["source"] == "security":
                self.problems.append(message["params"]["entry"]["text"])
            case "Page.javascriptDialogOpening":
                self.problems.append("a dialog opened")
        return message

    def go(self, url: str) -> None:
        self.command("Page.navigate", url=url)

    def evaluate(self, expression: str) -> Any:
        answer = self.command("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def wait(self, expression: str, seconds: float = 20) -> None:
        """Until it is true. A page that is still loading is asked again."""
        give_up = time.monotonic() + seconds
        while not self.evaluate(f"(() => {{ try {{ return Boolean({expression}) }} catch {{ return false }} }})()"):
            assert time.monotonic() < give_up, (expression, self.text(), self.problems)
            time.sleep(0.1)

    def text(self) -> str:
        return str(self.evaluate("document.body?.innerText"))

    def press(self, key: str, text: str = "") -> None:
        code = {"Tab": 9, "Enter": 13, "ArrowDown": 40}[key]
        known = {"key": key, "code": key, "windowsVirtualKeyCode": code}
        self.command("Input.dispatchKeyEvent", type="keyDown", text=text, **known)
        self.command("Input.dispatchKeyEvent", type="keyUp", **known)

    def type(self, selector: str, text: str) -> None:
        self.evaluate(f"document.querySelector({json.dumps(selector)}).select()")
        self.command("Input.insertText", text=text)


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Page]:
    if CHROMIUM is None:
        pytest.skip("no Chromium on PATH (Debian: apt-get install chromium)")
    command = [CHROMIUM, "--headless=new", "--remote-debugging-pipe", f"--user-data-dir={tmp_path}", "--disable-gpu"]
    command += ["--no-first-run", "--disable-background-networking", "--disable-dev-shm-usage"]
    if os.geteuid() == 0:
        command.append("--no-sandbox")  # Chromium's own does not work for root, as in most containers
    commands_out, commands_in = os.pipe()
    answers_out, answers_in = os.pipe()
    # Chromium reads from 3 and writes to 4.
    shell = f'exec "$@" 3<&{commands_out} 4>&{answers_in}'
    browser = subprocess.Popen(
        ["/bin/bash", "-c", shell, "chromium", *command],
        pass_fds=(commands_out, answers_in),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(commands_out)
    os.close(answers_in)
    try:
        yield Page(commands_in, answers_out)
    finally:
        os.close(commands_in)
        os.close(answers_out)
        browser.terminate()
        browser.wait(20)


def hold_and_void(page: Page, service: Service, order_id: str, comment: str, **faults: str) -> None:
    page.go(f"{service.url}/#new")
    page.wait("document.querySelectorAll('#faults select').length === 3 && !document.getElementById('new').hidden")
    page.type("[name=order_id]", order_id)
    if comment:
        page.type("[name=comment]", comment)
    for kind, name in (DEFAULTS | faults).items():  # the form keeps what was chosen last
        page.evaluate(f"document.querySelector('[name={kind}]').value = {json.dumps(name)}")
    page.evaluate("document.querySelector('#create button').focus()")
    page.press("Enter", "\r")
    page.wait(f"document.getElementById('void-title').textContent === 'Order ' + {json.dumps(order_id)}")


def test_a_void_is_made_in_the_form_and_seen_live(page: Page, service: Service, merchant: Caller) -> None:
    order_id = f"a/b é {uuid.uuid4().hex[:8]}"
    hold_and_void(page, service, order_id, "", answer="success", webhook="twice")
    page.wait("document.querySelector('#void .title .badge.voided')")
    page.wait("document.querySelector('#void .timeline li.event')")
    text = page.text()
    record = merchant.get(f"/v1/voids/{quote(order_id, safe='')}").json
    assert record["state"] == "voided"
    assert record["provider"]["operation_id"] in text
    assert "1 void executed" in text
    assert "Answer 200 after" in text
    page.go("about:blank")
    page.go(f"{service.url}/")  # remembered by the browser, as it is no longer unsettled
    page.wait(f"document.getElementById('voids').innerText.includes({json.dumps(order_id)})")
    assert page.problems == []


def test_an_unsettled_void_is_listed_first_and_asked_about(page: Page, service: Service) -> None:
    settled, lost = f"settled-{uuid.uuid4().hex[:8]}", f"lost-{uuid.uuid4().hex[:8]}"
    hold_and_void(page, service, lost, "", answer="garbage", webhook="none")
    page.wait("document.querySelector('#void .title .badge.unknown')")
    hold_and_void(page, service, settled, "")
    page.wait("document.querySelector('#void .title .badge.voided')")
    listed = "[...document.querySelectorAll('#voids .id')].map((node) => node.textContent)"
    page.wait(f"{listed}.includes({json.dumps(settled)}) && {listed}.includes({json.dumps(lost)})")
    order = page.evaluate(listed)
    assert order.index(lost) < order.index(settled)
    page.go(f"{service.url}/#order={lost}")
    page.wait("document.querySelector('[data-key=refresh]')")
    page.evaluate("document.querySelector('[data-key=refresh]').click()")
    page.wait("document.querySelector('#void .title .badge.voided')")
    assert "order query" in page.text()
    assert page.problems == []


def test_text_of_others_is_shown_and_never_executed(page: Page, service: Service) -> None:
    order_id = f"<b>x</b>{uuid.uuid4().hex[:6]}"
    hold_and_void(page, service, order_id, HOSTILE)
    page.wait("document.querySelector('#void .title .badge.voided')")
    page.wait("document.querySelector('#void .timeline li.event')")
    page.wait(f"document.getElementById('void').textContent.includes({json.dumps(HOSTILE)})")
    assert page.evaluate("document.querySelectorAll('main img, main script, main b, #voids b').length") == 0
    time.sleep(0.5)  # for an image that was set to load
    assert "executed" not in page.evaluate("document.title")
    # Even a page that made the mistake would be stopped.
    stopped = "(() => { try { document.createElement('p').innerHTML = '<i>'; return false } catch { return true } })()"
    assert page.evaluate(stopped) is True


def test_the_list_is_used_with_the_keyboard(page: Page, service: Service, sandbox: Callable[..., Any]) -> None:
    for number in range(2):
        hold_and_void(page, service, f"key-{number}-{uuid.uuid4().hex[:8]}", "")
        page.wait("document.querySelector('#void .title .badge.voided')")
    page.wait("document.querySelectorAll('#voids a').length >= 2")
    page.evaluate("document.querySelector('#voids a').focus()")
    page.press("ArrowDown")
    wanted = page.evaluate("document.activeElement.dataset.key")
    assert wanted == page.evaluate("document.querySelectorAll('#voids a')[1].dataset.key")
    page.press("Enter", "\r")
    page.wait(f"document.getElementById('void-title').textContent.includes({json.dumps(wanted)})")
    unlabelled = (
        "[...document.querySelectorAll('input, select, textarea')].filter((field) => !field.labels.length).length"
    )
    assert page.evaluate(unlabelled) == 0
    page.go("about:blank")
    page.go(f"{service.url}/")
    page.wait("document.querySelector('.skip') && document.readyState === 'complete'")
    page.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"


def test_it_follows_the_scheme_of_the_system(page: Page, service: Service) -> None:
    page.go(f"{service.url}/")
    page.wait("document.querySelector('.top') && document.readyState === 'complete'")
    colours = []
    for scheme in ("light", "dark"):
        page.command("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        colours.append(page.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert colours == ["rgb(246, 247, 249)", "rgb(16, 19, 24)"]
    assert base64.b64decode(page.command("Page.captureScreenshot")["data"]).startswith(b"\x89PNG")


def answer_to(page: Page, block: str) -> str:
    """Opens an operation's block if need be and sends its example; the expression of the answer's row."""
    answer = f"document.querySelector('{block} .live-responses-table tbody .response')"
    button = f"document.querySelector('{block} .btn.execute')"
    page.wait(f"{button} || document.querySelector('{block} .opblock-summary-control').click()")
    # A click is lost while Swagger UI is still resolving the operation, so it is repeated: slowly, an answer takes a while.
    for _ in range(10):
        page.evaluate(f"{button}.click()")
        with suppress(AssertionError):
            page.wait(answer, 2)
            return answer
    raise AssertionError((block, page.text(), page.problems))


def test_the_reference_shows_every_operation_and_sends_its_examples(page: Page, service: Service) -> None:
    document = json.loads((ROOT / "docs" / "openapi.json").read_bytes())
    operations = {spec["operationId"]: spec for item in document["paths"].values() for spec in item.values()}
    page.go(f"{service.url}/reference")
    page.wait(f"document.querySelectorAll('.opblock').length === {len(operations)}")
    page.evaluate("document.querySelector('#hold button').click()")
    page.wait("document.querySelector('#hold [role=status]').textContent.includes('holds 100 UAH for order 123')")
    for name, spec in operations.items():
        block = f"#operations-{spec['tags'][0]}-{name}"
        answer = answer_to(page, block)
        rows = f"document.querySelectorAll('{block} .responses-table:not(.live-responses-table) > tbody > tr')"
        assert page.evaluate(f"[...{rows}].map((row) => row.dataset.code)") == list(spec["responses"])
        # The example webhook is signed with another secret, so it is refused; no signed request may be.
        status = page.evaluate(f"{answer}.innerText").split()[0]
        assert (status in ("200", "404", "409")) if spec["security"] else (status == "401"), (name, status)
        curl = page.evaluate(f"document.querySelector('{block} .curl').innerText")
        assert ("--aws-sigv4" in curl) is bool(spec["security"])
    assert page.problems == []


@pytest.mark.parametrize("order_id", ["a/b é", "it's (1)*!", "%2e%2e"])
def test_the_reference_signs_what_is_typed_in(
    page: Page, service: Service, merchant: Caller, sandbox: Callable[..., Any], order_id: str
) -> None:
    order_id = f"{order_id} {uuid.uuid4().hex[:8]}"
    sandbox("POST", "/holds", {"order_id": order_id, "amount": 100, "currency": "UAH"})
    merchant.post("/v1/voids", {"order_id": order_id, "order_currency": "UAH", "comment": HOSTILE})
    page.go(f"{service.url}/reference#/merchant/readVoid")
    block = "#operations-merchant-readVoid"
    answer = answer_to(page, block)  # what is typed in before the operation is resolved would be lost
    page.type(f"{block} [data-param-name=order_id] input", order_id)
    page.evaluate("document.activeElement.blur()")  # as a real click on the button does: Swagger UI takes the text then
    page.evaluate(f"document.querySelector('{block} .btn.execute').click()")
    # The answer to the example may still be shown: only this order's own counts.
    page.wait(f"{answer}?.innerText.includes({json.dumps(json.dumps(order_id, ensure_ascii=False))})")
    assert page.evaluate(answer + """.innerText.includes('"state": "voided"')""")
    assert page.evaluate(f"{answer}.querySelector('.response-col_status').innerText").split()[0] == "200"
    assert page.evaluate(f"{answer}.innerText.includes({json.dumps(json.dumps(HOSTILE))})")
    assert page.evaluate(f"{answer}.querySelectorAll('img, script').length") == 0
    assert page.problems == []


def test_the_reference_keeps_the_digits_of_amounts_and_follows_the_scheme(page: Page, service: Service) -> None:
    page.go(f"{service.url}/reference")
    page.wait("document.querySelector('.opblock')")
    dark = "document.documentElement.classList.contains('dark-mode')"
    for scheme in ("light", "dark"):
        page.command("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        page.wait(f"{dark} === {json.dumps(scheme == 'dark')}")
    page.evaluate(
        "window.fetch = async () => new Response('{\"amount\": 100.00}', {status: 200, headers: {'Content-Type': 'application/json'}})"
    )
    answer = answer_to(page, "#operations-merchant-listVoids")
    assert '"amount": 100.00' in page.evaluate(f"{answer}.innerText")
