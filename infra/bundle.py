"""One zip for all functions: functions/ and what functions/requirements.txt pins, for Lambda's arm64 Python 3.13.

Promises the same hash for the same sources and no Docker; never ships a package that the hashes do not cover.
"""

import hashlib
import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import jsii
from aws_cdk import aws_lambda

from infra import trim, trust

FUNCTIONS = Path(__file__).resolve().parent.parent / "functions"
REQUIREMENTS = FUNCTIONS / "requirements.txt"
PYTHON = "3.13"
NOT_SHIPPED = ("__pycache__", "*.pyc", ".*", "requirements.in", "requirements.txt")
# Lambda runs the code as another user than the one who owns it, with the modes that the zip has. With those of a strict
# umask no function would start.
FILE_MODE, FOLDER_MODE = 0o644, 0o755


def functions_code() -> aws_lambda.Code:
    return aws_lambda.Code.from_asset(
        str(FUNCTIONS),
        asset_hash=content_hash(),
        asset_hash_type=cdk.AssetHashType.CUSTOM,
        bundling=cdk.BundlingOptions(
            # Asked for by the CDK, never pulled: the local bundling below either succeeds or raises.
            image=cdk.DockerImage.from_registry("docker-is-not-used"),
            local=LocalBundling(),
        ),
    )


def content_hash() -> str:
    """Over what goes in (sources, pins, modes and this recipe), not over what comes out: that differs by installer."""
    digest = hashlib.sha256()
    for recipe in (__file__, trim.__file__, trust.__file__):
        digest.update(Path(recipe).read_bytes())
    for path in sorted(FUNCTIONS.rglob("*")):
        if path.is_file() and path.suffix != ".pyc":
            content = path.read_bytes()
            digest.update(f"{path.relative_to(FUNCTIONS).as_posix()}\0{FILE_MODE:o}\0{len(content)}\0".encode())
            digest.update(content)
    return digest.hexdigest()


@jsii.implements(cdk.ILocalBundling)
class LocalBundling:
    def try_bundle(self, output_dir: str, *_options: Any, **_more: Any) -> bool:
        bundle(Path(output_dir))
        return True


def bundle(out: Path) -> None:
    subprocess.run(install_command(out), check=True, stdout=sys.stderr)
    drop_what_never_runs(out)
    trim.cut(out)
    trust.write_trust(out / "botocore" / "cacert.pem", out / "trust")
    shutil.copytree(FUNCTIONS, out, ignore=shutil.ignore_patterns(*NOT_SHIPPED), dirs_exist_ok=True)
    compile_all(out)
    set_modes(out)


def install_command(out: Path) -> list[str]:
    pinned = ["--quiet", "--target", str(out), "--require-hashes", "--only-binary", ":all:", "-r", str(REQUIREMENTS)]
    found = shutil.which("uv")
    uv = [sys.executable, "-m", "uv"] if importlib.util.find_spec("uv") else [found] if found else []
    if uv:
        target = f"--python-version {PYTHON} --python-platform aarch64-manylinux2014 --link-mode copy".split()
        return [*uv, "pip", "install", "--no-config", "--python", sys.executable, *target, *pinned]
    target = f"--python-version {PYTHON} --platform manylinux2014_aarch64 --implementation cp --no-compile".split()
    return [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", *target, *pinned]


def drop_what_never_runs(out: Path) -> None:
    for name in ("tests", "test", "bin", "__pycache__"):
        for folder in [path for path in out.rglob(name) if path.is_dir()]:
            shutil.rmtree(folder, ignore_errors=True)
    for names_of_files in out.glob("*.dist-info/RECORD"):
        names_of_files.unlink()


def set_modes(out: Path) -> None:
    for path in (out, *out.rglob("*")):
        path.chmod(FOLDER_MODE if path.is_dir() else FILE_MODE)


def compile_all(out: Path) -> None:
    """Lambda's disk is read-only: without this each cold start compiles botocore again."""
    if f"{sys.version_info.major}.{sys.version_info.minor}" != PYTHON:
        return  # Another Python's bytecode would only be dead weight.
    # Unchecked: a zip does not keep modification times, so they must not be what a .pyc is compared with.
    options = ["-q", "-j", "0", "--invalidation-mode", "unchecked-hash", "-s", str(out), "-p", "/var/task"]
    subprocess.run([sys.executable, "-m", "compileall", *options, str(out)], check=True, stdout=sys.stderr)
