"""The cookbook: Powertools' router with validation, idempotency, parameters, Logger, Tracer and Metrics."""

import json
import os
import time
from typing import Annotated, Any

import urllib3
from aws_lambda_powertools.event_handler import APIGatewayRestResolver
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.idempotency import idempotent_function
from pydantic import BaseModel, Field
from shared import config, credentials, handled, logger, metrics, persistence, table, tracer

app = APIGatewayRestResolver(enable_validation=True)
provider = urllib3.PoolManager(ca_certs=os.environ["CA_FILE"])


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
    secret = credentials()
    answer = provider.request(
        "POST",
        os.environ["PROVIDER_URL"] + "/api/v1/void",
        body=json.dumps({**request, "pos_id": secret["pos_id"], "server_url": os.environ["WEBHOOK_URL"]}),
        headers={
            "X-API-AUTH": f"CPAY {secret['api_key']}:{secret['api_secret']}",
            "X-API-KEY": secret["endpoints_key"],
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
        Item={"pk": order_id, "sk": "VOID", "state": "submitting", **request, "at": int(time.time() * 1000)},
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


handler = handled(app)
