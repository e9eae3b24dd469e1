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
from payments import items, voids, webhooks
from payments.messages import AnswerKind
from payments.outside import Storage, Systems
from payments.provider import NotConnected
from payments.record import Attempt, Change, Evidence, FailureReason, Order, Request, State, StoredWebhook, Void
from payments.store import StoreError
from payments.voids import Result, Submitted
from payments.webhooks import Received, WebhookOutcome
from tests.fakes import table
from tests.fakes.table import Item, Table
from tests.faults import simulation, wire
from tests.faults.aws import TableClient
from tests.faults.runtime import LIFE_MS, Function
from tests.faults.simulation import Simulation

CALL_SECONDS = 3.0
STATES = {AnswerKind.SUCCESS: State.VOIDED, AnswerKind.PENDING: State.PENDING, AnswerKind.FAILURE: State.FAILED, AnswerKind.REFUSED: State.FAILED}  # fmt: skip
FREE = (
    "attribute_not_exists(#id) OR #expiry < :now OR "
    "(#status = :inprogress AND attribute_exists(#in_progress_expiry) AND #in_progress_expiry < :now_in_millis)"
)
COMPLETE = (
    "SET #response_data = :response_data, #expiry = :expiry, #status = :status, #validation_key = :validation_key"
)


def _is_free(old: Item | None, arguments: Item) -> bool:
    """The decorator's condition."""
    if old is None:
        return True
    names, values = arguments["ExpressionAttributeNames"], arguments["ExpressionAttributeValues"]

    def number(name: str) -> int:
        return int(old[names[name]]["N"]) if names[name] in old else 2**62

    in_progress = old[names["#status"]] == values[":inprogress"]
    abandoned = in_progress and number("#in_progress_expiry") < int(values[":now_in_millis"]["N"])
    return number("#expiry") < int(values[":now"]["N"]) or abandoned


class WithDecorator(Table):
    """The table, and the two expressions more that the decorator writes."""

    def _update_item(self, *, Key: Item, **arguments: Any) -> Item:
        if arguments["UpdateExpression"] != COMPLETE:
            return super()._update_item(Key=Key, **arguments)
        names, values = arguments["ExpressionAttributeNames"], arguments["ExpressionAttributeValues"]
        old = self.items.get((Key["pk"]["S"], Key["sk"]["S"]))
        changed = {names["#" + name[1:]]: value for name, value in values.items()}
        self._write(old, {**Key, **(old or {}), **changed})
        return {}

    def _delete_item(self, *, Key: Item, **_: Any) -> Item:
        self.items.pop((Key["pk"]["S"], Key["sk"]["S"]), None)
        return {}


class _Client:
    """boto3's names for the table's calls."""

    def __init__(self, client: TableClient) -> None:
        self._client = client
        self.meta = SimpleNamespace(events=SimpleNamespace(register=lambda *_: None))

    def __getattr__(self, operation: str) -> Any:
        return lambda **arguments: self._client.call(operation, CALL_SECONDS, **arguments)


class _Clock:
    """`datetime.datetime` as the decorator uses it, on virtual time."""

    @staticmethod
    def now() -> datetime.datetime:
        """Naive, as the decorator's own."""
        return datetime.datetime.fromtimestamp(wire.simulation().runtime.now / 1000)  # noqa: DTZ006


def submit(systems: Systems, request: Request) -> Submitted:
    """One request: answered from the decorator's record, or sent."""
    sim = wire.simulation()
    actor = sim.runtime.actor
    actor.attempt_id = actor.name
    layer = DynamoDBPersistenceLayer(
        "t", key_attr="pk", sort_key_attr="sk", static_pk_value="IDEMPOTENCY", boto3_client=_Client(TableClient(sim)),  # type: ignore[arg-type]
    )  # fmt: skip
    ends = actor.started + LIFE_MS[Function.SUBMIT]
    context: Any = SimpleNamespace(get_remaining_time_in_millis=lambda: ends - sim.runtime.now)
    config = IdempotencyConfig(event_key_jmespath="key", payload_validation_jmespath="comment", lambda_context=context)

    @idempotent_function(data_keyword_argument="asked", config=config, persistence_store=layer)  # type: ignore[untyped-decorator]
    def send(asked: dict[str, object]) -> dict[str, str | None]:
        deadline = systems.deadline(19.0)
        credentials = systems.secret.current(deadline)
        answer = systems.provider.send_void(
            systems.provider.open(), credentials, request.order_id, request.order_currency, request.comment,
            send_by=deadline, answer_by=deadline,
        )  # fmt: skip
        state = STATES.get(answer.kind)
        if state is None:
            raise ConnectionError(answer.kind)
        order = _order(credentials.project, request.order_id, state, sim.runtime.now, actor.name)
        systems.store._call("put_item", systems.deadline(CALL_SECONDS), Item=items.write_order(order))
        return {"state": state.value, "attempt_id": actor.name}

    def known(state: State, attempt_id: str | None) -> Order:
        return _order(sim.project.pos_id, request.order_id, state, sim.runtime.now, attempt_id)

    try:
        told = send(asked={"key": request.key or request.order_id, "comment": request.comment})
    except IdempotencyAlreadyInProgressError:
        return Submitted(Result.IN_PROGRESS, known(State.SUBMITTING, None), None)
    except IdempotencyValidationError:
        return Submitted(Result.KEY_MISMATCH, known(State.SUBMITTING, None), None)
    except (BaseError, OSError, NotConnected) as error:
        raise StoreError(type(error).__name__) from None
    order = known(State(str(told["state"])), told["attempt_id"])
    assert order.void is not None
    return Submitted(voids.result_of(order.void), order, None)


def receive(storage: Storage, data: bytes, signature: bytes) -> Received:
    """One webhook: verified, stored, and the record overwritten with what it says."""
    deadline = storage.deadline(9.0)
    proof = webhooks.verify(storage.secret, data, signature, deadline)
    operation = webhooks.decode(data) if proof is not None else None
    if proof is None or operation is None:
        return Received(WebhookOutcome.FORGED)
    state = State.VOIDED if operation.succeeded else State.FAILED if operation.failed else State.PENDING
    order = _order(proof.credentials.project, operation.order_id, state, storage.now(), None)
    digest = hashlib.sha256(data).hexdigest()
    stored = order._replace(webhooks={digest: StoredWebhook(digest, storage.now(), proof.stage, operation)})
    storage.store._call("put_item", deadline, Item=items.write_order(stored))
    return Received(WebhookOutcome.APPLIED, operation)


def _order(pos_id: str, order_id: str, state: State, now: int, attempt_id: str | None) -> Order:
    reason = FailureReason.REFUSED if state is State.FAILED else None
    attempt = Attempt(1, attempt_id or "none", None, "", "UAH", None, now, None, now, now)
    history = (Change(now, state, Evidence.ANSWER),)
    settled = now if state in (State.FAILED, State.VOIDED) else None
    void = Void(state, "UAH", attempt, reason=reason, settled_at=settled, history=history)
    return Order(pos_id, order_id, void, version=1, write_id="w")


@contextmanager
def instead() -> Iterator[None]:
    """The baseline in place of the void service."""
    clock = SimpleNamespace(datetime=_Clock, timedelta=datetime.timedelta)
    logging.getLogger("aws_lambda_powertools").setLevel(logging.CRITICAL)
    with ExitStack() as stack:
        for module in (idempotency.base, base, datarecord, dynamodb):
            stack.enter_context(patch.object(module, "dt", clock))
        stack.enter_context(patch.dict(table.CONDITIONS, {FREE: _is_free}))
        stack.enter_context(patch.object(simulation, "Table", WithDecorator))
        stack.enter_context(patch.object(submit_void, "submit", submit))
        stack.enter_context(patch.object(receive_webhook, "receive", receive))
        stack.enter_context(patch.object(Simulation, "baseline", True))
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        simulation.ENDS.clear()
        yield
        simulation.ENDS.clear()
