"""By hand: boto3, nothing else."""

import base64
import hashlib
import hmac
import json
import os
import time
from typing import Any
from urllib.parse import parse_qs

import boto3
from botocore.exceptions import ClientError

table = boto3.client("dynamodb")
secrets = boto3.client("secretsmanager")
credentials: dict[str, str] = {}


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    if not credentials:
        credentials.update(json.loads(secrets.get_secret_value(SecretId=os.environ["SECRET_ID"])["SecretString"]))
    form = parse_qs(event["body"])
    data, signature = form["data"][0], form["signature"][0]
    secret = credentials["api_secret"].encode()
    proof = base64.urlsafe_b64encode(hashlib.sha1(secret + data.encode() + secret).digest())  # noqa: S324
    if not hmac.compare_digest(proof, signature.encode()):
        return {"statusCode": 401, "body": ""}
    operation = json.loads(base64.urlsafe_b64decode(data))
    try:
        table.put_item(
            TableName=os.environ["TABLE_NAME"],
            Item={
                "pk": {"S": operation["order_id"]},
                "sk": {"S": "EVENT#" + hashlib.sha256(data.encode()).hexdigest()},
                "received_at": {"N": str(int(time.time() * 1000))},
                "operation": {"S": json.dumps(operation)},
            },
            ConditionExpression="attribute_not_exists(pk)",
        )
    except ClientError as error:
        if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
            raise
    print(json.dumps({"level": "INFO", "message": "webhook received", "order_id": operation["order_id"]}))
    return {"statusCode": 200, "body": ""}
