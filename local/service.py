"""Starts and stops the whole service on this machine, for a person (`make run`) and for the tests.

Promises that everything listens on loopback only and that nothing is left running, also after a failed start.
"""

import errno
import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from local import aws, issuer, signature
from local.assembly import CACHE, Say, assembly, template
from local.console.server import console
from local.gateway.api import read_api
from local.gateway.server import Gateway
from local.gateway.tokens import read_authorizer
from local.kept import Kept
from local.outcomes import Follower, Outcomes
from local.processes import Children
from local.runtime import FunctionFailed, Runtime
from local.sandbox import Sandbox
from local.scratch import scratch_folder
from play.ledger import Project

# The published examples of the provider's documentation: good for the sandbox and for nothing else.
CREDENTIALS = {
    "pos_id": "dc728de1-51ef-4ef1-80f7-3b44b07b5667",
    "api_key": "2c2b91a3-9b73-4551-81ac-84e0d0360995",
    "api_secret": "ktMdTyollYMRkEfvgqbaWmvFiXPy1a80",
    "endpoints_key": "fake-endpoints-key",
}


@dataclass(frozen=True)
class Options:
    """What `make run` may be asked for."""

    port: int = 0
    sandbox_port: int = 0
    keep: bool = False  # records and holds are those of the last run that kept them
    show_events: bool = False
    outcome_url: str = ""  # where each void.settled is posted to
    tokens: bool = False  # callers may come with tokens of the sandbox's own issuer, too


class Service:
    """The running service. Started in steps; what each step starts is stopped by the stack, the newest first."""

    region = aws.REGION
    access_key, secret_key = signature.MERCHANT.access_key, signature.MERCHANT.secret_key

    def __init__(self, stack: ExitStack, options: Options, say: Say) -> None:
        self._stack, self._options, self._say = stack, options, say
        self._scratch = stack.enter_context(scratch_folder(CACHE))
        self.log = self._scratch / "functions.log"
        # The ports first: a busy one is said at once, not after a minute of synthesis.
        self._gateway = _on_port("PORT", options.port, Gateway)
        stack.callback(self._gateway.stop)
        self.url = self._gateway.url
        self._provider = _on_port("SANDBOX_PORT", options.sandbox_port, self._sandbox)
        stack.callback(self._provider.stop)
        self.sandbox_url, self.provider_url = self._provider.control_url, self._provider.provider_url
        self.provider_ca = self._provider.ca_file
        self._kept = Kept(CACHE, self._provider.desk) if options.keep else None
        if self._kept:
            stack.callback(self._kept.close)
        self._children = Children()
        stack.callback(self._children.stop_all)
        self._deploy()
        self._follow()
        self._run_functions()
        self._serve()
        for stem, function in self._deployed.functions.items():
            if function.schedule:
                self._keep_schedule(stem, function.schedule)
        # For `python -m ops --local` and `make acceptance`: the ports are others in each run. Goes with the folder.
        note = {"url": self.url, "aws_endpoint": self.aws_endpoint, "sandbox_url": self.sandbox_url}
        (self._scratch / "service.json").write_text(json.dumps(note), encoding="utf-8")

    def function_pids(self) -> list[int]:
        return self.runtime.pids()

    def logs(self) -> str:
        """All that the function processes have written so far."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    def client(self, name: str) -> Any:
        """A client with the rights of the account's owner, to look at what the functions did."""
        return aws.client(name, self.aws_endpoint)

    def _sandbox(self, port: int) -> Sandbox:
        webhooks = f"{self.url}/v1/webhooks/financial-line"
        return Sandbox(port, Project(**CREDENTIALS), self._scratch, webhooks, self._options.tokens)

    def _deploy(self) -> None:
        engine, synthesised = aws.install_engine(self._say), assembly(self._say)
        self._template = template(synthesised)
        self._say("Starting ministack, which stands in for AWS, and deploying the stack into it")
        log = self._scratch / "ministack.log"
        self.aws_endpoint = aws.start_engine(engine, self._children, self._scratch, log)
        provider = {"ProviderUrl": self.provider_url, "ProviderCaFile": str(self.provider_ca)}
        self._deployed = aws.deploy(self.aws_endpoint, synthesised, provider | {"PublicUrl": self.url})
        self.table_name, self.secret_arn = self._deployed.table_name, self._deployed.secret_arn
        secret = json.dumps(CREDENTIALS)
        self.client("secretsmanager").put_secret_value(SecretId=self.secret_arn, SecretString=secret)

    def _follow(self) -> None:
        """What leaves, and what is kept. Stopped after the functions, so that nothing which they wrote is missed."""
        if self._kept:
            self._kept.restore(self.client("dynamodb"), self.table_name)
        show = partial(print, flush=True) if self._options.show_events else None
        self.outcomes = Outcomes(self._template, self.client("events"), show, self._options.outcome_url)
        takers = [self.outcomes.take, *([self._kept.take] if self._kept else [])]
        self._stack.callback(Follower(self.client("dynamodbstreams"), self.table_name, takers).stop)

    def _run_functions(self) -> None:
        self._say("Starting the functions")
        self.log.touch()
        roles = partial(aws.role_credentials, self.client("sts"))
        self.runtime = Runtime(self._deployed.functions, self.aws_endpoint, roles, self._children, self.log)
        self._stack.callback(self.runtime.stop)

    def _serve(self) -> None:
        deployed, authorizer = self._deployed, read_authorizer(self._template, {issuer.URL: self.sandbox_url})
        names = {function.name: stem for stem, function in deployed.functions.items()}
        self.api = read_api(self.aws_endpoint, deployed.api_id, names, deployed.outputs, authorizer)
        for stem in sorted({route.function for route in self.api.routes}):
            self.runtime.warm(stem)
        self._gateway.serve(self.api, self.runtime.invoke, console(self.sandbox_url, self.outcomes.latest), self._say)

    def _keep_schedule(self, stem: str, expression: str) -> None:
        (minutes,) = re.findall(r"^rate\((\d+) minutes?\)$", expression)  # the stack uses no other form
        stopping = threading.Event()
        self._stack.callback(stopping.set)

        def keep() -> None:
            while not stopping.wait(60.0 * int(minutes)):
                # A failure is noted in the functions' log; EventBridge Scheduler does not retry it either.
                with suppress(FunctionFailed):
                    self.runtime.invoke(stem, {})  # the event says nothing that a function reads

        threading.Thread(target=keep, daemon=True, name=f"schedule-{stem}").start()


@contextmanager
def running(quiet: bool = True, **chosen: Any) -> Iterator[Service]:
    """`chosen`: members of `Options`."""
    with ExitStack() as stack:
        yield Service(stack, Options(**chosen), (lambda _: None) if quiet else _progress())


def _on_port[T](variable: str, port: int, start: Callable[[int], T]) -> T:
    try:
        return start(port)
    except OSError as failure:
        if failure.errno not in (errno.EADDRINUSE, errno.EACCES):
            raise
        why = "is in use" if failure.errno == errno.EADDRINUSE else "may not be used by this user"
        another = f"choose another with {variable}=…, or {variable}=0 for a free one"
        raise SystemExit(f"Port {port} {why}: {another}") from None


def _progress() -> Say:
    began = time.monotonic()

    def say(line: str) -> None:
        print(f"[{time.monotonic() - began:5.1f} s] {line}", flush=True)

    return say
