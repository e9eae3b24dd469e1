"""Runs subjects beside each other and takes the figures: a process for each, one for the stubs, rounds interleaved.

Promises that every figure of a round is taken of all subjects within moments, so that a ratio is of one machine in one
state, and that an invoke which was not answered with 2xx ends the run: wrong work would be a wrong figure.
"""

import json
import os
import re
import socket
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from proof.benchmarks.events import events
from proof.benchmarks.subjects import CACHE, HERE, Subject
from proof.commit import ROOT

Samples = dict[str, dict[str, list[float]]]
"""Figure, subject, one value a round."""

NEAR_REGION, OTHER_REGION = "8/10/200", "20/60/200"
FAR = {
    NEAR_REGION: ("--aws-ms=8", "--provider-connect-ms=10", "--provider-ms=200"),
    OTHER_REGION: ("--aws-ms=20", "--provider-connect-ms=60", "--provider-ms=200"),
}
"""Milliseconds to the table and the secret, until the provider's connection is open, until its answer: by one name."""
BLOCK, FAR_BLOCK = 50, 3
ROLES = ("table", "secrets", "provider")


class Stubs:
    """The stubs' process, its ports and its control connection."""

    def __init__(self, *options: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "proof.benchmarks.stub", str(CACHE / "stub.pem"), *options],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            preexec_fn=pin(1),  # noqa: PLW1509 before there are threads
        )
        assert self.process.stdout is not None
        self.ports: dict[str, int] = json.loads(self.process.stdout.readline())
        self.connection = socket.create_connection(("127.0.0.1", self.ports["control"]))
        self.file = self.connection.makefile("rw")

    def ask(self, word: str) -> dict[str, int]:
        """Say `reset`, `counts` or `drop`."""
        self.file.write(word + "\n")
        self.file.flush()
        counts: dict[str, int] = json.loads(self.file.readline())
        return counts


@contextmanager
def stubs(*options: str) -> Iterator[Stubs]:
    """The stubs, while needed."""
    running = Stubs(*options)
    try:
        yield running
    finally:
        running.file.close()
        running.connection.close()
        running.process.communicate()


def pin(cpu: int) -> Any:
    """Subjects on one processor, stubs on another, where there are two."""
    processors = sorted(os.sched_getaffinity(0)) if sys.platform == "linux" else []
    return (lambda: os.sched_setaffinity(0, {processors[cpu]})) if len(processors) > cpu else None


def environment(subject: Subject, ports: dict[str, int]) -> dict[str, str]:
    """What Lambda sets, what a deployment sets, and where the stubs are. The same for all, but for its own trust."""
    trust = str(CACHE / "trust.pem")
    url = {role: f"https://127.0.0.1:{ports[role]}" for role in ROLES}
    return {
        "PATH": os.environ["PATH"], "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1",
        "AWS_ACCESS_KEY_ID": "fake", "AWS_SECRET_ACCESS_KEY": "fake", "AWS_SESSION_TOKEN": "fake" * 100,
        "AWS_REGION": "eu-central-1", "AWS_DEFAULT_REGION": "eu-central-1",
        "AWS_EXECUTION_ENV": "AWS_Lambda_python3.13", "AWS_LAMBDA_FUNCTION_NAME": "benchmark",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "1024", "LAMBDA_TASK_ROOT": str(subject.directory),
        "_X_AMZN_TRACE_ID": "Root=1-67891233-abcdef012345678912345678;Parent=463ac35c9f6413ad;Sampled=1",
        "AWS_XRAY_DAEMON_ADDRESS": f"127.0.0.1:{ports['datagrams']}",
        "AWS_ENDPOINT_URL_DYNAMODB": url["table"], "AWS_ENDPOINT_URL_SECRETS_MANAGER": url["secrets"],
        "AWS_CA_BUNDLE": trust, "CA_FILE": trust, "PROVIDER_URL": url["provider"], "PROVIDER_SCHEME": "CPAY",
        "TABLE_NAME": "voids", "IDEMPOTENCY_TABLE_NAME": "voids-idempotency",
        "SECRET_ID": "arn:aws:secretsmanager:eu-central-1:123456789012:secret:void-service-AbCdEf",
        "WEBHOOK_URL": "https://abcdefghij.execute-api.eu-central-1.amazonaws.com/v1/webhooks/financial-line",
        "POWERTOOLS_SERVICE_NAME": "void-service", "POWERTOOLS_METRICS_NAMESPACE": "VoidService",
        "POWERTOOLS_LOG_LEVEL": "INFO", **subject.environment,
    }  # fmt: skip


class Process:
    """One subject in its process, doing one work."""

    def __init__(
        self, subject: Subject, work: str, ports: dict[str, int], *, under: tuple[str, ...] = (), log: str = os.devnull
    ) -> None:
        self.subject, self.work, self.next = subject, work, 0
        python = Path(sys.base_prefix) / "bin" / "python3.13"
        # Nothing of this project's environment and nothing of the user's: what is not in the directory is not there.
        command = [*under, str(python), "-S", "-s", "-P", str(HERE / "driver.py")]
        self.process = subprocess.Popen(
            [*command, str(subject.directory), subject.module(work), log],
            env=environment(subject, ports),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE if under else None,
            text=True,
            preexec_fn=None if under else pin(0),  # noqa: PLW1509 whoever counts instructions has threads, and needs no pin
        )

    def ask(self, do: str, count: int) -> dict[str, Any]:
        """Let it do something with `count` new events."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps({"do": do, "events": events(self.work, self.next, count)}) + "\n")
        self.process.stdin.flush()
        self.next += count
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.subject.name} {self.work} ended")
        answer: dict[str, Any] = json.loads(line)
        if not 200 <= answer["status"] < 300:
            raise RuntimeError(f"{self.subject.name} {self.work} answered {answer['status']}")
        return answer

    def end(self) -> str:
        """End it; what it wrote on stderr where that was kept."""
        _, written = self.process.communicate()
        return written or ""


@contextmanager
def process(subject: Subject, work: str, ports: dict[str, int]) -> Iterator[Process]:
    """A subject's process, while needed."""
    running = Process(subject, work, ports)
    try:
        yield running
    finally:
        running.end()


def samples() -> Samples:
    """An empty collection."""
    return defaultdict(lambda: defaultdict(list))


def in_turn(subjects: list[Subject], number: int) -> list[Subject]:
    """Another one begins each round."""
    start = number % len(subjects)
    return subjects[start:] + subjects[:start]


def cold(subjects: list[Subject], work: str, running: Stubs, rounds: int) -> Samples:
    """Import and first invoke, each in a fresh process, and what it asked of the network."""
    found = samples()
    for number in range(-1, rounds):  # the round before the first fills the page cache
        for subject in in_turn(subjects, number):
            running.ask("reset")
            with process(subject, work, running.ports) as started:
                answer = started.ask("cold", 1)
            counts = running.ask("counts")
            keep = {
                "cold CPU, ms": answer["cpu"] / 1e6,
                "cold round trips": sum(counts.get(role, 0) for role in ROLES),
                "cold connections": sum(counts.get(f"{role} connections", 0) for role in ROLES),
            }
            for figure, value in keep.items() if number >= 0 else ():
                found[f"{work}: {figure}"][subject.name].append(value)
    return found


def first(subjects: list[Subject], work: str, distance: str, running: Stubs, rounds: int) -> Samples:
    """Wall time of a cold start where the other side is far away, and of its first invoke alone."""
    found = samples()
    for number in range(rounds):
        for subject in in_turn(subjects, number):
            with process(subject, work, running.ports) as started:
                answer = started.ask("cold", 1)
            found[f"{work}: cold start, wall ({distance}), ms"][subject.name].append(answer["wall"] / 1e6)
            found[f"{work}: first invoke, wall ({distance}), ms"][subject.name].append(answer["first_wall"] / 1e6)
    return found


def far(subjects: list[Subject], work: str, distance: str, running: Stubs, rounds: int) -> Samples:
    """Wall time of a warm invoke where the other side is far away. Kept connections are open by then."""
    found = samples()
    processes = {subject.name: Process(subject, work, running.ports) for subject in subjects}
    for each in processes.values():
        each.ask("cold", 1)
        each.ask("warm", FAR_BLOCK)
    for number in range(rounds):
        for subject in in_turn(subjects, number):
            walls = processes[subject.name].ask("warm", FAR_BLOCK)["walls"]
            found[f"{work}: warm, wall ({distance}), ms"][subject.name].append(statistics.median(walls) / 1e6)
    for each in processes.values():
        each.end()
    return found


def warm(subjects: list[Subject], work: str, running: Stubs, invokes: int, drops: int) -> Samples:
    """The same processes go on: blocks in turn, then memory, then invokes after every connection was dropped."""
    found = samples()
    processes = {subject.name: Process(subject, work, running.ports) for subject in subjects}
    for each in processes.values():
        each.ask("cold", 1)
        each.ask("warm", BLOCK)
    for number in range(max(invokes // BLOCK, 1)):
        for subject in in_turn(subjects, number):
            running.ask("reset")
            answer = processes[subject.name].ask("warm", BLOCK)
            counts = running.ask("counts")
            found[f"{work}: warm CPU, µs"][subject.name].append(statistics.median(answer["spent"]) / 1e3)
            if number == 0:
                trips = sum(counts.get(role, 0) for role in ROLES) / BLOCK
                sent = sum(counts.get(f"{role} bytes", 0) for role in ROLES) / BLOCK
                found[f"{work}: warm round trips"][subject.name].append(trips)
                found[f"{work}: warm bytes sent"][subject.name].append(sent)
    for name, each in processes.items():
        rss = each.ask("warm", max(1000 - invokes - BLOCK - 1, 1))["rss"] / 1024
        found[f"{work}: memory after 1,000, MiB"][name] = [rss]
    for number in range(drops):
        for subject in in_turn(subjects, number):
            running.ask("drop")
            time.sleep(0.01)  # the hang-up has arrived before the invoke
            spent = processes[subject.name].ask("warm", 1)["spent"][0]
            found[f"{work}: CPU after dropped connections, µs"][subject.name].append(spent / 1e3)
    for each in processes.values():
        each.end()
    return found


def settling(ours: Subject, running: Stubs, runs: int) -> Samples:
    """What one query of a settle run takes, with its lease and its outcome."""
    found = samples()
    with process(ours, "settle", running.ports) as started:
        started.ask("cold", 1)
        for _ in range(runs):
            running.ask("reset")
            answer = started.ask("warm", 1)
            queries = running.ask("counts")["provider"]
            found["settle: CPU of a query, µs"][ours.name].append(answer["spent"][0] / 1e3 / queries)
        found["settle: memory with 8 workers, MiB"][ours.name] = [answer["rss"] / 1024]
    return found


# ---- instructions ----------------------------------------------------------------------------------------------------


def instructions(subjects: list[Subject], work: str, running: Stubs, more: int) -> Samples:
    """User-space instructions, counted by valgrind: blind to the kernel, but nearly the same in every run.

    All are told the same number of events, so that reading them cancels out; two are counted side by side, which the
    count does not notice. With `more`: also those of a warm invoke, the mean of so many.
    """
    asked = [(), (("cold", 1),), (("cold", 1), ("warm", more))][: 3 if more else 2]

    def count(subject: Subject, doing: tuple[tuple[str, int], ...]) -> int:
        tool = ("valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null")
        each = Process(subject, work, running.ports, under=tool)
        for do, times in (*doing, ("nothing", 1 + more - sum(times for _, times in doing))):
            if times:
                each.ask(do, times)
        told = re.search(r"I\s+refs:\s+([\d,]+)", written := each.end())
        if told is None:
            raise RuntimeError(f"valgrind counted nothing: {written[-500:]}")
        return int(told[1].replace(",", ""))

    found = samples()
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        jobs = {subject.name: [pool.submit(count, subject, doing) for doing in asked] for subject in subjects}
        for name, (nothing, one, *many) in jobs.items():
            found[f"{work}: cold instructions, millions"][name] = [(one.result() - nothing.result()) / 1e6]
            for each in many:
                found[f"{work}: warm instructions, millions"][name] = [(each.result() - one.result()) / more / 1e6]
    return found


def say(what: str) -> None:
    """Progress, for whoever waits."""
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {what}\n")
