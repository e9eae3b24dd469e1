"""What must stay equal or apart in this project is checked here, not remembered.

The README's map and the files; which part may import which; versions named twice; the contract; no secret in a file.
"""

import ast
import functools
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from copy import replace
from pathlib import Path
from typing import Any

import pytest
from openapi_schema_validator import OAS30Validator
from openapi_spec_validator import validate

from answers import ANSWERS, PROBLEMS, with_webhooks
from payments.claims import Result
from payments.facts import Decision, Evidence, FailureReason, State, Word
from payments.messages import PROVIDER_FIELDS, wrong_order_id
from payments.reviews import Reason, Review
from tests.fakes import pipe
from tests.fakes.scene import START

ROOT = Path(__file__).resolve().parents[2]
AROUND = {"acceptance", "infra", "local", "ops", "play", "proof"}
FUNCTIONS = ROOT / "functions"
PAYMENTS = FUNCTIONS / "payments"
HANDLERS = ("submit_void", "read_voids", "receive_webhook", "settle_voids", "decide")
PURE = (
    "exact_json", "messages", "signatures", "facts", "operations", "evidence", "verdict", "reviews", "schedule", "orders",
    "claims", "facts_text", "items", "cursors",
)  # fmt: skip


@functools.cache
def files() -> list[str]:
    """Every file that git tracks or would track."""
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    )  # fmt: skip
    return [name for name in listing.stdout.splitlines() if (ROOT / name).is_file()]


@functools.cache
def imports(path: Path) -> set[str]:
    """The modules that a file imports when it runs; what only the type checker reads does not count."""
    return set(_imports(ast.parse(path.read_text())))


def _imports(node: ast.AST) -> Iterator[str]:
    for child in ast.iter_child_nodes(node):
        match child:
            case ast.If(test=ast.Name(id="TYPE_CHECKING")):
                for otherwise in child.orelse:
                    yield from _imports(otherwise)
            case ast.Import():
                yield from (alias.name for alias in child.names)
            case ast.ImportFrom():
                assert child.level == 0, "imports are absolute here"
                yield child.module or ""
                yield from (f"{child.module}.{alias.name}" for alias in child.names)
            case _:
                yield from _imports(child)


def roots(path: Path) -> set[str]:
    return {name.partition(".")[0] for name in imports(path)}


def python_files(folder: str) -> list[Path]:
    return [ROOT / name for name in files() if name.startswith(f"{folder}/") and name.endswith(".py")]


def reaches(module: str) -> set[str]:
    """Our own modules below functions/ that one of them imports, directly or not."""
    seen: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        path = FUNCTIONS / (name.replace(".", "/") + ".py")
        if name in seen or not path.is_file():
            continue
        seen.add(name)
        waiting.extend(imports(path))
    return seen


def readme_map() -> list[tuple[str, ...]]:
    """The paths that the README's map lists; four spaces are one level."""
    text = (ROOT / "README.md").read_text()
    block = re.search(r"## Map\n.*?```text\n(.*?)```", text, re.DOTALL)
    assert block is not None, "the README has a map"
    paths: list[tuple[str, ...]] = []
    for line in block[1].splitlines():
        level = (len(line) - len(line.lstrip())) // 4
        above = paths[-1][:level] if paths else ()
        paths.append((*above, line.split()[0].rstrip("/")))
    return paths


# The README's map


def test_the_map_lists_every_top_level_entry_and_nothing_else() -> None:
    listed = {path[0] for path in readme_map()}
    assert listed == {name.split("/")[0] for name in files()}


def test_the_map_lists_every_file_of_functions_and_nothing_else() -> None:
    listed = {"/".join(path) for path in readme_map() if path[0] == "functions" and "." in path[-1]}
    assert listed == {name for name in files() if name.startswith("functions/") and not name.endswith("__init__.py")}


def test_everything_on_the_map_exists() -> None:
    assert [path for path in readme_map() if not ROOT.joinpath(*path).exists()] == []


def test_the_readme_stays_short_and_its_commands_exist() -> None:
    text = (ROOT / "README.md").read_text()
    assert len(text.splitlines()) <= 150
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"`make ([a-z]+)", text)) <= targets


# Dependencies point one way


@pytest.mark.parametrize("module", PURE)
def test_pure_files_import_the_standard_library_only(module: str) -> None:
    foreign = roots(PAYMENTS / f"{module}.py") - sys.stdlib_module_names
    assert foreign <= {"payments"}
    assert reaches(f"payments.{module}") <= {f"payments.{name}" for name in PURE}


@pytest.mark.parametrize("path", python_files("functions"), ids=lambda path: path.relative_to(FUNCTIONS).as_posix())
def test_functions_know_nothing_of_the_parts_around_them(path: Path) -> None:
    assert not roots(path) & {*AROUND, "tests", "aws_cdk", "constructs"}


@pytest.mark.parametrize("path", python_files("functions/payments"), ids=lambda path: path.stem)
def test_the_domain_knows_no_handler_and_no_gateway(path: Path) -> None:
    assert not roots(path) & {*HANDLERS, "answers", "lambda_http", "queries", "systems", "telemetry"}


@pytest.mark.parametrize("path", python_files("infra"), ids=lambda path: path.stem)
def test_infra_does_not_import_what_it_deploys(path: Path) -> None:
    assert not roots(path) & {*HANDLERS, "lambda_http", "payments", "functions", "local", "tests"}


def test_only_one_file_speaks_to_the_provider() -> None:
    networking = {"urllib3", "socket", "ssl", "http", "urllib.request", "requests", "httpx"}
    speaking = {path.stem for path in python_files("functions") if (imports(path) | roots(path)) & networking}
    assert speaking == {"connection", "provider"}


@pytest.mark.parametrize(("call", "only"), [
    (r"\b(get|put|update|delete)_item\b|\btransact_write_items\b|\"query\",", {"store"}),
    (r"\bget_secret_value\b", {"secret"}),
    (r"\bos\.environ(\[|\.get)|\bgetenv\b|\benviron\.get", {"settings"}),
    (r"\bboto3\.(client|resource|Session)\b", {"systems"}),
])  # fmt: skip
def test_only_one_file_speaks_to_each_outside_system(call: str, only: set[str]) -> None:
    assert {path.stem for path in python_files("functions") if re.search(call, path.read_text())} <= only


@pytest.mark.parametrize(("handler", "given"), [
    ("submit_void", "systems_that_send"), ("read_voids", "systems"), ("settle_voids", "systems"), ("decide", "systems"),
    ("receive_webhook", "storage"),
])  # fmt: skip
def test_only_one_function_is_given_what_sends_and_the_webhooks_no_provider(handler: str, given: str) -> None:
    # IAM cannot say which function may speak to the provider, so what each builds does.
    built = imports(FUNCTIONS / f"{handler}.py") & {"systems.storage", "systems.systems", "systems.systems_that_send"}
    assert built == {f"systems.{given}"}


def test_nothing_at_the_root_of_the_asset_shadows_a_module() -> None:
    names = {path.stem for path in FUNCTIONS.iterdir() if path.suffix == ".py" or path.is_dir()} - {"__pycache__"}
    shipped = {name.replace("-", "_") for name in pins(FUNCTIONS / "requirements.txt")}
    assert not names & (sys.stdlib_module_names | shipped | {"dateutil", "aws_lambda_powertools", "app"})


# Versions that are named in more than one place


def pins(path: Path) -> dict[str, str]:
    return dict(re.findall(r"^([A-Za-z0-9_.-]+)(?:\[[^]]*\])?==([^\s;\\]+)", path.read_text(), re.MULTILINE))


def test_every_place_names_the_same_python() -> None:
    version = (ROOT / ".python-version").read_text().strip()
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]
    assert settings["mypy"]["python_version"] == version
    assert settings["ruff"]["target-version"] == "py" + version.replace(".", "")
    runtimes = {found for path in python_files("infra") for found in re.findall(r"PYTHON_(\d+_\d+)", path.read_text())}
    assert runtimes == {version.replace(".", "_")}


def test_the_type_checker_reads_every_module_of_the_cdk_that_we_name() -> None:
    overrides = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["mypy"]["overrides"]
    read = {module for each in overrides if each.get("follow_imports") == "normal" for module in each["module"]}
    named = {name for folder in ("infra", "tests") for path in python_files(folder) for name in imports(path)}
    modules = {name for name in named if re.fullmatch(r"aws_cdk(\.[a-z_0-9]+)?", name)}
    assert modules == read, "the types of a module that is not read are Any, without a word"


@pytest.mark.parametrize("shipped", ["requirements.txt", "functions/requirements.txt"])
def test_developers_have_what_ships_in_the_same_versions(shipped: str) -> None:
    assert pins(ROOT / shipped).items() <= pins(ROOT / "requirements-dev.txt").items()


@pytest.mark.parametrize("requirements", ["requirements.txt", "functions/requirements.txt", "requirements-dev.txt"])
def test_every_requirement_is_pinned(requirements: str) -> None:
    lines = (ROOT / requirements).read_text().splitlines()
    assert [line for line in lines if re.match(r"[A-Za-z0-9]", line) and "==" not in line] == []


# The contract


@pytest.fixture(scope="module")
def contract() -> dict[str, Any]:
    document: dict[str, Any] = json.loads((ROOT / "docs" / "openapi.json").read_text())
    return document


def operations(contract: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in contract["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


def deref(contract: Mapping[str, Any], value: dict[str, Any]) -> dict[str, Any]:
    if "$ref" not in value:
        return value
    for name in value["$ref"].removeprefix("#/").split("/"):
        contract = contract[name]
    return dict(contract)


def test_the_contract_and_the_functions_name_the_same_problems(contract: dict[str, Any]) -> None:
    named = {f"urn:void-service:problem:{name}" for name in PROBLEMS}
    assert set(contract["components"]["schemas"]["Problem"]["properties"]["type"]["enum"]) == named


def test_the_contract_and_the_functions_name_the_same_fields(contract: dict[str, Any]) -> None:
    schemas = contract["components"]["schemas"]
    word = Decision(START, "operator", Word.NOT_VOIDED, "note", "0" * 16, State.PENDING, None, 1)
    order = replace(pipe.order_in(State.PENDING).decided(word), reviews=(Review(Reason.VANISHED, "o", 1),))
    record: dict[str, Any] = json.loads(json.dumps(with_webhooks(order, START), default=str))
    assert tuple(schemas["Provider"]["properties"]) == PROVIDER_FIELDS
    assert list(schemas["Void"]["properties"]) == list(record)
    assert schemas["Void"]["required"] == list(record)[:-2]
    for name, member in (("Review", "reviews"), ("Attempt", "attempts"), ("Operation", "operations"),
                         ("Decision", "decisions")):  # fmt: skip
        assert list(schemas[name]["properties"]) == schemas[name]["required"] == list(record[member][0])
    for shown, enum in (
        (schemas["State"]["enum"], list(State)),
        (schemas["Void"]["properties"]["reason"]["enum"], [*FailureReason, None]),
        (schemas["Evidence"]["enum"], list(Evidence)),
        (schemas["Review"]["properties"]["reason"]["enum"], list(Reason)),
        (schemas["DecisionRequest"]["properties"]["decision"]["enum"], list(Word)),
    ):
        assert shown == enum


def test_the_contract_is_valid_openapi(contract: dict[str, Any]) -> None:
    assert contract["openapi"] == "3.0.3"
    validate(contract)


ORDER_IDS = [
    "123", "x" * 32, "007", "00", "a b", "a/b", "%", "+", '"', "é", "ї №5", "\U0001f642", "#", "-", "...", "0.",
    "", "x" * 33, ".", "..", "0", " 1", "1 ", "a\n", "\n", "1\n", "a\tb", "\x00", "\x7f", "\u00a0a", "a\u200bb", "\u2028", "a\ufeff",
    "\ue000", "\ufffd",
]  # fmt: skip


@pytest.mark.parametrize("order_id", ORDER_IDS)
def test_the_contract_and_the_functions_allow_the_same_orders(contract: dict[str, Any], order_id: str) -> None:
    allowed = wrong_order_id(order_id) is None
    schemas = [contract["components"]["schemas"]["VoidRequest"]["properties"]["order_id"]]
    schemas += [parameter["schema"] for parameter in contract["paths"]["/voids/{order_id}"]["get"]["parameters"][:1]]
    for schema in schemas:
        assert OAS30Validator(schema).is_valid(order_id) is allowed


def test_examples_of_the_contract_quote_what_the_functions_say(contract: dict[str, Any]) -> None:
    examples = contract["paths"]["/voids"]["post"]["responses"]["409"]["content"]["application/problem+json"][
        "examples"
    ]
    for name in ("in-progress", "too-many-attempts"):
        told = examples[name]["value"]
        assert told["title"] == PROBLEMS[name].title
        assert told["detail"] == ANSWERS[Result(name)].detail


def test_every_example_of_the_contract_fits_its_schema(contract: dict[str, Any]) -> None:
    checked = 0
    for name, operation in operations(contract):
        bodies = [operation["requestBody"]] if "requestBody" in operation else []
        bodies += [deref(contract, answer) for answer in operation["responses"].values()]
        for content in (content for body in bodies for content in body.get("content", {}).values()):
            validator = OAS30Validator({"allOf": [content["schema"]], "components": contract["components"]})
            for label, example in content["examples"].items():
                assert [error.message for error in validator.iter_errors(example["value"])] == [], f"{name}: {label}"
                checked += 1
    assert checked > 30


def test_every_status_that_is_an_error_names_its_problem_types(contract: dict[str, Any]) -> None:
    known = set(contract["components"]["schemas"]["Problem"]["properties"]["type"]["enum"])
    seen: set[str] = set()
    for name, operation in operations(contract):
        for status, answer in operation["responses"].items():
            if status.startswith("2"):
                continue
            content = deref(contract, answer)["content"]
            assert list(content) == ["application/problem+json"], f"{name} {status}"
            narrowed = content["application/problem+json"]["schema"]["allOf"][1]["properties"]
            assert narrowed["status"]["enum"] == [int(status)], f"{name} {status}"
            seen |= set(narrowed["type"]["enum"])
    assert seen == known


def test_the_record_has_every_key_of_the_record_and_all_sixteen_provider_fields(contract: dict[str, Any]) -> None:
    schemas = contract["components"]["schemas"]
    assert len(schemas["Provider"]["required"]) == 16
    assert set(schemas["Provider"]["required"]) == set(schemas["Provider"]["properties"])
    assert schemas["Void"]["properties"].keys() - set(schemas["Void"]["required"]) == {"webhooks", "webhooks_truncated"}


# What must not be in the files

SECRETS = {
    "a private key": r"-----BEGIN [A-Z ]*PRIVATE KEY-----",
    "an AWS access key": r"\b(AKIA|ASIA)[A-Z2-7]{16}\b",
    "a package index": r"--(extra-)?index-url|--find-links|files\.pythonhosted|registry\.npmjs|pypi\.org/simple",
    "somebody's home": r"/(home|Users)/[a-z]+/",
}


@pytest.mark.parametrize("what", SECRETS)
def test_no_file_holds(what: str) -> None:
    this = Path(__file__).resolve().relative_to(ROOT).as_posix()
    texts = {name: (ROOT / name).read_text(errors="replace") for name in files() if name != this}
    assert [name for name, text in texts.items() if re.search(SECRETS[what], text)] == []
