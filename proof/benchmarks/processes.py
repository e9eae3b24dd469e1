"""Subjects and stubs in processes of their own, which do and answer what is asked line by line."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from proof.benchmarks.events import events
from proof.benchmarks.subjects import CACHE, HERE, Subject
from proof.commit import ROOT

ROLES = ("table", "secrets", "provider")


class Stubs:
    """The stubs' process and its ports."""

    def __init__(self, *options: str, indexes: str = "[]") -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "proof.benchmarks.stub", str(CACHE / "stub.pem"), indexes, *options],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT / "functions")},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            preexec_fn=pin(1),  # noqa: PLW1509 before there are threads
        )
        self.ports: dict[str, int] = told(self.process)

    def ask(self, word: str, text: str = "") -> dict[str, float]:
        """Say `reset`, `counts`, `stored`, `drop` or `page`."""
        say_to(self.process, f"{word} {text}")
        counts: dict[str, float] = told(self.process)
        return counts


def say_to(process: subprocess.Popen[str], line: str) -> None:
    """One line to a process."""
    assert process.stdin is not None
    process.stdin.write(line + "\n")
    process.stdin.flush()


def told(process: subprocess.Popen[str]) -> Any:
    """The next line of a process. Raises EOFError if it has ended."""
    assert process.stdout is not None
    if not (line := process.stdout.readline()):
        raise EOFError
    return json.loads(line)


@contextmanager
def stubs(*options: str, indexes: str = "[]") -> Iterator[Stubs]:
    """The stubs, while needed."""
    running = Stubs(*options, indexes=indexes)
    try:
        yield running
    finally:
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
        "TABLE_NAME": subject.name, "IDEMPOTENCY_TABLE_NAME": f"{subject.name} idempotency",
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
            [*command, str(subject.directory), *subject.entry(work), log],
            env=environment(subject, ports),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE if under else None,
            text=True,
            preexec_fn=None if under else pin(0),  # noqa: PLW1509 whoever counts instructions has threads, and needs no pin
        )

    def ask(self, do: str, count: int) -> dict[str, Any]:
        """Let it do something with `count` new events."""
        say_to(self.process, json.dumps({"do": do, "events": events(self.work, self.next, count)}))
        self.next += count
        try:
            answer: dict[str, Any] = told(self.process)
        except EOFError:
            raise RuntimeError(f"{self.subject.name} {self.work} ended") from None
        if not 200 <= answer["status"] < 300:
            raise RuntimeError(f"{self.subject.name} {self.work} answered {answer['status']}")
        return answer

    def end(self) -> str:
        """End it; what it wrote on stderr where that was kept."""
        _, written = self.process.communicate()
        return written or ""


@contextmanager
def process(subject: Subject, work: str, ports: dict[str, int], **more: str) -> Iterator[Process]:
    """A subject's process, while needed."""
    running = Process(subject, work, ports, **more)  # type: ignore[arg-type]
    try:
        yield running
    finally:
        running.end()
