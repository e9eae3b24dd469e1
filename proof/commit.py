"""Which state of the sources something was found on: every result of a proof names it."""

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
