"""What AWS itself publishes around the functions: metrics of Lambda, API Gateway, SQS, DynamoDB and Pipes, and the access log.

Reads names, dimensions, the access log's format and its metric filters from the template. Promises AWS's documented
habits: DynamoDB publishes no zeros, an idle queue publishes nothing and then begins up to 15 minutes late.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

from tests.alarms import log_filters
from tests.alarms.evaluator import MINUTE_MS, Datapoint, Metrics, resolved
from tests.alarms.functions_on_a_clock import Emitted, Finished

QUEUE_WAKES_MS = 15 * MINUTE_MS
"""The documented delay until a queue that was not active for six hours is measured."""


class Account:
    """One account with one stack in it."""

    def __init__(self, template: Mapping[str, Any]) -> None:
        self.resources: dict[str, dict[str, Any]] = template["Resources"]
        self.metrics = Metrics()
        functions = self.of_type("AWS::Lambda::Function")
        self.functions = {
            resource["Properties"]["Handler"].partition(".")[0]: f"<{name}>" for name, resource in functions.items()
        }
        (settings,) = {
            resource["Properties"]["Environment"]["Variables"]["POWERTOOLS_METRICS_NAMESPACE"]
            for resource in functions.values()
        }
        self.namespace: str = settings
        (self.table,) = (f"<{name}>" for name in self.of_type("AWS::DynamoDB::Table"))
        (self.pipe,) = (f"<{name}>" for name in self.of_type("AWS::Pipes::Pipe"))
        (api,) = self.of_type("AWS::ApiGateway::RestApi").values()
        (stage,) = self.of_type("AWS::ApiGateway::Stage").values()
        self.api = {"ApiName": api["Properties"]["Name"], "Stage": stage["Properties"]["StageName"]}
        self.log = stage["Properties"]["AccessLogSetting"]
        self.answers = {
            each["Properties"]["ResponseType"]: int(each["Properties"].get("StatusCode", 403))
            for each in self.of_type("AWS::ApiGateway::GatewayResponse").values()
        }
        (runs,) = self.of_type("AWS::Lambda::EventInvokeConfig").values()
        (pipe,) = self.of_type("AWS::Pipes::Pipe").values()
        stream = pipe["Properties"]["SourceParameters"]["DynamoDBStreamParameters"]
        self.lost_runs = resolved(runs["Properties"]["DestinationConfig"]["OnFailure"]["Destination"])
        self.lost_events = resolved(stream["DeadLetterConfig"]["Arn"])
        self._letters: dict[str, list[int]] = {self.lost_runs: [], self.lost_events: []}

    def of_type(self, kind: str) -> dict[str, dict[str, Any]]:
        """The resources of a type, by their logical ids."""
        return {name: resource for name, resource in self.resources.items() if resource["Type"] == kind}

    def publish(
        self, namespace: str, name: str, dimensions: Mapping[str, str], at: int, value: float, unit: str = "Count"
    ) -> None:
        """One value of one metric."""
        self.metrics.add(Datapoint(namespace, name, frozenset(dimensions.items()), at, value, unit))

    def emitted(self, at: int, metrics: tuple[Emitted, ...]) -> None:
        """What a function wrote in the embedded metric format."""
        for metric in metrics:
            self.publish(metric.namespace, metric.name, metric.dimensions, at, metric.value, metric.unit)

    def ran(self, function: str, began: int, finished: Finished) -> None:
        """An invocation; its metrics bear the time at which it began."""
        of = {"FunctionName": self.functions[function]}
        for name, value in (("Invocations", 1.0), ("Errors", float(finished.failed)), ("Throttles", 0.0)):
            self.publish("AWS/Lambda", name, of, began, value)
        self.publish("AWS/Lambda", "Duration", of, began, finished.duration_ms, "Milliseconds")
        self.emitted(began + finished.duration_ms, finished.emitted)

    def throttled(self, function: str, at: int) -> None:
        """An invocation for which Lambda had no concurrency left."""
        self.publish("AWS/Lambda", "Throttles", {"FunctionName": self.functions[function]}, at, 1)

    def answered(
        self, method: str, route: str, at: int, status: int, latency_ms: int, refused_as: str | None = None
    ) -> None:
        """A request, answered by a function or, `refused_as` one of its response types, by the gateway."""
        for of in ({"ApiName": self.api["ApiName"]}, self.api, {**self.api, "Method": method, "Resource": route}):
            self.publish("AWS/ApiGateway", "Count", of, at, 1)
            self.publish("AWS/ApiGateway", "4XXError", of, at, float(400 <= status < 500))
            self.publish("AWS/ApiGateway", "5XXError", of, at, float(status >= 500))
            self.publish("AWS/ApiGateway", "Latency", of, at, latency_ms, "Milliseconds")
        said = {"httpMethod": method, "resourcePath": route, "status": str(status), "error.responseType": refused_as}
        self._write_access_log(at, {name: value for name, value in said.items() if value is not None})

    def refuses(self, response_type: str) -> int:
        """The status of one of the gateway's own answers; where the template leaves it to AWS, it refuses a key."""
        return self.answers[response_type]

    def _write_access_log(self, at: int, context: Mapping[str, str]) -> None:
        """One line; what API Gateway has no value for is a dash. Each metric filter counts it, or counts a 0."""
        line = re.sub(r"\$context\.([\w.]+)", lambda match: context.get(match[1], "-"), self.log["Format"])
        json.loads(line)
        for resource in self.of_type("AWS::Logs::MetricFilter").values():
            wanted = resource["Properties"]
            if resolved(wanted["LogGroupName"]) != resolved(self.log["DestinationArn"]):
                continue
            (counted,) = wanted["MetricTransformations"]
            value = (
                counted["MetricValue"]
                if log_filters.matches(wanted["FilterPattern"], line)
                else counted["DefaultValue"]
            )
            self.publish(counted["MetricNamespace"], counted["MetricName"], {}, at, float(value))

    def throttled_by_the_table(self, at: int, what: str, index: str | None = None) -> None:
        """DynamoDB throttled a `Read` or `Write`, of the table or of an index."""
        of = {"TableName": self.table, **({"GlobalSecondaryIndexName": index} if index else {})}
        self.publish("AWS/DynamoDB", f"{what}ThrottleEvents", of, at, 1)

    def pipe_ran(self, at: int, failed: str | None = None) -> None:
        """The pipe worked on a batch; `failed`: the metric of its failure."""
        for name in ("ExecutionFailed", "ExecutionPartiallyFailed", "ExecutionTimeout", "ExecutionThrottled"):
            self.publish("AWS/EventBridge/Pipes", name, {"PipeName": self.pipe}, at, float(name == failed))

    def dead_letter(self, queue: str, at: int) -> None:
        """A message that waits for a person."""
        self._letters[queue].append(at)

    def measure_queues(self, at: int) -> None:
        """What SQS publishes each minute about queues that are active."""
        for queue, letters in self._letters.items():
            if letters and at >= letters[0] + QUEUE_WAKES_MS:
                self.publish("AWS/SQS", "ApproximateNumberOfMessagesVisible", {"QueueName": queue}, at, len(letters))
