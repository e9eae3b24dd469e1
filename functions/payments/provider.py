"""The only file that speaks to Financial Line: one void by one POST, and one question about an order.

Promises one request per call, over a fresh and verified TLS connection, with no redirects and no hidden retries: a
hidden retry is a second void. Never logs or repeats a header, a body or a credential.
"""

import http.client
import ssl
import threading
import time
from collections.abc import Buffer, Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlsplit

import urllib3
from urllib3.connection import HTTPSConnection
from urllib3.response import BaseHTTPResponse

from payments import exact_json, messages
from payments.messages import Answer, OrderView, Word
from payments.secret import Credentials
from payments.settings import ProviderSettings
from payments.signatures import Scheme, authorise

CONNECT_SECONDS = 2.0
ANSWER_SECONDS = 10.0
"""Wall time for a whole answer: a void usually takes well under a second, and the function has 20 s in all."""
LARGEST_ANSWER = 1_048_576
VOID_PATH = "/api/v1/void"
ROOTS = Path(__file__).resolve().parent.parent / "trust" / "roots"

# What urllib3 and the socket below it raise when the network misbehaves.
_FAILURES = (urllib3.exceptions.HTTPError, http.client.HTTPException, OSError, ValueError)


class NotConnected(Exception):
    """No connection could be opened: nothing was sent. The text is the kind of error."""


class _Timed(ssl.SSLSocket):
    """A socket whose whole conversation ends at one moment.

    A time-out of a plain socket counts anew for each piece: a provider that drips its answer would hold us for ever.
    """

    ends: float | None = None
    """Seconds of the monotonic clock; None: each piece has the usual time-out."""

    def send(self, data: Buffer, flags: int = 0) -> int:
        """Send one piece. Raises TimeoutError at the end."""
        self._wait_no_longer()
        return super().send(data, flags)

    def read(self, size: int = 1024, buffer: Buffer | None = None) -> bytes:
        """Receive one piece, for every way to receive. Raises TimeoutError at the end."""
        self._wait_no_longer()
        return super().read(size, buffer)

    def _wait_no_longer(self) -> None:
        if self.ends is None:
            return
        left = self.ends - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self.settimeout(left)


@dataclass(frozen=True, slots=True)
class _Raw:
    status: int
    body: bytes


class Handshake:
    """A connection that is being opened in a thread while the intent is written. `take` waits for it."""

    def __init__(self, open_connection: Callable[[], HTTPSConnection]) -> None:
        self._open = open_connection
        self._connection: HTTPSConnection | None = None
        self._error = ""
        self._thread = threading.Thread(target=self._run, name="handshake", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._connection = self._open()
        except _FAILURES as error:
            self._error = type(error).__name__

    def take(self) -> HTTPSConnection:
        """The open connection. Raises NotConnected."""
        self._thread.join()
        if self._connection is None:
            raise NotConnected(self._error)
        return self._connection

    def close(self) -> None:
        """Give the connection up, used or not."""
        self._thread.join()
        if self._connection is not None:
            self._connection.close()


class Provider:
    """One provider. The trust store is parsed once: doing so for each connection costs 20 ms of CPU."""

    def __init__(self, settings: ProviderSettings) -> None:
        parts = urlsplit(settings.url)
        self._host, self._port = parts.hostname or "", parts.port or 443
        self._scheme = settings.scheme
        # The asset has its authorities in a directory, from which OpenSSL reads the one that it needs.
        directory = None if settings.ca_file or not ROOTS.is_dir() else str(ROOTS)
        self._trust = ssl.create_default_context(cafile=settings.ca_file, capath=directory)
        self._trust.minimum_version = ssl.TLSVersion.TLSv1_2
        self._trust.sslsocket_class = _Timed

    def begin(self) -> Handshake:
        """Start opening a fresh connection; not a byte of a request is sent on it yet."""
        return Handshake(self._connect)

    def _connect(self) -> HTTPSConnection:
        connection = HTTPSConnection(self._host, self._port, timeout=CONNECT_SECONDS, ssl_context=self._trust)
        connection.connect()
        return connection

    def send_void(
        self,
        handshake: Handshake,
        credentials: Credentials,
        order_id: str,
        currency: str,
        comment: str | None,
        server_url: str,
    ) -> Answer:
        """Send the one POST of an attempt. Raises NotConnected; whatever happens after the first byte is an Answer.

        Source: docs.finline.io, transactions-2-step/void/api.
        """
        fields = {"pos_id": credentials.pos_id, "order_id": order_id, "order_currency": currency}
        if comment is not None:
            fields["comment"] = comment
        # Serialised once: these bytes are signed, and these bytes are sent.
        body = exact_json.write({**fields, "server_url": server_url}).encode()
        connection = handshake.take()
        raw = _exchange(connection, "POST", VOID_PATH, body, _headers(self._scheme, credentials, body), ANSWER_SECONDS)
        if raw is None:
            return Answer(Word.UNKNOWN)
        return messages.read_answer(raw.status, raw.body, credentials.pos_id, order_id)

    def ask(self, credentials: Credentials, order_id: str, seconds: float = ANSWER_SECONDS) -> OrderView | None:
        """Ask once for the whole order; None: no answer that may be trusted.

        GET carries plain CPAY: what a GET signs is not documented. Source: docs.finline.io, after-payments.
        """
        raw = self._get_order(credentials, order_id, seconds)
        return messages.read_order(raw.status, raw.body, credentials.pos_id, order_id) if raw else None

    def accepts(self, credentials: Credentials) -> bool | None:
        """Does the provider take these credentials? None: no answer that says so. For operators; no function asks it.

        Order `0` is no order of anybody. Source: the provider's predecessor documents it as the credentials check.
        """
        raw = self._get_order(credentials, "0", ANSWER_SECONDS)
        return messages.read_credentials_check(raw.status, raw.body) if raw else None

    def _get_order(self, credentials: Credentials, order_id: str, seconds: float) -> _Raw | None:
        if seconds <= 0:
            return None
        path = f"/api/v1/pos/{quote(credentials.pos_id, safe='')}/orders/{quote(order_id, safe='')}"
        began = time.monotonic()
        try:
            connection = self._connect()
        except _FAILURES:
            return None
        try:
            left = seconds - (time.monotonic() - began)
            return _exchange(connection, "GET", path, None, _headers(Scheme.PLAIN, credentials, b""), left)
        finally:
            connection.close()


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
    connection: HTTPSConnection, method: str, path: str, body: bytes | None, headers: dict[str, str], seconds: float
) -> _Raw | None:
    """One request and its whole answer within `seconds`; None if there is no complete answer."""
    if seconds <= 0 or not isinstance(connection.sock, _Timed):
        return None
    connection.sock.ends = time.monotonic() + seconds
    try:
        connection.request(method, path, body=body, headers=headers, preload_content=False)
        response = connection.getresponse()
        return _Raw(response.status, _read_whole(response))
    except _FAILURES:
        return None


def _read_whole(response: BaseHTTPResponse) -> bytes:
    body = response.read(LARGEST_ANSWER + 1, decode_content=False)
    if len(body) > LARGEST_ANSWER:
        raise ValueError("answer too large")
    if response.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise ValueError("answer encoded")  # we asked for none: not to be unpacked, it might be a bomb
    return body
