"""The guards against bytes, time, lost answers and secrets, each one lock: without it the simulator must find harm.

And mistakes that a change could bring in. Each names the configurations in which its absence may show.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from copy import replace
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from unittest.mock import patch

import queries
import receive_webhook
import settle_voids
import submit_void
import telemetry
from payments import claims, connection, evidence, exact_json, facts, items, messages, provider, secret, store
from payments.connection import NotConnected, OpeningConnection
from payments.deadline import Deadline
from payments.messages import AnswerKind
from payments.orders import Order
from payments.secret import Secret
from payments.store import Store, StoreError
from proof.simulation import explorer, wire
from proof.simulation.configurations import CONFIGURATIONS
from proof.simulation.world import Simulation

type Change = tuple[Any, str, Any]

# The functions that are replaced, as they are.
_write, _call, _at_most, _ask = Store.write, Store._call, Secret._at_most, Secret._ask
_send, _read_order, _read_operation = provider.Provider.send_void, messages.read_order, messages.read_operation
_receive, _verify, _query = receive_webhook.receive, receive_webhook.verify, queries.query
_read_request, _record = submit_void.read_request, submit_void.record_outcome
_judge, _seen = claims.judge, evidence.seen


def _no_intent(systems: Any, pos_id: str, request: Any, _: Deadline) -> Any:
    order = Order(pos_id, request.order_id).claimed(request, systems.new_id(), systems.now())
    return order, order.facts.newest


def _unconditional(self: Store, order: Order, write_id: str, deadline: Deadline) -> Any:
    if not order.version:
        return _write(self, order, write_id, deadline)
    written = replace(order, version=order.next_version, write_id=write_id)
    self._call("put_item", deadline, Item=items.write_order(written), ConditionExpression="attribute_exists(pk)")
    return order.stored(write_id)


def _sends_twice(self: provider.Provider, opening: Any, *arguments: Any, **more: Any) -> messages.Answer:
    answer = _send(self, opening, *arguments, **more)
    return answer if answer.kind is not AnswerKind.UNKNOWN else _send(self, self.open(), *arguments, **more)


def _no_fresh_copies(self: Secret, deadline: Deadline) -> Iterator[Any]:
    yield "AWSCURRENT", self.current(deadline)
    previous = self.previous(deadline)
    if previous is not None:
        yield "AWSPREVIOUS", previous


def _polite(storage: Any, data: bytes, signature: bytes) -> Any:
    try:
        return _receive(storage, data, signature)
    except StoreError:
        return receive_webhook.Received(receive_webhook.WebhookOutcome.STORED)


def _of_current(secrets: Secret, data: bytes, signature: bytes, deadline: Deadline) -> Any:
    proof = _verify(secrets, data, signature, deadline)
    return proof and (proof[0], secrets.current(deadline))


def _waits_to_close(self: OpeningConnection) -> None:
    with suppress(TimeoutError, NotConnected):
        self._opened.result(25).close()


def _late(deadline: Deadline) -> Deadline:
    return Deadline(deadline._now() + 60_000, deadline._now)


def _one_stops_all(systems: Any, order: Order, _: Deadline) -> Any:
    answer = _query(systems, order, systems.deadline(19.0), scheduled=True)
    if answer.error is not None:
        raise answer.error
    return answer


def _talkative_request(event: Any) -> Any:
    telemetry.logger.info("received", headers="sentinel-signature")
    return _read_request(event)


def _greedy(value: Any) -> Any:
    operation = _read_operation(value)
    payload = value.get("payload") if isinstance(value, dict) else None
    return operation and replace(operation, fields={**operation.fields, "comment": payload})


def _secret_logged(received: Any) -> None:
    outside = wire.simulation().runtime.actor.instance.systems
    telemetry.logger.info("proved", by=outside.secret.current(outside.deadline(3)).api_secret)


def _outcome_lost(systems: Any, order: Order, attempt: Any, sent: Any, deadline: Deadline) -> Any:
    done = _record(systems, order, attempt, sent, deadline)
    if done.unwritten is not None:
        raise done.unwritten
    return done


def _judge_any(void: Any, request: Any, now: int) -> Any:
    judged = _judge(void, request, now)
    newest = void.facts.newest if void is not None else None
    waits = judged.result in (claims.Result.IN_PROGRESS, claims.Result.ACCEPTED)
    return claims.Judged(None) if waits and newest is not None and newest.end is None else judged


def _quiet(*_: Any) -> None:
    return None


@dataclass(frozen=True, slots=True)
class Guard:
    """One guard or one mistake: what is changed, and where that shows."""

    name: str
    where: tuple[str, ...]
    changes: tuple[Change, ...]


def _guard(name: str, where: str, *changes: Change) -> Guard:
    return Guard(name, tuple(where.split(", ")), changes)


GUARDS = (
    _guard("intent before send", "plain, twice", (submit_void, "reserve", _no_intent)),
    _guard("a write rests on the version that it saw", "plain, webhooks, twice", (Store, "write", _unconditional)),
    _guard("an absence counts after the window only", "lands late",
           (evidence, "seen", lambda known, view, began, leased: _seen(known, view, max(began, leased.window_until), leased))),
    _guard("what may be under way is not claimed", "twice, plain", (claims, "judge", _judge_any)),
    _guard("the window outlives the POST", "lands late", (facts, "LEASE_MS", 1_000), (facts, "WINDOW_MS", 1_000)),
    _guard("no hidden retries", "plain, silent answers", (provider.Provider, "send_void", _sends_twice)),
    _guard("proved before stored", "webhooks",
           (receive_webhook, "verify", lambda secrets, _data, _signature, deadline: ("AWSCURRENT", secrets.current(deadline)))),
    _guard("the previous secret proves, too", "previous secret",
           (Secret, "_at_most", lambda self, stage, *more: None if stage == "AWSPREVIOUS" else _at_most(self, stage, *more))),
    _guard("forged only against a fresh copy", "new keys", (Secret, "candidates", _no_fresh_copies)),
    _guard("500 for what is not stored", "webhooks", (receive_webhook, "receive", _polite)),
    _guard("a record is asked about in its own project", "lost at go-live",
           (Secret, "of_project", lambda self, _pos_id, deadline: self.current(deadline))),
    _guard("a webhook belongs to the project that proved it", "go-live", (receive_webhook, "verify", _of_current)),
    _guard("refused credentials are forgotten", "new keys", (Secret, "forget", _quiet)),
    _guard("copies of the secret age", "go-live, new keys", (secret, "MAX_AGE_SECONDS", 1e9)),
    _guard("copies age by the wall clock", "go-live, new keys",
           (Simulation, "secret_clock", lambda self: round(self.monotonic() * 1000))),
    _guard("nobody waits for a connection that he does not use", "connections, slow", (OpeningConnection, "close", _waits_to_close)),
    _guard("a conversation ends at one moment", "odd answers", (connection._DeadlineSocket, "_wait_no_longer", _quiet)),
    _guard("calls of the table end in time", "slow, table",
           (Store, "_call", lambda self, operation, deadline, **more: _call(self, operation, _late(deadline), **more)), (store, "AWS_CALL_SECONDS", 60.0)),
    _guard("calls of Secrets Manager end in time", "secret, slow",
           (secret, "AWS_CALL_SECONDS", 60.0), (Secret, "_ask", lambda self, stage, deadline: _ask(self, stage, _late(deadline)))),
    _guard("any number is read", "odd answers, odd views",
           (exact_json.Number, "value", property(lambda number: Decimal(number.digits)))),
    _guard("nothing about one order stops a run", "two orders", (settle_voids, "_try", _one_stops_all)),
    _guard("half a surrogate pair is replaced", "odd answers, webhooks",
           (messages, "without_surrogates", lambda text: text), (exact_json, "without_surrogates", lambda text: text)),
    _guard("one object proves no absence", "one object",
           (provider, "read_order", lambda *given: (view := _read_order(*given)) and replace(view, partial=False))),
    _guard("only the documented error shape refuses", "silent twice", (messages, "_has_error_shape", lambda _: True)),
    _guard("only the documented statuses refuse", "silent twice", (messages, "REFUSING", (400, 403, 404, 405, 406, 408, 409, 422, 423, 425))),
    _guard("an answer is about its own order", "odd answers", (messages, "belongs", lambda *_: True)),
)  # fmt: skip
MISTAKES = (
    _guard("headers are logged", "plain", (submit_void, "read_request", _talkative_request)),
    _guard("a secret is logged", "webhooks, plain", (receive_webhook, "_observe", _secret_logged)),
    _guard("all of a webhook is kept", "webhooks", (messages, "read_operation", _greedy)),
    _guard("an outcome that could not be written is an error", "table", (submit_void, "record_outcome", _outcome_lost)),
    _guard("nothing is settled by queries", "plain, twice", (settle_voids, "_due", lambda *_: iter(()))),
    _guard(
        "a question that begins is not written down",
        "stuck, operator errs",
        (evidence, "asked", lambda known, *_, **__: known),
    ),
    _guard("messages that cannot be read are dropped", "webhooks", (Store, "put_quarantine", _quiet)),
)


@contextmanager
def without(guard: Guard) -> Iterator[None]:
    """The code under test with one guard taken out, or one mistake put in."""
    with ExitStack() as stack:
        for target, name, value in guard.changes:
            stack.enter_context(patch.object(target, name, value))
        yield


def hunt(guard: Guard) -> tuple[str, str] | None:
    """The harm that the guard's absence makes possible, and the line that shows it; None: nothing notices."""
    with without(guard):
        for name in guard.where:
            config = CONFIGURATIONS[name]
            for schedule, sim in explorer.breadth_first(config, 150):
                if sim.watch.violations:
                    return sim.watch.violations[0], explorer.written(config, schedule)
        for number in range(300):
            config = CONFIGURATIONS[guard.where[number % len(guard.where)]]
            sim, schedule = explorer.walk(config, f"guards/{number}")
            if sim.watch.violations:
                return sim.watch.violations[0], explorer.written(config, schedule)
    return None
