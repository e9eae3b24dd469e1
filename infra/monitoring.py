"""What a person learns at night (alarms) and in the morning (dashboard, saved queries).

Each alarm is named by a heading of docs/runbook.md, where it says what it means, where to look and what to do.
Never alarms on what the service settles by itself within minutes.
"""

import re

import aws_cdk as cdk
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra.api import Api
from infra.environment import Environment
from infra.events import SettledEvents
from infra.functions import Functions
from infra.nag import acknowledge_key_of_aws

OUTCOMES = ("VoidVoided", "VoidPending", "VoidRefused", "VoidNotSent", "VoidUnknown", "VoidThrottled")
WEBHOOKS = ("WebhookApplied", "WebhookStored", "WebhookDuplicate", "WebhookForged", "WebhookQuarantined")


class Monitoring(Construct):
    def __init__(
        self,
        scope: Construct,
        name: str,
        environment: Environment,
        api: Api,
        functions: Functions,
        events: SettledEvents,
        *,
        key: kms.IKey | None = None,
    ) -> None:
        super().__init__(scope, name)
        self.namespace = environment.metrics_namespace
        self.notice = sns.Topic(self, "Alarms", enforce_ssl=True, master_key=key)
        acknowledge_key_of_aws(self.notice, "PCI.DSS.321-SNSEncryptedKMS")
        if environment.alarm_email is not None:
            self.notice.add_subscription(subscriptions.EmailSubscription(environment.alarm_email))
        self.alarms: list[cloudwatch.IAlarm] = []
        self.against_release: list[cloudwatch.IAlarm] = []
        self.watch_voids()
        self.watch_webhooks()
        self.watch_settling(functions)
        self.watch_events(events)
        self.watch_machine(api, functions)
        self.show(api.rest, functions)
        self.save_queries(functions)

    def watch_voids(self) -> None:
        self.alarm("Credentials refused", self.business("CredentialsRefused"), at_least=1)
        self.alarm("Secret unusable", self.business("SecretUnusable"), at_least=1, against_release=True)
        # One lost answer is asked about within minutes; five at once are an outage.
        self.alarm("Many unknown outcomes", self.business("VoidUnknown"), at_least=5)
        self.alarm("Provider out of reach", self.business("VoidNotSent"), at_least=5)
        self.alarm("Throttled by the provider", self.business("VoidThrottled"), at_least=10)
        self.alarm("Void corrected", self.business("VoidCorrected"), at_least=1)

    def watch_webhooks(self) -> None:
        self.alarm("Forged webhooks", self.business("WebhookForged"), at_least=10)
        self.alarm("Webhook quarantined", self.business("WebhookQuarantined"), at_least=1)
        # The provider's address has changed: the gateway refuses its webhooks, so no function ever sees them.
        silent = cloudwatch.MathExpression(
            expression="IF(FILL(voided, 0) >= 3 AND FILL(applied, 0) + FILL(stored, 0) + FILL(duplicate, 0) < 1, 1, 0)",
            using_metrics={
                "voided": self.business("VoidVoided", minutes=60),
                "applied": self.business("WebhookApplied", minutes=60),
                "stored": self.business("WebhookStored", minutes=60),
                "duplicate": self.business("WebhookDuplicate", minutes=60),
            },
            period=cdk.Duration.hours(1),
            label="voids go out and no webhook comes back",
        )
        self.alarm("Webhooks silent", silent, at_least=1)

    def watch_settling(self, functions: Functions) -> None:
        self.alarm("Void needs a person", self.business("VoidReview"), at_least=1)
        age = self.business("OldestUnsettledSeconds", statistic="Maximum")
        # The back-off reaches an hour on the fifth question: what is older was asked five times without an answer.
        self.alarm("Void unsettled for long", age, at_least=2 * 3600, periods=3)
        self.alarm(
            "Settling has stopped",
            self.business("SettleRun"),
            below=1,
            missing=cloudwatch.TreatMissingData.BREACHING,
        )
        self.alarm("Settle run lost", waiting_in(functions.dead_letters), at_least=1)

    def watch_events(self, events: SettledEvents) -> None:
        self.alarm("Outcome not delivered", waiting_in(events.dead_letters), at_least=1)

    def watch_machine(self, api: Api, functions: Functions) -> None:
        errors = summed("errors", [each.metric_errors() for each in functions.all])
        throttles = summed("throttles", [each.metric_throttles() for each in functions.all])
        # What a bad release can cause takes it back; what the provider or AWS causes must not.
        self.alarm("Unexpected error", self.business("UnexpectedError"), at_least=1, against_release=True)
        self.alarm("Table out of reach", self.business("StoreUnavailable"), at_least=5, against_release=True)
        self.alarm("Function errors", errors, at_least=1, against_release=True)
        self.alarm("Functions throttled", throttles, at_least=1)
        self.alarm("API fails", api.rest.metric_server_error(statistic="Sum"), at_least=5, against_release=True)

    def alarm(
        self,
        heading: str,
        metric: cloudwatch.IMetric,
        *,
        at_least: float | None = None,
        below: float | None = None,
        periods: int = 1,
        missing: cloudwatch.TreatMissingData = cloudwatch.TreatMissingData.NOT_BREACHING,
        against_release: bool = False,
    ) -> None:
        over = cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD
        under = cloudwatch.ComparisonOperator.LESS_THAN_THRESHOLD
        alarm = cloudwatch.Alarm(
            self,
            re.sub(r"\W", "", heading.title()),
            # The one physical name that is not generated: it is what a woken person reads.
            alarm_name=f"{cdk.Stack.of(self).stack_name} {heading}",
            alarm_description=f"docs/runbook.md#{heading.lower().replace(' ', '-')}",
            metric=metric,
            comparison_operator=over if below is None else under,
            threshold=at_least if at_least is not None else below or 0,
            evaluation_periods=periods,
            treat_missing_data=missing,
        )
        alarm.add_alarm_action(actions.SnsAction(self.notice))
        alarm.add_ok_action(actions.SnsAction(self.notice))
        self.alarms.append(alarm)
        if against_release:
            self.against_release.append(alarm)

    def show(self, rest: apigateway.RestApi, functions: Functions) -> None:
        """The business on top, the machine below."""
        age = self.business("OldestUnsettledSeconds", statistic="Maximum")
        sources = ("SettledByAnswer", "SettledByWebhook", "SettledByQuery")
        settled = [self.business(name) for name in (*sources, "SettleRun", "VoidReview", "VoidCorrected")]
        cloudwatch.Dashboard(
            self,
            "Dashboard",
            default_interval=cdk.Duration.hours(12),
            widgets=[
                [cloudwatch.AlarmStatusWidget(title="Alarms", alarms=self.alarms, width=24)],
                [
                    graph("Voids by outcome", [self.business(name) for name in OUTCOMES], stacked=True),
                    graph("Webhooks", [self.business(name) for name in WEBHOOKS]),
                ],
                [graph("Settling", settled), graph("Oldest unsettled void, seconds", [age])],
                [
                    graph("API", [rest.metric_count(), rest.metric_client_error(), rest.metric_server_error()]),
                    graph("API latency, ms", [rest.metric_latency(statistic=s) for s in ("p50", "p99")]),
                ],
                [
                    graph("Function errors and throttles", per_function(functions, "errors", "throttles")),
                    graph("Function duration p99, ms", [f.metric_duration(statistic="p99") for f in functions.all]),
                ],
            ],
        )

    def save_queries(self, functions: Functions) -> None:
        groups: list[logs.ILogGroup] = [function.log_group for function in functions.all]
        for name, fields, filters in (
            (
                "OneOrder",
                ["@timestamp", "message", "state", "attempt", "result", "fate"],
                ["order_id = 'PUT THE ORDER HERE'"],
            ),
            ("Errors", ["@timestamp", "message", "order_id", "reason", "error", "request_id"], ["level = 'ERROR'"]),
            ("OneRequest", ["@timestamp", "level", "message"], ["request_id = 'PUT THE REQUEST HERE'"]),
        ):
            logs.QueryDefinition(
                self,
                f"Query{name}",
                query_definition_name=f"{cdk.Stack.of(self).stack_name}/{name}",
                query_string=logs.QueryString(fields=fields, filter_statements=filters, sort="@timestamp desc"),
                log_groups=groups,
            )

    def business(self, name: str, *, minutes: int = 5, statistic: str = "Sum") -> cloudwatch.Metric:
        return cloudwatch.Metric(
            namespace=self.namespace,
            metric_name=name,
            dimensions_map={"service": "void-service"},
            period=cdk.Duration.minutes(minutes),
            statistic=statistic,
        )


def waiting_in(queue: sqs.Queue) -> cloudwatch.Metric:
    return queue.metric_approximate_number_of_messages_visible(period=cdk.Duration.minutes(5), statistic="Maximum")


def summed(label: str, metrics: list[cloudwatch.Metric]) -> cloudwatch.MathExpression:
    # A function that did not run has no value, and a sum with a hole in it is a hole.
    names = [f"m{number}" for number in range(len(metrics))]
    return cloudwatch.MathExpression(
        expression=" + ".join(f"FILL({name}, 0)" for name in names),
        using_metrics=dict(zip(names, metrics, strict=True)),
        label=label,
    )


def per_function(functions: Functions, *names: str) -> list[cloudwatch.IMetric]:
    def metric(function: lambda_.Function, name: str) -> cloudwatch.IMetric:
        return function.metric_errors() if name == "errors" else function.metric_throttles()

    return [metric(function, name) for name in names for function in functions.all]


def graph(
    title: str, metrics: list[cloudwatch.IMetric] | list[cloudwatch.Metric], *, stacked: bool = False
) -> cloudwatch.GraphWidget:
    return cloudwatch.GraphWidget(title=title, left=list(metrics), stacked=stacked, width=12, height=6)
