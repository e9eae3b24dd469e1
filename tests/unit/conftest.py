"""What every unit test stands on: the environment of a function, set before its modules are imported, and clean telemetry."""

import os
import sys

import pytest

os.environ |= {
    "POWERTOOLS_SERVICE_NAME": "void-service",
    "POWERTOOLS_METRICS_NAMESPACE": "VoidService",
    "POWERTOOLS_LOG_LEVEL": "INFO",
    "AWS_DEFAULT_REGION": "eu-central-1",
}


class _Stdout:
    """Whatever stdout is at the moment of writing: pytest exchanges it between tests and phases."""

    def write(self, text: str) -> int:
        return sys.stdout.write(text)

    def flush(self) -> None:
        sys.stdout.flush()


@pytest.fixture(autouse=True)
def telemetry_of_this_test() -> None:
    """Logs go to the stdout that `capsys` reads; no counter of another test is left."""
    import telemetry

    telemetry.metrics.clear_metrics()
    telemetry.logger.registered_handler.stream = _Stdout()  # type: ignore[attr-defined]
