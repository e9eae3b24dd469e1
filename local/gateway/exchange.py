"""A request as it arrived and an answer as it leaves."""

import base64
import uuid
from dataclasses import dataclass, field

from local.signature import Headers


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
