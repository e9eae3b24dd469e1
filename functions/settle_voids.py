"""Every minute, by schedule: asks the provider about the voids that are not settled. Bounded by its time-out."""

import contextlib
from typing import Protocol

import boot
from payments.operations import State
from payments.secret import SecretError
from payments.settings import SettingsError
from payments.store import StoreError
from payments.voids import Run, settle
from telemetry import count, count_settled, flush, gauge_seconds, logger
from world import now, world

LAST_QUESTION_MS = 20_000
"""A question that begins this long before the time-out still ends in time: 12 s for the provider and its writes."""


class Context(Protocol):
    """What is used of Lambda's context."""

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until the time-out."""


def handler(event: object, context: Context) -> dict[str, int]:  # noqa: ARG001 Lambda's signature
    """Lambda's entry point. Fails, loudly, if nothing could be asked: the alarm on errors is the reader."""
    try:
        run = settle(world(False), now() + context.get_remaining_time_in_millis() - LAST_QUESTION_MS)
    except (SettingsError, SecretError, StoreError) as error:
        logger.error("settle run failed", error=type(error).__name__, reason=str(error))
        raise
    else:
        return _observe(run)
    finally:
        flush()


def _observe(run: Run) -> dict[str, int]:
    settled = [asked for asked in run.asked if asked.after.settled and not asked.before.settled]
    count("SettleRun")
    for asked in settled:
        count_settled(asked.after.history[-1].evidence)
    count("VoidCorrected", sum(asked.after.corrected and not asked.before.corrected for asked in run.asked))
    count("VoidReview", sum(asked.after.review and not asked.before.review for asked in run.asked))
    gauge_seconds("OldestUnsettledSeconds", run.oldest_ms / 1000)
    if run.failed:
        count("SettleFailed", run.failed)
        logger.error("some voids could not be asked about", failed=run.failed)
    for asked in run.asked:
        state: State = asked.after.state
        logger.info("void asked about", order_id=asked.after.order_id, state=state.value, checks=asked.after.checks)
    return {"asked": len(run.asked), "settled": len(settled), "failed": run.failed}


# At init, as in submit_void: what is wrong is told to the first request.
with contextlib.suppress(SettingsError):
    world(False)

boot.finish()
