"""SnapStart starts one snapshot of an initialised function many times: nothing unique may be in it.

Each handler is imported fresh while a profiler sees every call, also those of C: chance, clocks, identities, connections.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FUNCTIONS = ROOT / "functions"
HANDLERS = ("submit_void", "read_voids", "receive_webhook", "settle_voids")
SETTINGS = {
    "TABLE_NAME": "voids",
    "SECRET_ID": "the-secret",
    "PROVIDER_URL": "https://provider.invalid",
    "PROVIDER_SCHEME": "CPAY",
    "WEBHOOK_URL": "https://service.invalid/v1/webhooks/financial-line",
    "AWS_DEFAULT_REGION": "eu-central-1",
    "AWS_ACCESS_KEY_ID": "none",
    "AWS_SECRET_ACCESS_KEY": "none",
    "POWERTOOLS_SERVICE_NAME": "void-service",
    "POWERTOOLS_METRICS_NAMESPACE": "VoidService",
}
# Run in a process of its own: argv is the folder that is ours, and the module to import from it.
PROBE = """
import _random, json, socket, sys, threading

ours, module = sys.argv[1:]
sys.path.insert(0, ours)
UNIQUE = {
    "posix": {"urandom", "getrandom", "getpid", "getppid", "uname"},
    "time": {"time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns"},
    "_uuid": {"generate_time_safe"},
    "_socket": {"gethostname"},
    "_ssl": {"RAND_bytes"},
}
DRAWS = {"random", "seed", "getrandbits"}
NOW = {"now", "utcnow", "today"}
# These draw on behalf of whoever called them.
BEHIND = ("random.py", "uuid.py", "secrets.py", "tempfile.py", "hmac.py")
seen = {"ours": [], "libraries": []}


def unique(function):
    name, owner = function.__name__, getattr(function, "__self__", None)
    if isinstance(owner, type(sys)):
        return name in UNIQUE.get(owner.__name__, ())
    if isinstance(owner, _random.Random):
        return name in DRAWS
    if isinstance(owner, socket.socket) or type(owner).__name__ == "socket":
        return name in ("connect", "connect_ex", "bind")
    return isinstance(owner, type) and owner.__module__ == "datetime" and name in NOW


def watch(frame, event, function):
    if event != "c_call" or not unique(function):
        return
    while frame.f_back is not None and frame.f_code.co_filename.endswith(BEHIND):
        frame = frame.f_back
    place = frame.f_code.co_filename
    seen["ours" if place.startswith(ours) else "libraries"].append(
        f"{function.__name__} in {frame.f_code.co_qualname} ({place}:{frame.f_lineno})"
    )


threading.setprofile(watch)
sys.setprofile(watch)
__import__(module)
sys.setprofile(None)
seen["threads"] = [thread.name for thread in threading.enumerate() if thread is not threading.main_thread()]
print(json.dumps(seen))
"""


def at_import(folder: Path, module: str) -> dict[str, list[str]]:
    """What was drawn while `module` was imported: by the code in `folder`, and by libraries; and threads left over."""
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(FUNCTIONS), **SETTINGS}
    probe = subprocess.run(
        [sys.executable, "-c", PROBE, str(folder), module], env=environment, capture_output=True, text=True, check=False
    )
    assert probe.returncode == 0, probe.stderr
    seen: dict[str, list[str]] = json.loads(probe.stdout)
    return seen


@pytest.fixture(scope="module", params=HANDLERS)
def seen(request: pytest.FixtureRequest) -> dict[str, list[str]]:
    return at_import(FUNCTIONS, request.param)


def test_our_code_draws_nothing_unique_at_init(seen: dict[str, list[str]]) -> None:
    assert seen["ours"] == []


def test_libraries_draw_nothing_that_reaches_a_caller(seen: dict[str, list[str]]) -> None:
    """No connection, hence no secret; no identifier. What else appears here must be understood before it is added."""
    # The key of multiprocessing, which boto3 imports and nothing here uses.
    unused = "urandom in _MainProcess.__init__"
    drawn = {call.partition(" in ")[0] for call in seen["libraries"] if not call.startswith(unused)}
    harmless = {
        "seed",  # of `random`'s shared generator: it spreads retries and samples logs; identifiers come from the kernel
        "time_ns",  # when logging began, for a field that our logs do not have
        "uname",  # the user agent
        "bind",  # urllib3 tries whether there is IPv6, and closes the socket
    }
    assert drawn <= harmless


def test_no_thread_is_left_by_init(seen: dict[str, list[str]]) -> None:
    assert seen["threads"] == []


@pytest.mark.parametrize(
    ("line", "drawn"),
    [
        ("import uuid; ID = uuid.uuid4().hex", "urandom"),
        ("import secrets; ID = secrets.token_hex()", "urandom"),
        ("from os import urandom; ID = urandom(8)", "urandom"),
        ("import random; ID = random.random()", "random"),
        ("import random; ID = random.Random().randint(1, 9)", "seed"),
        ("from time import time_ns; STARTED = time_ns()", "time_ns"),
        ("from datetime import UTC, datetime; STARTED = datetime.now(UTC)", "now"),
        ("from os import getpid; ID = getpid()", "getpid"),
    ],
)
def test_the_probe_sees_what_it_is_there_to_see(tmp_path: Path, line: str, drawn: str) -> None:
    (tmp_path / "unsafe.py").write_text(line)
    assert any(call.startswith(f"{drawn} in ") for call in at_import(tmp_path, "unsafe")["ours"])
