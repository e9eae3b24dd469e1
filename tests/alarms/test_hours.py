"""The table of cost rests on the hours that the functions of today need."""

from typing import Any

import pytest

from proof.benchmarks import deployed
from tests.alarms import hours
from tests.alarms.evaluator import Alarm


@pytest.mark.proof
@pytest.mark.parametrize(("figure", "script"), [(deployed.QUIET, hours.QUIET), (deployed.THOUSAND, hours.THOUSAND)])
def test_the_hours_in_which_metrics_are_sent_are_those_of_the_table(
    template: dict[str, Any], figure: str, script: str
) -> None:
    kept = deployed.load()[figure]["ours"]
    assert hours.metric_months(template, script) == kept, "after a change: python -m proof.benchmarks --again"


def test_the_table_counts_what_the_template_has(alarms: dict[str, Alarm], seen: set[str]) -> None:
    kept = [deployed.load()[figure]["ours"] for figure in (deployed.READ, deployed.CUSTOM)]
    counted = [sum(len(alarm.metrics) for alarm in alarms.values()), len(seen)]
    assert kept == counted, "after a change: python -m proof.benchmarks --again"
