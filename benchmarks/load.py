"""`python -m benchmarks.load`: drive the local service with 1 to 64 clients and print what it bears.

    python -m benchmarks.load [--clients 1,2,4,8,16,32,64] [--seconds 6]

Promises to end: each step lasts `--seconds`, after 3 s of warming up. Gateway, engine, sandbox, functions and clients
share this machine: the figures say how the service behaves when it is full, not what AWS would bear. Writes nothing.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from local.service import Service, running

ROOT = Path(__file__).resolve().parents[1]
REQUIREMENTS = ROOT / "benchmarks" / "requirements-load.txt"
ENVIRONMENT = ROOT / ".cache" / "bench" / "load"
WARM_UP = 3
GRACE = 60
"""Seconds beyond a step after which locust is given up: the longest answer takes 20."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.load")
    parser.add_argument("--clients", default="1,2,4,8,16,32,64", help="numbers of clients, one step each")
    parser.add_argument("--seconds", type=int, default=6, help="length of a step")
    options = parser.parse_args()
    steps = [int(number) for number in options.clients.split(",")]
    if not all(1 <= number <= 64 for number in steps) or not 1 <= options.seconds <= 600:
        sys.exit("python -m benchmarks.load: 1 to 64 clients, 1 to 600 seconds")
    locust = install()
    with running(quiet=False) as service:
        print(f"\n{'':>7} {'voids':>8} {'reads':>8} {'void ms':>14} {'read ms':>14} {'':>7} {'functions':>17}")
        print(f"{'clients':>7} {'per s':>8} {'per s':>8} {'p50':>6} {'p99':>7} {'p50':>6} {'p99':>7} ", end="")
        print(f"{'errors':>7} {'number':>8} {'MiB':>8}")
        failed = False
        for clients in steps:
            # So that the step shows warm functions: more clients need more of them, and each starts cold.
            drive(locust, service, clients, WARM_UP)
            failed = show(clients, drive(locust, service, clients, options.seconds), service) or failed
    sys.exit("errors: see above" if failed else 0)


def install() -> Path:
    """Locust in an environment of its own; installed on first use and again when its pins changed."""
    python, stamp = ENVIRONMENT / "bin" / "python", ENVIRONMENT / "made-from"
    digest = hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()
    if not (python.exists() and stamp.exists() and stamp.read_text() == digest):
        print("Installing locust (once)", flush=True)
        uv = [sys.executable, "-m", "uv", "--quiet", "--no-config"]
        subprocess.run([*uv, "venv", "--clear", "--python", sys.executable, str(ENVIRONMENT)], check=True)
        pinned = ["--require-hashes", "--only-binary", ":all:", "-r", str(REQUIREMENTS)]
        subprocess.run([*uv, "pip", "install", "--python", str(python), *pinned], check=True)
        stamp.write_text(digest)
    return ENVIRONMENT / "bin" / "locust"


def drive(locust: Path, service: Service, clients: int, seconds: int) -> list[dict[str, Any]]:
    """One step; locust's statistics, one entry for each kind of request."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(ENVIRONMENT),
        "PYTHONPATH": str(ROOT),
        "VOID_URL": service.url,
        "VOID_SANDBOX_URL": service.sandbox_url,
        "VOID_REGION": service.region,
        "VOID_ACCESS_KEY": service.access_key,
        "VOID_SECRET_KEY": service.secret_key,
    }
    users = ["--users", str(clients), "--spawn-rate", str(clients), "--run-time", f"{seconds}s", "--stop-timeout", "25"]
    run = subprocess.run(
        [str(locust), "--locustfile", str(ROOT / "benchmarks" / "load_user.py"), "--headless", "--json", *users,
         "--exit-code-on-error", "0", "--loglevel", "ERROR"],
        env=environment, cwd=ENVIRONMENT, capture_output=True, text=True, check=False, timeout=seconds + GRACE,
    )  # fmt: skip
    if run.returncode:
        sys.exit(f"locust failed:\n{run.stderr}")
    found: list[dict[str, Any]] = json.loads(run.stdout)
    return found


def show(clients: int, found: list[dict[str, Any]], service: Service) -> bool:
    """One line; was there an error?"""
    void, read = (next((entry for entry in found if entry["name"] == name), {}) for name in ("void", "read"))
    if not (void and read):
        sys.exit("locust sent nothing")
    errors = sum(entry["num_failures"] for entry in found)
    pids = service.function_pids()
    memory = sum(map(resident, pids)) / 2**20
    figures = "".join(
        f"{quantile(entry['response_times'], 0.5):7.0f} {quantile(entry['response_times'], 0.99):7.0f}"
        for entry in (void, read)
    )
    print(
        f"{clients:7} {rate(void):8.1f} {rate(read):8.1f}{figures} {errors:7} {len(pids):8} {memory:8.0f}",
        flush=True,
    )
    return bool(errors)


def rate(entry: dict[str, Any]) -> float:
    """Requests in a second. The last ones of a step end after it, and their time counts too."""
    return float(entry["num_requests"] / (entry["last_request_timestamp"] - entry["start_time"]))


def quantile(histogram: dict[str, int], share: float) -> float:
    """The time that this share of the requests did not exceed. Locust keeps two digits of what is above 100 ms."""
    wanted, seen = share * sum(histogram.values()), 0
    for milliseconds, count in sorted((float(key), count) for key, count in histogram.items()):
        seen += count
        if seen >= wanted:
            return milliseconds
    return 0.0


def resident(pid: int) -> int:
    """Bytes of memory that a process holds for itself, where the kernel tells (Linux)."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


if __name__ == "__main__":
    main()
