"""What an operator looks at in the morning: one dashboard, business on top and machine below, and the saved queries."""

import aws_cdk as cdk
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_logs as logs
from constructs import Construct

from infra.functions import Functions

REVIEWS = (
    "VoidReview",
    "VoidCorrected",
    "AttemptsUsedUp",
    "CredentialsOfAnotherProject",
    "DecisionTaken",
    "DecisionRefused",
)
WAY = ("VoidUnknown", "VoidNotSent", "VoidThrottled", "CredentialsRefused", "SettleFailed", "SettleRun")
TROUBLE = ("SecretUnfilled", "SecretUnusable", "SecretOutOfReach", "StoreUnavailable", "UnexpectedError")
DOOR = ("WebhookForged", "WebhookQuarantined", "WebhookRejected")
# What nobody is woken for is counted where it stands anyway: a metric would be billed for each hour, a line is not.
FROM_THE_LOGS = (
    ("Voids by result", "message = 'void requested'", "result"),
    ("Genuine webhooks by outcome", "message = 'webhook received'", "outcome"),
)


def show(
    scope: Construct,
    rest: apigateway.RestApi,
    functions: Functions,
    alarms: list[cloudwatch.IAlarm],
    namespace: str,
) -> None:
    """`namespace`: where the functions' own metrics are."""

    def business(*names: str, statistic: str = "Sum") -> list[cloudwatch.IMetric]:
        return [
            cloudwatch.Metric(
                namespace=namespace,
                metric_name=name,
                dimensions_map={"service": "void-service"},
                period=cdk.Duration.minutes(5),
                statistic=statistic,
            )
            for name in names
        ]

    def from_log(*names: str) -> list[cloudwatch.IMetric]:
        period = cdk.Duration.minutes(5)
        return [
            cloudwatch.Metric(namespace=namespace, metric_name=name, period=period, statistic="Sum") for name in names
        ]

    answers: list[cloudwatch.IMetric] = [rest.metric_count(), rest.metric_client_error(), rest.metric_server_error()]
    cloudwatch.Dashboard(
        scope,
        "Dashboard",
        default_interval=cdk.Duration.hours(12),
        widgets=[
            [cloudwatch.AlarmStatusWidget(title="Alarms", alarms=alarms, width=24, height=6)],
            [
                cloudwatch.LogQueryWidget(
                    title=title,
                    log_group_names=[function.log_group.log_group_name for function in functions.all],
                    query_lines=[f"filter {lines}", f"stats count(*) by bin(1h), {field}"],
                    view=cloudwatch.LogQueryVisualizationType.STACKEDAREA,
                    width=12,
                    height=6,
                )
                for title, lines, field in FROM_THE_LOGS
            ],
            [
                graph("Not as usual", business(*WAY)),
                graph("Oldest unsettled void, seconds", business("OldestUnsettledSeconds", statistic="Maximum")),
            ],
            [
                graph("Reviews and decisions", business(*REVIEWS)),
                graph("Webhooks that were not taken", business(*DOOR)),
            ],
            [
                graph("Secret, table, defects", business(*TROUBLE)),
                graph("Answers lost, callers refused", from_log("CallersRefused", "AnswersLost")),
            ],
            [
                graph("API", answers),
                graph("API latency, ms", [rest.metric_latency(statistic=s) for s in ("p50", "p99")]),
            ],
            [
                graph(
                    "Function errors and throttles",
                    [
                        *(function.metric_errors() for function in functions.all),
                        *(function.metric_throttles() for function in functions.all),
                    ],
                ),
                graph("Function duration p99, ms", [f.metric_duration(statistic="p99") for f in functions.all]),
            ],
        ],
    )


def save_queries(scope: Construct, functions: Functions) -> None:
    """The three questions that the runbook asks of the functions' logs."""
    groups: list[logs.ILogGroup] = [function.log_group for function in functions.all]
    for name, fields, filters in (
        (
            "OneOrder",
            ["@timestamp", "message", "state", "attempt", "result", "outcome"],
            ["order_id = 'PUT THE ORDER HERE'"],
        ),
        ("Errors", ["@timestamp", "message", "order_id", "reason", "error", "request_id"], ["level = 'ERROR'"]),
        ("OneRequest", ["@timestamp", "level", "message"], ["request_id = 'PUT THE REQUEST HERE'"]),
    ):
        logs.QueryDefinition(
            scope,
            f"Query{name}",
            query_definition_name=f"{cdk.Stack.of(scope).stack_name}/{name}",
            query_string=logs.QueryString(fields=fields, filter_statements=filters, sort="@timestamp desc"),
            log_groups=groups,
        )


def graph(title: str, metrics: list[cloudwatch.IMetric], *, stacked: bool = False) -> cloudwatch.GraphWidget:
    return cloudwatch.GraphWidget(title=title, left=metrics, stacked=stacked, width=12, height=6)
