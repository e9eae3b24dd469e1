"""An in-memory Secrets Manager client with one secret: AWSCURRENT and AWSPREVIOUS, as JSON or as any text."""

import json
from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError, EndpointConnectionError

from tests.fakes.table import error

PUBLISHED = {
    "pos_id": "dc728de1-51ef-4ef1-80f7-3b44b07b5667",
    "api_key": "2c2b91a3-9b73-4551-81ac-84e0d0360995",
    "api_secret": "ktMdTyollYMRkEfvgqbaWmvFiXPy1a80",
    "endpoints_key": "fake-endpoints-key",
}
"""The credentials in the provider's public examples."""


class SecretsManager:
    """The client's one call. `calls` lists the stages that were asked for."""

    def __init__(self, current: object = PUBLISHED, previous: object = None) -> None:
        self.stages: dict[str, str] = {}
        self.calls: list[str] = []
        self.seconds: list[float] = []
        """How long each call might have taken."""
        self.error: Exception | None = None
        self.before: Callable[[], object] = lambda: None
        for stage, value in (("AWSCURRENT", current), ("AWSPREVIOUS", previous)):
            if value is not None:
                self.stages[stage] = value if isinstance(value, str) else json.dumps(value)

    def rotate(self, **changes: str) -> None:
        """A new current value; the one before becomes AWSPREVIOUS."""
        self.stages["AWSPREVIOUS"] = self.stages["AWSCURRENT"]
        self.stages["AWSCURRENT"] = json.dumps({**json.loads(self.stages["AWSCURRENT"]), **changes})

    def out_of_reach(self, code: str | None = None) -> None:
        """Fail from now on: with this code of the service, or without a connection."""
        nowhere = EndpointConnectionError(endpoint_url="https://secrets.invalid")
        self.error = error(code, "GetSecretValue") if code else nowhere

    def call(self, operation: str, seconds: float, **arguments: Any) -> dict[str, Any]:
        """One call of the client."""
        assert (operation, seconds > 0) == ("get_secret_value", True)
        self.before()
        self.seconds.append(seconds)
        return self._get_secret_value(**arguments)

    def _get_secret_value(self, *, SecretId: str, VersionStage: str) -> dict[str, Any]:
        self.calls.append(VersionStage)
        if self.error is not None:
            raise self.error
        if VersionStage not in self.stages:
            # As recorded: one code for a missing value and for a missing secret, told apart by the text only.
            text = f"Secrets Manager can't find the specified secret value for staging label: {VersionStage}"
            raise ClientError({"Error": {"Code": "ResourceNotFoundException", "Message": text}}, "GetSecretValue")
        return {"SecretString": self.stages[VersionStage], "ARN": SecretId}
