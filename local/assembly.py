"""The synthesised stack of the environment `local`, kept by a hash of all that it is made of.

Promises the same template and asset that a deployment would upload; never synthesises twice for the same sources.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / ".cache"
STACK = "VoidService-local"

Say = Callable[[str], None]


def assembly(say: Say) -> Path:
    """The directory of the cloud assembly; synthesised now if the sources changed since the last time."""
    kept = CACHE / "cdk-local" / _fingerprint()
    if not (kept / "complete").exists():
        say("Synthesising the stack (infra/ or functions/ is new here; up to a minute the first time)")
        _synthesise(kept)
    os.utime(kept)
    return kept


def template(directory: Path) -> dict[str, dict[str, dict[str, object]]]:
    loaded: dict[str, dict[str, dict[str, object]]] = json.loads((directory / f"{STACK}.template.json").read_text())
    return loaded


def assets(directory: Path) -> dict[str, Path]:
    """Object key in the asset bucket -> unpacked asset."""
    manifest = json.loads((directory / f"{STACK}.assets.json").read_text())
    return {
        destination["objectKey"]: directory / asset["source"]["path"]
        for asset in manifest["files"].values()
        for destination in asset["destinations"].values()
        if asset["source"]["packaging"] == "zip"
    }


def zipped(asset: Path) -> Path:
    """The archive that a deployment uploads, made once when the stack was synthesised."""
    return asset.parent / f"{asset.name}.zip"


def _synthesise(kept: Path) -> None:
    kept.parent.mkdir(parents=True, exist_ok=True)
    _drop_old(kept.parent)
    partial = kept.parent / f"{kept.name}.{os.getpid()}"
    done = subprocess.run(
        [sys.executable, "-m", "infra.synth", "local", "--out", str(partial)], cwd=ROOT, text=True, check=False,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    if done.returncode:
        shutil.rmtree(partial, ignore_errors=True)
        cause = next((line for line in reversed(done.stdout.splitlines()) if line.strip()), "no word why")
        raise SystemExit(f"The stack could not be synthesised (python -m infra.synth local shows all): {cause.strip()}")
    for asset in assets(partial).values():
        shutil.make_archive(str(asset), "zip", asset)
    (partial / "complete").touch()
    try:
        partial.rename(kept)
    except OSError:  # another run was quicker with the same sources
        shutil.rmtree(partial)


def _drop_old(directory: Path) -> None:
    """Forgets assemblies that no run has used for a day; a younger one may be in use."""
    for old in directory.iterdir():
        if old.stat().st_mtime < time.time() - 86_400:
            shutil.rmtree(old, ignore_errors=True)


def _fingerprint() -> str:
    digest = hashlib.sha256(sys.version.encode())
    for file in _sources():
        digest.update(f"{file.relative_to(ROOT)}\0".encode() + file.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def _sources() -> Iterator[Path]:
    yield from (file for name in ("app.py", "cdk.json", "requirements.txt") if (file := ROOT / name).exists())
    for folder in ("infra", "functions"):
        for file in sorted((ROOT / folder).rglob("*")):
            if file.is_file() and not any(part == "__pycache__" or part.startswith(".") for part in file.parts[-4:]):
                yield file
