"""The floor: the same requests over http.client with a hand-made signature. No retries, no error mapping: a limit to
measure against, not something to ship.
"""

import datetime
import hashlib
import hmac
import http.client
import json
import os
import ssl
from typing import Any
from urllib.parse import urlsplit

trust = ssl.create_default_context(cafile=os.environ["CA_FILE"])
keys: dict[str, bytes] = {}


class Endpoint:
    """One kept connection; opened again when the other side has closed it."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.host = parts.netloc
        self.connection = http.client.HTTPSConnection(parts.hostname or "", parts.port, context=trust, timeout=10)

    def post(self, path: str, body: bytes, headers: dict[str, str]) -> Any:
        connection = self.connection
        if connection.sock is not None and closed(connection.sock):
            connection.close()
        connection.request("POST", path, body, headers)
        return json.loads(connection.getresponse().read())


def closed(sock: Any) -> bool:
    """Has the other side hung up? Session tickets that wait to be read are no hang-up."""
    sock.settimeout(0)
    try:
        return bool(sock.recv(1) == b"")
    except (BlockingIOError, ssl.SSLWantReadError):
        return False
    except OSError:
        return True
    finally:
        sock.settimeout(10)


def call(endpoint: Endpoint, service: str, target: str, arguments: dict[str, Any]) -> Any:
    """One signed request of a JSON protocol."""
    body = json.dumps(arguments, separators=(",", ":")).encode()
    now = datetime.datetime.now(datetime.UTC).strftime("%Y%m%dT%H%M%SZ")
    kind = "application/x-amz-json-1.0" if service == "dynamodb" else "application/x-amz-json-1.1"
    scope = f"{now[:8]}/{os.environ['AWS_REGION']}/{service}/aws4_request"
    names = "content-type;host;x-amz-date;x-amz-security-token;x-amz-target"
    token = os.environ["AWS_SESSION_TOKEN"]
    lines = (
        f"content-type:{kind}\nhost:{endpoint.host}\nx-amz-date:{now}\n"
        f"x-amz-security-token:{token}\nx-amz-target:{target}\n"
    )
    canonical = f"POST\n/\n\n{lines}\n{names}\n{hashlib.sha256(body).hexdigest()}"
    text = f"AWS4-HMAC-SHA256\n{now}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    signature = hmac.new(key(scope), text.encode(), "sha256").hexdigest()
    credential = f"{os.environ['AWS_ACCESS_KEY_ID']}/{scope}"
    return endpoint.post(
        "/",
        body,
        {
            "Content-Type": kind,
            "X-Amz-Date": now,
            "X-Amz-Security-Token": token,
            "X-Amz-Target": target,
            "Authorization": f"AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={names}, Signature={signature}",
        },
    )


def key(scope: str) -> bytes:
    """The signing key of a day, made once."""
    if scope not in keys:
        made = f"AWS4{os.environ['AWS_SECRET_ACCESS_KEY']}".encode()
        for part in scope.split("/"):
            made = hmac.digest(made, part.encode(), "sha256")
        keys[scope] = made
    return keys[scope]


table = Endpoint(os.environ["AWS_ENDPOINT_URL_DYNAMODB"])
secrets = Endpoint(os.environ["AWS_ENDPOINT_URL_SECRETS_MANAGER"])
known: dict[str, str] = {}


def credentials() -> dict[str, str]:
    """The secret, read once."""
    if not known:
        arguments = {"SecretId": os.environ["SECRET_ID"]}
        answer = call(secrets, "secretsmanager", "secretsmanager.GetSecretValue", arguments)
        known.update(json.loads(answer["SecretString"]))
    return known


def write(operation: str, **arguments: Any) -> None:
    """One write to the table."""
    call(table, "dynamodb", f"DynamoDB_20120810.{operation}", {"TableName": os.environ["TABLE_NAME"], **arguments})
