"""The repository's habits: what CONTRIBUTING, CHANGELOG, the hooks and the workflows say is so."""

import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import SECOND_SERVICE
from tests.unit.test_project import ROOT, TOOLS, files, pins

TEXTS = ("README.md", "README.uk.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")
CHANGES = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
PATHS = [Path(name) for name in files()]


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def parsed(name: str) -> Any:
    return yaml.safe_load(read(name))


# Texts


def test_the_changelog_has_the_form_that_it_names_and_its_newest_version_is_the_contracts() -> None:
    text = read("CHANGELOG.md")
    versions = re.findall(r"^## \[(\d+\.\d+\.\d+)\] - \d{4}-\d{2}-\d{2}$", text, re.MULTILINE)
    assert versions[0] == json.loads(read("docs/openapi.json"))["info"]["version"]
    assert versions == sorted(versions, key=lambda text: [*map(int, text.split("."))], reverse=True)
    headings = re.findall(r"^(##+) (.+)$", text, re.MULTILINE)
    assert headings[0] == ("##", "[Unreleased]")
    assert {title for level, title in headings if level == "###"} <= CHANGES


@pytest.mark.parametrize("name", TEXTS)
def test_every_command_script_and_file_that_a_text_names_exists(name: str) -> None:
    text, targets = read(name), set(re.findall(r"^([a-z]+):", read("Makefile"), re.MULTILINE))
    assert set(re.findall(r"`make ([a-z]+)", text)) <= targets
    linked = {link.partition("#")[0] for link in re.findall(r"\]\((?!https?:)([^)#]+)", text)}
    named = set(re.findall(r"`((?:functions|infra|local|ops|play|proof|tests|docs|\.github)/[\w./-]+)`", text))
    scripts = set(re.findall(r"python (\S+\.py)", text))
    assert [path for path in sorted(linked | named | scripts) if not (ROOT / path).exists()] == []


def test_states_reasons_and_problems_have_the_same_rows_in_both_languages() -> None:
    pages = [read(f"docs/how-a-void-works{language}.md") for language in ("", ".uk")]
    english, ukrainian = (re.findall(r"^\| (`.+?`) \| (?:(\d.*?) \|)?", page, re.MULTILINE) for page in pages)
    assert english == ukrainian != []


def test_coverage_is_told_for_every_part_that_it_measures() -> None:
    rows = re.findall(r"^\| (`[a-z`, ]+`) \| [\d–]", read("CONTRIBUTING.md"), re.MULTILINE)
    assert {name for row in rows for name in re.findall("[a-z]+", row)} == set(TOOLS["coverage"]["run"]["source"])


def test_a_word_has_one_line_and_so_one_meaning() -> None:
    table = read("CONTRIBUTING.md").partition("## Words")[2].partition("## Coverage")[0]
    lines = [line.split("|")[1] for line in table.splitlines() if line.startswith("| **")]
    terms = Counter(term for line in lines for term in re.findall(r"\*\*(.+?)\*\*", line))
    assert len(terms) > 30
    assert [term for term, times in terms.items() if times > 1] == []


# Tools


def test_the_editor_and_the_formatter_agree() -> None:
    assert re.findall(r"max_line_length = (\d+)", read(".editorconfig")) == [str(TOOLS["ruff"]["line-length"])]


def test_the_hooks_are_valid_and_use_the_projects_own_tools() -> None:
    check = [sys.executable, "-m", "pre_commit", "validate-config", ".pre-commit-config.yaml"]
    done = subprocess.run(check, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    hooks = [hook for repo in parsed(".pre-commit-config.yaml")["repos"] for hook in repo["hooks"]]
    tools = {Path(hook["entry"].split()[0]) for hook in hooks}
    assert {tool.parent for tool in tools} == {Path(".venv/bin")}
    assert {tool.name for tool in tools} - {"python"} <= pins(ROOT / "requirements-dev.txt").keys()


def test_the_workflow_runs_the_test_command_on_both_systems_with_no_rights_by_pinned_actions() -> None:
    workflow = parsed(".github/workflows/ci.yml")
    assert workflow["permissions"] == {"contents": "read"}
    job = workflow["jobs"]["test"]
    assert {name.partition("-")[0] for name in job["strategy"]["matrix"]["os"]} == {"ubuntu", "macos"}
    assert [step["run"] for step in job["steps"] if "run" in step] == ["make test"]
    assert "exec make test" in read(".ci/run")
    used = re.findall(r"uses: (.+)", read(".github/workflows/ci.yml"))
    assert len(used) >= 2
    assert [each for each in used if not re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", each)] == []


def test_the_tests_with_a_service_of_their_own_are_files_that_exist() -> None:
    assert set(SECOND_SERVICE) <= {path.stem for path in PATHS if path.parent.as_posix() == "tests/integration"}


ECOSYSTEMS = {"package.json": "npm", "composer.json": "composer"}


def test_updates_are_proposed_for_every_place_that_names_a_version() -> None:
    updates = parsed(".github/dependabot.yml")["updates"]
    places = [(each["package-ecosystem"], each.get("directories") or [each["directory"]]) for each in updates]
    watched = {(ecosystem, folder.strip("/") or ".") for ecosystem, folders in places for folder in folders}
    named = re.compile(r"package\.json|composer\.json|pyproject\.toml|requirements.*\.(in|txt)")
    pinned = [path for path in PATHS if named.fullmatch(path.name)]
    needed = {(ECOSYSTEMS.get(path.name, "pip"), path.parent.as_posix()) for path in pinned}
    assert needed | {("github-actions", ".")} <= watched
