"""The sockets of the sandbox: ports that open and close at will, and answers that may go wrong on purpose.

Promises that closing a door refuses new connections and lets running exchanges finish. Never decides what is answered.
"""

import os
import socket
import ssl
import struct
import sys
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from play.requests import Request
from play.words import http, text

type Handle = Callable[[Exchange], None]


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
    def received(self) -> Request:
        headers = {name.lower(): value for name, value in self.headers.items()}
        return Request(self.command, self.path, headers, self._body)

    def send(self, status: int, content: str | Any) -> None:
        """Text as it is, anything else as JSON."""
        plain = isinstance(content, str)
        body = content.encode() if plain else text(content)
        self.write(http(status, body, "text/plain; charset=utf-8" if plain else "application/json"))

    def write(self, answer: bytes | None) -> None:
        """The whole of an answer, or what there is of it; None resets the connection."""
        if answer is None:
            return self.reset()
        head, _, body = answer.partition(b"\r\n\r\n")
        if not head.endswith(b"Content-Length: %d" % len(body)):
            self.close_connection = True  # it was cut: nothing can follow
        self.wfile.write(answer[: len(answer) - len(body)] if self.command == "HEAD" else answer)
        return None

    def hang_up(self) -> None:
        self.close_connection = True

    def reset(self) -> None:
        """RST instead of an orderly end: no lingering, and the descriptor closed under the TLS layer."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        os.close(self.connection.detach())
        self.close_connection = True

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
