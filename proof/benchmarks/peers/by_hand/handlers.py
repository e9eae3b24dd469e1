"""By hand: boto3 and urllib3, nothing else."""

import base64
import hashlib
import hmac
import json
import os
import time
from typing import Any
from urllib.parse import parse_qs

import boto3
import urllib3

table = boto3.client("dynamodb")
secrets = boto3.client("secretsmanager")
provider = urllib3.PoolManager(ca_certs=os.environ["CA_FILE"])
known: dict[str, str] = {}


def submit(event: dict[str, Any], context: Any) -> dict[str, Any]:
    secret, request = credentials(), json.loads(event["body"])
    order_id, currency, comment = request["order_id"], request["order_currency"], request.get("comment", "")
    if not (0 < len(order_id) <= 32 and len(currency) == 3):
        return respond(400, {"error": "invalid request"})
    if not put(order_id, "VOID", state="submitting", order_currency=currency, comment=comment):
        return respond(409, {"error": "exists"})
    sent = {"order_id": order_id, "order_currency": currency, "comment": comment}
    answer = provider.request(
        "POST",
        os.environ["PROVIDER_URL"] + "/api/v1/void",
        body=json.dumps({**sent, "pos_id": secret["pos_id"], "server_url": os.environ["WEBHOOK_URL"]}),
        headers={
            "X-API-AUTH": f"CPAY {secret['api_key']}:{secret['api_secret']}",
            "X-API-KEY": secret["endpoints_key"],
            "Content-Type": "application/json",
        },
        timeout=10.0,
        retries=False,
    )
    void = json.loads(answer.data)
    state = "voided" if void["status"] == "success" else "pending"
    table.update_item(
        TableName=os.environ["TABLE_NAME"],
        Key={"pk": {"S": order_id}, "sk": {"S": "VOID"}},
        UpdateExpression="SET #state = :state, provider = :provider",
        ConditionExpression="attribute_exists(pk)",
        ExpressionAttributeNames={"#state": "state"},
        ExpressionAttributeValues={":state": {"S": state}, ":provider": {"S": json.dumps(void)}},
    )
    print(json.dumps({"level": "INFO", "message": "void requested", "order_id": order_id, "state": state}))
    return respond(200, {"order_id": order_id, "state": state, "provider": void})


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


def credentials() -> dict[str, str]:
    if not known:
        known.update(json.loads(secrets.get_secret_value(SecretId=os.environ["SECRET_ID"])["SecretString"]))
    return known


def put(pk: str, sk: str, **texts: str) -> bool:
    """Whether it was not there yet."""
    item = {name: {"S": text} for name, text in {"pk": pk, "sk": sk, **texts}.items()}
    item["at"] = {"N": str(int(time.time() * 1000))}
    try:
        table.put_item(TableName=os.environ["TABLE_NAME"], Item=item, ConditionExpression="attribute_not_exists(pk)")
    except table.exceptions.ConditionalCheckFailedException:
        return False
    return True


def respond(status: int, value: dict[str, Any]) -> dict[str, Any]:
    return {"statusCode": status, "headers": {"Content-Type": "application/json"}, "body": json.dumps(value)}
