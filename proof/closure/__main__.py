"""`python -m proof.closure`: the large spaces.

What it prints is a row for docs/closure.md, written by whole runs only.
"""

import argparse
from pathlib import Path

from proof.closure.explore import explore
from proof.closure.world import WRONG, Options
from proof.commit import commit

PAGE = Path(__file__).resolve().parents[2] / "docs" / "closure.md"
SPACES: dict[str, Options] = {
    "one attempt": Options(),
    "one attempt, queries that end late": Options(late_queries=True),
    "one attempt, a row of another method": Options(other_rows=True),
    "one attempt, names that answers use and lists do not": Options(names=("ot", "t", "o")),
    "one attempt, webhooks without names": Options(names=("ot", "t", "-")),
    "one attempt, true decisions": Options(decisions="true"),
    "one attempt, any decision": Options(decisions="any"),
    "two attempts, the first ruled out wrongly": Options(attempts=2, decisions="any", first=WRONG),
    "a void of the portal only": Options(attempts=0, portal=1),
    "one attempt and a void of the portal": Options(portal=1),
    "one attempt, a void of the portal, other names": Options(portal=1, names=("ot", "t", "o")),
    "two attempts": Options(attempts=2),
    "two attempts, true decisions": Options(attempts=2, decisions="true"),
}
BEGIN, END = "<!-- python -m proof.closure writes from here -->", "<!-- to here -->"


def main() -> None:
    """Explore each space; write the page if none was left out."""
    parser = argparse.ArgumentParser(prog="python -m proof.closure", description=__doc__)
    parser.add_argument("--only", help="the spaces whose name holds this")
    parser.add_argument("--seconds", type=float, default=600, help="of the processor, for each space (default 600)")
    given = parser.parse_args()
    rows: list[str] = []
    explored = commit()
    for name, options in SPACES.items():
        if given.only is None or given.only in name:
            found = explore(options, seconds=given.seconds)
            whole, said = "all" if found.closed else "cut", "; ".join(sorted(found.broken)) or "nothing"
            rows.append(f"| {name} | {found.states:,} | {whole} | {found.seconds:.0f} | {said} |")
            print(rows[-1], flush=True)
            for promise, path in found.broken.items():
                print(f"    {promise}: {path}", flush=True)
    if given.only is None:
        head, rest = PAGE.read_text().split(BEGIN)
        table = ["| world | states | closed | processor s | broken |", "|---|--:|---|--:|---|", *rows]
        text = "\n".join(
            [BEGIN, "", f"On commit {explored}, {given.seconds:.0f} s for each world at most:", "", *table, ""]
        )
        PAGE.write_text(head + text + "\n" + END + rest.split(END)[1])


if __name__ == "__main__":
    main()
