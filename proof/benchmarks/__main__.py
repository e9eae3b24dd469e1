"""`make bench`: measure this service beside its alternatives. Sends nothing anywhere.

    python -m proof.benchmarks [--quick] [--no-instructions] [--afresh] [--again]

What is measured is written at once, to .cache/bench/run.json: a run that was ended goes on where it stood, with the
same asset on the same machine. A whole run writes proof/benchmarks/results.json and the tables of docs/performance.md.
"""

import argparse
import hashlib
import json
import os
import platform
import shutil
import sys
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from infra.synth import synthesis_environment
from proof.commit import ROOT, commit


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m proof.benchmarks")
    parser.add_argument("--quick", action="store_true", help="few rounds: a first impression, printed only")
    parser.add_argument("--no-instructions", action="store_true", help="without valgrind; printed only")
    parser.add_argument("--afresh", action="store_true", help="begin anew, whatever was measured")
    parser.add_argument("--again", action="store_true", help="the kept run with the prices and templates of today")
    options = parser.parse_args()
    if sys.version_info[:2] != (3, 13):
        sys.exit("make bench: Python 3.13 is what the functions run on; run this with it")
    prepare_imports()
    from proof.benchmarks import deployed, report  # only now: infra imports the CDK, which starts Node

    deployed.keep()
    if options.again:
        return report.keep(json.loads(report.RESULTS.read_text("utf-8"))) if report.RESULTS.is_file() else None
    valgrind = shutil.which("valgrind") is not None and not options.no_instructions
    results = run(quick=options.quick, valgrind=valgrind, afresh=options.afresh)
    sys.stdout.write("\n\n".join(report.texts(results).values()) + "\n")
    if valgrind and not options.quick:
        report.keep(results)
    return None


def run(*, quick: bool, valgrind: bool, afresh: bool) -> Any:
    from infra import bundle
    from proof.benchmarks import deployed, report, subjects
    from proof.benchmarks.measure import steps

    made = subjects.prepare()
    instrument = b"".join(path.read_bytes() for path in sorted(subjects.HERE.rglob("*.py")))
    of: dict[str, str | bool] = {"asset": bundle.content_hash(), "by": hashlib.sha256(instrument).hexdigest()}
    of |= {"machine": machine(), "quick": quick, "instructions": valgrind}
    kept = Kept(subjects.CACHE / "run.json", of, afresh=afresh)
    with ExitStack() as stack:
        indexes = deployed.indexes(deployed.template("prod"))
        for name, take in steps(made, stack, indexes, quick=quick, valgrind=valgrind).items():
            if name not in kept.steps:
                sys.stderr.write(f"{datetime.now():%H:%M:%S} {name}\n")  # noqa: DTZ005 for whoever waits
                kept.add(name, take())
    return report.results(kept.head(), kept.found(levers=False), kept.found(levers=True))


def machine() -> str:
    return f"{platform.machine()} with {os.cpu_count()} processors and Python {platform.python_version()}"


class Kept:
    """What was measured so far, in a file; of another asset, machine, instrument or kind of run it is forgotten."""

    def __init__(self, path: Path, of: dict[str, Any], *, afresh: bool) -> None:
        self.path, self.of = path, of
        found = json.loads(path.read_text("utf-8")) if path.is_file() and not afresh else {}
        self.steps: dict[str, Any] = found["steps"] if found.get("of") == of else {}

    def add(self, name: str, found: dict[str, Any]) -> None:
        self.steps[name] = {"load": os.getloadavg()[0], "found": found}
        self.path.write_text(json.dumps({"of": self.of, "steps": self.steps}, ensure_ascii=False), "utf-8")

    def head(self) -> dict[str, str]:
        loads = [step["load"] for step in self.steps.values()]
        load = f"{min(loads):.1f} to {max(loads):.1f}"
        return {"commit": commit(), "day": f"{datetime.now(UTC):%Y-%m-%d}", "machine": machine(), "load": load}

    def found(self, *, levers: bool) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, step in self.steps.items():
            for figure, values in step["found"].items() if name.startswith("levers") is levers else ():
                found[figure] = found.get(figure, {}) | values
        return found


def prepare_imports() -> None:
    """The functions can be imported, as in their own processes; the CDK takes the Node that came with the tools."""
    sys.path.insert(0, str(ROOT / "functions"))
    os.environ.update(synthesis_environment("test", Path(".cache")))
    os.environ |= {"POWERTOOLS_SERVICE_NAME": "void-service", "POWERTOOLS_METRICS_NAMESPACE": "VoidService"}


if __name__ == "__main__":
    main()
