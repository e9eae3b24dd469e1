"""Rows and the probes that answer them, by rows.toml; what is found and made so far, in one file, so that a run can be
stopped and taken up again; and what may be written down at all: no secret, no signature, no key, no personal data.

Promises that the file is whole at each moment, and that a known secret never passes, whatever the evidence is.
"""

import fcntl
import json
import os
import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from enum import StrEnum
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ops.files import whole_file
from ops.places import OpsError

if TYPE_CHECKING:
    from acceptance.site import Site

FACTS: dict[str, Any] = tomllib.loads(Path(__file__).with_name("rows.toml").read_text(encoding="utf-8"))


class Verdict(StrEnum):
    CONFIRMED = "confirmed"
    CONTRADICTED = "contradicted"
    NOT_SEEN = "not seen"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One question; its report has these names. `setting` is the exact change, `smoke` the sentence of `make smoke`."""

    id: str
    question: str
    assumed: str
    depends: list[str]
    rule: str
    if_contradicted: str
    observed_by: str
    setting: str | None = None
    smoke: str = ""
    requests: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Finding:
    """What was seen about one row. `why`: the reason if it was not seen, else a sentence that the evidence needs."""

    row: str
    verdict: Verdict
    evidence: Mapping[str, object] = field(default_factory=dict)
    why: str = ""


def judged(row: str, holds: object, evidence: Mapping[str, object], why: str = "") -> Finding:
    """Confirmed if what is assumed holds, else contradicted."""
    return Finding(row, Verdict.CONFIRMED if holds else Verdict.CONTRADICTED, evidence, why)


def not_seen(row: str, why: str, evidence: Mapping[str, object] | None = None) -> Finding:
    return Finding(row, Verdict.NOT_SEEN, evidence or {}, why)


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """What answers some rows: what it `does` to the world, if more than look, the `rights` that it needs beyond an
    operator's, the `hold`, 0 the first, and why the local run cannot answer.
    """

    rows: tuple[str, ...]
    run: "Callable[[Site], Iterator[Finding]]"
    does: str = ""
    rights: Sequence[str] = ()
    minutes: float = 0.1
    hold: int | None = None
    not_locally: str = ""


def read() -> tuple[list[Row], list[Probe]]:
    """All rows and probes in the order of the file; what several rows of a probe share stands before them in `each`."""
    rows: list[Row] = []
    probes: list[Probe] = []
    for entry in map(dict, FACTS["probe"]):
        shared, (module, name) = entry.pop("each", {}), entry["run"].split(".")
        answered = [Row(**shared | one) for one in entry["rows"]]
        run: Any = getattr(import_module(f"acceptance.probes.{module}"), name)
        if any(row.requests for row in answered):
            run = partial(run, rows=answered)
        probes.append(Probe(**entry | {"run": run, "rows": tuple(row.id for row in answered)}))
        rows += answered
    return rows, probes


# ---- what is kept ----

FORMAT = 4
HIDDEN = "[hidden]"

_UUID = r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
_MASKED = (
    (re.compile(r"\b(?:AKIA|ASIA|AROA|AIDA)[A-Z0-9]{12,}\b"), HIDDEN),
    (re.compile(r"(?i)\b(Credential|Signature|X-Amz-Security-Token)=[^,&\s\"]+"), rf"\1={HIDDEN}"),
    (re.compile(r"\b(CPAY(?:-[A-Z0-9]+)*) [^\s\"]+:[^\s\"]+"), rf"\1 {HIDDEN}"),
    (re.compile(r"\beyJ[\w-]+\.[\w-]+(?:\.[\w-]*)?"), HIDDEN),
    (re.compile(r"\b[0-9a-f]{40}\b|\b[0-9a-f]{64}\b"), HIDDEN),
    (re.compile(r"[^\s\"@<>]{1,64}@[^\s\"@<>]{1,255}\.[A-Za-z]{2,}"), HIDDEN),
)
# A card has 12 to 19 digits, perhaps in groups; the digits of a UUID, a time or an account's twelve are none.
_DIGITS = re.compile(rf"{_UUID}|(?<![\w-])\d(?:[ -]?\d){{11,18}}(?![\w-])")
_NO_CARD = re.compile(rf"(?:{_UUID})\Z|\d{{4}}-\d{{2}}-\d{{2}}")

Made = dict[str, str]
"""One thing that was made or changed: its `kind`, and what is needed to take it back."""


@dataclass
class State:
    """One file. `findings` are about this `deployment` of the stack; `notes` say what was done with a hold, by order: a
    void is never sent a second time because a run was stopped.
    """

    path: Path
    deployment: str = ""
    findings: dict[str, dict[str, Any]] = field(default_factory=dict)
    notes: dict[str, dict[str, Any]] = field(default_factory=dict)
    made: list[Made] = field(default_factory=list)

    def keep(self, finding: Finding, at: str) -> None:
        found = asdict(finding)
        self.findings[found.pop("row")] = found | {"at": at}
        self.save()

    def settled(self, row: str) -> bool:
        """Was this row answered by an earlier run? What was not seen is tried again."""
        return row in self.findings and self.findings[row]["verdict"] != Verdict.NOT_SEEN

    def note(self, order: str, **what: Any) -> dict[str, Any]:
        """Remember what is done with a hold, before it is done; all that is known of it."""
        noted = self.notes.setdefault(order, {})
        if what:
            noted |= what
            self.save()
        return dict(noted)

    def begin(self, deployment: str) -> bool:
        """Take up this deployment; True if findings about another one were dropped."""
        if self.deployment == deployment:
            return False
        dropped, self.findings, self.deployment = bool(self.findings), {}, deployment
        self.save()
        return dropped

    def save(self) -> None:
        with whole_file(str(self.path)) as file:
            kept = {"format": FORMAT} | {name: value for name, value in vars(self).items() if name != "path"}
            json.dump(kept, file, ensure_ascii=False, indent=1, default=str)
            file.flush()
            os.fsync(file.fileno())  # before it gets its name: a machine that stops now leaves what was there


def load(path: Path) -> State:
    """The state of an earlier run, or a new one. Raises OpsError."""
    if not path.exists():
        return State(path)
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        if kept.pop("format") != FORMAT:
            raise ValueError
        return State(path, *(kept[name] for name in ("deployment", "findings", "notes", "made")))
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


# ---- what may be written down ----------------------------------------------------------------------------------------


class Redactor:
    """Knows the secrets of this run; `learn` adds one as soon as it is read."""

    def __init__(self, account: str = "") -> None:
        self.account, self._secrets = account, list[str]()

    def learn(self, *secrets: str | None) -> None:
        self._secrets += filter(None, secrets)

    def __call__(self, value: object) -> object:
        """A copy that may be written down; text is shortened."""
        match value:
            case Mapping():
                return {self.text(str(name)): self(item) for name, item in value.items()}
            case None | int() | float() | Decimal():
                return HIDDEN if any(secret in str(value) for secret in self._secrets) else value
            case Iterable() if not isinstance(value, str):
                return [self(item) for item in value]
        return self.text(str(value))

    def text(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, HIDDEN)
        if self.account:
            text = text.replace(self.account, masked_account(self.account))
        for pattern, instead in _MASKED:
            text = pattern.sub(instead, text)
        text = _DIGITS.sub(lambda found: found[0] if _NO_CARD.match(found[0]) else HIDDEN, text)
        return text if len(text) <= 300 else text[:299] + "…"


def masked_account(account: str) -> str:
    """The last four digits, as AWS itself masks it."""
    return f"{'*' * (len(account) - 4)}{account[-4:]}"
