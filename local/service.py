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
from pathlib import Path
from typing import Any

from local import aws, sandbox, signature
from local.assembly import CACHE, Say, assembly, template
from local.console.server import console
from local.gateway import Gateway, read_api
from local.kept import Kept
from local.outcomes import Follower, Outcomes, Stream
from local.processes import Children
from local.runtime import FunctionFailed, Runtime
from local.scratch import scratch_folder

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
    access_key: str = signature.ACCESS_KEY
    secret_key: str = signature.SECRET_KEY
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
    options, say = Options(**chosen), _silence if quiet else _progress()
    with ExitStack() as stack:
        scratch = stack.enter_context(scratch_folder(CACHE))
        # The ports first: a busy one is said at once, not after a minute of synthesis.
        gateway = _on_port("PORT", options.port, Gateway)
        stack.callback(gateway.stop)
        provider = _on_port("SANDBOX_PORT", options.sandbox_port, lambda port: _sandbox(port, scratch, gateway.url))
        stack.callback(provider.stop)
        kept = Kept(CACHE, provider.desk) if options.keep else None
        if kept:
            stack.callback(kept.close)
        children = Children()
        stack.callback(children.stop_all)
        yield _start(stack, Parts(gateway, provider, children, scratch, kept), options, say)


@dataclass(frozen=True)
class Parts:
    """What is there before anything is deployed."""

    gateway: Gateway
    provider: sandbox.Sandbox
    children: Children
    scratch: Path
    kept: Kept | None


def _start(stack: ExitStack, parts: Parts, options: Options, say: Say) -> Service:
    gateway, provider, scratch = parts.gateway, parts.provider, parts.scratch
    engine = aws.install_engine(say)
    synthesised = assembly(say)
    say("Starting ministack, which stands in for AWS, and deploying the stack into it")
    endpoint = aws.start_engine(engine, parts.children, scratch, scratch / "ministack.log")
    parameters = {
        "ProviderUrl": provider.provider_url,
        "ProviderCaFile": str(provider.ca_file),
        "PublicUrl": gateway.url,
    }
    deployment = aws.deploy(endpoint, synthesised, parameters)
    aws.fill_secret(endpoint, deployment, CREDENTIALS)
    outcomes = _follow(stack, parts.kept, options, endpoint, template(synthesised), deployment.table_name)
    say("Starting the functions")
    sts = aws.client("sts", endpoint)
    log = scratch / "functions.log"
    log.touch()
    runtime = Runtime(
        deployment.functions, endpoint, lambda function: aws.role_credentials(sts, function), parts.children, log
    )
    stack.callback(runtime.stop)
    names = {function.name: stem for stem, function in deployment.functions.items()}
    api = read_api(endpoint, deployment.api_id, names, deployment.outputs)
    for stem in sorted({route.function for route in api.routes}):
        runtime.warm(stem)
    gateway.serve(api, runtime, console(provider.control_url, outcomes.latest), say)
    stopping = threading.Event()
    stack.callback(stopping.set)
    for stem, expression in deployment.schedules.items():
        run = (runtime, stem, seconds_between(expression), stopping)
        threading.Thread(target=_keep_schedule, args=run, daemon=True, name=f"schedule-{stem}").start()
    # For `python -m ops --local` and `make acceptance`: the ports are others in each run. Goes with the scratch folder.
    note = json.dumps({"url": gateway.url, "aws_endpoint": endpoint, "sandbox_url": provider.control_url})
    (scratch / "service.json").write_text(note, encoding="utf-8")
    return Service(
        url=gateway.url,
        sandbox_url=provider.control_url,
        provider_url=provider.provider_url,
        provider_ca=provider.ca_file,
        aws_endpoint=endpoint,
        table_name=deployment.table_name,
        secret_arn=deployment.secret_arn,
        log=log,
        runtime=runtime,
        outcomes=outcomes,
    )


def _follow(
    stack: ExitStack, kept: Kept | None, options: Options, endpoint: str, declared: dict[str, Any], table: str
) -> Outcomes:
    """What leaves, and what is kept. Stopped after the functions, so that nothing which they wrote is missed."""
    if kept:
        kept.restore(aws.client("dynamodb", endpoint), table)
    show = _print if options.show_events else None
    outcomes = Outcomes(declared, aws.client("events", endpoint), show, options.outcome_url)
    takers = [outcomes.take] if kept is None else [outcomes.take, kept.take]
    follower = Follower(Stream(aws.client("dynamodbstreams", endpoint), table), takers)
    stack.callback(follower.stop)
    return outcomes


def _sandbox(port: int, folder: Path, public_url: str) -> sandbox.Sandbox:
    webhooks = f"{public_url}/v1/webhooks/financial-line"
    return sandbox.start(
        port,
        pos_id=CREDENTIALS["pos_id"],
        api_key=CREDENTIALS["api_key"],
        api_secret=CREDENTIALS["api_secret"],
        endpoints_key=CREDENTIALS["endpoints_key"],
        folder=folder,
        default_webhook_url=webhooks,
    )


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
