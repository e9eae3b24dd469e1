"""The size of this project, by bars that only go down: tests/bars.toml. And which part may know which.

A line of code is one that holds a token. A count below its bar lowers it: what was won is not spent unseen.
"""

import ast
import functools
import io
import re
import tokenize
import tomllib
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.unit.test_project import FUNCTIONS, ROOT, files, imports

BARS = tomllib.loads((ROOT / "tests" / "bars.toml").read_text("utf-8"))
NO_CODE = {
    tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENCODING, tokenize.ENDMARKER,
}  # fmt: skip
LONGEST_FUNCTION, LONGEST_FILE = 35, 300
SLACK = 0.01


@functools.cache
def sources() -> dict[str, str]:
    """Every Python file and its text."""
    return {name: (ROOT / name).read_text("utf-8") for name in files() if name.endswith(".py")}


def code_lines(text: str) -> int:
    """Lines that hold a token, those of a text over several lines included."""
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    return len({line for each in tokens if each.type not in NO_CODE for line in range(each.start[0], each.end[0] + 1)})


def part(name: str) -> str:
    """A file's part by its path; what of the tests is a tool of others is a part of its own."""
    top, _, rest = name.partition("/")
    if top == "tests" and not name.rpartition("/")[2].startswith(("test_", "conftest")):
        return f"tests/{rest.partition('/')[0]}"
    return {"docs": "clients"}.get(top, top) if rest else "root"


def compared(what: str, counted: dict[str, int], bars: dict[str, int]) -> None:
    """No count is above its bar, and none far below it."""
    above = {name: count for name, count in counted.items() if count > bars.get(name, 0)}
    assert not above, f"{what} above the bar: make something smaller"
    below = {name: counted.get(name, 0) for name, bar in bars.items() if counted.get(name, 0) < bar * (1 - SLACK) - 5}
    assert not below, f"{what} below the bar: write the lower number into tests/bars.toml"


def test_the_code_lines_of_each_part_only_go_down() -> None:
    counted: Counter[str] = Counter()
    for name, text in sources().items():
        folder = f"{name.rpartition('/')[0]}/"
        counted[next((each for each in BARS["lines"] if folder.startswith(f"{each}/")), "rest")] += code_lines(text)
    compared("code lines", dict(counted), BARS["lines"])
    assert sum(counted.values()) <= BARS["most"]


def test_the_documents_stay_short() -> None:
    """Without the tables that whole runs write into them."""
    texts = [(ROOT / name).read_text("utf-8") for name in files() if name.endswith(".md")]
    written = re.compile(r"<!-- (?:make|python)[^>]*from here -->.*?<!-- [^>]*to here -->", re.DOTALL)
    assert sum(len(written.sub("", text).split()) for text in texts) <= BARS["words"]


def functions() -> Iterator[tuple[str, int]]:
    for name, text in sources().items():
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield f"{name}:{node.name}", (node.end_lineno or 0) - node.lineno + 1


def test_functions_and_files_stay_short() -> None:
    compared("lines of a function", {name: n for name, n in functions() if n > LONGEST_FUNCTION}, BARS["functions"])
    lengths = {name: len(text.splitlines()) for name, text in sources().items()}
    compared("lines of a file", {name: n for name, n in lengths.items() if n > LONGEST_FILE}, BARS["files"])


def test_where_there_is_a_void_it_is_not_asked_whether_there_is_one() -> None:
    asked = [
        node
        for path in FUNCTIONS.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Compare) and isinstance(node.comparators[0], ast.Constant)
        if node.comparators[0].value is None and ast.unparse(node.left).rpartition(".")[2] in ("void", "attempt")
    ]
    compared("comparisons of a void or an attempt with None", {"none": len(asked)}, {"none": BARS["none"]})


# ---- which part may know which ---------------------------------------------------------------------------------------

OURS = {path.stem for path in FUNCTIONS.glob("*.py")} | {"payments"}
MAY_KNOW = {
    "functions": set[str](),
    "play": {"functions"},
    "infra": set[str](),
    "root": {"infra"},
    "local": {"functions", "play"},
    "ops": {"functions", "infra", "local"},
    "acceptance": {"functions", "infra", "ops"},
    "tests/fakes": {"functions", "play", "infra", "local", "ops", "acceptance"},
    "tests/alarms": {"functions", "play", "infra", "tests/fakes"},
    "proof": {"functions", "play", "infra", "local", "tests/fakes", "tests/alarms"},
}
"""Everything else is a test, which may know all, and which nobody knows."""


def known_to(name: str) -> set[str]:
    found = set()
    for module in imports(ROOT / name):
        top, _, rest = module.partition(".")
        if top == "tests":
            found.add(f"tests/{rest.partition('.')[0]}")
        else:
            found.add("functions" if top in OURS else top)
    return found & ({*MAY_KNOW, "tests/unit", "tests/integration", "tests/infra"} - {part(name)})


@pytest.mark.parametrize("who", MAY_KNOW)
def test_a_part_knows_only_what_stands_before_it(who: str) -> None:
    before = list(MAY_KNOW)[: list(MAY_KNOW).index(who)]
    assert MAY_KNOW[who] <= set(before), "no circle: a part knows only parts above it in the table"
    known = {name: more for name in sources() if part(name) == who and (more := known_to(name) - MAY_KNOW[who])}
    assert known == {}


def test_play_knows_only_the_pure_files_of_functions() -> None:
    known = {each for name in sources() if part(name) == "play" for each in imports(ROOT / name)}
    pure = {"exact_json", "messages", "signatures"}
    assert {each for each in known if re.fullmatch(r"payments\.\w+", each)} <= {f"payments.{name}" for name in pure}
