"""Stands in for Lambda's runtime client: imports one handler, invokes it, and reports what that cost.

Promises that every subject is measured by these same lines. Started by `measure.py` with the base interpreter, isolated
from any site-packages; the subject's directory is the only thing on its path. Imports what Lambda's own client has
loaded before a handler is imported, so that nobody is charged for it.
"""

import base64
import decimal
import http.client
import importlib
import json
import logging
import os
import sys
import threading
import time
import traceback
import uuid

TYPE_CHECKING = False
if TYPE_CHECKING:  # and not by typing's own constant: a handler that imports typing must pay for it
    from collections.abc import Callable
    from typing import Any

PRELOADED = (base64, decimal, http.client, logging, traceback, uuid)


class Context:
    """What handlers read of Lambda's context."""

    function_name, function_version, memory_limit_in_mb = "benchmark", "$LATEST", 1024
    invoked_function_arn = "arn:aws:lambda:eu-central-1:123456789012:function:benchmark"
    aws_request_id = "00000000-0000-4000-8000-000000000000"
    log_group_name, log_stream_name, identity = "/aws/lambda/benchmark", "benchmark", None
    client_context = None

    def get_remaining_time_in_millis(self) -> int:
        return 55_000  # as long as the longest of ours has; nobody else plans by it


def resident() -> int:
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))


def size_of(response: "dict[str, Any]") -> int:
    """Bytes that travel back to the caller: the body and the headers that the handler sets."""
    headers = list((response.get("headers") or {}).items())
    headers += [(name, value) for name, values in (response.get("multiValueHeaders") or {}).items() for value in values]
    return len((response.get("body") or "").encode()) + sum(len(f"{name}: {value}\r\n") for name, value in headers)


def invoke(handler: "Callable[..., Any]", events: "list[Any]") -> "dict[str, Any]":
    """Let it do some work. A scheduled function has no answer."""
    spent, walls, sizes, status = [], [], [], 200
    for event in events:
        cpu, wall = time.process_time_ns(), time.perf_counter_ns()
        response = handler(event, Context()) or {}
        spent.append(time.process_time_ns() - cpu)
        walls.append(time.perf_counter_ns() - wall)
        sizes.append(size_of(response))
        status = max(status, int(response.get("statusCode", 200)))
    return {"status": status, "spent": spent, "walls": walls, "sizes": sizes, "rss": resident()}


def profile(handler: "Callable[..., Any]", events: "list[Any]") -> "dict[str, Any]":
    """Count the calls of Python functions in all threads, by their package."""
    calls: dict[str, int] = {}

    def note(frame: "Any", event: str, _: object) -> None:
        if event == "call":
            package = str(frame.f_globals.get("__name__")).partition(".")[0]
            calls[package] = calls.get(package, 0) + 1

    threading.setprofile_all_threads(note)
    done = invoke(handler, events)
    threading.setprofile_all_threads(None)
    return done | {"calls": {name: count for name, count in calls.items() if name != __name__}}


def main() -> None:
    directory, module, name, log = sys.argv[1:]
    # What a handler prints goes the way of Lambda's logs; the protocol has the real stdout.
    protocol = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(log, os.O_WRONLY | os.O_APPEND), 1)
    sys.path.insert(0, directory)
    handler: Any = None
    ways = {"warm": invoke, "profile": profile, "nothing": lambda *_: {"status": 200}}
    for line in sys.stdin:
        command = json.loads(line)
        cpu, wall = time.process_time_ns(), time.perf_counter_ns()
        if command["do"] == "cold":
            handler = getattr(importlib.import_module(module), name)
            taken = {"init_cpu": time.process_time_ns() - cpu, "init_wall": time.perf_counter_ns() - wall}
            answer = taken | invoke(handler, command["events"])
        else:
            answer = ways[command["do"]](handler, command["events"])
        sys.stdout.flush()
        protocol.write(json.dumps(answer) + "\n")
        protocol.flush()


main()
