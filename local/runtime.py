"""The Lambda service on this machine: AWS's own runtime client in one process per instance.

An instance runs as its function's own role, with the deployed environment variables and AWS_* only. One that died is
replaced by the next request.
"""

import json
import sys
import threading
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from subprocess import Popen
from typing import Any

from local.aws import ACCOUNT, REGION, Function
from local.instance import INIT_LIMIT, FunctionFailed, Instance, Invocation
from local.processes import Children

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
            **function.environment, **credentials, **FIXED_ENVIRONMENT,
            "AWS_ENDPOINT_URL": self._endpoint, "AWS_LAMBDA_RUNTIME_API": api, "_HANDLER": function.handler,
            "AWS_LAMBDA_FUNCTION_NAME": function.name, "AWS_LAMBDA_FUNCTION_VERSION": function.version,
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory),
            "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{function.name}",
            "LAMBDA_TASK_ROOT": str(function.code), "PWD": str(function.code),
        }  # fmt: skip

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
