"""A connection to the provider: opened in time and verified, used for one request, its whole answer by a deadline.

Promises that nobody waits longer than they said, whatever the peer does, and that an error never quotes what was sent.
"""

import socket
import ssl
import time
from collections.abc import Buffer, Callable
from concurrent.futures import Future
from http.client import HTTPMessage, HTTPResponse, HTTPSConnection, parse_headers
from pathlib import Path
from typing import Any

from payments.deadline import Deadline, in_a_thread

CONNECT_SECONDS = 2.0
"""For the resolver, all addresses and the handshake together."""
LARGEST_ANSWER = 1_048_576
ROOTS = Path(__file__).resolve().parent.parent / "trust" / "roots"

# http.client parses a head as an e-mail: a media type of many parts, which nobody asks for, takes it minutes or fails.
HTTPMessage.get_content_maintype = lambda *_: "text"  # type: ignore[method-assign]


class NotConnected(Exception):
    """No connection could be opened in time: nothing was sent. The text is the kind of failure."""


class _DeadlineSocket(ssl.SSLSocket):
    """A socket whose whole conversation ends at one moment.

    A socket's timeout restarts at every piece, so a peer that drips its answer could hold it open for ever.
    """

    ends: float | None = None
    """Seconds of the monotonic clock; None: each piece has the usual timeout."""

    def send(self, data: Buffer, flags: int = 0) -> int:
        self._wait_no_longer()
        return super().send(data, flags)

    # Every way to receive comes here.
    def read(self, size: int = 1024, buffer: Buffer | None = None) -> bytes:
        self._wait_no_longer()
        return super().read(size, buffer)

    def keep_session(self) -> None:
        """Let the next connections resume this session; under TLS 1.3 there is one once the peer has answered.

        A resumed session is not stored again: the stored one works until the peer asks for a full handshake, and
        reading a session costs as much as setting one.
        """
        if isinstance(self.context, Trust) and not self.session_reused:
            self.context.session = self.session

    def _wait_no_longer(self) -> None:
        if self.ends is None:
            return
        left = self.ends - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self.settimeout(left)


class Trust(ssl.SSLContext):
    """Whom we trust. Resumes the TLS session of the last whole handshake, whose certificates it verified."""

    session: ssl.SSLSession | None = None

    def wrap_socket(self, *arguments: Any, **more: Any) -> ssl.SSLSocket:
        """A socket under TLS. Raises OSError; a session whose handshake failed is not tried again."""
        session, self.session = self.session, None
        wrapped = super().wrap_socket(*arguments, **{**more, "session": session})
        self.session = session
        return wrapped


def trust(ca_file: str | None) -> Trust:
    context = Trust(ssl.PROTOCOL_TLS_CLIENT)  # which verifies the certificate and the host's name
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    context.sslsocket_class = _DeadlineSocket
    if ca_file is not None:
        context.load_verify_locations(cafile=ca_file)
    elif ROOTS.is_dir():
        # The asset has its authorities in a directory, from which OpenSSL reads the one that it needs.
        context.load_verify_locations(capath=ROOTS)
    else:
        context.load_default_certs()
    return context


class _FinalResponse(HTTPResponse):
    """A response behind those that only announce it (102, 103), which http.client takes for the answer itself."""

    def _read_status(self) -> tuple[str, int, str]:
        read: Callable[[], tuple[str, int, str]] = super()._read_status  # type: ignore[misc]
        while (line := read())[1] in (102, 103):
            parse_headers(self.fp)
        return line

    def _safe_read(self, amt: int) -> bytes:
        # A chunk of -1 bytes would be read until the peer ends it, however much that is; -2 is a ValueError.
        return super()._safe_read(amt if amt >= 0 else -2)  # type: ignore[misc, no-any-return]


class Connection(HTTPSConnection):
    """A connection that opens within one time, however many addresses the host has."""

    response_class = _FinalResponse

    def open(self, trusted: Trust) -> None:
        """Raises OSError and whatever else a network does."""
        self.sock = trusted.wrap_socket(self._new_conn(), server_hostname=self.host)

    def _new_conn(self) -> socket.socket:
        ends = time.monotonic() + CONNECT_SECONDS
        addresses = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
        error: OSError = OSError("no address")
        for place, (family, kind, protocol, _, address) in enumerate(addresses):
            # Each address gets its share of what is left, so that one that swallows everything does not use it up.
            if (left := ends - time.monotonic()) <= 0:
                raise TimeoutError
            opening = socket.socket(family, kind, protocol)
            try:
                opening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                opening.settimeout(left / min(2, len(addresses) - place))
                opening.connect(address)
            except OSError as failed:
                error = failed
                opening.close()
            else:
                # The handshake that follows gets the rest: it ends within the timeout of its socket.
                opening.settimeout(max(ends - time.monotonic(), 0.001))
                return opening
        raise error


class OpeningConnection:
    """A connection that is being opened in a thread while the intent is written."""

    def __init__(self, connect: Callable[[], HTTPSConnection]) -> None:
        self._opened = in_a_thread(connect)

    def wait(self, deadline: Deadline) -> HTTPSConnection:
        """The open connection. Raises NotConnected, also when the deadline is over before it is open."""
        try:
            connection = self._opened.result(deadline.left())
        except Exception as error:  # noqa: BLE001 whatever it was, nothing was sent
            raise NotConnected(kind_of(error)) from None
        if deadline.over:
            raise NotConnected("time-out")
        return connection

    def close(self) -> None:
        """Close the connection now or, if it is still being opened, then; nobody waits for it here."""
        self._opened.add_done_callback(_close)


def _close(opened: Future[HTTPSConnection]) -> None:
    if opened.exception() is None:
        opened.result().close()


def connected(host: str, port: int, trusted: Trust) -> HTTPSConnection:
    """A fresh connection. Raises OSError and whatever else a network does."""
    resumes = trusted.session is not None
    connection = Connection(host, port, context=trusted)
    try:
        connection.open(trusted)
    except ssl.SSLError:
        if not resumes:
            raise
        connection.open(trusted)  # the peer has answered a resumption with an alert: once more from the beginning
    return connection


def exchange(
    connection: HTTPSConnection, method: str, path: str, body: bytes | None, headers: dict[str, str], deadline: Deadline
) -> tuple[int, bytes] | str:
    """One request; status and whole body of its answer by `deadline`, or the kind of failure."""
    sock = connection.sock
    if deadline.over or not isinstance(sock, _DeadlineSocket):
        return "time-out"
    sock.ends = time.monotonic() + deadline.left()
    try:
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        sock.keep_session()
        whole = response.read(LARGEST_ANSWER + 1)  # cut short, it says so by the `length` that is left
        ended = len(whole) <= LARGEST_ANSWER and not response.length
        one_length = len({each.strip() for each in response.getheader("Content-Length", "").split(",")}) == 1
        # We asked for none that is encoded: not to be unpacked, it might be a bomb.
        plain = response.getheader("Content-Encoding", "identity").lower() == "identity"
        return (response.status, whole) if ended and one_length and plain else "no whole answer"
    except Exception as error:  # noqa: BLE001 whatever it was, a request may have left
        return kind_of(error)


def kind_of(error: BaseException) -> str:
    """The kind of a failed connection or answer, for the log: the text of an error may quote what was sent."""
    kinds: tuple[tuple[type[BaseException], str], ...] = (
        (socket.gaierror, "resolver"), (TimeoutError, "time-out"), (ssl.SSLError, "TLS"),
        (ConnectionRefusedError, "refused"), (ConnectionError, "reset"), (OSError, "network"),
    )  # fmt: skip
    return next((name for kind, name in kinds if isinstance(error, kind)), "no whole answer")
