"""The table of cost rests on the hours that the functions of today need."""

from typing import Any

import pytest

from proof.benchmarks import cost
from tests.alarms import hours
from tests.alarms.evaluator import Alarm


@pytest.mark.proof
@pytest.mark.parametrize(("column", "script"), [(cost.QUIET, hours.QUIET), (cost.THOUSAND, hours.THOUSAND)])
def test_the_hours_in_which_metrics_are_sent_are_those_of_the_table(
    template: dict[str, Any], column: str, script: str
) -> None:
    kept = cost.load().month.metric_months[column]
    assert hours.metric_months(template, script) == kept, "after a change: python -m proof.benchmarks.cost --month"


def test_the_table_counts_what_the_template_has(alarms: dict[str, Alarm], seen: set[str]) -> None:
    month = cost.load().month
    counted = sum(len(alarm.metrics) for alarm in alarms.values()), len(seen)
    assert (month.alarm_metrics, month.custom_metrics) == counted, (
        "after a change: python -m proof.benchmarks.cost --month"
    )
