"""The cookbook: Powertools' router with validation, idempotency, parameters, Logger, Tracer and Metrics."""

import json
import os
import time
from typing import Annotated, Any

import boto3
import urllib3
from aws_lambda_powertools import Logger, Metrics, Tracer
from aws_lambda_powertools.event_handler import APIGatewayRestResolver
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities import parameters
from aws_lambda_powertools.utilities.idempotency import (
    DynamoDBPersistenceLayer,
    IdempotencyConfig,
    idempotent_function,
)
from pydantic import BaseModel, Field

logger = Logger()
tracer = Tracer()
metrics = Metrics()
app = APIGatewayRestResolver(enable_validation=True)
table = boto3.resource("dynamodb").Table(os.environ["TABLE_NAME"])
provider = urllib3.PoolManager(ca_certs=os.environ["CA_FILE"])
persistence = DynamoDBPersistenceLayer(table_name=os.environ["IDEMPOTENCY_TABLE_NAME"])
config = IdempotencyConfig(event_key_jmespath="order_id")


class VoidRequest(BaseModel):
    order_id: Annotated[str, Field(min_length=1, max_length=32)]
    order_currency: Annotated[str, Field(pattern="^[A-Z]{3}$")]
    comment: Annotated[str | None, Field(max_length=2048)] = None


class VoidRecord(BaseModel):
    order_id: str
    state: str
    provider: dict[str, Any]


@tracer.capture_method
def call_provider(request: dict[str, Any]) -> dict[str, Any]:
    credentials: Any = parameters.get_secret(os.environ["SECRET_ID"], transform="json", max_age=300)
    answer = provider.request(
        "POST",
        os.environ["PROVIDER_URL"] + "/api/v1/void",
        body=json.dumps({**request, "pos_id": credentials["pos_id"], "server_url": os.environ["WEBHOOK_URL"]}),
        headers={
            "X-API-AUTH": f"CPAY {credentials['api_key']}:{credentials['api_secret']}",
            "X-API-KEY": credentials["endpoints_key"],
            "Content-Type": "application/json",
        },
        timeout=10.0,
        retries=False,
    )
    void: dict[str, Any] = json.loads(answer.data)
    return void


@idempotent_function(data_keyword_argument="request", config=config, persistence_store=persistence)
def void_once(*, request: dict[str, Any]) -> dict[str, Any]:
    order_id = request["order_id"]
    table.put_item(
        Item={"pk": order_id, "sk": "VOID", "state": "submitting", **request, "requested_at": int(time.time() * 1000)},
        ConditionExpression="attribute_not_exists(pk)",
    )
    void = call_provider(request)
    state = "voided" if void["status"] == "success" else "pending"
    table.update_item(
        Key={"pk": order_id, "sk": "VOID"},
        UpdateExpression="SET #state = :state, provider = :provider",
        ConditionExpression="attribute_exists(pk)",
        ExpressionAttributeNames={"#state": "state"},
        ExpressionAttributeValues={":state": state, ":provider": json.dumps(void)},
    )
    return {"order_id": order_id, "state": state, "provider": void}


@app.post("/voids")
@tracer.capture_method
def submit(request: VoidRequest) -> VoidRecord:
    record = void_once(request=request.model_dump())
    metrics.add_metric(name="VoidSubmitted", unit=MetricUnit.Count, value=1)
    logger.info("void requested", order_id=request.order_id, state=record["state"])
    return VoidRecord(**record)


@logger.inject_lambda_context(correlation_id_path="requestContext.requestId")
@tracer.capture_lambda_handler
@metrics.log_metrics
def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    config.register_lambda_context(context)
    return app.resolve(event, context)
