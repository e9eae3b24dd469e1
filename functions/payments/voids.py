"""A void's life: submit it once, and ask about it until it is known.

Submit: a durable intent, one POST, a durable outcome. Settle: lease, one question, merge. Promises that no request byte
leaves before its intent is durable, and that what is not known stays `unknown`. Never sends a second time by itself.
"""

import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum

from payments import exact_json, operations
from payments.messages import Answer, OrderView, Word
from payments.operations import Intent, State, Verdict, Void
from payments.provider import Handshake, NotConnected, Provider
from payments.secret import Credentials, Secret
from payments.store import Conflict, Store, StoreError, Written

LATEST_SEND_MS = 4_000
"""A POST leaves within this time of the request or not at all: then its 10 s answer ends before the function does."""
LATEST_QUERY_MS = 18_000
MOST_MERGES = 5
REFRESH_EVERY_MS = 5_000
SETTLE_WORKERS = 8
SETTLE_PAGE = 50


@dataclass(frozen=True, slots=True)
class World:
    """Everything outside: passed in, so that a test can put another one in its place. `now` is in milliseconds."""

    store: Store
    secret: Secret
    provider: Provider
    server_url: str
    now: Callable[[], int]
    new_id: Callable[[], str]


@dataclass(frozen=True, slots=True)
class Request:
    """What a merchant asked for, validated."""

    order_id: str
    order_currency: str
    comment: str | None
    key: str | None
    requested_by: str | None


class Result(StrEnum):
    """How a request ended."""

    VOIDED = "voided"
    ACCEPTED = "accepted"
    NOT_VOIDABLE = "not-voidable"
    IN_PROGRESS = "in-progress"
    TOO_MANY = "too-many-attempts"
    KEY_MISMATCH = "idempotency-mismatch"
    CURRENCY_MISMATCH = "currency-mismatch"
    THROTTLED = "throttled"
    CREDENTIALS = "provider-credentials"
    NOT_SENT = "not-sent"


@dataclass(frozen=True, slots=True)
class Submitted:
    """The end of a request: its result, the record, and whether the record alone answered it."""

    result: Result
    void: Void
    replayed: bool = False


def submit(world: World, request: Request) -> Submitted:
    """Release the hold of one order. Raises SecretError and StoreError only while nothing was sent."""
    started = world.now()
    credentials = world.secret.current()
    handshake = world.provider.begin()
    try:
        reserved = reserve(world, _intent(credentials, request))
        if isinstance(reserved, Submitted):
            return reserved
        answer, view = _effect(world, credentials, handshake, request, reserved, started)
    finally:
        handshake.close()
    if answer is not None and answer.word is Word.CREDENTIALS:
        world.secret.forget()  # or each repetition in the next minute would spend an attempt on the old ones
    return record(world, reserved, answer, view)


def _intent(credentials: Credentials, request: Request) -> Intent:
    text = exact_json.write([request.order_id, request.order_currency, request.comment])
    return Intent(
        credentials.pos_id,
        request.order_id,
        request.order_currency,
        request.comment,
        request.key,
        hashlib.sha256(text.encode()).hexdigest(),
        request.requested_by,
    )


def reserve(world: World, intent: Intent) -> Void | Submitted:
    """Write the intent, or learn from the record why not. A new order needs no read."""
    current: Void | None = None
    for _ in range(MOST_MERGES):
        now = world.now()
        verdict = operations.judge(current, intent, now)
        if verdict is not Verdict.CLAIM and current is not None:
            return _without_sending(verdict, current)
        attempt_id = world.new_id()
        wanted = operations.claim(current, intent, attempt_id, now)
        current = _write_intent(world, wanted, first=current is None)
        if _is_my_intent(current, attempt_id):
            return current
    raise StoreError("record kept changing")


def _write_intent(world: World, wanted: Void, *, first: bool) -> Void:
    """The record after the attempt to write: ours, or the one that was faster. Raises StoreError."""
    try:
        return (world.store.create if first else world.store.replace)(wanted, world.new_id()).void
    except StoreError:
        # Every answer was lost, but the intent may be durable: it must not lie unsent behind its own key, nor may a
        # webhook's news about it be answered as if nothing were known.
        found = world.store.load(wanted.pos_id, wanted.order_id)
        if found is None or found.attempt_id != wanted.attempt_id:
            raise
        return found


def _is_my_intent(void: Void, attempt_id: str) -> bool:
    # The answer of our write was lost, and a lease of settle_voids has written since: `write_id` is not ours any more.
    return void.attempt_id == attempt_id and void.state is State.SUBMITTING


def _without_sending(verdict: Verdict, void: Void) -> Submitted:
    match verdict:
        case Verdict.IN_PROGRESS:
            return Submitted(Result.IN_PROGRESS, void)
        case Verdict.TOO_MANY:
            return Submitted(Result.TOO_MANY, void)
        case Verdict.KEY_MISMATCH:
            return Submitted(Result.KEY_MISMATCH, void)
        case Verdict.CURRENCY_MISMATCH:
            return Submitted(Result.CURRENCY_MISMATCH, void)
        case _:
            return Submitted(result_of(void), void, replayed=True)


def _effect(
    world: World, credentials: Credentials, handshake: Handshake, request: Request, void: Void, started: int
) -> tuple[Answer | None, OrderView | None]:
    """The one POST, and after a refusal one question. An answer of None: nothing was sent."""
    if world.now() - started > LATEST_SEND_MS:
        return None, None  # the table or the secret was slow: a POST now could outlive this function
    try:
        answer = world.provider.send_void(
            handshake, credentials, request.order_id, request.order_currency, request.comment, world.server_url
        )
    except NotConnected:
        return None, None
    if answer.word not in (Word.REFUSED, Word.FAILURE):
        return answer, None
    left = (started + LATEST_QUERY_MS - world.now()) / 1000
    return answer, world.provider.ask(credentials, void.order_id, left)


def record(world: World, void: Void, answer: Answer | None, view: OrderView | None) -> Submitted:
    """Write the outcome. If that fails, the intent stays and settle_voids finds out: 202, never a bare 5xx."""
    attempt_id = void.attempt_id or ""

    def learn(current: Void) -> Void:
        if answer is None:
            return operations.not_sent(current, attempt_id, world.now())
        return operations.learn_answer(current, attempt_id, answer, view, world.now())

    try:
        known = merge(world, void, learn)
    except StoreError:
        return Submitted(Result.ACCEPTED, void)
    return Submitted(result_of(known), known)


def merge(world: World, void: Void, learn: Callable[[Void], Void]) -> Void:
    """Write what `learn` makes of the record; if somebody wrote first, learn again from that. Raises StoreError."""
    for _ in range(MOST_MERGES):
        learnt = learn(void)
        if learnt == void:
            return void
        written = world.store.replace(learnt, world.new_id())
        if isinstance(written, Written):
            return written.void
        void = written.void
    raise StoreError("record kept changing")


def result_of(void: Void) -> Result:
    """What the record says to a merchant. 200 only for what the provider released; nothing final for what is open."""
    if void.state is State.VOIDED:
        return Result.VOIDED
    if void.state is not State.FAILED:
        return Result.ACCEPTED
    match void.reason:
        case operations.Reason.NOT_SENT:
            return Result.NOT_SENT
        case operations.Reason.THROTTLED:
            return Result.THROTTLED
        case operations.Reason.CREDENTIALS:
            return Result.CREDENTIALS
        case _:
            return Result.NOT_VOIDABLE


# ---- settle ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Asked:
    """What one question did: the record before and after it."""

    before: Void
    after: Void


@dataclass(frozen=True, slots=True)
class Run:
    """What one settle run did."""

    asked: tuple[Asked, ...]
    failed: int
    oldest_ms: int
    more: bool


def settle(world: World, until: int) -> Run:
    """Ask about the voids that are due, the longest due first, until none is left or `until` (ms) is near.

    Raises SecretError, StoreError. One order's trouble does not stop the others: its lease passes and it is due again.
    """
    credentials = world.secret.current()
    asked: list[Asked] = []
    failed, oldest, cursor, more = 0, 0, None, True
    with ThreadPoolExecutor(SETTLE_WORKERS, thread_name_prefix="settle") as workers:
        # A question may take 12 s and its writes a few more: none may begin later than this.
        while more and world.now() < until:
            began = world.now()
            page = world.store.due(began, SETTLE_PAGE, cursor)
            ages = [began - void.requested_at for void in page.voids if void.requested_at is not None]
            oldest = max([oldest, *ages])
            failed += page.unreadable
            for outcome in workers.map(lambda void: _try_ask(world, credentials, void, until), page.voids):
                if outcome is None:
                    failed += 1
                elif outcome.after is not outcome.before:
                    asked.append(outcome)
            cursor, more = page.cursor, page.cursor is not None
    return Run(tuple(asked), failed, oldest, more)


def _try_ask(world: World, credentials: Credentials, void: Void, until: int) -> Asked | None:
    if world.now() >= until:
        return Asked(void, void)
    try:
        return Asked(void, ask(world, credentials, void))
    except StoreError:
        return None


def ask(
    world: World, credentials: Credentials, void: Void, lease: Callable[[Void, int], Void] = operations.next_check
) -> Void:
    """Lease one unsettled record, ask the provider once, merge. The record as it is afterwards. Raises StoreError."""
    if void.settled:
        return void
    leased = world.store.replace(lease(void, world.now()), world.new_id())
    if isinstance(leased, Conflict):
        return leased.void  # somebody else has just learnt more, or is asking
    seen = leased.void
    began = world.now()
    view = world.provider.ask(credentials, seen.order_id)
    if view is None:
        return seen

    def learn(current: Void) -> Void:
        unchanged = current.version == seen.version
        return operations.learn_query(current, view, began, seen.attempt_id, unchanged, world.now())

    return merge(world, seen, learn)


def refresh(world: World, void: Void) -> Void:
    """Ask now, unless it is settled, in flight, or was asked a moment ago. Raises SecretError, StoreError."""
    now = world.now()
    if void.settled or now - void.asked_at < REFRESH_EVERY_MS:
        return void
    return ask(world, world.secret.current(), void, operations.asking)
