"""The floor: http.client and a hand-made signature."""

import json
import os
import time
from typing import Any

from aws import Endpoint, call

table = Endpoint(os.environ["AWS_ENDPOINT_URL_DYNAMODB"])
secrets = Endpoint(os.environ["AWS_ENDPOINT_URL_SECRETS_MANAGER"])
provider = Endpoint(os.environ["PROVIDER_URL"])
credentials: dict[str, str] = {}


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    if not credentials:
        arguments = {"SecretId": os.environ["SECRET_ID"]}
        secret = call(secrets, "secretsmanager", "secretsmanager.GetSecretValue", arguments)
        credentials.update(json.loads(secret["SecretString"]))
    request = json.loads(event["body"])
    order_id, currency = request["order_id"], request["order_currency"]
    write(
        "PutItem",
        Item={
            "pk": {"S": order_id},
            "sk": {"S": "VOID"},
            "state": {"S": "submitting"},
            "order_currency": {"S": currency},
            "comment": {"S": request.get("comment", "")},
            "requested_at": {"N": str(int(time.time() * 1000))},
        },
        ConditionExpression="attribute_not_exists(pk)",
    )
    sent = {**request, "pos_id": credentials["pos_id"], "server_url": os.environ["WEBHOOK_URL"]}
    void = provider.post(
        "/api/v1/void",
        json.dumps(sent).encode(),
        {
            "X-API-AUTH": f"CPAY {credentials['api_key']}:{credentials['api_secret']}",
            "X-API-KEY": credentials["endpoints_key"],
            "Content-Type": "application/json",
        },
    )
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


def write(operation: str, **arguments: Any) -> None:
    call(table, "dynamodb", f"DynamoDB_20120810.{operation}", {"TableName": os.environ["TABLE_NAME"], **arguments})
