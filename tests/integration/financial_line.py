"""One Financial Line sandbox over real sockets and TLS, a receiver of its webhooks, and the calls that its tests make.

The client is not ours (urllib3); signatures are checked by openssl.
"""

import base64
import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote

import urllib3

from local.sandbox import Sandbox
from local.sandbox.doors import Door, Exchange
from play.ledger import Project

POS_ID = "dc728de1-51ef-4ef1-80f7-3b44b07b5667"
API_KEY = "2c2b91a3-9b73-4551-81ac-84e0d0360995"
SECRET = "ktMdTyollYMRkEfvgqbaWmvFiXPy1a80"
HEADERS = {"X-API-AUTH": f"CPAY {API_KEY}:{SECRET}", "X-API-KEY": "fake-endpoints-key"}

HELD = {"order_id": "123", "amount": 100, "currency": "UAH"}


class Line:
    """One sandbox, a receiver of its webhooks that answers `status`, and the calls that a test makes."""

    def __init__(self, folder: Path) -> None:
        self.forms: list[dict[str, str]] = []
        self.status = 200
        self.receiver = Door(0, self._take)
        self.url = f"http://127.0.0.1:{self.receiver.port}/hooks/financial-line"
        project = Project(POS_ID, API_KEY, SECRET, "fake-endpoints-key")
        self.sandbox = Sandbox(0, project, folder, self.url)
        self.provider = urllib3.PoolManager(ca_certs=str(self.sandbox.ca_file), retries=False, timeout=1.0)

    def _take(self, exchange: Exchange) -> None:
        self.forms.append({name: values[0] for name, values in parse_qs(exchange.body.decode()).items()})
        exchange.send(self.status, "")

    def close(self) -> None:
        self.provider.clear()
        self.sandbox.stop()
        self.receiver.close()

    def control(self, call: str, content: Any = None, expect: int = 200, headers: dict[str, str] | None = None) -> Any:
        """`PUT settings`: of the control side."""
        method, path = call.split(" ")
        body = content if isinstance(content, bytes) else b"" if content is None else json.dumps(content).encode()
        with urllib3.PoolManager(retries=False, timeout=15.0) as pool:
            url = f"{self.sandbox.control_url}/{path if path.startswith('/') else f'sandbox/{path}'}"
            answer = pool.request(method, url, body=body, headers=headers)
        assert answer.status == expect, answer.data
        return answer.json()

    def hold(self, **faults: str) -> None:
        self.control("POST holds", HELD)
        if faults:
            self.control("PUT faults/123", faults)

    def order(self, order_id: str = "123") -> Any:
        return self.control(f"GET orders/{quote(order_id, safe='')}")

    def rows(self) -> list[tuple[str, str]]:
        return [(row["method"], row["status"]) for row in self.query().json()]

    def void(self, **changes: Any) -> urllib3.BaseHTTPResponse:
        request: dict[str, Any] = {"pos_id": POS_ID, "order_id": "123", "order_currency": "UAH", "comment": "10101"}
        request |= {"server_url": self.url} | changes
        return self.post(json.dumps({name: value for name, value in request.items() if value is not None}).encode())

    def post(self, body: bytes, **headers: str) -> urllib3.BaseHTTPResponse:
        url = f"{self.sandbox.provider_url}/api/v1/void"
        sent = HEADERS | {name.replace("_", "-"): value for name, value in headers.items()}
        return self.provider.request("POST", url, body=body, headers=sent, redirect=False)

    def query(self, path: str = "123", **headers: str) -> urllib3.BaseHTTPResponse:
        sent = HEADERS | {name.replace("_", "-"): value for name, value in headers.items()}
        url = f"{self.sandbox.provider_url}/api/v1/pos/{POS_ID}/orders/{path}"
        return self.provider.request("GET", url, headers=sent)

    def statuses(self) -> list[str]:
        return [decoded(form)["status"] for form in self.forms]

    def announced(self, *statuses: str) -> None:
        """Exactly these webhooks come."""
        eventually(lambda: len(self.forms) >= len(statuses))
        time.sleep(0.15)
        assert self.statuses() == list(statuses)


def decoded(form: dict[str, str]) -> Any:
    return json.loads(base64.urlsafe_b64decode(form["data"]))


def eventually(ready: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not ready():
        assert time.monotonic() < deadline, "did not happen within 5 s"
        time.sleep(0.01)


def is_genuine(form: dict[str, str], secret: str = SECRET) -> bool:
    command, data = ["openssl", "dgst", "-sha1", "-binary"], form["data"]
    digest = subprocess.run(command, input=(secret + data + secret).encode(), capture_output=True, check=True).stdout
    return form["signature"] == base64.urlsafe_b64encode(digest).decode()
