"""One order: its facts, the history of what readers were shown, its webhooks. Each change goes through here. Pure."""

import hashlib
from collections.abc import Mapping
from copy import replace
from functools import cached_property
from itertools import takewhile
from typing import NamedTuple

from payments import evidence, exact_json, reviews
from payments.facts import (
    REACHED_NOTHING,
    REFUSALS,
    SETTLED,
    Decision,
    Evidence,
    Facts,
    FailureReason,
    Request,
    State,
    Told,
    Word,
)
from payments.messages import Fields, Operation
from payments.operations import currency_of
from payments.reviews import Opened, Reason, Review
from payments.schedule import due_at
from payments.verdict import Verdict, fields_of, may_be_sent_again, state_at, told_of, verdict

MOST_WEBHOOKS = 100
MOST_WEBHOOK_BYTES = 80_000
LONGEST_HISTORY = 100
NOTHING = Facts()
NOTHING_SENT = frozenset({FailureReason.NOT_SENT, FailureReason.THROTTLED, FailureReason.CREDENTIALS})


class Source(NamedTuple):
    """Where a piece of news came from, and when we had it."""

    evidence: Evidence
    at: int


class Change(NamedTuple):
    """One line of the history: a state that a reader was shown."""

    at: int
    state: State
    evidence: Evidence
    reason: FailureReason | None = None
    by_operator: bool = False


class StoredWebhook(NamedTuple):
    """One genuine webhook of an order, reduced to the allow-listed fields."""

    digest: str
    received_at: int
    verified_with: str
    operation: Operation


class Void(NamedTuple):
    """What follows from all that is known of an order."""

    facts: Facts
    history: tuple[Change, ...]
    reviews: tuple[Review, ...]
    state: State
    reason: FailureReason | None
    by_operator: bool
    corrected: bool
    resend_allowed: bool
    order_currency: str | None
    provider: Fields | None
    provider_code: str | None
    provider_message: str | None
    settled_at: int | None
    due_at: int | None

    @property
    def settled(self) -> bool:
        """Nothing is open."""
        return self.state in SETTLED

    @property
    def review(self) -> bool:
        """Has an operator something to read?"""
        return any(each.read_at is None for each in self.reviews)

    @property
    def shown(self) -> tuple[object, ...]:
        """All of it but the facts: what a reader or an index may see."""
        return self[1:]


class _Known(NamedTuple):
    pos_id: str
    order_id: str
    facts: Facts = NOTHING
    history: tuple[Change, ...] = ()
    reviews: tuple[Review, ...] = ()
    webhooks: Mapping[str, StoredWebhook] = {}
    """By half of the SHA-256 of their data: only genuine messages have one."""
    more_webhooks: bool = False
    """Some did not fit and are in quarantine."""
    version: int = 0
    """0: not in the table."""
    write_id: str = ""
    event_id: str = ""
    """Of the newest `void.settled`: made of order and version, so that the same event can be sent again."""
    settles: bool = False
    """The next write makes that event."""


class Order(_Known):
    """Everything about one order: one item of the table."""

    @cached_property
    def void(self) -> Void | None:
        """What follows; None: webhooks were reported, of an auth for example, but no void."""
        found = verdict(self.facts)
        if found is None:
            return None
        opened = opened_by(self.facts, self.history, found)
        settled_at = self.history[-1].at if self.history and found.state in SETTLED else None
        fields, newest = fields_of(self.facts, found), self.facts.newest
        return Void(
            self.facts, self.history, self.reviews, found.state, found.reason, found.by_operator, opened.corrected,
            may_be_sent_again(self.facts, found.state),
            newest.currency if newest is not None else currency_of(fields),
            fields, found.code, found.message, settled_at,
            due_at(self.facts, found, opened.at, settled_at),
        )  # fmt: skip

    @property
    def newest_webhooks(self) -> list[StoredWebhook]:
        """The webhooks as they came, newest last."""
        return sorted(self.webhooks.values(), key=lambda webhook: webhook.received_at)

    @property
    def next_version(self) -> int:
        """Versions begin with the second in which the record is made.

        So one that expired or was restored does not begin below what its readers have seen.
        """
        if self.version:
            return self.version + 1
        born = self.facts.known_since or min((each.received_at for each in self.webhooks.values()), default=0)
        return max(1, born // 1000)

    def stored(self, write_id: str, *, settles: bool = False) -> "Order":
        """The same as it stands in the table after a write, or as it is written, with what follows: that stays."""
        order = replace(self, version=self.next_version, write_id=write_id, settles=settles)
        vars(order)["void"] = self.void
        return order

    # ---- what changes an order ---------------------------------------------------------------------------------------

    def learnt(self, facts: Facts, source: Source, extra: tuple[Reason, str] | None = None) -> "Order":
        """The order with these facts.

        What a reader sees otherwise is a line of the history; `extra`: one more review.
        """
        if facts == self.facts and extra is None:
            return self
        found = verdict(facts)
        if found is None:
            return replace(self, facts=facts)
        shown = state_at(facts, found.state, source.at)
        changed = not self.history or not _same(self.history[-1], found, shown)
        history = self.history
        if changed:
            history = _with_line(history, Change(source.at, shown, source.evidence, found.reason, found.by_operator))
            facts = facts._replace(asked=facts.asked._replace(times=0))
        followed = list(reviews.follow(facts, found, opened_by(facts, history, found), source.at))
        followed += [extra] if extra is not None else []
        known, settles = reviews.remembered(self.reviews, followed, source.at), self.settles and found.state in SETTLED
        order = replace(self, facts=facts, history=history, reviews=known, settles=settles)
        return order._announced(found.state) if changed else order

    def _announced(self, state: State) -> "Order":
        """Each change into a settled state, or of its reason, is an event; without a request of ours only a success."""
        if state is not State.VOIDED and not (state is State.FAILED and self.facts.attempts):
            return self
        digest = hashlib.sha256(f"{self.pos_id}#{self.order_id}".encode()).hexdigest()[:16]
        return replace(self, event_id=f"{digest}-{self.next_version}", settles=True)

    def claimed(self, request: Request, attempt_id: str, now: int) -> "Order":
        """The order with the intent of its next attempt."""
        facts = evidence.claimed(self.facts, request, attempt_id, now, self._told())
        order = replace(self, history=self._kept_history(), reviews=reviews.read(self.reviews, now))
        return order.learnt(facts, Source(Evidence.REQUEST, now))

    def _told(self) -> Told | None:
        """What the newest attempt came to, as its key is answered once another one is made."""
        newest, void = self.facts.newest, self.void
        if newest is None or void is None:
            return None
        reason = void.reason or FailureReason.NOT_EXECUTED
        return told_of(self.facts, newest) or Told(reason, void.settled_at, void.provider_code, void.provider_message)

    def _kept_history(self) -> tuple[Change, ...]:
        """Of many attempts in a row that reached nothing, the first and the newest:
        an outage must not fill the record.
        """
        begins = [at for at, change in enumerate(self.history) if change.state is State.SUBMITTING]
        last_two = self.history[begins[-2] :] if len(begins) > 1 else ()
        idle = all(each.state is State.SUBMITTING or each.reason in NOTHING_SENT for each in last_two)
        return self.history[: begins[-1]] if last_two and idle else self.history

    def decided(self, decision: Decision) -> "Order":
        """The order with an operator's word; what the operator saw is read."""
        order = replace(self, reviews=reviews.read(self.reviews, decision.at))
        order = order.learnt(evidence.decided(self.facts, decision), Source(Evidence.OPERATOR, decision.at))
        if decision.word is Word.REVIEWED:
            return order
        # What the word itself brings about was seen by whoever said it.
        return replace(order, reviews=reviews.read(order.reviews, decision.at))

    def with_webhook(self, webhook: StoredWebhook) -> "Order":
        """The order with one more webhook and what it proves; a repetition changes nothing."""
        if webhook.digest in self.webhooks:
            return self
        facts = evidence.reported(self.facts, webhook.operation, webhook.received_at)
        webhooks, source = {**self.webhooks, webhook.digest: webhook}, Source(Evidence.WEBHOOK, webhook.received_at)
        if len(webhooks) > MOST_WEBHOOKS or sum(map(size_of, webhooks.values())) > MOST_WEBHOOK_BYTES:
            # The message itself goes to quarantine; what it proves counts all the same.
            return replace(self.learnt(facts, source, (Reason.TOO_MANY_WEBHOOKS, "order")), more_webhooks=True)
        return replace(self, webhooks=webhooks).learnt(facts, source)


def _same(line: Change, found: Verdict, shown: State) -> bool:
    if line.state is not shown:
        return False
    return shown not in SETTLED or (line.reason, line.by_operator) == (found.reason, found.by_operator)


def _with_line(history: tuple[Change, ...], line: Change) -> tuple[Change, ...]:
    first, *later = (*history, line)
    return (first, *later[-(LONGEST_HISTORY - 1) :])


def opened_by(facts: Facts, history: tuple[Change, ...], found: Verdict) -> Opened:
    """Since when the order is open, and whether a final failure was shown of what has now succeeded."""
    at = facts.since
    for change in reversed(history):
        if change.state in SETTLED:
            break
        at = change.at
    return Opened(at, found.state is State.VOIDED and _was_shown_failed(facts, history, found))


def _was_shown_failed(facts: Facts, history: tuple[Change, ...], found: Verdict) -> bool:
    """Of the attempt that the operation is known by; else of the newest, or of one since which nothing was executed."""
    newest = takewhile(lambda change: change.state is not State.SUBMITTING, reversed(history))
    reasons = {change.reason for change in newest if change.state is State.FAILED}
    may_be = True
    for attempt in reversed(facts.attempts):
        own = found.operation is not None and found.operation.own == attempt.number
        if attempt.told is not None and (may_be or own):
            reasons.add(attempt.told.reason)
        may_be = may_be and attempt.end in REACHED_NOTHING | REFUSALS
    return not reasons <= NOTHING_SENT


def size_of(webhook: StoredWebhook) -> int:
    """About what a webhook may add to its item, in bytes; less if it says what is shown."""
    return 150 + len(exact_json.write(dict(webhook.operation.fields)).encode())
