"""A client of the void service: `void` returns when the hold is released, and raises in every other case.

with VoidClient("https://….execute-api.eu-central-1.amazonaws.com/v1", "eu-central-1") as client:
    record = client.void("123", "UAH", idempotency_key=decision_id)
"""

from .client import AsyncVoidClient, VoidClient
from .errors import NotVoided, RepeatLater, VoidError, WrongCall
from .records import Problem, Provider, Settled, VoidRecord, VoidWithWebhooks, newest, settled
from .transport import VERSION, ClientCredentials

__version__ = VERSION
__all__ = [
    "AsyncVoidClient", "ClientCredentials", "NotVoided", "Problem", "Provider", "RepeatLater", "Settled", "VoidClient",
    "VoidError", "VoidRecord", "VoidWithWebhooks", "WrongCall", "newest", "settled",
]  # fmt: skip
