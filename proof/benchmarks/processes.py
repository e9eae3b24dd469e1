"""Subjects and stubs in processes of their own, which do and answer what is asked, a line of JSON each."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Self

from proof.benchmarks.events import events
from proof.benchmarks.subjects import CACHE, HERE, Subject
from proof.commit import ROOT

ROLES = ("table", "secrets", "provider")


class Process:
    """One of them, while needed; on a processor of its own, where there are two."""

    def __init__(self, name: str, command: list[str], environment: dict[str, str], processor: int, **more: Any) -> None:
        self.name = name
        found = sorted(os.sched_getaffinity(0)) if sys.platform == "linux" and not more else []
        pin = (lambda: os.sched_setaffinity(0, {found[processor]})) if len(found) > processor else None
        pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, **more}
        self.process = subprocess.Popen(command, cwd=ROOT, env=environment, preexec_fn=pin, **pipes)  # noqa: PLW1509 before there are threads

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def ask(self, do: str, **more: Any) -> Any:
        """Raises RuntimeError if it has ended."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(json.dumps({"do": do, **more}), file=self.process.stdin, flush=True)
        if not (line := self.process.stdout.readline()):
            raise RuntimeError(f"{self.name} ended")
        return json.loads(line)

    def end(self) -> str:
        """What it wrote on stderr, where that was kept."""
        return self.process.communicate()[1] or ""


class Stubs(Process):
    """Table, secrets and provider. They `reset` what they count, `drop` connections, and take a `page` for queries."""

    def __init__(self, *options: str, indexes: str = "[]") -> None:
        command = [sys.executable, "-m", "proof.benchmarks.stub", str(CACHE / "stub.pem"), indexes, *options]
        super().__init__("the stubs", command, {**os.environ, "PYTHONPATH": str(ROOT / "functions")}, 1)
        self.ports: dict[str, int] = self.ask("ports")


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


class Driven(Process):
    """One subject, doing one work; `first` is what its cold start took."""

    first: dict[str, Any]

    def __init__(
        self, subject: Subject, work: str, ports: dict[str, int], *, under: tuple[str, ...] = (), log: str = os.devnull
    ) -> None:
        self.work, self.next = work, 0
        python = Path(sys.base_prefix) / "bin" / "python3.13"
        # Nothing of this project's environment and nothing of the user's: what is not in the directory is not there.
        command = [*under, str(python), "-S", "-s", "-P", str(HERE / "driver.py"), str(subject.directory)]
        # Whoever counts instructions has threads, and needs no processor of its own.
        more = {"stderr": subprocess.PIPE} if under else {}
        entry = subject.entry(work)
        super().__init__(f"{subject.name} {work}", [*command, *entry, log], environment(subject, ports), 0, **more)

    def __enter__(self) -> Self:
        self.first = self.do("cold")
        return self

    def do(self, what: str, count: int = 1) -> dict[str, Any]:
        """Let it do something with `count` new events. Raises RuntimeError if one was not answered with 2xx."""
        answer: dict[str, Any] = self.ask(what, events=events(self.work, self.next, count))
        self.next += count
        if not 200 <= answer["status"] < 300:
            raise RuntimeError(f"{self.name} answered {answer['status']}")
        return answer
