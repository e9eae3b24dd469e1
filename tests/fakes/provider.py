"""A scripted stand-in for `payments.provider.Provider`: says what the test tells it to, and remembers what was sent."""

from collections.abc import Callable
from typing import Any

from payments.messages import Answer, OrderView, Word
from payments.provider import NotConnected
from payments.secret import Credentials

Line = Answer | OrderView | Exception | None | Callable[[], Any]


class Handshake:
    """A connection in name only."""

    def __init__(self) -> None:
        self.closed = False

    def close(self) -> None:
        """Give it up."""
        self.closed = True


class Provider:
    """`answers` and `views` are said one after the other; a callable is called first, an exception is raised."""

    def __init__(self) -> None:
        self.answers: list[Line] = []
        self.views: list[Line] = []
        self.sent: list[dict[str, Any]] = []
        self.asked: list[tuple[str, float]] = []
        self.handshakes: list[Handshake] = []

    def begin(self) -> Handshake:
        """A connection is being opened; nothing is sent."""
        self.handshakes.append(Handshake())
        return self.handshakes[-1]

    def send_void(
        self,
        handshake: Handshake,
        credentials: Credentials,
        order_id: str,
        currency: str,
        comment: str | None,
        server_url: str,
    ) -> Answer:
        """One POST."""
        assert not handshake.closed, "a closed connection cannot send"
        answer = _said(self.answers)
        self.sent.append({"order_id": order_id, "currency": currency, "comment": comment, "server_url": server_url})
        assert isinstance(answer, Answer)
        return answer

    def ask(self, credentials: Credentials, order_id: str, seconds: float = 10.0) -> OrderView | None:
        """One query."""
        self.asked.append((order_id, seconds))
        view = _said(self.views)
        assert view is None or isinstance(view, OrderView)
        return view

    def refuses_connections(self) -> None:
        """The next POST finds no connection."""
        self.answers.append(NotConnected("ConnectTimeoutError"))


def _said(lines: list[Line]) -> Any:
    assert lines, "the test did not expect this call to the provider"
    line = lines.pop(0)
    if isinstance(line, Exception):
        raise line
    return line() if callable(line) else line


UNKNOWN = Answer(Word.UNKNOWN)
THROTTLED = Answer(Word.THROTTLED)
CREDENTIALS = Answer(Word.CREDENTIALS, code="S-403", message="Invalid pos_id field or credentials")
REFUSED = Answer(Word.REFUSED, code="P-400", message="Invalid operation")
NOT_FOUND = Answer(Word.REFUSED, not_found=True)
