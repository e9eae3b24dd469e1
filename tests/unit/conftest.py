"""What every unit test stands on: clean telemetry."""

import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.fakes.account import Account

Counted = Callable[[], dict[str, float]]


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


@pytest.fixture
def counted(capsys: pytest.CaptureFixture[str]) -> Counted:
    """counted() -> the metrics of the lines that were written since the last time, each with its sum."""

    def read() -> dict[str, float]:
        sums = Counter[str]()
        for line in capsys.readouterr().out.splitlines():
            written = json.loads(line)
            for directive in written.get("_aws", {}).get("CloudWatchMetrics", ()):
                for metric in directive["Metrics"]:
                    sums[metric["Name"]] += sum(written[metric["Name"]])
        return dict(sums)

    return read


@pytest.fixture
def account() -> "Iterator[Account]":
    """An AWS account that answers what it was told. Imported here: boto3 and ops are for those who ask."""
    from tests.fakes.account import an_account

    with an_account() as account:
        yield account
