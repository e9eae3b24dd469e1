"""The only file that speaks to Financial Line: one void by one POST, and one question about an order.

Promises one request per connection, over a fresh and verified TLS connection, with no redirects and no hidden retries:
a hidden retry is a second void. Never logs or repeats a header, a body or a credential.
"""

import http.client
import socket
import ssl
import threading
import time
from collections.abc import Buffer, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import urllib3
from urllib3.connection import HTTPSConnection
from urllib3.response import BaseHTTPResponse

from payments import exact_json, messages
from payments.messages import Answer, AnswerKind, OrderView
from payments.outside import Deadline
from payments.secret import Credentials
from payments.settings import ProviderSettings
from payments.signatures import Scheme, authorise

CONNECT_SECONDS = 2.0
"""For the resolver, all addresses and the handshake together."""
ANSWER_SECONDS = 10.0
"""Wall time for a whole answer: a void usually takes well under a second, and the function has 20 s in all."""
LARGEST_ANSWER = 1_048_576
VOID_PATH = "/api/v1/void"
ROOTS = Path(__file__).resolve().parent.parent / "trust" / "roots"

# What urllib3 and the socket below it raise when the network misbehaves.
_FAILURES = (urllib3.exceptions.HTTPError, http.client.HTTPException, OSError, ValueError)


class NotConnected(Exception):
    """No connection could be opened in time: nothing was sent."""


class _DeadlineSocket(ssl.SSLSocket):
    """A socket whose whole conversation ends at one moment.

    A socket's timeout restarts at every piece, so a peer that drips its answer could hold it open for ever.
    """

    ends: float | None = None
    """Seconds of the monotonic clock; None: each piece has the usual timeout."""

    def send(self, data: Buffer, flags: int = 0) -> int:
        """Send one piece. Raises TimeoutError at the end."""
        self._wait_no_longer()
        return super().send(data, flags)

    def read(self, size: int = 1024, buffer: Buffer | None = None) -> bytes:
        """Receive one piece, for every way to receive. Raises TimeoutError at the end."""
        self._wait_no_longer()
        return super().read(size, buffer)

    def keep_session(self) -> None:
        """Let the next connections resume this session; under TLS 1.3 there is one once the peer has answered.

        A resumed one is kept no second time: the first serves until the peer wants a whole handshake, and to read
        a session costs as much as to set it.
        """
        if isinstance(self.context, _Trust) and not self.session_reused:
            self.context.session = self.session

    def _wait_no_longer(self) -> None:
        if self.ends is None:
            return
        left = self.ends - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self.settimeout(left)


class _Trust(ssl.SSLContext):
    """Whom we trust. Resumes the TLS session of the last whole handshake, whose certificates it verified."""

    session: ssl.SSLSession | None = None

    def wrap_socket(self, *arguments: Any, **more: Any) -> ssl.SSLSocket:
        """A socket under TLS. Raises OSError."""
        return super().wrap_socket(*arguments, **{**more, "session": self.session})


def _trust(ca_file: str | None) -> _Trust:
    context = _Trust(ssl.PROTOCOL_TLS_CLIENT)  # which verifies the certificate and the host's name
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.sslsocket_class = _DeadlineSocket
    if ca_file is not None:
        context.load_verify_locations(cafile=ca_file)
    elif ROOTS.is_dir():
        # The asset has its authorities in a directory, from which OpenSSL reads the one that it needs.
        context.load_verify_locations(capath=ROOTS)
    else:
        context.load_default_certs()
    return context


class _Connection(HTTPSConnection):
    """A connection that opens within one time, however many addresses the host has."""

    def _new_conn(self) -> socket.socket:
        ends = time.monotonic() + CONNECT_SECONDS
        addresses = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
        error: OSError = OSError("no address")
        for place, (family, kind, protocol, _, address) in enumerate(addresses):
            # Each address gets its share of what is left, so that one that swallows everything does not use it up.
            left = ends - time.monotonic()
            if left <= 0:
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


@dataclass(frozen=True, slots=True)
class RawResponse:
    """A whole answer as it came."""

    status: int
    body: bytes


class OpeningConnection:
    """A connection that is being opened in a thread while the intent is written."""

    def __init__(self, connect: Callable[[], HTTPSConnection]) -> None:
        self._connect = connect
        self._connection: HTTPSConnection | None = None
        self._given_up = False
        self._ended, self._lock = threading.Event(), threading.Lock()
        threading.Thread(target=self._open, name="opening connection", daemon=True).start()

    def _open(self) -> None:
        try:
            connection = self._connect()
        except _FAILURES:
            pass  # whoever waits finds no connection
        else:
            with self._lock:
                self._connection = connection
            if self._given_up:
                self.close()
        self._ended.set()

    def wait(self, deadline: Deadline) -> HTTPSConnection:
        """The open connection. Raises NotConnected, also when the deadline is over before it is open."""
        self._ended.wait(deadline.left())
        with self._lock:
            if self._connection is None or deadline.over:
                raise NotConnected
            return self._connection

    def close(self) -> None:
        """Close the connection now or, if it is still being opened, then; nobody waits for it here."""
        self._given_up = True
        with self._lock:
            if self._connection is not None:
                self._connection.close()


class Provider:
    """One provider. The trust is loaded once: doing so for each connection costs 20 ms of CPU."""

    def __init__(self, settings: ProviderSettings, server_url: str = "") -> None:
        """`server_url`: where the provider reports voids; only a function that sends them needs it."""
        parts = urlsplit(settings.url)
        self._host, self._port = parts.hostname or "", parts.port or 443
        self._scheme, self._server_url = settings.scheme, server_url
        self._trust = _trust(settings.ca_file)

    def open(self) -> OpeningConnection:
        """Start opening a fresh connection; not a byte of a request is sent on it yet."""
        return OpeningConnection(self._connect)

    def _connect(self) -> HTTPSConnection:
        connection = _Connection(self._host, self._port, timeout=CONNECT_SECONDS, ssl_context=self._trust)
        connection.connect()
        return connection

    def send_void(
        self,
        opening: OpeningConnection,
        credentials: Credentials,
        order_id: str,
        currency: str,
        comment: str | None,
        *,
        send_by: Deadline,
        answer_by: Deadline,
    ) -> Answer:
        """Send the one POST of an attempt. Raises NotConnected if it cannot leave by `send_by`.

        Whatever happens after the first byte is an Answer. Source: docs.finline.io, transactions-2-step/void/api.
        """
        fields = {"pos_id": credentials.pos_id, "order_id": order_id, "order_currency": currency}
        if comment is not None:
            fields["comment"] = comment
        # Serialised once: these bytes are signed, and these bytes are sent.
        body = exact_json.write({**fields, "server_url": self._server_url}).encode()
        headers = _headers(self._scheme, credentials, body)
        raw = _exchange(opening.wait(send_by), "POST", VOID_PATH, body, headers, answer_by.within(ANSWER_SECONDS))
        if raw is None:
            return Answer(AnswerKind.UNKNOWN)
        return messages.read_answer(raw.status, raw.body, credentials.pos_id, order_id)

    def get_order(self, credentials: Credentials, order_id: str, deadline: Deadline) -> OrderView | None:
        """Ask once for the whole order; None: no answer that may be trusted.

        GET carries plain CPAY: what a GET signs is not documented. Source: docs.finline.io, after-payments.
        """
        raw = self._get_order(credentials, order_id, deadline)
        return messages.read_order(raw.status, raw.body, credentials.pos_id, order_id) if raw else None

    def accepts(self, credentials: Credentials, deadline: Deadline) -> bool | None:
        """Does the provider take these credentials? None: no answer that says so. For operators; no function asks it.

        Order `0` is no order of anybody. Source: the provider's predecessor documents it as the credentials check.
        """
        raw = self._get_order(credentials, "0", deadline)
        return messages.read_credentials_check(raw.status, raw.body) if raw else None

    def _get_order(self, credentials: Credentials, order_id: str, deadline: Deadline) -> RawResponse | None:
        if deadline.over:
            return None
        path = f"/api/v1/pos/{quote(credentials.pos_id, safe='')}/orders/{quote(order_id, safe='')}"
        deadline = deadline.within(ANSWER_SECONDS)
        opening = self.open()
        try:
            connection = opening.wait(deadline.within(CONNECT_SECONDS))
            return _exchange(connection, "GET", path, None, _headers(Scheme.PLAIN, credentials, b""), deadline)
        except NotConnected:
            return None
        finally:
            opening.close()


def _headers(scheme: Scheme, credentials: Credentials, body: bytes) -> dict[str, str]:
    """Built for each request: headers that pile up on a reused object are a known mistake."""
    headers = {
        "X-API-AUTH": authorise(scheme, credentials.api_key, credentials.api_secret, body),
        "X-API-KEY": credentials.endpoints_key,
        "Accept": "application/json",
        "Accept-Encoding": "identity",
        "User-Agent": "void-service",
    }
    return {**headers, "Content-Type": "application/json"} if body else headers


def _exchange(
    connection: HTTPSConnection, method: str, path: str, body: bytes | None, headers: dict[str, str], deadline: Deadline
) -> RawResponse | None:
    """One request and its whole answer by `deadline`; None if there is no complete answer."""
    sock = connection.sock
    if deadline.over or not isinstance(sock, _DeadlineSocket):
        return None
    sock.ends = time.monotonic() + deadline.left()
    try:
        connection.request(method, path, body=body, headers=headers, preload_content=False)
        response = connection.getresponse()
        sock.keep_session()
        return RawResponse(response.status, _read_whole(response))
    except _FAILURES:
        return None


def _read_whole(response: BaseHTTPResponse) -> bytes:
    body = response.read(LARGEST_ANSWER + 1, decode_content=False)
    if len(body) > LARGEST_ANSWER:
        raise ValueError("answer too large")
    if response.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise ValueError("answer encoded")  # we asked for none: not to be unpacked, it might be a bomb
    return body
