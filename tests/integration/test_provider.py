"""`payments.provider` against a peer over TLS of which each test says byte for byte what it answers.

The provider is unsafe input: whatever it sends, one request goes out, nothing crashes, and what is not certain is unknown.
"""

import contextlib
import json
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from copy import replace
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
import trustme

from infra.trust import subject_hash
from payments import connection as module
from payments import provider as asking
from payments.connection import LARGEST_ANSWER, NotConnected
from payments.deadline import Deadline
from payments.messages import AnswerKind, OrderView
from payments.provider import Provider
from payments.secret import Credentials
from payments.settings import ProviderSettings
from payments.signatures import Scheme, authorise
from tests.fakes import scene as make
from tests.integration.peer import Peer, http

CREDENTIALS = Credentials(make.POS_ID, "fake-key", "fake-secret", "fake-endpoints-key")
URL = "https://callback.example.com/"
VOID = json.dumps(make.fields(order_id="123")).encode()
SUCCESS, UNKNOWN = AnswerKind.SUCCESS, AnswerKind.UNKNOWN


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


class Line(Peer):
    """The peer, and the client that knows its address and its authority."""

    provider: Provider

    def send(self, seconds: float = 4) -> AnswerKind:
        by = {"send_by": within(seconds), "answer_by": within(15)}
        with contextlib.closing(self.provider.open()) as opening:
            return self.provider.send_void(opening, CREDENTIALS, "123", "UAH", "10101", **by).kind


@pytest.fixture
def line(authority: trustme.CA, tmp_path: Path) -> Iterator[Line]:
    line = Line(authority.issue_cert("127.0.0.1"))
    line.provider = provider_at(line.port, authority, tmp_path)
    yield line
    line.stop()


def provider_at(port: int, authority: trustme.CA, folder: Path) -> Provider:
    file = folder / "authority.crt"
    authority.cert_pem.write_to_path(str(file))
    return Provider(ProviderSettings(f"https://127.0.0.1:{port}", Scheme.HMAC, str(file)), URL)


def clock() -> int:
    return time.monotonic_ns() // 1_000_000


def within(seconds: float) -> Deadline:
    return Deadline(clock() + round(seconds * 1000), clock)


# ---- what is sent ----------------------------------------------------------------------------------------------------


def test_a_void_is_exactly_the_signed_bytes(line: Line) -> None:
    line.answers(http(VOID))
    assert line.send() is SUCCESS
    (request,) = line.requests
    head, _, body = request.partition(b"\r\n\r\n")
    lines = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:])
    assert head.startswith(b"POST /api/v1/void HTTP/1.1\r\n")
    assert lines["X-API-AUTH"] == authorise(Scheme.HMAC, "fake-key", "fake-secret", body)
    assert lines["X-API-KEY"] == "fake-endpoints-key"
    assert lines["Content-Type"] == "application/json"
    assert json.loads(body) == {
        "pos_id": make.POS_ID, "order_id": "123", "order_currency": "UAH", "comment": "10101", "server_url": URL,
    }  # fmt: skip


def test_a_query_names_project_and_order_encoded_by_the_plain_scheme_and_has_no_body(line: Line) -> None:
    order_id, project = "INV/2024 №7?#%", replace(CREDENTIALS, pos_id="a/b c")
    line.answers(http(json.dumps([make.fields(method="auth", order_id=order_id, pos_id="a/b c")]).encode()))
    view = line.provider.get_order(project, order_id, within(10))
    assert isinstance(view, OrderView)
    assert view.shows_hold_alone
    head, path = line.requests[0].decode(), "/api/v1/pos/a%2Fb%20c/orders/INV%2F2024%20%E2%84%967%3F%23%25"
    assert head.startswith(f"GET {path} HTTP/1.1\r\n")
    assert "X-API-AUTH: CPAY fake-key:fake-secret\r\n" in head
    assert "content-type" not in head.lower()
    assert head.endswith("\r\n\r\n")


# ---- what comes back -------------------------------------------------------------------------------------------------

ANNOUNCED = b"HTTP/1.1 102 Processing\r\nX-Step: 1\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
OK, ELSEWHERE = b"HTTP/1.1 200 OK\r\n", "Location: https://127.0.0.1/elsewhere"
PARTS = b'Content-Type: multipart/x;"' + b"\r\n ".join([b";" * 60_000] * 3) + b"\r\n\r\n"
POSTED: dict[str, tuple[bytes, AnswerKind]] = {
    "nothing": (b"", UNKNOWN),
    "nonsense": (b"nonsense\r\n\r\n", UNKNOWN),
    "a status that is no number": (b"HTTP/1.1 abc\r\n\r\n", UNKNOWN),
    "many headers": (OK + b"X: y\r\n" * 200 + b"\r\n", UNKNOWN),
    "a long header": (OK + b"X: " + b"y" * 70_000 + b"\r\n\r\n", UNKNOWN),
    "cut short": (http(VOID[:-20], length=len(VOID)), UNKNOWN),
    "not gzip": (http(VOID, "200 OK", "Content-Encoding: gzip"), UNKNOWN),
    "two lengths": (http(VOID, "200 OK", "Content-Length: 7"), UNKNOWN),
    "one length twice": (http(VOID, "200 OK", f"Content-Length: {len(VOID)}"), SUCCESS),
    "a media type of parts": (http(VOID, "200 OK", "Content-Type: multipart/x; a*=b; a*0=c; boundary=d"), SUCCESS),
    "found elsewhere": (http(VOID, "302 Found", ELSEWHERE), UNKNOWN),
    "to be repeated elsewhere": (http(VOID, "307 Temporary Redirect", ELSEWHERE), UNKNOWN),
    "a byte order mark": (http("\ufeff".encode() + VOID), UNKNOWN),
    "UTF-16": (http(VOID.decode().encode("utf-16")), UNKNOWN),
    "a number without an end": (http(b'{"amount": ' + b"9" * 10_000 + b"}"), UNKNOWN),
    "too large before": (http(b" " * LARGEST_ANSWER + VOID), UNKNOWN),
    "too large behind": (http(VOID + b" " * LARGEST_ANSWER), UNKNOWN),
    "as large as may be": (http(b" " * (LARGEST_ANSWER - len(VOID)) + VOID), SUCCESS),
    "a chunk of no length": (OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", UNKNOWN),
    "a chunk cut short": (OK + b'Transfer-Encoding: chunked\r\n\r\n5\r\n{"a"', UNKNOWN),
    "to be continued": (b"HTTP/1.1 100 Continue\r\n\r\n", UNKNOWN),
    "announced": (ANNOUNCED[0] + http(VOID), SUCCESS),
    "announced often": (b"".join(ANNOUNCED * 3) + http(VOID), SUCCESS),
}


@pytest.mark.parametrize(("answer", "kind"), POSTED.values(), ids=POSTED)
def test_what_cannot_be_trusted_is_unknown_and_is_not_asked_for_again(
    line: Line, answer: bytes, kind: AnswerKind
) -> None:
    line.answers(answer)
    assert line.send() is kind
    assert len(line.requests) == 1


QUERIED: dict[str, tuple[bytes, int | str]] = {
    "nothing": (b"", "reset"),
    "cut short": (http(b"["), "HTTP 200"),
    "announced": (b"".join(ANNOUNCED) + http(b"[" + VOID + b"]"), 1),
}


@pytest.mark.parametrize(("answer", "operations"), QUERIED.values(), ids=QUERIED)
def test_a_query_without_an_answer_says_why(line: Line, answer: bytes, operations: int | str) -> None:
    line.answers(answer)
    view = line.provider.get_order(CREDENTIALS, "123", within(10))
    assert (view if isinstance(view, str) else len(view.operations)) == operations
    assert line.provider.get_order(CREDENTIALS, "123", within(0)) == "time-out"
    assert len(line.requests) == 1


@pytest.mark.parametrize(("answer", "taken"), [
    (http(b'{"message": "Payment not found"}', "404 Not Found"), True),
    (http(b'{"message": "Invalid pos_id field or credentials", "args": {"code": "S-404"}}', "401 No"), False),
    (b"", None),
])  # fmt: skip
def test_credentials_are_checked_by_one_query_about_no_order(line: Line, answer: bytes, taken: bool | None) -> None:
    line.answers(answer)
    assert line.provider.accepts(CREDENTIALS, within(10)) is taken
    (request,) = line.requests
    assert request.startswith(f"GET /api/v1/pos/{make.POS_ID}/orders/0 HTTP/1.1\r\n".encode())
    assert b"X-API-AUTH: CPAY fake-key:fake-secret\r\n" in request


# ---- time ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("first", "piece"), [
    (b"H", b" "), (OK + b"Content-Length: 9999\r\n\r\n {", b" "), (b"", ANNOUNCED[0]), (OK + PARTS, b" "),
], ids=["a status line", "a body", "announcements", "behind a head that takes long"])  # fmt: skip
def test_an_answer_that_drips_ends_when_its_time_is_over(
    line: Line, first: bytes, piece: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each piece comes well before the socket's time-out; only the wall time of the whole ends it."""
    monkeypatch.setattr(asking, "ANSWER_SECONDS", 0.5)

    def drip(connection: ssl.SSLSocket) -> None:
        connection.sendall(first)
        for _ in range(300):
            time.sleep(0.1)
            connection.sendall(piece)

    line.script = drip
    began = time.monotonic()
    assert line.send() is UNKNOWN
    assert 0.5 <= time.monotonic() - began < 20


@pytest.mark.parametrize("framing", [b"Connection: close\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n-1\r\n"])
def test_an_answer_without_an_end_is_read_no_further_than_the_largest(line: Line, framing: bytes) -> None:
    sent, over, piece = [0], threading.Event(), b" " * 65_536

    def pour(connection: ssl.SSLSocket) -> None:
        try:
            connection.sendall(OK + framing)
            for _ in range(1_000):
                connection.sendall(piece)
                sent[0] += len(piece)
        finally:
            over.set()

    line.script = pour
    assert line.send() is UNKNOWN
    assert over.wait(60)
    assert sent[0] < 32 * LARGEST_ANSWER, "the rest is what the sockets hold"


@pytest.fixture
def slow_resolver(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """A resolver that answers when the test says so, or is over. Nobody waits that long."""
    answers, resolve, began = threading.Event(), socket.getaddrinfo, time.monotonic()

    def slow(*arguments: Any, **more: Any) -> Any:
        answers.wait(20)
        return resolve(*arguments, **more)

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    yield answers
    assert time.monotonic() - began < 10
    answers.set()


def test_a_resolver_that_takes_for_ever_delays_nobody(line: Line, slow_resolver: threading.Event) -> None:
    line.answers(http(VOID))
    for seconds in (0, 0.3):
        with pytest.raises(NotConnected):
            line.send(seconds)
    line.provider.open().close()
    assert line.provider.get_order(CREDENTIALS, "123", within(0.3)) == "time-out"
    slow_resolver.set()
    time.sleep(0.2)
    assert all(request == b"" for request in line.requests), "what resolves later sends nothing"


class Network:
    """Addresses without a network: connecting costs the time that it is given, and fails unless the address is good."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, addresses: list[str]) -> None:
        self.now, self.timeouts, network = 0.0, list[float](), self

        class Socket(Mock):
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
        monkeypatch.setattr(socket, "socket", lambda *_: Socket())
        monkeypatch.setattr(time, "monotonic", lambda: self.now)


@pytest.mark.parametrize(("addresses", "timeouts"), [
    ("swallows", [2.0]), ("swallows swallows", [1.0, 1.0]), ("swallows swallows swallows", [1.0, 0.5, 0.5]),
    ("refuses swallows", [1.0, 2.0]),
    ("swallows answers swallows", [1.0, 0.5, 1.0]),  # the handshake gets the rest
])  # fmt: skip
def test_each_address_gets_half_of_the_time_that_is_left_and_the_last_one_all(
    monkeypatch: pytest.MonkeyPatch, addresses: str, timeouts: list[float]
) -> None:
    network = Network(monkeypatch, addresses.split())
    good = contextlib.nullcontext() if "answers" in addresses else pytest.raises(OSError)
    with good:  # or whatever the last address raised
        module.Connection("provider.example", 443)._new_conn()
    assert network.timeouts == timeouts


def test_an_answer_may_take_longer_than_a_connection_and_no_body_waits_for_an_acknowledgement(line: Line) -> None:
    line.answers(http(VOID))
    with contextlib.closing(line.provider.open()) as opening:
        sock = opening.wait(within(20)).sock
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        line.provider.send_void(opening, CREDENTIALS, "123", "UAH", None, send_by=within(20), answer_by=within(15))
        left = sock.gettimeout() or 0
    assert module.CONNECT_SECONDS < left <= asking.ANSWER_SECONDS


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """What the provider's sockets were given to send."""
    pieces, send = list[bytes](), ssl.SSLSocket.send

    def note(sock: ssl.SSLSocket, data: bytes, flags: int = 0) -> int:
        if isinstance(sock, module._DeadlineSocket):
            pieces.append(bytes(data))
        return send(sock, data, flags)

    monkeypatch.setattr(ssl.SSLSocket, "send", note)
    return pieces


def test_nothing_is_sent_on_an_open_connection_once_its_time_is_over(line: Line, written: list[bytes]) -> None:
    ticks = iter([0, 0])
    ends = Deadline(1_000, lambda: next(ticks, 1_000))  # over between the last look at the clock and the request
    with contextlib.closing(line.provider.open()) as opening:
        assert opening.wait(within(20)).sock is not None
        with pytest.raises(NotConnected):
            line.provider.send_void(opening, CREDENTIALS, "123", "UAH", None, send_by=within(0), answer_by=within(15))
        answer = line.provider.send_void(opening, CREDENTIALS, "123", "UAH", None, send_by=within(20), answer_by=ends)
    assert answer.kind is UNKNOWN
    assert next(ticks, None) is None, "the clock was looked at"
    assert written == []


def test_a_connection_that_opens_after_it_was_given_up_is_closed() -> None:
    opens, connection = threading.Event(), Mock()

    def connect() -> Mock:
        opens.wait(20)
        return connection

    opening = module.OpeningConnection(connect)
    opening.close()
    connection.close.assert_not_called()
    opens.set()
    assert opening._opened.result(20) is connection
    connection.close.assert_called_once_with()


# ---- whom it reaches -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("cause", "kind"), [
    ("resolver", "resolver"), ("refused", "refused"), ("time-out", "time-out"), ("network", "network"),
    ("another authority", "TLS"), ("another name", "TLS"),
])  # fmt: skip
def test_a_connection_that_fails_gets_no_request_and_its_kind_is_known_at_once(
    authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cause: str, kind: str
) -> None:
    issuer = trustme.CA() if cause == "another authority" else authority
    peer = Peer(issuer.issue_cert("provider.example" if cause == "another name" else "127.0.0.1"))
    raised = {"resolver": socket.gaierror(), "network": OSError("a-text")}.get(cause)
    if raised is not None:
        monkeypatch.setattr(socket, "getaddrinfo", Mock(side_effect=raised))
    with socket.socket() as held:  # bound and not listening: refuses, and nobody else can take the port meanwhile
        held.bind(("127.0.0.1", 0))
        opening = provider_at(held.getsockname()[1] if cause == "refused" else peer.port, authority, tmp_path).open()
        ends = within(0 if cause == "time-out" else 30)
        assert cause == "time-out" or opening._opened.exception(30)
        with pytest.raises(NotConnected, match=f"^{kind}$"):
            opening.wait(ends)
    opening.close()
    assert peer.requests == [] or cause == "time-out"
    peer.stop()


@pytest.mark.parametrize("header", ["Connection: keep-alive", "Connection: close"])
def test_each_post_has_a_connection_of_its_own_and_the_next_resumes_the_tls_session(line: Line, header: str) -> None:
    line.answers(http(VOID, "200 OK", header))
    assert [line.send() for _ in range(3)] == [SUCCESS] * 3
    assert line.resumed == [False, True, True]


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_peer_that_answers_a_resumption_with_an_alert_is_reached_again(line: Line, version: ssl.TLSVersion) -> None:
    line.context.maximum_version = version
    line.answers(http(VOID))
    assert line.send() is SUCCESS
    for _ in range(2):
        line.alerts = True
        assert line.send() is SUCCESS
    line.alerts = True
    assert not isinstance(line.provider.get_order(CREDENTIALS, "123", within(5)), str)
    assert line.resumed == [False] * 4, "from the beginning each time"
    assert len(line.requests) == 4, "each was sent once"


def test_a_session_is_no_proof_for_another_peer(line: Line) -> None:
    """The same address, later served by somebody without the certificate: nothing is sent."""
    line.answers(http(VOID))
    assert line.send() is SUCCESS
    impostor = Peer(trustme.CA().issue_cert("127.0.0.1"))
    line.provider._port = impostor.port
    with pytest.raises(NotConnected):
        line.send()
    assert impostor.requests == []
    impostor.stop()


@pytest.mark.parametrize(("url", "port"), [("https://provider.example", 443), ("https://provider.example:8443", 8443)])
def test_the_provider_is_reached_at_its_host_and_port(monkeypatch: pytest.MonkeyPatch, url: str, port: int) -> None:
    resolver = Mock(side_effect=socket.gaierror)
    monkeypatch.setattr(socket, "getaddrinfo", resolver)
    provider = Provider(ProviderSettings(url, Scheme.PLAIN, None))
    with pytest.raises(NotConnected):
        provider.open().wait(within(20))
    resolver.assert_called_once_with("provider.example", port, type=socket.SOCK_STREAM)
    assert provider._trust.minimum_version >= ssl.TLSVersion.TLSv1_2


@pytest.mark.parametrize("trusted", [True, False])
@pytest.mark.parametrize("where", ["the asset", "the system"])
def test_without_a_file_the_authorities_of_the_asset_are_trusted_or_else_the_systems(
    line: Line, authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str, trusted: bool
) -> None:
    chosen, other = tmp_path / "chosen", tmp_path / "other"
    for folder, issuer in ((chosen, authority if trusted else trustme.CA()), (other, authority)):
        folder.mkdir()
        issuer.cert_pem.write_to_path(str(folder / "authority.pem"))
        (folder / f"{subject_hash(issuer.cert_pem.bytes().decode())}.0").symlink_to("authority.pem")
    monkeypatch.setattr(module, "ROOTS", chosen if where == "the asset" else tmp_path / "missing")
    monkeypatch.setenv("SSL_CERT_FILE", str((chosen if where == "the system" else other) / "authority.pem"))
    line.provider = Provider(ProviderSettings(f"https://127.0.0.1:{line.port}", Scheme.PLAIN, None), URL)
    line.answers(http(VOID))
    with contextlib.nullcontext() if trusted else pytest.raises(NotConnected):
        assert line.send() is SUCCESS
    assert len(line.requests) == int(trusted)
