"""The client packages: what is in them, that their types and versions are the contract's, and that README's code is right."""

import ast
import json
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from datetime import UTC, datetime
from email import message_from_bytes
from importlib.metadata import version
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
import void_client
from packaging.requirements import Requirement
from void_client import errors, records

from tests.integration.clients.packages import CLIENTS, HOME, ROOT, Merchant, installed, node_tools, run, succeed
from tests.integration.test_client_answers import CONTRACT, TABLE, body_of

SCHEMAS = CONTRACT["components"]["schemas"]
VECTORS = json.loads((ROOT / "tests" / "vectors" / "aws-sigv4.json").read_text())
NODE_FILE = CLIENTS / "node" / "void-client.mjs"
PHP_FILE = CLIENTS / "php" / "VoidClient.php"
ALSO = {"README.md", "LICENSE"}


@pytest.fixture
def scratch(request: pytest.FixtureRequest) -> Path:
    """A folder below the project's cache, where a tool finds what is installed there."""
    folder = HOME / "scratch" / re.sub(r"\W+", "-", request.node.name)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def found(pattern: str, path: Path) -> str | None:
    match = re.search(pattern, path.read_text(), re.MULTILINE)
    return match and match[1]


def test_every_place_names_the_version_of_the_contract() -> None:
    package, lock = (
        json.loads((CLIENTS / "node" / name).read_text()) for name in ("package.json", "package-lock.json")
    )
    named = {
        "python": void_client.__version__, "node": found(r'^export const VERSION = "(.+?)"', NODE_FILE),
        "php": found(r"public const VERSION = '(.+?)'", PHP_FILE),
        "README.md": found(r"void_service_client-(.+?)-py3", CLIENTS / "README.md"),
        "package.json": package["version"], "lock": lock["version"], "lock of the root": lock["packages"][""]["version"],
        "composer.json": json.loads((CLIENTS / "php" / "composer.json").read_text())["version"],
    }  # fmt: skip
    assert named == dict.fromkeys(named, CONTRACT["info"]["version"])


def test_what_is_installed_to_build_them_is_pinned_and_the_licence_is_the_project_s() -> None:
    build = tomllib.loads((CLIENTS / "python" / "pyproject.toml").read_text())["build-system"]
    assert build["requires"] == [f"hatchling=={version('hatchling')}"]
    assert f"hatchling=={version('hatchling')}\n" in (ROOT / "requirements-dev.txt").read_text()
    package = json.loads((CLIENTS / "node" / "package.json").read_text())
    named = package["dependencies"] | package["devDependencies"]
    assert [name for name, pin in named.items() if not re.fullmatch(r"\d+\.\d+\.\d+", pin)] == []
    licences = {(CLIENTS / name / "LICENSE").read_text() for name in ("python", "node", "php")}
    assert licences == {(ROOT / "LICENSE").read_text()}


def readme_code(language: str) -> str:
    """All of README's code in a language."""
    text = (CLIENTS / "README.md").read_text()
    return "\n".join(re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL))


def test_readme_says_what_to_do_after_each_problem() -> None:
    rows = re.findall(r"^\| `(\w+)` \| ((?:`[a-z-]+`(?:, )?)+) \|", (CLIENTS / "README.md").read_text(), re.MULTILINE)
    said = {(group, name) for group, names in rows for name in re.findall("`([a-z-]+)`", names)}
    own = {(group, name) for name, (group, _) in TABLE["own"].items()}
    assert said == {(group, name) for name, (_, group, _) in TABLE["problems"].items()} | own


# ---- Python ----------------------------------------------------------------------------------------------------------


def test_the_wheel_holds_the_package_and_says_that_it_has_types() -> None:
    wheel, sdist = installed("python").artifacts
    package = {path.name for path in (CLIENTS / "python" / "void_client").iterdir() if path.is_file()}
    with zipfile.ZipFile(wheel) as archive:
        assert {name for name in archive.namelist() if ".dist-info/" not in name} == {
            f"void_client/{name}" for name in package
        }
        assert any(name.endswith("licenses/LICENSE") for name in archive.namelist())
        (metadata,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        said = message_from_bytes(archive.read(metadata))
        assert (CLIENTS / "python" / "README.md").read_bytes() in archive.read(metadata)
    assert (said["Name"], said["Version"]) == ("void-service-client", CONTRACT["info"]["version"])
    for text in said.get_all("Requires-Dist", []):
        wanted = Requirement(text)
        assert wanted.specifier.contains(version(wanted.name)), f"the tests run with another {wanted.name}"
    with tarfile.open(sdist) as source:
        inside = {name.partition("/")[2] for name in source.getnames()}
    # The back end adds the repository's .gitignore, which names what is generated and nothing else.
    assert inside - {".gitignore"} == {f"void_client/{name}" for name in package} | ALSO | {
        "pyproject.toml",
        "PKG-INFO",
    }


def test_the_python_package_runs_where_it_is_copied_to(tmp_path: Path) -> None:
    shutil.copytree(CLIENTS / "python" / "void_client", tmp_path / "void_client")
    done = run(sys.executable, "-W", "error", "-m", "void_client", folder=tmp_path, IDEMPOTENCY_KEY="k")
    assert (done.returncode, done.stderr.partition(",")[0]) == (3, "invalid-argument: ORDER_ID and CURRENCY are needed")


def mypy(*arguments: str | Path, folder: Path) -> subprocess.CompletedProcess[str]:
    settings = ["--strict", "--no-incremental", "--config-file", "", "--python-version", "3.10"]
    return run(sys.executable, "-m", "mypy", *settings, *arguments, folder=folder)


def test_the_python_client_and_its_readme_are_typed_for_the_oldest_python(scratch: Path) -> None:
    for file in (CLIENTS / "python" / "void_client").glob("*.py"):
        ast.parse(file.read_text(), feature_version=(3, 10))
    (scratch / "readme.py").write_text(readme_code("python"))
    wrong = ['client.void("1", "UAH")', 'client.void(1, "UAH", idempotency_key="k")', 'client.voids("open")',
             'amount: float | None = (client.read("1")["provider"] or {})["amount"]', 'client.read("1")["nothing"]',
             'client.decide("1", "maybe", revision="0", note="n")']  # fmt: skip
    head = 'from void_client import VoidClient\nclient = VoidClient("https://x.example/v1", "eu-central-1")\n'
    (scratch / "wrong.py").write_text(head + "\n".join(wrong) + "\n")
    python = installed("python").driver[0]
    done = mypy("--python-executable", python, "readme.py", folder=scratch)
    assert done.returncode == 0, done.stdout
    done = mypy("--python-executable", python, "wrong.py", folder=scratch)
    lines = {int(number) for number in re.findall(r"^wrong\.py:(\d+): error", done.stdout, re.MULTILINE)}
    assert lines == set(range(3, 9)), done.stdout


VOID = SCHEMAS["Void"]
SHAPES = {
    name: list(SCHEMAS[name]["properties"])
    for name in ("Provider", "Review", "Attempt", "Operation", "Decision", "Webhook")
}
SHAPES |= {"VoidRecord": VOID["required"], "Step": VOID["properties"]["history"]["items"]["required"]}
WHOLE = {"VoidWithWebhooks": list(VOID["properties"]), "Problem": list(SCHEMAS["Problem"]["properties"])}
REASONS = {reason for reason in VOID["properties"]["reason"]["enum"] if reason}


def test_python_s_types_are_the_contract_s() -> None:
    for name, members in (SHAPES | WHOLE).items():
        assert list(get_type_hints(getattr(records, name))) == members, name
    assert set(get_args(records.State)) == set(SCHEMAS["State"]["enum"])
    assert set(get_args(records.Evidence)) == set(SCHEMAS["Evidence"]["enum"])
    assert set(get_args(records.Reason)) == REASONS
    assert {*get_args(records.End), None} == set(SCHEMAS["Attempt"]["properties"]["end"]["enum"])
    assert {name: [kind.__name__, advice] for name, (kind, advice) in errors.PROBLEMS.items()} == TABLE["own"] | {
        name: rest for name, (_, *rest) in TABLE["problems"].items()
    }


# ---- Node ------------------------------------------------------------------------------------------------------------


def test_the_tarball_holds_the_one_file_and_its_types() -> None:
    (tarball,) = installed("node").artifacts
    with tarfile.open(tarball) as archive:
        inside = {"package.json", "void-client.mjs", "void-client.d.mts"} | ALSO
        assert set(archive.getnames()) == {f"package/{name}" for name in inside}
        packed = archive.extractfile("package/void-client.mjs")
        assert packed is not None
        assert packed.read() == NODE_FILE.read_bytes()


def compile_types(code: str, folder: Path) -> str:
    """The errors of a merchant's TypeScript, with the package as it is installed and nothing of its sources."""
    client, tools = installed("node"), node_tools()
    assert isinstance(tools, Path)
    (folder / "node_modules").symlink_to(Path(client.driver[1]).parent / "node_modules")
    types = folder / "types"
    types.symlink_to(tools / "node_modules" / "@types")
    (folder / "code.mts").write_text(code)
    options = {
        "strict": True,
        "exactOptionalPropertyTypes": True,
        "noEmit": True,
        "module": "nodenext",
        "target": "es2022",
    }
    options |= {"types": ["node"], "typeRoots": [str(types)], "lib": ["es2023"]}
    (folder / "tsconfig.json").write_text(json.dumps({"compilerOptions": options, "files": ["code.mts"]}))
    done = run(client.program[0], tools / "node_modules" / ".bin" / "tsc", "-p", folder)
    return done.stdout + done.stderr


def test_node_s_types_are_the_contract_s_and_refuse_what_is_not(scratch: Path) -> None:
    record = as_text({name: VOID["example"][name] for name in VOID["required"]})
    problem = body_of({"status": 409, "problem": "not-voidable", "with": {"void": {}}})
    wrong = [
        'client.void("1", "UAH");', 'client.void(1, "UAH", { idempotencyKey: "k" });', 'client.voids("open");',
        'client.void("1", "UAH", { idempotencyKey: "k", amount: 1 });', "record.nothing;",
        "const amount: number | null | undefined = record.provider?.amount;",
        'client.decide("1", "maybe", { revision: "0", note: "n" });',
    ]  # fmt: skip
    lines = "\n".join(f"// @ts-expect-error\n{line}" for line in wrong)
    listed = {
        "Review": "reviews",
        "Attempt": "attempts",
        "Operation": "operations",
        "Decision": "decisions",
        "Step": "history",
    }
    keys = "\n".join(
        f"export const {name}Keys: Record<keyof Required<{path}>, 1> = {json.dumps(dict.fromkeys(members, 1))};"
        for name, members in (SHAPES | WHOLE).items()
        for path in [f'VoidRecord["{listed[name]}"][0]' if name in listed else name]
    )
    code = f"""
import {{ VoidClient }} from "void-service-client";
import type {{ Problem, Provider, Reason, State, VoidRecord, VoidWithWebhooks, Webhook }} from "void-service-client";
const record: VoidRecord = {json.dumps(record)};
export const both: VoidWithWebhooks = {{ ...record, webhooks: [], webhooks_truncated: false }};
const states: Record<State, 1> = {json.dumps(dict.fromkeys(SCHEMAS["State"]["enum"], 1))};
const reasons: Record<Reason, 1> = {json.dumps(dict.fromkeys(REASONS, 1))};
{keys}
export const problem: Problem = {json.dumps(as_text(problem))};
const client = new VoidClient("https://x.example/v1", {{
  credentials: async () => ({{ accessKeyId: "a", secretAccessKey: "b", sessionToken: "c" }}), log: (entry) => console.log(entry.event),
}});
console.log(record, states, reasons, client);
{lines}
"""
    assert compile_types(code, scratch) == ""


def test_node_s_code_in_the_readme_is_typed(scratch: Path) -> None:
    assert compile_types(readme_code("js"), scratch) == ""


def as_text(value: Any) -> Any:
    """Amounts as Node and PHP have them."""
    if isinstance(value, dict):
        shorter = {name: str(amount) for name, amount in value.items() if name == "amount" and amount is not None}
        return {name: as_text(member) for name, member in value.items()} | shorter
    return [as_text(each) for each in value] if isinstance(value, list) else value


# ---- PHP -------------------------------------------------------------------------------------------------------------


def test_php_signs_as_the_vectors_that_aws_publishes() -> None:
    shared = {"call": "sign", "region": VECTORS["region"], "service": VECTORS["service"]}
    shared["now"] = int(datetime.strptime(VECTORS["date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp())
    cases = [
        shared | case | {"url": f"https://{VECTORS['host']}{case['target']}"}
        | {"credentials": {"key": VECTORS["key"], "secret": VECTORS["secret"], "token": case["token"]}}
        for case in VECTORS["cases"]
    ]  # fmt: skip
    got = [outcome["returned"].partition("Signature=")[2] for outcome in Merchant(installed("php"), "").call(*cases)]
    assert len(cases) > 20
    assert got == [case["signature"] for case in cases]


def test_php_s_types_are_the_contract_s() -> None:
    """Of the text, so that it is checked where there is no PHP, too."""
    shapes = dict(re.findall(r"@phpstan-type (\w+) array\{(.*?)\}$", PHP_FILE.read_text(), re.MULTILINE | re.DOTALL))
    for name, members in SHAPES.items():
        assert re.findall(r"(\w+)\??: ", shapes[name]) == members, name


def test_composer_installs_the_php_package(tmp_path: Path) -> None:
    installed("php")
    if shutil.which("composer") is None:
        pytest.skip("needs composer")
    repositories = [{"type": "path", "url": str(CLIENTS / "php")}, {"packagist.org": False}]
    project = {"repositories": repositories, "require": {"void-service/client": CONTRACT["info"]["version"]}}
    (tmp_path / "composer.json").write_text(json.dumps(project))
    home = {"COMPOSER_ALLOW_SUPERUSER": "1", "COMPOSER_HOME": str(tmp_path)}
    succeed("composer", "install", "--no-interaction", folder=tmp_path, **home)
    code = "require 'vendor/autoload.php'; echo VoidService\\VoidClient::VERSION;"
    assert succeed("php", "-r", code, folder=tmp_path) == CONTRACT["info"]["version"]


def test_php_s_code_in_the_readme_is_php(tmp_path: Path) -> None:
    installed("php")
    (tmp_path / "readme.php").write_text(f"<?php\n{readme_code('php')}")
    succeed("php", "-l", tmp_path / "readme.php")
