"""Logger and metrics of all functions, made once. Logs hold identifiers and outcomes, never a header or a body."""

import traceback

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit

logger = Logger()
metrics = Metrics()

SETTLED_BY = {"answer": "SettledByAnswer", "webhook": "SettledByWebhook", "query": "SettledByQuery"}


def count(name: str, value: int = 1) -> None:
    """Add to one business counter; each outcome has its own, and the alarms stand on them."""
    if value:
        metrics.add_metric(name=name, unit=MetricUnit.Count, value=value)


def count_settled(evidence: str) -> None:
    """A void has just been settled, and by what: `answer`, `webhook` or `query`."""
    count(SETTLED_BY[evidence])


def gauge_seconds(name: str, value: float) -> None:
    """Report a duration in seconds."""
    metrics.add_metric(name=name, unit=MetricUnit.Seconds, value=value)


def flush() -> None:
    """Write what was counted as one EMF line; nothing if nothing was."""
    if metrics.metric_set:
        metrics.flush_metrics()


def report_crash(error: Exception) -> None:
    """Log an error that nobody expected: its kind and place. Its text may quote a body or a header and stays inside."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    logger.error("unexpected error", error=type(error).__name__, place=f"{frame.name}:{frame.lineno}")
