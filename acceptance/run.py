"""Runs probes, keeps what they find, and reports it: for people in Markdown, for scripts in JSON.

Promises that whatever goes wrong ends as a row with a reason, that a run which is stopped has kept what it found, and
that what our own caller meets (a session that has ended, an API that is gone) does not look like a finding.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import boto3
import botocore
import urllib3
from botocore import exceptions as aws

from acceptance.rows import FACTS, Finding, Probe, Row, Verdict, masked_account, not_seen, read
from acceptance.site import Site
from acceptance.wire import NoAnswer
from ops.errors import told
from ops.files import whole_file
from ops.places import OpsError

ROWS, PROBES = read()
AGAIN = "then run the same command again"
NOT_ASKED = "not examined in this run"
LOCAL = "the local run, in which ministack plays AWS and the sandbox plays the provider: no word about either of them"
DEPLOYED = "AWS and the provider's project, as they answered"
_LOGGED_OUT = (
    aws.NoCredentialsError, aws.PartialCredentialsError, aws.CredentialRetrievalError, aws.TokenRetrievalError,
    aws.NoAuthTokenError, aws.SSOError, aws.LoginError,
)  # fmt: skip
_NETWORK = (aws.ConnectionError, aws.HTTPClientError, urllib3.exceptions.HTTPError, OSError)

type Work = Sequence[tuple[Probe, list[str]]]
type Document = dict[str, Any]


class Stopped(OpsError):
    """Nothing more can be seen until somebody logs in again, or the API is back."""


def chosen(names: Sequence[str]) -> list[str]:
    """The rows that `--only` names: one by its name, several by how their names begin. Raises OpsError."""
    known = [row.id for row in ROWS]
    named = [part for name in names for part in name.split(",") if part]
    meant = {name: [name] if name in known else [one for one in known if one.startswith(name)] for name in named}
    if wrong := [name for name, found in meant.items() if not found]:
        raise OpsError(f"no row is called {', '.join(wrong)}: --list names them all")
    return [one for one in known if not names or any(one in found for found in meant.values())]


def due(site: Site, wanted: Sequence[str], again: bool) -> Work:
    """The probes that are still to be run, each with the rows that it is run for."""
    left = [row for row in wanted if again or not site.state.settled(row)]
    pairs = [(probe, [row for row in probe.rows if row in left]) for probe in PROBES]
    return [(probe, rows) for probe, rows in pairs if rows]


def run(site: Site, work: Work, found: Callable[[Finding], None]) -> None:
    """Run them in turn. Raises Stopped, KeyboardInterrupt."""
    for probe, rows in work:
        for finding in findings(site, probe, rows):
            evidence = {site.redact.text(name): site.redact(value) for name, value in finding.evidence.items()}
            kept = Finding(finding.row, finding.verdict, evidence, site.redact.text(finding.why))
            site.state.keep(kept, site.timestamp())
            found(kept)


def findings(site: Site, probe: Probe, rows: Sequence[str]) -> Iterator[Finding]:
    """What one probe finds about these rows; each of them ends with a verdict. Raises Stopped."""
    if site.local and probe.not_locally:
        yield from (not_seen(row, f"the local run cannot say: {probe.not_locally}") for row in rows)
        return
    left, unseen, why = list(rows), False, "the probe ended without a word about it"
    try:
        ready(site)
        for finding in probe.run(site):
            if finding.row in left:
                left.remove(finding.row)
                unseen = unseen or finding.verdict is Verdict.NOT_SEEN
                yield finding
    except Exception as error:  # noqa: BLE001 a row says what happened; the error's text may hold data
        why = reason(error)
    yield from (not_seen(row, why) for row in left)
    if left or unseen:
        ready(site)  # was it the API? After the last probe nobody else would notice


def ready(site: Site) -> None:
    """Does the API answer, and still take our own caller? Raises Stopped."""
    try:
        status = site.call("GET", f"{site.base}/voids?limit=1").status
    except NoAnswer as error:
        raise Stopped(f"{error}: the API cannot be reached. See that it is there, {AGAIN}") from None
    if status == 403:
        way = "log in again, or give your role the stack's output CallerPolicy, and see that `callers` names it"
        raise Stopped(f"the API refuses your own signed read (403): {way}; {AGAIN}")
    if status >= 500:
        raise Stopped(f"the API answers {status} to a signed read: see its alarms, {AGAIN}")


def reason(error: Exception) -> str:
    """An error as one line for a row. Raises Stopped where nothing more can be seen."""
    code = error.response.get("Error", {}).get("Code") if isinstance(error, aws.ClientError) else None
    if isinstance(error, Stopped):
        raise error
    if code in FACTS["codes"]["expired"]:
        raise Stopped(f"{told(error)}: log in again, {AGAIN}") from None
    if isinstance(error, _LOGGED_OUT):
        raise Stopped(f"there are no AWS credentials (any more): log in, {AGAIN}") from None
    if code in FACTS["codes"]["denied"]:
        return f"a right is missing: {told(error)}"
    return f"the network gave no answer: {type(error).__name__}" if isinstance(error, _NETWORK) else told(error)


# ---- the report ----


def of_row(row: Row) -> Document:
    return {name: value for name, value in asdict(row).items() if name not in ("smoke", "requests")}


def document(site: Site, wanted: list[str]) -> Document:
    unseen: Document = {"verdict": Verdict.NOT_SEEN, "why": NOT_ASKED, "evidence": {}, "at": None}
    rows = [of_row(row) | site.state.findings.get(row.id, unseen) for row in ROWS if row.id in wanted]
    place, counts = site.place, {verdict.value: sum(row["verdict"] == verdict for row in rows) for verdict in Verdict}
    return {
        "what": "acceptance of the void service", "about": LOCAL if site.local else DEPLOYED, "at": site.timestamp(),
        "environment": site.environment.name, "stack": place.stack, "region": place.region,
        "account": masked_account(site.account), "versions": _versions(site), "counts": counts, "rows": rows,
        "left_behind": [site.redact.text(one) for one in site.left_behind],
    }  # fmt: skip


def _versions(site: Site) -> dict[str, str | None]:
    updated, commit = site.stack.get("LastUpdatedTime") or site.stack.get("CreationTime"), None
    with suppress(OSError):
        describe = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--abbrev=12"]
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
    setting = f" Setting: {row['setting']}" if row["setting"] else ""
    return str(row["why"]) if row["verdict"] == Verdict.NOT_SEEN else f"{row['if_contradicted']}{setting}"


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
