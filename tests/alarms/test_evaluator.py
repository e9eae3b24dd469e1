"""The evaluator against the examples of AWS's own pages: missing data, M out of N, metric math."""

from typing import Any

import pytest

from tests.alarms import metric_math
from tests.alarms.evaluator import (
    MINUTE_MS,
    USUAL,
    Alarm,
    Change,
    Datapoint,
    Metrics,
    Reading,
    State,
    changes,
    judge,
    read_alarm,
    statistic,
)
from tests.alarms.metric_math import Options, Series, Unsupported

OK, ALARM, INSUFFICIENT = State.OK, State.ALARM, State.INSUFFICIENT_DATA
TREATMENTS = ("missing", "ignore", "breaching", "notBreaching")


def points(text: str) -> tuple[bool | None, ...]:
    """`0 - X` as AWS writes it: within the threshold, missing, breaching; the newest last."""
    return tuple({"0": False, "-": None, "X": True}[each] for each in text.split())


# "Configuring how CloudWatch alarms treat missing data": five datapoints are retrieved, three are evaluated.
# `None` is "retain the current state".


@pytest.mark.parametrize(
    ("retrieved", "expected"),
    [
        ("0 - X - X", (OK, OK, OK, OK)),
        ("0 - - - -", (OK, OK, OK, OK)),
        ("- - - - -", (INSUFFICIENT, None, ALARM, OK)),
        ("0 X X - X", (ALARM, ALARM, ALARM, ALARM)),
        ("- - X - -", (ALARM, None, ALARM, OK)),
    ],
)
def test_three_out_of_three_as_in_the_first_table(retrieved: str, expected: tuple[State | None, ...]) -> None:
    for treatment, state in zip(TREATMENTS, expected, strict=True):
        for before in State:
            assert judge(points(retrieved), 3, 3, treatment, before) is (state or before), (treatment, before)


@pytest.mark.parametrize(
    ("retrieved", "expected"),
    [
        ("0 - X - X", (ALARM, ALARM, ALARM, ALARM)),
        ("0 0 X 0 X", (ALARM, ALARM, ALARM, ALARM)),
        ("0 - X - -", (OK, OK, ALARM, OK)),
        ("- - - - 0", (OK, OK, ALARM, OK)),
        ("- - - X -", (ALARM, None, ALARM, OK)),
    ],
)
def test_two_out_of_three_as_in_the_second_table(retrieved: str, expected: tuple[State | None, ...]) -> None:
    for treatment, state in zip(TREATMENTS, expected, strict=True):
        for before in State:
            assert judge(points(retrieved), 3, 2, treatment, before) is (state or before), (treatment, before)


@pytest.mark.parametrize("retrieved", ["- - - - X", "- - - X -"])
def test_a_lone_breaching_datapoint_does_not_ring_before_it_is_as_old_as_three(retrieved: str) -> None:
    assert judge(points(retrieved), 3, 3, "missing", OK) is not ALARM
    assert judge(points("- - X - -"), 3, 3, "missing", OK) is ALARM


def test_the_figure_of_three_periods_over_a_threshold_of_three() -> None:
    # Three datapoints over the threshold ring; one below ends it; a single one over it does nothing.
    values = [1, 2, 4, 5, 4, 2, 1, 1, 5, 2]
    alarm = an_alarm(EvaluationPeriods=3, Threshold=3, ComparisonOperator="GreaterThanThreshold")
    published = Metrics(at_minute(minute, value) for minute, value in enumerate(values))
    assert changes(alarm, published, 0, 10 * MINUTE_MS) == [
        Change(MINUTE_MS, OK),
        Change(5 * MINUTE_MS, ALARM),
        Change(6 * MINUTE_MS, OK),
    ]


# ---- metric math -----------------------------------------------------------------------------------------------------


def series(text: str) -> Series:
    return [None if each == "-" else float(each) for each in text.split()]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("(metric1 < metric2)", "0 0 1 0"),
        ("(metric1 >= 30)", "1 0 0 0"),
        ("(metric1 > 15 AND metric2 > 15)", "1 0 0 0"),
    ],
)
def test_comparisons_as_documented(expression: str, expected: str) -> None:
    metrics = {"metric1": series("30 20 0 0"), "metric2": series("20 - 20 -")}
    assert metric_math.evaluate(expression, metrics) == series(expected)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("IF(metric1, metric2, metric3)", "30 0 20 - -"),
        ("IF(metric1, 5, metric3)", "5 5 20 - -"),
        ("IF(metric1, metric2, 5)", "30 0 5 5 -"),
        ("IF(metric1, metric2)", "30 0 - - -"),
    ],
)
def test_if_as_documented(expression: str, expected: str) -> None:
    metrics = {"metric1": series("1 1 0 0 -"), "metric2": series("30 - 0 0 30"), "metric3": series("0 0 20 - 20")}
    assert metric_math.evaluate(expression, metrics) == series(expected)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("a + b", "3 1 2 -"),  # a missing value counts as 0 where the other series has one
        ("a - 1", "0 0 - -"),
        ("-a", "-1 -1 - -"),
        ("2 * a + 3", "5 5 - -"),
        ("b / (a - 1)", "- - - -"),  # divided by zero: dropped
        ("2 ^ 3 * a", "8 8 - -"),
        ("FILL(a, 0)", "1 1 0 0"),
        ("FILL(a, 0) + FILL(b, 0)", "3 1 2 0"),
        ("FILL(a, b)", "1 1 2 -"),
        ("SUM([a, b])", "3 1 2 -"),
        ("SUM(FILL([a, b], 5))", "3 6 7 10"),
        ("MAX([a, b])", "2 1 2 -"),
        ("AVG(METRICS())", "1.5 0.5 1 -"),
        ("SUM(100 / [a, b])", "150 100 50 -"),
        ("a > 0 OR b > 1", "1 1 1 -"),
    ],
)
def test_arithmetic_and_functions(expression: str, expected: str) -> None:
    metrics = {"a": series("1 1 - -"), "b": series("2 - 2 -")}
    assert metric_math.evaluate(expression, metrics) == series(expected)


def test_whether_fill_fills_a_metric_that_has_no_datapoint_is_a_reading() -> None:
    metrics = {"a": series("1 -"), "never": series("- -")}
    for fills_empty, expected in ((True, "0 0"), (False, "- -")):
        assert metric_math.evaluate("FILL(never, 0)", metrics, Options(fills_empty)) == series(expected)
    assert metric_math.evaluate("FILL(a, 0) + FILL(never, 0)", metrics, Options(fills_empty=False)) == series("1 0")


@pytest.mark.parametrize(
    "expression",
    ["SUM(a)", "IF(1, a, 0)", "RATE(a)", "a +", "a b", "other + 1", "[a, a]", "3", "IF(a)", "a & a", "FILL(a, 0"],
)
def test_what_is_not_known_or_not_advised_is_refused(expression: str) -> None:
    with pytest.raises(Unsupported):
        metric_math.evaluate(expression, {"a": series("1 2")})


# ---- alarms on a clock -----------------------------------------------------------------------------------------------

AT_LEAST = "GreaterThanOrEqualToThreshold"
NAMESPACE, NAME, DIMENSIONS = "Tests", "Errors", frozenset({("service", "s")})


def an_alarm(**more: Any) -> Alarm:
    return read_alarm(
        {
            "AlarmName": "Stack heading", "Namespace": NAMESPACE, "MetricName": NAME, "Statistic": "Sum", "Period": 60,
            "Dimensions": [{"Name": "service", "Value": "s"}], "EvaluationPeriods": 1, "Threshold": 1,
            "ComparisonOperator": AT_LEAST, "TreatMissingData": "notBreaching", **more,
        }
    )  # fmt: skip


def an_expression(expression: str, period: int = 60, **more: Any) -> Alarm:
    metric = {"Namespace": NAMESPACE, "MetricName": NAME, "Dimensions": [{"Name": "service", "Value": "s"}]}
    queries = [
        {"Id": "result", "Expression": expression, "ReturnData": True},
        {"Id": "m", "MetricStat": {"Metric": metric, "Period": period, "Stat": "Sum"}, "ReturnData": False},
    ]
    return read_alarm(
        {
            "AlarmName": "Stack heading", "Metrics": queries, "EvaluationPeriods": 1, "Threshold": 1,
            "ComparisonOperator": "LessThanThreshold", **more,
        }
    )  # fmt: skip


def at_minute(minute: float, value: float = 1, **more: Any) -> Datapoint:
    return Datapoint(NAMESPACE, NAME, DIMENSIONS, round(minute * MINUTE_MS), value)._replace(**more)


def rings(alarm: Alarm, published: list[Datapoint], minutes: int = 60, reading: Reading = USUAL) -> list[int]:
    found = changes(alarm, Metrics(published), 0, minutes * MINUTE_MS, reading)
    return [change.at // MINUTE_MS for change in found if change.state is ALARM]


def test_a_count_within_a_sliding_window_rings_wherever_the_window_begins() -> None:
    five = an_expression("FILL(m, 0)", period=300, Threshold=5, ComparisonOperator=AT_LEAST)
    assert rings(five, [at_minute(m) for m in (4, 5, 6, 7, 8)]) == [9]
    assert rings(five, [at_minute(m) for m in (4, 5, 6, 7, 9)]) == []


def test_without_zeros_old_datapoints_are_evaluated_again_and_ring_again() -> None:
    # AWS says so in a note: after the metric has stopped, the last datapoints may change the state once more.
    five = an_alarm(Period=300, Threshold=5)
    assert rings(five, [at_minute(m) for m in (4, 5, 6, 7, 8)], reading=Reading(extra=1)) == [9, 14]


def test_an_alarm_on_the_newest_minute_alone_does_not_see_what_comes_late() -> None:
    late = Reading(extra=1, delay=2)
    assert rings(an_alarm(), [at_minute(10)], reading=late) == []
    assert rings(an_alarm(EvaluationPeriods=5, DatapointsToAlarm=1), [at_minute(10)], reading=late) == [13]


def test_a_sum_that_is_filled_with_zeros_hides_what_comes_late() -> None:
    # AWS warns of it at FILL: the newest datapoint is then always the filler. M out of N sees it.
    alarm = an_expression("FILL(m, 0)", ComparisonOperator=AT_LEAST)
    assert rings(alarm, [at_minute(10)], reading=Reading(delay=1)) == []
    wider = an_expression("FILL(m, 0)", ComparisonOperator=AT_LEAST, EvaluationPeriods=3, DatapointsToAlarm=1)
    assert rings(wider, [at_minute(10)], reading=Reading(delay=1)) == [12]


def test_missing_data_that_breaches_rings_only_when_older_data_has_left_the_range() -> None:
    beats = [at_minute(m) for m in range(10)]
    plain = an_alarm(ComparisonOperator="LessThanThreshold", TreatMissingData="breaching")
    assert rings(plain, beats, reading=Reading(extra=4)) == [15]
    filled = an_expression("FILL(m, 0)", TreatMissingData="breaching")
    assert rings(filled, beats, reading=Reading(extra=4)) == [11]


@pytest.mark.parametrize("fills_empty", [True, False])
def test_a_metric_that_was_never_published_breaches_if_missing_data_does(fills_empty: bool) -> None:
    alarm = an_expression("FILL(m, 0)", TreatMissingData="breaching")
    assert rings(alarm, [], reading=Reading(fills_empty=fills_empty)) == [1]
    waits = an_expression(
        "FILL(m, 0)",
        TreatMissingData="breaching",
        WarmUpConfiguration={
            "WarmUpPeriodDurationInMinutes": 10,
            "OnlyStartEvaluatingAfterWarmUpPeriodEnds": True,
        },
    )
    assert rings(waits, [], reading=Reading(fills_empty=fills_empty)) == [10]


def test_an_alarm_on_dynamodb_may_stay_when_its_metric_stops() -> None:
    throttled = at_minute(10, namespace="AWS/DynamoDB")
    alarm = an_alarm(Namespace="AWS/DynamoDB")
    published = Metrics([throttled])
    for ignores, last in ((True, ALARM), (False, OK)):
        found = changes(alarm, published, 0, 60 * MINUTE_MS, Reading(dynamodb_ignores_missing=ignores))
        assert found[-1].state is last


def test_only_the_same_metric_counts_with_its_dimensions_and_its_unit() -> None:
    assert rings(an_alarm(), [at_minute(10, name="Other")]) == []
    assert rings(an_alarm(), [at_minute(10, dimensions=frozenset())]) == []
    assert rings(an_alarm(Unit="Count"), [at_minute(10, unit="Seconds")]) == []
    assert rings(an_alarm(Unit="Count"), [at_minute(10, unit="Count")]) == [11]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Sum", 10),
        ("Average", 2.5),
        ("Minimum", 1),
        ("Maximum", 4),
        ("SampleCount", 4),
        ("p50", 2),
        ("p90", 4),
        ("p0", 1),
    ],
)
def test_statistics(name: str, expected: float) -> None:
    assert statistic(name, [4, 1, 3, 2]) == expected


def test_what_an_alarm_may_not_be_is_refused() -> None:
    with pytest.raises(ValueError, match="statistic"):
        statistic("tm99", [1])
    with pytest.raises(ValueError, match="period"):
        an_alarm(Period=90)
    with pytest.raises(ValueError, match="a day at most"):
        an_alarm(Period=300, EvaluationPeriods=300)
    with pytest.raises(ValueError, match="warm-up"):
        an_alarm(WarmUpConfiguration={"WarmUpPeriodDurationInMinutes": 5})
    with pytest.raises(ValueError, match="missing data"):
        judge((None,), 1, 1, "perhaps", OK)
