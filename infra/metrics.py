"""The metrics that alarms read, with zeros where AWS has none."""

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sqs as sqs


def waiting_in(queue: sqs.Queue) -> cloudwatch.Metric:
    return queue.metric_approximate_number_of_messages_visible(period=cdk.Duration.minutes(5), statistic="Maximum")


def minutely(function: lambda_.Function, name: str) -> cloudwatch.Metric:
    return of_aws("Lambda", name, {"FunctionName": function.function_name})


def of_aws(
    service: str, name: str, dimensions: dict[str, str], *, minutes: int = 1, statistic: str = "Sum"
) -> cloudwatch.Metric:
    """A metric that AWS publishes."""
    return cloudwatch.Metric(
        namespace=f"AWS/{service}",
        metric_name=name,
        dimensions_map=dimensions,
        period=cdk.Duration.minutes(minutes),
        statistic=statistic,
    )


def filled(metric: cloudwatch.Metric) -> cloudwatch.MathExpression:
    """The metric with zeros where it has no value.

    While new datapoints are missing, an alarm evaluates older ones again: it would ring late, or a second time.
    """
    return cloudwatch.MathExpression(
        expression="FILL(metric, 0)", using_metrics={"metric": metric}, period=metric.period, label=metric.metric_name
    )


def summed(
    label: str, metrics: list[cloudwatch.Metric], heartbeat: cloudwatch.Metric | None = None
) -> cloudwatch.MathExpression:
    """The sum of metrics that have holes; with `heartbeat` it has a value wherever that one has."""
    named = {f"m{number}": metric for number, metric in enumerate(metrics)}
    terms = [f"FILL({name}, 0)" for name in named]
    if heartbeat is not None:
        terms.append("0 * FILL(heartbeat, 0)")
        named["heartbeat"] = heartbeat
    return cloudwatch.MathExpression(
        expression=" + ".join(terms), using_metrics=dict(named), period=cdk.Duration.minutes(1), label=label
    )
