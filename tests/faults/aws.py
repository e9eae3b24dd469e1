"""The clients of DynamoDB and Secrets Manager beneath `store` and `secret`: each call is a moment at which anything may happen."""

import json
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError, EndpointConnectionError, ReadTimeoutError

from tests.fakes.table import Item, error
from tests.faults.runtime import OK, TABLE_READS, TIME_OVER, Point

if TYPE_CHECKING:
    from tests.faults.simulation import Simulation

THROTTLED = "throttled"
LOST, REPEATED = "answer lost", "repeated by the SDK"
"""The call is applied. Its answer never comes, or the SDK sends it again and that answer comes."""
HANGS = "no answer"
"""The call is not applied."""
STALE = "lagging"
REMEMBERED_MS = 5_000
"""For so long `payments.secret` does not ask again after Secrets Manager did not answer."""
POINTS = {"get_item": Point.GET, "put_item": Point.PUT, "update_item": Point.UPDATE, "query": Point.INDEX}


class TableClient:
    """The table, with an answer that may be late, lost, or no answer."""

    def __init__(self, sim: "Simulation") -> None:
        self._sim = sim

    def call(self, operation: str, seconds: float, **arguments: Any) -> Item:
        """Raises ClientError, ReadTimeoutError."""
        sim, point = self._sim, POINTS[operation]
        if point is Point.PUT and arguments["Item"]["sk"]["S"] != "ORDER":
            point = Point.QUARANTINE
        actor = sim.runtime.actor
        how = sim.runtime.pause(point, seconds)
        if sim.outage("table"):
            actor.hurt = actor.invocation.hurt = True
            actor.silent.add(point)
            raise EndpointConnectionError(endpoint_url="table")
        if how == THROTTLED:
            actor.silent.add(point)
            raise error("ProvisionedThroughputExceededException", operation)
        if how == HANGS:
            return self._hang(point, seconds)
        if how == TIME_OVER:
            actor.silent.add(point)
            raise ReadTimeoutError(endpoint_url="table")
        return self._apply(point, operation, how, seconds, arguments)

    def _apply(self, point: Point, operation: str, how: str, seconds: float, arguments: Item) -> Item:
        table, actor = self._sim.table, self._sim.runtime.actor
        table.lagging = how == STALE
        try:
            answer = table.call(operation, seconds, **arguments)
            if how == REPEATED:
                answer = table.call(operation, seconds, **arguments)
        except ClientError as failed:
            if how == LOST:
                return self._hang(point, seconds)
            actor.invocation.seen = failed.response.get("Item", actor.invocation.seen)
            raise
        finally:
            table.lagging = False
        if how == LOST:
            return self._hang(point, seconds)
        if point not in TABLE_READS and point is not Point.QUARANTINE:
            actor.invocation.seen = arguments.get("Item", actor.invocation.seen)
        elif point is Point.GET:
            actor.invocation.seen = answer.get("Item")
        return answer

    def _hang(self, point: Point, seconds: float) -> Item:
        """Until the caller gives up."""
        actor = self._sim.runtime.actor
        actor.silent.add(point)
        self._sim.runtime.pause(point, seconds, waiting=True)
        raise ReadTimeoutError(endpoint_url="table")


class SecretClient:
    """Secrets Manager with one secret: the credentials of a project, and those before them."""

    def __init__(self, sim: "Simulation") -> None:
        self._sim = sim

    def call(self, operation: str, seconds: float, **arguments: Any) -> Item:
        """Raises ClientError, ReadTimeoutError, EndpointConnectionError."""
        assert operation == "get_secret_value"
        sim = self._sim
        try:
            self._reach(seconds)
        except Exception:
            actor = sim.runtime.actor.invocation
            actor.hurt, actor.instance.hurt_until = True, sim.runtime.now + REMEMBERED_MS
            raise
        value = sim.stages.get(arguments["VersionStage"])
        if value is None:
            text = "Secrets Manager can't find the specified secret value for staging label"
            raise ClientError({"Error": {"Code": "ResourceNotFoundException", "Message": text}}, "GetSecretValue")
        return {"SecretString": json.dumps(value)}

    def _reach(self, seconds: float) -> None:
        sim = self._sim
        if sim.config.secret_calls:
            how = sim.runtime.pause(Point.SECRET, seconds)
            if how == HANGS:
                sim.runtime.pause(Point.SECRET, seconds, waiting=True)
            if how in (HANGS, TIME_OVER):
                raise ReadTimeoutError(endpoint_url="secret")
            if how == THROTTLED:
                raise error("ThrottlingException", "GetSecretValue")
        if sim.outage("secret"):
            raise EndpointConnectionError(endpoint_url="secret")


__all__ = ["HANGS", "LOST", "OK", "REPEATED", "STALE", "THROTTLED", "SecretClient", "TableClient"]
