"""The floor: the handlers by hand over http.client and a hand-made signature. No retries, no error mapping: a limit to
measure against, not something to ship. Here is what they ask of boto3.
"""

import datetime
import hashlib
import hmac
import json
import os
from collections.abc import Callable
from typing import Any

from urllib3 import Endpoint  # type: ignore[attr-defined]  # the one beside this file

# Where a service is, what it is called in a request, and the version of its JSON protocol.
SERVICES = {
    "dynamodb": ("AWS_ENDPOINT_URL_DYNAMODB", "DynamoDB_20120810", "1.0"),
    "secretsmanager": ("AWS_ENDPOINT_URL_SECRETS_MANAGER", "secretsmanager", "1.1"),
}
keys: dict[str, bytes] = {}


class client:
    def __init__(self, service: str) -> None:
        where, self.target, self.version = SERVICES[service]
        self.service, self.endpoint = service, Endpoint(os.environ[where])

    def __getattr__(self, operation: str) -> Callable[..., Any]:
        return lambda **arguments: self.call(operation.title().replace("_", ""), arguments)

    def call(self, operation: str, arguments: dict[str, Any]) -> Any:
        body = json.dumps(arguments, separators=(",", ":")).encode()
        now = datetime.datetime.now(datetime.UTC).strftime("%Y%m%dT%H%M%SZ")
        scope = f"{now[:8]}/{os.environ['AWS_REGION']}/{self.service}/aws4_request"
        signed = {
            "content-type": f"application/x-amz-json-{self.version}",
            "host": self.endpoint.host,
            "x-amz-date": now,
            "x-amz-security-token": os.environ["AWS_SESSION_TOKEN"],
            "x-amz-target": f"{self.target}.{operation}",
        }
        lines, names = "".join(f"{name}:{value}\n" for name, value in signed.items()), ";".join(signed)
        canonical = f"POST\n/\n\n{lines}\n{names}\n{hashlib.sha256(body).hexdigest()}"
        text = f"AWS4-HMAC-SHA256\n{now}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
        signature = hmac.new(key(scope), text.encode(), "sha256").hexdigest()
        credential = f"{os.environ['AWS_ACCESS_KEY_ID']}/{scope}"
        proof = f"AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={names}, Signature={signature}"
        return json.loads(self.endpoint.post("/", body, {**signed, "Authorization": proof}))


def key(scope: str) -> bytes:
    """The signing key of a day, made once."""
    if scope not in keys:
        made = f"AWS4{os.environ['AWS_SECRET_ACCESS_KEY']}".encode()
        for part in scope.split("/"):
            made = hmac.digest(made, part.encode(), "sha256")
        keys[scope] = made
    return keys[scope]
