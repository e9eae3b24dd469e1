"""The deployed REST API served on loopback, as API Gateway serves it.

`api` reads the deployment back, `policy` and `tokens` say who may come in, `event` makes what a function gets, `answer`
what the caller gets, `server` holds the sockets. Held against recordings of AWS by tests/integration.
"""

from local.gateway.api import read_api
from local.gateway.exchange import Answer, Request
from local.gateway.server import Gateway, Pages

__all__ = ["Answer", "Gateway", "Pages", "Request", "read_api"]
