"""FastAPI under Mangum, with httpx."""

import json
import logging
import os
import ssl
import time
from typing import Annotated, Any

import boto3
import httpx
from botocore.exceptions import ClientError
from fastapi import FastAPI, HTTPException
from mangum import Mangum
from pydantic import BaseModel, Field

logging.getLogger().setLevel(logging.INFO)
app = FastAPI()
table = boto3.resource("dynamodb").Table(os.environ["TABLE_NAME"])
secrets = boto3.client("secretsmanager")
provider = httpx.Client(verify=ssl.create_default_context(cafile=os.environ["CA_FILE"]), timeout=10.0)
credentials: dict[str, str] = {}


class VoidRequest(BaseModel):
    order_id: Annotated[str, Field(min_length=1, max_length=32)]
    order_currency: Annotated[str, Field(pattern="^[A-Z]{3}$")]
    comment: Annotated[str | None, Field(max_length=2048)] = None


class VoidRecord(BaseModel):
    order_id: str
    state: str
    provider: dict[str, Any]


@app.post("/voids")
def submit(request: VoidRequest) -> VoidRecord:
    if not credentials:
        credentials.update(json.loads(secrets.get_secret_value(SecretId=os.environ["SECRET_ID"])["SecretString"]))
    fields = request.model_dump()
    try:
        table.put_item(
            Item={"pk": request.order_id, "sk": "VOID", "state": "submitting", **fields, "at": int(time.time() * 1000)},
            ConditionExpression="attribute_not_exists(pk)",
        )
    except ClientError as error:
        if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
            raise
        raise HTTPException(409) from error
    answer = provider.post(
        os.environ["PROVIDER_URL"] + "/api/v1/void",
        json={**fields, "pos_id": credentials["pos_id"], "server_url": os.environ["WEBHOOK_URL"]},
        headers={
            "X-API-AUTH": f"CPAY {credentials['api_key']}:{credentials['api_secret']}",
            "X-API-KEY": credentials["endpoints_key"],
        },
    )
    void = answer.json()
    state = "voided" if void["status"] == "success" else "pending"
    table.update_item(
        Key={"pk": request.order_id, "sk": "VOID"},
        UpdateExpression="SET #state = :state, provider = :provider",
        ConditionExpression="attribute_exists(pk)",
        ExpressionAttributeNames={"#state": "state"},
        ExpressionAttributeValues={":state": state, ":provider": json.dumps(void)},
    )
    print(json.dumps({"level": "INFO", "message": "void requested", "order_id": request.order_id, "state": state}))
    return VoidRecord(order_id=request.order_id, state=state, provider=void)


handler = Mangum(app, lifespan="off")
