"""The guards of the protocol, each taken out by a patch: then the simulator must find a violation.

Each removal names the configurations in which its harm is reachable; they are searched breadth first and then at random.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from copy import replace
from dataclasses import dataclass
from functools import partial
from typing import Any
from unittest.mock import patch

import lambda_http
import receive_webhook
import submit_void
from payments import messages, operations, provider, store, voids, webhooks
from payments.messages import Operation
from payments.operations import Intent, State, Void
from payments.secret import Secret, SecretError
from payments.store import Conflict, Store, StoreError, Written
from payments.webhooks import Fate, Received
from tests.faults import explorer, simulator
from tests.faults.configurations import CONFIGURATIONS

Removal = Callable[[ExitStack], None]


@dataclass(frozen=True, slots=True)
class Guard:
    """One guard: what it is, how it is taken out, where its absence shows."""

    name: str
    remove: Removal
    where: tuple[str, ...]


def _set(stack: ExitStack, target: Any, **attributes: Any) -> None:
    for name, value in attributes.items():
        stack.enter_context(patch.object(target, name, value))


def _intent_before_send(stack: ExitStack) -> None:
    def reserve(world: voids.World, intent: Intent) -> Void:
        return operations.claim(None, intent, world.new_id(), world.now())

    _set(stack, voids, reserve=reserve)


def _owner_condition(stack: ExitStack) -> None:
    def overwrite(self: Store, void: Void, write_id: str) -> Written | Conflict:
        return self._put(void, write_id, "attribute_exists(pk)", {})

    _set(stack, Store, replace=overwrite)


def _own_write(stack: ExitStack) -> None:
    learn = Store._after_refusal

    def forgetful(self: Store, *arguments: Any) -> Void:
        return replace(learn(self, *arguments), write_id="somebody's", attempt_id="somebody's")

    _set(stack, Store, _after_refusal=forgetful)


def _settle_before_query(stack: ExitStack) -> None:
    learn = operations.learn_query

    def early(void: Void, view: Any, began: int, *more: Any) -> Void:
        return learn(void, view, max(began, void.settle_until), *more)

    _set(stack, operations, learn_query=early)


def _attempt_of_failure(stack: ExitStack) -> None:
    _set(stack, operations, _is_own=lambda *_: True)


def _first_send_only(stack: ExitStack) -> None:
    claim = operations.claim
    _set(stack, operations, claim=lambda *arguments: replace(claim(*arguments), sent=False))


def _monotonic_webhook(stack: ExitStack) -> None:
    learn = operations.learn_webhook

    def last_wins(void: Void | None, operation: Operation, pos_id: str, now: int) -> Void | None:
        if void is None or operation.succeeded:
            return learn(void, operation, pos_id, now)
        state = State.FAILED if operation.failed else State.PENDING
        moved = replace(void, state=state, due_at=None if operation.failed else now)
        return operations._noted(moved, operations.Evidence.WEBHOOK, now) if state is not void.state else void

    _set(stack, operations, learn_webhook=last_wins)


def _repetition_applies(stack: ExitStack) -> None:
    apply = webhooks._store_and_apply

    def once(inbox: webhooks.Inbox, pos_id: str, event: store.Event, before: Void | None = None) -> Received:
        if not inbox.store.put_event(pos_id, event):
            return Received(Fate.DUPLICATE, event.operation)
        return apply(inbox, pos_id, event, before)

    _set(stack, webhooks, _store_and_apply=once)


def _no_http_retries(stack: ExitStack) -> None:
    exchange = provider._exchange
    _set(stack, provider, _exchange=lambda *arguments: exchange(*arguments) or exchange(*arguments))


def _lease_outlives(stack: ExitStack) -> None:
    # The lease and the latest moment to send are one guard: whoever holds no lease must not send any more.
    _set(stack, operations, LEASE_MS=1_000)
    _set(stack, voids, LATEST_SEND_MS=1_000_000)


def _verify_first(stack: ExitStack) -> None:
    _set(stack, webhooks, verify=lambda *_: "AWSCURRENT")


def _previous_secret(stack: ExitStack) -> None:
    _set(stack, Secret, previous=lambda *_: None)


def _sparse_index(stack: ExitStack) -> None:
    write = store.write_void

    def early(void: Void) -> store.Item:
        item = write(void)
        if void.state is State.UNKNOWN:
            item.pop("due_pk", None)
        return item

    _set(stack, store, write_void=early)


def _failure_is_500(stack: ExitStack) -> None:
    receive = webhooks.receive

    def polite(inbox: webhooks.Inbox, data: bytes, signature: bytes) -> Received:
        try:
            return receive(inbox, data, signature)
        except StoreError:
            return Received(Fate.STORED)

    _set(stack, receive_webhook, receive=polite)


GUARDS = (
    Guard("intent before send", _intent_before_send, ("plain",)),
    Guard("owner condition on outcome", _owner_condition, ("plain", "webhooks", "executes")),
    Guard("ALL_OLD own-write check", _own_write, ("store",)),
    Guard("settle before query", _settle_before_query, ("refresh", "executes")),
    Guard("failures name their attempt", _attempt_of_failure, ("another-attempt", "failures")),
    Guard("errors on later sends are not final", _first_send_only, ("unbounded",)),
    Guard("monotonic webhook update", _monotonic_webhook, ("lying", "webhooks")),
    Guard("a repetition is applied again", _repetition_applies, ("webhooks",)),
    Guard("HTTP retries off", _no_http_retries, ("plain",)),
    Guard("lease longer than the time-out", _lease_outlives, ("slow",)),
    Guard("verify before store", _verify_first, ("webhooks",)),
    Guard("previous secret accepted", _previous_secret, ("previous",)),
    Guard("out of the index only when final", _sparse_index, ("plain",)),
    Guard("5xx on store failure", _failure_is_500, ("webhooks",)),
)


# ---- mistakes: each must be noticed by what no guard above needs -------------------------------------------------------


def _event_logged(stack: ExitStack) -> None:
    read = submit_void.read_request

    def talkative(event: lambda_http.GatewayEvent) -> voids.Request:
        submit_void.logger.info("received", headers=event["headers"])
        return read(event)

    _set(stack, submit_void, read_request=talkative)


def _signature_logged(stack: ExitStack) -> None:
    read = receive_webhook.read_form

    def talkative(event: lambda_http.GatewayEvent) -> tuple[bytes, bytes]:
        data, signature = read(event)
        receive_webhook.logger.info("received", signature=signature.decode())
        return data, signature

    _set(stack, receive_webhook, read_form=talkative)


def _error_text_answered(stack: ExitStack) -> None:
    respond = receive_webhook._respond

    def talkative(event: lambda_http.GatewayEvent, received: Received) -> lambda_http.Response:
        credentials = receive_webhook.inbox().secret.current()
        return respond(event, received) | {"body": json.dumps({"detail": f"checked with {credentials.api_secret}"})}

    _set(stack, receive_webhook, _respond=talkative)


def _outcome_lost(error: type[Exception], stack: ExitStack) -> None:
    merge = voids.merge

    def fails(world: voids.World, void: Void, learn: Callable[[Void], Void]) -> Void:
        try:
            return merge(world, void, learn)
        except StoreError:
            raise error("the table is out of reach") from None

    _set(stack, voids, merge=fails)


def _any_order(stack: ExitStack) -> None:
    _set(stack, messages, belongs=lambda *_: True)


def _any_currency(stack: ExitStack) -> None:
    _set(stack, operations, _currency=lambda *_: None)


def _last_fields(stack: ExitStack) -> None:
    learn = operations.learn_webhook

    def last(void: Void | None, operation: Operation, pos_id: str, now: int) -> Void | None:
        learnt = learn(void, operation, pos_id, now)
        return replace(learnt, provider=operation.fields) if learnt is not None and learnt.settled else learnt

    _set(stack, operations, learn_webhook=last)


MISTAKES = (
    Guard("the merchant's headers are logged", _event_logged, ("plain",)),
    Guard("a signature is logged", _signature_logged, ("plain",)),
    Guard("a secret is answered", _error_text_answered, ("plain",)),
    Guard("500 when the outcome cannot be written", partial(_outcome_lost, ValueError), ("store",)),
    Guard("503 when the outcome cannot be written", partial(_outcome_lost, SecretError), ("store",)),
    Guard("another order's data is believed", _any_order, ("strangers",)),
    Guard("another currency needs no person", _any_currency, ("currency-late", "other-currency")),
    Guard("the last webhook's fields win", _last_fields, ("permutations",)),
)


@contextmanager
def without(guard: Guard) -> Iterator[None]:
    """The code under test with one guard taken out, or one mistake put in."""
    simulator.ENDS.clear()
    with ExitStack() as stack:
        guard.remove(stack)
        yield
    simulator.ENDS.clear()


def hunt(guard: Guard, exhaustive: int = 1_000, random: int = 6_000) -> tuple[str, str] | None:
    """The violation that the guard's absence makes possible, and the schedule that shows it; None: it is not noticed."""
    with without(guard):
        for name in guard.where:
            figures = explorer.Figures()
            explorer.every(CONFIGURATIONS[name], 2, exhaustive, figures, stop_at_violation=True)
            if figures.first:
                return next(iter(figures.first.items()))
        for number in range(random):
            config = CONFIGURATIONS[guard.where[number % len(guard.where)]]
            sim, schedule = explorer.walk(config, f"guards/{number}")
            if sim.watch.violations:
                violation = sim.watch.violations[0]
                return violation, explorer.line(config, explorer.shrink(config, schedule, violation))
    return None
