"""The cookbook: Powertools' router, idempotency, parameters, Logger, Tracer and Metrics."""

import base64
import hashlib
import hmac
import json
import os
import time
from typing import Any
from urllib.parse import parse_qs

import boto3
from aws_lambda_powertools import Logger, Metrics, Tracer
from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities import parameters
from aws_lambda_powertools.utilities.idempotency import (
    DynamoDBPersistenceLayer,
    IdempotencyConfig,
    idempotent_function,
)
from pydantic import BaseModel

logger = Logger()
tracer = Tracer()
metrics = Metrics()
app = APIGatewayRestResolver()
table = boto3.resource("dynamodb").Table(os.environ["TABLE_NAME"])
persistence = DynamoDBPersistenceLayer(table_name=os.environ["IDEMPOTENCY_TABLE_NAME"])
config = IdempotencyConfig()


class Operation(BaseModel):
    order_id: str
    method: str
    status: str


@idempotent_function(data_keyword_argument="data", config=config, persistence_store=persistence)
def store_once(*, data: str) -> dict[str, Any]:
    fields = json.loads(base64.urlsafe_b64decode(data))
    operation = Operation.model_validate(fields)
    table.put_item(
        Item={
            "pk": operation.order_id,
            "sk": "EVENT#" + hashlib.sha256(data.encode()).hexdigest(),
            "received_at": int(time.time() * 1000),
            "operation": json.dumps(fields),
        },
        ConditionExpression="attribute_not_exists(pk)",
    )
    return operation.model_dump()


@app.post("/webhooks/financial-line")
@tracer.capture_method
def receive() -> Response[str]:
    form = parse_qs(app.current_event.body or "")
    data, signature = form["data"][0], form["signature"][0]
    credentials: Any = parameters.get_secret(os.environ["SECRET_ID"], transform="json", max_age=300)
    secret = credentials["api_secret"].encode()
    proof = base64.urlsafe_b64encode(hashlib.sha1(secret + data.encode() + secret).digest())  # noqa: S324
    if not hmac.compare_digest(proof, signature.encode()):
        return Response(status_code=401, body="")
    operation = store_once(data=data)
    metrics.add_metric(name="WebhookStored", unit=MetricUnit.Count, value=1)
    logger.info("webhook received", order_id=operation["order_id"])
    return Response(status_code=200, body="")


@logger.inject_lambda_context(correlation_id_path="requestContext.requestId")
@tracer.capture_lambda_handler
@metrics.log_metrics
def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    config.register_lambda_context(context)
    return app.resolve(event, context)
