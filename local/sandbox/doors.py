"""The sockets of the sandbox: ports that open and close at will, and answers that may go wrong on purpose.

Promises that closing a door refuses new connections and lets running exchanges finish. Never decides what is answered.
"""

import contextlib
import os
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable
from typing import Any

from local.loopback import Handler, LoopbackServer, read_body
from play.requests import Request
from play.words import http, text

type Handle = Callable[[Exchange], None]


class Exchange(Handler):
    """One request and the means to answer it, properly or not."""

    server: "_Listener"

    def setup(self) -> None:
        self.server.idle.add(self.request)
        if isinstance(self.request, ssl.SSLSocket):
            self.request.settimeout(self.timeout)
            self.request.do_handshake()  # here, in the thread of the connection: a slow client must not block the door
        super().setup()

    def handle(self) -> None:
        # The client may go away: nobody is left to be told.
        with contextlib.suppress(OSError):
            super().handle()

    def finish(self) -> None:
        self.server.idle.discard(self.connection)
        with contextlib.suppress(OSError):
            super().finish()

    def serve(self) -> None:
        self.server.idle.discard(self.connection)
        self.body = read_body(self)
        self.server.answer(self)
        self.wfile.flush()
        self.server.idle.add(self.connection)
        self.close_connection |= self.server.closed

    @property
    def received(self) -> Request:
        headers = {name.lower(): value for name, value in self.headers.items()}
        return Request(self.command, self.path, headers, self.body)

    def send(self, status: int, content: Any) -> None:
        self.write(http(status, text(content)))

    def write(self, answer: bytes | None) -> None:
        """The whole of an answer, or what there is of it; None resets the connection."""
        if answer is None:
            return self.reset()
        head, _, body = answer.partition(b"\r\n\r\n")
        if not head.endswith(b"Content-Length: %d" % len(body)):
            self.close_connection = True  # it was cut: nothing can follow
        self.wfile.write(answer[: len(answer) - len(body)] if self.command == "HEAD" else answer)
        return None

    def reset(self) -> None:
        """RST instead of an orderly end: no lingering, and the descriptor closed under the TLS layer."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        os.close(self.connection.detach())
        self.close_connection = True


class _Listener(LoopbackServer):
    def __init__(self, port: int, answer: Handle, tls: ssl.SSLContext | None) -> None:
        self.answer, self.tls, self.closed = answer, tls, False
        self.idle: set[socket.socket] = set()
        super().__init__(("127.0.0.1", port), Exchange)

    def get_request(self) -> tuple[Any, Any]:
        connection, address = self.socket.accept()
        if self.tls:
            connection = self.tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        return connection, address


class Door:
    """A loopback port that can be closed (connections are refused) and opened again under the same number."""

    def __init__(self, port: int, answer: Handle, tls: ssl.SSLContext | None = None) -> None:
        self._answer, self._tls = answer, tls
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
        for connection in list(listener.idle):
            # A pooled connection ends before anybody hears that the door is closed; what is being answered is answered.
            with contextlib.suppress(OSError):
                socket.socket.shutdown(connection, socket.SHUT_RDWR)

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
