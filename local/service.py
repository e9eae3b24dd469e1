"""Starts and stops the whole service on this machine, for a person (`make run`) and for the tests.

Promises that everything listens on loopback only and that nothing is left running, also after a failed start.
"""

import errno
import json
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from local import aws, issuer, sandbox, signature
from local.assembly import CACHE, Say, assembly, template
from local.console.server import console
from local.gateway.api import read_api
from local.gateway.server import Gateway
from local.instance import FunctionFailed
from local.kept import Kept
from local.outcomes import Follower, Outcomes, Stream
from local.processes import Children
from local.runtime import Runtime
from local.scratch import scratch_folder
from play.ledger import Project

# The published examples of the provider's documentation: good for the sandbox and for nothing else.
CREDENTIALS = {
    "pos_id": "dc728de1-51ef-4ef1-80f7-3b44b07b5667",
    "api_key": "2c2b91a3-9b73-4551-81ac-84e0d0360995",
    "api_secret": "ktMdTyollYMRkEfvgqbaWmvFiXPy1a80",
    "endpoints_key": "fake-endpoints-key",
}
SECONDS = {"minute": 60, "minutes": 60, "hour": 3600, "hours": 3600, "day": 86_400, "days": 86_400}


@dataclass(frozen=True)
class Options:
    """What `make run` may be asked for."""

    port: int = 0
    sandbox_port: int = 0
    keep: bool = False
    """Records and holds are those of the last run that kept them."""
    show_events: bool = False
    outcome_url: str | None = None
    """Where each void.settled is posted to."""
    tokens: bool = False
    """Callers may come with tokens of the sandbox's own issuer, too."""


@dataclass(frozen=True)
class Service:
    """Where the parts of the running service are."""

    url: str
    sandbox_url: str
    provider_url: str
    provider_ca: Path
    aws_endpoint: str
    table_name: str
    secret_arn: str
    log: Path
    runtime: Runtime
    outcomes: Outcomes
    region: str = aws.REGION
    access_key: str = signature.MERCHANT.access_key
    secret_key: str = signature.MERCHANT.secret_key
    admin_credentials: tuple[str, str] = aws.ADMIN

    def function_pids(self) -> list[int]:
        return self.runtime.pids()

    def invoke(self, function: str, event: Any = None) -> Any:
        return self.runtime.invoke(function, scheduled_event(datetime.now(UTC)) if event is None else event)

    def logs(self) -> str:
        """All that the function processes have written so far."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    def client(self, name: str) -> Any:
        """A client with the rights of the account's owner, to look at what the functions did."""
        return aws.client(name, self.aws_endpoint)


@contextmanager
def running(quiet: bool = True, **chosen: Any) -> Iterator[Service]:
    """`chosen`: members of `Options`."""
    with ExitStack() as stack:
        yield _Start(stack, Options(**chosen), _silence if quiet else _progress()).service()


class _Start:
    """One start, in steps; what each step starts is stopped by the stack, the newest first."""

    def __init__(self, stack: ExitStack, options: Options, say: Say) -> None:
        self.stack, self.options, self.say = stack, options, say
        self.scratch = stack.enter_context(scratch_folder(CACHE))
        # The ports first: a busy one is said at once, not after a minute of synthesis.
        self.gateway = _on_port("PORT", options.port, Gateway)
        stack.callback(self.gateway.stop)
        self.provider = _on_port("SANDBOX_PORT", options.sandbox_port, self.sandbox)
        stack.callback(self.provider.stop)
        self.kept = Kept(CACHE, self.provider.desk) if options.keep else None
        if self.kept:
            stack.callback(self.kept.close)
        self.children = Children()
        stack.callback(self.children.stop_all)

    def service(self) -> Service:
        self.deploy()
        outcomes = self.follow()
        runtime = self.functions()
        self.serve(runtime, outcomes)
        self.keep_schedules(runtime)
        # For `python -m ops --local` and `make acceptance`: the ports are others in each run. Goes with the folder.
        note = {"url": self.gateway.url, "aws_endpoint": self.endpoint, "sandbox_url": self.provider.control_url}
        (self.scratch / "service.json").write_text(json.dumps(note), encoding="utf-8")
        return Service(
            url=self.gateway.url,
            sandbox_url=self.provider.control_url,
            provider_url=self.provider.provider_url,
            provider_ca=self.provider.ca_file,
            aws_endpoint=self.endpoint,
            table_name=self.deployment.table_name,
            secret_arn=self.deployment.secret_arn,
            log=self.scratch / "functions.log",
            runtime=runtime,
            outcomes=outcomes,
        )

    def sandbox(self, port: int) -> sandbox.Sandbox:
        webhooks = f"{self.gateway.url}/v1/webhooks/financial-line"
        return sandbox.start(port, Project(**CREDENTIALS), self.scratch, webhooks, self.options.tokens)

    def deploy(self) -> None:
        engine = aws.install_engine(self.say)
        synthesised = assembly(self.say)
        self.declared = template(synthesised)
        self.say("Starting ministack, which stands in for AWS, and deploying the stack into it")
        self.endpoint = aws.start_engine(engine, self.children, self.scratch, self.scratch / "ministack.log")
        self.parameters = {
            "ProviderUrl": self.provider.provider_url,
            "ProviderCaFile": str(self.provider.ca_file),
            "PublicUrl": self.gateway.url,
        }
        self.deployment = aws.deploy(self.endpoint, synthesised, self.parameters)
        aws.fill_secret(self.endpoint, self.deployment, CREDENTIALS)

    def follow(self) -> Outcomes:
        """What leaves, and what is kept. Stopped after the functions, so that nothing which they wrote is missed."""
        table, options = self.deployment.table_name, self.options
        if self.kept:
            self.kept.restore(aws.client("dynamodb", self.endpoint), table)
        show = _print if options.show_events else None
        outcomes = Outcomes(self.declared, aws.client("events", self.endpoint), show, options.outcome_url)
        takers = [outcomes.take, *([self.kept.take] if self.kept else [])]
        follower = Follower(Stream(aws.client("dynamodbstreams", self.endpoint), table), takers)
        self.stack.callback(follower.stop)
        return outcomes

    def functions(self) -> Runtime:
        self.say("Starting the functions")
        sts = aws.client("sts", self.endpoint)
        log = self.scratch / "functions.log"
        log.touch()
        roles = partial(aws.role_credentials, sts)
        runtime = Runtime(self.deployment.functions, self.endpoint, roles, self.children, log)
        self.stack.callback(runtime.stop)
        return runtime

    def serve(self, runtime: Runtime, outcomes: Outcomes) -> None:
        names = {function.name: stem for stem, function in self.deployment.functions.items()}
        keys_at = {issuer.URL: self.provider.control_url}
        deployed = self.deployment
        api = read_api(self.endpoint, deployed.api_id, names, deployed.outputs, self.declared, self.parameters, keys_at)
        for stem in sorted({route.function for route in api.routes}):
            runtime.warm(stem)
        self.gateway.serve(api, runtime, console(self.provider.control_url, outcomes.latest), self.say)

    def keep_schedules(self, runtime: Runtime) -> None:
        stopping = threading.Event()
        self.stack.callback(stopping.set)
        for stem, expression in self.deployment.schedules.items():
            run = (runtime, stem, seconds_between(expression), stopping)
            threading.Thread(target=_keep_schedule, args=run, daemon=True, name=f"schedule-{stem}").start()


def _on_port[T](variable: str, port: int, start: Callable[[int], T]) -> T:
    try:
        return start(port)
    except OSError as failure:
        if failure.errno not in (errno.EADDRINUSE, errno.EACCES):
            raise
        why = "is in use" if failure.errno == errno.EADDRINUSE else "may not be used by this user"
        raise SystemExit(
            f"Port {port} {why}: choose another with {variable}=…, or {variable}=0 for a free one"
        ) from None


def seconds_between(expression: str) -> float:
    """`rate(1 minute)` -> 60. The stack uses no other form."""
    amount, unit = expression.removeprefix("rate(").removesuffix(")").split()
    return float(amount) * SECONDS[unit]


def scheduled_event(now: datetime) -> dict[str, Any]:
    """What EventBridge Scheduler sends to a function whose target has no input of its own."""
    return {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": "Scheduled Event",
        "source": "aws.scheduler",
        "account": aws.ACCOUNT,
        "time": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "region": aws.REGION,
        "resources": [f"arn:aws:scheduler:{aws.REGION}:{aws.ACCOUNT}:schedule/default/local"],
        "detail": "{}",  # text, not an object
    }


def _keep_schedule(runtime: Runtime, stem: str, seconds: float, stopping: threading.Event) -> None:
    while not stopping.wait(seconds):
        try:
            runtime.invoke(stem, scheduled_event(datetime.now(UTC)))
        except FunctionFailed:
            continue  # noted in the functions' log; EventBridge Scheduler does not retry it either


def _print(line: str) -> None:
    print(line, flush=True)


def _silence(_: str) -> None:
    pass


def _progress() -> Say:
    began = time.monotonic()

    def say(line: str) -> None:
        print(f"[{time.monotonic() - began:5.1f} s] {line}", flush=True)

    return say
