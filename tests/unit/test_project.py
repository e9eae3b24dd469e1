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
FUNCTIONS = ROOT / "functions"
PAYMENTS = FUNCTIONS / "payments"
README = (ROOT / "README.md").read_text()
TOOLS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]
CONTRACT: dict[str, Any] = json.loads((ROOT / "docs" / "openapi.json").read_text())
SCHEMAS = CONTRACT["components"]["schemas"]
PROBLEM_TYPES = SCHEMAS["Problem"]["properties"]["type"]["enum"]
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


def pins(path: Path) -> dict[str, str]:
    return dict(re.findall(r"^([A-Za-z0-9_.-]+)(?:\[[^]]*\])?==([^\s;\\]+)", path.read_text(), re.MULTILINE))


# The README


def readme_map() -> list[tuple[str, ...]]:
    """The paths that the README's map lists; four spaces are one level."""
    block = README.partition("## Map\n")[2].partition("```text\n")[2].partition("```")[0]
    paths: list[tuple[str, ...]] = []
    for line in block.splitlines():
        above = paths[-1][: (len(line) - len(line.lstrip())) // 4] if paths else ()
        paths.append((*above, line.split()[0].rstrip("/")))
    return paths


def test_the_map_lists_each_top_level_entry_and_each_file_of_functions_and_nothing_else() -> None:
    listed = readme_map()
    assert {path[0] for path in listed} == {name.split("/")[0] for name in files()}
    functions = {name for name in files() if name.startswith("functions/") and not name.endswith("__init__.py")}
    assert {"/".join(path) for path in listed if path[0] == "functions" and "." in path[-1]} == functions
    assert [path for path in listed if not ROOT.joinpath(*path).exists()] == []


def test_the_readme_stays_short() -> None:
    assert len(README.splitlines()) <= 150


# Dependencies point one way: tests/unit/test_bars.py says which part may know which


@pytest.mark.parametrize("module", PURE)
def test_pure_files_import_the_standard_library_only(module: str) -> None:
    foreign = roots(PAYMENTS / f"{module}.py") - sys.stdlib_module_names
    assert foreign <= {"payments"}
    assert {
        name.split(".")[1] for name in imports(PAYMENTS / f"{module}.py") if "." in name and name.startswith("payments")
    } <= set(PURE)


NETWORKING = {"urllib3", "socket", "ssl", "http", "urllib.request", "requests", "httpx"}
AROUND_THE_DOMAIN = {*HANDLERS, "answers", "lambda_http", "queries", "systems", "telemetry"}


@pytest.mark.parametrize(("folder", "modules", "only"), [
    ("functions", {"aws_cdk", "constructs"}, set()), ("functions/payments", AROUND_THE_DOMAIN, set()),
    ("functions", NETWORKING, {"connection"}),
])  # fmt: skip
def test_only_these_files_import(folder: str, modules: set[str], only: set[str]) -> None:
    assert {path.stem for path in python_files(folder) if (imports(path) | roots(path)) & modules} == only


@pytest.mark.parametrize(("call", "only"), [
    (r"\b(get|put|update|delete)_item\b|\btransact_write_items\b|\"query\",", {"store"}),
    (r"\bget_secret_value\b", {"secret"}),
    (r"\bos\.environ(\[|\.get)|\bgetenv\b|\benviron\.get", {"settings"}),
    (r"\bboto3\.(client|resource|Session)\b", {"systems"}),
])  # fmt: skip
def test_only_one_file_speaks_to_each_outside_system(call: str, only: set[str]) -> None:
    assert {path.stem for path in python_files("functions") if re.search(call, path.read_text())} <= only


@pytest.mark.parametrize("handler", HANDLERS)
def test_only_one_function_is_given_what_sends_and_the_webhooks_no_provider(handler: str) -> None:
    # IAM cannot say which function may speak to the provider, so what each builds does.
    built = imports(FUNCTIONS / f"{handler}.py") & {"systems.storage", "systems.systems", "systems.systems_that_send"}
    given = {"submit_void": "systems_that_send", "receive_webhook": "storage"}.get(handler, "systems")
    assert built == {f"systems.{given}"}


def test_nothing_at_the_root_of_the_asset_shadows_a_module() -> None:
    names = {path.stem for path in FUNCTIONS.iterdir() if path.suffix == ".py" or path.is_dir()} - {"__pycache__"}
    shipped = {name.replace("-", "_") for name in pins(FUNCTIONS / "requirements.txt")}
    assert not names & (sys.stdlib_module_names | shipped | {"dateutil", "aws_lambda_powertools", "app"})


# Versions that are named in more than one place


def test_every_place_names_the_same_python() -> None:
    version = (ROOT / ".python-version").read_text().strip()
    digits = version.replace(".", "")
    assert (TOOLS["mypy"]["python_version"], TOOLS["ruff"]["target-version"]) == (version, f"py{digits}")
    runtimes = {found for path in python_files("infra") for found in re.findall(r"PYTHON_(\d+_\d+)", path.read_text())}
    assert runtimes == {version.replace(".", "_")}


def test_the_type_checker_reads_every_module_of_the_cdk_that_we_name() -> None:
    overrides = TOOLS["mypy"]["overrides"]
    read = {module for each in overrides if each.get("follow_imports") == "normal" for module in each["module"]}
    named = {name for folder in ("infra", "tests") for path in python_files(folder) for name in imports(path)}
    modules = {name for name in named if re.fullmatch(r"aws_cdk(\.[a-z_0-9]+)?", name)}
    assert modules == read, "the types of a module that is not read are Any, without a word"


@pytest.mark.parametrize("name", ["requirements.txt", "functions/requirements.txt", "requirements-dev.txt"])
def test_every_requirement_is_pinned_and_developers_have_what_ships_in_the_same_version(name: str) -> None:
    lines = (ROOT / name).read_text().splitlines()
    assert [line for line in lines if re.match(r"[A-Za-z0-9]", line) and "==" not in line] == []
    assert pins(ROOT / name).items() <= pins(ROOT / "requirements-dev.txt").items()


# The contract


OPERATIONS: dict[str, dict[str, Any]] = {
    f"{method.upper()} {path}": operation
    for path, methods in CONTRACT["paths"].items()
    for method, operation in methods.items()
}


def answers(operation: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Status -> the answer, wherever the contract writes it."""
    for status, answer in operation["responses"].items():
        name = answer.get("$ref", "").rpartition("/")[2]
        yield status, CONTRACT["components"]["responses"][name] if name else answer


def test_the_contract_is_valid_openapi() -> None:
    assert CONTRACT["openapi"] == "3.0.3"
    validate(CONTRACT)


def test_the_contract_and_the_functions_name_the_same_fields_and_words() -> None:
    word = Decision(START, "operator", Word.NOT_VOIDED, "note", "0" * 16, State.PENDING, None, 1)
    order = replace(pipe.order_in(State.PENDING).decided(word), reviews=(Review(Reason.VANISHED, "o", 1),))
    record: dict[str, Any] = json.loads(json.dumps(with_webhooks(order, START), default=str))
    assert tuple(SCHEMAS["Provider"]["properties"]) == PROVIDER_FIELDS
    assert sorted(SCHEMAS["Provider"]["required"]) == sorted(PROVIDER_FIELDS)
    assert len(PROVIDER_FIELDS) == 16, "the provider's documentation names sixteen"
    assert list(SCHEMAS["Void"]["properties"]) == list(record)
    assert SCHEMAS["Void"]["required"] == list(record)[:-2] == [name for name in record if "webhooks" not in name]
    for name in ("Review", "Attempt", "Operation", "Decision"):
        member = record[f"{name.lower()}s"][0]
        assert list(SCHEMAS[name]["properties"]) == SCHEMAS[name]["required"] == list(member), name
    for shown, enum in (
        (SCHEMAS["State"], [*State]),
        (SCHEMAS["Void"]["properties"]["reason"], [*FailureReason, None]),
        (SCHEMAS["Evidence"], [*Evidence]),
        (SCHEMAS["Review"]["properties"]["reason"], [*Reason]),
        (SCHEMAS["DecisionRequest"]["properties"]["decision"], [*Word]),
    ):
        assert shown["enum"] == enum
    assert set(PROBLEM_TYPES) == {f"urn:void-service:problem:{name}" for name in PROBLEMS}


ORDER_IDS = [
    "123", "x" * 32, "007", "00", "a b", "a/b", "%", "+", '"', "é", "ї №5", "\U0001f642", "#", "-", "...", "0.",
    "", "x" * 33, ".", "..", "0", " 1", "1 ", "a\n", "\n", "1\n", "a\tb", "\x00", "\x7f", "\u00a0a", "a\u200bb", "\u2028", "a\ufeff",
    "\ue000", "\ufffd",
]  # fmt: skip


@pytest.mark.parametrize("order_id", ORDER_IDS, ids=ascii)
def test_the_contract_and_the_functions_allow_the_same_orders(order_id: str) -> None:
    in_path = CONTRACT["paths"]["/voids/{order_id}"]["get"]["parameters"][0]["schema"]
    for schema in (SCHEMAS["VoidRequest"]["properties"]["order_id"], in_path):
        assert OAS30Validator(schema).is_valid(order_id) is (wrong_order_id(order_id) is None)


def test_examples_of_the_contract_quote_what_the_functions_say() -> None:
    conflict = CONTRACT["paths"]["/voids"]["post"]["responses"]["409"]["content"]["application/problem+json"]
    for name in ("in-progress", "too-many-attempts"):
        told = conflict["examples"][name]["value"]
        assert (told["title"], told["detail"]) == (PROBLEMS[name].title, ANSWERS[Result(name)].detail)


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)
def test_every_example_of_the_contract_fits_its_schema(operation: dict[str, Any]) -> None:
    bodies = [operation["requestBody"]] if "requestBody" in operation else []
    bodies += dict(answers(operation)).values()
    contents = [content for body in bodies for content in body.get("content", {}).values()]
    examples = [(content["schema"], each["value"]) for content in contents for each in content["examples"].values()]
    for schema, example in examples:
        validator = OAS30Validator({"allOf": [schema], "components": CONTRACT["components"]})
        assert [error.message for error in validator.iter_errors(example)] == [], example
    assert len(examples) > 3


def test_every_status_that_is_an_error_names_its_problem_types() -> None:
    kinds = set[str]()
    for status, answer in (each for operation in OPERATIONS.values() for each in answers(operation)):
        if not status.startswith("2"):
            ((kind, content),) = answer["content"].items()
            narrowed = content["schema"]["allOf"][1]["properties"]
            assert (kind, narrowed["status"]["enum"]) == ("application/problem+json", [int(status)])
            kinds |= set(narrowed["type"]["enum"])
    assert kinds == set(PROBLEM_TYPES)


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
