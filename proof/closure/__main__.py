"""python -m proof.closure [SECONDS]: the large spaces, each for at most so many CPU seconds; a table for docs."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "functions"))

from proof.closure.search import search
from proof.closure.world import Space

SPACES = {
    "one attempt": Space(), "stale queries": Space(stale=True), "foreign rows": Space(foreign=True),
    "other names": Space(ids=("ot", "t", "-")), "any decision": Space(decisions="any", foreign=True),
    "a portal's void": Space(portal=1), "two attempts": Space(attempts=2),
}  # fmt: skip


def main() -> int:
    """0 if no space shows anything wrong but after a wrong decision."""
    seconds, bad = float(sys.argv[1]) if len(sys.argv) > 1 else 600.0, False
    for name, space in SPACES.items():
        found = search(space, seconds=seconds)
        print(
            f"| {name} | {found.states:,} | {'closed' if found.closed else 'cut'} | {len(found.findings)} |", flush=True
        )
        for what, path in found.findings.items():
            print(f"  {what}: {path}")
            bad = bad or "wrong decision" not in what
    return int(bad)


if __name__ == "__main__":
    sys.exit(main())
