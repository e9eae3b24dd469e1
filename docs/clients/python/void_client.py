"""A client of the void service: `void` returns when the hold is released, and raises in every other case.

    client = VoidClient("https://….execute-api.eu-central-1.amazonaws.com/v1", "eu-central-1")
    record = client.void("123", "UAH", idempotency_key=decision_id)

One file, to install or to copy. It repeats only what the contract declares safe to repeat, always with the key that it
was given, and never reads "not known" as "not voided". As a program: void_client.py ORDER_ID CURRENCY [COMMENT]
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, ClassVar, Literal, NoReturn, TypedDict, cast
from urllib.parse import quote, urlencode, urljoin

import urllib3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import NoCredentialsError
from botocore.session import get_session

__version__ = "1.0.0"  # of the contract, openapi.json

# ---- what the service answers, as openapi.json names it --------------------------------------------------------------

State = Literal["submitting", "unknown", "pending", "failed", "voided"]
Reason = Literal[
    "refused", "already-captured", "order-not-found", "not-executed", "not-sent", "throttled", "provider-credentials"
]
Amount = int | Decimal
"""Exact, with the digits that the provider sent; never a float."""


class Provider(TypedDict):
    """The provider's own fields."""

    operation_id: str | None
    payment_id: str | None
    order_id: str | None
    transaction_id: str | None
    pos_id: str | None
    mode: str | None
    method: str | None
    amount: Amount | None
    currency: str | None
    status: str | None
    status_code: str | None
    status_description: str | None
    created_at: str | None
    processing_time: str | None
    fee: Any
    comment: str | None


class Step(TypedDict):
    """One change of a void's state."""

    at: str
    state: State
    evidence: Literal["request", "answer", "webhook", "query"]


class VoidRecord(TypedDict):
    """The record of one order's void."""

    order_id: str
    state: State
    reason: Reason | None
    review: bool
    corrected: bool
    resend_allowed: bool
    order_currency: str | None
    comment: str | None
    attempt: int
    requested_at: str | None
    requested_by: str | None
    settled_at: str | None
    provider: Provider | None
    history: list[Step]


class Event(TypedDict):
    """One genuine webhook of the order."""

    received_at: str
    method: str
    status: str
    provider: Provider


class VoidWithEvents(VoidRecord):
    """The record, and the order's webhooks."""

    events: list[Event]
    events_truncated: bool


class _Problem(TypedDict):
    type: str
    title: str
    detail: str
    request_id: str


class Problem(_Problem, total=False):
    """A problem document (RFC 9457)."""

    status: int
    order_id: str
    errors: list[dict[str, str]]
    void: VoidRecord
    provider_code: str | None
    provider_message: str | None


# ---- what is raised: one class for each problem type, in three groups ------------------------------------------------


class VoidError(Exception):
    """The hold is not known to be released. `problem`, `record`, `status`, `retry_after` are None if there is none."""

    name: ClassVar[str]
    advice: str

    def __init__(
        self,
        detail: str,
        *,
        advice: str = "",
        status: int | None = None,
        problem: Problem | None = None,
        record: VoidRecord | None = None,
        retry_after: int | None = None,
    ) -> None:
        super().__init__(detail)
        self.advice = advice or type(self).advice
        self.status, self.problem, self.record, self.retry_after = status, problem, record, retry_after

    @property
    def label(self) -> str:
        """The problem's name, with the void's reason or state where that decides."""
        return self.name

    def __str__(self) -> str:
        text = f"{self.label}: {self.args[0]}. Do: {self.advice}"
        # Parts of it come from outside, and a terminal obeys control characters.
        return "".join(character if character.isprintable() else "?" for character in text)


class Refused(VoidError):
    """For good: the same key gets the same answer. To try again is a new decision, with a new key."""


class RepeatLater(VoidError):
    """Not known, or not possible now: the same request, with the same key, is safe to repeat."""

    first_pause: ClassVar[int] = 5  # seconds, where the service names none


class Misuse(VoidError):
    """The request or the configuration must be corrected."""


class UnknownProblem(VoidError):
    """A problem that this version does not know, or an answer by something that is not the void service."""

    name, advice = "unknown-problem", "check the URL and the version of this client"


class InvalidRequest(Misuse):
    name, advice = "invalid-request", "correct everything listed"


class Unauthenticated(Misuse):
    name, advice = "unauthenticated", "check the URL, the region, the credentials, the role and the clock"


class NotFound(Misuse):
    name, advice = "not-found", "there is no void of this order here: check the order and the URL"


class TooLarge(Misuse):
    name, advice = "too-large", "send a shorter comment"


class UnsupportedMediaType(Misuse):
    name, advice = "unsupported-media-type", "let nothing change the request's Content-Type"


class IdempotencyMismatch(Misuse):
    name, advice = "idempotency-mismatch", "this key came with another body: one key is one decision"


class CurrencyMismatch(Misuse):
    name, advice = "currency-mismatch", "use the currency of the void on record"


class NotVoidable(Refused):
    name, advice = "not-voidable", "see the reason"

    @property
    def label(self) -> str:
        return f"{self.name} ({self.record.get('reason')})" if self.record else self.name


class TooManyAttempts(Refused):
    name, advice = "too-many-attempts", "twenty attempts were made: the operators must look"


class InProgress(RepeatLater):
    name, advice = "in-progress", "another request for this order is in flight: repeat the same request"


class Throttled(RepeatLater):
    name, advice = "throttled", "too many requests, nothing was done: repeat the same request"


class ProviderCredentials(RepeatLater):
    name, advice = "provider-credentials", "nothing was voided, the operators are alarmed: repeat the same later"
    first_pause = 60  # the operators act first


class NotSent(RepeatLater):
    name, advice = "not-sent", "nothing was sent: repeat the same request"


class OutcomeUnknown(RepeatLater):
    """Also any other 5xx, an answer that cannot be read, and no answer at all."""

    name, advice = "outcome-unknown", "it may be voided or not: repeat the same request, which is safe"


class NotSettledYet(RepeatLater):
    """No problem of the service: the void was accepted, and is open at the end of the patience."""

    name, advice = "not-settled-yet", "repeat the same request later, or read the void"

    @property
    def label(self) -> str:
        return f"{self.name} ({self.record.get('state')})" if self.record else self.name


PROBLEM = "urn:void-service:problem:"
PROBLEMS: dict[str, type[VoidError]] = {
    PROBLEM + kind.name: kind
    for kind in (
        InvalidRequest, Unauthenticated, NotFound, InProgress, NotVoidable, TooManyAttempts, TooLarge,
        UnsupportedMediaType, IdempotencyMismatch, CurrencyMismatch, Throttled, ProviderCredentials, NotSent,
        OutcomeUnknown,
    )
}  # fmt: skip
# What a gateway or a proxy may answer in words of its own.
BY_STATUS: dict[int, type[VoidError]] = {403: Unauthenticated, 413: TooLarge, 429: Throttled}
REASONS = {
    "refused": "understand the provider's answer; to ask again is a new decision, with a new key",
    "already-captured": "the money was taken: decide about a refund, which is another operation",
    "order-not-found": "the provider knows no such order: check the order id; after that, ask with a new key",
    "not-executed": "the hold still stands: if the void is still wanted, ask with a new key",
}
NEW_KEY = "it did not arrive: if the void is still wanted, ask with a new key"
REVIEW = "the operators must look at it; repeat the same request later, or read the void"


# ---- the client ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Answer:
    status: int
    document: dict[str, Any]  # empty if it is not a JSON object
    location: str
    retry_after: int | None


class VoidClient:
    """`url` is the API with its stage. Credentials are botocore's; without any, it looks for them as the AWS CLI does.

    `timeout` bounds one request, in seconds: the API answers within 29. `on_wait` is told of each pause and its cause.
    """

    def __init__(
        self,
        url: str,
        region: str,
        *,
        credentials: Credentials | None = None,
        timeout: float = 35.0,
        on_wait: Callable[[RepeatLater, int], object] | None = None,
    ) -> None:
        if not re.fullmatch(r"https?://[^/?#]+(/[^?#]*)?", url):
            raise ValueError(f"not the URL of an API: {url!r}")
        self._url, self._region, self._on_wait = url.rstrip("/"), region, on_wait
        self._credentials = credentials or get_session().get_credentials()
        # Without urllib3's own retries and redirects: they do not know what may be repeated here, and where to.
        limits = urllib3.Timeout(connect=min(timeout, 5.0), read=timeout)
        self._pool = urllib3.PoolManager(retries=False, timeout=limits)

    def void(
        self,
        order_id: str,
        order_currency: str,
        *,
        idempotency_key: str,
        comment: str | None = None,
        wait: float = 120.0,
    ) -> VoidRecord:
        """Release the hold of an order, and wait up to `wait` seconds for the outcome. Returns only a voided record.

        Keep one key with each decision to void, and give it whenever you ask again. With `wait=0` one request is sent.
        """
        if not re.fullmatch(r"[ -~]{1,255}", idempotency_key):
            raise ValueError("an idempotency key has 1 to 255 printable ASCII characters")
        if not wait >= 0:
            raise ValueError("the seconds to wait are a number, 0 or more")
        wanted = {"order_id": order_id, "order_currency": order_currency}
        body = json.dumps(wanted if comment is None else {**wanted, "comment": comment}).encode()
        headers = {"Content-Type": "application/json", "Idempotency-Key": idempotency_key}
        deadline = time.monotonic() + wait
        location, pause = "", 0
        while True:
            try:
                if location:  # the intent is durable: it is enough to read
                    answer = self._call("GET", location)
                else:
                    answer = self._call("POST", f"{self._url}/voids", body, headers)
                record = _record(answer, order_id)
                if record["state"] == "voided":
                    return record
                if record["state"] == "failed":
                    if not location:
                        raise _unreadable(answer)  # a refusal is a problem document
                    location = ""  # what that means for this key, the service says when it is asked with this key
                    continue
                location = location or self._location(answer, order_id)
                raise _open(answer, record)
            except RepeatLater as error:
                told = error.retry_after
                pause = max(told, 1) if told is not None else min(max(pause * 2, error.first_pause), 60)
                if (error.record and error.record.get("resend_allowed")) or time.monotonic() + pause > deadline:
                    raise
                if self._on_wait:
                    self._on_wait(error, pause)
                time.sleep(pause)

    def read(self, order_id: str, *, refresh: bool = False) -> VoidWithEvents:
        """The record of an order's void; `refresh` has the provider asked first. Sent once."""
        answer = self._call("GET", self._order_url(order_id) + ("?refresh=true" if refresh else ""))
        return cast(VoidWithEvents, _record(answer, order_id))

    def voids(self, state: Literal["unsettled", "review"] = "unsettled") -> Iterator[VoidRecord]:
        """The voids that are not settled, next due first, or those that need a person; page by page."""
        query = {"limit": "100", "state": state}
        while True:
            answer = self._call("GET", f"{self._url}/voids?{urlencode(query)}")
            voids, cursor = answer.document.get("voids"), answer.document.get("cursor")
            if not isinstance(voids, list):
                raise _unreadable(answer)
            yield from voids
            if not cursor:
                return
            query["cursor"] = cursor

    def _order_url(self, order_id: str) -> str:
        if order_id in ("", ".", ".."):  # no order has such an id, and in a path they mean something else
            raise ValueError("no order has this id")
        return f"{self._url}/voids/{quote(order_id, safe='')}"

    def _location(self, answer: _Answer, order_id: str) -> str:
        """Where the answer says that the void is read; a place outside of this API gets no signed request."""
        found = urljoin(f"{self._url}/voids", answer.location)
        return found if re.fullmatch(re.escape(f"{self._url}/voids/") + "[^/?#]+", found) else self._order_url(order_id)

    def _call(self, method: str, url: str, body: bytes = b"", headers: dict[str, str] | None = None) -> _Answer:
        """Sign and send once. Returns a 2xx, and raises for everything else."""
        if self._credentials is None:
            raise NoCredentialsError
        agent = {"User-Agent": f"void-client-python/{__version__}"}
        request = AWSRequest(method, url, headers={**(headers or {}), **agent}, data=body)
        SigV4Auth(self._credentials.get_frozen_credentials(), "execute-api", self._region).add_auth(request)
        try:
            got = self._pool.request(method, url, body=body or None, headers=dict(request.headers.items()))
        except urllib3.exceptions.HTTPError as error:
            # Nobody knows whether the request arrived.
            raise OutcomeUnknown(f"no answer ({type(error).__name__})") from error
        told = got.headers.get("Retry-After", "")
        retry_after = int(told) if re.fullmatch("[0-9]{1,9}", told) else None
        answer = _Answer(got.status, _parse(got.data), got.headers.get("Location", ""), retry_after)
        if 200 <= answer.status < 300:
            return answer
        raise _error(answer)


def _parse(data: bytes) -> dict[str, Any]:
    def refuse(constant: str) -> NoReturn:
        raise ValueError(constant)  # NaN and Infinity are not JSON

    try:
        document = json.loads(data, parse_float=Decimal, parse_constant=refuse)
    except (ValueError, ArithmeticError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def _record(answer: _Answer, order_id: str) -> VoidRecord:
    # A cut answer, or another order's record from a cache in between, is not this void's outcome.
    if answer.document.get("order_id") != order_id or not isinstance(answer.document.get("state"), str):
        raise _unreadable(answer)
    return cast(VoidRecord, answer.document)


def _unreadable(answer: _Answer) -> OutcomeUnknown:
    return OutcomeUnknown(f"HTTP {answer.status}, not understood", status=answer.status)


def _open(answer: _Answer, record: VoidRecord) -> NotSettledYet:
    return NotSettledYet(
        "the outcome is not known yet",
        advice=NEW_KEY if record.get("resend_allowed") else REVIEW if record.get("review") else "",
        status=answer.status,
        record=record,
        retry_after=answer.retry_after,
    )


def _error(answer: _Answer) -> VoidError:
    """What is raised for an error: by the problem's type; without one of the service, by the status."""
    status, document = answer.status, answer.document
    kind_of = document.get("type")
    if not isinstance(kind_of, str) or not kind_of.startswith(PROBLEM):
        kind = OutcomeUnknown if status >= 500 else BY_STATUS.get(status, UnknownProblem)
        said = document.get("message") or document.get("Message") or "not a problem document of the void service"
        return kind(f"HTTP {status}, {said}", status=status, retry_after=answer.retry_after)
    kind = PROBLEMS.get(kind_of, OutcomeUnknown if status >= 500 else UnknownProblem)
    problem = cast(Problem, document)
    record = problem.get("void")
    details = [
        problem.get("detail"),
        problem.get("provider_code"),
        problem.get("provider_message"),
        *(f"{error['pointer']} {error['detail']}" for error in problem.get("errors", [])),
    ]
    return kind(
        "; ".join(detail for detail in details if detail),
        advice=REASONS.get(record.get("reason") or "", "") if kind is NotVoidable and record else "",
        status=status,
        problem=problem,
        record=record,
        retry_after=answer.retry_after,
    )


# ---- the program -----------------------------------------------------------------------------------------------------


def main() -> int:
    """Void one order. Exit codes: 0 voided, 1 refused for good, 2 run the same again later, 3 misuse."""
    setting = os.environ.get
    key = setting("IDEMPOTENCY_KEY") or str(uuid.uuid4())
    if not setting("IDEMPOTENCY_KEY"):
        _say(f"IDEMPOTENCY_KEY={key}")  # first, so that it is known whatever happens
    try:
        if len(sys.argv) not in (3, 4):
            raise ValueError("ORDER_ID and CURRENCY are needed, and one COMMENT may follow")
        order_id, currency, comment = sys.argv[1], sys.argv[2], sys.argv[3] if len(sys.argv) == 4 else None
        client = VoidClient(
            setting("VOID_SERVICE_URL", ""),
            setting("AWS_REGION", ""),
            on_wait=lambda error, seconds: _say(f"{error.label}: again in {seconds} s"),
        )
        wait = float(setting("VOID_WAIT_SECONDS", "120"))
        record = client.void(order_id, currency, idempotency_key=key, comment=comment, wait=wait)
    except VoidError as error:
        _say(str(error))
        return 1 if isinstance(error, Refused) else 2 if isinstance(error, RepeatLater) else 3
    except (ValueError, NoCredentialsError) as error:
        _say(f"{error}: set VOID_SERVICE_URL, AWS_REGION and credentials; void-client ORDER_ID CURRENCY [COMMENT]")
        return 3
    except Exception as error:  # noqa: BLE001 a crash would end with 1, which says "refused"
        _say(f"{type(error).__name__}: it may be voided or not: run the same again, which is safe")
        return 2
    print(json.dumps(record, default=str, ensure_ascii=False))
    return 0


def _say(line: str) -> None:
    print(line, file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
