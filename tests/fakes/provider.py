"""A scripted stand-in for `payments.provider.Provider`: says what the test tells it to, and remembers what was sent."""

from collections.abc import Callable
from typing import Any

from payments.connection import NotConnected
from payments.deadline import Deadline
from payments.messages import Answer, OrderView, read_answer
from payments.secret import Credentials
from play.answers import refusal
from play.words import parted

Line = Answer | OrderView | Exception | None | Callable[[], Any]


class OpeningConnection:
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
        self.asked: list[tuple[str, str, float]] = []
        """Project, order, and the seconds that the query was given."""
        self.connections: list[OpeningConnection] = []

    def open(self) -> OpeningConnection:
        """A connection is being opened; nothing is sent."""
        self.connections.append(OpeningConnection())
        return self.connections[-1]

    def send_void(
        self, opening: OpeningConnection, credentials: Credentials, *asked: str | None, **by: Deadline
    ) -> Answer:
        """One POST, with time for its answer after the time for sending."""
        assert not opening.closed, "a closed connection cannot send"
        assert by["send_by"].left() < by["answer_by"].left()
        if by["send_by"].over:
            raise NotConnected("Timeout")
        answer, names = _said(self.answers), ("order_id", "currency", "comment", "project")
        self.sent.append(dict(zip(names, (*asked, credentials.project), strict=True)))
        assert isinstance(answer, Answer)
        return answer

    def get_order(self, credentials: Credentials, order_id: str, deadline: Deadline) -> OrderView | str:
        """One query."""
        self.asked.append((credentials.project, order_id, deadline.left()))
        view = _said(self.views)
        assert view is None or isinstance(view, OrderView)
        return view or "time-out"


def _said(lines: list[Line]) -> Any:
    assert lines, "the test did not expect this call to the provider"
    line = lines.pop(0)
    line = line() if callable(line) else line
    if isinstance(line, Exception):
        raise line
    return line


UNKNOWN, THROTTLED, CREDENTIALS, REFUSED, NOT_FOUND = (
    read_answer(*parted(refusal(name)), pos_id="", order_id="")
    for name in ("internal", "throttled", "bad credentials", "refused", "no such order")
)
"""As the provider says it, and as the service reads it."""
