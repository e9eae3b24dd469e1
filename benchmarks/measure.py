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
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.subjects import CACHE, HERE, PEERS, SHIPPABLE, WORKS, Subject, events, unhurried

Samples = dict[str, dict[str, list[float]]]
"""Figure, subject, one value a round."""

BLOCK = 50
NEAR_REGION, OTHER_REGION = "8/10/200", "20/60/200"
FAR = {
    NEAR_REGION: ("--aws-ms=8", "--provider-connect-ms=10", "--provider-ms=200"),
    OTHER_REGION: ("--aws-ms=20", "--provider-connect-ms=60", "--provider-ms=200"),
}
"""Milliseconds to the table and the secret, until the provider's connection is open, until its answer: by one name."""
FAR_FIGURES = {"submit": "wall of a warm void, far away", "webhook": "wall of a webhook, far away"}
FAR_BLOCK = 3


class Stubs:
    """The stubs' process, its ports and its control connection."""

    def __init__(self, *options: str) -> None:
        command = [sys.executable, "-m", "benchmarks.stub", str(CACHE / "stub.pem"), *options]
        self.process = subprocess.Popen(
            command,
            cwd=HERE.parent,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            preexec_fn=pin(1),  # noqa: PLW1509 there are no threads here
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

    def stop(self) -> None:
        """End the process."""
        self.file.close()
        self.connection.close()
        self.process.communicate()


@contextmanager
def stubs(*options: str) -> Iterator[Stubs]:
    """The stubs, while needed."""
    running = Stubs(*options)
    try:
        yield running
    finally:
        running.stop()


def pin(cpu: int) -> Any:
    """Subjects on one processor, stubs on another, where there are two."""
    processors = sorted(os.sched_getaffinity(0))
    return (lambda: os.sched_setaffinity(0, {processors[cpu]})) if len(processors) > cpu else None


def environment(subject: Subject, ports: dict[str, int]) -> dict[str, str]:
    """What Lambda sets, what a deployment sets, and where the stubs are. The same for all, but for its own trust."""
    trust = str(CACHE / "trust.pem")
    url = {role: f"https://127.0.0.1:{ports[role]}" for role in ("table", "secrets", "provider")}
    return {
        "PATH": os.environ["PATH"],
        "PYTHONHASHSEED": "0",
        "PYTHONDONTWRITEBYTECODE": "1",
        "AWS_ACCESS_KEY_ID": "fake",
        "AWS_SECRET_ACCESS_KEY": "fake",
        "AWS_SESSION_TOKEN": "fake" * 100,
        "AWS_REGION": "eu-central-1",
        "AWS_DEFAULT_REGION": "eu-central-1",
        "AWS_EXECUTION_ENV": "AWS_Lambda_python3.13",
        "AWS_LAMBDA_FUNCTION_NAME": "benchmark",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "1024",
        "LAMBDA_TASK_ROOT": str(subject.directory),
        "_X_AMZN_TRACE_ID": "Root=1-67891233-abcdef012345678912345678;Parent=463ac35c9f6413ad;Sampled=1",
        "AWS_XRAY_DAEMON_ADDRESS": f"127.0.0.1:{ports['datagrams']}",
        "AWS_ENDPOINT_URL_DYNAMODB": url["table"],
        "AWS_ENDPOINT_URL_SECRETS_MANAGER": url["secrets"],
        "AWS_CA_BUNDLE": trust,
        "CA_FILE": trust,
        "PROVIDER_URL": url["provider"],
        "PROVIDER_SCHEME": "CPAY",
        "TABLE_NAME": "voids",
        "IDEMPOTENCY_TABLE_NAME": "voids-idempotency",
        "SECRET_ID": "arn:aws:secretsmanager:eu-central-1:123456789012:secret:void-service-AbCdEf",
        "WEBHOOK_URL": "https://abcdefghij.execute-api.eu-central-1.amazonaws.com/v1/webhooks/financial-line",
        "POWERTOOLS_SERVICE_NAME": "void-service",
        "POWERTOOLS_METRICS_NAMESPACE": "VoidService",
        "POWERTOOLS_LOG_LEVEL": "INFO",
        **subject.environment,
    }


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
            preexec_fn=pin(0),  # noqa: PLW1509 there are no threads here
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


def far_away(work: str, distance: str) -> str:
    """The figure that `far` measures at this distance."""
    return f"{work}: {FAR_FIGURES[work]} ({distance}), ms"


def samples() -> Samples:
    """An empty collection."""
    return defaultdict(lambda: defaultdict(list))


def in_turn(subjects: list[Subject], number: int) -> list[Subject]:
    """Another one begins each round."""
    start = number % len(subjects)
    return subjects[start:] + subjects[:start]


def cold(found: Samples, subjects: list[Subject], work: str, running: Stubs, rounds: int) -> None:
    """Import and first invoke, each in a fresh process; what it asked of the network."""
    for number in range(-1, rounds):  # the round before the first fills the page cache
        for subject in in_turn(subjects, number):
            running.ask("reset")
            process = Process(subject, work, running.ports)
            answer = process.ask("cold", 1)
            counts = running.ask("counts")
            process.end()
            if number < 0:
                continue
            keep = {
                "cold CPU, ms": answer["cpu"] / 1e6,
                "cold wall, ms": answer["wall"] / 1e6,
                "init CPU, ms": answer["init_cpu"] / 1e6,
                "cold round trips": sum(counts.get(role, 0) for role in ("table", "secrets", "provider")),
                "cold connections": sum(count for name, count in counts.items() if name.endswith("connections")),
            }
            for figure, value in keep.items():
                found[f"{work}: {figure}"][subject.name].append(value)


def late(found: Samples, subjects: list[Subject], work: str, running: Stubs, rounds: int) -> None:
    """Wall time of a cold start where the other side is far away."""
    for number in range(rounds):
        for subject in in_turn(subjects, number):
            process = Process(subject, work, running.ports)
            answer = process.ask("cold", 1)
            process.end()
            found[f"{work}: cold wall with latency, ms"][subject.name].append(answer["wall"] / 1e6)
            found[f"{work}: first invoke's wall with latency, ms"][subject.name].append(answer["first_wall"] / 1e6)


def warm(found: Samples, subjects: list[Subject], work: str, running: Stubs, invokes: int, drops: int) -> None:
    """The same processes go on: blocks in turn, then memory, then invokes after every connection was dropped."""
    processes = {subject.name: Process(subject, work, running.ports) for subject in subjects}
    for process in processes.values():
        process.ask("cold", 1)
        process.ask("warm", BLOCK)
    spent: dict[str, list[list[float]]] = defaultdict(list)
    for number in range(max(invokes // BLOCK, 1)):
        for subject in in_turn(subjects, number):
            running.ask("reset")
            answer = processes[subject.name].ask("warm", BLOCK)
            counts = running.ask("counts")
            spent[subject.name].append([value / 1e3 for value in answer["spent"]])
            trips = sum(counts.get(role, 0) for role in ("table", "secrets", "provider")) / BLOCK
            sent = sum(count for name, count in counts.items() if name.endswith("bytes")) / BLOCK
            if number == 0:
                found[f"{work}: warm round trips"][subject.name].append(trips)
                found[f"{work}: warm bytes sent"][subject.name].append(sent)
    for name, blocks in spent.items():
        found[f"{work}: warm CPU p50, µs"][name] = [quantile(block, 0.5) for block in blocks]
        # A p99 of 50 is the worst of them: tenths of the whole run instead.
        tenth = max(len(blocks) // 10, 1)
        found[f"{work}: warm CPU p99, µs"][name] = [
            quantile([value for block in blocks[at : at + tenth] for value in block], 0.99)
            for at in range(0, len(blocks), tenth)
        ]
    for name, process in processes.items():
        missing = max(1000 - invokes - BLOCK - 1, 0)
        answer = process.ask("warm", missing or 1)
        found[f"{work}: memory after 1,000, MiB"][name] = [answer["rss"] / 1024]
    for number in range(drops):
        for subject in in_turn(subjects, number):
            running.ask("drop")
            time.sleep(0.01)  # the hang-up has arrived before the invoke
            answer = processes[subject.name].ask("warm", 1)
            found[f"{work}: CPU after dropped connections, µs"][subject.name].append(answer["spent"][0] / 1e3)
    for process in processes.values():
        process.end()


def far(found: Samples, subjects: list[Subject], work: str, distance: str, running: Stubs, rounds: int) -> None:
    """Wall time of a warm invoke where the other side is far away. Kept connections are open by then."""
    processes = {subject.name: Process(subject, work, running.ports) for subject in subjects}
    for process in processes.values():
        process.ask("cold", 1)
        process.ask("warm", FAR_BLOCK)
    for number in range(rounds):
        for subject in in_turn(subjects, number):
            walls = processes[subject.name].ask("warm", FAR_BLOCK)["walls"]
            found[far_away(work, distance)][subject.name].append(statistics.median(walls) / 1e6)
    for process in processes.values():
        process.end()


def quantile(values: list[float], share: float) -> float:
    """The nearest rank."""
    ordered = sorted(values)
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)]


# ---- instructions ----------------------------------------------------------------------------------------------------


def instructions(found: Samples, subjects: list[Subject], work: str, running: Stubs, more: int, rounds: int) -> None:
    """User-space instructions, counted by valgrind: blind to the kernel, but nearly the same in every run."""
    # Ours ends what takes too long.
    counted = [unhurried(subject) if subject.name.startswith("ours") else subject for subject in subjects]
    for _ in range(rounds):
        for subject in counted:
            nothing = count_instructions(subject, work, running, 1, more, nothing=True)
            one = count_instructions(subject, work, running, 1, more)
            found[f"{work}: cold instructions, millions"][subject.name].append((one - nothing) / 1e6)
            if more:
                many = count_instructions(subject, work, running, 1 + more, 0)
                found[f"{work}: warm instructions, millions"][subject.name].append((many - one) / more / 1e6)


def count_instructions(
    subject: Subject, work: str, running: Stubs, invokes: int, unused: int, *, nothing: bool = False
) -> int:
    """Of one whole process; all are told the same number of events, so that reading them cancels out."""
    tool = ("valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null")
    process = Process(subject, work, running.ports, under=tool)
    if nothing:
        process.ask("nothing", 1)
    else:
        process.ask("cold", 1)
    if invokes > 1:
        process.ask("warm", invokes - 1)
    if unused:
        process.ask("nothing", unused)
    written = process.end()
    counted = re.search(r"I\s+refs:\s+([\d,]+)", written)
    if counted is None:
        raise RuntimeError(f"valgrind counted nothing: {written[-500:]}")
    return int(counted[1].replace(",", ""))


def everything(
    subjects: dict[str, Subject], running: Stubs, distant: dict[str, Stubs], *, quick: bool, valgrind: bool
) -> Samples:
    """All figures of ours, the peers and the floor. `distant`: the stubs at each distance of FAR."""
    found = samples()
    sides = [subjects[name] for name in ("ours", *PEERS)]
    for work in WORKS:
        say(f"{work}: cold")
        cold(found, sides, work, running, 5 if quick else 25)
        say(f"{work}: cold, without byte code")
        plain = [subjects["ours"], *(subjects[f"{name}-plain"] for name in SHIPPABLE)]
        bare = samples()
        cold(bare, plain, work, running, 3 if quick else 10)
        for name, values in bare[f"{work}: cold CPU, ms"].items():
            found[f"{work}: cold CPU, peers without byte code, ms"][name.removesuffix("-plain")] = values
        say(f"{work}: cold, far away")
        late(found, sides, work, distant[OTHER_REGION], 3 if quick else 10)
        for distance, stubs_there in distant.items():
            say(f"{work}: warm, far away ({distance})")
            far(found, sides, work, distance, stubs_there, 4 if quick else 20)
        say(f"{work}: warm")
        warm(found, sides, work, running, 500 if quick else 5000, 10 if quick else 40)
        if valgrind:
            say(f"{work}: instructions")
            instructions(found, sides, work, running, 5 if quick else 10, 1 if quick else 2)
            bare = samples()
            instructions(bare, plain, work, running, 0, 1)
            for name, values in bare[f"{work}: cold instructions, millions"].items():
                found[f"{work}: cold instructions, peers without byte code, millions"][name.removesuffix("-plain")] = (
                    values
                )
    return found


def levers(subjects: list[Subject], running: Stubs, *, quick: bool, valgrind: bool) -> Samples:
    """Our asset with one thing taken away at a time."""
    found = samples()
    cold(found, subjects, "submit", running, 3 if quick else 15)
    warm(found, subjects, "submit", running, 200 if quick else 1000, 5 if quick else 20)
    if valgrind:
        for work in WORKS:
            say(f"levers: instructions of a {work}")
            instructions(found, subjects, work, running, 5, 1)
    return found


def say(what: str) -> None:
    """Progress, for whoever waits."""
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {what}\n")
