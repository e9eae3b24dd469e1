"""A request as it arrived, an answer as it leaves, and what API Gateway answers by itself instead of a function."""

import base64
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

type Headers = Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Request:
    method: str  # as sent and signed
    target: str  # as received: path and query, still encoded
    headers: Headers
    body: bytes
    source_ip: str
    own_id: str = field(default_factory=lambda: base64.b64encode(uuid.uuid4().bytes[:11]).decode())
    """The extended request id, which is always the gateway's own."""
    generated_id: str = field(default_factory=lambda: str(uuid.uuid4()))

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def query(self) -> str:
        return self.target.partition("?")[2]

    @property
    def routed_method(self) -> str:
        """AWS lets a header replace the method that is routed."""
        return self.header("x-http-method-override") or self.method

    @property
    def request_id(self) -> str:
        """A client may set this one. AWS does not say by which header; this is the header that shows it."""
        return self.header("x-amzn-requestid") or self.generated_id

    def header(self, wanted: str) -> str | None:
        """The last value of a header; `wanted` in lower case."""
        return next((value for name, value in reversed(self.headers) if name.lower() == wanted), None)


class Answer(NamedTuple):
    status: int
    headers: list[tuple[str, str]]
    body: bytes


class GatewayError(Exception):
    """`kind`: the response type, whose template a stack may set; `member`: what the default body calls the message.

    `hint`: what is wrong, for who runs this locally. A stack's own template may leave the message out.
    """

    def __init__(
        self, kind: str, message: str, hint: str = "", error_type: str = "", status: int | None = None, member: str = ""
    ) -> None:
        super().__init__(message)
        self.kind, self.status, self.error_type, self.member = kind, status, error_type, member or "message"
        self.hint = "".join(c if c.isascii() and c.isprintable() else "?" for c in hint)


def refused(kind: str, message: str, error_type: str = "") -> GatewayError:
    """For a request that does not prove who sent it: the message helps."""
    return GatewayError(kind, message, message, error_type)


def lambda_failed() -> GatewayError:
    """What is said of a function that failed, whatever it said itself."""
    return GatewayError("DEFAULT_5XX", "Internal server error", status=502)
