"""One process of a function, and the Runtime API that AWS's own runtime client in it polls.

It handles one request at a time. One that runs into its time-out or dies fails its request.
"""

import json
import queue
import signal
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from subprocess import Popen
from typing import Any

from local.aws import Function
from local.exchange import trace_root
from local.loopback import Handler, LoopbackServer, read_body
from local.processes import kill

INIT_LIMIT = 10.0  # seconds for the imports, as in Lambda
INSTANCE_AGE = 3000.0  # seconds; the credentials of its role last an hour
MAX_RESPONSE = 6 * 1024 * 1024 + 100


class FunctionFailed(Exception):
    """The function raised, died, ran into its timeout or answered too much: its outcome is not known."""

    def __init__(self, error_type: str, message: str, request_id: str = "", stack: Sequence[str] | None = None) -> None:
        super().__init__(f"{error_type}: {message}")
        self.payload: dict[str, Any] = {"errorType": error_type, "errorMessage": message, "requestId": request_id}
        """What Lambda answers to whoever invoked the function."""
        if stack is not None:
            self.payload["stackTrace"] = stack


@dataclass
class Invocation:
    event: bytes
    arn: str
    timeout: float
    request_id: str
    done: threading.Event = field(default_factory=threading.Event)
    result: bytes = b""
    error: FunctionFailed | None = None


class Instance:
    """One process of a function and the Runtime API that it polls."""

    def __init__(self, function: Function, start: Callable[[str], Popen[bytes]]) -> None:
        self.function = function
        self.started = time.monotonic()
        self.polled = threading.Event()
        self.init_error: FunctionFailed | None = None
        self.waiting: queue.SimpleQueue[Invocation | None] = queue.SimpleQueue()
        self.current: Invocation | None = None
        self._server = LoopbackServer(("127.0.0.1", 0), partial(_RuntimeApi, self))
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        self.process = start(f"127.0.0.1:{self._server.server_address[1]}")

    @property
    def usable(self) -> bool:
        return self.process.poll() is None and time.monotonic() - self.started < INSTANCE_AGE

    def run(self, invocation: Invocation) -> bytes:
        self._wait(self.polled, INIT_LIMIT, invocation.request_id)
        if self.init_error is not None:
            raise self.init_error
        self.waiting.put(invocation)
        self._wait(invocation.done, invocation.timeout, invocation.request_id)
        if invocation.error is not None:
            raise invocation.error
        if len(invocation.result) > MAX_RESPONSE:
            message = f"Response payload size exceeded maximum allowed payload size ({MAX_RESPONSE} bytes)."
            raise FunctionFailed("Function.ResponseSizeTooLarge", message, invocation.request_id)
        return invocation.result

    def stop(self) -> None:
        kill(self.process)
        self.waiting.put(None)
        self._server.shutdown()
        self._server.server_close()

    def _wait(self, event: threading.Event, seconds: float, request_id: str) -> None:
        give_up = time.monotonic() + seconds
        while not event.wait(0.02):  # how soon a killed process is noticed
            ended = self.process.poll()
            if ended is not None and not event.is_set():
                message = f"RequestId: {request_id} Error: {_reason(ended)}"
                raise FunctionFailed("Runtime.ExitError", message, request_id)
            if time.monotonic() > give_up:
                message = f"RequestId: {request_id} Error: Task timed out after {seconds:.2f} seconds"
                raise FunctionFailed("Sandbox.Timedout", message, request_id)


class _RuntimeApi(Handler):
    timeout = None  # type: ignore[assignment]  # it polls for as long as nobody calls the function

    def __init__(self, instance: Instance, *connection: Any) -> None:
        self.instance = instance
        super().__init__(*connection)

    def serve(self) -> None:
        if self.command == "GET":
            return self.hand_out()
        return self.take_back()

    def hand_out(self) -> None:
        self.instance.polled.set()
        invocation = self.instance.waiting.get()
        if invocation is None:
            self.close_connection = True
            return
        self.instance.current = invocation
        deadline, parent = int((time.time() + invocation.timeout) * 1000), uuid.uuid4().hex[:16]
        named = {
            "Aws-Request-Id": invocation.request_id, "Deadline-Ms": f"{deadline}",
            "Invoked-Function-Arn": invocation.arn, "Trace-Id": f"{trace_root()};Parent={parent};Sampled=0",
        }  # fmt: skip
        headers = [("Content-Type", "application/json")]
        headers += [(f"Lambda-Runtime-{name}", value) for name, value in named.items()]
        self.reply(HTTPStatus.OK, headers, invocation.event)

    def take_back(self) -> None:
        body, current, what = read_body(self), self.instance.current, self.path.rpartition("/")[2]
        if self.path.endswith("/init/error"):
            self.instance.init_error = _error(body)
            self.instance.polled.set()
        elif current is not None and f"/{current.request_id}/" in self.path:
            if what == "response":
                current.result = body
            else:
                current.error = _error(body)
            current.done.set()
        self.reply(HTTPStatus.ACCEPTED, [])


def _reason(ended: int) -> str:
    """How a process ended, in Lambda's words."""
    if ended == 0:
        return "Runtime exited without providing a reason"
    if ended < 0:
        return f"Runtime exited with error: signal: {(signal.strsignal(-ended) or str(-ended)).lower()}"
    return f"Runtime exited with error: exit status {ended}"


def _error(body: bytes) -> FunctionFailed:
    try:
        said = json.loads(body)
        return FunctionFailed(said["errorType"], said["errorMessage"], said.get("requestId", ""), said["stackTrace"])
    except (ValueError, KeyError, TypeError):
        return FunctionFailed("Runtime.Unknown", "the function reported an error")
