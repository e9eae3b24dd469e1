"""The sockets of the sandbox: ports that open and close at will, and answers that may go wrong on purpose.

Promises that closing a door refuses new connections and lets running exchanges finish. Never decides what is answered.
"""

import json
import os
import socket
import ssl
import struct
import sys
import threading
import time
from collections.abc import Callable, Mapping
from decimal import Decimal
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

type Handle = Callable[[Exchange], None]


def parse_json(raw: bytes) -> Any:
    """JSON with the digits of every number kept; anything else is a ValueError."""
    try:
        return json.loads(raw.decode("utf-8"), parse_float=Decimal, parse_constant=_no_number)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def to_json(value: Any) -> str:
    """Compact JSON; a Decimal keeps its digits, which the standard library's encoder cannot do."""
    match value:
        case Decimal():
            return str(value)
        case dict():
            return "{" + ",".join(f"{to_json(str(key))}:{to_json(item)}" for key, item in value.items()) + "}"
        case list() | tuple():
            return "[" + ",".join(map(to_json, value)) + "]"
        case _:
            return json.dumps(value, ensure_ascii=False)


def _no_number(text: str) -> Any:
    raise ValueError(f"{text} is not JSON")


class Exchange(BaseHTTPRequestHandler):
    """One request and the means to answer it, properly or not."""

    protocol_version = "HTTP/1.1"
    timeout = 60  # an idle connection; longer than any answer is held
    disable_nagle_algorithm = True
    server: "_Listener"

    def setup(self) -> None:
        if isinstance(self.request, ssl.SSLSocket):
            self.request.settimeout(self.timeout)
            self.request.do_handshake()  # here, in the thread of the connection: a slow client must not block the door
        super().setup()

    def handle(self) -> None:
        try:
            super().handle()
        except OSError:
            self.close_connection = True  # the client went away: nobody is left to be told
        finally:
            self.server.idle.discard(self.connection)

    def handle_one_request(self) -> None:
        self.server.idle.add(self.connection)
        super().handle_one_request()

    def parse_request(self) -> bool:
        self.server.idle.discard(self.connection)
        return super().parse_request()

    def do_GET(self) -> None:
        self._body = self._read()
        self.server.answer(self)
        if self.server.closed:
            self.close_connection = True

    do_POST = do_PUT = do_DELETE = do_PATCH = do_HEAD = do_GET

    def _read(self) -> bytes:
        length = self.headers.get("Content-Length", "0")
        return self.rfile.read(int(length)) if length.isdigit() else b""

    @property
    def body(self) -> bytes:
        return self._body

    @property
    def segments(self) -> list[str]:
        """The path, cut before it is decoded: an order id may contain a slash."""
        return [unquote(part) for part in urlsplit(self.path).path.strip("/").split("/")]

    def send(self, status: int, content: str | Any, headers: Mapping[str, str] | None = None) -> None:
        raw = self._head(status, content, headers)
        self.wfile.write(raw)

    def send_half(self, status: int, content: Any) -> None:
        """The length of the whole answer, and half of it."""
        raw = self._head(status, content, None)
        self.wfile.write(raw[: -len(to_json(content).encode()) // 2])
        self.close_connection = True

    def hang_up(self) -> None:
        self.close_connection = True

    def reset(self) -> None:
        """RST instead of an orderly end: no lingering, and the descriptor closed under the TLS layer."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        os.close(self.connection.detach())
        self.close_connection = True

    def _head(self, status: int, content: str | Any, headers: Mapping[str, str] | None) -> bytes:
        plain = isinstance(content, str)
        body = (content if plain else to_json(content)).encode()
        fields = {
            "Content-Type": "text/plain; charset=utf-8" if plain else "application/json",
            "Content-Length": str(len(body)),
            **(headers or {}),
        }
        lines = [
            f"HTTP/1.1 {status} {HTTPStatus(status).phrase}",
            *(f"{name}: {text}" for name, text in fields.items()),
        ]
        head = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
        return head if self.command == "HEAD" else head + body

    def log_message(self, format: str, *args: Any) -> None:
        """Silent: the ledger is the log, and headers carry credentials."""


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port: int, answer: Handle, tls: ssl.SSLContext | None) -> None:
        self.answer = answer
        self.tls = tls
        self.closed = False
        self.idle: set[socket.socket] = set()
        super().__init__(("127.0.0.1", port), Exchange)

    def get_request(self) -> tuple[Any, Any]:
        connection, address = self.socket.accept()
        if self.tls:
            connection = self.tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        return connection, address

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A failed handshake or a vanished client is an ordinary event here; a defect is not hidden."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class Door:
    """A loopback port that can be closed (connections are refused) and opened again under the same number."""

    def __init__(self, port: int, answer: Handle, tls: ssl.SSLContext | None = None) -> None:
        self._answer = answer
        self._tls = tls
        self._listener: _Listener | None = _Listener(port, answer, tls)
        self.port = self._listener.server_port
        self._serve(self._listener)

    @property
    def is_open(self) -> bool:
        return self._listener is not None

    def open(self) -> None:
        if self._listener is None:
            self._listener = self._bind_again()
            self._serve(self._listener)

    def close(self) -> None:
        listener, self._listener = self._listener, None
        if listener is None:
            return
        listener.closed = True
        listener.shutdown()
        listener.socket.close()
        for connection in list(listener.idle):  # a pooled connection must not outlive the door
            try:
                socket.socket.shutdown(connection, socket.SHUT_RDWR)
            except OSError:
                continue

    def _bind_again(self) -> _Listener:
        deadline = time.monotonic() + 5
        while True:
            try:
                return _Listener(self.port, self._answer, self._tls)
            except OSError:  # the number may be lent to an outgoing connection for a moment
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)

    def _serve(self, listener: _Listener) -> None:
        threading.Thread(target=listener.serve_forever, args=(0.02,), daemon=True, name="sandbox-door").start()
