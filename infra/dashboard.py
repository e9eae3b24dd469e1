"""What an operator looks at in the morning: one dashboard, business on top and machine below, and the saved queries."""

import aws_cdk as cdk
from aws_cdk import aws_apigateway, aws_cloudwatch, aws_logs
from constructs import Construct

from infra.api import Api
from infra.functions import Functions
from infra.monitoring import Monitoring, metric

# What nobody is woken for is counted where it stands anyway: a metric would be billed for each hour, a line is not.
FROM_THE_LOGS = {
    "Voids by result": "filter message = 'void requested' | stats count(*) by bin(1h), result",
    "Genuine webhooks by outcome": "filter message = 'webhook received' | stats count(*) by bin(1h), outcome",
}
COUNTED = {
    "Not as usual": ("VoidUnknown", "VoidNotSent", "VoidThrottled", "CredentialsRefused", "SettleFailed", "SettleRun"),
    "Reviews and decisions": ("VoidReview", "VoidCorrected", "AttemptsUsedUp", "CredentialsOfAnotherProject",
                              "DecisionTaken", "DecisionRefused"),
    "Webhooks that were not taken": ("WebhookForged", "WebhookQuarantined", "WebhookRejected"),
    "Secret, table, defects": ("SecretUnfilled", "SecretUnusable", "SecretOutOfReach", "StoreUnavailable",
                               "UnexpectedError"),
}  # fmt: skip


def show(monitoring: Monitoring, api: Api, functions: Functions) -> None:
    logs, view = [each.log_group.log_group_name for each in functions.all], aws_cloudwatch.LogQueryVisualizationType
    asked = [
        aws_cloudwatch.LogQueryWidget(
            title=title, log_group_names=logs, query_string=query, view=view.STACKEDAREA, width=12, height=6
        )
        for title, query in FROM_THE_LOGS.items()
    ]
    graphs = graphs_of(api.rest, functions, monitoring.namespace)
    drawn = [aws_cloudwatch.GraphWidget(title=title, left=left, width=12, height=6) for title, left in graphs.items()]
    status = aws_cloudwatch.AlarmStatusWidget(title="Alarms", alarms=monitoring.alarms, width=24, height=6)
    pairs = [drawn[at : at + 2] for at in range(0, len(drawn), 2)]
    hours = cdk.Duration.hours(12)
    aws_cloudwatch.Dashboard(monitoring, "Dashboard", default_interval=hours, widgets=[[status], asked, *pairs])


def graphs_of(
    rest: aws_apigateway.RestApi, functions: Functions, namespace: str
) -> dict[str, list[aws_cloudwatch.IMetric]]:
    def custom(*names: str, statistic: str = "Sum", **dimensions: str) -> list[aws_cloudwatch.IMetric]:
        return [metric(namespace, name, minutes=5, statistic=statistic, **dimensions) for name in names]

    service, every = {"service": "void-service"}, functions.all
    return {
        **{title: custom(*names, **service) for title, names in COUNTED.items()},
        "Oldest unsettled void, seconds": custom("OldestUnsettledSeconds", statistic="Maximum", **service),
        "Answers lost, callers refused": custom("AnswersLost", "CallersRefused"),
        "API": [rest.metric_count(), rest.metric_client_error(), rest.metric_server_error()],
        "API latency, ms": [rest.metric_latency(statistic=each) for each in ("p50", "p99")],
        "Function errors and throttles": [
            *(each.metric_errors() for each in every),
            *(each.metric_throttles() for each in every),
        ],
        "Function duration p99, ms": [each.metric_duration(statistic="p99") for each in every],
    }


QUERIES = {
    "OneOrder": ("order_id = 'PUT THE ORDER HERE'",
                 "message, result, outcome, state, reason, provider_code, cause, seconds, attempt, why, request_id"),
    # Why voids did not end as wished: the provider's status, or how its answer or the connection was lost.
    "Causes": ("ispresent(cause)", "order_id, result, state, reason, provider_code, cause, seconds, request_id"),
    "Errors": ("level = 'ERROR'", "message, reason, member, error, place, setting, failed, request_id"),
    "OneRequest": ("request_id = 'PUT THE REQUEST HERE'", "level, message, problem, detail"),
}  # fmt: skip


def save_queries(scope: Construct, functions: Functions) -> None:
    """The questions that the runbook asks of the functions' logs."""
    groups: list[aws_logs.ILogGroup] = [function.log_group for function in functions.all]
    for name, (filtered, fields) in QUERIES.items():
        shown = ["@timestamp", *fields.split(", ")]
        query = aws_logs.QueryString(fields=shown, filter_statements=[filtered], sort="@timestamp desc")
        whole = f"{cdk.Stack.of(scope).stack_name}/{name}"
        aws_logs.QueryDefinition(
            scope, f"Query{name}", query_definition_name=whole, query_string=query, log_groups=groups
        )
