"""The metrics that alarms read, with zeros where AWS has none."""

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch, aws_sqs


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
