"""Which small faults in functions/ would no test notice? `python -m proof.mutants [payments/verdict.py …]`, by mutmut.

mutmut finds a module by its path below `src`, so it works in .cache/mutants, where functions/ is linked as `src`. There
it keeps its verdicts: a run that was ended goes on where it stood, and a function that changed is judged again. A run
over all files writes the table of docs/mutants.md; a run over some prints theirs.
"""

import ast
import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from proof.commit import ROOT, commit, replaced

PLACE = ROOT / ".cache" / "mutants"
PAGE = ROOT / "docs" / "mutants.md"
BEGIN, END = "<!-- make mutants writes from here -->", "<!-- to here -->"
VERDICTS = {0: "survived", **dict.fromkeys((1, 3, 24, -24, 36), "killed"), **dict.fromkeys((5, 33), "no test")}
"""mutmut's exit codes; a mutant that runs into its time limit is noticed."""


def main() -> None:
    """Judge what is asked for, or everything; print and write what was found."""
    chosen = sys.argv[1:]
    link()
    names = [f"{module(name)}.*" for name in chosen]
    mutmut = [str(Path(sys.executable).with_name("mutmut")), "run", *names]
    ended = subprocess.run(mutmut, cwd=PLACE, env={**os.environ, "PYTHONPATH": ""}, check=False)
    files = chosen or sorted(str(path.relative_to(ROOT / "functions")) for path in (ROOT / "functions").rglob("*.py"))
    found = {name: verdicts(PLACE / "mutants" / "src" / f"{name}.meta") for name in files}
    text = page(found)
    sys.stdout.write(text + "\n")
    judged = not any("not judged" in each.values() for each in found.values())
    if not chosen and ended.returncode == 0 and judged:
        PAGE.write_text(replaced(PAGE.read_text(encoding="utf-8"), BEGIN, END, text), encoding="utf-8")
    sys.exit(ended.returncode)


def link() -> None:
    """The linked copy of this folder. What mutmut copied of the tests is made anew: it never takes anything away."""
    PLACE.mkdir(parents=True, exist_ok=True)
    for name in ("src", "docs", "functions", "local", "play", "proof", "tests", "pyproject.toml"):
        target = "functions" if name == "src" else name
        if not (PLACE / name).is_symlink():
            (PLACE / name).symlink_to(ROOT / target)
    shutil.rmtree(PLACE / "mutants" / "tests", ignore_errors=True)


def module(name: str) -> str:
    """As it is imported: `payments.verdict` of `payments/verdict.py`."""
    if not (ROOT / "functions" / name).is_file():
        sys.exit(f"there is no functions/{name}")
    return name.removesuffix(".py").replace("/", ".")


def verdicts(kept: Path) -> dict[str, str]:
    """Each mutant of a file and its verdict, as mutmut keeps them; none for a file without any."""
    if not kept.is_file():
        return {}
    codes: dict[str, int | None] = json.loads(kept.read_text(encoding="utf-8"))["exit_code_by_key"]
    return {name: "not judged" if code is None else VERDICTS.get(code, "suspicious") for name, code in codes.items()}


def page(found: dict[str, dict[str, str]]) -> str:
    """The table, the survivors, and what mutmut does not touch."""
    columns = ("killed", "survived", "no test", "suspicious", "not judged")
    together = {mutant: verdict for each in found.values() for mutant, verdict in each.items()}
    lines = [
        f"Commit {commit()}, {datetime.now(UTC):%Y-%m-%d}.",
        "",
        f"| file | mutants | {' | '.join(columns)} |",
        "|---|--:" + "|--:" * 5 + "|",
    ]
    for name, each in (found | {"together": together}).items():
        counts = Counter(each.values())
        lines.append(f"| {name} | {len(each)} | {' | '.join(str(counts[column]) for column in columns)} |")
    for title, wanted in (("Survivors", ("survived", "suspicious")), ("Without a test", ("no test",))):
        names = [f"`{mutant}`" for mutant, verdict in together.items() if verdict in wanted]
        lines += ["", f"{title}: {', '.join(names) or 'none'}."]
    lines += ["", "Not mutated, because it runs at import:", ""]
    return "\n".join(lines + [f"- {name}: {', '.join(reach)}" for name in found if (reach := list(untouched(name)))])


def untouched(name: str) -> Iterator[str]:
    """What mutmut leaves alone: constants of a module or a class, and functions with most decorators."""
    for node in ast.walk(ast.parse((ROOT / "functions" / name).read_text(encoding="utf-8"))):
        for statement in node.body if isinstance(node, ast.Module | ast.ClassDef) else ():
            match statement:
                case (
                    ast.Assign(targets=[ast.Name(id=constant), *_])
                    | ast.AnnAssign(target=ast.Name(id=constant), value=ast.expr())
                ):
                    yield f"`{constant}`"
                case ast.FunctionDef(name=function, decorator_list=[decorator, *_]):
                    if not (isinstance(decorator, ast.Name) and decorator.id in ("staticmethod", "classmethod")):
                        yield f"`{function}()`"


if __name__ == "__main__":
    main()
