"""Puts one mutant into a forked process and runs the tests that reach it there, until one fails.

pytest collects the tests once. A first pass notes which function each test reaches and how long it takes; then every
mutant gets a fork, in which the mutated function's code replaces the original's. What is evaluated at import (constants,
default arguments) gets a fork from before the import instead.
"""

import ast
import functools
import gc
import importlib.util
import os
import resource
import runpy
import signal
import sys
import time
import types
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import pytest
from _pytest.runner import runtestprotocol

from tests.mutants.mutations import FUNCTIONS, MODULE, Mutant, mutated

CPU_SECONDS = 30
"""More than all tests use together; a mutant that needs more runs in a circle."""
CPU_TIMES = 3
"""The same for chosen tests: so many times what they need without a mutant, and a second."""
STUCK_SECONDS = 240
"""A mutant that waits for something which never comes uses no processor time, so a clock ends it."""
DOES_NOT_FIT = "does not fit"
"""Without its `super()` a method's code cannot take the place of the original's: such a mutant stays not judged."""
DECORATORS = frozenset({"lambda_handler"})
"""Functions that have done their work once the file is imported: what they made does not change with them."""
CACHED = type(functools.cache(lambda: None))
TOOL = 4
"""A number of sys.monitoring's that nobody else uses."""


class Verdict(NamedTuple):
    """Who noticed the mutant; None: nobody."""

    mutant: Mutant
    killed_by: str | None


Told = Callable[[Verdict], None]


# ---- one process per mutant -----------------------------------------------------------------------------------------------


def run_forked(mutants: Sequence[Mutant], try_one: Callable[[Mutant], str | None], jobs: int, told: Told) -> None:
    """Try each mutant in a process of its own, `jobs` at a time. `try_one` says, in the child, who killed it."""
    waiting, running = list(reversed(mutants)), dict[int, tuple[Mutant, int]]()
    while waiting or running:
        while waiting and len(running) < jobs:
            mutant = waiting.pop()
            reader, writer = os.pipe()
            pid = os.fork()
            if pid == 0:
                os.close(reader)
                _child(mutant, try_one, writer)
            os.close(writer)
            running[pid] = (mutant, reader)
        pid, status = os.wait()
        mutant, reader = running.pop(pid)
        with os.fdopen(reader, "rb") as pipe:
            said = pipe.read().decode()
        told(Verdict(mutant, _killer(said, status)))


def _killer(said: str, status: int) -> str | None:
    if os.WIFSIGNALED(status):
        return "too much processor time" if os.WTERMSIG(status) in (signal.SIGXCPU, signal.SIGKILL) else "stuck"
    return said or None


def _child(mutant: Mutant, try_one: Callable[[Mutant], str | None], writer: int) -> NoReturn:
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS + 1))
    signal.alarm(STUCK_SECONDS)
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nothing, stream)
    try:
        killed_by = try_one(mutant)
    except BaseException as error:  # noqa: BLE001 also SystemExit: whatever ends the tests is a difference
        killed_by = f"raises {type(error).__name__}"
    os.write(writer, (killed_by or "").encode())
    os._exit(0)


# ---- what is in a function ------------------------------------------------------------------------------------------------


class Judge:
    """A plugin of pytest: instead of running the tests once, it runs them against each mutant."""

    def __init__(self, mutants: Sequence[Mutant], jobs: int, seconds: float, told: Told) -> None:
        self.mutants, self.jobs, self.seconds, self.told = mutants, jobs, seconds, told
        self.broken: list[str] = []
        """Tests that fail without a mutant: they judge nothing."""
        self._reached: dict[tuple[str, str], dict[int, float]] = defaultdict(dict)
        self._killers: dict[tuple[str, str], list[int]] = defaultdict(list)
        self._originals: dict[tuple[str, str], list[types.FunctionType]] = {}
        self._caches: dict[str, list[Any]] = {}
        self._items: list[pytest.Item] = []

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Take the place of pytest's own loop."""
        self._items = session.items
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        if session.testsfailed or not self._items:
            raise pytest.UsageError("the tests cannot be collected")
        self._first_pass()
        self._originals, self._caches = _functions(), _caches()
        gc.collect()
        gc.freeze()
        run_forked(self.mutants, self._try, self.jobs, self._note)
        return True

    def _first_pass(self) -> None:
        trace = _Trace()
        for at, item in enumerate(self._items):
            following = self._items[at + 1] if at + 1 < len(self._items) else None
            trace.begin()
            began = time.process_time()
            reports = runtestprotocol(item, log=False, nextitem=following)
            took = time.process_time() - began
            if any(report.failed for report in reports):
                self.broken.append(item.nodeid)
                continue
            for place in trace.reached():
                self._reached[place][at] = took
        trace.end()

    def _note(self, verdict: Verdict) -> None:
        if verdict.killed_by == DOES_NOT_FIT:
            return  # nobody has judged it
        place = verdict.mutant.file, verdict.mutant.function
        for at in self._reached[place]:
            if self._items[at].nodeid == verdict.killed_by:
                # What noticed one fault of a function probably notices the next.
                self._killers[place] = [at, *(other for other in self._killers[place] if other != at)][:8]
        self.told(verdict)

    def _try(self, mutant: Mutant) -> str | None:
        place = mutant.file, mutant.function
        code = next(code for code in _codes(compile_mutant(mutant)) if code.co_qualname == mutant.function)
        originals = self._originals.get(place, [])
        if not originals:
            return None  # no test imports it
        for function in originals:
            if function.__code__.co_freevars != code.co_freevars:
                return DOES_NOT_FIT
            function.__code__ = code
        for cache in self._caches.get(mutant.file, []):
            cache.cache_clear()  # it holds what the original has answered
        first = self._killers[place]
        own = own_tests(mutant.file)
        cost = self._reached[place]
        rest = sorted(cost, key=lambda at: (Path(self._items[at].location[0]).name not in own, cost[at]))
        chosen = [*first, *self._affordable([at for at in rest if at not in first], own, cost)]
        limit = 1 + round(time.process_time() + CPU_TIMES * sum(cost.get(at, 0) for at in chosen))
        resource.setrlimit(resource.RLIMIT_CPU, (limit, limit + 1))
        for number, at in enumerate(chosen):
            following = self._items[chosen[number + 1]] if number + 1 < len(chosen) else None
            reports = runtestprotocol(self._items[at], log=False, nextitem=following)
            if any(report.failed for report in reports):
                return self._items[at].nodeid
        return None

    def _affordable(self, tests: Sequence[int], own: set[str], cost: dict[int, float]) -> Iterator[int]:
        """The tests of the file's own, and of the others the quickest, until they use up the processor seconds."""
        left = self.seconds
        for at in tests:
            if Path(self._items[at].location[0]).name not in own:
                left -= cost[at]
            if left >= 0:
                yield at


class _Trace:
    """Which functions of functions/ are entered, in all threads."""

    def __init__(self) -> None:
        self._seen: set[tuple[str, str]] = set()
        sys.monitoring.use_tool_id(TOOL, "mutants")
        sys.monitoring.register_callback(TOOL, sys.monitoring.events.PY_START, self._entered)
        sys.monitoring.set_events(TOOL, sys.monitoring.events.PY_START)

    def begin(self) -> None:
        self._seen = set()
        sys.monitoring.restart_events()

    def reached(self) -> set[tuple[str, str]]:
        return self._seen

    def end(self) -> None:
        sys.monitoring.set_events(TOOL, 0)
        sys.monitoring.free_tool_id(TOOL)

    def _entered(self, code: types.CodeType, _offset: int) -> object:
        if (file := _file(code)) is not None:
            self._seen.add((file, _outermost(code.co_qualname)))
        return sys.monitoring.DISABLE


def _functions() -> dict[tuple[str, str], list[types.FunctionType]]:
    """The functions and methods of functions/, whatever decorators have made of them."""
    found: dict[tuple[str, str], list[types.FunctionType]] = defaultdict(list)
    gc.unfreeze()  # cold_start.py hides what is loaded from the collector
    for thing in gc.get_objects():
        if type(thing) is types.FunctionType and (file := _file(thing.__code__)) is not None:
            found[file, thing.__code__.co_qualname].append(thing)
    return found


def _caches() -> dict[str, list[Any]]:
    """The caches of the functions of each file."""
    found: dict[str, list[Any]] = defaultdict(list)
    for thing in gc.get_objects():
        code = getattr(thing.__wrapped__, "__code__", None) if type(thing) is CACHED else None
        if code is not None and (file := _file(code)) is not None:
            found[file].append(thing)
    return found


def _file(code: types.CodeType) -> str | None:
    prefix = f"{FUNCTIONS}{os.sep}"
    return code.co_filename.removeprefix(prefix) if code.co_filename.startswith(prefix) else None


def _outermost(qualname: str) -> str:
    return qualname.partition(".<locals>")[0]


def _codes(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _codes(constant)


def compile_mutant(mutant: Mutant) -> types.CodeType:
    """The whole file's code with the fault."""
    return _compiled(mutated(mutant), str(FUNCTIONS / mutant.file))


def _compiled(tree: ast.Module, path: str) -> types.CodeType:
    code: types.CodeType = compile(tree, path, "exec", dont_inherit=True)
    return code


# ---- what is evaluated at import ------------------------------------------------------------------------------------------


class _Finder(MetaPathFinder):
    def __init__(self, mutant: Mutant) -> None:
        path = str(FUNCTIONS / mutant.file)
        name = mutant.file.removesuffix(".py").replace("/", ".")
        code = compile_mutant(mutant)

        class Loader(SourceFileLoader):
            def get_code(self, fullname: str) -> types.CodeType:
                return code

        self._spec = importlib.util.spec_from_file_location(name, path, loader=Loader(name, path))

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> ModuleSpec | None:
        return self._spec if self._spec is not None and fullname == self._spec.name else None


class _FirstFailure:
    def __init__(self) -> None:
        self.nodeid: str | None = None

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed and self.nodeid is None:
            self.nodeid = report.nodeid


def try_at_import(mutant: Mutant, options: Sequence[str], tests: Sequence[str]) -> str | None:
    """Import the mutated file, then run its own tests, then all others."""
    sys.meta_path.insert(0, _Finder(mutant))
    own = [test for test in tests if Path(test).name in own_tests(mutant.file)]
    for chosen in (own, [test for test in tests if test not in own]):
        failure = _FirstFailure()
        if chosen and pytest.main([*options, "-x", *chosen], plugins=[failure]):
            return failure.nodeid or "import"
    return None


def try_in_simulator(mutant: Mutant, arguments: Sequence[str]) -> str | None:
    """Run the fault simulator on the mutated file; it ends with an error if it finds something."""
    resource.setrlimit(resource.RLIMIT_CPU, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    signal.alarm(0)
    sys.meta_path.insert(0, _Finder(mutant))
    sys.argv = ["tests.faults", *arguments]
    with suppress(KeyboardInterrupt):
        try:
            runpy.run_module("tests.faults", run_name="__main__")
        except SystemExit as end:
            return "the simulator" if end.code else None
    return None


def is_at_import(mutant: Mutant) -> bool:
    """Whether the fault is in what an import evaluates."""
    return mutant.function == MODULE or mutant.function in DECORATORS


OWN = {
    "payments/claims.py": {"test_rules.py"},
    "payments/record.py": {"test_record.py", "test_rules.py"},
    "payments/items.py": {"test_items.py", "test_store.py"},
    "systems.py": {"test_storage.py"},
}


def own_tests(file: str) -> set[str]:
    """The names of the test files that are asked first."""
    return OWN.get(file, {f"test_{Path(file).stem}.py"})
