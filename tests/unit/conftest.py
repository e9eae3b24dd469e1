"""What every unit test stands on: the environment of a function, set before its modules are imported, and clean telemetry."""

import os
import sys
from collections.abc import Iterator

import pytest

os.environ |= {
    "POWERTOOLS_SERVICE_NAME": "void-service",
    "POWERTOOLS_METRICS_NAMESPACE": "VoidService",
    "POWERTOOLS_LOG_LEVEL": "INFO",
    "AWS_DEFAULT_REGION": "eu-central-1",
}


@pytest.fixture(autouse=True)
def telemetry_of_this_test(capsys: pytest.CaptureFixture[str]) -> Iterator[None]:
    """Logs go to the stdout that `capsys` reads; no counter of another test is left."""
    import telemetry

    telemetry.metrics.clear_metrics()
    telemetry.logger.registered_handler.setStream(sys.stdout)
    yield
    telemetry.logger.registered_handler.setStream(sys.__stdout__)
