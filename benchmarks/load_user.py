"""What each client of `python -m benchmarks.load` does, for locust: void an order, read it, again and again.

Runs in locust's own environment. Its hold comes from the sandbox and is not counted; the webhook that follows each void
comes from the sandbox, too, and is part of the load.
"""

import json
import os
from uuid import uuid4

from locust import FastHttpUser, task

from local.merchant import Caller

SANDBOX = os.environ["VOID_SANDBOX_URL"]
CALLER = Caller(
    os.environ["VOID_URL"], os.environ["VOID_REGION"], os.environ["VOID_ACCESS_KEY"], os.environ["VOID_SECRET_KEY"]
)
JSON = {"Content-Type": "application/json"}


class Merchant(FastHttpUser):
    """Signs as a merchant does; waits for nothing but the answers."""

    host = CALLER.url

    @task
    def void_and_read(self) -> None:
        """One order."""
        order_id = uuid4().hex
        hold = {"order_id": order_id, "amount": 100, "currency": "UAH"}
        # Straight through the pool: `self.client` would count it.
        self.client.client.urlopen(f"{SANDBOX}/sandbox/holds", method="POST", payload=json.dumps(hold), headers=JSON)
        body = json.dumps({"order_id": order_id, "order_currency": "UAH"}).encode()
        self._send("POST", "/v1/voids", "void", body, JSON | {"Idempotency-Key": order_id})
        self._send("GET", f"/v1/voids/{order_id}", "read", b"", {})

    def _send(self, method: str, path: str, name: str, body: bytes, headers: dict[str, str]) -> None:
        signed = CALLER.signed(method, path, body, headers)
        with self.client.request(
            method, path, data=body or None, headers=signed, name=name, catch_response=True
        ) as answer:
            # 202 is a right answer, but not here: this provider always knows.
            if answer.status_code != 200:
                answer.failure(f"status {answer.status_code}")
