"""`payments.provider` against a server that speaks TLS and nothing else by itself: each test says byte for byte what comes back.

The provider is unsafe input: whatever it sends, one request goes out, nothing crashes, and what is not certain is unknown.
"""

import contextlib
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
import trustme

from infra.trust import subject_hash
from payments import connection as module
from payments import provider as asking
from payments.connection import NotConnected
from payments.deadline import Deadline
from payments.messages import AnswerKind
from payments.provider import Provider
from payments.secret import Credentials
from payments.settings import ProviderSettings
from payments.signatures import Scheme, authorise
from tests.fakes import scene as make

CREDENTIALS = Credentials("dc728de1-51ef-4ef1-80f7-3b44b07b5667", "fake-key", "fake-secret", "fake-endpoints-key")
URL = "https://callback.example.com/"
VOID = json.dumps(make.fields(order_id="123")).encode()
Script = Callable[[ssl.SSLSocket], None]


class Peer:
    """A TLS server that plays one script a connection and keeps the requests that it read."""

    def __init__(self, certificate: trustme.LeafCert) -> None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        certificate.configure_cert(context)
        self.script: Script = lambda connection: None
        self.requests: list[bytes] = []
        self.resumptions: list[bool] = []
        """Of each connection: did it offer to resume a session?"""
        self.alerts_at_resumption = False
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._context = context
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                raw, _ = self._listener.accept()
                self.resumptions.append(offers_resumption(raw.recv(65_536, socket.MSG_PEEK)))
                if self.resumptions[-1] and self.alerts_at_resumption:
                    with raw:
                        raw.recv(65_536)
                        raw.sendall(HANDSHAKE_FAILURE)
                    continue
                with self._context.wrap_socket(raw, server_side=True) as connection:
                    self.requests.append(read_request(connection))
                    self.script(connection)
            except OSError:
                if self._listener.fileno() < 0:
                    return

    def answers(self, data: bytes) -> None:
        self.script = lambda connection: connection.sendall(data)

    def stop(self) -> None:
        self._listener.close()


HANDSHAKE_FAILURE = bytes.fromhex("15 0303 0002 02 28")
TICKET, PRE_SHARED_KEY = 0x23, 0x29


def offers_resumption(hello: bytes) -> bool:
    """Does a ClientHello (RFC 8446, 4.1.2) hold a key of TLS 1.3 or a ticket of TLS 1.2?"""
    at = 5 + 4 + 2 + 32
    for length_bytes in (1, 2, 1):  # session id, cipher suites, compression methods
        at += length_bytes + int.from_bytes(hello[at : at + length_bytes])
    at += 2
    while at + 4 <= len(hello):
        kind, length = int.from_bytes(hello[at : at + 2]), int.from_bytes(hello[at + 2 : at + 4])
        if kind == PRE_SHARED_KEY or (kind == TICKET and length > 0):
            return True
        at += 4 + length
    return False


def read_request(connection: ssl.SSLSocket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        piece = connection.recv(65_536)
        if not piece:
            return data
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    length = next((int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0)
    while len(body) < length:
        body += connection.recv(65_536)
    return head + b"\r\n\r\n" + body


def http(body: bytes, status: str = "200 OK", *headers: str, length: int | None = None) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body) if length is None else length}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def peer(authority: trustme.CA) -> Iterator[Peer]:
    peer = Peer(authority.issue_cert("127.0.0.1"))
    yield peer
    peer.stop()


@pytest.fixture
def provider(peer: Peer, authority: trustme.CA, tmp_path: Path) -> Provider:
    return provider_at(peer.port, authority, tmp_path)


def provider_at(port: int, authority: trustme.CA, folder: Path, scheme: Scheme = Scheme.HMAC) -> Provider:
    file = folder / "authority.crt"
    authority.cert_pem.write_to_path(str(file))
    return Provider(ProviderSettings(f"https://127.0.0.1:{port}", scheme, str(file)), URL)


def within(seconds: float) -> Deadline:
    return Deadline(clock() + round(seconds * 1000), clock)


def clock() -> int:
    return time.monotonic_ns() // 1_000_000


def send(provider: Provider, seconds: float = 4, answer: float = 15) -> AnswerKind:
    opening = provider.open()
    try:
        return provider.send_void(
            opening, CREDENTIALS, "123", "UAH", "10101", send_by=within(seconds), answer_by=within(answer)
        ).kind
    finally:
        opening.close()


def test_a_success_is_read_and_exactly_the_signed_bytes_were_sent(peer: Peer, provider: Provider) -> None:
    peer.answers(http(VOID))
    assert send(provider) is AnswerKind.SUCCESS
    (request,) = peer.requests
    head, _, body = request.partition(b"\r\n\r\n")
    lines = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:])
    assert head.startswith(b"POST /api/v1/void HTTP/1.1\r\n")
    assert lines["X-API-AUTH"] == authorise(Scheme.HMAC, "fake-key", "fake-secret", body)
    assert lines["X-API-KEY"] == "fake-endpoints-key"
    assert lines["Content-Type"] == "application/json"
    assert json.loads(body) == {
        "pos_id": CREDENTIALS.pos_id, "order_id": "123", "order_currency": "UAH", "comment": "10101", "server_url": URL,
    }  # fmt: skip


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000 + b"\r\n\r\n",
        http(VOID[:-20], length=len(VOID)),
        http(VOID, "200 OK", "Content-Encoding: gzip"),
        http(VOID, "302 Found", "Location: https://127.0.0.1/elsewhere"),
        http(VOID, "307 Temporary Redirect", "Location: https://127.0.0.1/elsewhere"),
        http(b"<html>hello</html>"),
        http(b"[" * 100_000),
        http(b'{"a":' * 100_000),
        http("\ufeff{}".encode()),
        http(VOID.decode().encode("utf-16")),
        http(b"\xff\xfe\x00"),
        http(b'{"amount": ' + b"9" * 10_000 + b"}"),
        http(b"null"),
        http(b" " * module.LARGEST_ANSWER + VOID),
        http(VOID + b" " * module.LARGEST_ANSWER),
        http(VOID.replace(b'"123"', b'"124"')),
        http(VOID.replace(b'"void"', b'"refund"')),
        http(VOID, "500 Internal Server Error"),
        http(VOID, "503 Service Unavailable"),
        http(VOID, "418 I'm a teapot"),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"a"',
        b"HTTP/1.1 100 Continue\r\n\r\n",
    ],
    ids=lambda answer: repr(answer[:40]),
)
def test_what_cannot_be_trusted_is_unknown_and_is_not_asked_for_again(
    peer: Peer, provider: Provider, answer: bytes
) -> None:
    peer.answers(answer)
    assert send(provider) is AnswerKind.UNKNOWN
    assert len(peer.requests) == 1


def test_the_largest_answer_is_still_read(peer: Peer, provider: Provider) -> None:
    peer.answers(http(b" " * (module.LARGEST_ANSWER - len(VOID)) + VOID))
    assert send(provider) is AnswerKind.SUCCESS


@pytest.mark.parametrize("piece", [b"H", b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n {"])
def test_an_answer_that_drips_ends_when_its_time_is_over(
    peer: Peer, provider: Provider, piece: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each piece comes well before the socket's time-out; only the wall time of the whole ends it."""
    monkeypatch.setattr(asking, "ANSWER_SECONDS", 0.5)

    def drip(connection: ssl.SSLSocket) -> None:
        connection.sendall(piece)
        for _ in range(300):
            time.sleep(0.1)
            connection.sendall(b" ")

    peer.script = drip
    began = time.monotonic()
    assert send(provider) is AnswerKind.UNKNOWN
    assert 0.5 <= time.monotonic() - began < 20


def test_nothing_is_sent_when_the_time_is_over_before_the_first_byte(peer: Peer, provider: Provider) -> None:
    peer.answers(http(VOID))
    with pytest.raises(NotConnected):
        send(provider, seconds=0)
    assert all(request == b"" for request in peer.requests)


@pytest.fixture
def slow_resolver(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """A resolver that answers when the test says so."""
    answers, resolve = threading.Event(), socket.getaddrinfo

    def slow(*arguments: Any, **more: Any) -> Any:
        answers.wait(20)
        return resolve(*arguments, **more)

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    return answers


def test_a_resolver_that_takes_for_ever_delays_no_post(
    peer: Peer, provider: Provider, slow_resolver: threading.Event
) -> None:
    peer.answers(http(VOID))
    began = time.monotonic()
    with pytest.raises(NotConnected):
        send(provider, seconds=0.3)
    assert time.monotonic() - began < 10
    slow_resolver.set()
    time.sleep(0.2)
    assert all(request == b"" for request in peer.requests), "what resolves later sends nothing"


def test_whoever_does_not_need_the_connection_does_not_wait_for_it(
    provider: Provider, slow_resolver: threading.Event
) -> None:
    began = time.monotonic()
    provider.open().close()
    assert time.monotonic() - began < 10
    slow_resolver.set()


def test_a_question_ends_within_its_deadline_whatever_the_resolver_does(
    provider: Provider, slow_resolver: threading.Event
) -> None:
    began = time.monotonic()
    assert provider.get_order(CREDENTIALS, "123", within(0.3)) is None
    assert time.monotonic() - began < 10
    slow_resolver.set()


def test_addresses_that_swallow_everything_share_one_time(
    peer: Peer, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A listener whose queue is full accepts nothing and refuses nothing."""
    swallowing = socket.socket()
    swallowing.bind(("127.0.0.1", 0))
    swallowing.listen(0)
    fillers = [socket.socket() for _ in range(4)]
    for filler in fillers:
        filler.setblocking(False)
        filler.connect_ex(swallowing.getsockname())
    entry = (socket.AF_INET, socket.SOCK_STREAM, 6, "")
    addresses = [(*entry, swallowing.getsockname())] * 4 + [(*entry, ("127.0.0.1", peer.port))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_arguments, **_more: addresses)
    monkeypatch.setattr(module, "CONNECT_SECONDS", 3.0)
    peer.answers(http(VOID))
    try:
        assert send(provider, seconds=10) is AnswerKind.SUCCESS
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_arguments, **_more: addresses[:4])
        began = time.monotonic()
        with pytest.raises(NotConnected):
            send(provider, seconds=20)
        assert time.monotonic() - began < 12, "four times the timeout would be 12"
    finally:
        for each in (swallowing, *fillers):
            each.close()


def test_nobody_listening_is_not_connected(authority: trustme.CA, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(NotConnected):
        send(provider_at(port, authority, tmp_path))


@pytest.mark.parametrize("wrong", ["another authority", "another name"])
def test_a_certificate_that_proves_nothing_gets_no_request(authority: trustme.CA, tmp_path: Path, wrong: str) -> None:
    other = trustme.CA() if wrong == "another authority" else authority
    peer = Peer(other.issue_cert("127.0.0.1" if wrong == "another authority" else "provider.example"))
    try:
        with pytest.raises(NotConnected):
            send(provider_at(peer.port, authority, tmp_path))
        assert peer.requests == []
    finally:
        peer.stop()


def test_the_order_is_asked_for_by_its_encoded_id_with_the_plain_scheme(peer: Peer, provider: Provider) -> None:
    order_id = "INV/2024 №7?#%"
    peer.answers(http(json.dumps([make.fields(method="auth", order_id=order_id)]).encode()))
    view = provider.get_order(CREDENTIALS, order_id, within(10))
    assert view is not None
    assert view.shows_hold_alone
    head = peer.requests[0].decode()
    path = "INV%2F2024%20%E2%84%967%3F%23%25"
    assert head.startswith(f"GET /api/v1/pos/{CREDENTIALS.pos_id}/orders/{path} HTTP/1.1\r\n")
    assert "X-API-AUTH: CPAY fake-key:fake-secret\r\n" in head


@pytest.mark.parametrize("answer", [b"", http(b"[", "200 OK"), http(b"{}", "500 Oops"), http(b"[{}]"), http(b"[[]]")])
def test_a_question_without_a_readable_answer_is_none(peer: Peer, provider: Provider, answer: bytes) -> None:
    peer.answers(answer)
    assert provider.get_order(CREDENTIALS, "123", within(10)) is None
    assert provider.get_order(CREDENTIALS, "123", within(0)) is None
    assert len(peer.requests) == 1


@pytest.mark.parametrize(
    ("answer", "taken"),
    [
        (http(b'{"message": "Payment not found"}', "404 Not Found"), True),
        (http(b'{"message": "Invalid pos_id field or credentials", "args": {"code": "S-404"}}', "401 No"), False),
        (b"", None),
    ],
)
def test_credentials_are_checked_by_one_question_about_no_order(
    peer: Peer, provider: Provider, answer: bytes, taken: bool | None
) -> None:
    peer.answers(answer)
    assert provider.accepts(CREDENTIALS, within(10)) is taken
    assert len(peer.requests) == 1
    head = peer.requests[0].decode()
    assert head.startswith(f"GET /api/v1/pos/{CREDENTIALS.pos_id}/orders/0 HTTP/1.1\r\n")
    assert "X-API-AUTH: CPAY fake-key:fake-secret\r\n" in head


def test_each_post_has_a_connection_of_its_own(peer: Peer, provider: Provider) -> None:
    connections: list[ssl.SSLSocket] = []

    def answer(connection: ssl.SSLSocket) -> None:
        connections.append(connection)
        connection.sendall(http(VOID, "200 OK", "Connection: keep-alive"))

    peer.script = answer
    assert [send(provider), send(provider)] == [AnswerKind.SUCCESS, AnswerKind.SUCCESS]
    assert len(connections) == 2


@pytest.mark.parametrize("header", ["Connection: keep-alive", "Connection: close"])
def test_the_next_connection_resumes_the_tls_session(peer: Peer, provider: Provider, header: str) -> None:
    reused: list[bool | None] = []

    def answer(connection: ssl.SSLSocket) -> None:
        reused.append(connection.session_reused)
        connection.sendall(http(VOID, "200 OK", header))

    peer.script = answer
    assert [send(provider) for _ in range(3)] == [AnswerKind.SUCCESS] * 3
    assert reused == [False, True, True]


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_peer_that_answers_a_resumption_with_an_alert_is_reached_again(
    peer: Peer, provider: Provider, version: ssl.TLSVersion
) -> None:
    peer._context.maximum_version = version
    peer.answers(http(VOID))
    assert send(provider) is AnswerKind.SUCCESS
    peer.alerts_at_resumption = True
    assert [send(provider) for _ in range(2)] == [AnswerKind.SUCCESS] * 2
    assert provider.get_order(CREDENTIALS, "123", within(5)) is not None
    assert peer.resumptions == [False, *[True, False] * 3]
    assert len(peer.requests) == 4, "each was sent once"


ANNOUNCED = b"HTTP/1.1 102 Processing\r\nX-Step: 1\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"


@pytest.mark.parametrize("before", [ANNOUNCED[:1], ANNOUNCED[1:], ANNOUNCED, ANNOUNCED * 3])
def test_what_only_announces_an_answer_is_not_taken_for_it(
    peer: Peer, provider: Provider, before: tuple[bytes, ...]
) -> None:
    peer.answers(b"".join(before) + http(VOID))
    assert send(provider) is AnswerKind.SUCCESS
    peer.answers(b"".join(before) + http(b"[" + VOID + b"]"))
    view = provider.get_order(CREDENTIALS, "123", within(5))
    assert view is not None
    assert len(view.operations) == 1


def test_announcements_without_an_end_end_in_time(
    peer: Peer, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    def announce(connection: ssl.SSLSocket) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection.sendall(ANNOUNCED[0])
                time.sleep(0.01)

    monkeypatch.setattr(asking, "ANSWER_SECONDS", 0.5)
    peer.script = announce
    began = time.monotonic()
    assert send(provider) is AnswerKind.UNKNOWN
    assert time.monotonic() - began < 10


def test_a_session_is_no_proof_for_another_peer(authority: trustme.CA, tmp_path: Path) -> None:
    """The same address, later served by somebody without the certificate: nothing is sent."""
    peer = Peer(authority.issue_cert("127.0.0.1"))
    provider = provider_at(peer.port, authority, tmp_path)
    peer.answers(http(VOID))
    assert send(provider) is AnswerKind.SUCCESS
    peer.stop()
    impostor = Peer(trustme.CA().issue_cert("127.0.0.1"))
    provider._port = impostor.port
    impostor.answers(http(VOID))
    try:
        with pytest.raises(NotConnected):
            send(provider)
        assert impostor.requests == []
    finally:
        impostor.stop()


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """What the provider's sockets were given to send."""
    pieces: list[bytes] = []
    send = ssl.SSLSocket.send

    def note(sock: ssl.SSLSocket, data: bytes, flags: int = 0) -> int:
        if isinstance(sock, module._DeadlineSocket):
            pieces.append(bytes(data))
        return send(sock, data, flags)

    monkeypatch.setattr(ssl.SSLSocket, "send", note)
    return pieces


def test_nothing_is_sent_on_an_open_connection_once_its_time_is_over(provider: Provider, written: list[bytes]) -> None:
    opening = provider.open()
    assert opening.wait(within(20)).sock is not None
    with pytest.raises(NotConnected):
        provider.send_void(opening, CREDENTIALS, "123", "UAH", None, send_by=within(0), answer_by=within(15))
    opening.close()
    assert written == []


def test_a_time_that_ends_before_the_first_byte_is_unknown_and_sends_nothing(
    provider: Provider, written: list[bytes]
) -> None:
    """The deadline is over between the last look at the clock and the request."""
    ticks = iter([0, 0])
    ends = Deadline(1_000, lambda: next(ticks, 1_000))
    opening = provider.open()
    answer = provider.send_void(opening, CREDENTIALS, "123", "UAH", None, send_by=within(20), answer_by=ends)
    opening.close()
    assert answer.kind is AnswerKind.UNKNOWN
    assert next(ticks, None) is None, "the clock was looked at"
    assert written == []


def test_a_connection_that_opens_after_it_was_given_up_is_closed() -> None:
    class Connection(module.Connection):
        closed = False

        def close(self) -> None:
            self.closed = True

    opens, connection = threading.Event(), Connection("provider.example", 443)

    def connect() -> Connection:
        opens.wait(20)
        return connection

    opening = module.OpeningConnection(connect)
    opening.close()
    assert not connection.closed
    opens.set()
    assert opening._ended.wait(20)
    assert connection.closed


def test_an_answer_without_an_end_is_read_no_further_than_the_largest(peer: Peer, provider: Provider) -> None:
    sent, over = [0], threading.Event()
    piece = b" " * 65_536

    def pour(connection: ssl.SSLSocket) -> None:
        try:
            connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
            for _ in range(1_000):
                connection.sendall(piece)
                sent[0] += len(piece)
        finally:
            over.set()

    peer.script = pour
    assert send(provider) is AnswerKind.UNKNOWN
    assert over.wait(60)
    assert sent[0] < 32 * module.LARGEST_ANSWER, "the rest is what the sockets hold"


def test_an_answer_may_take_longer_than_a_connection(peer: Peer, provider: Provider) -> None:
    peer.answers(http(VOID))
    opening = provider.open()
    sock = opening.wait(within(20)).sock
    provider.send_void(opening, CREDENTIALS, "123", "UAH", None, send_by=within(20), answer_by=within(15))
    left = sock.gettimeout()
    opening.close()
    assert left is not None
    assert module.CONNECT_SECONDS < left <= asking.ANSWER_SECONDS


def test_a_body_does_not_wait_for_the_acknowledgement_of_its_headers(peer: Peer, provider: Provider) -> None:
    opening = provider.open()
    assert opening.wait(within(20)).sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    opening.close()


def test_a_refused_connection_is_known_at_once(authority: trustme.CA, tmp_path: Path) -> None:
    """Nobody waits out the time for a connection that cannot come, nor takes a socket that is no stream for one."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    opening = provider_at(port, authority, tmp_path).open()
    assert opening._ended.wait(30)
    with pytest.raises(NotConnected):
        opening.wait(within(20))


@pytest.mark.parametrize("kind", ["resolver", "refused", "TLS", "time-out", "network"])
def test_the_kind_of_a_failed_connection_is_said(
    authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    peer = Peer(trustme.CA().issue_cert("127.0.0.1"))
    if kind == "refused":
        peer.stop()
    raised = {"resolver": socket.gaierror(), "network": OSError("a-text")}.get(kind)
    if raised is not None:
        monkeypatch.setattr(socket, "getaddrinfo", Mock(side_effect=raised))
    opening = provider_at(peer.port, authority, tmp_path).open()
    ends = within(0 if kind == "time-out" else 30)
    if kind != "time-out":
        assert opening._ended.wait(30)
    with pytest.raises(NotConnected) as failed:
        opening.wait(ends)
    assert str(failed.value) == kind
    opening.close()
    peer.stop()


class Network:
    """Addresses without a network: connecting costs the time that it is given, and fails unless the address is good."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, addresses: list[str]) -> None:
        self.now, self.timeouts = 0.0, list[float]()
        network = self

        class Socket:
            def __init__(self, *_: object) -> None:
                self.left = 0.0

            def setsockopt(self, *_: object) -> None: ...

            def close(self) -> None: ...

            def settimeout(self, seconds: float) -> None:
                self.left = seconds
                network.timeouts.append(seconds)

            def connect(self, address: str) -> None:
                if address == "refuses":
                    raise ConnectionRefusedError
                if address != "answers":
                    network.now += self.left
                    raise TimeoutError

        found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", address) for address in addresses]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_arguments, **_more: found)
        monkeypatch.setattr(socket, "socket", Socket)
        monkeypatch.setattr(time, "monotonic", lambda: self.now)

    def connect(self) -> None:
        module.Connection("provider.example", 443)._new_conn()


@pytest.mark.parametrize(
    ("addresses", "timeouts"),
    [
        (["swallows"], [2.0]),
        (["swallows", "swallows"], [1.0, 1.0]),
        (["swallows", "swallows", "swallows"], [1.0, 0.5, 0.5]),
        (["refuses", "swallows"], [1.0, 2.0]),
    ],
)
def test_each_address_gets_half_of_the_time_that_is_left_and_the_last_one_all(
    monkeypatch: pytest.MonkeyPatch, addresses: list[str], timeouts: list[float]
) -> None:
    network = Network(monkeypatch, addresses)
    with pytest.raises(OSError):  # whichever the last address raised
        network.connect()
    assert network.timeouts == timeouts


def test_the_handshake_gets_the_rest_of_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    network = Network(monkeypatch, ["swallows", "answers", "swallows"])
    network.connect()
    assert network.timeouts == [1.0, 0.5, 1.0]


@pytest.mark.parametrize(("url", "port"), [("https://provider.example", 443), ("https://provider.example:8443", 8443)])
def test_the_provider_is_reached_at_its_host_and_port(monkeypatch: pytest.MonkeyPatch, url: str, port: int) -> None:
    asked: list[tuple[object, ...]] = []

    def resolve(*arguments: object, **more: object) -> list[object]:
        asked.append((*arguments, more))
        raise socket.gaierror

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    opening = Provider(ProviderSettings(url, Scheme.PLAIN, None)).open()
    with pytest.raises(NotConnected):
        opening.wait(within(20))
    assert asked == [("provider.example", port, {"type": socket.SOCK_STREAM})]


@pytest.mark.parametrize("trusted", [True, False])
@pytest.mark.parametrize("where", ["the asset", "the system"])
def test_without_a_file_the_authorities_of_the_asset_are_trusted_or_else_the_systems(
    peer: Peer, authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str, trusted: bool
) -> None:
    mine, none = tmp_path / "mine", tmp_path / "none"
    for folder, issuer in ((mine, authority), (none, trustme.CA())):
        folder.mkdir()
        issuer.cert_pem.write_to_path(str(folder / "authority.pem"))
        name = subject_hash(ssl.PEM_cert_to_DER_cert(issuer.cert_pem.bytes().decode()))
        (folder / f"{name}.0").symlink_to("authority.pem")
    chosen, other = (mine, none) if trusted else (none, mine)
    monkeypatch.setattr(module, "ROOTS", chosen if where == "the asset" else tmp_path / "missing")
    monkeypatch.setenv("SSL_CERT_FILE", str((chosen if where == "the system" else other) / "authority.pem"))
    provider = Provider(ProviderSettings(f"https://127.0.0.1:{peer.port}", Scheme.PLAIN, None), URL)
    peer.answers(http(VOID))
    if trusted:
        assert send(provider) is AnswerKind.SUCCESS
    else:
        with pytest.raises(NotConnected):
            send(provider)
        assert peer.requests == []


def test_no_older_tls_than_1_2_is_spoken() -> None:
    provider = Provider(ProviderSettings("https://provider.example", Scheme.PLAIN, None))
    assert provider._trust.minimum_version >= ssl.TLSVersion.TLSv1_2


def test_a_question_names_its_project_by_an_encoded_id_and_has_no_body(peer: Peer, provider: Provider) -> None:
    peer.answers(http(b"[]"))
    provider.get_order(Credentials("a/b c", "k", "s", "e"), "123", within(10))
    head = peer.requests[0].decode()
    assert head.startswith("GET /api/v1/pos/a%2Fb%20c/orders/123 HTTP/1.1\r\n")
    assert "content-type" not in head.lower()
    assert head.endswith("\r\n\r\n")
