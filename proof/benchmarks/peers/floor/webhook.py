"""The floor: http.client and a hand-made signature."""

import base64
import hashlib
import hmac
import json
import time
from typing import Any
from urllib.parse import parse_qs

from aws import credentials, write


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    form = parse_qs(event["body"])
    data, signature = form["data"][0], form["signature"][0]
    secret = credentials()["api_secret"].encode()
    proof = base64.urlsafe_b64encode(hashlib.sha1(secret + data.encode() + secret).digest())  # noqa: S324
    if not hmac.compare_digest(proof, signature.encode()):
        return {"statusCode": 401, "body": ""}
    operation = json.loads(base64.urlsafe_b64decode(data))
    write(
        "PutItem",
        Item={
            "pk": {"S": operation["order_id"]},
            "sk": {"S": "EVENT#" + hashlib.sha256(data.encode()).hexdigest()},
            "received_at": {"N": str(int(time.time() * 1000))},
            "operation": {"S": json.dumps(operation)},
        },
        ConditionExpression="attribute_not_exists(pk)",
    )
    print(json.dumps({"level": "INFO", "message": "webhook received", "order_id": operation["order_id"]}))
    return {"statusCode": 200, "body": ""}
