"""What AWS itself publishes around the functions: metrics of Lambda, SQS, DynamoDB and Pipes, and the access log.

Reads names, dimensions, the pipe's filters, the access log's format and its metric filters from the template. Promises
AWS's documented habits: DynamoDB publishes no zeros, an idle queue publishes nothing and then begins up to 15 minutes late.
"""

import functools
import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from tests.alarms.evaluator import MINUTE_MS, Datapoint, Metrics, resolved
from tests.alarms.functions_on_a_clock import Finished
from tests.fakes import pipe

QUEUE_WAKES_MS = 15 * MINUTE_MS
"""The documented delay until a queue that was not active for six hours is measured."""
OURS = resolved({"Ref": "AWS::AccountId"})
"""The account of the stack, whose roles may call where an environment names no callers."""


class Account:
    def __init__(self, template: Mapping[str, Any], now: Callable[[], int] = lambda: 0) -> None:
        self.now = now
        """The moment in ms at which something happens."""
        self.resources: dict[str, dict[str, Any]] = template["Resources"]
        self.metrics = Metrics()
        functions = self.of_type("AWS::Lambda::Function")
        self.functions = {each["Handler"].partition(".")[0]: f"<{name}>" for name, each in functions.items()}
        variables = [each["Environment"]["Variables"] for each in functions.values()]
        (self.namespace,) = {each["POWERTOOLS_METRICS_NAMESPACE"] for each in variables}
        (self.table,) = (f"<{name}>" for name in self.of_type("AWS::DynamoDB::Table"))
        ((name, described),) = self.of_type("AWS::Pipes::Pipe").items()
        self.named = {"PipeName": f"<{name}>"}
        source = described["SourceParameters"]
        self._filters = [json.loads(each["Pattern"]) for each in source["FilterCriteria"]["Filters"]]
        (stage,) = self.of_type("AWS::ApiGateway::Stage").values()
        self.log = stage["AccessLogSetting"]
        group, filters = resolved(self.log["DestinationArn"]), self.of_type("AWS::Logs::MetricFilter").values()
        self._counting = [each for each in filters if resolved(each["LogGroupName"]) == group]
        answers = self.of_type("AWS::ApiGateway::GatewayResponse").values()
        self.answers = {each["ResponseType"]: int(each.get("StatusCode", 403)) for each in answers}
        (runs,) = self.of_type("AWS::Lambda::EventInvokeConfig").values()
        self._queues = {
            "run": resolved(runs["DestinationConfig"]["OnFailure"]["Destination"]),
            "event": resolved(source["DynamoDBStreamParameters"]["DeadLetterConfig"]["Arn"]),
        }
        self._letters: dict[str, list[int]] = {}
        self._waiting = 0
        self.pipe = "reads"
        """Or why it takes nothing from the table's stream."""
        self.executions = "succeed"
        """Of the pipe; or the metric by which each fails."""
        self.refused = "named"
        """Or `unnamed`: AWS does not say whether the access log has the account of a request that was refused."""

    def of_type(self, kind: str) -> dict[str, dict[str, Any]]:
        return {name: each.get("Properties", {}) for name, each in self.resources.items() if each["Type"] == kind}

    def publish(
        self, namespace: str, name: str, dimensions: Mapping[str, str], at: int, value: float, unit: str = "Count"
    ) -> None:
        self.metrics.add(Datapoint(namespace, name, frozenset(dimensions.items()), at, value, unit))

    def ran(self, function: str, began: int, finished: Finished) -> None:
        """An invocation; its metrics bear the time at which it began."""
        of = {"FunctionName": self.functions[function]}
        for name, value in (("Invocations", 1.0), ("Errors", float(finished.failed)), ("Throttles", 0.0)):
            self.publish("AWS/Lambda", name, of, began, value)
        self.publish("AWS/Lambda", "Duration", of, began, finished.duration_ms, "Milliseconds")
        for metric in finished.emitted:
            self.metrics.add(metric)

    def throttled(self, function: str) -> None:
        self.publish("AWS/Lambda", "Throttles", {"FunctionName": self.functions[function]}, self.now(), 1)

    def lost(self, what: str) -> None:
        """A `run` that could not be started, or an `event` that could not be delivered, waits for an operator."""
        self._letters.setdefault(self._queues[what], []).append(self.now())

    def answered(
        self, method: str, route: str, status: int, refused_as: str | None = None, account: str | None = OURS,
        client: str | None = None,
    ) -> None:  # fmt: skip
        """A request, answered by a function or, `refused_as` one of its response types, by the gateway.

        It becomes a line of the access log, where a dash stands for what API Gateway has no value for. Each metric
        filter counts it, or counts its default.
        """
        if refused_as is not None and self.refused == "unnamed":
            account = None
        said = {"httpMethod": method, "resourcePath": route, "status": str(status), "error.responseType": refused_as,
                "identity.accountId": account, "authorizer.claims.client_id": client}  # fmt: skip
        line = re.sub(r"\$context\.([\w.]+)", lambda match: said.get(match[1]) or "-", self.log["Format"])
        json.loads(line)
        for wanted in self._counting:
            (counted,) = wanted["MetricTransformations"]
            found = matches(resolved(wanted["FilterPattern"]), line)
            value = counted["MetricValue"] if found else counted.get("DefaultValue")
            if value is not None:
                self.publish(counted["MetricNamespace"], counted["MetricName"], {}, self.now(), float(value))

    def refuses(self, response_type: str) -> int:
        """The status of one of the gateway's own answers; where the template leaves it to AWS, it refuses a key."""
        return self.answers[response_type]

    def table_throttles(self, operation: str) -> None:
        """DynamoDB throttled a request, because of the table or of an index of it."""
        of = {"TableName": self.table, "Operation": operation}
        self.publish("AWS/DynamoDB", "ThrottledRequests", of, self.now(), 1)

    def changed(self, old: dict[str, Any] | None, new: dict[str, Any]) -> None:
        """An item was written: the pipe takes it from the stream, if its filter lets it."""
        if any(pipe.matches(each, pipe.change(old, new)) for each in self._filters):
            self._waiting += 1
            self.run_pipe()

    def run_pipe(self) -> None:
        """One execution of the pipe, if something waits in the stream that it reads. What fails waits on."""
        if self.pipe != "reads" or not self._waiting:
            return
        for name in ("Invocations", "ExecutionFailed", "ExecutionThrottled"):
            counted = float(name in ("Invocations", self.executions))
            self.publish("AWS/EventBridge/Pipes", name, self.named, self.now(), counted)
        if self.executions == "succeed":
            self._waiting = 0

    def each_minute(self) -> None:
        """The pipe tries again, and SQS publishes about queues that are active."""
        if self.executions != "succeed":
            self.run_pipe()
        for queue, letters in self._letters.items():
            if self.now() >= letters[0] + QUEUE_WAKES_MS:
                name, of = "ApproximateNumberOfMessagesVisible", {"QueueName": queue}
                self.publish("AWS/SQS", name, of, self.now(), len(letters))


_COMPARISON = re.compile(r'\$\.(\w+)\s*(!?=)\s*"(\*?)([^"*]*)(\*?)"')


@functools.lru_cache(maxsize=10_000)
def matches(pattern: str, line: str) -> bool:
    """Does a line of JSON match a metric filter? After "Using filter patterns to match terms in JSON log events".

    Raises ValueError for a pattern that is not known here.
    """
    document = json.loads(line)

    def holds(found: re.Match[str]) -> str:
        field, sign, before, text, after = found.groups()  # `*` stands for anything, at the beginning or at the end
        value = document.get(field)
        wanted = f"{'.*' if before else ''}{re.escape(text)}{'.*' if after else ''}"
        return str(isinstance(value, str) and bool(re.fullmatch(wanted, value)) is (sign == "="))

    inner = re.fullmatch(r"\{(.*)\}", pattern.strip())
    logic = _COMPARISON.sub(holds, inner[1] if inner else "").replace("&&", " and ").replace("||", " or ")
    if not re.fullmatch(r"(?:True|False|and|or|[() ])+", logic):
        raise ValueError(f"a pattern that is not known here: {pattern}")
    return bool(eval(logic))  # noqa: S307 of six words only
