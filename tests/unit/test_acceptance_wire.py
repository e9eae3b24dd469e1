"""What goes onto the wire as it is meant, and what acceptance reads of an answer: numbers as they are, no JSON as none."""

import socket
import threading
from decimal import Decimal
from pathlib import Path

import pytest

from acceptance import wire
from acceptance.site import Site
from acceptance.wire import NoAnswer, Reply
from local.sandbox import Sandbox
from play.ledger import Project
from tests.fakes.account import POS_ID, Account, deployed


class Wire:
    """A bare socket that keeps what arrives, up to its empty line, and gives one answer."""

    def __init__(self, answer: bytes) -> None:
        self.received = b""
        self._answer, self._server = answer, socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._server.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with self._server, self._server.accept()[0] as connection:
            while b"\r\n\r\n" not in self.received:
                self.received += connection.recv(4096)
            connection.sendall(self._answer)
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(1 << 16):  # the rest of a body that nobody asked for
                pass


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Case: Kept\r\n\r\n{}"


@pytest.mark.parametrize("target", ["//v1/voids", "/v1//voids/", "/v1/voids/a%2Fb%41%c3", "/v1/voids?cursor=a+b&x=%20"])
def test_a_target_is_sent_as_it_is(target: str) -> None:
    server = Wire(OK)
    reply = wire.send(server.url, "GET", target, {"X-Case": "é"})
    assert server.received.startswith(f"GET {target} HTTP/1.1\r\n".encode())
    assert b"\r\nHost: 127.0.0.1" in server.received
    assert b"X-Case: \xe9\r\n" in server.received
    assert (reply.status, reply.headers["x-case"], reply.json) == (200, "Kept", {})


def test_an_answer_that_comes_before_the_whole_body_is_read() -> None:
    server = Wire(b"HTTP/1.1 413 X\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig")
    assert wire.send(server.url, "POST", "/", body=b" " * 10_485_761).status == 413


@pytest.mark.parametrize("answer", [b"", b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx"])
def test_an_answer_that_is_none_is_one_error(answer: bytes) -> None:
    with pytest.raises(NoAnswer, match="no answer from 127.0.0.1"):
        wire.send(Wire(answer).url, "GET", "/", seconds=5)


def test_a_certificate_that_nobody_trusts_is_no_answer(tmp_path: Path) -> None:
    provider = Sandbox(0, Project(POS_ID, "k", "s", "e"), tmp_path)
    try:
        with pytest.raises(NoAnswer, match="SSLCertVerificationError"):
            wire.send(provider.provider_url, "GET", "/health")
        assert wire.send(provider.provider_url, "GET", "/health", ca_file=str(provider.ca_file)).body == b"OK"
    finally:
        provider.stop()


def test_deliveries_are_read_from_the_access_log(
    account: Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site, asked = deployed(account, tmp_path), list[str]()

    def log(_: Site, pattern: str, since: object) -> list[dict[str, str]]:
        asked.append(pattern)
        return [{"status": "500"}, {"status": "200"}]

    monkeypatch.setattr(Site, "access_log", log)
    assert site.deliveries("order-1", site.now()) == [500, 200]
    assert asked == ['{ $.route = "/webhooks/financial-line" }']


@pytest.mark.parametrize(("body", "read"), [
    (b'{"status": 404}', {"status": 404}), (b"[-7, 1.50, 1E+2]", [-7, Decimal("1.50"), Decimal(100)]),
    (b"123456789012345678901234567890", 123456789012345678901234567890),
    (b'{"amount": 1e1000000000000000000}', {"amount": None}), (b'["a", true, null]', ["a", True, None]),
    (b"<html>", None), (b"", None),
])  # fmt: skip
def test_an_answer_is_read_with_exact_numbers(body: bytes, read: object) -> None:
    answer = Reply(200, {}, body, 0.0).json
    assert answer == read
    assert type(answer) is type(read)
