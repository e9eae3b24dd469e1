"""Logger and metrics of all functions, made once. Logs hold identifiers and outcomes, never a header or a body."""

import traceback

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit

from payments.record import Evidence, State, Void
from payments.secret import NO_VALUE, OUT_OF_REACH, SecretError
from payments.store import StoreError

logger = Logger()
metrics = Metrics()

REFUSED_EVERY_TIME = ("AccessDeniedException", "ValidationException")
SECRET_METRICS = {NO_VALUE: "SecretUnfilled", OUT_OF_REACH: "SecretOutOfReach"}


def count(name: str, value: int = 1) -> None:
    """Add to one business counter; each outcome has its own, and the alarms stand on them."""
    if value:
        metrics.add_metric(name=name, unit=MetricUnit.Count, value=value)


def count_executed(*, webhook: bool) -> None:
    """A void was executed by what we asked, or a genuine webhook came: an hour with the first alone is suspicious."""
    metrics.add_metric(name="VoidWithoutWebhook", unit=MetricUnit.Count, value=int(not webhook))


def count_run(completed: bool) -> None:
    """The one metric of each minute; it is 0 when a run did not do its work."""
    metrics.add_metric(name="SettleRun", unit=MetricUnit.Count, value=int(completed))


def count_changes(before: Void | None, after: Void | None) -> None:
    """What changed about a void: the one place that counts it, whoever made the change."""
    if after is None:
        return
    voided = after.state is State.VOIDED and (before is None or before.state is not State.VOIDED)
    if voided and after.history[-1].evidence is Evidence.QUERY:
        count_executed(webhook=False)
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
    if value:
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
