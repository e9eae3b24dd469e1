"""Every result of a proof names the state of the sources that it was found on, and stands between markers of a page."""

import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def commit() -> str:
    """The commit, with `+` where files are changed; `unknown` outside a clone."""

    def git(*arguments: str) -> str | None:
        told = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
        return told.stdout.strip() if told.returncode == 0 else None

    name = git("rev-parse", "--short=10", "HEAD")
    return f"{name}{'+' if git('status', '--porcelain') else ''}" if name else "unknown"


def replaced(page: str, begin: str, end: str, text: str) -> str:
    """A page with this between its markers. Raises ValueError if it has lost them."""
    before, found, rest = page.partition(begin)
    if not found or end not in rest:
        raise ValueError(f"lost: {begin} … {end}")
    return f"{before}{begin}\n\n{text}\n\n{end}{rest.partition(end)[2]}"
