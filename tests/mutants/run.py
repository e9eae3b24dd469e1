"""Which small faults in functions/ would no test notice? Resumable: what is judged is kept in .cache/mutants.json.

A function's verdicts hold until the function changes, and those of what an import evaluates until the file does. A
survivor is judged again when a test has changed. Nothing is random.
"""

import argparse
import ast
import hashlib
import importlib
import json
import os
import sys
import tomllib
import warnings
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.mutants.judging import Judge, Verdict, is_at_import, run_forked, try_at_import, try_in_simulator
from tests.mutants.mutations import FUNCTIONS, MODULE, NO_FAULT, ROOT, Mutant, functions_of, mutants_of

RESULTS = ROOT / ".cache" / "mutants.json"
SURVIVORS = Path(__file__).with_name("survivors.toml")
TABLE = ROOT / "docs" / "mutants.md"
ENOUGH = 0.95
FILES = (
    "payments/claims.py", "payments/rules.py", "payments/schedule.py", "payments/record.py", "payments/items.py", "payments/voids.py",
    "payments/settling.py", "payments/webhooks.py", "payments/store.py", "payments/messages.py", "payments/secret.py",
    "payments/exact_json.py", "payments/provider.py", "payments/signatures.py", "payments/settings.py",
    "payments/outside.py", "submit_void.py", "read_voids.py", "receive_webhook.py", "settle_voids.py",
    "lambda_http.py", "representations.py", "telemetry.py", "clients.py", "storage.py", "systems.py",
)  # fmt: skip
"""What decides about money first. `cold_start.py` is left out, because it changes nothing but time."""
TESTS = (
    "tests/unit/payments", "tests/unit/test_submit_void.py", "tests/unit/test_read_voids.py",
    "tests/unit/test_receive_webhook.py", "tests/unit/test_settle_voids.py", "tests/unit/test_lambda_http.py",
    "tests/unit/test_representations.py", "tests/unit/test_telemetry.py", "tests/unit/test_storage.py",
    "tests/unit/test_secrecy.py", "tests/unit/test_snapshot.py",
)  # fmt: skip
TESTS_OF_SOCKETS = {
    "payments/provider.py": "tests/integration/test_provider.py",
    "clients.py": "tests/unit/test_clients.py",
}
"""Asked only about these files: each of these tests takes a second or so."""
OPTIONS = (
    "-qq", "--no-header", "--no-summary", "-s", "-p", "no:cacheprovider",
    # Whether a test fails is all that counts; what explains why, and hypothesis, would double the time of an import.
    "--assert=plain", "-p", "no:hypothesispytest",
)  # fmt: skip


class Known(NamedTuple):
    """A verdict as it is kept."""

    of_text: str
    of_tests: str
    killed_by: str | None


def main() -> int:
    """Judge what is not yet judged, print the summary; 1 if less than 95 % are killed or a survivor is not explained."""
    asked = _arguments()
    os.chdir(ROOT)
    sys.dont_write_bytecode, sys.pycache_prefix = False, str(RESULTS.parent / "pycache")
    files = [file for file in FILES if not asked.files or any(file.endswith(wanted) for wanted in asked.files)]
    results = Results(f"{asked.tests} {asked.seconds}")
    if not asked.summary:
        _judge(files, _files_of(asked.tests), results, asked.jobs, asked.seconds)
        if asked.simulator is not None:
            _ask_simulator(files, results, asked.simulator.split(), asked.jobs)
    reasons = read_reasons(SURVIVORS.read_text())
    if asked.write:
        TABLE.write_text(table(results, reasons))
    return _summary(files, results, reasons)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("files", nargs="*", help="such as rules.py; none: all")
    parser.add_argument("--jobs", type=int, default=2, help="processes at once")
    parser.add_argument("--seconds", type=float, default=3, help="processor time of other files' tests for one mutant")
    parser.add_argument(
        "--simulator", metavar="ARGUMENTS", help="show survivors to the fault simulator, run with these"
    )
    parser.add_argument("--tests", nargs="+", default=list(TESTS), help="which tests judge")
    parser.add_argument("--summary", action="store_true", help="only print what is known")
    parser.add_argument("--write", action="store_true", help="write docs/mutants.md")
    return parser.parse_args()


class Results:
    """What is known from this run and the ones before, written after each verdict."""

    def __init__(self, asked: str = "") -> None:
        self._known: dict[str, Known] = {}
        self.read()
        judges = [path for path in (ROOT / "tests").glob("**/*.py") if path.parent != Path(__file__).parent]
        self._tests = _hash(sorted(judges), asked)
        self._texts = {file: texts((FUNCTIONS / file).read_text()) for file in FILES}
        self._unsaved = 0

    def read(self) -> None:
        """What is in the file."""
        if RESULTS.exists():
            self._known = {name: Known(*values) for name, values in json.loads(RESULTS.read_text()).items()}

    def of(self, mutant: Mutant) -> Known | None:
        """The verdict, if it is about the text as it is now."""
        known = self._known.get(mutant.name)
        return known if known is not None and known.of_text == self._text_of(mutant) else None

    def _text_of(self, mutant: Mutant) -> str:
        of_file = self._texts[mutant.file]
        return of_file.get(mutant.function, of_file[MODULE])

    def is_open(self, mutant: Mutant) -> bool:
        """Not judged, or survived other tests than today's."""
        known = self.of(mutant)
        return known is None or (known.killed_by is None and known.of_tests != self._tests)

    def add(self, verdict: Verdict) -> None:
        """Keep a verdict."""
        mutant, killed_by = verdict
        self._known[mutant.name] = Known(self._text_of(mutant), self._tests, killed_by)
        self._unsaved += 1
        if self._unsaved >= 10:
            self.save()

    def save(self) -> None:
        """Write the file as a whole or not at all."""
        self._unsaved = 0
        RESULTS.parent.mkdir(exist_ok=True)
        partly = RESULTS.with_suffix(".partly")
        partly.write_text(json.dumps(self._known, indent=0))
        partly.replace(RESULTS)


def texts(source: str) -> dict[str, str]:
    """A hash of each function of a file, and one of the whole file."""
    functions = {name: ast.unparse(node) for name, node in functions_of(ast.parse(source).body)}
    return {
        name: hashlib.sha256(text.encode()).hexdigest()[:16] for name, text in {**functions, MODULE: source}.items()
    }


def _hash(paths: Iterable[Path], asked: str = "") -> str:
    content = hashlib.sha256(asked.encode())
    for path in paths:
        content.update(path.read_bytes())
    return content.hexdigest()[:16]


def _judge(files: Sequence[str], tests: Sequence[str], results: Results, jobs: int, seconds: float) -> None:
    """Functions first: there the tests are collected once for all files, each of which then takes minutes at most."""
    _preload()
    _in_functions([file for file in files if file not in TESTS_OF_SOCKETS], tests, results, jobs, seconds)
    for file, over_sockets in TESTS_OF_SOCKETS.items():
        if file in files:
            _in_functions([file], [over_sockets, *tests], results, jobs, seconds)
    for file in files:
        _at_import(file, [*tests, *filter(None, [TESTS_OF_SOCKETS.get(file)])], results, jobs)


def _open(files: Iterable[str], results: Results) -> list[Mutant]:
    """Those that nobody has judged first, for a survivor takes the longest."""
    found = [mutant for file in files for mutant in mutants_of(file) if results.is_open(mutant)]
    return sorted(found, key=lambda mutant: results.of(mutant) is not None)


def _in_functions(files: Sequence[str], tests: Sequence[str], results: Results, jobs: int, seconds: float) -> None:
    mutants = [mutant for mutant in _open(files, results) if not is_at_import(mutant)]
    if not mutants:
        return
    print(f"{len(mutants)} in functions of {', '.join(files)}", flush=True)
    # In a process of its own, so that the next session of pytest finds nothing imported.
    pid = os.fork()
    if pid == 0:
        os._exit(_judge_functions(mutants, tests, results, jobs, seconds))
    _, status = os.waitpid(pid, 0)
    if status:
        raise SystemExit("the tests could not be run")
    results.read()


def _at_import(file: str, tests: Sequence[str], results: Results, jobs: int) -> None:
    mutants = [mutant for mutant in _open([file], results) if is_at_import(mutant)]
    if not mutants:
        return
    print(f"{len(mutants)} at the import of {file}", flush=True)
    unharmed = mutants[0]._replace(place=NO_FAULT)
    run_forked([unharmed], lambda mutant: try_at_import(mutant, OPTIONS, tests), 1, _must_survive)
    run_forked(mutants, lambda mutant: try_at_import(mutant, OPTIONS, tests), jobs, results.add)
    results.save()


def _must_survive(verdict: Verdict) -> None:
    if verdict.killed_by is not None:
        raise SystemExit(f"a test fails without any mutant: {verdict.killed_by}")


def _judge_functions(
    mutants: Sequence[Mutant], tests: Sequence[str], results: Results, jobs: int, seconds: float
) -> int:
    judge = Judge(mutants, jobs, seconds, results.add)
    ended = pytest.main([*OPTIONS, *tests], plugins=[judge])
    results.save()
    for broken in judge.broken:
        print(f"judges nothing, because it fails without a mutant: {broken}", file=sys.stderr, flush=True)
    return int(ended)


def _files_of(tests: Iterable[str]) -> list[str]:
    found: list[Path] = []
    for test in tests:
        path = ROOT / test
        found += sorted(path.glob("test_*.py")) if path.is_dir() else [path]
    return [str(path.relative_to(ROOT)) for path in found]


def _preload() -> None:
    """What takes long to import and is not mutated is imported once, before any fork."""
    import tests.conftest  # noqa: F401  the environment of a function, which powertools reads

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in ("aws_lambda_powertools.metrics", "botocore.session", "trustme", "urllib3"):
            importlib.import_module(name)


def _ask_simulator(files: Sequence[str], results: Results, arguments: list[str], jobs: int) -> None:
    survivors = [mutant for file in files for mutant in mutants_of(file) if _survived(results.of(mutant))]
    run_forked(survivors, lambda mutant: try_in_simulator(mutant, arguments), jobs, results.add)
    results.save()


def _survived(known: Known | None) -> bool:
    return known is not None and known.killed_by is None


# ---- what comes of it -----------------------------------------------------------------------------------------------------


def read_reasons(text: str) -> dict[str, str]:
    """Each mutant that changes nothing anybody sees, and why."""
    groups = tomllib.loads(text).get("because", [])
    return {name: str(group["reason"]) for group in groups for name in group["mutants"]}


class Figures(NamedTuple):
    """One file's row."""

    mutants: int
    killed: int
    explained: int
    unexplained: int
    not_judged: int

    @property
    def killed_share(self) -> float:
        """Of those judged, without the ones that change nothing."""
        return self.killed / max(1, self.killed + self.unexplained)


def figures(file: str, results: Results, reasons: dict[str, str]) -> Figures:
    """Count."""
    count: Counter[str] = Counter()
    mutants = mutants_of(file)
    for mutant in mutants:
        known = results.of(mutant)
        if known is None:
            count["not judged"] += 1
        elif known.killed_by is not None:
            count["killed"] += 1
        else:
            count["explained" if mutant.name in reasons else "unexplained"] += 1
    return Figures(len(mutants), count["killed"], count["explained"], count["unexplained"], count["not judged"])


def _summary(files: Sequence[str], results: Results, reasons: dict[str, str]) -> int:
    print(f"{'':24}{'mutants':>9}{'killed':>9}{'explained':>11}{'not explained':>15}{'not judged':>12}")
    rows = {file: figures(file, results, reasons) for file in files}
    total = Figures(*(sum(column) for column in zip(*rows.values(), strict=True)))
    for file, row in (rows | {"all": total}).items():
        print(f"{file:24}{row.mutants:9}{row.killed:9}{row.explained:11}{row.unexplained:15}{row.not_judged:12}")
    print(f"killed: {total.killed_share:.1%} of {total.killed + total.unexplained} that change anything")
    for file in files:
        for mutant in mutants_of(file):
            if _survived(results.of(mutant)) and mutant.name not in reasons:
                print(f"survives: line {mutant.line}: {mutant.name}")
    return int(total.unexplained > 0 or total.killed_share < ENOUGH)


def table(results: Results, reasons: dict[str, str]) -> str:
    """docs/mutants.md."""
    lines = [
        "# Mutants",
        "",
        HEAD,
        "",
        "| file | mutants | killed | change nothing | survive | not judged |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    rows = {file: figures(file, results, reasons) for file in FILES}
    rows = {file: row for file, row in rows.items() if row.not_judged < row.mutants}
    total = Figures(*(sum(column) for column in zip(*rows.values(), strict=True)))
    for file, row in (rows | {"all": total}).items():
        lines.append(
            f"| {file} | {row.mutants} | {row.killed} | {row.explained} | {row.unexplained} | {row.not_judged} |"
        )
    lines += [
        "",
        f"Killed: {total.killed_share:.1%} of those judged that change anything. A file that is not in the table is not judged",
        "yet; what is not judged in the others is what their import evaluates (constants, fields, defaults), and methods that",
        "call `super()`.",
        "",
        "## Survivors that change nothing that anybody sees",
        "",
    ]
    survivors = [mutant for file in rows for mutant in mutants_of(file) if _survived(results.of(mutant))]
    by_reason: dict[str, list[Mutant]] = {}
    for mutant in survivors:
        by_reason.setdefault(reasons.get(mutant.name, ""), []).append(mutant)
    unexplained = by_reason.pop("", [])
    for reason, mutants in by_reason.items():
        lines += [f"{reason}", "", *(f"- {mutant.name}" for mutant in mutants), ""]
    if unexplained:
        lines += ["## Survivors without a reason yet", "", *(f"- {mutant.name}" for mutant in unexplained), ""]
    return "\n".join(lines).rstrip() + "\n"


HEAD = """`make mutants` puts small faults into `functions/`, one at a time, and runs the unit tests that reach the place (for
`provider.py` also the tests over sockets). A mutant is killed when a test fails, when it needs far more processor time than
the tests, or when it gets stuck. This page is written by `python -m tests.mutants --write`; the reasons are in
`tests/mutants/survivors.toml`. mutmut 3 does not fit, because it names `functions/payments/rules.py` by its path, while the
functions import `payments.rules`, and because it leaves out constants, fields and decorated functions; cosmic-ray 8.7 runs
the whole test command in a new process for each mutant."""


if __name__ == "__main__":
    sys.exit(main())
