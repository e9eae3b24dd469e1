"""FastAPI under Mangum."""

import base64
import hashlib
import hmac
import json
import logging
import os
import time
from typing import Annotated

import boto3
from botocore.exceptions import ClientError
from fastapi import FastAPI, Form, HTTPException, Response
from mangum import Mangum

logging.getLogger().setLevel(logging.INFO)
app = FastAPI()
table = boto3.resource("dynamodb").Table(os.environ["TABLE_NAME"])
secrets = boto3.client("secretsmanager")
credentials: dict[str, str] = {}


@app.post("/webhooks/financial-line")
def receive(data: Annotated[str, Form()], signature: Annotated[str, Form()]) -> Response:
    if not credentials:
        credentials.update(json.loads(secrets.get_secret_value(SecretId=os.environ["SECRET_ID"])["SecretString"]))
    secret = credentials["api_secret"].encode()
    proof = base64.urlsafe_b64encode(hashlib.sha1(secret + data.encode() + secret).digest())  # noqa: S324
    if not hmac.compare_digest(proof, signature.encode()):
        raise HTTPException(401)
    operation = json.loads(base64.urlsafe_b64decode(data))
    try:
        table.put_item(
            Item={
                "pk": operation["order_id"],
                "sk": "EVENT#" + hashlib.sha256(data.encode()).hexdigest(),
                "received_at": int(time.time() * 1000),
                "operation": json.dumps(operation),
            },
            ConditionExpression="attribute_not_exists(pk)",
        )
    except ClientError as error:
        if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
            raise
    print(json.dumps({"level": "INFO", "message": "webhook received", "order_id": operation["order_id"]}))
    return Response(status_code=200)


handler = Mangum(app, lifespan="off")
