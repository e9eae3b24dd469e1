"""The cookbook: what both handlers stand on."""

import os
from typing import Any

import boto3
from aws_lambda_powertools import Logger, Metrics, Tracer
from aws_lambda_powertools.utilities import parameters
from aws_lambda_powertools.utilities.idempotency import DynamoDBPersistenceLayer, IdempotencyConfig

logger, tracer, metrics = Logger(), Tracer(), Metrics()
table = boto3.resource("dynamodb").Table(os.environ["TABLE_NAME"])
persistence = DynamoDBPersistenceLayer(table_name=os.environ["IDEMPOTENCY_TABLE_NAME"])
config = IdempotencyConfig()


def credentials() -> Any:
    return parameters.get_secret(os.environ["SECRET_ID"], transform="json", max_age=300)


def handled(app: Any) -> Any:
    """A resolver with all that the cookbook puts around it."""

    @logger.inject_lambda_context(correlation_id_path="requestContext.requestId")
    @tracer.capture_lambda_handler
    @metrics.log_metrics
    def handler(event: dict[str, Any], context: Any) -> Any:
        config.register_lambda_context(context)
        return app.resolve(event, context)

    return handler
