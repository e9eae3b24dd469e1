"""Logger and metrics of all functions, made once. Logs hold identifiers and outcomes, never a header or a body."""

import traceback

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit

from payments.record import Evidence, Void
from payments.secret import NO_VALUE, OUT_OF_REACH, SecretError
from payments.store import StoreError

logger = Logger()
metrics = Metrics()

SETTLED_BY = {
    Evidence.ANSWER: "SettledByAnswer",
    Evidence.WEBHOOK: "SettledByWebhook",
    Evidence.QUERY: "SettledByQuery",
}
REFUSED_EVERY_TIME = ("AccessDeniedException", "ValidationException")
SECRET_METRICS = {NO_VALUE: "SecretUnfilled", OUT_OF_REACH: "SecretOutOfReach"}


def count(name: str, value: int = 1) -> None:
    """Add to one business counter; each outcome has its own, and the alarms stand on them."""
    if value:
        metrics.add_metric(name=name, unit=MetricUnit.Count, value=value)


def count_with_zeros(**values: int) -> None:
    """Report counters also when they are 0: an alarm can tell "nothing happened" from "nothing was reported"."""
    for name, value in values.items():
        metrics.add_metric(name=name, unit=MetricUnit.Count, value=value)


def count_changes(before: Void | None, after: Void | None) -> None:
    """What changed about a void: the one place that counts it, whoever made the change."""
    if after is None:
        return
    if after.settled and (before is None or before.state is not after.state):
        count(SETTLED_BY[after.history[-1].evidence])
    count("VoidCorrected", int(after.corrected and not (before and before.corrected)))
    count("VoidReview", int(after.review and not (before and before.review)))


def count_secret_error(error: SecretError) -> None:
    """The credentials could not be had: not filled yet, out of reach, or unusable."""
    count(SECRET_METRICS.get(error.reason, "SecretUnusable"))
    logger.error("secret unusable", reason=error.reason)


def count_store_error(error: StoreError) -> None:
    """The table could not be used. What AWS would refuse every time is a mistake of the release."""
    count("StoreUnavailable")
    if str(error) in REFUSED_EVERY_TIME:
        count("UnexpectedError")
    logger.error("table unavailable", error=str(error))


def gauge_seconds(name: str, value: float) -> None:
    """Report a duration in seconds."""
    metrics.add_metric(name=name, unit=MetricUnit.Seconds, value=value)


def flush() -> None:
    """Write what was counted as one EMF line; nothing if nothing was."""
    if metrics.metric_set:
        metrics.flush_metrics()


def report_crash(error: Exception) -> None:
    """Count and log an error that nobody expected: its kind and place. Its text may quote a body and stays inside."""
    count("UnexpectedError")
    frames = traceback.extract_tb(error.__traceback__)
    place = f"{frames[-1].name}:{frames[-1].lineno}" if frames else "unknown"
    logger.error("unexpected error", error=type(error).__name__, place=place)
