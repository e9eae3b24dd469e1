"""The cookbook: Powertools' router, idempotency, parameters, Logger, Tracer and Metrics."""

import base64
import hashlib
import hmac
import json
import time
from typing import Any
from urllib.parse import parse_qs

from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.idempotency import idempotent_function
from pydantic import BaseModel
from shared import config, credentials, handled, logger, metrics, persistence, table, tracer

app = APIGatewayRestResolver()


class Operation(BaseModel):
    order_id: str
    method: str
    status: str


@idempotent_function(data_keyword_argument="data", config=config, persistence_store=persistence)
def store_once(*, data: str) -> dict[str, Any]:
    fields = json.loads(base64.urlsafe_b64decode(data))
    operation = Operation.model_validate(fields)
    digest = hashlib.sha256(data.encode()).hexdigest()
    item = {"pk": operation.order_id, "sk": f"EVENT#{digest}", "operation": json.dumps(fields)}
    table.put_item(Item={**item, "at": int(time.time() * 1000)}, ConditionExpression="attribute_not_exists(pk)")
    return operation.model_dump()


@app.post("/webhooks/financial-line")
@tracer.capture_method
def receive() -> Response[str]:
    form = parse_qs(app.current_event.body or "")
    data, signature = form["data"][0], form["signature"][0]
    secret = credentials()["api_secret"].encode()
    proof = base64.urlsafe_b64encode(hashlib.sha1(secret + data.encode() + secret).digest())  # noqa: S324
    if not hmac.compare_digest(proof, signature.encode()):
        return Response(status_code=401, body="")
    operation = store_once(data=data)
    metrics.add_metric(name="WebhookStored", unit=MetricUnit.Count, value=1)
    logger.info("webhook received", order_id=operation["order_id"])
    return Response(status_code=200, body="")


handler = handled(app)
