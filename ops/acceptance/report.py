"""What was found, for people (Markdown) and for scripts (JSON): the same rows, with date, versions and evidence.

Promises that nothing stands in it that the redactor has not seen.
"""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import boto3
import botocore

from ops.acceptance.redact import masked_account
from ops.acceptance.rows import Row, Verdict
from ops.acceptance.run import ROWS
from ops.acceptance.site import Site
from ops.acceptance.state import Kept, write_whole

ROOT = Path(__file__).resolve().parents[2]
NOT_ASKED = "not looked at in this run"
LOCAL = "the local run, in which ministack plays AWS and the sandbox plays the provider: no word about either of them"
DEPLOYED = "AWS and the provider's project, as they answered"

Document = dict[str, Any]


def document(site: Site, wanted: Sequence[str]) -> Document:
    """The whole report."""
    rows = [_row(row, site.state.findings.get(row.id)) for row in ROWS if row.id in wanted]
    return {
        "what": "acceptance of the void service",
        "about": LOCAL if site.local else DEPLOYED,
        "at": site.timestamp(),
        "environment": site.environment.name,
        "stack": site.place.stack,
        "region": site.place.region,
        "account": masked_account(site.account),
        "versions": versions(site),
        "counts": {verdict.value: sum(row["verdict"] == verdict.value for row in rows) for verdict in Verdict},
        "rows": rows,
        "left_behind": [site.redact.text(one) for one in site.left_behind],
    }


def _row(row: Row, kept: Kept | None) -> Document:
    finding = kept.finding if kept else None
    return {
        "id": row.id,
        "question": row.question,
        "assumed": row.assumed,
        "verdict": finding.verdict.value if finding else Verdict.NOT_SEEN.value,
        "why": finding.why if finding else NOT_ASKED,
        "evidence": dict(finding.evidence) if finding else {},
        "at": kept.at if kept else None,
        "observed_by": row.observe,
        "depends": list(row.depends),
        "rule": row.rule,
        "if_contradicted": row.otherwise,
        "setting": row.setting or None,
    }


def versions(site: Site) -> dict[str, str | None]:
    """What was accepted, and by what."""
    updated = site.stack.get("LastUpdatedTime") or site.stack.get("CreationTime")
    return {
        "project": _commit(),
        "stack_updated": str(updated) if updated else None,
        "python": sys.version.split()[0],
        "boto3": boto3.__version__,
        "botocore": botocore.__version__,
    }


def _commit() -> str | None:
    """The checkout's commit; None outside of git."""
    git = shutil.which("git")
    if git is None:
        return None
    command = [git, "-C", str(ROOT), "describe", "--always", "--dirty", "--abbrev=12"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 fixed arguments
    return done.stdout.strip() or None


def write(folder: Path, report: Document) -> tuple[Path, Path]:
    """Both files, each as a whole."""
    markdown, data = folder / "report.md", folder / "report.json"
    write_whole(markdown, "\n".join(lines(report)) + "\n")
    write_whole(data, json_of(report) + "\n")
    return markdown, data


def json_of(report: Document) -> str:
    """The report as one JSON document."""
    return json.dumps(report, ensure_ascii=False, indent=2, default=str)


# ---- Markdown --------------------------------------------------------------------------------------------------------


def lines(report: Document) -> Iterator[str]:
    """The report for people: what is contradicted first, because somebody must act on it."""
    yield f"# Acceptance of {report['stack']}"
    yield ""
    yield f"This is about {report['about']}."
    yield ""
    yield from _facts(report)
    contradicted = [row for row in report["rows"] if row["verdict"] == Verdict.CONTRADICTED]
    if contradicted:
        yield from ("", "## Contradicted: somebody must act", "")
        for row in contradicted:
            yield from _to_do(row)
    if report["left_behind"]:
        yield from ("", "## Left behind: run the same command with --clean", "")
        yield from (f"- {_text(one)}" for one in report["left_behind"])
    yield from ("", "## All rows", "", "| row | question | assumed | verdict |", "|---|---|---|---|")
    for row in report["rows"]:
        yield f"| `{row['id']}` | {_cell(row['question'])} | {_cell(row['assumed'])} | {_verdict(row)} |"
    yield from ("", "## Evidence")
    for row in report["rows"]:
        yield from _evidence(row)


def _facts(report: Document) -> Iterator[str]:
    found = report["versions"]
    counts = ", ".join(f"{number} {name}" for name, number in report["counts"].items())
    yield f"- **{counts}**"
    yield f"- {report['at']}, account `{report['account']}`, region {report['region']}"
    yield f"- stack last changed {found['stack_updated']}; project {found['project']}"
    yield f"- Python {found['python']}, boto3 {found['boto3']}, botocore {found['botocore']}"


def _to_do(row: Document) -> Iterator[str]:
    yield f"### `{row['id']}`: {_text(row['question'])}"
    yield ""
    yield f"- assumed: {_text(row['assumed'])}"
    yield f"- depends on it: {', '.join(f'`{file}`' for file in row['depends'])} ({_text(row['rule'])})"
    yield f"- do: {_text(row['if_contradicted'])}"
    if row["setting"]:
        yield f"- setting: `{row['setting']}`"
    yield ""


def _evidence(row: Document) -> Iterator[str]:
    yield from ("", f"### {row['id']}: {row['verdict']}", "")
    if row["why"]:
        yield _text(row["why"])
        yield ""
    yield f"Observed by: {_text(row['observed_by'])}" + (f" At {row['at']}." if row["at"] else "")
    if row["evidence"]:
        yield from ("", "```json", _fenced(row["evidence"]), "```")


def _fenced(evidence: Mapping[str, object]) -> str:
    return json.dumps(evidence, ensure_ascii=False, indent=1, default=str).replace("`", "'")


def _verdict(row: Document) -> str:
    return f"**{row['verdict']}**" if row["verdict"] == Verdict.CONTRADICTED else str(row["verdict"])


def _text(text: str) -> str:
    return text.replace("*", "\\*").replace("<", "&lt;")


def _cell(text: str) -> str:
    return _text(text).replace("|", "\\|")
