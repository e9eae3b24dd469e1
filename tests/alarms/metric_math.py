"""CloudWatch's metric math, as far as an alarm of ours may use it, after "Using math expressions with CloudWatch metrics".

A time series is a list, oldest first, with None where no datapoint is. Refuses what AWS advises against in alarms.
"""

import operator
import re
from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeIs

Series = list[float | None]
Value = float | Series | list[Series]

_TOKEN = re.compile(
    r"\s*(?:(?P<number>\d+(?:\.\d+)?)|(?P<name>[A-Za-z][A-Za-z0-9_]*)|(?P<sign>==|!=|<=|>=|&&|\|\||[-+*/^<>(),\[\]]))"
)
COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "==": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip
ARITHMETIC: dict[str, Callable[[float, float], float]] = {
    "+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv, "^": operator.pow,
}  # fmt: skip
ACROSS: dict[str, Callable[[list[float]], float]] = {
    "SUM": sum, "MIN": min, "MAX": max, "AVG": lambda values: sum(values) / len(values),
}  # fmt: skip


class Unsupported(Exception):
    """An expression that this does not know, or that AWS advises against in an alarm."""


class Options(NamedTuple):
    """What the documentation leaves open."""

    fills_empty: bool = True
    """FILL gives values also where a metric has no datapoint at all in the range."""


USUAL = Options()


def evaluate(expression: str, series: Mapping[str, Series], options: Options = USUAL) -> Series:
    """The time series of an expression; `series` are the metrics by their ids, all over the same range."""
    parser = _Parser(expression, series, options)
    value = parser.whole()
    if not isinstance(value, list) or is_array(value):
        raise Unsupported(f"the result of an alarm is one time series: {expression}")
    return value


class _Parser:
    """A recursive descent that computes as it reads."""

    def __init__(self, text: str, series: Mapping[str, Series], options: Options) -> None:
        self.series, self.options = series, options
        self.tokens: list[str] = []
        at = 0
        while text[at:].strip():
            match = _TOKEN.match(text, at)
            if match is None:
                raise Unsupported(f"{text[at:]} in {text}")
            self.tokens.append(match.group().strip())
            at = match.end()

    def whole(self) -> Value:
        value = self.either()
        if self.tokens:
            raise Unsupported(f"left over: {self.tokens}")
        return value

    def next_is(self, *tokens: str) -> bool:
        return bool(self.tokens) and self.tokens[0] in tokens

    def take(self, expected: str | None = None) -> str:
        if not self.tokens or (expected is not None and self.tokens[0] != expected):
            raise Unsupported(f"{expected} expected before {self.tokens}")
        return self.tokens.pop(0)

    def either(self) -> Value:
        value = self.both()
        while self.next_is("OR", "||"):
            self.take()
            value = pairwise(value, self.both(), lambda a, b: float(bool(a) or bool(b)))
        return value

    def both(self) -> Value:
        value = self.comparison()
        while self.next_is("AND", "&&"):
            self.take()
            value = pairwise(value, self.comparison(), lambda a, b: float(bool(a) and bool(b)))
        return value

    def comparison(self) -> Value:
        value = self.sum()
        while self.next_is(*COMPARISONS):
            compare = _as_number(COMPARISONS[self.take()])
            value = pairwise(value, self.sum(), compare)
        return value

    def sum(self) -> Value:
        value = self.product()
        while self.next_is("+", "-"):
            act = ARITHMETIC[self.take()]
            value = pairwise(value, self.product(), act)
        return value

    def product(self) -> Value:
        value = self.power()
        while self.next_is("*", "/"):
            act = ARITHMETIC[self.take()]
            value = pairwise(value, self.power(), act)
        return value

    def power(self) -> Value:
        value = self.operand()
        if self.next_is("^"):
            self.take()
            return pairwise(value, self.power(), ARITHMETIC["^"])
        return value

    def operand(self) -> Value:
        token = self.take()
        if token == "-":
            return pairwise(0.0, self.operand(), ARITHMETIC["-"])
        if token == "(":
            value = self.either()
            self.take(")")
            return value
        if token == "[":
            return self.array()
        if token[0].isdigit():
            return float(token)
        if self.next_is("("):
            return self.call(token)
        if token not in self.series:
            raise Unsupported(f"no metric has the id {token}")
        return list(self.series[token])

    def array(self) -> list[Series]:
        found = [one_series(self.either())]
        while self.next_is(","):
            self.take()
            found.append(one_series(self.either()))
        self.take("]")
        return found

    def call(self, function: str) -> Value:
        self.take("(")
        if function == "METRICS":
            self.take(")")
            return [list(each) for each in self.series.values()]
        arguments = [self.either()]
        while self.next_is(","):
            self.take()
            arguments.append(self.either())
        self.take(")")
        match function, arguments:
            case "FILL", [value, filler]:
                return self.fill(value, filler)
            case "IF", [condition, yes]:
                return choose(condition, yes, None)
            case "IF", [condition, yes, no]:
                return choose(condition, yes, no)
            case _, [value] if function in ACROSS:
                return across(function, value)
        raise Unsupported(f"{function} with {len(arguments)} arguments")

    def fill(self, value: Value, filler: Value) -> Value:
        """The filler, one number or another series, where a series has no datapoint."""
        if is_array(value):
            return [one_series(self.fill(each, filler)) for each in value]
        series = one_series(value)
        if not self.options.fills_empty and all(point is None for point in series):
            return series
        return [point_of(filler, at) if point is None else point for at, point in enumerate(series)]


def _as_number(compare: Callable[[float, float], bool]) -> Callable[[float, float], float]:
    return lambda left, right: float(compare(left, right))


def pairwise(left: Value, right: Value, act: Callable[[float, float], float]) -> Value:
    """Point by point; where only one of two series has a datapoint, the other one counts as 0."""
    if is_array(left):
        return [one_series(pairwise(each, right, act)) for each in left]
    if is_array(right):
        return [one_series(pairwise(left, each, act)) for each in right]
    if isinstance(left, float) and isinstance(right, float):
        return act(left, right)
    length = len(left if isinstance(left, list) else one_series(right))
    result: Series = []
    for at in range(length):
        a, b = point_of(left, at), point_of(right, at)
        measured = [value for value, given in ((a, left), (b, right)) if isinstance(given, list) and value is not None]
        try:
            result.append(float(act(a or 0.0, b or 0.0)) if measured else None)
        except ZeroDivisionError:
            result.append(None)  # dropped
    return result


def choose(condition: Value, yes: Value, no: Value | None) -> Value:
    """IF: for each datapoint of the condition the one or the other; 0 where the first has none, nothing where the other."""
    if isinstance(condition, float):
        raise Unsupported("a condition that is the same at all times")
    chosen: Series = []
    for at, holds in enumerate(one_series(condition)):
        if holds is None:
            chosen.append(None)
        elif holds:
            chosen.append(point_of(yes, at) or 0.0)
        else:
            chosen.append(None if no is None else point_of(no, at))
    return chosen


def across(function: str, value: Value) -> Series:
    """SUM, MIN, MAX and AVG of an array: at each moment over all its series."""
    if not is_array(value):
        raise Unsupported(f"{function} of one series depends on how many datapoints CloudWatch retrieves")
    found: Series = []
    for column in zip(*value, strict=True):
        if all(point is None for point in column):
            found.append(None)
        else:
            found.append(ACROSS[function]([point or 0.0 for point in column]))
    return found


def is_array(value: Value) -> TypeIs[list[Series]]:
    return isinstance(value, list) and bool(value) and isinstance(value[0], list)


def one_series(value: Value) -> Series:
    if not isinstance(value, list) or is_array(value):
        raise Unsupported("a time series is expected here")
    return value


def point_of(value: Value, at: int) -> float | None:
    return value if isinstance(value, float) else one_series(value)[at]
