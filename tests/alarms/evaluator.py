"""CloudWatch's metric alarms, evaluated minute by minute over datapoints, after AWS's own pages on alarm evaluation.

Takes the alarm as the template has it, with as much of metric math, statistics and comparisons as our alarms use, and
refuses all else. What the pages leave open is a `Reading`; an alarm must be right under each. Sources: "Alarm
evaluation", "Alarm evaluation window", "Alarm warm-up periods", "Configuring how CloudWatch alarms treat missing data",
"Using math expressions with CloudWatch metrics".
"""

import functools
import operator
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from itertools import product, starmap
from math import ceil
from typing import Any, NamedTuple

MINUTE_MS = 60_000
MOST_METRICS = 10
"""In the expression of one alarm."""
OPERATORS = {"GreaterThanOrEqualToThreshold": operator.ge, "LessThanThreshold": operator.lt}
STATISTICS: dict[str, Callable[[list[float]], float]] = {"Sum": sum, "Maximum": max, "Minimum": min}
TERM = re.compile(r"(?:(\d+) \* )?FILL\((\w+), (\d+)\)")
"""Of a sum: all metric math that our alarms need."""


class State(StrEnum):
    OK = "OK"
    ALARM = "ALARM"
    INSUFFICIENT_DATA = "INSUFFICIENT_DATA"


class Reading(NamedTuple):
    """What AWS does not say exactly."""

    extra: int = 2
    """How many datapoints more than `EvaluationPeriods` are retrieved. AWS's example has 5 for 3."""
    delay: int = 0
    """Minutes until a datapoint can be seen."""
    fills_empty: bool = True
    """FILL fills a metric without any datapoint in the range, too."""
    dynamodb_ignores_missing: bool = True
    """One page says that alarms on AWS/DynamoDB always ignore missing data, another that they do by default."""


USUAL = Reading()


class Datapoint(NamedTuple):
    """One value of one metric. `at` is in milliseconds since 1970."""

    namespace: str
    name: str
    dimensions: frozenset[tuple[str, str]]
    at: int
    value: float
    unit: str | None = None


Change = tuple[int, State]
"""The moment (ms) at which an alarm goes into a state."""


class MetricStat(NamedTuple):
    namespace: str
    name: str
    dimensions: frozenset[tuple[str, str]]
    statistic: str
    unit: str | None


class Alarm(NamedTuple):
    name: str
    metrics: Mapping[str, MetricStat]
    expression: str | None
    period: int
    """Minutes."""
    evaluation_periods: int
    datapoints: int
    over: Callable[[float, float], bool]
    threshold: float
    missing: str
    waits: int
    """Minutes after its creation in which it is not evaluated."""


def read_alarm(properties: Mapping[str, Any]) -> Alarm:
    """The properties of an AWS::CloudWatch::Alarm. Raises ValueError for what is not known here."""
    expression: str | None = None
    if "Metrics" in properties:
        metrics, periods, expression = _read_queries(properties["Metrics"])
    else:
        statistic = properties.get("Statistic") or properties["ExtendedStatistic"]
        metrics = {"metric": _read_metric(properties, statistic, properties.get("Unit"))}
        periods = {properties["Period"]}
    if len(periods) != 1 or min(periods) % 60:
        raise ValueError(f"one period in whole minutes for all metrics of an alarm, not {periods}")
    (period,) = periods
    n = properties["EvaluationPeriods"]
    if period * n > (86_400 if period < 3600 else 7 * 86_400):
        raise ValueError("an alarm looks back a day at most, a week with periods of an hour and more")
    warm_up = properties.get("WarmUpConfiguration", {})
    if warm_up and not warm_up.get("OnlyStartEvaluatingAfterWarmUpPeriodEnds"):
        raise ValueError("when such a warm-up ends early is not known for an expression with FILL")
    return Alarm(
        properties["AlarmName"], metrics, expression, period // 60, n, properties.get("DatapointsToAlarm", n),
        OPERATORS[properties["ComparisonOperator"]], properties["Threshold"],
        properties["TreatMissingData"], warm_up.get("WarmUpPeriodDurationInMinutes", 0),
    )  # fmt: skip


def _read_queries(queries: list[dict[str, Any]]) -> tuple[dict[str, MetricStat], set[int], str]:
    stats = {each["Id"]: each["MetricStat"] for each in queries if "MetricStat" in each}
    expressions = [each for each in queries if "Expression" in each]
    if len(stats) > MOST_METRICS or len(expressions) != 1 or not expressions[0].get("ReturnData", True):
        raise ValueError("one expression over at most ten metrics")
    metrics = {name: _read_metric(stat["Metric"], stat["Stat"], stat.get("Unit")) for name, stat in stats.items()}
    return metrics, {stat["Period"] for stat in stats.values()}, expressions[0]["Expression"]


def _read_metric(metric: Mapping[str, Any], statistic: str, unit: str | None) -> MetricStat:
    dimensions = frozenset((each["Name"], resolved(each["Value"])) for each in metric.get("Dimensions", []))
    return MetricStat(metric["Namespace"], metric["MetricName"], dimensions, statistic, unit)


def resolved(value: object) -> str:
    """A dimension's value; a resource of the template goes by its logical id."""
    match value:
        case str():
            return value
        case {"Ref": str(name)} | {"Fn::GetAtt": [str(name), _]}:
            return f"<{name}>"
        case {"Fn::Join": ["", [*parts]]}:
            return "".join(map(resolved, parts))
    raise ValueError(f"a value that is not known here: {value}")


_Key = tuple[str, str, frozenset[tuple[str, str]]]
_Retrieved = tuple[tuple[str, tuple[float | None, ...]], ...]


class Metrics:
    """All datapoints, in buckets of one minute."""

    def __init__(self, datapoints: Iterable[Datapoint] = ()) -> None:
        self.minutes: dict[_Key, dict[int, list[Datapoint]]] = {}
        self._windows: dict[tuple[MetricStat, int, int], dict[int, float]] = {}
        for datapoint in datapoints:
            self.add(datapoint)

    def add(self, datapoint: Datapoint) -> None:
        self.minutes.setdefault(datapoint[:3], defaultdict(list))[datapoint.at // MINUTE_MS].append(datapoint)
        self._windows.clear()

    def windows(self, stat: MetricStat, period: int, unseen: int) -> dict[int, float]:
        """The statistic of each window of `period` minutes by the minute at which it ends, where it has a value.

        Its newest `unseen` minutes do not count yet.
        """
        asked = stat, period, unseen
        if asked not in self._windows:
            minutes = self.minutes.get(stat[:3], {})
            values: dict[int, list[float]] = defaultdict(list)
            for minute, points in minutes.items():
                seen = [point.value for point in points if stat.unit in (None, point.unit)]
                for end in range(minute + 1 + unseen, minute + 1 + period) if seen else ():
                    values[end] += seen
            self._windows[asked] = {end: statistic(stat.statistic, found) for end, found in values.items()}
        return self._windows[asked]


def statistic(name: str, values: list[float]) -> float:
    """One statistic of the values in a period. Raises ValueError for one that is not known here."""
    if name in STATISTICS:
        return STATISTICS[name](values)
    percentile = re.fullmatch(r"p(\d{1,2})", name)
    if percentile is None:
        raise ValueError(f"a statistic that is not known here: {name}")
    # The smallest value that this share of the values does not exceed.
    return sorted(values)[max(ceil(float(percentile[1]) / 100 * len(values)) - 1, 0)]


def changes(alarm: Alarm, metrics: Metrics, begin: int, end: int, reading: Reading = USUAL) -> list[Change]:
    """Every change of state of an alarm that is created at `begin`, up to `end` (ms). It is evaluated each minute."""
    state, found = State.INSUFFICIENT_DATA, list[Change]()
    missing = alarm.missing
    if reading.dynamodb_ignores_missing and any(stat.namespace == "AWS/DynamoDB" for stat in alarm.metrics.values()):
        missing = "ignore"
    first = begin // MINUTE_MS + max(alarm.waits, 1)
    # Of what was never published, one evaluation says all.
    last = end // MINUTE_MS if any(stat[:3] in metrics.minutes for stat in alarm.metrics.values()) else first
    # How long ago each window of the evaluation range ends, the oldest first; the newest ends now, and of it as much is
    # unseen as comes late.
    ago = [place * alarm.period for place in reversed(range(alarm.evaluation_periods + reading.extra))]
    with_values, columns = set[int](), list[Iterable[tuple[float | None, ...]]]()
    for stat in alarm.metrics.values():
        each = [(place, metrics.windows(stat, alarm.period, max(reading.delay - place, 0))) for place in ago]
        with_values |= {end + place for place, windows in each for end in windows}
        lines = {id(windows): list(map(windows.get, range(first - ago[0], last + 1))) for _, windows in each}
        columns.append(zip(*(lines[id(windows)][ago[0] - place :] for place, windows in each), strict=False))
    asked = alarm.expression, alarm.over, alarm.threshold, reading.fills_empty
    rests = False  # without a value nothing changes any more
    for minute, retrieved in zip(range(first, last + 1), zip(*columns, strict=True), strict=False):
        if rests and minute not in with_values:
            continue
        breaching = _breaching(*asked, tuple(zip(alarm.metrics, retrieved, strict=True)))
        new = judge(breaching, alarm.evaluation_periods, alarm.datapoints, missing, state)
        rests = new is state and minute not in with_values
        if new is not state:
            found.append((minute * MINUTE_MS, new))
            state = new
    return found


@functools.lru_cache(maxsize=100_000)
def _breaching(
    expression: str | None,
    over: Callable[[float, float], bool],
    threshold: float,
    fills_empty: bool,
    series: _Retrieved,
) -> tuple[bool | None, ...]:
    points = series[0][1] if expression is None else summed(expression, dict(series), fills_empty)
    return tuple(None if point is None else over(point, threshold) for point in points)


def summed(
    expression: str, series: Mapping[str, Iterable[float | None]], fills_empty: bool = True
) -> list[float | None]:
    """The sum of filled metrics, point by point: one that has no datapoint counts as 0 where another one has.

    Raises ValueError for any other expression.
    """
    terms: list[list[float | None]] = []
    for text in expression.split(" + "):
        term = TERM.fullmatch(text)
        if term is None:
            raise ValueError(f"an expression that is not known here: {expression}")
        points, filler = list(series[term[2]]), float(term[3])
        if fills_empty or any(point is not None for point in points):
            points = [filler if point is None else point for point in points]
        terms.append([None if point is None else float(term[1] or 1) * point for point in points])
    return [sum(each or 0 for each in column) if {*column} != {None} else None for column in zip(*terms, strict=True)]


@functools.lru_cache(maxsize=100_000)
def judge(retrieved: tuple[bool | None, ...], n: int, m: int, missing: str, state: State) -> State:
    """The new state by the datapoints of the evaluation range, oldest first: breaching, not breaching, or missing."""
    real = [point for point in retrieved if point is not None]
    if missing not in ("breaching", "notBreaching", "ignore"):
        raise ValueError(f"a treatment of missing data that is not known here: {missing}")
    if len(real) >= n:
        # Enough datapoints exist, further back in the range if need be; how missing ones count does not matter.
        return State.ALARM if sum(real[-n:]) >= m else State.OK
    if sum(real) + (n - len(real) if missing == "breaching" else 0) >= m:
        return State.ALARM
    return state if missing == "ignore" and all(real) else State.OK


def ringing(found: list[Change]) -> list[int]:
    return [at for at, state in found if state is State.ALARM]


def alarms_of(template: Mapping[str, Any]) -> dict[str, Alarm]:
    """All metric alarms of a template by their names without the stack's."""
    resources = template["Resources"].values()
    alarms = (read_alarm(each["Properties"]) for each in resources if each["Type"] == "AWS::CloudWatch::Alarm")
    return {alarm.name.split(" ", 1)[1]: alarm for alarm in alarms}


def readings(alarm: Alarm) -> list[Reading]:
    """AWS's own example and every combination of what is kinder and harder, as far as it matters to this alarm."""
    fills = (True, False) if alarm.expression else (True,)
    ignores = (True, False) if any(stat.namespace == "AWS/DynamoDB" for stat in alarm.metrics.values()) else (True,)
    return [USUAL, *starmap(Reading, product((1, 5), (0, 2), fills, ignores))]
