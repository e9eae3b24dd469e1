"""What every unit test stands on: clean telemetry."""

import sys

import pytest


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
    telemetry.logger.registered_handler.stream = _Stdout()  # type: ignore[attr-defined]  # it is a StreamHandler
