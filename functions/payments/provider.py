"""The only file that speaks to Financial Line: one void by one POST, and one question about an order.

Promises one request per connection, over a fresh and verified TLS connection, with no redirects and no hidden retries:
a hidden retry is a second void. Never logs or repeats a header, a body or a credential.
"""

from contextlib import closing
from urllib.parse import quote, urlsplit

from payments import exact_json, messages
from payments.connection import CONNECT_SECONDS, NotConnected, OpeningConnection, connected, exchange, trust
from payments.deadline import Deadline
from payments.messages import Answer, AnswerKind, OrderView, read_order
from payments.secret import Credentials
from payments.settings import ProviderSettings
from payments.signatures import Scheme, authorise

ANSWER_SECONDS = 10.0
"""Wall time for a whole answer: a void usually takes well under a second, and the function has 20 s in all."""


class Provider:
    """One provider. The trust is loaded once: doing so for each connection costs 20 ms of CPU."""

    def __init__(self, settings: ProviderSettings, server_url: str = "") -> None:
        """`server_url`: where the provider reports voids; only a function that sends them needs it."""
        parts = urlsplit(settings.url)
        self._host, self._port = parts.hostname or "", parts.port or 443
        self._scheme, self._server_url, self._trust = settings.scheme, server_url, trust(settings.ca_file)

    def open(self) -> OpeningConnection:
        """Start opening a fresh connection; not a byte of a request is sent on it yet."""
        return OpeningConnection(lambda: connected(self._host, self._port, self._trust))

    def send_void(
        self, opening: OpeningConnection, credentials: Credentials, order_id: str, currency: str, comment: str | None,
        *, send_by: Deadline, answer_by: Deadline,
    ) -> Answer:  # fmt: skip
        """Send the one POST of an attempt. Raises NotConnected if it cannot leave by `send_by`.

        Whatever happens after the first byte is an Answer. Source: docs.finline.io, transactions-2-step/void/api.
        """
        fields = {"pos_id": credentials.pos_id, "order_id": order_id, "order_currency": currency}
        fields |= {"comment": comment} if comment is not None else {}
        # Serialised once: these bytes are signed, and these bytes are sent.
        body = exact_json.write({**fields, "server_url": self._server_url}).encode()
        headers = _headers(self._scheme, credentials, body)
        raw = exchange(opening.wait(send_by), "POST", "/api/v1/void", body, headers, answer_by.within(ANSWER_SECONDS))
        if isinstance(raw, str):
            return Answer(AnswerKind.UNKNOWN, cause=raw)
        return messages.read_answer(*raw, credentials.pos_id, order_id)

    def get_order(self, credentials: Credentials, order_id: str, deadline: Deadline) -> OrderView | str:
        """Ask once for the whole order; a text says why there is no answer that may be trusted, for the log.

        GET carries plain CPAY: what a GET signs is not documented. Source: docs.finline.io, after-payments.
        """
        raw = self._get_order(credentials, order_id, deadline)
        return raw if isinstance(raw, str) else read_order(*raw, credentials.pos_id, order_id) or f"HTTP {raw[0]}"

    def accepts(self, credentials: Credentials, deadline: Deadline) -> bool | None:
        """Does the provider take these credentials? None: no answer that says so. For operators; no function asks it.

        No order has the id `0`. Source: the provider's predecessor documents it as the credentials check.
        """
        raw = self._get_order(credentials, "0", deadline)
        return None if isinstance(raw, str) else messages.read_credentials_check(*raw)

    def _get_order(self, credentials: Credentials, order_id: str, deadline: Deadline) -> tuple[int, bytes] | str:
        if deadline.over:
            return "time-out"
        path = f"/api/v1/pos/{quote(credentials.pos_id, safe='')}/orders/{quote(order_id, safe='')}"
        deadline = deadline.within(ANSWER_SECONDS)
        with closing(self.open()) as opening:
            try:
                connection = opening.wait(deadline.within(CONNECT_SECONDS))
                return exchange(connection, "GET", path, None, _headers(Scheme.PLAIN, credentials, b""), deadline)
            except NotConnected as error:
                return str(error)


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
