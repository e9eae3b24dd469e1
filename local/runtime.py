"""The Lambda service on this machine: AWS's own runtime client in one process per instance, which polls a Runtime API.

An instance runs as its function's own role, with the deployed environment variables and AWS_* only, and handles one
request at a time. One that dies or runs into its time-out fails its request and is replaced by the next one.
"""

import json
import queue
import sys
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from pathlib import Path
from subprocess import Popen
from typing import Any

from local.aws import ACCOUNT, REGION, Function
from local.exchange import trace_root
from local.loopback import Handler, LoopbackServer, read_body
from local.processes import Children, kill

INIT_LIMIT = 10.0  # seconds for the imports, as in Lambda
INSTANCE_AGE = 3000.0  # seconds; the credentials of its role last an hour
INSTANCES_PER_FUNCTION = 12  # 56 MiB each; further requests wait, as a laptop has no account limit to hit
FIXED_ENVIRONMENT = {
    "AWS_DEFAULT_REGION": REGION, "AWS_REGION": REGION, "AWS_EXECUTION_ENV": "AWS_Lambda_python3.13",
    "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand", "AWS_LAMBDA_LOG_STREAM_NAME": "local",
    # Nobody listens: spans are lost, as datagrams may be.
    "AWS_XRAY_CONTEXT_MISSING": "LOG_ERROR", "AWS_XRAY_DAEMON_ADDRESS": "127.0.0.1:2000",
    "_AWS_XRAY_DAEMON_ADDRESS": "127.0.0.1", "_AWS_XRAY_DAEMON_PORT": "2000",
    # Where nothing is: a library of this machine must not win.
    "LD_LIBRARY_PATH": "/var/lang/lib:/var/runtime", "LAMBDA_RUNTIME_DIR": "/var/runtime", "PYTHONPATH": "/var/runtime",
    "PATH": "/var/lang/bin:/usr/local/bin:/usr/bin:/bin:/opt/bin", "LANG": "en_US.UTF-8", "SHLVL": "0", "TZ": ":UTC",
}  # fmt: skip
"""What is the same for every function."""
NATIVE_CLIENT = ("-m", "awslambdaric")
PORTABLE_CLIENT = ("-P", str(Path(__file__).with_name("portable_client.py")))
CLIENT = NATIVE_CLIENT if sys.platform == "linux" else PORTABLE_CLIENT


class FunctionFailed(Exception):
    """The function raised, died or ran into its time-out: its outcome is not known."""


@dataclass
class Invocation:
    function: Function
    event: bytes
    request_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    result: Future[bytes] = field(default_factory=Future)


class Instance:
    """One process of a function and the Runtime API that it polls."""

    def __init__(self, start: Callable[[str], Popen[bytes]]) -> None:
        self.started = time.monotonic()
        self.ready: Future[None] = Future()
        self.waiting: queue.SimpleQueue[Invocation | None] = queue.SimpleQueue()
        self.current: Invocation | None = None
        self._server = LoopbackServer(("127.0.0.1", 0), partial(_RuntimeApi, self))
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        self.process = start(f"127.0.0.1:{self._server.server_address[1]}")

    @property
    def usable(self) -> bool:
        return self.process.poll() is None and time.monotonic() - self.started < INSTANCE_AGE

    def run(self, invocation: Invocation) -> bytes:
        self.wait(self.ready, INIT_LIMIT)
        self.waiting.put(invocation)
        return self.wait(invocation.result, invocation.function.timeout)

    def stop(self) -> None:
        kill(self.process)
        self.waiting.put(None)
        self._server.shutdown()
        self._server.server_close()

    def wait[T](self, awaited: Future[T], seconds: float) -> T:
        """Raises FunctionFailed: what was reported, or that the process ended or has no time left."""
        give_up = time.monotonic() + seconds
        while True:
            ended = self.process.poll()
            try:
                return awaited.result(timeout=0.02)  # how soon a killed process is noticed
            except TimeoutError:
                if ended is not None:
                    raise FunctionFailed(f"Runtime.ExitError: the process ended with {ended}") from None
                if time.monotonic() > give_up:
                    raise FunctionFailed(f"Sandbox.Timedout: Task timed out after {seconds:.2f} seconds") from None


class _RuntimeApi(Handler):
    timeout = None  # type: ignore[assignment]  # it polls for as long as nobody calls the function

    def __init__(self, instance: Instance, *connection: Any) -> None:
        self.instance = instance
        super().__init__(*connection)

    def serve(self) -> None:
        if self.command == "GET":
            return self.hand_out()
        body, current = read_body(self), self.instance.current
        if self.path.endswith("/init/error"):
            self.instance.ready.set_exception(_error(body))
        elif current is not None and self.path.endswith(f"/{current.request_id}/response"):
            current.result.set_result(body)
        elif current is not None and self.path.endswith(f"/{current.request_id}/error"):
            current.result.set_exception(_error(body))
        return self.reply(HTTPStatus.ACCEPTED, [])

    def hand_out(self) -> None:
        if not self.instance.ready.done():
            self.instance.ready.set_result(None)
        self.instance.current = invocation = self.instance.waiting.get()
        if invocation is None:
            self.close_connection = True
            return
        function = invocation.function
        named = {
            "Aws-Request-Id": invocation.request_id, "Deadline-Ms": str(int((time.time() + function.timeout) * 1000)),
            "Invoked-Function-Arn": f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{function.name}:{function.alias}",
            "Trace-Id": f"{trace_root()};Parent={uuid.uuid4().hex[:16]};Sampled=0",
        }  # fmt: skip
        headers = [(f"Lambda-Runtime-{name}", value) for name, value in named.items()]
        self.reply(HTTPStatus.OK, [("Content-Type", "application/json"), *headers], invocation.event)


def _error(body: bytes) -> FunctionFailed:
    said = json.loads(body)
    return FunctionFailed(f"{said['errorType']}: {said['errorMessage']}")


class Runtime:
    def __init__(
        self, functions: Mapping[str, Function], endpoint: str, credentials: Callable[[Function], dict[str, str]],
        children: Children, log: Path,
    ) -> None:  # fmt: skip
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
        try:
            instance.wait(instance.ready, INIT_LIMIT)
        except FunctionFailed:
            return self._drop(instance)
        return self._idle[stem].append(instance)

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
        invocation = Invocation(self.functions[stem], event)
        with self._room[stem]:
            instance = self._take(stem)
            try:
                result = instance.run(invocation)
            except FunctionFailed as failure:
                self._note(invocation, str(failure))
                if invocation.result.done() and instance.usable:  # it raised: as in Lambda, the instance serves on
                    self._idle[stem].append(instance)
                else:
                    self._drop(instance)
                raise
            self._idle[stem].append(instance)
        return json.loads(result) if result else None

    def _take(self, stem: str) -> Instance:
        with suppress(IndexError):
            while not (instance := self._idle[stem].pop()).usable:
                self._drop(instance)
            return instance
        return self._start(self.functions[stem])

    def _start(self, function: Function) -> Instance:
        command, credentials = [sys.executable, *CLIENT, function.handler], self._credentials(function)

        def spawn(api: str) -> Popen[bytes]:
            environment = self._environment(function, credentials, api)
            return self._children.start(command, environment, function.code, self._log)

        instance = Instance(spawn)
        with self._lock:
            if not self._closed:
                self._all.append(instance)
                return instance
        instance.stop()
        raise FunctionFailed("the local run is stopping")

    def _environment(self, function: Function, credentials: dict[str, str], api: str) -> dict[str, str]:
        """The names that Lambda sets, and where the function's connections go instead of AWS."""
        return {
            **function.environment, **credentials, **FIXED_ENVIRONMENT,
            "AWS_ENDPOINT_URL": self._endpoint, "AWS_LAMBDA_RUNTIME_API": api, "_HANDLER": function.handler,
            "AWS_LAMBDA_FUNCTION_NAME": function.name, "AWS_LAMBDA_FUNCTION_VERSION": function.version,
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory),
            "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{function.name}",
            "LAMBDA_TASK_ROOT": str(function.code), "PWD": str(function.code),
        }  # fmt: skip

    def _drop(self, instance: Instance) -> None:
        with self._lock:
            if instance in self._all:
                self._all.remove(instance)
        instance.stop()

    def _note(self, invocation: Invocation, failure: str) -> None:
        said = {"local": invocation.function.handler, "request_id": invocation.request_id, "failure": failure}
        with self._log.open("a", encoding="utf-8") as log:
            log.write(json.dumps(said) + "\n")
