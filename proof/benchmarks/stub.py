"""Table, Secrets Manager and provider as stubs over TLS: they count what arrives, keep what is written, may be late.

Promises to answer at once or after a fixed delay. Runs in a process of its own, so that its CPU is not a subject's.
Checks no signature and no condition: whatever a subject writes is taken as allowed.
"""

import argparse
import contextlib
import json
import re
import socket
import ssl
import sys
import time
import zlib
from collections import defaultdict
from collections.abc import Callable
from threading import Lock, Thread

from payments.exact_json import Number
from play import words
from play.ledger import Ledger, Project
from proof.benchmarks.units import Table

# The provider's published examples.
PROJECT = Project(
    "dc728de1-51ef-4ef1-80f7-3b44b07b5667", "2c2b91a3-9b73-4551-81ac-84e0d0360995", "ktMdTyollYMRkEfvgqbaWmvFiXPy1a80",
    "fake-endpoints-key",
)  # fmt: skip
SECRET = {name: getattr(PROJECT, name) for name in ("pos_id", "api_key", "api_secret", "endpoints_key")}
NAMES = {"op": "0e4d9d3a-5b5d-4f0c-9b0f", "tx": "1c6f3f52-7c8c-4f52-8b45", "pay": "6f1f6f0a-4c57-4a3e-8f6e"}
COMMENT = "benchmark"
LENGTH = re.compile(rb"\r\ncontent-length:\s*(\d+)", re.IGNORECASE)
OPERATION = re.compile(rb"\r\nx-amz-target:\s*\w+\.(\w+)", re.IGNORECASE)
AWS_JSON = "application/x-amz-json-1."


def void(order_id: str) -> words.Fields:
    """A void that succeeded, told alike by answer, list and webhook."""
    ledger = Ledger(lambda: 1_795_515_010_000, lambda kind, _: f"{NAMES[kind]}-6f3c1d0c7a11")
    made = ledger.operate("void", "success", PROJECT, order_id, amount=Number("100.50"), comment=COMMENT)
    return words.told(ledger, made, "answer")


class Stub:
    """The three servers and what they know."""

    def __init__(self, tls: ssl.SSLContext, indexes: str) -> None:
        self.tls, self.lock = tls, Lock()
        self.counts: defaultdict[str, float] = defaultdict(float)
        self.tables: defaultdict[str, Table] = defaultdict(lambda: Table.of(indexes))
        self.page = "{}"
        """What a query of the table finds."""
        self.open: set[ssl.SSLSocket] = set()
        self.ports: dict[str, int] = {}

    def table(self, operation: str, body: bytes) -> bytes:
        """Do it, whatever its condition, and count its units."""
        asked = json.loads(body)
        table = self.tables[asked["TableName"]]
        if operation == "Query":
            self.counts["reads"] += table.read(json.loads(self.page).get("Items", []), asked)
            return aws(self.page, "0")
        if operation == "GetItem":
            item = table.items.get(table.place(asked["Key"]))
            self.counts["reads"] += table.read([item] if item else [], asked)
            return aws(json.dumps({"Item": item} if item else {}), "0")
        for name, units in table.write(asked).items():
            self.counts[f"writes {name}"] += units
        return aws("{}", "0")

    def secrets(self, _operation: str, body: bytes) -> bytes:
        answer = {"ARN": json.loads(body)["SecretId"], "Name": "void-service", "VersionId": "0" * 32}
        answer |= {"SecretString": json.dumps(SECRET), "VersionStages": ["AWSCURRENT"], "CreatedDate": 1.7e9}
        return aws(json.dumps(answer), "1")

    def provider(self, path: str, body: bytes) -> bytes:
        """The answer to a POST, or all operations of the order that a GET asks about."""
        told: object = void(json.loads(body)["order_id"]) if body else [void(path.rpartition("/")[2])]
        return words.http(200, words.text(told))

    def serve(self, role: str, connect_ms: float, answer_ms: float) -> None:
        """Serve one role, so late before each handshake and each answer."""
        listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.ports[role] = listener.getsockname()[1]

        def accept() -> None:
            while True:
                sock, _ = listener.accept()
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                with self.lock:
                    self.counts[f"{role} connections"] += 1
                Thread(target=self.talk, args=(sock, role, connect_ms / 1000, answer_ms / 1000), daemon=True).start()

        Thread(target=accept, daemon=True).start()

    def talk(self, sock: socket.socket, role: str, connect: float, delay: float) -> None:
        """The requests of one connection, until either side hangs up."""
        time.sleep(connect)
        answer: Callable[[str, bytes], bytes] = getattr(self, role)
        with contextlib.suppress(OSError), self.tls.wrap_socket(sock, server_side=True) as connection:
            self.open.add(connection)
            file, before = connection.makefile("rb"), 0
            while head := b"".join(iter(file.readline, b"\r\n")) if file.peek(1) else b"":
                length, operation = LENGTH.search(head), OPERATION.search(head)
                body = file.read(int(length[1]) if length else 0)
                time.sleep(delay)
                with self.lock:
                    now = received(connection)
                    self.counts[role] += 1
                    self.counts[f"{role} bytes"] += len(head) + 2 + len(body)
                    self.counts[f"{role} wire"] += now - before
                    named = operation[1] if operation else head.split(b" ", 2)[1]
                    told, before = answer(named.decode(), body), now
                connection.sendall(told)
            self.open.discard(connection)

    def obey(self, do: str, text: str = "") -> dict[str, float]:
        """Say the `ports` or what is `stored`; `drop` connections, `reset`, take a `page` for queries: say counts."""
        if do == "ports":
            return dict(self.ports)
        if do == "stored":
            return {name: table.stored() for name, table in self.tables.items()}
        if do == "reset":
            self.counts.clear()
        if do == "page":
            self.page = text
        for connection in list(self.open) if do == "drop" else ():
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        return self.counts


def aws(text: str, version: str) -> bytes:
    more = f"x-amz-crc32: {zlib.crc32(text.encode())}\r\nx-amzn-RequestId: 00000000-0000-4000-8000-000000000000\r\n"
    return words.http(200, text.encode(), AWS_JSON + version, more)


def received(sock: socket.socket) -> int:
    """Bytes that came in over a TCP connection, its handshake of TLS included, where the kernel tells (Linux)."""
    info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256) if sys.platform == "linux" else b""
    # struct tcp_info: tcpi_bytes_received is the 64-bit number at 128.
    return int.from_bytes(info[128:136], sys.byteorder)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("certificate")
    parser.add_argument("indexes", help="of the deployed table, as in its template")
    for name in ("--aws-ms", "--provider-connect-ms", "--provider-ms"):
        parser.add_argument(name, type=float, default=0)
    options = parser.parse_args()
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(options.certificate)
    stub = Stub(tls, options.indexes)
    stub.serve("table", options.aws_ms, options.aws_ms)
    stub.serve("secrets", options.aws_ms, options.aws_ms)
    stub.serve("provider", options.provider_connect_ms, options.provider_ms)
    with socket.socket(type=socket.SOCK_DGRAM) as traces:  # nobody reads them
        traces.bind(("127.0.0.1", 0))
        stub.ports["datagrams"] = traces.getsockname()[1]
        for line in sys.stdin:
            print(json.dumps(stub.obey(**json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
