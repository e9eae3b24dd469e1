"""One Financial Line sandbox over real sockets and TLS, a receiver of its webhooks, and the calls that its tests make."""

import base64
import hashlib
import json
import time
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import urllib3

from local.sandbox import Sandbox
from local.sandbox.doors import Door, Exchange
from local.service import CREDENTIALS
from play.ledger import Project
from tests.integration.client import eventually

POS_ID, API_KEY, SECRET = (CREDENTIALS[name] for name in ("pos_id", "api_key", "api_secret"))
HELD = {"order_id": "123", "amount": 100, "currency": "UAH"}


class Line:
    """One sandbox, a receiver of its webhooks that answers `status`, and the calls that a test makes of a client of another hand."""

    def __init__(self, folder: Path, *, tokens: bool = False) -> None:
        self.forms: list[dict[str, str]] = []
        self.status = 200
        self.receiver = Door(0, self._take)
        self.url = f"http://127.0.0.1:{self.receiver.port}/hooks/financial-line"
        self.sandbox = Sandbox(0, Project(**CREDENTIALS), folder, self.url, tokens)
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

    def order(self) -> Any:
        return self.control("GET orders/123")

    def void(self, secret: str = SECRET, **changes: Any) -> urllib3.BaseHTTPResponse:
        request = {
            "pos_id": POS_ID,
            "order_id": "123",
            "order_currency": "UAH",
            "comment": "10101",
            "server_url": self.url,
        }
        return self.ask("POST", "void", json.dumps(request | changes).encode(), secret)

    def query(self) -> urllib3.BaseHTTPResponse:
        return self.ask("GET", f"pos/{POS_ID}/orders/123")

    def ask(self, method: str, path: str, body: bytes = b"", secret: str = SECRET) -> urllib3.BaseHTTPResponse:
        headers = {"X-API-AUTH": f"CPAY {API_KEY}:{secret}", "X-API-KEY": CREDENTIALS["endpoints_key"]}
        url = f"{self.sandbox.provider_url}/api/v1/{path}"
        return self.provider.request(method, url, body=body, headers=headers, redirect=False)

    def statuses(self) -> list[str]:
        return [decoded(form)["status"] for form in self.forms]

    def announced(self, *statuses: str) -> None:
        """Exactly these webhooks come."""
        eventually(lambda: len(self.order()["webhooks"]), lambda many: many >= len(statuses))
        time.sleep(0.15)
        assert self.statuses() == list(statuses)


def decoded(form: dict[str, str]) -> Any:
    return json.loads(base64.urlsafe_b64decode(form["data"]))


def is_genuine(form: dict[str, str], secret: str = SECRET) -> bool:
    digest = hashlib.sha1((secret + form["data"] + secret).encode()).digest()
    return form["signature"] == base64.urlsafe_b64encode(digest).decode()
