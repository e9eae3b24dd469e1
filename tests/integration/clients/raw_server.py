"""Answers written byte by byte, for what the service here cannot be brought to say: proxies, cut lines, lost answers.

A case is the first part of the path; its answers are given one after another, the last one again and again. No library
stands between the bytes and the client, so that an answer may be as wrong as a network makes it.
"""

import json
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

RESET = "reset"  # the connection is torn down after the request was read
HANG_UP = "hang up"  # it is closed without a word
SILENCE = "silence"  # it stays open without a word
GONE = "gone"  # after the answer before it nobody listens any more
WORDS = (RESET, HANG_UP, SILENCE, GONE)

API = "{api}"  # in a header: the path of the API that the client was given

type Answer = bytes | str | Callable[[Request], bytes]


def answer(status: int, body: Any = "", **headers: str) -> bytes:
    """A well-formed answer; text stays text, everything else becomes JSON. `Retry_After` is the header Retry-After."""
    content = body.encode() if isinstance(body, str) else json.dumps(body, ensure_ascii=False).encode()
    fields = {"Content-Length": str(len(content)), "Connection": "close"} | {
        name.replace("_", "-"): value for name, value in headers.items()
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"HTTP/1.1 {status} Whatever\r\n{head}\r\n".encode("latin-1") + content


@dataclass(frozen=True)
class Request:
    method: str
    target: str
    headers: Mapping[str, str]  # by lower-case name
    body: bytes


@dataclass
class RawServer:
    """`script(case, …)` before a client calls `{url}/{case}/v1`; `received(case)` after."""

    listening: socket.socket
    _answers: dict[str, Sequence[Answer]] = field(default_factory=dict)
    _received: dict[str, list[Request]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _open: set[socket.socket] = field(default_factory=set)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.listening.getsockname()[1]}"

    def script(self, case: str, *answers: Answer) -> str:
        """The URL of the API that answers so."""
        with self._lock:
            path = f"/{case}/v1".encode()
            self._answers[case] = [
                each.replace(API.encode(), path) if isinstance(each, bytes) else each for each in answers
            ]
            self._received[case] = []
        return f"{self.url}/{case}/v1"

    def received(self, case: str) -> list[Request]:
        with self._lock:
            return list(self._received[case])

    def serve(self) -> None:
        while True:
            try:
                connection, _ = self.listening.accept()
            except OSError:
                return  # stopped
            threading.Thread(target=self._converse, args=(connection,), daemon=True).start()

    def _leave(self) -> None:
        # A blocked accept does not notice a close, but it notices this.
        with suppress(OSError):
            self.listening.shutdown(socket.SHUT_RDWR)
        self.listening.close()

    def stop(self) -> None:
        self._leave()
        for connection in list(self._open):
            connection.close()

    def _converse(self, connection: socket.socket) -> None:
        self._open.add(connection)
        try:
            connection.settimeout(30)
            request = _read(connection)
            if request is not None:
                self._reply(connection, request)
        except OSError:
            pass  # the client went away
        finally:
            self._open.discard(connection)
            connection.close()

    def _reply(self, connection: socket.socket, request: Request) -> None:
        case = request.target.split("/")[1]
        with self._lock:
            answers = self._answers[case]
            chosen = answers[min(len(self._received[case]), len(answers) - 1)]
            self._received[case].append(request)
            chosen = chosen(request) if callable(chosen) else chosen
            if GONE in answers[len(self._received[case]) :]:
                self._leave()
        match chosen:
            case "reset":
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            case "hang up":
                pass
            case "silence":
                connection.recv(1)  # until the client gives up
            case bytes():
                connection.sendall(chosen)


def _read(connection: socket.socket) -> Request | None:
    received = b""
    while b"\r\n\r\n" not in received:
        received += (more := connection.recv(65536))
        if not more:
            return None
    head, _, body = received.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    while len(body) < int(headers.get("content-length", "0")):
        body += connection.recv(65536)
    method, target, _ = first.split(" ")
    return Request(method, target, headers, body)


@contextmanager
def raw_server() -> Iterator[RawServer]:
    server = RawServer(socket.create_server(("127.0.0.1", 0), backlog=64))
    thread = threading.Thread(target=server.serve)
    thread.start()
    try:
        yield server
    finally:
        server.stop()
        thread.join()


@contextmanager
def wrong_tls(context: ssl.SSLContext | None) -> Iterator[str]:
    """The URL of an API with a certificate that nobody knows, or without TLS: no request ever gets to it."""
    listening = socket.create_server(("127.0.0.1", 0), backlog=64)

    def serve() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return  # stopped
            with suppress(OSError), connection:
                if context is None:
                    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                    connection.recv(65536)
                else:
                    with context.wrap_socket(connection, server_side=True) as secured:
                        assert not secured.recv(65536), "a request came"

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"https://localhost:{listening.getsockname()[1]}/v1"
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        thread.join()
