"""Table, Secrets Manager and provider as stubs over TLS: canned answers, counted, optionally late.

Promises to answer at once or after a fixed delay, and to count what arrived at its sockets. Runs in its own process, so
that its CPU is not a subject's. Checks no signature and stores nothing.
"""

import argparse
import asyncio
import json
import re
import socket
import ssl
import sys
import zlib
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any

Answer = tuple[int, str, bytes]
Answering = Callable[[str, bytes], Answer]
"""From the operation that AWS's protocol names (at the provider, the path) and the body."""

SECRET = {
    # The provider's published examples.
    "pos_id": "dc728de1-51ef-4ef1-80f7-3b44b07b5667",
    "api_key": "2c2b91a3-9b73-4551-81ac-84e0d0360995",
    "api_secret": "ktMdTyollYMRkEfvgqbaWmvFiXPy1a80",
    "endpoints_key": "fake-endpoints-key",
}
LENGTH = re.compile(rb"\r\ncontent-length:\s*(\d+)", re.IGNORECASE)
OPERATION = re.compile(rb"\r\nx-amz-target:\s*\w+\.(\w+)", re.IGNORECASE)


def table(reads: dict[str, str]) -> Answering:
    """Every write succeeds. A read finds what `reads` says for its operation, and otherwise nothing."""

    def answer(operation: str, _body: bytes) -> Answer:
        return 200, "application/x-amz-json-1.0", reads.get(operation, "{}").encode()

    return answer


def secrets(_operation: str, body: bytes) -> Answer:
    """The one secret."""
    answer = {
        "ARN": json.loads(body)["SecretId"],
        "Name": "void-service",
        "VersionId": "00000000-0000-4000-8000-000000000000",
        "SecretString": json.dumps(SECRET),
        "VersionStages": ["AWSCURRENT"],
        "CreatedDate": 1.7e9,
    }
    return 200, "application/x-amz-json-1.1", json.dumps(answer).encode()


def provider(path: str, body: bytes) -> Answer:
    """A void that succeeded: the answer to a POST, or all operations of the order that a GET asks about."""
    if not body:
        return 200, "application/json", json.dumps([operation(path.rpartition("/")[2], "UAH")]).encode()
    asked = json.loads(body)
    return 200, "application/json", json.dumps(operation(asked["order_id"], asked["order_currency"])).encode()


def operation(order_id: str, currency: str) -> dict[str, Any]:
    """The sixteen fields of a successful void."""
    return {
        "operation_id": "0e4d9d3a-5b5d-4f0c-9b0f-6f3c1d0c7a11",
        "payment_id": "6f1f6f0a-4c57-4a3e-8f6e-2b9b1b6f5d10",
        "order_id": order_id,
        "transaction_id": "1c6f3f52-7c8c-4f52-8b45-3f1d2a8e9b01",
        "pos_id": SECRET["pos_id"],
        "mode": "direct",
        "method": "void",
        "amount": 100.5,
        "currency": currency,
        "status": "success",
        "status_code": "1009",
        "status_description": "Void success",
        "created_at": "2026-11-24 10:10:10",
        "processing_time": "2026-11-24 10:10:11",
        "fee": None,
        "comment": "benchmark",
    }


class Stub:
    """The three servers and their counters."""

    def __init__(self, tls: ssl.SSLContext) -> None:
        self.tls = tls
        self.counts: Counter[str] = Counter()
        self.open: set[asyncio.StreamWriter] = set()
        self.tasks: set[asyncio.Task[None]] = set()

    def serve(self, name: str, answer: Answering, connect: float, delay: float) -> int:
        """Serve one role; `connect` and `delay` are seconds before the handshake and before each answer."""
        listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        listener.setblocking(False)
        self.start(self.accept(listener, name, answer, connect, delay))
        return int(listener.getsockname()[1])

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Let it run beside the others."""
        task = asyncio.get_running_loop().create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def accept(self, listener: socket.socket, name: str, answer: Answering, connect: float, delay: float) -> None:
        """Count each connection, then shake hands with it. Not by asyncio's server: it could not shake hands late."""
        while True:
            sock, _ = await asyncio.get_running_loop().sock_accept(listener)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.counts[f"{name} connections"] += 1
            self.start(self.talk(sock, name, answer, connect, delay))

    async def talk(self, sock: socket.socket, name: str, answer: Answering, connect: float, delay: float) -> None:
        """Requests of one connection, until it ends."""
        loop = asyncio.get_running_loop()
        await asyncio.sleep(connect)
        reader = asyncio.StreamReader(loop=loop)
        protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
        try:
            transport, _ = await loop.connect_accepted_socket(lambda: protocol, sock, ssl=self.tls)
        except OSError:
            return  # the subject hung up
        writer = asyncio.StreamWriter(transport, protocol, reader, loop)
        self.open.add(writer)
        before = 0
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length, operation = LENGTH.search(head), OPERATION.search(head)
                body = await reader.readexactly(int(length[1])) if length else b""
                self.counts[name] += 1
                self.counts[f"{name} bytes"] += len(head) + len(body)
                named = operation[1] if operation else head.split(b" ", 2)[1]
                await asyncio.sleep(delay)
                writer.write(response(answer(named.decode(), body)))
                await writer.drain()
                self.counts[f"{name} wire"] += received(sock) - before
                before = received(sock)
        except (OSError, asyncio.IncompleteReadError):
            pass  # the subject hung up, or we did
        finally:
            self.open.discard(writer)
            writer.close()

    async def control(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One word a line: `reset`, `counts`, `drop` (close every connection); answered by the counters."""
        while word := (await reader.readline()).decode().strip():
            if word == "reset":
                self.counts.clear()
            if word == "drop":
                for other in list(self.open):
                    other.close()
            writer.write(json.dumps(self.counts).encode() + b"\n")
            await writer.drain()
        writer.close()


def response(answer: Answer) -> bytes:
    """As AWS frames it."""
    status, kind, payload = answer
    head = (
        f"HTTP/1.1 {status} OK\r\nContent-Type: {kind}\r\nContent-Length: {len(payload)}\r\n"
        f"x-amz-crc32: {zlib.crc32(payload)}\r\nx-amzn-RequestId: 00000000-0000-4000-8000-000000000000\r\n\r\n"
    )
    return head.encode() + payload


def received(sock: socket.socket) -> int:
    """Bytes that came in over a TCP connection, handshakes of TLS included, where the kernel tells (Linux)."""
    if sys.platform != "linux":
        return 0
    info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
    # struct tcp_info: tcpi_bytes_received is the 64-bit number at 128.
    return int.from_bytes(info[128:136], sys.byteorder) if len(info) >= 136 else 0


async def main() -> None:
    """Serve until stdin ends; the ports are the first line on stdout."""
    parser = argparse.ArgumentParser()
    parser.add_argument("certificate")
    parser.add_argument("--aws-ms", type=float, default=0)
    parser.add_argument("--provider-connect-ms", type=float, default=0)
    parser.add_argument("--provider-ms", type=float, default=0)
    parser.add_argument("--reads", type=json.loads, default={}, help="JSON: an operation of the table and its answer")
    options = parser.parse_args()
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(options.certificate)
    stub = Stub(tls)
    aws = options.aws_ms / 1000
    ports = {
        "table": stub.serve("table", table(options.reads), aws, aws),
        "secrets": stub.serve("secrets", secrets, aws, aws),
        "provider": stub.serve("provider", provider, options.provider_connect_ms / 1000, options.provider_ms / 1000),
    }
    control = await asyncio.start_server(stub.control, "127.0.0.1", 0)
    ports["control"] = control.sockets[0].getsockname()[1]
    # Where trace segments go: nobody reads them.
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        asyncio.DatagramProtocol, local_addr=("127.0.0.1", 0)
    )
    ports["datagrams"] = transport.get_extra_info("sockname")[1]
    sys.stdout.write(json.dumps(ports) + "\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main())
