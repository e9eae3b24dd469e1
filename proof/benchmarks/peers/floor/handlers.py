"""The floor: the same requests over http.client with a hand-made signature. No retries, no error mapping: a limit to
measure against, not something to ship.
"""

import base64
import datetime
import hashlib
import hmac
import http.client
import json
import os
import ssl
import time
from typing import Any
from urllib.parse import parse_qs, urlsplit

trust = ssl.create_default_context(cafile=os.environ["CA_FILE"])
keys: dict[str, bytes] = {}
known: dict[str, str] = {}


def submit(event: dict[str, Any], context: Any) -> dict[str, Any]:
    secret, request = credentials(), json.loads(event["body"])
    order_id = request["order_id"]
    put(order_id, "VOID", state="submitting", order_currency=request["order_currency"], comment=request["comment"])
    headers = {
        "X-API-AUTH": f"CPAY {secret['api_key']}:{secret['api_secret']}",
        "X-API-KEY": secret["endpoints_key"],
        "Content-Type": "application/json",
    }
    sent = {**request, "pos_id": secret["pos_id"], "server_url": os.environ["WEBHOOK_URL"]}
    void = provider.post("/api/v1/void", json.dumps(sent).encode(), headers)
    state = "voided" if void["status"] == "success" else "pending"
    write(
        "UpdateItem",
        Key={"pk": {"S": order_id}, "sk": {"S": "VOID"}},
        UpdateExpression="SET #state = :state, provider = :provider",
        ConditionExpression="attribute_exists(pk)",
        ExpressionAttributeNames={"#state": "state"},
        ExpressionAttributeValues={":state": {"S": state}, ":provider": {"S": json.dumps(void)}},
    )
    print(json.dumps({"level": "INFO", "message": "void requested", "order_id": order_id, "state": state}))
    body = json.dumps({"order_id": order_id, "state": state, "provider": void})
    return {"statusCode": 200, "headers": {"Content-Type": "application/json"}, "body": body}


def webhook(event: dict[str, Any], context: Any) -> dict[str, Any]:
    form = parse_qs(event["body"])
    data, signature = form["data"][0], form["signature"][0]
    secret = credentials()["api_secret"].encode()
    proof = base64.urlsafe_b64encode(hashlib.sha1(secret + data.encode() + secret).digest())  # noqa: S324
    if not hmac.compare_digest(proof, signature.encode()):
        return {"statusCode": 401, "body": ""}
    operation = json.loads(base64.urlsafe_b64decode(data))
    digest = hashlib.sha256(data.encode()).hexdigest()
    put(operation["order_id"], f"EVENT#{digest}", operation=json.dumps(operation))
    print(json.dumps({"level": "INFO", "message": "webhook received", "order_id": operation["order_id"]}))
    return {"statusCode": 200, "body": ""}


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
    scope = f"{now[:8]}/{os.environ['AWS_REGION']}/{service}/aws4_request"
    signed = {
        "content-type": "application/x-amz-json-1.0" if service == "dynamodb" else "application/x-amz-json-1.1",
        "host": endpoint.host,
        "x-amz-date": now,
        "x-amz-security-token": os.environ["AWS_SESSION_TOKEN"],
        "x-amz-target": target,
    }
    lines, names = "".join(f"{name}:{value}\n" for name, value in signed.items()), ";".join(signed)
    canonical = f"POST\n/\n\n{lines}\n{names}\n{hashlib.sha256(body).hexdigest()}"
    text = f"AWS4-HMAC-SHA256\n{now}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    signature = hmac.new(key(scope), text.encode(), "sha256").hexdigest()
    credential = f"{os.environ['AWS_ACCESS_KEY_ID']}/{scope}"
    proof = f"AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={names}, Signature={signature}"
    return endpoint.post("/", body, {**signed, "Authorization": proof})


def key(scope: str) -> bytes:
    """The signing key of a day, made once."""
    if scope not in keys:
        made = f"AWS4{os.environ['AWS_SECRET_ACCESS_KEY']}".encode()
        for part in scope.split("/"):
            made = hmac.digest(made, part.encode(), "sha256")
        keys[scope] = made
    return keys[scope]


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


def put(pk: str, sk: str, **texts: str) -> None:
    """A new item."""
    item = {name: {"S": text} for name, text in {"pk": pk, "sk": sk, **texts}.items()}
    item["at"] = {"N": str(int(time.time() * 1000))}
    write("PutItem", Item=item, ConditionExpression="attribute_not_exists(pk)")


table = Endpoint(os.environ["AWS_ENDPOINT_URL_DYNAMODB"])
secrets = Endpoint(os.environ["AWS_ENDPOINT_URL_SECRETS_MANAGER"])
provider = Endpoint(os.environ["PROVIDER_URL"])
