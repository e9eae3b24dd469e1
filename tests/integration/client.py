"""What the integration tests do to a running service: as a merchant, as the provider, and as a person at the sandbox."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode
from uuid import uuid4

from oauthlib.oauth2 import BackendApplicationClient
from requests.auth import HTTPBasicAuth
from requests_oauthlib import OAuth2Session

from local.issuer import CLIENTS
from local.merchant import Caller, Reply, send
from local.service import CREDENTIALS, Service

POS_ID = "dc728de1-51ef-4ef1-80f7-3b44b07b5667"
JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
ORDER_IDS = (
    "a b", "a/b", "100%", "a%2Fb", "a+b", 'a"b', "a\\b", "é", "🧾", "//", "../a", "~a.b_c-d",
    "a&b=c?d#e;f:g@h,i$j'k(l)*m!", ' /%+"é🧾 %41',
)  # fmt: skip
"""What a path must encode, what JSON must escape, letters beyond ASCII, and all of it in one at the end."""


def whole(like: str) -> str:
    """An order id that nobody else uses, as long as may be, and without a blank at an end."""
    return f"{uuid4().hex[: 31 - len(like)]}{like}z"


@dataclass
class Client:
    """What a merchant, a person at the sandbox and the provider may do to the service."""

    service: Service

    @property
    def merchant(self) -> Caller:
        return Caller(self.service.url, self.service.region, self.service.access_key, self.service.secret_key)

    def call(self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None) -> Reply:
        return self.merchant.call(method, f"/v1/{path}", body, headers)

    def submit(self, order_id: str, key: str | None = None, **changes: Any) -> Reply:
        wanted = {"order_id": order_id, "order_currency": "UAH", "comment": "10101"} | changes
        return self.call("POST", "voids", json.dumps(wanted).encode(), JSON | ({"Idempotency-Key": key} if key else {}))

    def read(self, order_id: str, refresh: bool = False) -> Any:
        answer = self.call("GET", f"voids/{quote(order_id, safe='')}{'?refresh=true' if refresh else ''}")
        assert answer.status == 200, answer.body
        return answer.json

    def webhook(self, data: str, signature: str) -> Reply:
        return self.deliver(urlencode({"data": data, "signature": signature}).encode())

    def deliver(self, body: bytes, headers: dict[str, str] = FORM) -> Reply:
        return send("POST", f"{self.service.url}/v1/webhooks/financial-line", body, headers)

    def sandbox(self, method: str, path: str, content: Any = None) -> Any:
        body = b"" if content is None else json.dumps(content).encode()
        answer = send(method, f"{self.service.sandbox_url}/sandbox/{path}", body)
        assert answer.status == 200, answer.body
        return answer.json

    def hold(self, order_id: str = "", amount: Any = 100, **faults: str) -> str:
        """A successful hold: of an order of its own, if none is named."""
        order_id = order_id or uuid4().hex
        self.sandbox("POST", "holds", {"order_id": order_id, "amount": amount, "currency": "UAH"})
        if faults:
            self.sandbox("PUT", f"faults/{quote(order_id, safe='')}", faults)
        return order_id

    def report(self, order_id: str, **changes: Any) -> None:
        """A genuine webhook: a void of the order has succeeded, or what is said instead."""
        operation = {"method": "void", "status": "success", "order_id": order_id, "pos_id": POS_ID, "operation_id": uuid4().hex,
                     "amount": 100, "currency": "UAH"}  # fmt: skip
        assert self.webhook(**self.sandbox("POST", "sign", {"data": operation | changes})).status == 200

    def ledger(self, order_id: str) -> Any:
        return self.sandbox("GET", f"orders/{order_id}")

    def items(self, order_id: str) -> list[Any]:
        found: list[Any] = self.service.client("dynamodb").query(
            TableName=self.service.table_name,
            KeyConditionExpression="pk = :pk",
            ExpressionAttributeValues={":pk": {"S": f"{POS_ID}#{order_id}"}},
        )["Items"]
        return found


@dataclass
class TokenClient(Client):
    """The same merchant with a token: fetched by a client of another hand, from the issuer beside the sandbox."""

    token: str

    def call(self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None) -> Reply:
        bearer = {"Authorization": f"Bearer {self.token}"}
        return send(method, f"{self.service.url}/v1/oauth/{path}", body, (headers or {}) | bearer)


def token_of(service: Service, client: str) -> str:
    """On loopback there is no TLS, so OAUTHLIB_INSECURE_TRANSPORT must be set."""
    with OAuth2Session(client=BackendApplicationClient(client)) as session:
        auth = HTTPBasicAuth(client, CLIENTS[client][0])
        return str(session.fetch_token(f"{service.sandbox_url}/oauth2/token", auth=auth)["access_token"])


def eventually[T](look: Callable[[], T], ready: Callable[[T], bool], seconds: float = 8) -> T:
    deadline = time.monotonic() + seconds
    while not ready(seen := look()):
        assert time.monotonic() < deadline, f"still not after {seconds} s: {seen}"
        time.sleep(0.05)
    return seen


def problem(answer: Reply, status: int, name: str) -> Any:
    """The answer as a problem document that is what it says it is."""
    assert answer.status == status, answer.body
    assert answer.headers["Content-Type"] == "application/problem+json"
    document = answer.json
    assert (document["type"], document["status"]) == (f"urn:void-service:problem:{name}", status)
    assert document["title"]
    assert document["request_id"]
    assert CREDENTIALS["api_secret"] not in answer.body.decode()
    return document


@contextmanager
def table_like_the_deployed(service: Service) -> Iterator[str]:
    """Another one with the same keys and indexes: what a test writes there is not due in the running service."""
    client, name = service.client("dynamodb"), f"orders-{uuid4().hex[:8]}"
    like: Any = client.describe_table(TableName=service.table_name)["Table"]
    keys = {key: like[key] for key in ("AttributeDefinitions", "KeySchema")}
    wanted = ("IndexName", "KeySchema", "Projection")
    indexes = [{key: each[key] for key in wanted} for each in like["GlobalSecondaryIndexes"]]
    client.create_table(TableName=name, BillingMode="PAY_PER_REQUEST", GlobalSecondaryIndexes=indexes, **keys)
    yield name
    client.update_table(TableName=name, DeletionProtectionEnabled=False)
    client.delete_table(TableName=name)
