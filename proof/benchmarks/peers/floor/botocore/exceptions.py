"""The floor: its errors end the run."""

from typing import Any


class ClientError(Exception):
    response: dict[str, Any]
