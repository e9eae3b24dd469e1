"""The evaluator against the examples of AWS's own pages: missing data, M out of N, metric math."""

from functools import partial
from typing import Any

import pytest

from tests.alarms import evaluator, metric_math
from tests.alarms.evaluator import MINUTE_MS, USUAL, Alarm, Change, Datapoint, Metrics, Reading, State
from tests.alarms.metric_math import Series, Unsupported

OK, ALARM, INSUFFICIENT = State.OK, State.ALARM, State.INSUFFICIENT_DATA
STATES = {"O": OK, "A": ALARM, "I": INSUFFICIENT}
TREATMENTS = ("missing", "ignore", "breaching", "notBreaching")


def points(text: str) -> tuple[bool | None, ...]:
    """`0 - X` as AWS writes it: within the threshold, missing, breaching; the newest last."""
    return tuple({"0": False, "-": None, "X": True}[each] for each in text.split())


@pytest.mark.parametrize(
    ("m", "retrieved", "expected"),
    [
        # "Configuring how CloudWatch alarms treat missing data": five datapoints are retrieved, three are evaluated.
        # A letter for each treatment; `=` is "retain the current state".
        (3, "0 - X - X", "OOOO"), (3, "0 - - - -", "OOOO"), (3, "- - - - -", "I=AO"), (3, "0 X X - X", "AAAA"),
        (3, "- - X - -", "A=AO"), (2, "0 - X - X", "AAAA"), (2, "0 0 X 0 X", "AAAA"), (2, "0 - X - -", "OOAO"),
        (2, "- - - - 0", "OOAO"), (2, "- - - X -", "A=AO"),
        # A lone breaching datapoint does not ring before it is as old as three.
        (3, "- - - - X", "I=AO"), (3, "- - - X -", "I=AO"),
    ],
)  # fmt: skip
def test_missing_data_as_in_the_tables(m: int, retrieved: str, expected: str) -> None:
    for treatment, letter in zip(TREATMENTS, expected, strict=True):
        for before in State:
            assert evaluator.judge(points(retrieved), 3, m, treatment, before) is STATES.get(letter, before), (
                treatment,
                before,
            )


def test_the_figure_of_three_periods_over_a_threshold_of_three() -> None:
    # Three datapoints over the threshold ring; one below ends it; a single one over it does nothing.
    alarm = an_alarm(EvaluationPeriods=3, Threshold=3, ComparisonOperator="GreaterThanThreshold")
    published = Metrics(at(minute, value) for minute, value in enumerate([1, 2, 4, 5, 4, 2, 1, 1, 5, 2]))
    found = evaluator.changes(alarm, published, 0, 10 * MINUTE_MS)
    assert found == [Change(MINUTE_MS, OK), Change(5 * MINUTE_MS, ALARM), Change(6 * MINUTE_MS, OK)]


# ---- metric math -----------------------------------------------------------------------------------------------------

COMPARED = {"a": "30 20 0 0", "b": "20 - 20 -"}
CHOSEN = {"a": "1 1 0 0 -", "b": "30 - 0 0 30", "c": "0 0 20 - 20"}
SOME = {"a": "1 1 - -", "b": "2 - 2 -"}


def series(text: str) -> Series:
    return [None if each == "-" else float(each) for each in text.split()]


@pytest.mark.parametrize(
    ("metrics", "expression", "expected"),
    [
        # As documented.
        (COMPARED, "(a < b)", "0 0 1 0"), (COMPARED, "(a >= 30)", "1 0 0 0"), (COMPARED, "(a > 15 AND b > 15)", "1 0 0 0"),
        (CHOSEN, "IF(a, b, c)", "30 0 20 - -"), (CHOSEN, "IF(a, 5, c)", "5 5 20 - -"), (CHOSEN, "IF(a, b, 5)", "30 0 5 5 -"),
        (CHOSEN, "IF(a, b)", "30 0 - - -"),
        (SOME, "a + b", "3 1 2 -"),  # a missing value counts as 0 where the other series has one
        (SOME, "b / (a - 1)", "- - - -"),  # divided by zero: dropped
        (SOME, "a - 1", "0 0 - -"), (SOME, "-a", "-1 -1 - -"), (SOME, "2 * a + 3", "5 5 - -"), (SOME, "2 ^ 3 * a", "8 8 - -"),
        (SOME, "FILL(a, 0)", "1 1 0 0"), (SOME, "FILL(a, 0) + FILL(b, 0)", "3 1 2 0"), (SOME, "FILL(a, b)", "1 1 2 -"),
        (SOME, "SUM([a, b])", "3 1 2 -"), (SOME, "SUM(FILL([a, b], 5))", "3 6 7 10"), (SOME, "MAX([a, b])", "2 1 2 -"),
        (SOME, "AVG(METRICS())", "1.5 0.5 1 -"), (SOME, "SUM(100 / [a, b])", "150 100 50 -"), (SOME, "a > 0 OR b > 1", "1 1 1 -"),
    ],
)  # fmt: skip
def test_metric_math(metrics: dict[str, str], expression: str, expected: str) -> None:
    named = {name: series(text) for name, text in metrics.items()}
    assert metric_math.evaluate(expression, named) == series(expected)


def test_whether_fill_fills_a_metric_that_has_no_datapoint_is_a_reading() -> None:
    metrics = {"a": series("1 -"), "never": series("- -")}
    for fills_empty, expected in ((True, "0 0"), (False, "- -")):
        assert metric_math.evaluate("FILL(never, 0)", metrics, fills_empty) == series(expected)
    assert metric_math.evaluate("FILL(a, 0) + FILL(never, 0)", metrics, fills_empty=False) == series("1 0")


@pytest.mark.parametrize(
    "expression",
    ["SUM(a)", "IF(1, a, 0)", "RATE(a)", "a +", "a b", "other + 1", "[a, a]", "3", "IF(a)", "a & a", "FILL(a, 0"],
)
def test_what_is_not_known_or_not_advised_is_refused(expression: str) -> None:
    with pytest.raises(Unsupported):
        metric_math.evaluate(expression, {"a": series("1 2")})


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
    assert [change.at // MINUTE_MS for change in found if change.state is ALARM] == expected


def test_an_alarm_on_dynamodb_may_stay_when_its_metric_stops() -> None:
    published = Metrics([at(10, namespace="AWS/DynamoDB")])
    for ignores, last in ((True, ALARM), (False, OK)):
        reading = Reading(dynamodb_ignores_missing=ignores)
        assert (
            evaluator.changes(an_alarm(Namespace="AWS/DynamoDB"), published, 0, 60 * MINUTE_MS, reading)[-1].state
            is last
        )


def test_statistics() -> None:
    expected = {"Sum": 10, "Average": 2.5, "Minimum": 1, "Maximum": 4, "SampleCount": 4, "p50": 2, "p90": 4, "p0": 1}
    assert {name: evaluator.statistic(name, [4, 1, 3, 2]) for name in expected} == expected


def test_what_an_alarm_may_not_be_is_refused() -> None:
    for why, ask in (
        ("statistic", partial(evaluator.statistic, "tm99", [1])),
        ("period", partial(an_alarm, Period=90)),
        ("a day at most", partial(an_alarm, Period=300, EvaluationPeriods=300)),
        ("warm-up", partial(an_alarm, WarmUpConfiguration={"WarmUpPeriodDurationInMinutes": 5})),
        ("missing data", partial(evaluator.judge, (None,), 1, 1, "perhaps", OK)),
    ):
        with pytest.raises(ValueError, match=why):
            ask()
