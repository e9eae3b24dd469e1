"""What an acceptance has found, used and made so far, in one file, so that it can be stopped and taken up again.

Promises that the file is whole at each moment (it is replaced, never changed), and that what must be undone is in
it before it is made. Holds no secret.
"""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from acceptance.rows import Finding, Verdict
from ops.files import whole_file
from ops.places import OpsError

FORMAT = 3


Made = dict[str, str]
"""One thing that this command made or changed: its `kind`, and what is needed to take it back."""


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
        self.findings[finding.row] = finding, at
        self.save()

    def settled(self, row: str) -> bool:
        """Was this row answered by an earlier run? What was not seen is tried again."""
        return row in self.findings and self.findings[row][0].verdict is not Verdict.NOT_SEEN

    def note(self, order: str, **what: Any) -> dict[str, Any]:
        """Remember what is done with a hold, before it is done; all that is known of it."""
        self.notes.setdefault(order, {}).update(what)
        self.save()
        return self.noted(order)

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
        if self.deployment == deployment:
            return False
        dropped, self.findings, self.deployment = bool(self.findings), {}, deployment
        self.save()
        return dropped

    def save(self) -> None:
        with whole_file(str(self.path)) as file:
            json.dump({"format": FORMAT} | asdict(self), file, ensure_ascii=False, indent=1, default=str)
            file.flush()
            os.fsync(file.fileno())  # before it gets its name: a machine that stops now leaves what was there


def load(path: Path) -> State:
    """The state of an earlier run, or a new one. Raises OpsError."""
    if not path.exists():
        return State(path)
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if found["format"] != FORMAT:
            raise ValueError
        kept = found["findings"].items()
        findings = {row: (Finding(**one | {"verdict": Verdict(one["verdict"])}), at) for row, (one, at) in kept}
        return State(path, found["deployment"], findings, found["notes"], found["made"])
    except (ValueError, KeyError, TypeError, AttributeError):
        raise OpsError(f"{path} is not readable: see what it says was made, move it away, then run --clean") from None


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """One acceptance of a deployment at a time on this machine. Raises OpsError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_suffix(".lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise OpsError(f"another acceptance is at work with {path}: wait for it, or stop it") from None
        yield
