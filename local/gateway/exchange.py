"""A request as it arrived, an answer as it leaves, and the error that API Gateway answers by itself."""

import base64
import uuid
from dataclasses import dataclass, field

from local.signature import Headers, Refused


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

    @property
    def head_bytes(self) -> int:
        """The size of request line and headers."""
        line = len(self.method) + len(self.target) + 12
        return line + sum(len(name) + len(value) + 4 for name, value in self.headers)

    def header(self, wanted: str) -> str | None:
        """The last value of a header; `wanted` in lower case."""
        return next((value for name, value in reversed(self.headers) if name.lower() == wanted), None)


@dataclass(frozen=True)
class Answer:
    status: int
    headers: list[tuple[str, str]]
    body: bytes


class GatewayError(Exception):
    """API Gateway answers by itself: `kind` is the response type, whose template a stack may set."""

    error_type: str | None = None  # where it is not the kind's own
    member = "message"  # what the default body calls the message
    hint: str | None = None  # for who runs this locally: what is wrong. A stack's own template may leave it out.

    def __init__(self, kind: str, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.kind, self.status = kind, status

    @classmethod
    def of(cls, refused: Refused) -> "GatewayError":
        """For a request that does not prove who sent it."""
        error = cls(refused.kind, str(refused))
        error.error_type = refused.error_type
        error.hint = "".join(c if c.isascii() and c.isprintable() else "?" for c in str(refused))
        return error


def lambda_failed() -> GatewayError:
    """What is said of a function that failed, whatever it said itself."""
    return GatewayError("DEFAULT_5XX", "Internal server error", 502)
