"""By hand: boto3 and urllib3, nothing else."""

import json
import os
import time
from typing import Any

import boto3
import urllib3
from botocore.exceptions import ClientError

table = boto3.client("dynamodb")
secrets = boto3.client("secretsmanager")
provider = urllib3.PoolManager(ca_certs=os.environ["CA_FILE"])
credentials: dict[str, str] = {}


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    if not credentials:
        credentials.update(json.loads(secrets.get_secret_value(SecretId=os.environ["SECRET_ID"])["SecretString"]))
    request = json.loads(event["body"])
    order_id, currency = request["order_id"], request["order_currency"]
    if not (0 < len(order_id) <= 32 and len(currency) == 3):
        return respond(400, {"error": "invalid request"})
    item = {
        "pk": {"S": order_id},
        "sk": {"S": "VOID"},
        "state": {"S": "submitting"},
        "order_currency": {"S": currency},
        "comment": {"S": request.get("comment", "")},
        "requested_at": {"N": str(int(time.time() * 1000))},
    }
    try:
        table.put_item(TableName=os.environ["TABLE_NAME"], Item=item, ConditionExpression="attribute_not_exists(pk)")
    except ClientError as error:
        if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
            raise
        return respond(409, {"error": "exists"})
    answer = provider.request(
        "POST",
        os.environ["PROVIDER_URL"] + "/api/v1/void",
        body=json.dumps(
            {
                "pos_id": credentials["pos_id"],
                "order_id": order_id,
                "order_currency": currency,
                "comment": request.get("comment", ""),
                "server_url": os.environ["WEBHOOK_URL"],
            }
        ),
        headers={
            "X-API-AUTH": f"CPAY {credentials['api_key']}:{credentials['api_secret']}",
            "X-API-KEY": credentials["endpoints_key"],
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


def respond(status: int, value: dict[str, Any]) -> dict[str, Any]:
    return {"statusCode": status, "headers": {"Content-Type": "application/json"}, "body": json.dumps(value)}
