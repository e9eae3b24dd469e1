"""What was found, for people (Markdown) and for scripts (JSON): the same rows, with date, versions and evidence.

Promises that nothing is in it that the redactor has not seen.
"""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import boto3
import botocore

from acceptance.kept import masked_account
from acceptance.rows import Finding, Row, Verdict, not_seen
from acceptance.run import ROWS
from acceptance.site import Site
from ops.files import whole_file

ROOT = Path(__file__).resolve().parents[1]
NOT_ASKED = "not examined in this run"
LOCAL = "the local run, in which ministack plays AWS and the sandbox plays the provider: no word about either of them"
DEPLOYED = "AWS and the provider's project, as they answered"

Document = dict[str, Any]


def of_row(row: Row) -> Document:
    return {name: value for name, value in asdict(row).items() if name not in ("smoke", "requests")}


def document(site: Site, wanted: list[str]) -> Document:
    rows = [_row(row, *site.state.findings.get(row.id, (None, None))) for row in ROWS if row.id in wanted]
    return {
        "what": "acceptance of the void service",
        "about": LOCAL if site.local else DEPLOYED,
        "at": site.timestamp(),
        "environment": site.environment.name,
        "stack": site.place.stack,
        "region": site.place.region,
        "account": masked_account(site.account),
        "versions": _versions(site),
        "counts": {verdict.value: sum(row["verdict"] == verdict for row in rows) for verdict in Verdict},
        "rows": rows,
        "left_behind": [site.redact.text(one) for one in site.left_behind],
    }


def _row(row: Row, finding: Finding | None, at: str | None) -> Document:
    found = asdict(finding or not_seen(row.id, NOT_ASKED))
    return of_row(row) | {name: found[name] for name in ("verdict", "why", "evidence")} | {"at": at}


def _versions(site: Site) -> dict[str, str | None]:
    """What was accepted, and by what; the project's commit is None outside of git."""
    updated, commit = site.stack.get("LastUpdatedTime") or site.stack.get("CreationTime"), None
    if (git := shutil.which("git")) is not None:
        describe = [git, "-C", str(ROOT), "describe", "--always", "--dirty", "--abbrev=12"]
        commit = subprocess.run(describe, capture_output=True, text=True, check=False).stdout.strip()  # noqa: S603 fixed
    versions = {"python": sys.version.split()[0], "boto3": boto3.__version__, "botocore": botocore.__version__}
    return {"project": commit or None, "stack_updated": str(updated) if updated else None} | versions


def write(folder: Path, report: Document) -> list[str]:
    """Both files, each as a whole; their names."""
    texts = {str(folder / "report.md"): "\n".join(lines(report)), str(folder / "report.json"): json_of(report)}
    for name, text in texts.items():
        with whole_file(name) as file:
            file.write(text + "\n")
    return list(texts)


def json_of(report: Document) -> str:
    return json.dumps(report, ensure_ascii=False, indent=2, default=str)


def advice(row: Document) -> str:
    """Why nothing was seen, or what to do."""
    if row["verdict"] == Verdict.NOT_SEEN:
        return str(row["why"])
    return f"{row['if_contradicted']} Setting: {row['setting']}" if row["setting"] else str(row["if_contradicted"])


def counted(report: Document) -> str:
    return ", ".join(f"{number} {name}" for name, number in report["counts"].items())


def lines(report: Document) -> Iterator[str]:
    """The report for people: what is contradicted first, because somebody must act on it."""
    found, contradicted = report["versions"], [row for row in report["rows"] if row["verdict"] == Verdict.CONTRADICTED]
    yield f"# Acceptance of {report['stack']}\n\nThis is about {report['about']}.\n\n- **{counted(report)}**"
    yield f"- {report['at']}, account `{report['account']}`, region {report['region']}"
    yield f"- stack last changed {found['stack_updated']}; project {found['project']}"
    yield f"- Python {found['python']}, boto3 {found['boto3']}, botocore {found['botocore']}"
    if contradicted:
        yield "\n## Contradicted: somebody must act\n"
    for row in contradicted:
        yield f"### `{row['id']}`: {_text(row['question'])}\n\n- assumed: {_text(row['assumed'])}"
        yield f"- depends on it: {', '.join(f'`{file}`' for file in row['depends'])} ({_text(row['rule'])})"
        setting = f"- setting: `{row['setting']}`\n" if row["setting"] else ""
        yield f"- do: {_text(row['if_contradicted'])}\n{setting}"
    if report["left_behind"]:
        yield "\n## Left behind: run the same command with --clean\n"
        yield from (f"- {_text(one)}" for one in report["left_behind"])
    yield "\n## All rows\n\n| row | question | assumed | verdict |\n|---|---|---|---|"
    for row in report["rows"]:
        verdict = f"**{row['verdict']}**" if row in contradicted else row["verdict"]
        question, assumed = (_text(row[name]).replace("|", "\\|") for name in ("question", "assumed"))
        yield f"| `{row['id']}` | {question} | {assumed} | {verdict} |"
    yield "\n## Evidence"
    for row in report["rows"]:
        yield f"\n### {row['id']}: {row['verdict']}\n" + (f"\n{_text(row['why'])}\n" if row["why"] else "")
        yield f"Observed by: {_text(row['observed_by'])}" + (f" At {row['at']}." if row["at"] else "")
        if row["evidence"]:
            shown = json.dumps(row["evidence"], ensure_ascii=False, indent=1, default=str).replace("`", "'")
            yield f"\n```json\n{shown}\n```"


def _text(text: str) -> str:
    return text.replace("*", "\\*").replace("<", "&lt;")
