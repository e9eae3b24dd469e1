"""Servers on this machine only: what the gateway, the Runtime API and the sandbox have in common."""

import http.server
import re
import sys
from collections.abc import Iterable, Mapping
from io import BufferedIOBase
from typing import Any

LONGEST = 64 * 1024 * 1024  # of a body
LOCAL = re.compile(r"(127\.0\.0\.1|localhost|\[::1\])(:\d+)?", re.IGNORECASE)


class LoopbackServer(http.server.ThreadingHTTPServer):
    """Closes without waiting for connections that are still open, and takes clients that hang up as they come."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 256

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A vanished client or a failed handshake is an ordinary event here; a defect is not hidden."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class Handler(http.server.BaseHTTPRequestHandler):
    """One connection: each request, whatever its method, is a call of `serve`. Silent: headers carry credentials."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # with it every request waits for the client's delayed acknowledgement
    wbufsize = 65536
    timeout = 75  # seconds that an idle connection is kept; longer than any answer is held

    def serve(self) -> None:
        raise NotImplementedError

    def reply(self, status: int, headers: Iterable[tuple[str, str]], body: bytes = b"") -> None:
        self.send_response_only(status)
        connection = "close" if self.close_connection else "keep-alive"
        for name, value in (*headers, ("Content-Length", str(len(body))), ("Connection", connection)):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(b"" if self.command == "HEAD" else body)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("do_"):
            return self.serve
        raise AttributeError(name)

    def log_message(self, format: str, *args: Any) -> None:
        pass


def is_local(headers: Mapping[str, str]) -> bool:
    """Is this machine called by a name of its own? No other one may lead here (DNS rebinding)."""
    return LOCAL.fullmatch(headers.get("host", "")) is not None


def is_same_site(headers: Mapping[str, str]) -> bool:
    """Does no page of another site ask? Names of headers are in lower case."""
    own = f"http://{headers.get('host', '')}"
    return headers.get("origin", own) == own and headers.get("sec-fetch-site", "none") in ("same-origin", "none")


class Unframed(ConnectionError):
    """Where the body ends is not known, or it is longer than anybody would send by mistake."""


def read_body(request: http.server.BaseHTTPRequestHandler) -> bytes:
    """All of the body. Raises Unframed, ConnectionError if it breaks off."""
    source = request.rfile
    if request.headers.get("Transfer-Encoding", "").lower() != "chunked":
        return _read(source, _size("[0-9]+", 10, request.headers.get("Content-Length", "0")))
    body = bytearray()
    while size := _size("[0-9a-fA-F]{1,8}", 16, source.readline(1024).decode("latin-1").split(";")[0].strip()):
        body += _read(source, size)
        if len(body) > LONGEST:
            raise Unframed
        source.readline(1024)
    while source.readline(65536) not in (b"\r\n", b"\n", b""):
        pass
    return bytes(body)


def _size(form: str, base: int, digits: str) -> int:
    if not re.fullmatch(form, digits) or int(digits, base) > LONGEST:
        raise Unframed
    return int(digits, base)


def _read(source: BufferedIOBase, length: int) -> bytes:
    piece = source.read(length)
    if len(piece) < length:
        raise ConnectionResetError("the body broke off")
    return piece
