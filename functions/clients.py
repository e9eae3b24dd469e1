"""The AWS clients, made once per function instance, in this one place.

Promises short time-outs and few retries: a function that waits for a table cannot keep its own promise of time.
"""

from typing import TYPE_CHECKING, cast

from botocore.config import Config
from botocore.session import get_session

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_secretsmanager import SecretsManagerClient

# One for both clients: each session reads botocore's data anew. Not boto3, which adds only what we do not use.
_SESSION = get_session()
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
    return cast("DynamoDBClient", _SESSION.create_client("dynamodb", config=_CONFIG))


def secretsmanager() -> "SecretsManagerClient":
    """The secret's client."""
    return cast("SecretsManagerClient", _SESSION.create_client("secretsmanager", config=_CONFIG))
