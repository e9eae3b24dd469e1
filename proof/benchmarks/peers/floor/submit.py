"""The floor: http.client and a hand-made signature."""

import json
import os
import time
from typing import Any

from aws import Endpoint, credentials, write

provider = Endpoint(os.environ["PROVIDER_URL"])


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    secret = credentials()
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
    sent = {**request, "pos_id": secret["pos_id"], "server_url": os.environ["WEBHOOK_URL"]}
    void = provider.post(
        "/api/v1/void",
        json.dumps(sent).encode(),
        {
            "X-API-AUTH": f"CPAY {secret['api_key']}:{secret['api_secret']}",
            "X-API-KEY": secret["endpoints_key"],
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
