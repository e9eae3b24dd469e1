"""A merchant's side of the API: requests signed with SigV4, as the merchant's platform sends them.

Uses botocore's signer and urllib3, neither of which knows anything of this service.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import urllib3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials


@dataclass(frozen=True)
class Reply:
    status: int
    headers: urllib3.HTTPHeaderDict
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Caller:
    """Who calls the API; a wrong secret key makes a wrong signature."""

    url: str
    region: str
    access_key: str
    secret_key: str

    def signed(
        self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> dict[str, str]:
        request = AWSRequest(method, self.url + path, headers=dict(headers or {}), data=body)
        SigV4Auth(Credentials(self.access_key, self.secret_key), "execute-api", self.region).add_auth(request)
        return dict(request.headers.items())

    def call(self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None) -> Reply:
        return send(method, self.url + path, body, self.signed(method, path, body, headers))

    def get(self, path: str) -> Reply:
        return self.call("GET", path)

    def post(self, path: str, document: Any, headers: dict[str, str] | None = None) -> Reply:
        return self.call(
            "POST", path, json.dumps(document).encode(), {"Content-Type": "application/json"} | (headers or {})
        )


def send(method: str, url: str, body: bytes | Iterator[bytes] = b"", headers: dict[str, str] | None = None) -> Reply:
    """Sends once, over a connection of its own: what is tested or shown must not depend on an earlier request.

    A body in pieces is sent chunked.
    """
    with urllib3.PoolManager(retries=False, timeout=40) as pool:
        answer = pool.request(method, url, body=body, headers=headers)
        return Reply(answer.status, answer.headers, answer.data)
