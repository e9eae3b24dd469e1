"""The clients of DynamoDB and Secrets Manager: each call is a moment at which anything may happen."""

import json
from typing import TYPE_CHECKING, Any, NoReturn

from botocore.exceptions import ClientError, ReadTimeoutError

from proof.simulation.runtime import TIME_OVER
from tests.fakes.table import Item, error

if TYPE_CHECKING:
    from proof.simulation.world import Simulation

THROTTLED, LOST, REPEATED, HANGS, STALE = "throttled", "answer lost", "repeated by the SDK", "no answer", "lagging"
"""Lost and repeated calls are applied; one without an answer is not."""


def _reached(sim: "Simulation", point: str, operation: str, throttled: str, seconds: float) -> str:
    """How a call goes that reaches the other side. Raises ClientError, ReadTimeoutError."""
    how = sim.runtime.pause(point, seconds)
    if how == THROTTLED:
        raise error(throttled, operation)
    if how == HANGS:
        _silence(sim, point, seconds)
    if how == TIME_OVER:
        raise ReadTimeoutError(endpoint_url=point)
    return how


def _silence(sim: "Simulation", point: str, seconds: float) -> NoReturn:
    sim.runtime.pause(f"{point.partition(':')[0]}: silent", seconds, waiting=True)
    raise ReadTimeoutError(endpoint_url=point)


class TableClient:
    """The table, with an answer that may be late, lost, or no answer."""

    def __init__(self, sim: "Simulation") -> None:
        self._sim = sim

    def call(self, operation: str, seconds: float, **arguments: Any) -> Item:
        """Raises ClientError, ReadTimeoutError."""
        sim, point = self._sim, f"table: {operation}"
        how = _reached(sim, point, operation, "ProvisionedThroughputExceededException", seconds)
        sim.table.lagging = how == STALE
        failed: ClientError | None = None
        answer: Item = {}
        try:
            for _ in range(2 if how == REPEATED else 1):
                answer = sim.table.call(operation, seconds, **arguments)
        except ClientError as raised:
            failed = raised
        finally:
            sim.table.lagging = False
        if how == LOST:
            _silence(sim, point, seconds)
        if failed is not None:
            raise failed
        return answer


class SecretClient:
    """Secrets Manager with one secret: the credentials of a project, and those before them."""

    def __init__(self, sim: "Simulation") -> None:
        self._sim = sim

    def call(self, operation: str, seconds: float, **arguments: Any) -> Item:
        """Raises ClientError, ReadTimeoutError."""
        _reached(self._sim, "secret", operation, "ThrottlingException", seconds)
        value = self._sim.stages.get(arguments["VersionStage"])
        if value is None:
            text = "Secrets Manager can't find the specified secret value for staging label"
            raise ClientError({"Error": {"Code": "ResourceNotFoundException", "Message": text}}, "GetSecretValue")
        return {"SecretString": json.dumps(value)}
