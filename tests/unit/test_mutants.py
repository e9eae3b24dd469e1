"""The mutation tool works: it kills what a test notices, and says what none does."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.mutants import run

ROOT = Path(__file__).resolve().parents[2]
RUN = """
import sys
from pathlib import Path
from tests.mutants import run
run.RESULTS = Path(sys.argv.pop(1))
run.main()
"""


def test_every_file_is_judged_that_decides_anything() -> None:
    there = {str(path.relative_to(ROOT / "functions")) for path in (ROOT / "functions").rglob("*.py")}
    assert there - {"cold_start.py", "payments/__init__.py"} == set(run.FILES)


@pytest.mark.slow
def test_a_file_is_judged(tmp_path: Path) -> None:
    kept = tmp_path / "mutants.json"
    done = subprocess.run(
        [
            sys.executable, "-c", RUN, str(kept), "signatures.py", "--jobs", "1",
            "--tests", "tests/unit/payments/test_signatures.py",
        ],
        cwd=ROOT, check=False, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.stderr == ""
    killers = [killed_by for _, _, killed_by in json.loads(kept.read_text()).values()]
    assert sum(killer is not None and "test_signatures.py::" in killer for killer in killers) > len(killers) / 2 > 5
