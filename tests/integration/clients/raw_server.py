"""Answers byte for byte, for what the service here cannot be brought to say: proxies, cut lines, lost answers.

A case is the first part of the path; its answers are given one after another, the last one again and again.
"""

import json
import socket
import struct
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer
from typing import Any, NoReturn

GONE = "gone"
WORDS = (
    "reset",  # the connection is torn down after the request was read
    "hang up",  # it is closed without a word
    "silence",  # it stays open without a word
    GONE,  # after the answer before it nobody listens any more
)
type Answer = bytes | str | Callable[[Request], bytes]
"""In a header, `{api}` is the path of the API that the client was given."""


def answer(status: int, body: Any = "", **headers: str) -> bytes:
    """A well-formed answer; text stays text, everything else becomes JSON. `Retry_After` is the header Retry-After."""
    content = body.encode() if isinstance(body, str) else json.dumps(body, ensure_ascii=False).encode()
    fields = {"Content-Length": str(len(content)), "Connection": "close"} | headers
    head = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in fields.items())
    return f"HTTP/1.1 {status} Whatever\r\n{head}\r\n".encode("latin-1") + content


@dataclass(frozen=True)
class Request:
    method: str
    target: str
    headers: Mapping[str, str]  # by lower-case name
    body: bytes


class RawServer(ThreadingTCPServer):
    """`script(case, …)` before a client calls `{url}/{case}/v1`; `received(case)` after."""

    daemon_threads, request_queue_size = True, 64

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Conversation)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.answers: dict[str, list[Answer]] = {}
        self.requests: dict[str, list[Request]] = defaultdict(list)
        self.lock = threading.Lock()

    def handle_error(self, *_: object) -> NoReturn:
        raise  # noqa: PLE0704 what a handler raised fails the test

    def script(self, case: str, *answers: Answer) -> str:
        """The URL of the API that answers so."""
        api = f"/{case}/v1"
        self.requests[case] = []
        self.answers[case] = [
            each.replace(b"{api}", api.encode()) if isinstance(each, bytes) else each for each in answers
        ]
        return self.url + api

    def received(self, case: str) -> list[Request]:
        with self.lock:
            return list(self.requests[case])

    def answer_to(self, request: Request) -> bytes | str:
        case = request.target.split("/")[1]
        with self.lock:
            answers, before = self.answers[case], len(self.requests[case])
            self.requests[case].append(request)
        if GONE in answers[before + 1 :]:
            self.shutdown()
            self.server_close()
        chosen = answers[min(before, len(answers) - 1)]
        return chosen(request) if callable(chosen) else chosen


class _Conversation(BaseHTTPRequestHandler):
    server: RawServer
    timeout = 30

    def handle(self) -> None:
        with suppress(OSError):  # the client went away
            super().handle()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", "0")))
        headers = {name.lower(): value for name, value in self.headers.items()}
        match self.server.answer_to(Request(self.command, self.path, headers, body)):
            case "reset":
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.rfile.close()
                self.connection.close()
            case "silence":
                self.rfile.read(1)  # until the client gives up
            case bytes(whole):
                self.wfile.write(whole)

    do_GET = do_POST


@contextmanager
def serving[Server: ThreadingTCPServer](server: Server) -> Iterator[Server]:
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
