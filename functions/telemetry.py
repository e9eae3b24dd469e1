"""Logger and metrics of all functions, made once. Logs hold identifiers and outcomes, never a header or a body."""

import traceback
from threading import Lock
from typing import Any

from aws_lambda_powertools import Logger, Metrics

from payments.facts import Evidence, State
from payments.orders import Void
from payments.reviews import unread
from payments.secret import NO_VALUE, OUT_OF_REACH, SecretError
from payments.settings import SettingsError
from payments.store import FORGETS, StoreError

logger = Logger(json_deserializer=str, location=None)  # no message of ours is JSON to be unpacked
metrics = Metrics()

_COUNTING_ONCE = Lock()
TROUBLE = (SettingsError, SecretError, StoreError)
REFUSED_EVERY_TIME = ("AccessDeniedException", "ValidationException", FORGETS)
SECRET_METRICS = {NO_VALUE: "SecretUnfilled", OUT_OF_REACH: "SecretOutOfReach"}


def count(name: str, value: int = 1) -> None:
    """Add to one business counter; each outcome has its own, and the alarms stand on them."""
    if value:
        report(name, value)


def count_once(name: str) -> None:
    """Report a counter of this invocation, however many of its threads meet the same."""
    with _COUNTING_ONCE:  # or two threads that look at the same moment both count
        if name not in metrics.metric_set:
            count(name)


def report(name: str, value: float, unit: str = "Count") -> None:
    """Report a value also when it is 0: an alarm can tell "nothing happened" from "nothing was reported"."""
    metrics.add_metric(name=name, unit=unit, value=value)


def named(void: Void | None) -> dict[str, Any]:
    """How a line of the log names what a void has become."""
    return {"state": void.state, "reason": void.reason} if void is not None else {"state": None, "reason": None}


def count_changes(before: Void | None, after: Void | None) -> None:
    """What changed about a void: the one place that counts it, whoever made the change."""
    if after is None:
        return
    silent = after.history and after.history[-1].evidence in (Evidence.ANSWER, Evidence.QUERY)
    if after.state is State.VOIDED and (before is None or before.state is not State.VOIDED) and silent:
        report("VoidWithoutWebhook", 1)  # until a genuine webhook reports 0, nothing shows that they arrive
    count("VoidCorrected", int(after.corrected and not (before and before.corrected)))
    count("VoidReview", len(unread(after.reviews) - (unread(before.reviews) if before is not None else frozenset())))


def count_trouble(error: SettingsError | SecretError | StoreError) -> str:
    """Count and log what cannot be used, and say which of the three it is: a setting, the secret or the table."""
    match error:
        case SettingsError():  # the release is deployed without it, so each request fails until it goes back
            count("UnexpectedError")
            logger.error("setting unusable", setting=str(error))
            return "setting"
        case SecretError():
            count_once(SECRET_METRICS.get(error.reason, "SecretUnusable"))
            logger.error("secret unusable", reason=error.reason, member=error.member)
            return "secret"
        case StoreError():
            count("StoreUnavailable")
            if str(error) in REFUSED_EVERY_TIME:  # by AWS, every time: a defect of this release
                count("UnexpectedError")
            logger.error("table unavailable", error=str(error))
            return "table"


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
