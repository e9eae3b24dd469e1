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
        return (
            len(self.method) + len(self.target) + 12 + sum(len(name) + len(value) + 4 for name, value in self.headers)
        )

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

    def __init__(
        self,
        kind: str,
        message: str,
        *,
        status: int | None = None,
        error_type: str | None = None,
        member: str = "message",
        hint: str | None = None,
    ) -> None:
        super().__init__(message)
        self.kind, self.status, self.error_type = kind, status, error_type
        self.member = member
        """What the default body calls the message."""
        self.hint = hint
        """For who runs this locally: what is wrong with a signature. A stack's own template may leave it out."""

    @classmethod
    def of(cls, refused: Refused) -> "GatewayError":
        """For a request that does not prove who sent it."""
        hint = "".join(c if c.isascii() and c.isprintable() else "?" for c in str(refused))
        return cls(refused.kind, str(refused), error_type=refused.error_type, hint=hint)
