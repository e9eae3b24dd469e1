"""`make bench`: measure this service beside its alternatives and write the results.

    python -m benchmarks [--quick] [--no-instructions]

Writes benchmarks/results.json and the generated part of docs/performance.md; sends nothing anywhere.
"""

import argparse
import os
import shutil
import sys
from contextlib import ExitStack
from pathlib import Path

from infra.synth import synthesis_environment


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("--quick", action="store_true", help="few rounds: a first impression")
    parser.add_argument("--no-instructions", action="store_true", help="without valgrind")
    options = parser.parse_args()
    use_node_of_pypi()
    # Only now: infra imports the CDK, which starts Node.
    from benchmarks import measure, report, subjects

    if sys.version_info[:2] != (3, 13):
        sys.exit("make bench: Python 3.13 is what the functions run on; run this with it")
    valgrind = shutil.which("valgrind") is not None and not options.no_instructions
    made = subjects.prepare()
    for name in subjects.SHIPPABLE:
        made[f"{name}-plain"] = subjects.without_bytecode(made[name])
    ours = made["ours"]
    changed = {
        "whole trust parsed each time": subjects.with_whole_trust(ours),
        "no byte code": subjects.without_bytecode(ours),
        "all of botocore's data": subjects.with_whole_data(ours, made["by_hand"].directory),
        "garbage collected at init": subjects.with_collector(ours),
    }
    if subjects.makes_clients_by_boto3(ours):
        changed["clients by botocore alone"] = subjects.without_boto3(ours)
    with ExitStack() as stack:
        running = stack.enter_context(measure.stubs())
        distant = {name: stack.enter_context(measure.stubs(*given)) for name, given in measure.FAR.items()}
        found = measure.everything(made, running, distant, quick=options.quick, valgrind=valgrind)
        measure.say("levers")
        without = measure.levers([ours, *changed.values()], running, quick=options.quick, valgrind=valgrind)
    for name in ("ours", *subjects.PEERS):
        # Peers are counted as most tools zip them, without byte code; ours with it, as it is deployed.
        side = made[f"{name}-plain"] if f"{name}-plain" in made else subjects.Subject(name, subjects.CACHE / name)
        unzipped, zipped = subjects.size(side.directory)
        found["package unzipped, MiB"][name] = [unzipped / 2**20]
        found["package zipped, MiB"][name] = [zipped / 2**20]
    for side in changed.values():
        unzipped, zipped = subjects.size(side.directory)
        without["package unzipped, MiB"][side.name] = [unzipped / 2**20]
        without["package zipped, MiB"][side.name] = [zipped / 2**20]
    for figure in ("package unzipped, MiB", "package zipped, MiB"):
        without[figure]["ours"] = found[figure]["ours"]
    report.write(found, without, {side.name: what for what, side in changed.items()}, quick=options.quick)


def use_node_of_pypi() -> None:
    """The CDK's runtime takes the Node that came with the project's tools, as for `make synth`."""
    os.environ.update(synthesis_environment("test", Path(".cache")))


if __name__ == "__main__":
    main()
