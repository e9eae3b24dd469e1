"""The client packages: what is in them, that their types and versions are the contract's, and that README's code is right.

And clients that others generate from the contract.
"""

import ast
import json
import re
import shutil
import sys
import tarfile
import tomllib
from datetime import UTC, datetime
from importlib.metadata import distributions, version
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
import uv
from packaging.requirements import Requirement
from void_client import errors, records

from tests.integration.clients import packages
from tests.integration.clients.packages import CLIENTS, DRIVERS, ROOT, installed, run, succeed, typescript
from tests.integration.clients.raw_server import RawServer, answer
from tests.integration.test_client_answers import CONTRACT, RECORD, TABLE, body_of, bytes_of

OPENAPI = ROOT / "docs" / "openapi.json"
SCHEMAS, VERSION = CONTRACT["components"]["schemas"], CONTRACT["info"]["version"]
VOID = SCHEMAS["Void"]
SHAPES = {
    name: list(SCHEMAS[name]["properties"])
    for name in ("Provider", "Review", "Attempt", "Operation", "Decision", "Webhook")
} | {"VoidRecord": VOID["required"], "Step": VOID["properties"]["history"]["items"]["required"]}
WHOLE = SHAPES | {"VoidWithWebhooks": list(VOID["properties"]), "Problem": list(SCHEMAS["Problem"]["properties"])}
REASONS = {reason for reason in VOID["properties"]["reason"]["enum"] if reason}
ALSO = {"README.md", "LICENSE"}


def text(name: str) -> str:
    return (CLIENTS / name).read_text()


def readme_code(language: str) -> str:
    """All of README's code in a language."""
    return "\n".join(re.findall(rf"^```{language}\n(.*?)^```", text("README.md"), re.MULTILINE | re.DOTALL))


def test_every_place_names_the_version_of_the_contract() -> None:
    for file, named in (
        ("python/void_client/transport.py", r'^VERSION = "(.+?)"'),
        ("node/void-client.mjs", r'^export const VERSION = "(.+?)"'),
        ("node/package.json", r'^  "version": "(.+?)"'),
        ("node/package-lock.json", r'^  "version": "(.+?)"'),
        ("node/package-lock.json", r'^      "version": "(.+?)",\n      "license": "MIT",\n      "dependencies"'),
        ("php/VoidClient.php", r"public const VERSION = '(.+?)'"),
        ("php/composer.json", r'"version": "(.+?)"'),
        ("README.md", r"void_service_client-(.+?)-py3"),
    ):
        assert set(re.findall(named, text(file), re.MULTILINE)) == {VERSION}, (file, named)


def test_what_is_installed_to_build_them_is_pinned_and_the_licence_is_the_project_s() -> None:
    build = tomllib.loads(text("python/pyproject.toml"))["build-system"]
    assert build["requires"] == [f"hatchling=={version('hatchling')}"]
    assert f"hatchling=={version('hatchling')}\n" in (ROOT / "requirements-dev.txt").read_text()
    package = json.loads(text("node/package.json"))
    named = package["dependencies"] | package["devDependencies"]
    assert [name for name, pin in named.items() if not re.fullmatch(r"\d+\.\d+\.\d+", pin)] == []
    assert {text(f"{name}/LICENSE") for name in ("python", "node", "php")} == {(ROOT / "LICENSE").read_text()}


def test_readme_says_what_to_do_after_each_problem() -> None:
    rows = re.findall(r"^\| `(\w+)` \| ((?:`[a-z-]+`(?:, )?)+) \|", text("README.md"), re.MULTILINE)
    said = {(group, name) for group, names in rows for name in re.findall("`([a-z-]+)`", names)}
    own = {(group, name) for name, (group, _) in TABLE["own"].items()}
    assert said == {(group, name) for name, (_, group, _) in TABLE["problems"].items()} | own


# ---- Python ----------------------------------------------------------------------------------------------------------


def test_the_wheel_holds_the_package_and_says_that_it_has_types() -> None:
    home = installed("python").home
    (wheel,) = distributions(path=[str(home / "site")])
    package = {f"void_client/{path.name}" for path in (CLIENTS / "python" / "void_client").iterdir() if path.is_file()}
    also = {f"void_service_client-{VERSION}.dist-info/licenses/LICENSE", "bin/void-client"}
    names = {file.as_posix() for file in wheel.files or () if "__pycache__" not in file.parts}
    assert {name for name in names if ".dist-info/" not in name or "LICENSE" in name} == package | also
    assert (wheel.name, wheel.version) == ("void-service-client", VERSION)
    assert text("python/README.md") == wheel.metadata.json["description"]
    needs = map(Requirement, wheel.requires or ())
    assert [str(wanted) for wanted in needs if version(wanted.name) not in wanted.specifier] == []
    (sdist,) = home.glob("*.tar.gz")
    with tarfile.open(sdist) as source:
        inside = {name.partition("/")[2] for name in source.getnames()}
    # The back end adds the repository's .gitignore, which names what is generated and nothing else.
    assert inside - {".gitignore"} == package | ALSO | {"pyproject.toml", "PKG-INFO"}


def test_the_python_package_runs_where_it_is_copied_to_and_reads_as_the_oldest_python(tmp_path: Path) -> None:
    folder = shutil.copytree(CLIENTS / "python" / "void_client", tmp_path / "void_client")
    for file in folder.glob("*.py"):
        ast.parse(file.read_text(), feature_version=(3, 10))
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


@pytest.mark.proof
def test_the_python_client_and_its_readme_are_typed_for_the_oldest_python(tmp_path: Path) -> None:
    (tmp_path / "readme.py").write_text(readme_code("python"))
    (tmp_path / "wrong.py").write_text(WRONG_PYTHON)
    how = ("--strict", "--no-incremental", "--config-file", "", "--python-version", "3.10", "readme.py", "wrong.py")
    package = installed("python").environment["PYTHONPATH"]
    done = run(sys.executable, "-m", "mypy", *how, folder=tmp_path, MYPYPATH=package)
    found = re.findall(r"^(.+?\.py:\d+): error", done.stdout, re.MULTILINE)
    assert set(found) == {f"wrong.py:{number}" for number in range(4, 10)}, done.stdout


def test_python_s_types_are_the_contract_s() -> None:
    assert {name: list(get_type_hints(getattr(records, name))) for name in WHOLE} == WHOLE
    literals = {"State": set(SCHEMAS["State"]["enum"]), "Evidence": set(SCHEMAS["Evidence"]["enum"]), "Reason": REASONS,
                "End": set(SCHEMAS["Attempt"]["properties"]["end"]["enum"]) - {None}}  # fmt: skip
    assert {name: set(get_args(getattr(records, name))) for name in literals} == literals
    known = TABLE["own"] | {name: rest for name, (_, *rest) in TABLE["problems"].items()}
    assert {name: [kind.__name__, advice] for name, (kind, advice) in errors.PROBLEMS.items()} == known


# ---- Node ------------------------------------------------------------------------------------------------------------


def test_the_tarball_holds_the_one_file_and_its_types() -> None:
    package = installed("node").home / "project" / "node_modules" / "void-service-client"
    inside = {"package.json", "void-client.mjs", "void-client.d.mts"} | ALSO
    assert {file.name for file in package.iterdir()} == inside
    assert (package / "void-client.mjs").read_text() == text("node/void-client.mjs")


def test_node_s_types_are_the_contract_s_refuse_what_is_not_and_fit_the_readme(tmp_path: Path) -> None:
    values = {
        "RECORD": as_text({name: VOID["example"][name] for name in VOID["required"]}),
        "STATES": dict.fromkeys(SCHEMAS["State"]["enum"], 1), "REASONS": dict.fromkeys(REASONS, 1),
        "PROBLEM": as_text(body_of({"status": 409, "problem": "not-voidable", "with": {"void": {}}})),
    }  # fmt: skip
    code = (DRIVERS / "merchant.mts").read_text()
    for name, value in values.items():
        code = code.replace(f" = {name};", f" = {json.dumps(value)};")
    for name, members in WHOLE.items():
        path = "history" if name == "Step" else f"{name.lower()}s"
        path = f'VoidRecord["{path}"][0]' if path in VOID["required"] else name
        keys = json.dumps(dict.fromkeys(members, 1))
        code += f"export const {name}Keys: Record<keyof Required<{path}>, 1> = {keys};\n"
    (tmp_path / "merchant.mts").write_text(code)
    (tmp_path / "readme.mts").write_text(readme_code("js"))
    # The package as it is installed, and nothing of its sources.
    (tmp_path / "node_modules").symlink_to(installed("node").home / "project" / "node_modules")
    how: dict[str, Any] = {"exactOptionalPropertyTypes": True, "lib": ["es2023"]}
    assert typescript(tmp_path, "merchant.mts", "readme.mts", **how) == ""


def as_text(value: Any) -> Any:
    """Amounts as Node and PHP have them."""
    if isinstance(value, dict):
        return {key: str(one) if key == "amount" and one is not None else as_text(one) for key, one in value.items()}
    return [as_text(each) for each in value] if isinstance(value, list) else value


# ---- PHP -------------------------------------------------------------------------------------------------------------


def test_php_signs_as_the_vectors_that_aws_publishes() -> None:
    vectors = json.loads((ROOT / "tests" / "vectors" / "aws-sigv4.json").read_text())
    shared = {"call": "sign", "region": vectors["region"], "service": vectors["service"]}
    shared["now"] = int(datetime.strptime(vectors["date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp())
    cases = [
        shared | case | {"url": f"https://{vectors['host']}{case['target']}"}
        | {"credentials": {"key": vectors["key"], "secret": vectors["secret"], "token": case["token"]}}
        for case in vectors["cases"]
    ]  # fmt: skip
    got = [outcome["returned"].partition("Signature=")[2] for outcome in packages.Merchant("php").call(*cases)]
    assert len(cases) > 20
    assert got == [case["signature"] for case in cases]


def test_php_s_types_are_the_contract_s() -> None:
    """Of the text, so that it is checked where there is no PHP, too."""
    shapes = dict(re.findall(r"@phpstan-type (\w+) array\{([^{}]*?)\}$", text("php/VoidClient.php"), re.MULTILINE))
    assert {name: re.findall(r"(\w+)\??: ", shapes[name]) for name in SHAPES} == SHAPES


def test_composer_installs_the_php_package(tmp_path: Path) -> None:
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
    (tmp_path / "readme.php").write_text(f"<?php\n{readme_code('php')}")
    succeed(*installed("php").program[:1], "-l", tmp_path / "readme.php")


# ---- generated by others ---------------------------------------------------------------------------------------------


@pytest.fixture
def answering(server: RawServer) -> str:
    """An API to which a program submits twice, and from which it reads once."""
    accepted, both = RECORD | {"state": "pending"}, RECORD | {"webhooks": [], "webhooks_truncated": False}
    return server.script("generated", answer(202, accepted), bytes_of("not voidable"), answer(200, both))


@pytest.mark.proof
def test_a_generated_python_client_submits_and_reads(tmp_path: Path, answering: str) -> None:
    tool: list[str | Path] = [uv.find_uv_bin(), "tool", "run", "--from", "openapi-python-client==0.26.2"]
    how: list[str | Path] = ["generate", "--path", OPENAPI, "--meta", "none", "--output-path", "generated"]
    done = run(*tool, "openapi-python-client", *how, folder=tmp_path)
    # A generator that a registry out of reach keeps from us is no fault of the contract.
    if done.returncode != 0 and re.search("dns error|Failed to fetch|error sending request", done.stderr):
        pytest.skip(f"needs a registry: {done.stderr.splitlines()[-1]}")
    assert done.returncode == 0, done.stdout + done.stderr
    shutil.copy(DRIVERS / "generated.py", tmp_path / "use.py")
    succeed(*tool, "python", "use.py", answering, folder=tmp_path)


@pytest.mark.proof
def test_generated_typescript_types_compile_and_fit_what_is_answered(tmp_path: Path, answering: str) -> None:
    how = ["exec", "--yes", "--package", "openapi-typescript@7.13.0", "--", "openapi-typescript"]
    made = packages.npm(*how, OPENAPI, "-o", "api.d.ts", folder=tmp_path)
    if not (tmp_path / "api.d.ts").exists():
        pytest.skip(f"npm without the registry: {made.stderr[:200]}")
    use = shutil.copy(DRIVERS / "generated.mts", tmp_path)
    assert typescript(tmp_path, "generated.mts", allowImportingTsExtensions=True) == ""
    assert succeed(packages.NODE, use, answering, folder=tmp_path) == "pending failed 0 100\n"
