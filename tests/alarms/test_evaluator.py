"""The evaluator and the metric filters against the examples of AWS's own pages, as far as our alarms use them."""

from functools import partial
from typing import Any

import pytest

from tests.alarms import account, evaluator
from tests.alarms.evaluator import MINUTE_MS, USUAL, Alarm, Datapoint, Metrics, Reading, State

OK, ALARM = State.OK, State.ALARM


def points(text: str) -> tuple[bool | None, ...]:
    """`0 - X` as AWS writes it: within the threshold, missing, breaching; the newest last."""
    return tuple({"0": False, "-": None, "X": True}[each] for each in text.split())


@pytest.mark.parametrize(
    ("m", "retrieved", "expected"),
    [
        # "Configuring how CloudWatch alarms treat missing data": five datapoints are retrieved, three are evaluated.
        # A letter for each treatment; `=` is "retain the current state".
        (3, "0 - X - X", "OOO"), (3, "0 - - - -", "OOO"), (3, "- - - - -", "=AO"), (3, "0 X X - X", "AAA"),
        (3, "- - X - -", "=AO"), (2, "0 - X - X", "AAA"), (2, "0 0 X 0 X", "AAA"), (2, "0 - X - -", "OAO"),
        (2, "- - - - 0", "OAO"), (2, "- - - X -", "=AO"), (3, "- - - - X", "=AO"), (3, "- - - X -", "=AO"),
    ],
)  # fmt: skip
def test_missing_data_as_in_the_tables(m: int, retrieved: str, expected: str) -> None:
    for treatment, letter in zip(("ignore", "breaching", "notBreaching"), expected, strict=True):
        for before in State:
            after = evaluator.judge(points(retrieved), 3, m, treatment, before)
            assert after is {"O": OK, "A": ALARM}.get(letter, before), (treatment, before)


def test_the_figure_of_three_periods_over_a_threshold_of_three() -> None:
    # Three datapoints over the threshold ring; one below ends it; a single one over it does nothing.
    alarm = an_alarm(EvaluationPeriods=3, Threshold=4)
    published = Metrics(at(minute, value) for minute, value in enumerate([1, 2, 4, 5, 4, 2, 1, 1, 5, 2]))
    found = evaluator.changes(alarm, published, 0, 10 * MINUTE_MS)
    assert found == [(MINUTE_MS, OK), (5 * MINUTE_MS, ALARM), (6 * MINUTE_MS, OK)]


def series(text: str) -> list[float | None]:
    return [None if each == "-" else float(each) for each in text.split()]


@pytest.mark.parametrize(
    ("expression", "expected", "where_empty_stays_empty"),
    [
        ("FILL(a, 0)", "1 1 0 0", "1 1 0 0"),
        ("FILL(a, 0) + FILL(b, 0)", "3 1 2 0", "3 1 2 0"),
        ("FILL(never, 0)", "0 0 0 0", "- - - -"),  # the documentation leaves it open
        ("FILL(never, 0) + 2 * FILL(a, 3)", "2 2 6 6", "2 2 6 6"),  # missing counts as 0 where the other one is there
    ],
)
def test_metric_math(expression: str, expected: str, where_empty_stays_empty: str) -> None:
    metrics = {"a": series("1 1 - -"), "b": series("2 - 2 -"), "never": series("- - - -")}
    assert evaluator.summed(expression, metrics) == series(expected)
    assert evaluator.summed(expression, metrics, fills_empty=False) == series(where_empty_stays_empty)


# ---- alarms on a clock -----------------------------------------------------------------------------------------------

METRIC = {"Namespace": "Tests", "MetricName": "Errors", "Dimensions": [{"Name": "service", "Value": "s"}]}
ONE = {"AlarmName": "Stack heading", "EvaluationPeriods": 1, "Threshold": 1, "TreatMissingData": "notBreaching"}
OVER, UNDER = "GreaterThanOrEqualToThreshold", "LessThanThreshold"
NO_WAIT: dict[str, Any] = {}
WARM_UP: dict[str, Any] = {
    "WarmUpConfiguration": {"WarmUpPeriodDurationInMinutes": 10, "OnlyStartEvaluatingAfterWarmUpPeriodEnds": True}
}


def an_alarm(**more: Any) -> Alarm:
    return evaluator.read_alarm({**METRIC, **ONE, "Statistic": "Sum", "Period": 60, "ComparisonOperator": OVER, **more})


def filled(period: int = 60, operator: str = OVER, **more: Any) -> Alarm:
    """An alarm on the metric with zeros where it has no value."""
    queries = [
        {"Id": "result", "Expression": "FILL(m, 0)", "ReturnData": True},
        {"Id": "m", "MetricStat": {"Metric": METRIC, "Period": period, "Stat": "Sum"}, "ReturnData": False},
    ]
    return evaluator.read_alarm({**ONE, "Metrics": queries, "ComparisonOperator": operator, **more})


def at(minute: float, value: float = 1, **more: Any) -> Datapoint:
    point = Datapoint("Tests", "Errors", frozenset({("service", "s")}), round(minute * MINUTE_MS), value)
    return point._replace(**more)


BEATS = tuple(map(at, range(10)))
SILENT: dict[str, Any] = {"operator": UNDER, "TreatMissingData": "breaching"}


@pytest.mark.parametrize(
    ("alarm", "published", "reading", "expected"),
    [
        # A count within a sliding window rings wherever the window begins.
        (filled(300, Threshold=5), map(at, (4, 5, 6, 7, 8)), USUAL, [9]),
        (filled(300, Threshold=5), map(at, (4, 5, 6, 7, 9)), USUAL, []),
        # Without zeros old datapoints are evaluated again and ring again: AWS says so in a note.
        (an_alarm(Period=300, Threshold=5), map(at, (4, 5, 6, 7, 8)), Reading(extra=1), [9, 14]),
        # An alarm on the newest minute alone does not see what comes late; M out of N does.
        (an_alarm(), [at(10)], Reading(extra=1, delay=2), []),
        (an_alarm(EvaluationPeriods=5, DatapointsToAlarm=1), [at(10)], Reading(extra=1, delay=2), [13]),
        # A sum that is filled with zeros hides what comes late: AWS warns of it at FILL.
        (filled(), [at(10)], Reading(delay=1), []),
        (filled(EvaluationPeriods=3, DatapointsToAlarm=1), [at(10)], Reading(delay=1), [12]),
        # Missing data that breaches rings only when older data has left the range.
        (an_alarm(ComparisonOperator=UNDER, TreatMissingData="breaching"), BEATS, Reading(extra=4), [15]),
        (filled(**SILENT), BEATS, Reading(extra=4), [11]),
        # A metric that was never published breaches if missing data does.
        *((filled(**SILENT, **waits), [], Reading(fills_empty=fills), [minute])
          for fills in (True, False) for waits, minute in ((NO_WAIT, 1), (WARM_UP, 10))),
        # Only the same metric counts, with its dimensions and its unit.
        (an_alarm(), [at(10, name="Other")], USUAL, []),
        (an_alarm(), [at(10, dimensions=frozenset())], USUAL, []),
        (an_alarm(Unit="Count"), [at(10, unit="Seconds")], USUAL, []),
        (an_alarm(Unit="Count"), [at(10, unit="Count")], USUAL, [11]),
    ],
)  # fmt: skip
def test_when_an_alarm_rings(alarm: Alarm, published: Any, reading: Reading, expected: list[int]) -> None:
    found = evaluator.changes(alarm, Metrics(published), 0, 60 * MINUTE_MS, reading)
    assert [moment // MINUTE_MS for moment in evaluator.ringing(found)] == expected


@pytest.mark.parametrize(("ignores", "last"), [(True, ALARM), (False, OK)])
def test_an_alarm_on_dynamodb_may_stay_when_its_metric_stops(ignores: bool, last: State) -> None:
    alarm, published = an_alarm(Namespace="AWS/DynamoDB"), Metrics([at(10, namespace="AWS/DynamoDB")])
    reading = Reading(dynamodb_ignores_missing=ignores)
    assert evaluator.changes(alarm, published, 0, 60 * MINUTE_MS, reading)[-1][1] is last


def test_statistics() -> None:
    expected = {"Sum": 10, "Minimum": 1, "Maximum": 4, "p50": 2, "p90": 4, "p0": 1}
    assert {name: evaluator.statistic(name, [4, 1, 3, 2]) for name in expected} == expected


LINE = '{"eventType": "UpdateTrail", "sourceIPAddress": "111.111.111.111", "status": "403", "refused_as": "-"}'


@pytest.mark.parametrize(
    ("pattern", "matches"),
    [
        ('{ $.eventType = "UpdateTrail" }', True), ('{ $.eventType = "Update*" }', True), ('{ $.eventType = "*Trail" }', True),
        ('{ $.eventType = "*" }', True), ('{ $.eventType = "Trail" }', False), ('{ $.sourceIPAddress != "123.123.*" }', True),
        ('{ $.refused_as != "-" }', False), ('{ $.unknown != "-" }', False),
        ('{ ($.status = "403") && ($.refused_as = "-") }', True),
        ('{ $.status = "500" || $.status = "403" && $.refused_as = "x" }', False),
        ('{ ($.status = "500" || $.status = "403") && $.refused_as = "-" }', True),
    ],
)  # fmt: skip
def test_patterns_of_metric_filters(pattern: str, matches: bool) -> None:
    assert account.matches(pattern, LINE) is matches


@pytest.mark.parametrize(
    ("why", "ask"),
    [
        ("statistic", partial(evaluator.statistic, "tm99", [1])),
        ("expression", partial(evaluator.summed, "SUM(a)", {"a": [1]})),
        ("expression", partial(evaluator.summed, "FILL(a, 0) - FILL(a, 0)", {"a": [1]})),
        ("period", partial(an_alarm, Period=90)),
        ("a day at most", partial(an_alarm, Period=300, EvaluationPeriods=300)),
        ("warm-up", partial(an_alarm, WarmUpConfiguration={"WarmUpPeriodDurationInMinutes": 5})),
        ("missing data", partial(evaluator.judge, (None,), 1, 1, "perhaps", OK)),
        *(("pattern", partial(account.matches, pattern, LINE))
          for pattern in ("ERROR", "{ $.a > 400 }", '{ $.a = "4*3" }', '{ $.a = "4" } x', "{ $.a IS NULL }")),
    ],
)  # fmt: skip
def test_what_is_not_known_here_is_refused(why: str, ask: partial[object]) -> None:
    with pytest.raises(ValueError, match=why):
        ask()
