"""What is raised, in three groups that say what to do; `problem` is the problem's name in the contract."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, cast

from .records import Problem, VoidRecord

PREFIX = "urn:void-service:problem:"


@dataclass(frozen=True)
class Answer:
    """One answer; `document` is empty if it is not a JSON object, and so is what is missing."""

    status: int = 0
    document: dict[str, Any] = field(default_factory=dict)
    location: str = ""
    retry_after: int | None = None
    request_id: str = ""
    hint: str = ""

    @property
    def problem(self) -> str:
        """The name of the service's problem."""
        kind = self.document.get("type")
        return kind.removeprefix(PREFIX) if isinstance(kind, str) and kind.startswith(PREFIX) else ""


NO_ANSWER = Answer()


class VoidError(Exception):
    """The hold is not known to be released. `problem` names why; what is not known is None; the cause is chained.

    `record` is the last record that this call saw, `retry_after` the seconds that the service named, `request_id` what
    the operators find in their logs, `hint` what only a local run says about a signature.
    """

    def __init__(
        self, problem: str, detail: str, advice: str = "", answer: Answer = NO_ANSWER, record: VoidRecord | None = None
    ) -> None:
        super().__init__(detail)
        self.problem, self.answer, self.record = problem, answer, record
        self.advice = advice or PROBLEMS[problem][1]
        self.document = cast(Problem, answer.document) if answer.problem else None
        self.status, self.retry_after, self.hint = answer.status or None, answer.retry_after, answer.hint or None
        self.request_id = (self.document or {}).get("request_id") or answer.request_id or None

    @property
    def label(self) -> str:
        """The problem's name, with the void's reason or state where that decides."""
        which = DECIDES.get(self.problem)
        return f"{self.problem} ({self.record.get(which)})" if which and self.record else self.problem

    def __str__(self) -> str:
        hint = f" ({self.hint})" if self.hint else ""
        text = f"{self.label}: {self.args[0].rstrip('.')}{hint}. Do: {self.advice}"
        # Parts of it come from outside, and a terminal obeys control characters.
        return "".join(character if character.isprintable() else "?" for character in text)


class NotVoided(VoidError):
    """The final no: the same key gets the same answer. To try again is a new decision, with a new key."""


class RepeatLater(VoidError):
    """It may be voided or not, or is not possible now: the same call, with the same key, is safe to repeat."""


class WrongCall(VoidError):
    """Nothing was voided by this call, and repeating it unchanged does not help: correct the call or the settings."""


PROBLEMS: dict[str, tuple[type[VoidError], str]] = {
    "in-progress": (RepeatLater, "another request for this order is in flight: repeat the same request"),
    "throttled": (RepeatLater, "too many requests, this one did nothing: repeat the same request"),
    "provider-credentials": (RepeatLater, "nothing was voided, the operators are notified: repeat the same later"),
    "not-sent": (RepeatLater, "nothing reached the provider: repeat the same request"),
    "outcome-unknown": (RepeatLater, "it may be voided or not: repeat the same request, which is safe"),
    "not-voidable": (NotVoided, "see the reason"),
    "too-many-attempts": (NotVoided, "all attempts are used up: ask the operators"),
    "invalid-request": (WrongCall, "correct everything listed"),
    "unauthenticated": (WrongCall, "check the URL, the region, the credentials or the token, the role and the clock"),
    "not-found": (WrongCall, "there is no void of this order here: check the order and the URL"),
    "too-large": (WrongCall, "send a shorter text"),
    "unsupported-media-type": (WrongCall, "let nothing change the request's Content-Type"),
    "idempotency-mismatch": (WrongCall, "this key came with another body: one key is one decision"),
    "currency-mismatch": (WrongCall, "use the currency of the void on record"),
    "changed-meanwhile": (WrongCall, "the record has changed: read it again, then decide about what it shows"),
    "nothing-to-decide": (WrongCall, "the record leaves nothing to decide: read it again"),
    # The client's own.
    "not-settled-yet": (RepeatLater, "repeat the same request later, or read the void"),
    "nothing-sent": (RepeatLater, "nothing was sent: repeat the same request once the cause is gone"),
    "not-configured": (WrongCall, "nothing was sent: correct the cause"),
    "invalid-argument": (WrongCall, "nothing was sent: correct the argument"),
    "unknown-problem": (WrongCall, "check the URL and the version of this client"),
}
DECIDES = {"not-voidable": "reason", "not-settled-yet": "state"}
# What a gateway or a proxy may answer in words of its own.
BY_STATUS = {401: "unauthenticated", 403: "unauthenticated", 413: "too-large", 429: "throttled"}
REASONS = {
    "refused": "understand the provider's answer; to ask again is a new decision, with a new key",
    "already-captured": "the money was taken: decide about a refund, which is another operation",
    "order-not-found": "the provider knows no such order: check the order id; after that, ask with a new key",
    "not-executed": "the hold is still there: if the void is still wanted, ask with a new key",
}
NEW_KEY = "it did not arrive: if the void is still wanted, ask with a new key"
REVIEW = "the operators must look at it; repeat the same request later, or read the void"


def error(problem: str, *facts: Any) -> VoidError:
    """The error of a problem, in its group: detail, advice, answer, record."""
    return PROBLEMS[problem][0](problem, *facts)


def not_understood(answer: Answer) -> VoidError:
    """A success that is none: cut, from a proxy, or about another order."""
    return error("outcome-unknown", f"HTTP {answer.status}, not understood", "", answer)


def error_of(answer: Answer) -> VoidError:
    """What an answer that is no success means: by the problem's type; without one of the service, by the status."""
    name, told = answer.problem, answer.document.get
    otherwise = "outcome-unknown" if answer.status >= 500 else "unknown-problem"
    if not name:
        said = told("message") or told("Message") or "not a problem document of the void service"
        return error(BY_STATUS.get(answer.status, otherwise), f"HTTP {answer.status}, {said}", "", answer)
    texts = [told(member) for member in ("detail", "provider_code", "provider_message")]
    texts += [f"{each['pointer']} {each['detail']}" for each in told("errors", [])]
    detail, record = "; ".join(str(text).rstrip(".") for text in texts if text), told("void")
    advice = REASONS.get((record or {}).get("reason") or "", "") if name == "not-voidable" else ""
    return error(name if name in PROBLEMS else otherwise, detail, advice, answer, record)
