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
from typing import Any
from urllib.parse import quote

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from packaging.requirements import Requirement

from tests.integration.clients.packages import (
    CLIENTS,
    HOME,
    ROOT,
    Installed,
    Merchant,
    installed,
    node_tools,
    run,
    succeed,
)
from tests.integration.test_client_answers import CONTRACT, PROBLEMS, as_text, class_of
from tests.integration.test_clients import ORDER_IDS

SCHEMAS = CONTRACT["components"]["schemas"]
VECTORS = json.loads((ROOT / "tests" / "vectors" / "aws-sigv4.json").read_text())
SIGNED_AT = datetime.strptime(VECTORS["date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
PYTHON_FILE = CLIENTS / "python" / "void_client.py"
NODE_FILE = CLIENTS / "node" / "void-client.mjs"
PHP_FILE = CLIENTS / "php" / "VoidClient.php"


@pytest.fixture
def scratch(request: pytest.FixtureRequest) -> Path:
    """A folder below the project's cache, where a tool finds what is installed there."""
    folder = HOME / "scratch" / re.sub(r"\W+", "-", request.node.name)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def test_every_place_names_the_version_of_the_contract() -> None:
    package, lock = (
        json.loads((CLIENTS / "node" / name).read_text()) for name in ("package.json", "package-lock.json")
    )
    places = {
        "python": re.search(r'^__version__ = "(.+?)"', PYTHON_FILE.read_text(), re.MULTILINE),
        "node": re.search(r'^export const VERSION = "(.+?)"', NODE_FILE.read_text(), re.MULTILINE),
        "php": re.search(r"public const VERSION = '(.+?)'", PHP_FILE.read_text()),
        "README.md": re.search(r"void_service_client-(.+?)-py3", (CLIENTS / "README.md").read_text()),
    }
    named = {name: found and found[1] for name, found in places.items()} | {
        "package.json": package["version"],
        "package-lock.json": lock["version"],
        "package-lock.json of the root": lock["packages"][""]["version"],
        "composer.json": json.loads((CLIENTS / "php" / "composer.json").read_text())["version"],
    }
    assert named == dict.fromkeys(named, CONTRACT["info"]["version"])


def test_what_is_installed_to_build_them_is_pinned() -> None:
    build = tomllib.loads((CLIENTS / "python" / "pyproject.toml").read_text())["build-system"]
    assert build["requires"] == [f"hatchling=={version('hatchling')}"]
    assert f"hatchling=={version('hatchling')}\n" in (ROOT / "requirements-dev.txt").read_text()
    package = json.loads((CLIENTS / "node" / "package.json").read_text())
    named = package["dependencies"] | package["devDependencies"]
    assert [name for name, pin in named.items() if not re.fullmatch(r"\d+\.\d+\.\d+", pin)] == []


# ---- Python ----------------------------------------------------------------------------------------------------------


def test_the_wheel_holds_the_one_file_and_says_that_it_has_types() -> None:
    wheel, sdist = installed("python").artifacts
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
        assert names == {"void_client/__init__.py", "void_client/py.typed"}
        assert archive.read("void_client/__init__.py") == PYTHON_FILE.read_bytes()
        (metadata,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        told = message_from_bytes(archive.read(metadata))
    assert (told["Name"], told["Version"]) == ("void-service-client", CONTRACT["info"]["version"])
    for text in told.get_all("Requires-Dist", []):
        wanted = Requirement(text)
        assert wanted.specifier.contains(version(wanted.name)), f"the tests run with another {wanted.name}"
    with tarfile.open(sdist) as source:
        inside = {name.partition("/")[2] for name in source.getnames()}
    # The back end adds the repository's .gitignore, which names what is generated and nothing else.
    assert inside - {".gitignore"} == {"void_client.py", "py.typed", "pyproject.toml", "PKG-INFO"}


def test_the_python_file_runs_where_it_is_copied_to(tmp_path: Path) -> None:
    copied = shutil.copy(PYTHON_FILE, tmp_path / "copied.py")
    done = run(sys.executable, "-W", "error", copied, IDEMPOTENCY_KEY="k")
    assert (done.returncode, done.stderr.partition(":")[0]) == (
        3,
        "ORDER_ID and CURRENCY are needed, and one COMMENT may follow",
    )


def mypy(*arguments: str | Path, folder: Path) -> subprocess.CompletedProcess[str]:
    settings = ["--strict", "--no-incremental", "--config-file", "", "--python-version", "3.10"]
    return run(sys.executable, "-m", "mypy", *settings, *arguments, folder=folder)


def test_the_python_client_and_its_readme_are_typed_for_the_oldest_python(scratch: Path) -> None:
    ast.parse(PYTHON_FILE.read_text(), feature_version=(3, 10))
    client = installed("python")
    (scratch / "readme.py").write_text(readme_code("python"))
    (scratch / "right.py").write_text(
        "from decimal import Decimal\n"
        "from void_client import NotSent, VoidClient, VoidError, VoidRecord\n"
        "client = VoidClient('https://x.example/v1', 'eu-central-1', on_wait=lambda error, seconds: print(error.label))\n"
        "record: VoidRecord = client.void('1', 'UAH', idempotency_key='k', wait=0)\n"
        "provider = client.read('1', refresh=True)['provider']\n"
        "total = Decimal(0) + (provider['amount'] if provider and provider['amount'] is not None else 0)\n"
        "states = [void['state'] for void in client.voids('review')]\n"
        "error: VoidError = NotSent('x', retry_after=5)\n"
        "again: int | None = error.retry_after\n"
    )
    (scratch / "wrong.py").write_text(
        "from void_client import VoidClient\n"
        "client = VoidClient('https://x.example/v1', 'eu-central-1')\n"
        "client.void('1', 'UAH')\n"
        "client.void(1, 'UAH', idempotency_key='k')\n"
        "amount: float | None = (client.read('1')['provider'] or {})['amount']\n"
        "client.voids('settled')\n"
        "client.read('1')['nothing']\n"
    )
    python = client.driver[0]
    done = mypy("--python-executable", python, "readme.py", "right.py", folder=scratch)
    assert done.returncode == 0, done.stdout
    done = mypy("--python-executable", python, "wrong.py", folder=scratch)
    lines = {int(number) for number in re.findall(r"^wrong\.py:(\d+): error", done.stdout, re.MULTILINE)}
    assert lines == {3, 4, 5, 6, 7}, done.stdout


def readme_code(language: str) -> str:
    (code,) = re.findall(rf"^```{language}\n(.*?)^```", (CLIENTS / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    return str(code)


def test_python_s_types_are_the_contract_s() -> None:
    tree = {node.name: node for node in ast.parse(PYTHON_FILE.read_text()).body if isinstance(node, ast.ClassDef)}

    def fields(name: str) -> list[str]:
        inherited = [
            field
            for base in tree[name].bases
            if isinstance(base, ast.Name) and base.id in tree
            for field in fields(base.id)
        ]
        own = [
            node.target.id
            for node in tree[name].body
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
        ]
        return inherited + own

    for name, schema in (
        ("Provider", "Provider"), ("VoidRecord", "Void"), ("VoidWithEvents", "VoidWithEvents"), ("Event", "Event"),
        ("Problem", "Problem"),
    ):  # fmt: skip
        assert fields(name) == list(SCHEMAS[schema]["properties"]), name
    assert fields("_Problem") == SCHEMAS["Problem"]["required"]
    assert fields("Step") == SCHEMAS["Void"]["properties"]["history"]["items"]["required"]
    words = {
        node.targets[0].id: {constant.value for constant in ast.walk(node.value) if isinstance(constant, ast.Constant)}
        for node in ast.parse(PYTHON_FILE.read_text()).body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }
    assert words["State"] == set(SCHEMAS["State"]["enum"])
    assert words["Reason"] == set(SCHEMAS["Void"]["properties"]["reason"]["enum"]) - {None}


# ---- Node ------------------------------------------------------------------------------------------------------------


def test_the_tarball_holds_the_one_file_and_its_types() -> None:
    (tarball,) = installed("node").artifacts
    with tarfile.open(tarball) as archive:
        assert set(archive.getnames()) == {
            f"package/{name}" for name in ("package.json", "void-client.mjs", "void-client.d.mts")
        }
        packed = archive.extractfile("package/void-client.mjs")
        assert packed is not None
        assert packed.read() == NODE_FILE.read_bytes()


@pytest.fixture(scope="module")
def typescript() -> tuple[Installed, Path]:
    """The installed Node package, and the compiler that made its types."""
    client, tools = installed("node"), node_tools()
    assert isinstance(tools, Path)
    return client, tools


def compile_types(typescript: tuple[Installed, Path], code: str, folder: Path) -> str:
    """The errors of a merchant's TypeScript, with the package as it is installed and nothing of its sources."""
    client, tools = typescript
    project = Path(client.driver[1]).parent
    (folder / "node_modules").symlink_to(project / "node_modules")
    (folder / "code.mts").write_text(code)
    options = {
        "strict": True,
        "exactOptionalPropertyTypes": True,
        "noEmit": True,
        "module": "nodenext",
        "target": "es2022",
    }
    settings = {"compilerOptions": options | {"types": [], "lib": ["es2022", "dom"]}, "files": ["code.mts"]}
    (folder / "tsconfig.json").write_text(json.dumps(settings))
    done = run(client.program[0], tools / "node_modules" / ".bin" / "tsc", "-p", folder)
    return done.stdout + done.stderr


def test_node_s_types_are_the_contract_s_and_refuse_what_is_not(
    typescript: tuple[Installed, Path], scratch: Path
) -> None:
    record = as_text(SCHEMAS["Void"]["example"])
    event = as_text(SCHEMAS["Event"]["example"])
    examples = "\n".join(
        f"export const problem{number}: Problem = {json.dumps(as_text(problem), default=str)};"
        for number, problem in enumerate(PROBLEMS.values())
    )
    wrong = [
        'client.void("1", "UAH");',
        'client.void(1, "UAH", { idempotencyKey: "k" });',
        'client.void("1", "UAH", { idempotencyKey: "k", amount: 1 });',
        "const amount: number | null | undefined = record.provider?.amount;",
        'client.voids("settled");',
        "record.nothing;",
    ]
    lines = "\n".join(f"// @ts-expect-error\n{line}" for line in wrong)
    code = f"""
import {{ NotSent, RepeatLater, VoidClient, VoidError }} from "void-service-client";
import type {{ Problem, Reason, State, VoidRecord, VoidWithEvents }} from "void-service-client";
const record: VoidRecord = {json.dumps(record)};
export const withEvents: VoidWithEvents = {{ ...record, events: [{json.dumps(event)}], events_truncated: false }};
const states: Record<State, 1> = {json.dumps(dict.fromkeys(SCHEMAS["State"]["enum"], 1))};
const reasons: Record<Reason, 1> = {json.dumps({reason: 1 for reason in SCHEMAS["Void"]["properties"]["reason"]["enum"] if reason})};
export const keys: (keyof VoidRecord)[] = {json.dumps(list(SCHEMAS["Void"]["properties"]))};
export const provider: (keyof NonNullable<VoidRecord["provider"]>)[] = {json.dumps(list(SCHEMAS["Provider"]["properties"]))};
{examples}
const client = new VoidClient("https://x.example/v1", "eu-central-1", {{
  credentials: async () => ({{ accessKeyId: "a", secretAccessKey: "b", sessionToken: "c" }}),
  onWait: (error: RepeatLater, seconds: number) => console.log(error.label, seconds),
}});
const error: VoidError = new NotSent("x", {{ retryAfter: 5 }});
export const told: [number | null, Problem | null, VoidRecord | null] = [error.retryAfter, error.problem, error.record];
for await (const each of client.voids("review")) console.log(each.state, states, reasons);
{lines}
"""
    assert compile_types(typescript, code, scratch) == ""


def test_node_s_code_in_the_readme_is_typed(typescript: tuple[Installed, Path], scratch: Path) -> None:
    assert compile_types(typescript, readme_code("js"), scratch) == ""


# ---- PHP -------------------------------------------------------------------------------------------------------------


def php_signature(cases: list[dict[str, Any]]) -> list[str]:
    got = Merchant(installed("php"), "https://unused.example").call(*cases)
    return [outcome["returned"] for outcome in got]


def sign(method: str, url: str, headers: dict[str, str], body: str, token: str | None) -> dict[str, Any]:
    return {
        "call": "sign", "api": "https://unused.example", "method": method, "url": url, "headers": headers, "body": body,
        "credentials": {"key": VECTORS["key"], "secret": VECTORS["secret"], "token": token},
        "region": VECTORS["region"], "service": VECTORS["service"], "now": int(SIGNED_AT.timestamp()),
    }  # fmt: skip


def test_php_signs_as_the_vectors_that_aws_publishes() -> None:
    cases = VECTORS["cases"]
    given = [
        sign(case["method"], f"https://{VECTORS['host']}{case['target']}", case["headers"], case["body"], case["token"])
        for case in cases
    ]
    got = [authorization.partition("Signature=")[2] for authorization in php_signature(given)]
    assert len(cases) > 20
    assert {case["name"]: sent for case, sent in zip(cases, got, strict=True)} == {
        case["name"]: case["signature"] for case in cases
    }


def test_php_signs_as_botocore_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda *_: SIGNED_AT.replace(tzinfo=None))
    urls = [f"https://a1.example/v1/voids/{quote(order_id, safe='')}" for order_id in ORDER_IDS]
    urls += [
        f"http://127.0.0.1:8080/v1/voids?{query}" for query in ("limit=100&state=review", "state=a&cursor=9&cursor=10")
    ]
    headers = {"content-type": "application/json", "idempotency-key": "k  1"}
    for token in (None, "FQoG/+="):
        expected = []
        for url in urls:
            request = AWSRequest("POST", url, headers=dict(headers), data='{"order_id": "é"}'.encode())
            signer = SigV4Auth(
                Credentials(VECTORS["key"], VECTORS["secret"], token), VECTORS["service"], VECTORS["region"]
            )
            signer.add_auth(request)
            expected.append(request.headers["Authorization"])
        assert php_signature([sign("POST", url, headers, '{"order_id": "é"}', token) for url in urls]) == expected


def test_php_s_types_are_the_contract_s() -> None:
    """Of the text, so that it is checked where there is no PHP, too."""
    text = PHP_FILE.read_text()
    shapes = {
        name: re.findall(r"(\w+)\??: ", shape)
        for name, shape in re.findall(r"@phpstan-type (\w+) array\{(.*?)\}$", text, re.MULTILINE | re.DOTALL)
    }
    assert shapes["Provider"] == list(SCHEMAS["Provider"]["properties"])
    assert shapes["VoidRecord"] == list(SCHEMAS["Void"]["properties"])
    assert shapes["Event"] == list(SCHEMAS["Event"]["properties"])
    names = set(re.findall(r"public const PROBLEM = '([a-z-]+)'", text)) - {"unknown-problem", "not-settled-yet"}
    assert names == set(PROBLEMS)
    assert all(f"final class {class_of(name)} extends " in text for name in names)


def test_the_php_package_has_its_class_and_every_public_method_its_types() -> None:
    installed("php")
    package = json.loads((CLIENTS / "php" / "composer.json").read_text())
    assert package["autoload"] == {"classmap": [PHP_FILE.name]}
    code = f"""
    require {str(PHP_FILE)!r};
    $untyped = [];
    foreach (get_declared_classes() as $class) {{
        if (!str_starts_with($class, 'VoidService\\\\')) continue;
        foreach ((new ReflectionClass($class))->getMethods() as $method) {{
            if ($method->getFileName() !== {str(PHP_FILE)!r}) continue;
            $typed = $method->isConstructor() || $method->hasReturnType();
            foreach ($method->getParameters() as $parameter) $typed = $typed && $parameter->hasType();
            if (!$typed) $untyped[] = "$class::{{$method->getName()}}";
        }}
    }}
    echo json_encode($untyped);
    """
    assert json.loads(succeed("php", "-r", code)) == []


def test_composer_installs_the_php_package(tmp_path: Path) -> None:
    installed("php")
    if shutil.which("composer") is None:
        pytest.skip("needs composer")
    project = {
        "repositories": [{"type": "path", "url": str(CLIENTS / "php")}, {"packagist.org": False}],
        "require": {"void-service/client": CONTRACT["info"]["version"]},
    }
    (tmp_path / "composer.json").write_text(json.dumps(project))
    succeed(
        "composer",
        "install",
        "--no-interaction",
        folder=tmp_path,
        COMPOSER_ALLOW_SUPERUSER="1",
        COMPOSER_HOME=str(tmp_path),
    )
    code = "require 'vendor/autoload.php'; echo VoidService\\VoidClient::VERSION, ' ', VoidService\\NotSent::PROBLEM;"
    assert succeed("php", "-r", code, folder=tmp_path) == f"{CONTRACT['info']['version']} not-sent"


def test_php_s_code_in_the_readme_is_php(tmp_path: Path) -> None:
    installed("php")
    (tmp_path / "readme.php").write_text(f"<?php\n{readme_code('php')}")
    succeed("php", "-l", tmp_path / "readme.php")
