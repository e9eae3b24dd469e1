"""The boto3 clients, made once per function instance, in this one place.

Promises short time-outs and few retries: a function that waits for a table cannot keep its own promise of time.
"""

from typing import TYPE_CHECKING

import boto3
from botocore.config import Config

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_secretsmanager import SecretsManagerClient

# At most two tries of 1 + 1.5 s: what depends on them ends well before a lease does.
_CONFIG = Config(
    connect_timeout=1,
    read_timeout=1.5,
    retries={"mode": "standard", "total_max_attempts": 2},
    parameter_validation=False,
    user_agent="void-service",
)


def dynamodb() -> "DynamoDBClient":
    """The table's client."""
    return boto3.client("dynamodb", config=_CONFIG)


def secretsmanager() -> "SecretsManagerClient":
    """The secret's client."""
    return boto3.client("secretsmanager", config=_CONFIG)
