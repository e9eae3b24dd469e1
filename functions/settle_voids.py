"""Each minute: query the voids that are not settled, and those whose failure is looked at again."""

import os
from collections.abc import Mapping
from typing import Any, Protocol

import cold_start  # first: it turns the garbage collector off
from payments import settings
from payments.outside import AWS_CALL_SECONDS, Systems
from payments.secret import NO_VALUE, SecretError
from payments.settings import SettingsError
from payments.settling import Run, settle
from payments.store import StoreError
from storage import now
from systems import systems
from telemetry import (
    count,
    count_changes,
    count_run,
    count_secret_error,
    count_store_error,
    flush,
    gauge_seconds,
    logger,
    report_crash,
)

LAST_QUESTION_MS = 20_000
"""A question begins only while this much of the function's time is left: it may take 19 s."""
BEAT_EVERY_MINUTES = 15
NOTHING_DONE = {"queried": 0, "settled": 0, "failed": 0}


class LambdaContext(Protocol):
    """What of Lambda's context is used."""

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until the timeout."""


class SettleRunFailed(Exception):
    """A defect of ours stopped the run. Raised so that the alarm on errors rings; carries no other error's text."""


def handler(event: Mapping[str, Any], context: LambdaContext) -> dict[str, int]:  # noqa: ARG001 Lambda's signature
    """Lambda's entry point. Raises SettleRunFailed.

    While the table or the secret cannot be used, a run ends without an error: errors take a release back.
    """
    until = now() + context.get_remaining_time_in_millis() - LAST_QUESTION_MS
    completed = 0
    try:
        _beat(systems())
        report = _observe(settle(systems(), until, settings.settle_workers(os.environ)))
        completed = 1
    except SecretError as error:
        count_secret_error(error)
        completed = int(error.reason == NO_VALUE)  # not filled yet: there is nothing to ask with, or about
        return NOTHING_DONE
    except StoreError as error:
        count_store_error(error)
        return NOTHING_DONE
    except SettingsError as error:
        logger.error("setting unusable", setting=str(error))
        raise SettleRunFailed(type(error).__name__) from None
    except Exception as error:  # noqa: BLE001 its text may quote a record, and would go into the dead-letter queue
        report_crash(error)
        raise SettleRunFailed(type(error).__name__) from None
    else:
        return report
    finally:
        count_run(bool(completed))
        flush()


def _beat(systems: Systems) -> None:
    """What passes the pipe though nothing is settled, so that its silence is noticed."""
    if systems.now() // 60_000 % BEAT_EVERY_MINUTES == 0:
        systems.store.beat(systems.now(), systems.deadline(AWS_CALL_SECONDS))


def _observe(run: Run) -> dict[str, int]:
    settled = 0
    for merged in run.merged:
        before, after = merged.before.void, merged.after.void
        if before is None or after is None or after == before:
            continue
        count_changes(before, after)
        settled += after.settled and not before.settled
        logger.info("void queried", order_id=merged.after.order_id, state=after.state.value, queries=after.query_count)
    for error in run.errors:
        report_crash(error)
    if run.failed:
        logger.error("some voids could not be queried", failed=run.failed)
    count("SettleFailed", run.failed)
    count("CredentialsOfAnotherProject", run.without_credentials)
    gauge_seconds("OldestUnsettledSeconds", run.oldest_ms / 1000)
    return {"queried": len(run.merged), "settled": settled, "failed": run.failed}


cold_start.finish(systems)
