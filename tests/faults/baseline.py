"""The baseline: what is usually done. Powertools' idempotency decorator, the real one, around the provider call.

One function sends and writes what the answer said; the webhook overwrites the record. Nobody asks about what was lost.
It runs in the same simulator, and only the invariants that any design can be held to are checked.
"""

import datetime
import hashlib
import logging
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from aws_lambda_powertools.utilities import idempotency
from aws_lambda_powertools.utilities.idempotency import DynamoDBPersistenceLayer, IdempotencyConfig, idempotent_function
from aws_lambda_powertools.utilities.idempotency.exceptions import (
    BaseError,
    IdempotencyAlreadyInProgressError,
    IdempotencyValidationError,
)
from aws_lambda_powertools.utilities.idempotency.persistence import base, datarecord, dynamodb

import receive_webhook
import submit_void
from payments import voids, webhooks
from payments.messages import Word
from payments.operations import Change, Evidence, Reason, State, Void
from payments.store import Event, StoreError, _event_item, timestamp, write_void
from payments.voids import Request, Result, Submitted, World
from payments.webhooks import Fate, Inbox, Received
from tests.faults import simulator
from tests.faults.simulator import FUNCTION_MS, Simulation

_clock: Simulation | None = None


class _Clock:
    """`datetime.datetime` as the decorator uses it, on virtual time."""

    @staticmethod
    def now() -> datetime.datetime:
        assert _clock is not None
        return datetime.datetime.fromtimestamp(_clock.now / 1000)  # noqa: DTZ006 the decorator's own is naive


def submit(world: World, request: Request) -> Submitted:
    """One request: answered from the decorator's record, or sent."""
    global _clock
    sim: Simulation = world.provider.sim  # type: ignore[attr-defined]
    _clock = sim
    actor = sim.current
    assert actor is not None
    actor.attempt_id = actor.name
    layer = DynamoDBPersistenceLayer(
        "t", key_attr="pk", sort_key_attr="sk", static_pk_value="IDEMPOTENCY", boto3_client=world.store._client
    )
    ends = sim.now + FUNCTION_MS
    context: Any = SimpleNamespace(get_remaining_time_in_millis=lambda: ends - sim.now)
    config = IdempotencyConfig(event_key_jmespath="key", payload_validation_jmespath="comment", lambda_context=context)

    @idempotent_function(data_keyword_argument="asked", config=config, persistence_store=layer)
    def send(asked: dict[str, object]) -> dict[str, str | None]:
        credentials = world.secret.current()
        answer = world.provider.send_void(
            world.provider.begin(), credentials, request.order_id, request.order_currency, request.comment, URL
        )
        states = {Word.SUCCESS: State.VOIDED, Word.PENDING: State.PENDING, Word.FAILURE: State.FAILED}
        state = State.FAILED if answer.word is Word.REFUSED else states.get(answer.word)
        if state is None:
            raise ConnectionError(answer.word)
        world.store._call("put_item", Item=_item(request.order_id, state, sim.now, actor.name))
        return {"state": state.value, "attempt_id": actor.name}

    try:
        told = send(asked={"key": request.key or request.order_id, "comment": request.comment})
    except IdempotencyAlreadyInProgressError:
        return Submitted(Result.IN_PROGRESS, _void(request.order_id, State.SUBMITTING, sim.now, None))
    except IdempotencyValidationError:
        return Submitted(Result.KEY_MISMATCH, _void(request.order_id, State.SUBMITTING, sim.now, None))
    except (BaseError, OSError, voids.NotConnected) as error:
        raise StoreError(type(error).__name__) from None
    void = _void(request.order_id, State(told["state"]), sim.now, told["attempt_id"])
    return Submitted(voids.result_of(void), void)


URL = "https://void.example/v1/webhooks/financial-line"


def receive(inbox: Inbox, data: bytes, signature: bytes) -> Received:
    """One webhook: verified, stored, and the record overwritten with what it says."""
    stage = webhooks.verify(inbox.secret, data, signature)
    operation = webhooks.decode(data) if stage is not None else None
    if stage is None or operation is None:
        return Received(Fate.FORGED)
    event = Event(hashlib.sha256(data).hexdigest(), timestamp(inbox.now()), stage, operation)
    inbox.store._call("put_item", Item=_event_item("pos-1", event))
    state = State.VOIDED if operation.succeeded else State.FAILED if operation.failed else State.PENDING
    inbox.store._call("put_item", Item=_item(operation.order_id, state, inbox.now(), None))
    return Received(Fate.APPLIED, operation)


def _void(order_id: str, state: State, now: int, attempt_id: str | None) -> Void:
    reason = Reason.REFUSED if state is State.FAILED else None
    history = (Change(now, state, Evidence.ANSWER),)
    return Void("pos-1", order_id, state, "UAH", reason, attempt_id=attempt_id, requested_at=now, history=history)


def _item(order_id: str, state: State, now: int, attempt_id: str | None) -> dict[str, Any]:
    return write_void(_void(order_id, state, now, attempt_id))


@contextmanager
def instead() -> Iterator[None]:
    """The baseline in place of the void service."""
    clock = SimpleNamespace(datetime=_Clock, timedelta=datetime.timedelta)
    logging.getLogger("aws_lambda_powertools").setLevel(logging.CRITICAL)
    with ExitStack() as stack:
        for module in (idempotency.base, base, datarecord, dynamodb):
            stack.enter_context(patch.object(module, "dt", clock))
        stack.enter_context(patch.object(submit_void, "submit", submit))
        stack.enter_context(patch.object(receive_webhook, "receive", receive))
        stack.enter_context(patch.object(Simulation, "baseline", True))
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        simulator.ENDS.clear()
        yield
        simulator.ENDS.clear()
