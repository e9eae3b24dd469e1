"""Mistakes that a change could bring in: each must be noticed by what no guard needs."""

import json
from contextlib import ExitStack
from copy import replace
from functools import partial
from typing import Any
from unittest.mock import patch

import lambda_http
import receive_webhook
import submit_void
import telemetry
from payments import items, messages, rules, settling, store
from payments.messages import Operation
from payments.record import Void
from payments.secret import SecretError
from payments.store import Merged, Store, StoreError
from payments.webhooks import Received
from tests.faults import wire
from tests.faults.guards import Guard


def _set(stack: ExitStack, target: Any, **attributes: Any) -> None:
    for name, value in attributes.items():
        stack.enter_context(patch.object(target, name, value))


def _event_logged(stack: ExitStack) -> None:
    read = submit_void.read_request

    def talkative(event: lambda_http.GatewayEvent) -> Any:
        telemetry.logger.info("received", headers=event["headers"])
        return read(event)

    _set(stack, submit_void, read_request=talkative)


def _signature_logged(stack: ExitStack) -> None:
    read = receive_webhook.read_form

    def talkative(event: lambda_http.GatewayEvent) -> tuple[bytes, bytes]:
        data, signature = read(event)
        telemetry.logger.info("received", signature=signature.decode())
        return data, signature

    _set(stack, receive_webhook, read_form=talkative)


def _secret_answered(stack: ExitStack) -> None:
    respond = receive_webhook._respond

    def talkative(event: lambda_http.GatewayEvent, received: Received) -> lambda_http.Response:
        outside = wire.simulation().runtime.actor.instance.systems
        credentials = outside.secret.current(outside.deadline(3))
        return respond(event, received) | {"body": json.dumps({"detail": f"checked with {credentials.api_secret}"})}

    _set(stack, receive_webhook, _respond=talkative)


def _all_fields_kept(stack: ExitStack) -> None:
    read = messages.read_operation

    def greedy(value: object) -> Operation | None:
        operation = read(value)
        payload = value.get("payload") if isinstance(value, dict) else None
        return operation and replace(operation, fields={**operation.fields, "comment": payload})

    _set(stack, messages, read_operation=greedy)


def _outcome_lost(error: type[Exception], stack: ExitStack) -> None:
    merge = Store.merge

    def fails(self: Store, *arguments: Any) -> Merged:
        try:
            return merge(self, *arguments)
        except StoreError:
            raise error("the table is out of reach") from None

    _set(stack, Store, merge=fails)


def _any_order(stack: ExitStack) -> None:
    _set(stack, messages, belongs=lambda *_: True)


def _any_currency(stack: ExitStack) -> None:
    succeed = rules._succeed

    def careless(void: Void, *more: Any) -> Void:
        return replace(succeed(void, *more), review=void.review)

    _set(stack, rules, _succeed=careless)


def _last_fields(stack: ExitStack) -> None:
    apply = rules.apply_webhook

    def last(void: Void | None, operation: Operation, now: int) -> Void | None:
        learnt = apply(void, operation, now)
        return replace(learnt, provider=operation.fields) if learnt is not None and learnt.settled else learnt

    _set(stack, rules, apply_webhook=last)


def _uncounted(name: str, stack: ExitStack) -> None:
    count = telemetry.count
    _set(stack, telemetry, count=lambda counted, value=1: None if counted == name else count(counted, value))


def _project_uncounted(stack: ExitStack) -> None:
    settle = settling.settle

    def silent(*arguments: Any) -> settling.Run:
        return settle(*arguments)._replace(without_credentials=0)

    import settle_voids

    _set(stack, settle_voids, settle=silent)


def _review_unlisted(stack: ExitStack) -> None:
    write = items._write_void

    def unlisted(*arguments: Any) -> items.Item:
        return {name: value for name, value in write(*arguments).items() if name != "review_pk"}

    _set(stack, items, _write_void=unlisted)


def _voided_uncorrected(stack: ExitStack) -> None:
    succeed = rules._succeed
    _set(stack, rules, _succeed=lambda void, *more: replace(succeed(void, *more), corrected=False))


def _three_merges(stack: ExitStack) -> None:
    _set(stack, store, MOST_MERGES=1)


MISTAKES = (
    Guard("the merchant's headers are logged", _event_logged, ("plain",)),
    Guard("a signature is logged", _signature_logged, ("plain",)),
    Guard("a secret is answered", _secret_answered, ("plain",)),
    Guard("the cardholder's data is kept", _all_fields_kept, ("forms of webhooks",)),
    Guard("500 when the outcome cannot be written", partial(_outcome_lost, ValueError), ("store",)),
    Guard("503 when the outcome cannot be written", partial(_outcome_lost, SecretError), ("store",)),
    Guard("another order's data is believed", _any_order, ("other order", "views of a refusal")),
    Guard("another currency needs no person", _any_currency, ("currency late", "other currency")),
    Guard("the last webhook's fields win", _last_fields, ("permutations", "forms of webhooks", "permutations lying")),
    Guard("a review is not counted", partial(_uncounted, "VoidReview"), ("other currency", "stuck")),
    Guard("a correction is not counted", partial(_uncounted, "VoidCorrected"), ("looked at again", "portal")),
    Guard("a void of another project is not counted", _project_uncounted, ("replaced secret",)),
    Guard("a review is in no list", _review_unlisted, ("other currency", "stuck")),
    Guard("a correction is not marked", _voided_uncorrected, ("looked at again", "portal")),
    Guard("a conflict is not merged again", _three_merges, ("plain", "webhooks")),
)
