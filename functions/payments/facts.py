"""We write down what we did and what we were told. Everything else follows.

An order is a set of facts that only grow:

- `attempts`: each intent, durable before its first byte leaves, and how its POST ended by its own answer. The first
  word of that answer stays; where none came, the attempt has no end.
- `operations`: each row of the order at the provider that is neither `auth` nor `capture`, as every answer, webhook and
  query that showed it say together. Rows that share a name are one; `success` outweighs `failed`, and that `under way`.
- `looked`: what whole lists have shown since the newest attempt was made. A whole list is an array that belongs to the
  order. It shows *the hold alone* if an `auth` is successful, every `auth` is finished and every other row has failed.
- `decisions` of operators, and what is known of holds and captures.

`evidence` adds to the facts, `operations` joins them: by union, by maximum, or by the first word. So the order of
arrival cannot matter. `verdict` reads the facts from top to bottom; the first sentence that is true is the state:

1. a void has succeeded: voided                         7. the provider refused it, and a list explains it: failed
2. an operator's newest word is `voided`: voided        8. an operator's newest word is `not-voided`: failed
3. a void is under way: pending                         9. it was accepted: pending
4. a capture has succeeded: failed                     10. a day later the hold is alone: failed
5. nobody requested it here, and it failed: failed     11. else submitting while its lease runs, then unknown
6. nothing of the newest attempt was sent: failed

`reviews` says what an operator must look at, `schedule` when the order is queried next, `claims` which request may
send. Nothing that follows is stored to be read again, so nothing can be stuck: when the evidence is there, the
conclusion is.

What absence proves. A POST may arrive until its window is over, 145 seconds after the request; only a list that began
after it is *late* and can show that nothing arrived. Lists may lag an hour behind messages, so what only messages named
is ended by the list of an hour later. An answer with less than the list, an error or a 404 proves no absence.

All files of this list are pure. Times are milliseconds since 1970 UTC, from our clock.
"""

import hashlib
from enum import IntEnum, StrEnum
from typing import NamedTuple

from payments import exact_json
from payments.messages import Fields

LEASE_MS = 25_000
"""Longer than submit_void's 20 s timeout: when the lease ends, the submitter cannot still be running."""
WINDOW_MS = LEASE_MS + 120_000
"""How long after the request our POST may still arrive. Neither is stored: shorten them when nothing is in flight."""
LAG_MS = 3_600_000
"""How far lists may lag behind messages: an assumption about the provider (docs/provider.md)."""
DAY_MS = 86_400_000


class State(StrEnum):
    """A void's state."""

    SUBMITTING = "submitting"
    UNKNOWN = "unknown"
    PENDING = "pending"
    FAILED = "failed"
    VOIDED = "voided"


SETTLED = frozenset({State.FAILED, State.VOIDED})


class FailureReason(StrEnum):
    """Why a void failed."""

    REFUSED = "refused"
    ALREADY_CAPTURED = "already-captured"
    ORDER_NOT_FOUND = "order-not-found"
    NOT_EXECUTED = "not-executed"
    NOT_SENT = "not-sent"
    THROTTLED = "throttled"
    CREDENTIALS = "provider-credentials"


class End(StrEnum):
    """How an attempt's own POST ended."""

    NOT_SENT = "not-sent"
    THROTTLED = "throttled"
    CREDENTIALS = "provider-credentials"
    REFUSED = "refused"
    NOT_FOUND = "order-not-found"
    ACCEPTED = "accepted"
    LOST = "lost"
    """No answer came, or none that says anything."""


REACHED_NOTHING = frozenset({End.NOT_SENT, End.THROTTLED, End.CREDENTIALS})
"""Nothing reached or moved the provider: the same request, with the same key, may be sent."""
REFUSALS = frozenset({End.REFUSED, End.NOT_FOUND})


class Evidence(StrEnum):
    """Where news about a void came from."""

    REQUEST = "request"
    ANSWER = "answer"
    WEBHOOK = "webhook"
    QUERY = "query"
    OPERATOR = "operator"


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
        return hashlib.sha256(text.encode()).hexdigest()[:32]


class Told(NamedTuple):
    """What an attempt came to, as its key is answered once that is final."""

    reason: FailureReason
    at: int | None
    code: str | None = None
    message: str | None = None


class Attempt(NamedTuple):
    """One try to execute the void: at most one POST."""

    number: int
    key: str | None
    body_hash: str
    requested_at: int
    requested_by: str | None
    id: str = ""
    currency: str = ""
    comment: str | None = None
    """These three of the newest attempt only."""
    end: End | None = None
    """None: in flight, or whoever made it died."""
    ended_at: int = 0
    code: str | None = None
    message: str | None = None
    told: Told | None = None
    """Written when the next attempt is made."""

    @property
    def lease_until(self) -> int:  # until then the function that made this attempt may still be running
        return self.requested_at + LEASE_MS


class Status(IntEnum):
    """Of an operation; a later one outweighs an earlier one."""

    SAID_TO_HAVE_FAILED, UNDER_WAY, FAILED, SUCCESS = range(4)


class Shown(NamedTuple):
    """One operation at the provider, as everything that showed it says together."""

    names: frozenset[str]
    """All ids of it; "" stands for what was shown without any."""
    status: Status
    since: int
    """How many attempts had been made when it was first shown: it is none of those that came later."""
    method: str = "void"
    first: int = 0
    """When it was first shown."""
    at: int = 0
    """When it was last shown."""
    own: int = 0
    """The attempt whose own answer named it."""
    by: frozenset[Evidence] = frozenset()
    """The channels that showed it."""
    failed_at: int = 0
    """When a genuine webhook last said that it failed. That may be late, or wrong."""
    undocumented_at: int = 0
    """When a late list last showed it with a status that the provider does not document."""
    rows: int = 1
    """How many there are of those without a name, as the list with the most of them showed."""
    ruled_out: int = 0
    """How many of these rows an operator has ruled out: of them only a success counts."""
    contradicted: bool = False
    """Two statements about it disagree on its payment, amount, currency or an id."""
    fields: Fields | None = None

    @property
    def listed(self) -> bool:
        """An order query has shown it."""
        return Evidence.QUERY in self.by

    @property
    def announced(self) -> bool:
        """An answer or a webhook has shown it."""
        return not self.by <= {Evidence.QUERY}

    @property
    def name(self) -> str:
        """The same for the same operation, for people."""
        return min(self.names) or "without a name"


class Looked(NamedTuple):
    """What whole lists have shown since the newest attempt was made. Moments: when the list began."""

    listed: int = 0
    """The latest."""
    alone: int = 0
    """The latest that showed the hold alone."""
    explained: int = 0
    """The first after the newest attempt was refused; that there is no such order explains it, too."""
    not_found: int = 0
    """The first of these that said: no such order."""
    concluded: int = 0
    """The first of these without a void under way: from then on the attempt's key has its answer."""


class Asked(NamedTuple):
    """The bookkeeping of queries. No reader sees it, and no state follows from it."""

    at: int = 0
    """When the latest scheduled query began, answered or not."""
    times: int = 0
    """Scheduled ones since the back-off began."""
    latest: int = 0
    """The latest one, scheduled or requested by a reader."""
    answered: int = 0
    """When the latest that was answered began."""
    unanswered: int = 0
    """When the first since then began."""
    wanted: int = 0
    """When a message or an operator last made it due at once."""
    without_credentials: int = 0


class Word(StrEnum):
    """What an operator may decide."""

    REVIEWED = "reviewed"
    NOT_VOIDED = "not-voided"
    VOIDED = "voided"


class Decision(NamedTuple):
    """One decision, as it was made."""

    at: int
    by: str | None
    word: Word
    note: str
    revision: str
    state: State
    reason: FailureReason | None
    attempt: int
    """The number of the newest attempt when it was made."""


class Facts(NamedTuple):
    """All that is known of one order's void."""

    attempts: tuple[Attempt, ...] = ()
    operations: tuple[Shown, ...] = ()
    looked: Looked = Looked()
    asked: Asked = Asked()
    decisions: tuple[Decision, ...] = ()
    known_since: int = 0
    listed: int = 0
    """When the latest whole list began, whichever attempt was the newest."""
    clear: int = 0
    """When the latest began that showed the hold alone, or taken."""
    held: bool = False
    """A successful `auth` was shown."""
    captured: bool = False
    """A capture has succeeded."""
    payments: frozenset[str] = frozenset()
    """The `payment_id`s of successful holds."""

    @property
    def newest(self) -> Attempt | None:
        """The newest attempt; None if nobody has requested a void here."""
        return self.attempts[-1] if self.attempts else None

    @property
    def number(self) -> int:
        """Its number, 0 without one."""
        return self.attempts[-1].number if self.attempts else 0

    @property
    def since(self) -> int:
        """When it was requested or, if nobody requested it here, first reported."""
        return self.attempts[-1].requested_at if self.attempts else self.known_since

    @property
    def window_until(self) -> int:
        """A list that begins from now on is late: it can show that the newest POST never arrived."""
        return self.since + WINDOW_MS

    @property
    def word(self) -> Decision | None:
        """The decision that stands: the newest one that says whether the hold was released."""
        return next((each for each in reversed(self.decisions) if each.word is not Word.REVIEWED), None)

    @property
    def ruled_by(self) -> Decision | None:
        """An operator's `not-voided` about the newest attempt."""
        word = self.word
        return word if word is not None and word.word is Word.NOT_VOIDED and word.attempt == self.number else None

    @property
    def voids(self) -> list[Shown]:
        """The operations that void."""
        return [each for each in self.operations if each.method == "void"]

    def made_by(self, key: str | None) -> Attempt | None:
        """The newest attempt that was made with this idempotency key."""
        return None if key is None else next((each for each in reversed(self.attempts) if each.key == key), None)
