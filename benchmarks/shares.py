"""Where the CPU of a warm request goes: `python -m benchmarks.shares`.

Runs the asset in this process against the stubs of `make bench` and times chosen functions, each without those of its
callees that are chosen too. Shares of one run, for docs/performance.md; sends nothing anywhere.
"""

import functools
import importlib
import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from benchmarks import measure, subjects
from benchmarks.__main__ import use_node_of_pypi

INVOKES = 1_000
PARTS = {
    "a fresh TLS connection to the provider": ["payments.provider:Provider._connect"],
    "the void over it": ["payments.provider:_exchange"],
    "the SDK's sockets: urllib3 and TLS": ["botocore.httpsession:URLLib3Session.send"],
    "the SDK's signature": ["botocore.auth:SigV4Auth.add_auth"],
    "the SDK's endpoint and request": ["botocore.client:BaseClient._convert_to_request_dict"],
    "the SDK's parsing": ["botocore.parsers:ResponseParser.parse"],
    "the SDK's rest": ["botocore.client:BaseClient._make_api_call"],
    "a call's own thread": ["clients:TimedClient.call"],
    "items": ["payments.items:write_order", "payments.items:read_order", "payments.items:write_webhook"],
    "logs and metrics": [
        "aws_lambda_powertools.logging.logger:Logger.info",
        "aws_lambda_powertools.metrics.provider.cloudwatch_emf.cloudwatch:AmazonCloudWatchEMFProvider.flush_metrics",
        "aws_lambda_powertools.metrics.provider.cloudwatch_emf.cloudwatch:AmazonCloudWatchEMFProvider.add_metric",
    ],
}
CONTEXT = SimpleNamespace(
    function_name="benchmark",
    memory_limit_in_mb=1024,
    invoked_function_arn="arn:aws:lambda:eu-central-1:123456789012:function:benchmark",
    aws_request_id="00000000-0000-4000-8000-000000000000",
    get_remaining_time_in_millis=lambda: 20_000,
)
REST = "validation, signatures, the state machine, the answer"


class Shares:
    """CPU nanoseconds of each part, over all threads."""

    def __init__(self) -> None:
        self.spent: Counter[str] = Counter()
        self._local = threading.local()

    def around(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, timed; what a timed callee takes is not counted twice."""

        @functools.wraps(function)
        def timed(*arguments: Any, **named: Any) -> Any:
            began, outer = time.thread_time_ns(), getattr(self._local, "inner", 0)
            self._local.inner = 0
            try:
                return function(*arguments, **named)
            finally:
                took = time.thread_time_ns() - began
                self.spent[part] += took - self._local.inner
                self._local.inner = outer + took

        return timed


def time_parts(shares: Shares) -> None:
    """Put every part's functions under the clock. A name that is gone ends the run: it would be counted nowhere."""
    for part, names in PARTS.items():
        for name in names:
            module, _, path = name.partition(":")
            *outer, last = path.split(".")
            owner: Any = functools.reduce(getattr, outer, importlib.import_module(module))
            setattr(owner, last, shares.around(part, getattr(owner, last)))


def main() -> None:
    use_node_of_pypi()
    ours = subjects.prepare()["ours"]
    terminal, shown = os.dup(1), list[str]()
    with measure.stubs() as running:
        os.environ.update(measure.environment(ours, running.ports))
        # Before any site-packages: what is measured is the asset.
        sys.path.insert(0, str(ours.directory))
        # What the handlers print goes the way of Lambda's logs.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        shares = Shares()
        time_parts(shares)
        for work in subjects.WORKS:
            handler = importlib.import_module(ours.module(work)).handler
            shown.append(table(work, *spend(handler, work, shares)))
    os.dup2(terminal, 1)
    print("\n\n".join(shown))


def spend(handler: Callable[..., Any], work: str, shares: Shares) -> tuple[Counter[str], int]:
    """CPU nanoseconds of the parts, and of all, over INVOKES warm invokes."""
    requests = subjects.events(work, 0, INVOKES + 50)
    for event in requests[:50]:
        handler(event, CONTEXT)
    shares.spent.clear()
    began = time.process_time_ns()
    for event in requests[50:]:
        answer = handler(event, CONTEXT)
        if answer["statusCode"] != 200:
            raise RuntimeError(f"{work} answered {answer['statusCode']}")
    return Counter(shares.spent), time.process_time_ns() - began


def table(work: str, spent: Counter[str], total: int) -> str:
    """The parts, the dearest first."""
    spent[REST] = total - spent.total()
    lines = [f"| {part} | {nanoseconds / total:.0%} |" for part, nanoseconds in spent.most_common()]
    return "\n".join([f"| {work} | share of the CPU |", "|---|---|", *lines])


if __name__ == "__main__":
    main()
