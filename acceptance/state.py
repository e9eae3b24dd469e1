"""What an acceptance has found, used and made so far, in one file, so that it can be stopped and taken up again.

Promises that the file is whole at each moment (it is replaced, never changed), and that what must be undone is in
it before it is made. Holds no secret.
"""

import fcntl
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from acceptance.rows import Finding, Verdict
from ops.places import OpsError

FORMAT = 2


@dataclass(frozen=True, slots=True)
class Made:
    """One thing that this command made or changed, and what is needed to take it back."""

    kind: str
    what: Mapping[str, str]


@dataclass
class State:
    """One file. `deployment` names the deployed stack as it is now: findings about an older one do not count.

    `findings` are kept with their time, `notes` say what was done with a hold, by order: a void is never sent a second
    time because a run was stopped.
    """

    path: Path
    deployment: str = ""
    findings: dict[str, tuple[Finding, str]] = field(default_factory=dict)
    notes: dict[str, dict[str, Any]] = field(default_factory=dict)
    made: list[Made] = field(default_factory=list)

    def keep(self, finding: Finding, at: str) -> None:
        """Keep what was found."""
        self.findings[finding.row] = finding, at
        self.save()

    def settled(self, row: str) -> bool:
        """Was this row answered by an earlier run? What was not seen is tried again."""
        return row in self.findings and self.findings[row][0].verdict is not Verdict.NOT_SEEN

    def note(self, order: str, **what: Any) -> None:
        """Remember what is done with a hold, before it is done."""
        self.notes.setdefault(order, {}).update(what)
        self.save()

    def noted(self, order: str) -> dict[str, Any]:
        """What was done with a hold so far."""
        return dict(self.notes.get(order, {}))

    def will_make(self, made: Made) -> None:
        """To be called before a thing is made."""
        if made not in self.made:
            self.made.append(made)
            self.save()

    def undone(self, made: Made) -> None:
        """To be called when it is gone."""
        self.made = [one for one in self.made if one != made]
        self.save()

    def begin(self, deployment: str) -> bool:
        """Take up this deployment; True if findings about another one were dropped."""
        another = self.deployment != deployment
        dropped = another and bool(self.findings)
        if another:
            self.findings, self.deployment = {}, deployment
            self.save()
        return dropped

    def save(self) -> None:
        """Replace the file as a whole."""
        document = {"format": FORMAT} | asdict(self)
        write_whole(self.path, json.dumps(document, ensure_ascii=False, indent=1, default=str))


def load(path: Path) -> State:
    """The state of an earlier run, or a new one. Raises OpsError."""
    if not path.exists():
        return State(path)
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if found["format"] != FORMAT:
            raise ValueError
        findings = {row: (_finding(**one), at) for row, (one, at) in found["findings"].items()}
        return State(path, found["deployment"], findings, found["notes"], [Made(**one) for one in found["made"]])
    except (ValueError, KeyError, TypeError, AttributeError):
        raise OpsError(f"{path} is not readable: read it yourself, run --clean, then remove it") from None


def _finding(verdict: str, **more: Any) -> Finding:
    return Finding(verdict=Verdict(verdict), **more)


def write_whole(path: Path, text: str) -> None:
    """All of it or nothing: a machine that stops in the middle leaves the file as it was."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def lock(path: Path) -> int:
    """One acceptance of a deployment at a time on this machine. Raises OpsError; closing the handle ends it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path.with_suffix(".lock"), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        raise OpsError(f"another acceptance is at work with {path}: wait for it, or stop it") from None
    return handle
