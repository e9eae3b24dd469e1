"""The network below `payments.provider`: resolver, addresses, handshake and a socket that speaks bytes.

All that the file does above them is the shipped code: the thread that connects, the share of each address, the moment
at which a conversation ends, and how http.client reads what came.
"""

import socket
import ssl
from collections.abc import Buffer, Callable
from concurrent.futures import Future
from functools import cache, partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from payments import connection
from payments.provider import Provider
from payments.settings import ProviderSettings
from payments.signatures import Scheme
from play.words import DRIP, STALL
from proof.simulation.runtime import TIME_OVER

if TYPE_CHECKING:
    from proof.simulation.world import Simulation

HOST = "api.finline.invalid"
WEBHOOK_URL = "https://void.example/v1/webhooks/financial-line"
REFUSED, RESET, SLOW = "refused", "reset", "slow"
SLOW_MS = 30_000
"""What a resolver takes that asks a dead server first."""


@cache
def provider_of(sends: bool) -> Provider:
    """The shipped client; making its trust store is dear, and it remembers nothing."""
    settings = ProviderSettings(f"https://{HOST}", Scheme.PLAIN, None)
    return Provider(settings, WEBHOOK_URL) if sends else Provider(settings)


class _Bytes(ssl.SSLSocket):
    """What lies below a TLS socket: what is sent goes to the provider, what is read comes from it."""

    def __init__(self, sim: "Simulation") -> None:  # not super's: there is no file descriptor
        self._io_refs, self._closed = 0, False
        self._sslobj: Any = self
        self.sim = sim
        self.request = b""
        self.answer: bytes | None = None
        self.read_so_far = 0
        self.seconds: float | None = None
        self.drips = self.stalls = False

    context = None  # type: ignore[assignment]
    session = None

    def settimeout(self, value: float | None) -> None:
        self.seconds = value

    def send(self, data: Buffer, flags: int = 0) -> int:
        piece = bytes(data)
        if not self.request:
            self.sim.first_byte(piece)
        self.request += piece
        return len(piece)

    def read(self, size: int = 1024, buffer: Buffer | None = None) -> bytes:
        """One piece of the answer; as SSLSocket does, into the buffer."""
        piece = self._next(size)
        assert buffer is not None
        memoryview(buffer)[: len(piece)] = piece
        return len(piece)  # type: ignore[return-value]

    def _next(self, size: int) -> bytes:
        if self.answer is None:
            self.answer = self._await(self.sim.exchange(self.request, self.seconds))
        if self.drips:
            self.sim.runtime.pause("the next byte", 1.0, waiting=True)
            size = 1
        piece = self.answer[self.read_so_far : self.read_so_far + size]
        self.read_so_far += len(piece)
        if not piece and self.stalls:
            self.sim.runtime.pause("the next byte", self.seconds, waiting=True)
            raise TimeoutError
        return piece

    def _await(self, answer: bytes | None) -> bytes:
        if answer is None:
            raise ConnectionResetError
        self.stalls, self.drips = answer.startswith(STALL), answer.startswith(DRIP)
        return answer.removeprefix(STALL).removeprefix(DRIP)

    def shutdown(self, how: int) -> None:
        """Nothing is left open."""

    def _real_close(self) -> None:
        """There is no file descriptor."""


class WireSocket(connection._DeadlineSocket, _Bytes):
    """The shipped socket, whose conversation ends at one moment, above those bytes."""


class _Plain:
    """A TCP socket that connects, or not."""

    def __init__(self, *_: object) -> None:
        self.seconds: float | None = None

    def setsockopt(self, *_: object) -> None:
        """No packets, no delays."""

    def settimeout(self, seconds: float) -> None:
        self.seconds = seconds

    def connect(self, address: object) -> None:
        _await("the connection", self.seconds)

    def close(self) -> None:
        """Nothing is left open."""


def _await(point: str, seconds: float | None) -> None:
    sim = simulation()
    if not sim.config.opening:
        return
    failures = {TIME_OVER: TimeoutError, REFUSED: ConnectionRefusedError, RESET: ConnectionResetError}
    if (failure := failures.get(sim.runtime.pause(point, seconds))) is not None:
        raise failure


def _getaddrinfo(host: str, port: int, **_: object) -> list[tuple[int, int, int, str, tuple[str, int]]]:
    """The system's resolver knows no time limit."""
    sim = simulation()
    if sim.config.opening and sim.runtime.pause("the resolver") == SLOW:
        sim.runtime.pause("the resolver", SLOW_MS / 1000, waiting=True)
    return [(2, 1, 6, "", (f"192.0.2.{number}", port)) for number in range(1, 3)]


class _Connection(connection.Connection):
    """The shipped connection up to the handshake."""

    def open(self, trusted: ssl.SSLContext) -> None:
        plain: Any = self._new_conn()
        _await("the handshake", plain.seconds)
        self.sock = WireSocket(simulation())


# ---- threads ---------------------------------------------------------------------------------------------------------


class _Future(Future[Any]):
    """`Future` for actors: whoever waits is paused."""

    def result(self, timeout: float | None = None) -> Any:
        """What came. Raises its error, or TimeoutError when the time is over."""
        if not self.done():
            waits = [simulation().runtime.actor]

            def wake(_: object) -> None:
                for each in waits:
                    each.waiting = False

            self.add_done_callback(wake)
            simulation().runtime.pause("the thread that connects", timeout or 0, waiting=True)
            waits.clear()
        return super().result(0)


def _in_a_thread(work: Callable[[], Any]) -> _Future:
    """A thread of the invocation that wants it: at once, unless something may happen to it on the way."""
    sim, found = simulation(), _Future()

    def do() -> None:
        try:
            found.set_result(work())
        except Exception as error:  # noqa: BLE001 raised where its result is asked for
            found.set_exception(error)

    begin = partial(sim.start_thread, "connects", do) if sim.config.opening else do
    begin()
    return found


class Workers:
    """`ThreadPoolExecutor` for actors: each question of a settle run is a thread that may be overtaken."""

    def __init__(self, *_: object, **__: object) -> None:
        pass

    def __enter__(self) -> "Workers":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def map[Given, Made](self, work: Callable[[Given], Made], given: tuple[Given, ...]) -> list[Made]:
        if len(given) < 2:
            return [work(each) for each in given]
        sim = simulation()
        threads = [sim.start_thread(f"question {place}", partial(work, each)) for place, each in enumerate(given, 1)]
        sim.runtime.pause("threads", waiting=True)
        return [thread.result for thread in threads]


def replacements() -> list[tuple[Any, str, Any]]:
    """What of the process is replaced below the provider's file."""
    sockets = SimpleNamespace(socket=_Plain, getaddrinfo=_getaddrinfo, SOCK_STREAM=1, IPPROTO_TCP=6, TCP_NODELAY=1,
        gaierror=socket.gaierror)  # fmt: skip
    return [
        (connection, "in_a_thread", _in_a_thread),
        (connection, "socket", sockets),
        (connection, "time", SimpleNamespace(monotonic=lambda: simulation().monotonic())),
        (connection, "Connection", _Connection),
    ]


RUNNING: list["Simulation"] = []
"""The last one runs in this process now."""


def simulation() -> "Simulation":
    return RUNNING[-1]
