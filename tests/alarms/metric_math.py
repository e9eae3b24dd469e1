"""CloudWatch's metric math, as far as an alarm of ours may use it, after "Using math expressions with CloudWatch metrics".

The expressions are Python's but for a few signs, so Python reads them. A time series is a list, oldest first, with None
where no datapoint is; an array is a tuple of series. Refuses what AWS advises against in alarms.
"""

import ast
import functools
import operator
import re
from collections.abc import Callable, Mapping
from statistics import fmean
from typing import Any

Series = list[float | None]
COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "==": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip
ACTS: dict[type[ast.AST], Callable[..., Any]] = {
    ast.Eq: operator.eq, ast.NotEq: operator.ne, ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt,
    ast.GtE: operator.ge, ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Pow: operator.pow,
    ast.Div: operator.truediv, ast.And: lambda a, b: bool(a) and bool(b), ast.Or: lambda a, b: bool(a) or bool(b),
}  # fmt: skip
ACROSS: dict[str, Callable[[list[float]], float]] = {"SUM": sum, "MIN": min, "MAX": max, "AVG": fmean}
SPELLED = {"AND": " and ", "&&": " and ", "OR": " or ", "||": " or ", "^": "**"}


class Unsupported(Exception):
    """An expression that this does not know, or that AWS advises against in an alarm."""


def evaluate(expression: str, series: Mapping[str, Series], fills_empty: bool = True) -> Series:
    """The time series of an expression; `series` are the metrics by their ids, all over the same range.

    `fills_empty`: FILL gives values also where a metric has no datapoint in the range, which the documentation leaves open.
    """
    try:
        value = _value(_parsed(expression), series, fills_empty)
    except (SyntaxError, KeyError, ValueError) as error:
        raise Unsupported(expression) from error
    if not isinstance(value, list):
        raise Unsupported(f"the result of an alarm is one time series: {expression}")
    return value


@functools.cache
def _parsed(expression: str) -> ast.expr:
    python = re.sub(r"\bAND\b|\bOR\b|&&|\|\||\^", lambda sign: SPELLED[sign[0]], expression)
    return ast.parse(python.strip(), mode="eval").body


def _value(node: ast.expr, series: Mapping[str, Series], fills_empty: bool) -> Any:
    match node:
        case ast.Constant(int() | float() as number):
            return float(number)
        case ast.Name(name):
            return list(series[name])
        case ast.List(each):
            return tuple(_value(one, series, fills_empty) for one in each)
        case ast.UnaryOp(ast.USub(), one):
            return _pairwise(operator.sub, 0.0, _value(one, series, fills_empty))
        case ast.BinOp(left, act, right) | ast.Compare(left, [act], [right]) | ast.BoolOp(act, [left, right]):
            return _pairwise(ACTS[type(act)], _value(left, series, fills_empty), _value(right, series, fills_empty))
        case ast.Call(ast.Name("METRICS"), []):
            return tuple(map(list, series.values()))
        case ast.Call(ast.Name(function), arguments):
            return _call(function, fills_empty, *(_value(one, series, fills_empty) for one in arguments))
    raise Unsupported(ast.unparse(node))


def _call(function: str, fills_empty: bool, value: Any, *more: Any) -> Any:
    match function, value, more:
        case "FILL", tuple(), [filler]:
            return tuple(_call("FILL", fills_empty, one, filler) for one in value)
        case "FILL", list(), [filler]:
            empty = not fills_empty and not any(point is not None for point in value)
            return [_at(filler, at) if point is None and not empty else point for at, point in enumerate(value)]
        case "IF", list(), [yes, *no]:  # 0 where the first has no datapoint, nothing where the other has none
            chosen = [
                (_at(yes, at) or 0.0) if holds else _at(no[0], at) if no else None for at, holds in enumerate(value)
            ]
            return [None if holds is None else one for holds, one in zip(value, chosen, strict=True)]
        case (("SUM" | "MIN" | "MAX" | "AVG"), tuple(), []):
            columns = zip(*value, strict=True)
            return [
                ACROSS[function]([one or 0.0 for one in column]) if any(one is not None for one in column) else None
                for column in columns
            ]
    raise Unsupported(f"{function} of this depends on how many datapoints CloudWatch retrieves, or is not known")


def _pairwise(act: Callable[[float, float], float], left: Any, right: Any) -> Any:
    """Point by point; where only one of two series has a datapoint, the other one counts as 0."""
    for side, others in ((left, right), (right, left)):
        if isinstance(side, tuple):
            return tuple(_pairwise(act, one, others) if side is left else _pairwise(act, others, one) for one in side)
    if isinstance(left, float) and isinstance(right, float):
        return float(act(left, right))
    return [
        _point(act, _at(left, at), _at(right, at), left, right)
        for at in range(len(left if isinstance(left, list) else right))
    ]


def _point(
    act: Callable[[float, float], float], a: float | None, b: float | None, left: Any, right: Any
) -> float | None:
    measured = (isinstance(left, list) and a is not None) or (isinstance(right, list) and b is not None)
    try:
        return float(act(a or 0.0, b or 0.0)) if measured else None
    except ZeroDivisionError:
        return None  # dropped


def _at(value: Any, at: int) -> float | None:
    return value[at] if isinstance(value, list) else value  # type: ignore[no-any-return]
