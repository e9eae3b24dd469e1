"""The small faults that are put into a file of functions/, one at a time. Deterministic: the same file, the same mutants.

Not changed: annotations, docstrings, `__slots__`, `__all__`, and the words of errors and of log lines, which only people read.
"""

import ast
import copy
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
FUNCTIONS = ROOT / "functions"
LONGEST_TEXT = 90
MODULE = "<module>"
NO_FAULT = (-1, -1)
"""The place of a mutant that is none: the tests must pass on it."""

BOUNDARY: dict[type[ast.cmpop], type[ast.cmpop]] = {ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt}
OPPOSITE: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.GtE, ast.LtE: ast.Gt, ast.Gt: ast.LtE, ast.GtE: ast.Lt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult, ast.Mod: ast.Mult,
    ast.BitOr: ast.BitAnd, ast.BitAnd: ast.BitOr, ast.Pow: ast.Mult,
}  # fmt: skip
OPERATORS_OF_ONE_SIDE = (ast.BitOr, ast.BitAnd)
NEEDED_CALLS = frozenset(
    {"isinstance", "len", "range", "enumerate", "zip", "super", "getattr", "type", "tuple", "list"}
)
"""Without these calls the code cannot run at all, so that the mutant would say nothing about the tests."""
WORDS_FOR_PEOPLE = frozenset({"debug", "info", "warning", "error", "exception"})


class Mutant(NamedTuple):
    """One fault. Its name is stable as long as the text around it is."""

    file: str
    function: str
    """`<module>` for what is evaluated when the file is imported: constants, default arguments, fields of classes."""
    what: str
    line: int
    place: tuple[int, int]
    """Which node of the tree, and which of the faults that can be made of it."""

    @property
    def name(self) -> str:
        return f"{self.file} {self.function}: {self.what}"


Fault = tuple[str, ast.AST | None]
"""What is said about it, and what stands in the node's place; None: nothing, or `pass`."""


def mutants_of(file: str) -> list[Mutant]:
    """All mutants of a file, in the order of its text."""
    tree = ast.parse((FUNCTIONS / file).read_text())
    seen: Counter[str] = Counter()
    found = []
    for number, (node, function) in enumerate(_places(tree)):
        for choice, (what, _) in enumerate(_faults(node)):
            key = f"{function}: {what}"
            seen[key] += 1
            again = f" ({seen[key]})" if seen[key] > 1 else ""
            found.append(Mutant(file, function, what + again, getattr(node, "lineno", 0), (number, choice)))
    return sorted(found, key=lambda mutant: (mutant.line, mutant.place))


def mutated(mutant: Mutant) -> ast.Module:
    """The tree of the file with this one fault."""
    tree = ast.parse((FUNCTIONS / mutant.file).read_text())
    if mutant.place == NO_FAULT:
        return tree
    number, choice = mutant.place
    node = next(node for at, (node, _) in enumerate(_places(tree)) if at == number)
    _, instead = list(_faults(node))[choice]
    _Exchange(node, instead).visit(tree)
    return ast.fix_missing_locations(tree)


def functions_of(body: Sequence[ast.stmt], *classes: str) -> Iterator[tuple[str, ast.FunctionDef]]:
    """The outermost functions and the methods, by the names that mutants have."""
    for node in body:
        if isinstance(node, ast.FunctionDef):
            yield ".".join((*classes, node.name)), node
        elif isinstance(node, ast.ClassDef):
            yield from functions_of(node.body, *classes, node.name)


class _Exchange(ast.NodeTransformer):
    def __init__(self, old: ast.AST, new: ast.AST | None) -> None:
        self.old, self.new = old, new

    def visit(self, node: ast.AST) -> ast.AST | None:
        if node is not self.old:
            return self.generic_visit(node)
        if self.new is None:
            return ast.copy_location(ast.Pass(), node) if isinstance(node, ast.stmt) else None
        return ast.copy_location(self.new, node)


def _places(tree: ast.Module) -> Iterator[tuple[ast.AST, str]]:
    """Every node that may be changed, with the outermost function that it belongs to."""
    yield from _walk(tree, MODULE, ())


def _walk(node: ast.AST, function: str, classes: tuple[str, ...]) -> Iterator[tuple[ast.AST, str]]:
    yield node, function
    for name, value in ast.iter_fields(node):
        # What is evaluated once, at the definition, belongs to the file and not to the function.
        inner, inner_classes = function, classes
        if isinstance(node, ast.FunctionDef) and name == "body" and function == MODULE:
            inner = ".".join((*classes, node.name))
        elif isinstance(node, ast.ClassDef) and name == "body":
            inner_classes = (*classes, node.name)
        if name in ("annotation", "returns", "decorator_list", "type_params", "bases"):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST) and not _is_for_people(child) and not _is_type(node, child):
                yield from _walk(child, inner, inner_classes)


def _is_for_people(node: ast.AST) -> bool:
    if isinstance(node, ast.Expr):
        if isinstance(node.value, ast.Constant):
            return True
        called = node.value.func if isinstance(node.value, ast.Call) else None
        return isinstance(called, ast.Attribute) and called.attr in WORDS_FOR_PEOPLE
    return isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) in ("__slots__", "__all__")


def _is_type(parent: ast.AST, node: ast.AST) -> bool:
    """`frozenset[str]` and the types of aliases."""
    if isinstance(parent, ast.Subscript) and node is parent.slice:
        return isinstance(parent.value, ast.Name) and parent.value.id in ("frozenset", "dict", "list", "set", "Literal")
    return False


def _faults(node: ast.AST) -> Iterator[Fault]:
    for make in (
        _comparisons, _conditions, _constants, _operators, _calls, _entries, _statements, _returns, _matches
    ):  # fmt: skip
        yield from make(node)


def _said(node: ast.AST) -> str:
    text = " ".join(ast.unparse(node).split())
    return text if len(text) <= LONGEST_TEXT else f"{text[: LONGEST_TEXT - 30]} … {text[-27:]}"


def _without(node: ast.AST, at: int, *fields: str) -> ast.AST:
    """The node without the element `at` of these lists."""
    changed = copy.deepcopy(node)
    for field in fields:
        getattr(changed, field).pop(at)
    return changed


def _with(node: ast.AST, field: str, value: ast.AST | None) -> ast.AST:
    changed = copy.deepcopy(node)
    setattr(changed, field, value)
    return changed


def _instead(node: ast.AST, new: ast.AST) -> Fault:
    return f"`{_said(node)}` becomes `{_said(new)}`", new


def _comparisons(node: ast.AST) -> Iterator[Fault]:
    if not isinstance(node, ast.Compare):
        return
    for at, operator in enumerate(node.ops):
        for table in (BOUNDARY, OPPOSITE):
            if type(operator) in table:
                ops: list[ast.cmpop] = [*node.ops[:at], table[type(operator)](), *node.ops[at + 1 :]]
                yield _instead(node, ast.Compare(node.left, ops, node.comparators))


def _conditions(node: ast.AST) -> Iterator[Fault]:
    if isinstance(node, ast.BoolOp):
        other = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        yield _instead(node, ast.BoolOp(other, node.values))
        for at, value in enumerate(node.values):
            rest = [*node.values[:at], *node.values[at + 1 :]]
            left = rest[0] if len(rest) == 1 else ast.BoolOp(node.op, rest)
            yield f"`{_said(value)}` left out of `{_said(node)}`", left
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield _instead(node, node.operand)
    if isinstance(node, ast.If | ast.While | ast.IfExp) and not isinstance(node.test, ast.Compare | ast.UnaryOp):
        opposite = ast.UnaryOp(ast.Not(), node.test)
        what = f"`if {_said(node.test)}` becomes `if {_said(opposite)}`"
        yield what, _with(node, "test", opposite)
    if isinstance(node, ast.comprehension):
        for at, test in enumerate(node.ifs):
            yield f"`if {_said(test)}` left out of a comprehension", _without(node, at, "ifs")


def _constants(node: ast.AST) -> Iterator[Fault]:
    if not isinstance(node, ast.Constant):
        return
    match node.value:
        case bool(value):
            yield _instead(node, ast.Constant(not value))
        case int(value):
            yield _instead(node, ast.Constant(value + 1))
        case float(value):
            yield _instead(node, ast.Constant(value + 1.0))
        case str(value):
            yield _instead(node, ast.Constant(f"{value}X"))
        case bytes(value):
            yield _instead(node, ast.Constant(value + b"X"))


def _operators(node: ast.AST) -> Iterator[Fault]:
    if not isinstance(node, ast.BinOp) or type(node.op) not in ARITHMETIC:
        return
    yield _instead(node, ast.BinOp(node.left, ARITHMETIC[type(node.op)](), node.right))
    if isinstance(node.op, OPERATORS_OF_ONE_SIDE):
        yield _instead(node, node.left)
        yield _instead(node, node.right)


def _calls(node: ast.AST) -> Iterator[Fault]:
    if not isinstance(node, ast.Call):
        return
    name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
    if node.args and name[:1].islower() | name.startswith("_") and name not in NEEDED_CALLS:
        first = node.args[0]
        if not isinstance(first, ast.Starred | ast.GeneratorExp | ast.Lambda | ast.Constant):
            yield _instead(node, first)
    for at, keyword in enumerate(node.keywords):
        if keyword.arg is not None:
            what = f"`{keyword.arg}={_said(keyword.value)}` left out of `{_said(node.func)}()`"
            yield what, _without(node, at, "keywords")


def _entries(node: ast.AST) -> Iterator[Fault]:
    if isinstance(node, ast.Dict):
        for at, (key, value) in enumerate(zip(node.keys, node.values, strict=True)):
            entry = f"{_said(key)}: {_said(value)}" if key is not None else f"**{_said(value)}"
            yield (
                f"`{entry}` left out of a dict",
                _without(node, at, "keys", "values"),
            )
    if isinstance(node, ast.Tuple | ast.Set | ast.List) and isinstance(getattr(node, "ctx", ast.Load()), ast.Load):
        for at, element in enumerate(node.elts):
            if len(node.elts) > 1:
                yield (
                    f"`{_said(element)}` left out of `{_said(node)}`",
                    _without(node, at, "elts"),
                )


def _statements(node: ast.AST) -> Iterator[Fault]:
    dropped = (
        (isinstance(node, ast.Expr) and isinstance(node.value, ast.Call))
        or isinstance(node, ast.Raise | ast.AugAssign | ast.Delete)
        or (isinstance(node, ast.Assign) and any(isinstance(to, ast.Attribute | ast.Subscript) for to in node.targets))
    )
    if dropped:
        yield f"`{_said(node)}` left out", None
    if isinstance(node, ast.Continue):
        yield "`continue` becomes `break`", ast.Break()
    if isinstance(node, ast.Break):
        yield "`break` becomes `continue`", ast.Continue()


def _returns(node: ast.AST) -> Iterator[Fault]:
    if isinstance(node, ast.Return) and node.value is not None and not _is_none(node.value):
        yield f"`{_said(node)}` becomes `return None`", ast.Return(ast.Constant(None))


def _is_none(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _matches(node: ast.AST) -> Iterator[Fault]:
    if isinstance(node, ast.MatchOr):
        for at, pattern in enumerate(node.patterns):
            rest = [*node.patterns[:at], *node.patterns[at + 1 :]]
            left = rest[0] if len(rest) == 1 else ast.MatchOr(rest)
            yield f"`{_said(pattern)}` left out of `case {_said(node)}`", left
    if isinstance(node, ast.match_case) and node.guard is not None:
        yield f"`if {_said(node.guard)}` left out of a `case`", _with(node, "guard", None)
