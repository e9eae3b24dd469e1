"""A request as it arrived, an answer as it leaves, and what API Gateway answers by itself instead of a function."""

import base64
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

type Headers = Sequence[tuple[str, str]]


def trace_root() -> str:
    return f"Root=1-{int(time.time()):08x}-{uuid.uuid4().hex[:24]}"


@dataclass(frozen=True)
class Request:
    method: str  # as sent and signed
    target: str  # as received: path and query, still encoded
    headers: Headers
    body: bytes
    source_ip: str
    own_id: str = field(default_factory=lambda: base64.b64encode(uuid.uuid4().bytes[:11]).decode())
    """The extended request id, which is always the gateway's own."""
    own_trace: str = field(default_factory=trace_root)

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
        return self.header("x-amzn-requestid") or self.own_id

    @property
    def trace(self) -> str:
        return self.header("x-amzn-trace-id") or self.own_trace

    def header(self, wanted: str) -> str | None:
        """The last value of a header; `wanted` in lower case."""
        return next((value for name, value in reversed(self.headers) if name.lower() == wanted), None)


class Answer(NamedTuple):
    status: int
    headers: list[tuple[str, str]]
    body: bytes


class GatewayError(Exception):
    """`kind`: the response type, for which the stack has a text. `hint`: what is wrong, for who runs this locally."""

    def __init__(self, kind: str, hint: str = "") -> None:
        super().__init__(f"{kind} {hint}")
        self.kind, self.hint = kind, printable(hint)


def printable(text: str) -> str:
    """With nothing that a terminal or a header would act upon."""
    return "".join(c if c.isascii() and c.isprintable() else "?" for c in text)
