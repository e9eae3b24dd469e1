"""The client packages: what is in them, that their types and versions are the contract's, and that README's code is right."""

import ast
import json
import re
import shutil
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
from packaging.requirements import Requirement
from void_client import errors, records

from tests.integration.clients.packages import (
    CLIENTS,
    DRIVERS,
    HOME,
    ROOT,
    Merchant,
    installed,
    run,
    succeed,
    typescript,
)
from tests.integration.test_client_answers import CONTRACT, TABLE, body_of

SCHEMAS = CONTRACT["components"]["schemas"]
VERSION = CONTRACT["info"]["version"]
VECTORS = json.loads((ROOT / "tests" / "vectors" / "aws-sigv4.json").read_text())
ALSO = {"README.md", "LICENSE"}


@pytest.fixture
def scratch(request: pytest.FixtureRequest) -> Path:
    """A folder below the project's cache, where a tool finds what is installed there."""
    folder = HOME / "scratch" / re.sub(r"\W+", "-", request.node.name)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def text(name: str) -> str:
    return (CLIENTS / name).read_text()


@pytest.mark.parametrize(("file", "named"), [
    ("python/void_client/transport.py", r'^VERSION = "(.+?)"'),
    ("node/void-client.mjs", r'^export const VERSION = "(.+?)"'),
    ("node/package.json", r'^  "version": "(.+?)"'),
    ("node/package-lock.json", r'^  "version": "(.+?)"'),
    ("node/package-lock.json", r'^      "version": "(.+?)",\n      "license": "MIT",\n      "dependencies"'),
    ("php/VoidClient.php", r"public const VERSION = '(.+?)'"),
    ("php/composer.json", r'"version": "(.+?)"'),
    ("README.md", r"void_service_client-(.+?)-py3"),
])  # fmt: skip
def test_every_place_names_the_version_of_the_contract(file: str, named: str) -> None:
    assert set(re.findall(named, text(file), re.MULTILINE)) == {VERSION}


def test_what_is_installed_to_build_them_is_pinned_and_the_licence_is_the_project_s() -> None:
    build = tomllib.loads(text("python/pyproject.toml"))["build-system"]
    assert build["requires"] == [f"hatchling=={version('hatchling')}"]
    assert f"hatchling=={version('hatchling')}\n" in (ROOT / "requirements-dev.txt").read_text()
    package = json.loads(text("node/package.json"))
    named = package["dependencies"] | package["devDependencies"]
    assert [name for name, pin in named.items() if not re.fullmatch(r"\d+\.\d+\.\d+", pin)] == []
    assert {text(f"{name}/LICENSE") for name in ("python", "node", "php")} == {(ROOT / "LICENSE").read_text()}


def readme_code(language: str) -> str:
    """All of README's code in a language."""
    return "\n".join(re.findall(rf"^```{language}\n(.*?)^```", text("README.md"), re.MULTILINE | re.DOTALL))


def test_readme_says_what_to_do_after_each_problem() -> None:
    rows = re.findall(r"^\| `(\w+)` \| ((?:`[a-z-]+`(?:, )?)+) \|", text("README.md"), re.MULTILINE)
    said = {(group, name) for group, names in rows for name in re.findall("`([a-z-]+)`", names)}
    own = {(group, name) for name, (group, _) in TABLE["own"].items()}
    assert said == {(group, name) for name, (_, group, _) in TABLE["problems"].items()} | own


# ---- Python ----------------------------------------------------------------------------------------------------------


def test_the_wheel_holds_the_package_and_says_that_it_has_types() -> None:
    wheel, sdist = installed("python").artifacts
    package = {f"void_client/{path.name}" for path in (CLIENTS / "python" / "void_client").iterdir() if path.is_file()}
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        (metadata,) = [name for name in names if name.endswith(".dist-info/METADATA")]
        said, described = message_from_bytes(archive.read(metadata)), archive.read(metadata)
    assert {name for name in names if ".dist-info/" not in name} == package
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert text("python/README.md").encode() in described
    assert (said["Name"], said["Version"]) == ("void-service-client", VERSION)
    needs = map(Requirement, said.get_all("Requires-Dist", []))
    assert [str(wanted) for wanted in needs if version(wanted.name) not in wanted.specifier] == []
    with tarfile.open(sdist) as source:
        inside = {name.partition("/")[2] for name in source.getnames()}
    # The back end adds the repository's .gitignore, which names what is generated and nothing else.
    assert inside - {".gitignore"} == package | ALSO | {"pyproject.toml", "PKG-INFO"}


def test_the_python_package_runs_where_it_is_copied_to(tmp_path: Path) -> None:
    shutil.copytree(CLIENTS / "python" / "void_client", tmp_path / "void_client")
    done = run(sys.executable, "-W", "error", "-m", "void_client", folder=tmp_path, IDEMPOTENCY_KEY="k")
    assert (done.returncode, done.stderr.partition(",")[0]) == (3, "invalid-argument: ORDER_ID and CURRENCY are needed")


WRONG_PYTHON = """
from void_client import VoidClient
client = VoidClient("https://x.example/v1", "eu-central-1")
client.void("1", "UAH")
client.void(1, "UAH", idempotency_key="k")
client.voids("open")
amount: float | None = (client.read("1")["provider"] or {})["amount"]
client.read("1")["nothing"]
client.decide("1", "maybe", revision="0", note="n")
"""


def test_the_python_client_and_its_readme_are_typed_for_the_oldest_python(scratch: Path) -> None:
    for file in (CLIENTS / "python" / "void_client").glob("*.py"):
        ast.parse(file.read_text(), feature_version=(3, 10))
    (scratch / "readme.py").write_text(readme_code("python"))
    (scratch / "wrong.py").write_text(WRONG_PYTHON)
    strict = ("--strict", "--no-incremental", "--config-file", "", "--python-version", "3.10")
    python = ("--python-executable", installed("python").driver[0])
    right, wrong = (
        run(sys.executable, "-m", "mypy", *strict, *python, name, folder=scratch) for name in ("readme.py", "wrong.py")
    )
    assert right.returncode == 0, right.stdout
    lines = {int(number) for number in re.findall(r"^wrong\.py:(\d+): error", wrong.stdout, re.MULTILINE)}
    assert lines == set(range(4, 10)), wrong.stdout


VOID = SCHEMAS["Void"]
SHAPES = {
    name: list(SCHEMAS[name]["properties"])
    for name in ("Provider", "Review", "Attempt", "Operation", "Decision", "Webhook")
}
SHAPES |= {"VoidRecord": VOID["required"], "Step": VOID["properties"]["history"]["items"]["required"]}
WHOLE = SHAPES | {"VoidWithWebhooks": list(VOID["properties"]), "Problem": list(SCHEMAS["Problem"]["properties"])}
REASONS = {reason for reason in VOID["properties"]["reason"]["enum"] if reason}


def test_python_s_types_are_the_contract_s() -> None:
    assert {name: list(get_type_hints(getattr(records, name))) for name in WHOLE} == WHOLE
    literals = {"State": set(SCHEMAS["State"]["enum"]), "Evidence": set(SCHEMAS["Evidence"]["enum"]), "Reason": REASONS,
                "End": set(SCHEMAS["Attempt"]["properties"]["end"]["enum"]) - {None}}  # fmt: skip
    assert {name: set(get_args(getattr(records, name))) for name in literals} == literals
    known = TABLE["own"] | {name: rest for name, (_, *rest) in TABLE["problems"].items()}
    assert {name: [kind.__name__, advice] for name, (kind, advice) in errors.PROBLEMS.items()} == known


# ---- Node ------------------------------------------------------------------------------------------------------------


def test_the_tarball_holds_the_one_file_and_its_types() -> None:
    (tarball,) = installed("node").artifacts
    with tarfile.open(tarball) as archive:
        inside = {"package.json", "void-client.mjs", "void-client.d.mts"} | ALSO
        assert set(archive.getnames()) == {f"package/{name}" for name in inside}
        packed = archive.extractfile("package/void-client.mjs")
        assert packed is not None
        assert packed.read() == text("node/void-client.mjs").encode()


def compile_types(code: str, folder: Path) -> str:
    """The errors of a merchant's TypeScript, with the package as it is installed and nothing of its sources."""
    client = installed("node")
    (folder / "node_modules").symlink_to(Path(client.driver[1]).parent / "node_modules")
    return typescript(code, folder, exactOptionalPropertyTypes=True, lib=["es2023"])


LISTED = {
    "Review": "reviews",
    "Attempt": "attempts",
    "Operation": "operations",
    "Decision": "decisions",
    "Step": "history",
}


def test_node_s_types_are_the_contract_s_and_refuse_what_is_not(scratch: Path) -> None:
    values = {
        "RECORD": as_text({name: VOID["example"][name] for name in VOID["required"]}),
        "STATES": dict.fromkeys(SCHEMAS["State"]["enum"], 1), "REASONS": dict.fromkeys(REASONS, 1),
        "PROBLEM": as_text(body_of({"status": 409, "problem": "not-voidable", "with": {"void": {}}})),
    }  # fmt: skip
    code = (DRIVERS / "merchant.mts").read_text()
    for name, value in values.items():
        code = code.replace(f" = {name};", f" = {json.dumps(value)};")
    for name, members in WHOLE.items():
        path, keys = (
            f'VoidRecord["{LISTED[name]}"][0]' if name in LISTED else name,
            json.dumps(dict.fromkeys(members, 1)),
        )
        code += f"export const {name}Keys: Record<keyof Required<{path}>, 1> = {keys};\n"
    assert compile_types(code, scratch) == ""


def test_node_s_code_in_the_readme_is_typed(scratch: Path) -> None:
    assert compile_types(readme_code("js"), scratch) == ""


def as_text(value: Any) -> Any:
    """Amounts as Node and PHP have them."""
    if isinstance(value, dict):
        return {key: str(one) if key == "amount" and one is not None else as_text(one) for key, one in value.items()}
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
    shapes = dict(re.findall(r"@phpstan-type (\w+) array\{([^{}]*?)\}$", text("php/VoidClient.php"), re.MULTILINE))
    assert {name: re.findall(r"(\w+)\??: ", shapes[name]) for name in SHAPES} == SHAPES


def test_composer_installs_the_php_package(tmp_path: Path) -> None:
    installed("php")
    if shutil.which("composer") is None:
        pytest.skip("needs composer")
    repositories = [{"type": "path", "url": str(CLIENTS / "php")}, {"packagist.org": False}]
    project = {"repositories": repositories, "require": {"void-service/client": VERSION}}
    (tmp_path / "composer.json").write_text(json.dumps(project))
    home = {"COMPOSER_ALLOW_SUPERUSER": "1", "COMPOSER_HOME": str(tmp_path)}
    succeed("composer", "install", "--no-interaction", folder=tmp_path, **home)
    code = "require 'vendor/autoload.php'; echo VoidService\\VoidClient::VERSION;"
    assert succeed("php", "-r", code, folder=tmp_path) == VERSION


def test_php_s_code_in_the_readme_is_php(tmp_path: Path) -> None:
    installed("php")
    (tmp_path / "readme.php").write_text(f"<?php\n{readme_code('php')}")
    succeed("php", "-l", tmp_path / "readme.php")
