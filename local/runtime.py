"""The Lambda service on this machine: its Runtime API, and AWS's own runtime client in one process per instance.

An instance handles one request at a time, as its own role, with the deployed environment variables and AWS_* only.
One that runs into its time-out is killed; one that dies fails its request, and the next request gets a new one.
"""

import http.server
import json
import queue
import signal
import sys
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from subprocess import Popen
from typing import Any

from local.aws import ACCOUNT, REGION, Function
from local.processes import Children, kill

INIT_LIMIT = 10.0  # seconds for the imports, as in Lambda
INSTANCE_AGE = 3000.0  # seconds; the credentials of its role last an hour
INSTANCES_PER_FUNCTION = 12  # 56 MiB each; further requests wait, as a laptop has no account limit to hit
MAX_RESPONSE = 6 * 1024 * 1024 + 100


FIXED_ENVIRONMENT = {
    "AWS_DEFAULT_REGION": REGION,
    "AWS_EXECUTION_ENV": "AWS_Lambda_python3.13",
    "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
    "AWS_LAMBDA_LOG_STREAM_NAME": "local",
    "AWS_REGION": REGION,
    "AWS_XRAY_CONTEXT_MISSING": "LOG_ERROR",
    "AWS_XRAY_DAEMON_ADDRESS": "127.0.0.1:2000",  # nobody listens: spans are lost, as datagrams may be
    "LAMBDA_RUNTIME_DIR": "/var/runtime",
    "LANG": "en_US.UTF-8",
    "LD_LIBRARY_PATH": "/var/lang/lib:/var/runtime",  # where nothing is: a library of this machine must not win
    "PATH": "/var/lang/bin:/usr/local/bin:/usr/bin:/bin:/opt/bin",
    "PYTHONPATH": "/var/runtime",
    "SHLVL": "0",
    "TZ": ":UTC",
    "_AWS_XRAY_DAEMON_ADDRESS": "127.0.0.1",
    "_AWS_XRAY_DAEMON_PORT": "2000",
}
"""What is the same for every function."""
NATIVE_CLIENT = ("-m", "awslambdaric")
PORTABLE_CLIENT = ("-P", str(Path(__file__).with_name("portable_client.py")))
CLIENT = NATIVE_CLIENT if sys.platform == "linux" else PORTABLE_CLIENT


class FunctionFailed(Exception):
    """The function raised, died, ran into its timeout or answered too much: its outcome is not known."""

    def __init__(self, error_type: str, message: str, request_id: str = "", stack: Sequence[str] | None = None) -> None:
        super().__init__(f"{error_type}: {message}")
        self.payload: dict[str, Any] = {"errorType": error_type, "errorMessage": message, "requestId": request_id}
        """What Lambda answers to whoever invoked the function."""
        if stack is not None:
            self.payload["stackTrace"] = stack


class LoopbackServer(http.server.ThreadingHTTPServer):
    """Closes without waiting for connections that are still open, and takes clients that hang up as they come."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 256

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)


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
        self._server = LoopbackServer(("127.0.0.1", 0), self._api())
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        try:
            self.process = start(f"127.0.0.1:{self._server.server_address[1]}")
        except BaseException:
            self._server.shutdown()
            self._server.server_close()
            raise

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

    def _api(self) -> type[http.server.BaseHTTPRequestHandler]:
        instance = self

        class RuntimeApi(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True  # with it every request waits for the client's delayed acknowledgement
            wbufsize = 65536

            def do_GET(self) -> None:
                instance.polled.set()
                invocation = instance.waiting.get()
                if invocation is None:
                    self.close_connection = True
                    return
                instance.current = invocation
                self.send_response(HTTPStatus.OK)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(invocation.event)))
                self.send_header("Lambda-Runtime-Aws-Request-Id", invocation.request_id)
                self.send_header("Lambda-Runtime-Deadline-Ms", str(int((time.time() + invocation.timeout) * 1000)))
                self.send_header("Lambda-Runtime-Invoked-Function-Arn", invocation.arn)
                self.send_header("Lambda-Runtime-Trace-Id", f"{trace_root()};Parent={uuid.uuid4().hex[:16]};Sampled=0")
                self.end_headers()
                self.wfile.write(invocation.event)

            def do_POST(self) -> None:
                body = _read_body(self)
                current, what = instance.current, self.path.rpartition("/")[2]
                if self.path.endswith("/init/error"):
                    instance.init_error = _error(body)
                    instance.polled.set()
                elif current is not None and f"/{current.request_id}/" in self.path:
                    if what == "response":
                        current.result = body
                    else:
                        current.error = _error(body)
                    current.done.set()
                self.send_response(HTTPStatus.ACCEPTED)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                pass

        return RuntimeApi


class Runtime:
    """All functions and their instances."""

    def __init__(
        self,
        functions: Mapping[str, Function],
        endpoint: str,
        credentials: Callable[[Function], dict[str, str]],
        children: Children,
        log: Path,
    ) -> None:
        self.functions = functions
        self._endpoint, self._credentials, self._children, self._log = endpoint, credentials, children, log
        self._lock = threading.Lock()
        self._idle: dict[str, list[Instance]] = {stem: [] for stem in functions}
        self._all: list[Instance] = []
        self._room = {stem: threading.BoundedSemaphore(INSTANCES_PER_FUNCTION) for stem in functions}
        self._closed = False
        self._invokers = ThreadPoolExecutor(max_workers=128, thread_name_prefix="invoke")

    def invoke(self, stem: str, event: Any, limit: float = 900.0) -> Any:
        """What the handler returned. TimeoutError after `limit`: the function goes on, but nobody waits for it."""
        return self._invokers.submit(self._invoke, stem, json.dumps(event).encode()).result(timeout=limit)

    def warm(self, stem: str) -> None:
        """Starts an instance and keeps it, so that a person's first request is not a cold start."""
        instance = self._start(self.functions[stem])
        if instance.polled.wait(INIT_LIMIT) and instance.init_error is None:
            self._keep(stem, instance)
        else:
            self._drop(instance)

    def pids(self) -> list[int]:
        with self._lock:
            return [instance.process.pid for instance in self._all if instance.process.poll() is None]

    def stop(self) -> None:
        with self._lock:
            self._closed = True
            instances, self._all = self._all, []
        for instance in instances:
            instance.stop()
        self._invokers.shutdown(wait=False, cancel_futures=True)

    def _invoke(self, stem: str, event: bytes) -> Any:
        function = self.functions[stem]
        with self._room[stem]:
            instance = self._take(stem)
            arn = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{function.name}:{function.alias}"
            invocation = Invocation(event, arn, function.timeout, str(uuid.uuid4()))
            try:
                result = instance.run(invocation)
            except FunctionFailed as failure:
                self._note(function, invocation.request_id, str(failure))
                if invocation.error and instance.usable:  # it raised: as in Lambda, the instance serves on
                    self._keep(stem, instance)
                else:
                    self._drop(instance)
                raise
            self._keep(stem, instance)
        return json.loads(result) if result else None

    def _take(self, stem: str) -> Instance:
        while True:
            with self._lock:
                instance = self._idle[stem].pop() if self._idle[stem] else None
            if instance is None:
                return self._start(self.functions[stem])
            if instance.usable:
                return instance
            self._drop(instance)

    def _start(self, function: Function) -> Instance:
        credentials = self._credentials(function)
        instance = Instance(function, lambda api: self._spawn(function, credentials, api))
        with self._lock:
            if not self._closed:
                self._all.append(instance)
                return instance
        instance.stop()
        raise FunctionFailed("Runtime.Stopping", "the local run is stopping")

    def _spawn(self, function: Function, credentials: dict[str, str], api: str) -> Popen[bytes]:
        command = [sys.executable, *CLIENT, function.handler]
        return self._children.start(command, self._environment(function, credentials, api), function.code, self._log)

    def _environment(self, function: Function, credentials: dict[str, str], api: str) -> dict[str, str]:
        """The names that Lambda sets, and where the function's connections go instead of AWS."""
        return {
            **function.environment,
            **credentials,
            **FIXED_ENVIRONMENT,
            "AWS_LAMBDA_RUNTIME_API": api,
            "AWS_LAMBDA_FUNCTION_NAME": function.name,
            "AWS_LAMBDA_FUNCTION_VERSION": function.version,
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory),
            "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{function.name}",
            "LAMBDA_TASK_ROOT": str(function.code),
            "PWD": str(function.code),
            "_HANDLER": function.handler,
            "AWS_ENDPOINT_URL": self._endpoint,
        }

    def _keep(self, stem: str, instance: Instance) -> None:
        with self._lock:
            self._idle[stem].append(instance)

    def _drop(self, instance: Instance) -> None:
        with self._lock:
            if instance in self._all:
                self._all.remove(instance)
        instance.stop()

    def _note(self, function: Function, request_id: str, failure: str) -> None:
        with self._log.open("a", encoding="utf-8") as log:
            log.write(json.dumps({"local": function.handler, "request_id": request_id, "failure": failure}) + "\n")


def trace_root() -> str:
    return f"Root=1-{int(time.time()):08x}-{uuid.uuid4().hex[:24]}"


def _reason(ended: int) -> str:
    """How a process ended, in Lambda's words."""
    if ended == 0:
        return "Runtime exited without providing a reason"
    if ended < 0:
        return f"Runtime exited with error: signal: {(signal.strsignal(-ended) or str(-ended)).lower()}"
    return f"Runtime exited with error: exit status {ended}"


def _error(body: bytes) -> FunctionFailed:
    """An error as the runtime client reports it."""
    try:
        said = json.loads(body)
        return FunctionFailed(said["errorType"], said["errorMessage"], said.get("requestId", ""), said["stackTrace"])
    except (ValueError, KeyError, TypeError):
        return FunctionFailed("Runtime.Unknown", "the function reported an error")


def _read_body(request: http.server.BaseHTTPRequestHandler) -> bytes:
    """The runtime client sends its result in chunks."""
    if request.headers.get("Transfer-Encoding", "").lower() != "chunked":
        return request.rfile.read(int(request.headers.get("Content-Length", "0")))
    body = b""
    while size := int(request.rfile.readline().split(b";")[0], 16):
        body += request.rfile.read(size)
        request.rfile.readline()
    while request.rfile.readline() not in (b"\r\n", b"\n", b""):
        pass
    return body
