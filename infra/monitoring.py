"""What wakes an operator: the alarms, the metrics that they need besides, and the topic that they reach.

Each alarm is named by a heading of docs/runbook.md, which tells what it means, what to do and how soon it rings.
Never alarms on what the service settles by itself within minutes. tests/alarms rings each one.
"""

import re
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch, aws_cloudwatch_actions, aws_iam, aws_kms, aws_logs, aws_pipes, aws_sns, aws_sqs
from constructs import Construct

from infra.api import Api
from infra.callers import account_of
from infra.environment import Environment
from infra.events import SettledEvents
from infra.functions import Functions
from infra.parts import resource_of
from infra.storage import Storage

SERVICE = "void-service"
LONGEST_PATTERN = 1024  # of a metric filter
# What an operator calls by hand needs no alarm of its own: a crash of it is an answer that the gateway has to give.
WATCHED = ("SubmitVoid", "ReadVoids", "ReceiveWebhook", "SettleVoids")
# A new alarm tells OK at its first evaluation, and a mute rule would tell it when it ends.
NO_FIRST_OKS = {"$or": [{"NewStateValue": ["ALARM"]}, {"OldStateValue": ["ALARM"]}]}

OVER: dict[str, Any] = {
    "comparison_operator": aws_cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
    "treat_missing_data": aws_cloudwatch.TreatMissingData.NOT_BREACHING,
}
# A metric that was never published has nothing to fill either: then the missing data breaches.
SILENT: dict[str, Any] = {
    "comparison_operator": aws_cloudwatch.ComparisonOperator.LESS_THAN_THRESHOLD,
    "treat_missing_data": aws_cloudwatch.TreatMissingData.BREACHING,
}


class Monitoring(Construct):
    def __init__(self, scope: Construct, name: str, api: Api, functions: Functions, events: SettledEvents) -> None:
        super().__init__(scope, name)
        environment = functions.environment
        self.namespace = environment.metrics_namespace
        self.topic = alarm_topic(self, environment, functions.storage.key)
        elsewhere = [
            aws_sns.Topic.from_topic_arn(self, f"Elsewhere{number}", arn)
            for number, arn in enumerate(environment.alarm_topic_arns)
        ]
        self.reached = [aws_cloudwatch_actions.SnsAction(topic) for topic in (self.topic, *elsewhere)]
        self.alarms: list[aws_cloudwatch.IAlarm] = []
        self.against_release: list[aws_cloudwatch.IAlarm] = []
        self.watch_voids()
        self.watch_credentials()
        self.watch_webhooks()
        self.watch_settling(functions)
        self.watch_events(events, piped=not environment.local)
        self.watch_table(functions.storage)
        self.watch_api(api, environment)
        self.watch_functions(functions)

    def watch_voids(self) -> None:
        # Of two periods, because the newest one lacks what CloudWatch has not received yet.
        # One lost answer is queried within minutes; five at once are an outage.
        self.alarm("Many unknown outcomes", filled(self.count("VoidUnknown")), at_least=5, of=2)
        # In four minutes of twenty: longer than a blip, and seen with little traffic too.
        self.alarm("Voids not sent", self.count("VoidNotSent", minutes=1), datapoints=4, of=20)
        self.alarm("Throttled by the provider", filled(self.count("VoidThrottled")), at_least=10, of=2)
        self.alarm("Void corrected", self.count("VoidCorrected"))
        self.alarm("Void in review", self.count("VoidReview"))
        self.alarm("Attempts used up", self.count("AttemptsUsedUp"))

    def watch_credentials(self) -> None:
        self.alarm("Credentials refused", self.count("CredentialsRefused"))
        self.alarm("Secret unfilled", self.count("SecretUnfilled"))
        self.alarm("Secret unusable", self.count("SecretUnusable"))
        # A copy serves for 15 minutes: a short outage needs nobody.
        self.alarm("Secret out of reach", self.count("SecretOutOfReach", minutes=1), datapoints=4, of=10)
        # Counted when such a void is due, at growing intervals: an hour's memory keeps it from ringing at each of them.
        self.alarm("Credentials of another project", self.count("CredentialsOfAnotherProject", minutes=15), of=5)

    def watch_webhooks(self) -> None:
        self.alarm("Forged webhooks", filled(self.count("WebhookForged")), at_least=10, of=2)
        self.alarm("Webhook quarantined", self.count("WebhookQuarantined"))
        # The provider's address has changed: the gateway refuses its webhooks, so no function ever sees them. A void
        # counts 1 and a genuine webhook 0. Two hours in a row: at the edge of one a webhook may still be on its way.
        silent = self.count("VoidWithoutWebhook", minutes=60, statistic="Minimum")
        self.alarm("Webhooks silent", silent, datapoints=2, of=2)

    def watch_settling(self, functions: Functions) -> None:
        age = self.count("OldestUnsettledSeconds", statistic="Maximum")
        # The backoff reaches an hour with the fifth query: what is older was queried five times without an answer.
        self.alarm("Void unsettled for long", age, at_least=2 * 3600, datapoints=3, of=6)
        self.alarm("Voids cannot be queried", self.count("SettleFailed", minutes=1), datapoints=5, of=15)
        run = self.count("SettleRun", minutes=1)
        self.alarm("Settling has stopped", filled(run), silent_after=10, datapoints=5, of=5)
        self.alarm("Settle run lost", waiting_in(functions.dead_letters))

    def watch_events(self, events: SettledEvents, *, piped: bool) -> None:
        self.alarm("Outcome not delivered", waiting_in(events.dead_letters))
        pipe = events.node.try_find_child("Pipe")
        if not piped or not isinstance(pipe, aws_pipes.CfnPipe):  # the local engine has no pipe
            return

        def of_pipe(name: str, minutes: int = 1) -> aws_cloudwatch.Metric:
            return metric("AWS/EventBridge/Pipes", name, minutes=minutes, PipeName=pipe.ref)

        # A batch that fails in part is halved until what fails is alone in it, and fails as a whole.
        failures = [of_pipe("ExecutionFailed"), of_pipe("ExecutionThrottled")]
        self.alarm("Outcomes held up", summed("failures of the pipe", failures), datapoints=3, of=10)
        # The heartbeat of settle_voids passes the pipe in each quarter of an hour, whatever else does.
        beats = filled(of_pipe("Invocations", minutes=15))
        self.alarm("Outcomes have stopped", beats, silent_after=75, datapoints=4, of=4)

    def watch_table(self, storage: Storage) -> None:
        # The SDK tries again at once, and callers do: in four minutes of ten is more than a blip.
        self.alarm("Table out of reach", self.count("StoreUnavailable", minutes=1), datapoints=4, of=10)
        # By operation they count what the table and what any of its indexes throttled.
        table = storage.table.table_name
        throttled = [
            metric("AWS/DynamoDB", "ThrottledRequests", TableName=table, Operation=operation)
            for operation in ("GetItem", "PutItem", "Query")
        ]
        # DynamoDB publishes no zeros, and CloudWatch's alarms on it ignore missing data: with a metric of every minute
        # in the sum there always is a value, so that the alarm ends by itself.
        heartbeat = self.count("SettleRun")
        self.alarm("Table throttled", summed("throttled requests", throttled, heartbeat), datapoints=3, of=10)

    def watch_api(self, api: Api, environment: Environment) -> None:
        # 502 and 503 are the functions' own answers; what the gateway answers, and 500 to a merchant, nobody meant.
        failed = self.from_access_log(
            api.access_log,
            "AnswersLost",
            '{ ($.status = "5*") && (($.refused_as != "-") || (($.status = "500") && ($.route = "*/voids*"))) }',
        )
        self.alarm("API fails", failed, datapoints=1, of=5, against_release=True)
        # Of strangers nobody need know: an account of `callers` signed, or an issuer of ours named the client.
        accounts = map(account_of, environment.callers or (environment.account or cdk.Stack.of(self).account,))
        known = [f'($.account = "{account}")' for account in sorted({*accounts})]
        ours = " || ".join([*known, '($.client != "-")'] if environment.token_issuers else known)
        pattern = f'{{ ($.status = "403") && ($.route = "*/voids*") && ({ours}) }}'
        if len(pattern) > LONGEST_PATTERN:
            raise ValueError(f"{environment.name}.callers: of fewer accounts; their refusals are one filter of the log")
        refused = self.from_access_log(api.access_log, "CallersRefused", pattern, minutes=15)
        self.alarm("Callers refused", filled(refused), at_least=5, of=2)

    def watch_functions(self, functions: Functions) -> None:
        # What a bad release causes takes it back; what the provider, AWS, a caller or an empty secret causes must not.
        # One in five minutes: a release at a tenth of little traffic meets few requests.
        errors = self.count("UnexpectedError", minutes=1)
        self.alarm("Unexpected error", errors, of=5, against_release=True)
        names = {each.node.id: each.function_name for each in functions.all}
        # The function waits 10 s for an answer that usually takes less than one.
        lasting = metric("AWS/Lambda", "Duration", minutes=5, statistic="p90", FunctionName=names["SubmitVoid"])
        self.alarm("Voids are slow", lasting, at_least=5_000, datapoints=3, of=3)
        for name in WATCHED:
            failed = metric("AWS/Lambda", "Errors", FunctionName=names[name])
            self.alarm("Function errors", failed, about=name, of=5, against_release=True)
            throttled = metric("AWS/Lambda", "Throttles", FunctionName=names[name])
            self.alarm("Functions throttled", throttled, about=name, datapoints=3, of=10)

    def alarm(
        self, heading: str, metric: aws_cloudwatch.IMetric, *, about: str = "", at_least: float = 1,
        datapoints: int = 1, of: int = 1, silent_after: int | None = None, against_release: bool = False,
    ) -> None:  # fmt: skip
        """Ring when `datapoints` of the newest `of` are at least `at_least`; with `silent_after` when they are less or
        missing, but so many minutes after a new stack was made, which has not run yet. `about`: which of several.
        """
        alarm = aws_cloudwatch.Alarm(
            self,
            re.sub(r"\W", "", heading.title()) + about,
            # The one physical name that is not generated: it is what a woken person reads.
            alarm_name=f"{cdk.Stack.of(self).stack_name} {heading}" + (f" ({about})" if about else ""),
            alarm_description=f"docs/runbook.md#{heading.lower().replace(' ', '-')}",
            metric=metric, threshold=at_least, datapoints_to_alarm=datapoints, evaluation_periods=of,
            **(OVER if silent_after is None else SILENT),
        )  # fmt: skip
        if silent_after is not None:
            wait = {"OnlyStartEvaluatingAfterWarmUpPeriodEnds": True, "WarmUpPeriodDurationInMinutes": silent_after}
            resource_of(alarm, cdk.CfnResource).add_property_override("WarmUpConfiguration", wait)
        alarm.add_alarm_action(*self.reached)
        alarm.add_ok_action(*self.reached)
        self.alarms.append(alarm)
        if against_release:
            self.against_release.append(alarm)

    def count(self, name: str, *, minutes: int = 5, statistic: str = "Sum") -> aws_cloudwatch.Metric:
        """What the functions emit."""
        return metric(self.namespace, name, minutes=minutes, statistic=statistic, service=SERVICE)

    def from_access_log(
        self, log: aws_logs.LogGroup, name: str, pattern: str, *, minutes: int = 1
    ) -> aws_cloudwatch.Metric:
        """A counter of lines in the access log: the gateway's own metrics do not tell one 4xx or 5xx from another.

        It has no zeros, which would be billed for each hour with a request.
        """
        counted = aws_logs.MetricFilter(
            self, f"Count{name}", log_group=log, filter_pattern=aws_logs.FilterPattern.literal(pattern),
            metric_namespace=self.namespace, metric_name=name, metric_value="1",
        )  # fmt: skip
        return counted.metric(period=cdk.Duration.minutes(minutes), statistic="Sum")


def alarm_topic(scope: Construct, environment: Environment, key: aws_kms.IKey | None) -> aws_sns.Topic:
    """A policy of its own replaces a topic's default one, so it must say that alarms may publish."""
    stack = cdk.Stack.of(scope)
    topic = aws_sns.Topic(scope, "Alarms", enforce_ssl=True, master_key=key)
    alarms = f"arn:{stack.partition}:cloudwatch:{stack.region}:{stack.account}:alarm:*"
    only = {"StringEquals": {"aws:SourceAccount": stack.account}, "ArnLike": {"aws:SourceArn": alarms}}
    publish = aws_iam.PolicyStatement(
        sid="AlarmsOfThisAccountPublish", principals=[aws_iam.ServicePrincipal("cloudwatch.amazonaws.com")],
        actions=["sns:Publish"], resources=[topic.topic_arn], conditions=only,
    )  # fmt: skip
    topic.add_to_resource_policy(publish)
    if environment.alarm_email is not None:
        told: dict[str, Any] = {"filter_policy": NO_FIRST_OKS, "filter_policy_scope": "MessageBody"}
        to, at = topic.topic_arn, environment.alarm_email
        aws_sns.CfnSubscription(scope, "Mail", topic_arn=to, protocol="email", endpoint=at, **told)
    return topic


# ---- the metrics that alarms read, with zeros where AWS has none -----------------------------------------------------


def metric(
    namespace: str, name: str, *, minutes: int = 1, statistic: str = "Sum", **dimensions: str
) -> aws_cloudwatch.Metric:
    by, period = dimensions or None, cdk.Duration.minutes(minutes)
    return aws_cloudwatch.Metric(
        namespace=namespace, metric_name=name, dimensions_map=by, period=period, statistic=statistic
    )


def waiting_in(queue: aws_sqs.Queue) -> aws_cloudwatch.Metric:
    return queue.metric_approximate_number_of_messages_visible(period=cdk.Duration.minutes(5), statistic="Maximum")


def filled(metric: aws_cloudwatch.Metric) -> aws_cloudwatch.MathExpression:
    """The metric with zeros where it has no value.

    While new datapoints are missing, an alarm evaluates older ones again: it would ring late, or a second time.
    """
    return aws_cloudwatch.MathExpression(
        expression="FILL(metric, 0)", using_metrics={"metric": metric}, period=metric.period, label=metric.metric_name
    )


def summed(
    label: str, metrics: list[aws_cloudwatch.Metric], heartbeat: aws_cloudwatch.Metric | None = None
) -> aws_cloudwatch.MathExpression:
    """The sum of metrics that have holes; with `heartbeat` it has a value wherever that one has."""
    named: dict[str, aws_cloudwatch.IMetric] = {f"m{number}": each for number, each in enumerate(metrics)}
    terms = [f"FILL({name}, 0)" for name in named]
    if heartbeat is not None:
        terms.append("0 * FILL(heartbeat, 0)")
        named["heartbeat"] = heartbeat
    return aws_cloudwatch.MathExpression(
        expression=" + ".join(terms), using_metrics=named, period=cdk.Duration.minutes(1), label=label
    )
