"""What is known of one order: its void with the attempts to execute it, and the webhooks about it. Pure.

Times are milliseconds since 1970 UTC, from our clock. What may change is decided in `rules`.
"""

import hashlib
import unicodedata
from collections.abc import Mapping
from copy import replace
from enum import StrEnum
from typing import NamedTuple

from payments import exact_json
from payments.messages import Fields, Operation

MOST_WEBHOOKS = 100
MOST_WEBHOOK_BYTES = 200_000
LONGEST_ORDER_ID = 32
LONGEST_HISTORY = 100


class State(StrEnum):
    """A void's state, in the order of knowledge."""

    SUBMITTING = "submitting"
    UNKNOWN = "unknown"
    PENDING = "pending"
    FAILED = "failed"
    VOIDED = "voided"


RANK = {state: rank for rank, state in enumerate(State)}


class FailureReason(StrEnum):
    """Why a void failed."""

    REFUSED = "refused"
    ALREADY_CAPTURED = "already-captured"
    ORDER_NOT_FOUND = "order-not-found"
    NOT_EXECUTED = "not-executed"
    NOT_SENT = "not-sent"
    THROTTLED = "throttled"
    CREDENTIALS = "provider-credentials"


REACHED_NOTHING = frozenset({FailureReason.NOT_SENT, FailureReason.THROTTLED, FailureReason.CREDENTIALS})
"""Nothing reached or moved the provider: the same request, with the same key, may be sent."""


class Evidence(StrEnum):
    """Where a change of state came from."""

    REQUEST = "request"
    ANSWER = "answer"
    WEBHOOK = "webhook"
    QUERY = "query"


class Source(NamedTuple):
    """Where a piece of news came from, and when we had it."""

    evidence: Evidence
    at: int


class Change(NamedTuple):
    """One line of the history."""

    at: int
    state: State
    evidence: Evidence


class Request(NamedTuple):
    """What a merchant asked for, validated, and who asked."""

    order_id: str
    order_currency: str
    comment: str | None
    key: str | None
    requested_by: str | None

    @property
    def body_hash(self) -> str:
        """The same for the same body: one idempotency key stands for one body."""
        text = exact_json.write([self.order_id, self.order_currency, self.comment])
        return hashlib.sha256(text.encode()).hexdigest()


class Attempt(NamedTuple):
    """One try to execute the void: at most one POST."""

    number: int
    id: str
    key: str | None
    body_hash: str
    currency: str
    comment: str | None
    requested_at: int
    requested_by: str | None
    lease_until: int
    """Until then the function that made this attempt may still be running."""
    absence_counts_from: int
    """Only a query that begins after this moment can show that the POST never arrived."""
    idle_before: int = 0
    """How many attempts in a row before this one reached nothing."""
    ids: frozenset[str] = frozenset()
    """The provider's ids that are proven to be this attempt's."""
    refusal: FailureReason | None = None
    """The provider refused this attempt's POST, but no query has yet shown how the order stands."""


class EarlierAttempt(NamedTuple):
    """What is kept of an attempt once another one was made: enough to answer its key."""

    number: int
    key: str | None
    body_hash: str
    requested_at: int
    requested_by: str | None
    reason: FailureReason
    """How it ended; also `not-executed` if its answer was lost and the provider then showed the hold without a void."""
    settled_at: int | None
    provider_code: str | None = None
    provider_message: str | None = None


class Void(NamedTuple):
    """The void of an order. A named tuple, because the rules copy it many times a request."""

    state: State
    order_currency: str | None
    attempt: Attempt | None = None
    """The newest attempt; None if the provider reported a void that nobody requested here."""
    earlier: tuple[EarlierAttempt, ...] = ()
    reason: FailureReason | None = None
    review: bool = False
    corrected: bool = False
    resend_allowed: bool = False
    earlier_sent: bool = False
    """An earlier attempt may have been executed: a refusal may then be because of it."""
    ids_before_attempt: frozenset[str] = frozenset()
    """Every void id seen for the order before the newest attempt."""
    all_ids: frozenset[str] = frozenset()
    """Every void id seen for the order so far."""
    under_way: frozenset[str] = frozenset()
    """Ids of voids that were shown under way, and that no query has shown finished; "" is one without an id."""
    undocumented: bool = False
    """A query has shown a void with a status that the provider does not document."""
    settled_at: int | None = None
    provider: Fields | None = None
    provider_code: str | None = None
    provider_message: str | None = None
    history: tuple[Change, ...] = ()
    query_count: int = 0
    """Scheduled queries since the state was last settled or the attempt began."""
    queried_at: int = 0
    due_at: int | None = None

    @property
    def settled(self) -> bool:
        """Nothing is open."""
        return self.state in (State.FAILED, State.VOIDED)

    @property
    def known_since(self) -> int | None:
        """When it was requested or, if nobody requested it here, first reported."""
        if self.attempt is not None:
            return self.attempt.requested_at
        return self.history[0].at if self.history else None

    def made_by(self, key: str | None) -> Attempt | EarlierAttempt | None:
        """The newest attempt that was made with this idempotency key."""
        if key is None:
            return None
        if self.attempt is not None and self.attempt.key == key:
            return self.attempt
        return next((earlier for earlier in reversed(self.earlier) if earlier.key == key), None)

    @property
    def attempts_that_count(self) -> int:
        """Attempts that reached the provider, or may have."""
        newest = self.attempt is not None and not (self.state is State.FAILED and self.reason in REACHED_NOTHING)
        return newest + sum(earlier.reason not in REACHED_NOTHING for earlier in self.earlier)


class StoredWebhook(NamedTuple):
    """One genuine webhook of an order, reduced to the allow-listed fields."""

    digest: str
    received_at: int
    verified_with: str
    operation: Operation


class Order(NamedTuple):
    """Everything about one order: one item of the table."""

    pos_id: str
    order_id: str
    void: Void | None = None
    """None: webhooks were announced, of an auth for example, but no void."""
    webhooks: Mapping[str, StoredWebhook] = {}
    """By the SHA-256 of their data."""
    webhook_bytes: int = 0
    more_webhooks: bool = False
    """Some did not fit and are in quarantine."""
    version: int = 0
    """0: not in the table."""
    write_id: str = ""

    @property
    def newest_webhooks(self) -> list[StoredWebhook]:
        """The webhooks as they came, newest last."""
        return sorted(self.webhooks.values(), key=lambda webhook: webhook.received_at)


def append_history(void: Void, source: Source) -> Void:
    """The void with its present state as the newest line of its history, which is bounded."""
    history = (*void.history, Change(source.at, void.state, source.evidence))
    if len(history) > LONGEST_HISTORY:
        history = (history[0], *history[-(LONGEST_HISTORY - 1) :])
    return replace(void, history=history)


def wrong_order_id(value: object) -> str | None:
    """Why this cannot be an order's id, None if it can. `.`, `..` and `0` mean something else in the provider's paths.

    Were the provider to trim blanks or to normalise Unicode, two spellings would be one order with two records.
    """
    if not isinstance(value, str) or not 1 <= len(value) <= LONGEST_ORDER_ID or value in (".", "..", "0"):
        return "must be text of 1 to 32 characters, and not '.', '..' or '0'"
    if not value.isprintable() or "\ufffd" in value:
        return "must be printable text, without U+FFFD"
    if value != value.strip():
        return "must not begin or end with a blank"
    if not unicodedata.is_normalized("NFC", value):
        return "must be in Unicode's composed form (NFC)"
    return None


def currency_of(operation: Operation) -> str | None:
    """The currency if it looks like one; whatever else stands there remains among the provider's fields."""
    value = operation.fields["currency"]
    is_currency = isinstance(value, str) and len(value) == 3 and value.isascii() and value.isalpha() and value.isupper()
    return str(value) if is_currency else None


def ids_of(fields: Fields) -> frozenset[str]:
    """What identifies the operation of these fields."""
    return frozenset(str(fields[name]) for name in ("operation_id", "transaction_id") if fields.get(name))
