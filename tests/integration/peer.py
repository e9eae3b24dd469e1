"""A server that speaks TLS and nothing else by itself: a test says byte for byte what comes back."""

import re
import socket
import ssl
import threading
from collections.abc import Callable

import trustme

Script = Callable[[ssl.SSLSocket], None]
HANDSHAKE_FAILURE = bytes.fromhex("15 0303 0002 02 28")


class Peer:
    """Plays one script a connection and keeps the requests that it read."""

    def __init__(self, certificate: trustme.LeafCert) -> None:
        self.context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        certificate.configure_cert(self.context)
        self.script: Script = lambda connection: None
        self.requests: list[bytes] = []
        self.resumed: list[bool | None] = []
        self.alerts = False
        """The next connection gets an alert instead of a handshake."""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while self._listener.fileno() >= 0:
            try:
                raw, _ = self._listener.accept()
                if self.alerts:
                    self.alerts = False
                    with raw:
                        raw.recv(65_536)
                        raw.sendall(HANDSHAKE_FAILURE)
                    continue
                with self.context.wrap_socket(raw, server_side=True) as connection:
                    self.resumed.append(connection.session_reused)
                    self.requests.append(read_request(connection))
                    self.script(connection)
            except OSError:
                continue

    def answers(self, data: bytes) -> None:
        self.script = lambda connection: connection.sendall(data)

    def stop(self) -> None:
        self._listener.close()


def read_request(connection: ssl.SSLSocket) -> bytes:
    """Head and body; empty if nothing came."""
    with connection.makefile("rb") as stream:
        lines: list[bytes] = []
        while (not lines or lines[-1] != b"\r\n") and (line := stream.readline()):
            lines.append(line)
        head = b"".join(lines)
        length = re.search(rb"content-length: (\d+)", head.lower())
        return head + stream.read(int(length[1]) if length else 0)


def http(body: bytes, status: str = "200 OK", *headers: str, length: int | None = None) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body) if length is None else length}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body
