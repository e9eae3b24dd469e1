"""The guards of the protocol, each taken out by a patch: then the simulator must find a violation.

Each names the configurations in which its absence can do harm; they are searched breadth first and then at random.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from copy import replace
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from unittest.mock import patch

import receive_webhook
import settle_voids
from payments import (
    claims,
    exact_json,
    items,
    messages,
    outside,
    provider,
    rules,
    schedule,
    settling,
    store,
    voids,
    webhooks,
)
from payments.claims import ClaimDecision
from payments.messages import AnswerKind, Operation, OrderView
from payments.outside import Deadline, Storage
from payments.provider import OpeningConnection, Provider
from payments.record import (
    REACHED_NOTHING,
    Attempt,
    EarlierAttempt,
    Evidence,
    FailureReason,
    Order,
    Request,
    Source,
    State,
    Void,
    append_history,
)
from payments.secret import Secret
from payments.store import Conflict, Store, StoreError, Written
from payments.webhooks import Received, WebhookOutcome
from tests.faults import explorer, simulation
from tests.faults.configurations import CONFIGURATIONS

Removal = Callable[[ExitStack], None]


@dataclass(frozen=True, slots=True)
class Guard:
    """One guard: what it is, how it is taken out, where its absence shows."""

    name: str
    remove: Removal
    where: tuple[str, ...]
    shows: str = ""
    """Only a violation with this text shows it; "": any."""


def _set(stack: ExitStack, target: Any, **attributes: Any) -> None:
    for name, value in attributes.items():
        stack.enter_context(patch.object(target, name, value))


# ---- the first edition's ---------------------------------------------------------------------------------------------


def _intent_before_send(stack: ExitStack) -> None:
    def reserve(systems: Storage, pos_id: str, request: Request, _: Deadline) -> tuple[Order, Attempt]:
        void = claims.claim(None, request, systems.new_id(), systems.now())
        assert void.attempt is not None
        return Order(pos_id, request.order_id, void), void.attempt

    _set(stack, voids, reserve=reserve)


def _version_condition(stack: ExitStack) -> None:
    write = Store.write

    def overwrite(self: Store, order: Order, write_id: str, deadline: Deadline) -> Written | Conflict:
        if not order.version:
            return write(self, order, write_id, deadline)
        written = replace(order, version=order.version + 1, write_id=write_id)
        item = items.write_order(written)
        self._call("put_item", deadline, Item=item, ConditionExpression="attribute_exists(pk)")
        return Written(written)

    _set(stack, Store, write=overwrite)


def _own_write(stack: ExitStack) -> None:
    found = Store._found

    def forgetful(self: Store, *arguments: Any) -> Order:
        return replace(found(self, *arguments), write_id="somebody's")

    _set(stack, Store, _found=forgetful)


def _own_intent(stack: ExitStack) -> None:
    def reserve(systems: Storage, pos_id: str, request: Request, deadline: Deadline) -> Any:
        order = Order(pos_id, request.order_id)
        for _ in range(store.MOST_MERGES):
            now = systems.now()
            decision = claims.judge(order.void, request, now)
            if decision is not ClaimDecision.CLAIM and order.void is not None:
                return voids._without_sending(systems, decision, order, order.void, request, deadline)
            wanted = order._replace(void=claims.claim(order.void, request, systems.new_id(), now))
            written = systems.store.write(wanted, systems.new_id(), deadline)
            order = written.order
            if isinstance(written, Written) and order.void is not None and order.void.attempt is not None:
                return order, order.void.attempt
        raise StoreError("record kept changing")

    _set(stack, voids, reserve=reserve)
    _own_write(stack)


def _settle_before_query(stack: ExitStack) -> None:
    apply = rules.apply_query

    def early(void: Void, view: OrderView, began: int, *more: Any) -> Void:
        counts = void.attempt.absence_counts_from if void.attempt is not None else began
        return apply(void, view, max(began, counts), *more)

    _set(stack, rules, apply_query=early)


def _attempt_of_failure(stack: ExitStack) -> None:
    _set(stack, rules, _own=lambda _void, operations: operations[0] if operations else None)


def _first_send_only(stack: ExitStack) -> None:
    claim = claims.claim
    _set(stack, claims, claim=lambda *arguments: replace(claim(*arguments), earlier_sent=False))


def _monotonic_webhook(stack: ExitStack) -> None:
    apply = rules.apply_webhook

    def last_wins(void: Void | None, operation: Operation, now: int) -> Void | None:
        if void is None or operation.succeeded:
            return apply(void, operation, now)
        state = State.FAILED if operation.failed else State.PENDING
        moved = replace(void, state=state, due_at=None if operation.failed else now)
        source = Source(Evidence.WEBHOOK, now)
        return append_history(moved, source) if state is not void.state else void

    _set(stack, rules, apply_webhook=last_wins)


def _no_http_retries(stack: ExitStack) -> None:
    send = Provider.send_void

    def twice(self: Provider, opening: OpeningConnection, *arguments: Any, **more: Any) -> messages.Answer:
        answer = send(self, opening, *arguments, **more)
        return answer if answer.kind is not AnswerKind.UNKNOWN else send(self, self.open(), *arguments, **more)

    _set(stack, Provider, send_void=twice)


def _lease_outlives(stack: ExitStack) -> None:
    # The lease and the latest moment to send are one guard: whoever holds no lease must not send any more.
    _set(stack, claims, LEASE_MS=1_000)
    _set(stack, voids, SEND_SECONDS=1_000.0)


def _verify_first(stack: ExitStack) -> None:
    def believe(secret: Secret, _data: bytes, _signature: bytes, deadline: Deadline) -> webhooks.Proof:
        return webhooks.Proof("AWSCURRENT", secret.current(deadline))

    _set(stack, webhooks, verify=believe)


def _previous_secret(stack: ExitStack) -> None:
    at_most = Secret._at_most

    def never(self: Secret, stage: Any, *more: Any) -> Any:
        return None if stage == "AWSPREVIOUS" else at_most(self, stage, *more)

    _set(stack, Secret, _at_most=never)


def _sparse_index(stack: ExitStack) -> None:
    write = items._write_void

    def early(void: Void, *more: Any) -> items.Item:
        item = write(void, *more)
        if void.state is State.UNKNOWN:
            item.pop("due_pk", None)
        return item

    _set(stack, items, _write_void=early)


def _failure_is_500(stack: ExitStack) -> None:
    receive = webhooks.receive

    def polite(storage: Storage, data: bytes, signature: bytes) -> Received:
        try:
            return receive(storage, data, signature)
        except StoreError:
            return Received(WebhookOutcome.STORED)

    _set(stack, receive_webhook, receive=polite)


FIRST = (
    Guard("intent before send", _intent_before_send, ("plain",)),
    Guard("a write rests on the version that it saw", _version_condition, ("plain", "webhooks", "executes")),
    Guard("a write recognises itself", _own_write, ("store", "store twice")),
    Guard("an intent recognises itself", _own_intent, ("store",)),
    Guard("settle before query", _settle_before_query, ("refresh", "executes")),
    Guard("failures name their attempt", _attempt_of_failure, ("failed before",)),
    Guard("errors on later sends are not final", _first_send_only, ("late arrivals",)),
    Guard("monotonic webhook update", _monotonic_webhook, ("lying", "webhooks")),
    Guard("HTTP retries off", _no_http_retries, ("plain",)),
    Guard("lease longer than the timeout", _lease_outlives, ("slow",)),
    Guard("verify before store", _verify_first, ("webhooks",)),
    Guard("previous secret accepted", _previous_secret, ("previous secret",)),
    Guard("out of the index only when final", _sparse_index, ("plain",)),
    Guard("5xx on store failure", _failure_is_500, ("webhooks",)),
)
"""Those of the first edition. "A repetition is applied again" is gone: a webhook and what it proves are one write."""


# ---- what attacks from outside added ---------------------------------------------------------------------------------


def _any_number(stack: ExitStack) -> None:
    value = property(lambda number: Decimal(number.digits))
    _set(stack, exact_json.Number, value=value)


def _one_order_stops_no_run(stack: ExitStack) -> None:
    _any_number(stack)

    def query(systems: Any, order: Order, lease: Any, deadline: Deadline) -> settling.Queried:
        void = order.void
        assert void is not None
        credentials = systems.secret.of_project(order.pos_id, deadline)
        leased = systems.store.write(order._replace(void=lease(void, systems.now())), systems.new_id(), deadline)
        if credentials is None or isinstance(leased, Conflict):
            return settling.Queried(store.Merged(leased.order, leased.order))
        return settling.Queried(store.Merged(order, settling._look_up(systems, credentials, leased.order, deadline)))

    def attempt(systems: Any, order: Order, _: Deadline) -> settling.Queried:
        return query(systems, order, schedule.schedule_query, systems.deadline(settling.QUESTION_SECONDS))

    _set(stack, settling, _try=attempt)


def _own_project(stack: ExitStack) -> None:
    _set(stack, Secret, of_project=lambda self, _pos_id, deadline: self.current(deadline))


def _webhooks_project(stack: ExitStack) -> None:
    verify = webhooks.verify

    def current(secret: Secret, data: bytes, signature: bytes, deadline: Deadline) -> webhooks.Proof | None:
        proof = verify(secret, data, signature, deadline)
        return proof and webhooks.Proof(proof.stage, secret.current(deadline))

    _set(stack, webhooks, verify=current)


def _under_way_by_webhook(stack: ExitStack) -> None:
    apply = rules.apply_webhook

    def ignore(void: Void | None, operation: Operation, now: int) -> Void | None:
        own = void is not None and void.attempt is not None and operation.ids & void.attempt.ids
        return void if void is not None and operation.under_way and not own else apply(void, operation, now)

    _set(stack, rules, apply_webhook=ignore)


def _under_way_without_record(stack: ExitStack) -> None:
    apply = rules.apply_webhook
    _set(
        stack,
        rules,
        apply_webhook=lambda void, operation, now: (
            None if void is None and not operation.succeeded else apply(void, operation, now)
        ),
    )


def _under_way_by_query(stack: ExitStack) -> None:
    apply = rules.apply_query

    def ignore(void: Void, view: OrderView, *more: Any) -> Void:
        return (
            void
            if void.state is State.FAILED and not any(one.succeeded for one in view.of("void"))
            else apply(void, view, *more)
        )

    _set(stack, rules, apply_query=ignore)


def _pending_takes_back(stack: ExitStack) -> None:
    def to_pending(void: Void, operation: Operation | None, source: Source) -> Void:
        if operation is not None:
            void = rules._describe(void, operation)
        return rules._move(void, State.PENDING, source)

    _set(stack, rules, _to_pending=to_pending)


def _partial_view(stack: ExitStack) -> None:
    read = messages.read_order

    def whole(*arguments: Any) -> OrderView | None:
        view = read(*arguments)
        return view and replace(view, partial=False)

    _set(stack, messages, read_order=whole)


def _positive_control(stack: ExitStack) -> None:
    def alone(view: OrderView) -> bool:
        return not view.partial and all(one.failed for one in (*view.of("void"), *view.of("capture")))

    _set(stack, OrderView, shows_hold_alone=property(alone))


def _capture_under_way(stack: ExitStack) -> None:
    def alone(view: OrderView) -> bool:
        return view.held and not view.partial and not view.captured and all(one.failed for one in view.of("void"))

    _set(stack, OrderView, shows_hold_alone=property(alone))


def _own_id_known(stack: ExitStack) -> None:
    adopt = rules._adopt_only_new

    def apply(void: Void, view: OrderView) -> Void:
        return adopt(void, view)

    def own(void: Void, operations: list[Operation]) -> Operation | None:
        if void.attempt is not None and void.attempt.ids and operations and operations[0].failed:
            return operations[0]
        ids = void.attempt.ids if void.attempt is not None else frozenset[str]()
        return next((one for one in operations if one.ids & ids), None)

    _set(stack, rules, _own=own, _adopt_only_new=apply)


def _key_answers(stack: ExitStack) -> None:
    _set(stack, claims, _answers_its_key=lambda *_: False)


def _keys_of_refusals_only(stack: ExitStack) -> None:
    answers = claims._answers_its_key

    def refused(void: Void, earlier: Any) -> bool:
        return answers(void, earlier) and earlier.reason is not FailureReason.NOT_EXECUTED

    def may_claim(void: Void, made: Any) -> bool:
        if void.state is State.FAILED and void.reason in REACHED_NOTHING:
            return not isinstance(made, EarlierAttempt) or made.reason in REACHED_NOTHING
        return keep(void, made)

    keep = claims._may_claim
    _set(stack, claims, _answers_its_key=refused, _may_claim=may_claim)


def _idle_attempts_are_free(stack: ExitStack) -> None:
    count = property(lambda void: void.attempt.number if void.attempt is not None else 0)
    _set(stack, Void, attempts_that_count=count)


def _second_refusal(stack: ExitStack) -> None:
    _set(stack, claims, _end_is_proven=lambda _: False)


def _error_shape(stack: ExitStack) -> None:
    _set(stack, messages, _has_error_shape=lambda _: True)


def _refusing_statuses(stack: ExitStack) -> None:
    _set(stack, messages, REFUSING=(400, 403, 404, 405, 406, 408, 409, 422, 423, 425))


def _surrogates(stack: ExitStack) -> None:
    _set(stack, messages, without_surrogates=lambda text: text)


def _send_in_time(stack: ExitStack) -> None:
    _set(stack, voids, SEND_SECONDS=19.0)


def _unused_connection(stack: ExitStack) -> None:
    close = OpeningConnection.close

    def wait(self: OpeningConnection) -> None:
        self._ended.wait(15)
        close(self)

    _set(stack, OpeningConnection, close=wait)


def _one_deadline(stack: ExitStack) -> None:
    _set(stack, provider._DeadlineSocket, _wait_no_longer=lambda _self: None)


def _calls_in_time(stack: ExitStack) -> None:
    for module in (outside, store):
        _set(stack, module, AWS_CALL_SECONDS=30.0)
    _set(stack, Deadline, left=lambda _self: 30.0)


def _looked_at_again(stack: ExitStack) -> None:
    _set(stack, schedule, LOOKED_AT_AGAIN=frozenset())


def _refresh_of_failed(stack: ExitStack) -> None:
    refresh = settling.refresh

    def open_only(systems: Any, order: Order, deadline: Deadline) -> settling.Queried:
        if order.void is not None and order.void.settled:
            return settling.Queried(store.Merged(order, order))
        return refresh(systems, order, deadline)

    import read_voids

    _set(stack, read_voids, refresh=open_only)


def _nothing_done_after_pending(stack: ExitStack) -> None:
    def not_sent(void: Void, attempt_id: str, now: int) -> Void:
        mine = void.attempt is not None and void.attempt.id == attempt_id
        return (
            rules._fail(void, FailureReason.NOT_SENT, Source(Evidence.ANSWER, now))
            if mine and not void.settled
            else void
        )

    judge = claims.judge
    _set(stack, rules, not_sent=not_sent)
    # Two locks on one door: it does not open what a query showed, and what was shown is not claimed.
    _set(stack, claims, judge=lambda void, *more: judge(void and replace(void, under_way=frozenset()), *more))


def _state_of_intent(stack: ExitStack) -> None:
    _set(stack, voids, _is_submitting=lambda _: True)


def _forget_refused(stack: ExitStack) -> None:
    _set(stack, Secret, forget=lambda _self: None)


def _copies_age(stack: ExitStack) -> None:
    from payments import secret

    _set(stack, secret, MAX_AGE_SECONDS=86_400.0)


def _repetition_adds_nothing(stack: ExitStack) -> None:
    add = webhooks.with_webhook

    def again(order: Order, webhook: Any) -> Order:
        if webhook.digest not in order.webhooks:
            return add(order, webhook)
        return order._replace(webhook_bytes=order.webhook_bytes + 1)

    _set(stack, webhooks, with_webhook=again)


def _every_page(stack: ExitStack) -> None:
    due = Store.due

    def first(self: Store, *arguments: Any) -> Any:
        page, _ = due(self, *arguments)
        return page, None

    _set(stack, Store, due=first)


def _cursor_goes_on(stack: ExitStack) -> None:
    _set(stack, items, write_cursor=lambda *_: None)


def _run_counts_what_it_did(stack: ExitStack) -> None:
    settle = settling.settle

    def raising(systems: Any, until: int, workers: int) -> settling.Run:
        calls = systems.store._query

        def query(*arguments: Any, **more: Any) -> Any:
            try:
                return calls(*arguments, **more)
            except StoreError as error:
                raise _Unlisted from error

        with patch.object(systems.store, "_query", query):
            return settle(systems, until, workers)

    _set(stack, settle_voids, settle=raising)


class _Unlisted(Exception):
    """The run knows nothing better than to fail."""


def _day_is_over(stack: ExitStack) -> None:
    _set(stack, schedule, mark_queried=lambda void, now: replace(void, queried_at=now))


def _undocumented_reviewed(stack: ExitStack) -> None:
    _set(stack, Operation, documented=property(lambda _: True))


def _capitals(stack: ExitStack) -> None:
    _set(stack, messages, project_of=lambda pos_id: pos_id)


ADDED = (
    Guard("any number is read", _any_number, ("odd answers", "views", "forms of webhooks")),
    Guard("nothing about one order stops a run", _one_order_stops_no_run, ("absurd views",), "escaped from settle"),
    Guard("a record is asked about in its own project only", _own_project, ("replaced secret",)),
    Guard("a webhook belongs to the project that proved it", _webhooks_project, ("another project",)),
    Guard("what a webhook showed under way is not absent", _under_way_by_webhook, ("pending and lost",)),
    Guard("what a webhook showed under way is not absent, also without a record", _under_way_without_record, ("pending in the portal",)),
    Guard("what a query showed beside a failed void is not absent", _under_way_by_query, ("portal without webhooks", "pending in the portal")),
    Guard("one object proves no absence", _partial_view, ("one object",)),
    Guard("a known id is not replaced by somebody else's", _own_id_known, ("somebody else's failure",)),
    Guard("a key is answered by its own attempt", _key_answers, ("key late", "not connected")),
    Guard("a key is answered by its own attempt, also one that was not executed", _keys_of_refusals_only, ("lost, then throttled",)),
    Guard("attempts that reached nothing cost nothing", _idle_attempts_are_free, ("outage",)),
    Guard("a refused attempt was not executed", _second_refusal, ("no such order", "refused again")),
    Guard("only the documented error shape refuses", _error_shape, ("undocumented refusals",)),
    Guard("only the documented statuses refuse", _refusing_statuses, ("undocumented refusals",)),
    Guard("half a surrogate pair is replaced", _surrogates, ("odd answers", "forms of webhooks")),
    Guard("sent within four seconds or not at all", _send_in_time, ("secret",), "4 s"),
    Guard("nobody waits for a connection that he does not use", _unused_connection, ("connections", "many addresses")),
    Guard("a conversation ends at one moment", _one_deadline, ("all is slow",)),
    Guard("calls of AWS end in time", _calls_in_time, ("all is slow", "store")),
    Guard("what has failed is looked at again", _looked_at_again, ("looked at again",)),
    Guard("a refresh asks about what has failed", _refresh_of_failed, ("looked at again", "portal without webhooks", "unbounded")),
    Guard("absence needs the hold beside it", _positive_control, ("empty lists",)),
    Guard("a capture under way is no absence", _capture_under_way, ("capture under way",)),
    Guard("pending takes the permission to send back", _pending_takes_back, ("pending without webhooks",)),
    Guard("nothing sent does not end what is under way", _nothing_done_after_pending, ("pending meanwhile",)),
    Guard("an intent is looked at before it is sent", _state_of_intent, ("overtaken", "store")),
    Guard("refused credentials are forgotten", _forget_refused, ("new keys", "instances")),
    Guard("copies of the secret age", _copies_age, ("another project",)),
    Guard("a repetition adds nothing", _repetition_adds_nothing, ("webhooks",)),
    Guard("a settle run goes through every page", _every_page, ("full pages",)),
    Guard("a list goes through every page", _cursor_goes_on, ("lists",)),
    Guard("a settle run reports what it did before it failed", _run_counts_what_it_did, ("store twice", "store")),
    Guard("after a day a person is told", _day_is_over, ("stuck",)),
    Guard("pos_id is compared as the UUID that it is", _capitals, ("capitals",)),
)  # fmt: skip
"""Against what was found by attacks from outside, and by the simulator itself."""
GUARDS = (*FIRST, *ADDED)


@contextmanager
def without(guard: Guard) -> Iterator[None]:
    """The code under test with one guard taken out, or one mistake put in."""
    simulation.ENDS.clear()
    with ExitStack() as stack:
        guard.remove(stack)
        yield
    simulation.ENDS.clear()


def hunt(guard: Guard, exhaustive: int = 1_000, random: int = 6_000) -> tuple[str, str] | None:
    """The violation that the guard's absence makes possible, and the schedule that shows it; None: it is not noticed."""
    with without(guard):
        for name in guard.where:
            config = CONFIGURATIONS[name]
            found = _first(guard, explorer.breadth_first(config, 2, exhaustive))
            if found:
                return found
        for number in range(random):
            config = CONFIGURATIONS[guard.where[number % len(guard.where)]]
            sim, schedule_found = explorer.walk(config, f"guards/{number}")
            violation = next((text for text in sim.watch.violations if guard.shows in text), None)
            if violation:
                return violation, explorer.written(config, explorer.shrink(config, schedule_found, violation))
    return None


def _first(guard: Guard, schedules: Iterator[tuple[str, Any]]) -> tuple[str, str] | None:
    for line, sim in schedules:
        for violation in sim.watch.violations:
            if guard.shows in violation:
                return violation, line
    return None


__all__ = ["GUARDS", "Guard", "hunt", "without"]
