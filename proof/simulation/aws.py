"""The clients of DynamoDB and Secrets Manager: each call is a moment at which anything may happen."""

import json
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError, ReadTimeoutError

from proof.simulation.runtime import TIME_OVER
from tests.fakes.table import Item, error

if TYPE_CHECKING:
    from proof.simulation.world import Simulation

THROTTLED, LOST, REPEATED, HANGS, STALE = "throttled", "answer lost", "repeated by the SDK", "no answer", "lagging"
"""Lost and repeated calls are applied; one without an answer is not."""


class TableClient:
    """The table, with an answer that may be late, lost, or no answer."""

    def __init__(self, sim: "Simulation") -> None:
        self._sim = sim

    def call(self, operation: str, seconds: float, **arguments: Any) -> Item:
        """Raises ClientError, ReadTimeoutError."""
        sim = self._sim
        how = sim.runtime.pause(f"table: {operation}", seconds)
        if how == THROTTLED:
            raise error("ProvisionedThroughputExceededException", operation)
        if how == HANGS:
            sim.runtime.pause("table: silent", seconds, waiting=True)
        if how in (HANGS, TIME_OVER):
            raise ReadTimeoutError(endpoint_url="table")
        sim.table.lagging = how == STALE
        failed: ClientError | None = None
        answer: Item = {}
        try:
            answer = sim.table.call(operation, seconds, **arguments)
            if how == REPEATED:
                answer = sim.table.call(operation, seconds, **arguments)
        except ClientError as raised:
            failed = raised
        finally:
            sim.table.lagging = False
        if how == LOST:
            sim.runtime.pause("table: silent", seconds, waiting=True)
            raise ReadTimeoutError(endpoint_url="table")
        if failed is not None:
            raise failed
        return answer


class SecretClient:
    """Secrets Manager with one secret: the credentials of a project, and those before them."""

    def __init__(self, sim: "Simulation") -> None:
        self._sim = sim

    def call(self, operation: str, seconds: float, **arguments: Any) -> Item:
        """Raises ClientError, ReadTimeoutError."""
        sim = self._sim
        how = sim.runtime.pause("secret", seconds)
        if how == HANGS:
            sim.runtime.pause("secret: silent", seconds, waiting=True)
        if how in (HANGS, TIME_OVER):
            raise ReadTimeoutError(endpoint_url="secret")
        if how == THROTTLED:
            raise error("ThrottlingException", operation)
        value = sim.stages.get(arguments["VersionStage"])
        if value is None:
            text = "Secrets Manager can't find the specified secret value for staging label"
            raise ClientError({"Error": {"Code": "ResourceNotFoundException", "Message": text}}, "GetSecretValue")
        return {"SecretString": json.dumps(value)}
